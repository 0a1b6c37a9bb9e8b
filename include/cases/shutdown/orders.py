"""Shutdown orders in the case book: opened by a document and two people, at most one in force; its gates, T0, its successor.

Each deed is one transaction, judged by :mod:`include.cases.shutdown.dates`, with an event in the book and an entry in the ledger.
The ledger has no contact and nobody's name: the successor is a company, and people are told of by role.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from include.cases import book
from include.cases.book import Conn, Rows
from include.cases.rooms import Desk
from include.cases.shutdown import begun, tellings
from include.cases.shutdown.dates import Days, Gate, Path
from include.cases.shutdown.told import (
    Custodian,
    Paper,
    Successor,
    Told,
    checked,
    checked_contact,
    checked_paper,
    checked_successor,
    checked_text,
)
from include.model.catalogue import Catalogue
from include.model.errors import Refused
from include.model.estate import Dataset

KIND = "shutdown"
"""Of the ledger's entries."""
WITHDRAWING = "withdrawal begun"
"""Of the event before anything is given back."""
COLLECTION_CLOSED = "collection closed"
"""Of the event."""
SEE = "see `quietus shutdown show`"
COMPANY, SERVICE = "company", "service"
_NUMBER = re.compile(r"SO-\d{6,}")


@dataclass(frozen=True)
class Order:
    """One row of ``casebook.shutdown_order``."""

    number: str
    scope: str
    services: list[str]
    path: Path
    reason: str
    decided_on: date
    document: str
    digest: str
    approvers: list[str]
    t0_announced: date
    t0: date
    successor: str | None
    successor_contact: str | None
    successor_certificate: str | None
    successor_since: date | None  # named on that day, after the order was opened
    renotify_from: date | None  # when a successor withdrew, before collection was closed
    ministry_asked_on: date | None
    custodian: str | None
    custodian_contact: str | None
    opened_on: date
    opened_by: str
    opened_at: datetime
    closing_at: datetime | None
    closed_on: date | None
    withdrawn_on: date | None
    withdrawn_document: str | None
    ended_on: date | None
    e_government: bool
    approved: list[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))

    @property
    def in_force(self) -> bool:
        """Neither withdrawn nor ended. Nothing is done by one that waits for an approval (:func:`deed`)."""
        return self.withdrawn_on is None and self.ended_on is None

    @property
    def waits_for(self) -> tuple[str, ...]:
        """Who has not approved it yet."""
        return tuple(a for a in self.approvers if a not in self.approved)

    @property
    def state(self) -> str:
        if self.withdrawn_on is not None:
            return "withdrawn"
        if self.ended_on is not None:
            return "ended"
        if self.closed_on is not None:
            return "closed"
        if self.closing_at is not None:
            return "closing"
        return "waits for approval" if self.waits_for else "open"

    def datasets(self, catalogue: Catalogue) -> tuple[Dataset, ...]:
        """What it is about: everything, or what holds a category of one of its services."""
        if self.scope == COMPANY:
            return catalogue.datasets
        ours = {c.id for c in catalogue.categories if c.service in self.services}
        return tuple(d for d in catalogue.datasets if ours & set(d.all_categories))


_ORDER = """
SELECT o.*, ARRAY(SELECT approver FROM casebook.shutdown_approval AS a WHERE a.number = o.number) AS approved
  FROM casebook.shutdown_order AS o"""


# --- what is read ---------------------------------------------------------------------------------


def order(conn: Conn, number: str, *, lock: bool = False) -> Order:
    """One order. Raises Refused if there is none."""
    if not _NUMBER.fullmatch(number):
        raise Refused("this is no order's number", about="shutdown", next_step="give it as SO-000001")
    if lock:
        conn.execute("SELECT FROM casebook.shutdown_order WHERE number = %s FOR UPDATE", (number,))
    with conn.cursor(row_factory=class_row(Order)) as cursor:
        cursor.execute(f"{_ORDER} WHERE o.number = %s", (number,))
        found = cursor.fetchone()
    if found is None:
        raise Refused("there is no such order", about=number, next_step=SEE)
    return found


