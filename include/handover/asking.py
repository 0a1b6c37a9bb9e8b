"""Who asks for what the successor alone has by now: people of cases that were decided after our copy of a bag went, and people
who turned to us once even their account was gone (policy 5.6; PIPL 47; law.md E, 15).

A case finds nothing of theirs under the laws of a handover here any more, so no notice tells of it. Whose the items of a bag are
is kept as keyed tokens until no request can be passed on any more; so the successor is asked by digests, and hears of nobody by
name. Taken until the ledger is handed to its custodian: from then on nobody is here who could sign.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from psycopg import errors as pg

from include.cases import book, decisions, parts, sealing, subjects
from include.cases.accounts import Standing
from include.cases.book import Conn, checked_actor
from include.cases.keys import Purpose
from include.cases.retention.due import named
from include.cases.retention.held import HeldPeople
from include.cases.rooms import Desk
from include.cases.shutdown import begun, orders, way
from include.cases.shutdown.orders import Order
from include.cases.shutdown.whereabouts import HANDED
from include.handover import whose
from include.handover.register import Bag
from include.model import ranges
from include.model.errors import Refused
from include.model.estate import Dataset
from include.model.words import Channel

TAKEN = "request taken"
"""Of the event."""


@dataclass(frozen=True)
class Asks:
    """One who asks. ``since``: until when her case looked here for what is hers, or when she asked; ``datasets``: what it
    reaches; None: everything of hers."""

    tokens: frozenset[bytes] = field(repr=False)
    since: datetime
    datasets: frozenset[str] | None = None

    def reaches(self, dataset: str) -> bool:
        return self.datasets is None or dataset in self.datasets


def may_be_passed_on(conn: Conn, of: Order) -> bool:
    """Whether requests still are: until the order is withdrawn, or its ledger was handed to the custodian."""
    return of.withdrawn_on is None and not any(e["what"] == HANDED for e in orders.history(conn, of.number))


def still_here(conn: Conn, of: Order) -> None:
    """Raises Refused unless they are."""
    if not may_be_passed_on(conn, of):
        raise Refused(
            "its ledger is with the custodian, or it was withdrawn: nothing is passed on any more", about=of.number,
            next_step=f"the person turns to {of.successor or 'whoever has taken over'} itself",
        )  # fmt: skip


def take(
    desk: Desk, number: str, account_id: str, *, channel: Channel, method: str, fields: Sequence[str], as_of: date,
    actor: str,
) -> int:  # fmt: skip
    """Take the request of a person who has no account here any more; its number. The same person again has the same. ``method``
    and ``fields``: how it was checked who asks, and which categories were compared.

    Raises Refused, with nothing stored, for an unexplained check, while the account is there (a case is what it needs), if
    nothing of hers went to the successor, or once nothing is passed on any more; NotReachable.
    """
    id_ = subjects.screened(account_id)
    how = decisions.method_named(method, number)
    if not channel.requestable:
        raise Refused("a person asks by a person's channel", about=number, next_step="name the channel")
    if not fields or not decisions.within_registration(desk.catalogue, tuple(fields)):
        raise Refused(
            "nobody knows who asks: no field was compared, or one beyond what registration collected", about=number,
            next_step="compare fields collected at registration, and name them",
        )  # fmt: skip
    if desk.accounts.standing(id_) is not Standing.UNKNOWN:
        raise Refused(
            "the account is here still", about="account id",
            next_step="open a case for it: what that finds with the successor is passed on by itself",
        )  # fmt: skip
    tokens = sealing.digests(desk.keys, Purpose.SUBJECT_TOKEN, subjects.KIND, id_)
    with desk.book() as conn, book.deed(conn, number):
        of = orders.order(conn, number, lock=True)
        still_here(conn, of)
        there = conn.execute(
            "SELECT request FROM casebook.shutdown_request WHERE number = %s AND token = ANY(%s)",
            (number, list(tokens.values())),
        ).fetchone()
        if there is not None:
            return int(there["request"])
        bags = whose.bags_of(conn, number, set(tokens.values()))
        if not bags:
            raise Refused(
                "there is no such account, and nothing of it went to the successor", about="account id",
                next_step="check the id with support",
            )  # fmt: skip
        token = next(iter(next(iter(bags.values()))))
        try:
            row = conn.execute(
                "INSERT INTO casebook.shutdown_request (number, token, asked_on, channel, method, fields, recorded_by)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING request",
                (number, token, as_of, channel.value, how.value, list(fields), checked_actor(actor)),
            ).fetchone()
        except pg.UniqueViolation:
            raise Refused(
                "it is being recorded by somebody else", about=number, next_step="try again"
            ) from None
        request = int(row["request"]) if row else 0
        orders.say(desk, conn, number, TAKEN, as_of, actor, {"request": request, "channel": channel.value})
    return request


def went(conn: Conn, number: str) -> dict[str, datetime]:
    """Bags of which our copy went, by deletions that came to their end: bag -> when the first of them was begun."""
    rows = conn.execute(
        "SELECT observed_at, detail ->> 'case' AS case_no, detail -> 'bags' AS bags FROM casebook.shutdown_event"
        " WHERE number = %s AND what = %s ORDER BY event_id",
        (number, begun.BEGUN),
    ).fetchall()
    gone = begun.deleted_in(conn, number)  # by the last of its cases; the first may have taken something, too
    ended = {bag for bag, case_no in gone.items() if not way.under_way(conn, case_no)}
    took = {case_no for case_no in {r["case_no"] for r in rows} if begun.has_receipts(conn, case_no)}
    found: dict[str, datetime] = {}
    for r in rows:
        if r["case_no"] in took:
            for bag in ended.intersection(ranges.long(r["bags"])):
                found.setdefault(bag, r["observed_at"])
    return found


def who_asks(desk: Desk, conn: Conn, number: str) -> list[Asks]:
    """Everybody: people of cases that were decided to be carried out, and those whose request was taken."""
    rows = conn.execute(
        "SELECT token, recorded_at FROM casebook.shutdown_request WHERE number = %s", (number,)
    ).fetchall()
    found = [Asks(frozenset([bytes(r["token"])]), r["recorded_at"]) for r in rows]
    first = min(went(conn, number).values(), default=None)
    if first is None:
        return found
    rows = conn.execute(
        "SELECT case_no, since FROM (SELECT e.case_no, coalesce(max(e.observed_at) FILTER (WHERE e.what = 'disposed'),"
        " max(e.observed_at) FILTER (WHERE e.from_state = 'acting' AND e.to_state <> 'acting'), clock_timestamp()) AS since"
        " FROM casebook.event AS e WHERE e.unit_id IS NULL"
        " AND EXISTS (SELECT FROM casebook.case_subject AS s WHERE s.case_no = e.case_no)"
        " GROUP BY e.case_no HAVING bool_or(e.to_state = 'acting')) AS decided WHERE since >= %s ORDER BY 1",
        (first,),
    ).fetchall()
    cases = {c.case_no: c for c in book.some(conn, [r["case_no"] for r in rows])}
    known = _known(conn, number) if rows else frozenset()
    for r in rows:
        case = cases[r["case_no"]]
        part = None if case.ground.whole_person else parts.reached(desk, conn, case)
        if part is None and not case.ground.whole_person:
            continue  # of such a ground nobody can say yet what it reaches
        try:
            stored = subjects.tokens_among(conn, desk.keys, case, known)
        except Refused:  # the case's key is destroyed: who it was about is known by the stored tokens alone
            stored = subjects.tokens(conn, case)
        tokens = frozenset(bytes.fromhex(t) for t in stored)
        reach = (
            None
            if part is None
            else frozenset(
                d.id for d in desk.catalogue.datasets if d.id in part.rows and part.of(d.id) is None
            )
        )
        found.append(Asks(tokens, r["since"], reach))
    return found


def _known(conn: Conn, number: str) -> frozenset[str]:
    """Every owner's token, in hex, if the key that tokens are made by was ever succeeded; it is asked for only then."""
    rows = conn.execute(
        "SELECT DISTINCT encode(token, 'hex') AS token FROM casebook.handover_owner WHERE order_no = %s AND token <> %s",
        (number, whose.KEPT),
    ).fetchall()
    return frozenset(str(r["token"]) for r in rows)