def orders(conn: Conn) -> list[Order]:
    """Every order, the newest first."""
    with conn.cursor(row_factory=class_row(Order)) as cursor:
        cursor.execute(f"{_ORDER} ORDER BY o.number DESC")
        return cursor.fetchall()


def in_force(conn: Conn) -> Order | None:
    """The one that is in force; the book lets there be no second."""
    return next((o for o in orders(conn) if o.in_force), None)


def gates(conn: Conn, number: str) -> Rows:
    """Gates that count, in the order in which they were recorded."""
    return conn.execute(
        "SELECT gate, due, done_on, document, digest, done_by FROM casebook.shutdown_gate"
        " WHERE number = %s AND void_on IS NULL ORDER BY gate_id",
        (number,),
    ).fetchall()


def days(conn: Conn, of: Order) -> Days:
    done = {Gate(g["gate"]): g["done_on"] for g in gates(conn, of.number)}
    told = tellings.told_day(conn, of.number, of.successor)
    return Days(
        of.path, of.decided_on, of.t0, done, of.successor_since, of.renotify_from, told, of.e_government
    )


def history(conn: Conn, number: str) -> Rows:
    """What happened, oldest first."""
    return conn.execute(
        "SELECT observed_at, as_of, actor, what, detail FROM casebook.shutdown_event WHERE number = %s ORDER BY event_id",
        (number,),
    ).fetchall()


def alarms(conn: Conn, as_of: date) -> tuple[str, ...]:
    """What is overdue with the order in force, a sentence each. One that waits for an approval is in no force: once a day of it
    has passed, who did not approve it is named."""
    of = in_force(conn)
    if of is None:
        return ()
    known = days(conn, of)
    if of.waits_for:
        who = " and ".join(of.waits_for)
        return tuple(
            f"{of.number}: {g} was due on {known.due(g)}, and {who} did not approve the order"
            for g in known.overdue(as_of)
        )
    said = [f"{of.number}: {g} was due on {known.due(g)}" for g in known.overdue(as_of)]
    if of.successor is None and of.ministry_asked_on is None:
        said.append(f"{of.number}: nobody takes over: name a successor, or ask the ministry to arrange one")
    return tuple(said)


def gate_done(conn: Conn, number: str, gate: Gate) -> str | None:
    """What the book says of a gate that was done; None: it was not, or counts no more."""
    row = next((g for g in gates(conn, number) if g["gate"] == gate), None)
    return None if row is None else f"{gate} done on {row['done_on']} by {row['document']}"


# --- what is done -----------------------------------------------------------------------------------


def open_order(desk: Desk, told: Told, *, as_of: date, actor: str) -> str:
    """Open an order; its number. It is in force once both approvers have approved it; who opens it and is one of them has. Raises
    Refused, with nothing kept, for what cannot be so, or beside another."""
    checked(desk.catalogue, told, as_of)
    first = Days(told.path, told.decided_on, told.t0, e_government=told.e_government).earliest()
    if told.t0 < first:
        raise Refused(
            f"decided on {told.decided_on}, it can stop on {first} at the earliest (ESL 23; ECL 16)", about="T0",
            next_step=f"give {first} or later",
        )  # fmt: skip
    who = told.successor
    with desk.book() as conn, book.deed(conn, "shutdown"):
        conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('casebook.shutdown', 0))")
        if (other := in_force(conn)) is not None:
            raise Refused(
                "an order is in force already", about=other.number, next_step=f"end or withdraw {other.number} first"
            )  # fmt: skip
        row = conn.execute("SELECT nextval('casebook.shutdown_number') AS n").fetchone()
        number = f"SO-{row['n'] if row else 0:06d}"
        conn.execute(
            "INSERT INTO casebook.shutdown_order (number, scope, services, path, reason, decided_on, document, digest,"
            " approvers, t0_announced, t0, successor, successor_contact, successor_certificate,"
            " ministry_asked_on, custodian, custodian_contact, opened_on, opened_by, e_government)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (number, SERVICE if told.services else COMPANY, sorted(set(told.services)), told.path, told.reason.strip(),
             told.decided_on, told.paper.number, told.paper.digest, list(told.approvers), told.t0, told.t0,
             who and who.name, who and who.contact, who and who.certificate,
             told.ministry_asked_on, told.custodian and told.custodian.name, told.custodian and told.custodian.contact,
             as_of, book.checked_actor(actor), told.e_government),
        )  # fmt: skip
        for one in told.approvers:
            if book.person(one) == book.person(actor):
                approved(conn, number, one, as_of)
        say(
            desk, conn, number, "opened", as_of, actor,
            {"scope": SERVICE if told.services else COMPANY, "services": sorted(set(told.services)),
             "path": told.path.value, **({"e_government": True} if told.e_government else {}),
             "t0": told.t0.isoformat(), "decided_on": told.decided_on.isoformat(),
             "document": told.paper.number, "digest": told.paper.digest, "custodian": told.custodian and told.custodian.name,
             "approvers": [a.partition("/")[0] for a in told.approvers], **_of(who, told.ministry_asked_on)},
        )  # fmt: skip
    return number


def pass_gate(
    desk: Desk, number: str, gate: Gate, *, on: date, paper: Paper, as_of: date, actor: str
) -> Order:
    """Record that a gate was done, with its document; the order after it, whose T0 may be later. Again with the same changes
    nothing; with a later day it takes the other's place. That people were told is no document's word alone where the catalogue
    says how they are reached: then it is refused until everybody was come to."""
    checked_paper(paper, number)
    if gate is Gate.CLOSED:
        raise Refused(
            "collection is closed by doing it", about=number, next_step="use `quietus shutdown close-collection`"
        )  # fmt: skip
    with deed(desk, number) as (conn, of):
        now = days(conn, of)
        if any(
            (g["gate"], g["done_on"], g["document"], g["digest"]) == (gate, on, paper.number, paper.digest)
            for g in gates(conn, number)
        ):
            return of
        people = {}
        if gate in (Gate.NOTIFIED, Gate.SUCCESSOR_TOLD) and reached(desk.catalogue):
            people = {"people": tellings.everybody_was_told(conn, number, of.successor, of.t0, on)}
        then = now.passed(gate, on, as_of)
        if gate in now.done:
            void(conn, number, (gate,), as_of, "corrected")
        passed(conn, number, gate, now.due(gate), on, paper, actor)
        detail: dict[str, Any] = {
            "gate": gate.value, "due": now.due(gate).isoformat(), "done_on": on.isoformat(), "document": paper.number,
            "digest": paper.digest, "late": on > now.due(gate), **people,
        }  # fmt: skip
        say(desk, conn, number, "gate", as_of, actor, detail)
        if then.t0 != now.t0:
            _move(desk, conn, number, now.t0, then.t0, f"{gate} was late", None, as_of, actor)
        return order(conn, number)


def move(desk: Desk, number: str, t0: date, *, paper: Paper, as_of: date, actor: str) -> Order:
    """Move T0 by a document: later, or back as far as what was filed allows. Before the day that people were told, their notice
    counts no more, and they are told anew. Raises Refused."""
    checked_paper(paper, number)
    with deed(desk, number) as (conn, of):
        if of.closing_at is not None:
            raise Refused(
                "collection is being closed, or is", about=number, next_step="finish that, or withdraw the order"
            )  # fmt: skip
        now = days(conn, of)
        then = now.moved(t0, as_of)
        if gone := tuple(set(now.done) - set(then.done)):
            void(conn, number, gone, as_of, "people were told of a later day")
            conn.execute(
                "UPDATE casebook.shutdown_order SET renotify_from = %s WHERE number = %s", (then.renotify_from, number)
            )  # fmt: skip
        if gone or then.t0 != of.t0:
            _move(desk, conn, number, of.t0, t0, "by a document", paper, as_of, actor, gone)
        return order(conn, number)


def name_successor(
    desk: Desk, number: str, who: Successor, *, paper: Paper, as_of: date, actor: str
) -> Order:
    """Name who takes over: one that the ministry arranged, or after another withdrew."""
    checked_paper(paper, number)
    checked_successor(who)
    with deed(desk, number) as (conn, of):
        if of.successor is not None:
            raise Refused(
                "it has a successor", about=number, next_step="record that this one withdrew, then name another"
            )  # fmt: skip
        conn.execute(
            "UPDATE casebook.shutdown_order SET successor = %s, successor_contact = %s, successor_certificate = %s,"
            " successor_since = %s WHERE number = %s",
            (who.name, who.contact, who.certificate, as_of, number),
        )
        detail = {"document": paper.number, "digest": paper.digest, **_of(who, None)}
        say(desk, conn, number, "successor named", as_of, actor, detail)
        return order(conn, number)