def asked_for(
    conn: Conn, number: str, bag: str, dataset: Dataset, who: Sequence[Asks], since: datetime, *, alone: bool
) -> Mapping[bytes, set[bytes]]:
    """Items of a bag that these people ask for: digest -> whose. ``since``: when our copy of it began to go: what was decided
    before that is in the bag, or in a notice about it."""
    asking = {t for a in who if a.since >= since and a.reaches(dataset.id) for t in a.tokens}
    return whose.goes_with(conn, number, bag, asking, alone=alone) if asking else {}


def but_held(
    desk: Desk, conn: Conn, bag: Bag, dataset: Dataset, said: Mapping[bytes, set[bytes]], held: HeldPeople
) -> Mapping[bytes, set[bytes]]:  # fmt: skip
    """The same without what an open hold covers: whom it names may have much there, and it is evidence, wherever it lies."""
    everybody, people = named(desk.catalogue, held, dataset)
    if everybody or not said:
        return {}
    tokens = {
        t for id_ in people for t in sealing.digests(desk.keys, Purpose.SUBJECT_TOKEN, subjects.KIND, id_).values()
    }  # fmt: skip
    covered = whose.owned_by(conn, bag.statement.order, bag.name, tokens) if tokens else set()
    return {leaf: who for leaf, who in said.items() if leaf not in covered}