def ask_ministry(desk: Desk, number: str, *, paper: Paper, as_of: date, actor: str) -> Order:
    """Nobody takes over, and the ministry is asked to arrange it (ESL 23 para. 3). Again changes nothing."""
    checked_paper(paper, number)
    with deed(desk, number) as (conn, of):
        if of.successor is not None:
            raise Refused(
                "it has a successor", about=number, next_step="record that this one withdrew, if it did"
            )
        if of.ministry_asked_on is None:
            conn.execute(
                "UPDATE casebook.shutdown_order SET ministry_asked_on = %s WHERE number = %s", (as_of, number)
            )
            detail = {"document": paper.number, "digest": paper.digest}
            say(desk, conn, number, "ministry asked", as_of, actor, detail)
        return order(conn, number)


def successor_withdrew(
    desk: Desk, number: str, *, paper: Paper, ministry_asked: bool, as_of: date, actor: str,
    at: Callable[[str], None] = lambda _: None,
) -> Order:  # fmt: skip
    """Whoever was to take over does not. The notice that named it counts no more, so people are notified anew. Until another
    is named, or the ministry is asked, that is an alarm. No receipt of it counts any more, and nothing is deleted on one; what it
    signed for, and what went here by that, is in the event. Again by the same document changes nothing."""
    checked_paper(paper, number)
    with deed(desk, number) as (conn, of):
        if of.successor is None:
            if _said_by(
                conn, number, "successor withdrew", paper
            ):  # of a run that was killed once it was committed
                return of
            raise Refused("it has no successor that could withdraw", about=number, next_step=SEE)
        now = days(conn, of)
        then = now.without_successor(as_of)
        gone = tuple(set(now.done) - set(then.done))
        void(conn, number, gone, as_of, "the successor withdrew")
        conn.execute(
            "UPDATE casebook.shutdown_order SET successor = NULL, successor_contact = NULL, successor_certificate = NULL,"
            " successor_since = NULL, renotify_from = %s, ministry_asked_on = %s WHERE number = %s",
            (then.renotify_from, as_of if ministry_asked else None, number),
        )
        detail = {
            "document": paper.number, "digest": paper.digest, "counts_no_more": sorted(g.value for g in gone),
            "ministry_asked": ministry_asked, **begun.with_the_successor(conn, number),
        }  # fmt: skip
        say(desk, conn, number, "successor withdrew", as_of, actor, detail)
        at("orders.said")  # in the ledger, and not in the book yet: the next run says it again
        found = order(conn, number)
    at("orders.committed")
    return found


def _said_by(conn: Conn, number: str, what: str, paper: Paper) -> bool:
    """Whether that was the last event of its kind, by this document."""
    said: dict[str, Any] = next(
        (e["detail"] for e in reversed(history(conn, number)) if e["what"] == what), {}
    )
    return (said.get("document"), said.get("digest")) == (paper.number, paper.digest)


def name_custodian(
    desk: Desk, number: str, who: Custodian, *, paper: Paper, as_of: date, actor: str
) -> Order:
    """Name who keeps what can neither go nor be deleted; another takes the place of the one before."""
    checked_paper(paper, number)
    checked_text("custodian", who.name)
    checked_contact("custodian's contact", who.contact)
    with deed(desk, number) as (conn, _):
        conn.execute(
            "UPDATE casebook.shutdown_order SET custodian = %s, custodian_contact = %s WHERE number = %s",
            (who.name, who.contact, number),
        )
        detail = {"document": paper.number, "digest": paper.digest, "custodian": who.name}
        say(desk, conn, number, "custodian named", as_of, actor, detail)
        return order(conn, number)


# --- what closing and withdrawing share with it -------------------------------------------------------


@contextmanager
def deed(
    desk: Desk, number: str, *, approved: bool = True, ended: bool = False
) -> Iterator[tuple[Conn, Order]]:
    """One transaction about an order that is in force, which is locked until its end. ``approved``: by both; and nobody withdraws
    it. ``ended``: also about one that has come to its end. Raises Refused."""
    with desk.book() as conn, book.deed(conn, number):
        of = order(conn, number, lock=True)
        if not (of.in_force or (ended and of.ended_on is not None)):
            raise Refused(f"the order is {of.state}", about=number, next_step=SEE)
        if approved and of.waits_for:
            roles = " and ".join(a.partition("/")[0] for a in of.waits_for)
            raise Refused(
                f"it is not in force: it waits for the approval of {roles}", about=number,
                next_step="have them approve it, each under a log-in of their own: `quietus shutdown approve`",
            )  # fmt: skip
        if approved:
            not_withdrawing(conn, number)
        yield conn, of


def not_withdrawing(conn: Conn, number: str) -> None:
    """Raises Refused if a withdrawal was begun. In a transaction that locks the order none is begun until its end."""
    if any(e["what"] == WITHDRAWING for e in history(conn, number)):
        raise Refused(
            "it is being withdrawn", about=number, next_step="end that: run `quietus shutdown withdraw` again"
        )  # fmt: skip


def approved(conn: Conn, number: str, approver: str, as_of: date) -> None:
    conn.execute(
        "INSERT INTO casebook.shutdown_approval (number, approver, approved_on) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (number, approver, as_of),
    )


def passed(conn: Conn, number: str, gate: Gate, due: date, on: date, paper: Paper, actor: str) -> None:
    conn.execute(
        "INSERT INTO casebook.shutdown_gate (number, gate, due, done_on, document, digest, done_by)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (number, gate, due, on, paper.number, paper.digest, book.checked_actor(actor)),
    )


def void(conn: Conn, number: str, of: Sequence[Gate], as_of: date, why: str) -> None:
    conn.execute(
        "UPDATE casebook.shutdown_gate SET void_on = %s, void_why = %s WHERE number = %s AND gate = ANY(%s) AND void_on IS NULL",
        (as_of, why, number, [g.value for g in of]),
    )


def say(
    desk: Desk, conn: Conn, number: str, what: str, as_of: date, actor: str, detail: dict[str, Any]
) -> None:
    """An event in the book, and the same in the ledger, with the actor's role alone."""
    row = conn.execute(
        "INSERT INTO casebook.shutdown_event (number, as_of, actor, what, detail) VALUES (%s, %s, %s, %s, %s)"
        " RETURNING event_id",
        (number, as_of, book.checked_actor(actor), what, Jsonb(detail)),
    ).fetchone()
    body = {
        "order": number,
        "what": what,
        "as_of": as_of.isoformat(),
        "role": actor.partition("/")[0],
        **detail,
    }
    # Rolled back if the ledger does not take it; in the ledger and not in the book: a number that no event has.
    desk.record(KIND, None, body, f"{KIND}:{row['event_id'] if row else 0}")


def reached(catalogue: Catalogue) -> bool:
    """Whether the catalogue says where holders of accounts are told."""
    return any(d.accounts.reached for d in catalogue.datasets if d.accounts is not None)


def _move(
    desk: Desk, conn: Conn, number: str, was: date, t0: date, why: str, paper: Paper | None, as_of: date, actor: str,
    gone: Sequence[Gate] = (),
) -> None:  # fmt: skip
    """``gone``: gates that count no more by it."""
    conn.execute("UPDATE casebook.shutdown_order SET t0 = %s WHERE number = %s", (t0, number))
    detail: dict[str, Any] = {"was": was.isoformat(), "t0": t0.isoformat(), "why": why}
    if paper is not None:
        detail |= {"document": paper.number, "digest": paper.digest}
    if gone:
        detail["counts_no_more"] = sorted(g.value for g in gone)
    say(desk, conn, number, "T0 moved", as_of, actor, detail)


def _of(who: Successor | None, asked: date | None) -> dict[str, Any]:
    """Who takes over, as the ledger says it: a company, and no contact."""
    return {
        "successor": who and who.name, "successor_certificate": who and who.certificate,
        "ministry_asked_on": asked and asked.isoformat(),
    }  # fmt: skip
