"""The case book's cases and timeline, in plain SQL. Every change of state goes through the machine.

Lives in database ``quietus`` of the records cluster, never with company data: restoring a company database
must not roll back our memory. Callers hold one connection of role ``case_writer`` and one transaction per
deed (:func:`deed`), so a state, its event and what caused it are committed together.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeAlias

import psycopg
from psycopg import sql
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from include.cases import machine
from include.cases.guards import Facts
from include.model.errors import NotReachable, QuietusError, Refused
from include.model.screening import kind_of_identifier
from include.model.words import CaseState, Channel, Ground, Requester

Conn: TypeAlias = psycopg.Connection[Any]
Rows: TypeAlias = list[dict[str, Any]]

LOG_IN = "log-in name"  # what an error is about when not the account but whoever asks is the trouble
RECORDS = "records"  # connection ids are records_case_writer, records_reader, records_ledger_writer
REQUEST, NIGHTLY = "request", "nightly"  # who opened it: somebody asked, or we did
_ACTOR = re.compile(r"[a-z_]{1,32}/[^\s/]{1,64}")
_CASE_NO = re.compile(r"CASE-\d{6,}")
_TIMEOUTS = "-c statement_timeout=60s -c lock_timeout=20s -c idle_in_transaction_session_timeout=600s"


@dataclass(frozen=True)
class Case:
    """One row of ``casebook.case_``."""

    case_no: str
    kind: str
    ground: Ground
    channel: Channel
    requester: Requester
    opened_by: str
    received_at: datetime
    opened_on: date
    state: CaseState
    key_id: str
    verified_at: datetime | None
    reply_due: date | None
    reply_provisional: bool
    finish_due: date | None
    finish_provisional: bool
    approved_plan: str | None
    told_at: datetime | None
    parked_because: str | None
    closed_at: datetime | None

    def __post_init__(self) -> None:
        for name, kind in (
            ("ground", Ground), ("channel", Channel), ("requester", Requester), ("state", CaseState),
        ):  # fmt: skip
            object.__setattr__(self, name, kind(getattr(self, name)))

    @property
    def open(self) -> bool:
        return self.closed_at is None

    @property
    def own_initiative(self) -> bool:
        """Whether we opened it unasked. It alone skips identity and approval; no request ever does."""
        return self.kind == NIGHTLY


def connect(conninfo: str) -> Conn:
    """A connection with time-outs, in autocommit. Raises NotReachable; never quotes the conninfo."""
    try:
        return psycopg.connect(
            conninfo, autocommit=True, connect_timeout=10, options=_TIMEOUTS, row_factory=dict_row
        )
    except psycopg.OperationalError:
        raise NotReachable(
            "the case book does not answer", next_step="check the records database, then try again"
        ) from None


@contextmanager
def reaching(about: str) -> Iterator[None]:
    """What the driver raises when a session ends, or a statement takes too long, as NotReachable."""
    try:
        yield
    except psycopg.OperationalError:
        raise NotReachable(
            "the case book ended the session, or did not answer in time", about=about,
            next_step="check the records database, then try again",
        ) from None  # fmt: skip


@contextmanager
def deed(conn: Conn, about: str) -> Iterator[Conn]:
    """One transaction. A driver's error becomes one of ours, without the row that it quotes."""
    try:
        with reaching(about), conn.transaction():
            yield conn
    except QuietusError:
        raise
    except psycopg.errors.UniqueViolation:
        raise Refused(
            "somebody else did the same at this moment", about=about, next_step="try again"
        ) from None
    except psycopg.Error as error:
        raise QuietusError(
            f"the case book refused the entry ({error.sqlstate})", about=about,
            next_step="give this code to whoever runs the case book",
        ) from None  # fmt: skip


def person(actor: str) -> str:
    """The user of an actor ``role/user``: the same person in another role is the same person."""
    return actor.partition("/")[2]


def checked_actor(actor: str) -> str:
    """The actor, if it names a role and a user and nobody's data. Raises Refused, without quoting it."""
    kind = kind_of_identifier(actor)
    if kind is not None or not _ACTOR.fullmatch(actor):
        what = f"holds {kind}" if kind else "is not of the form role/user"
        raise Refused(f"the actor {what}", about=LOG_IN, next_step="use a log-in name that is nobody's data")
    return actor


def checked_case_no(case_no: str) -> str:
    """The number, if it is one; anything else is refused and not quoted."""
    if not _CASE_NO.fullmatch(case_no):
        raise Refused("this is no case number", about="case book", next_step="give it as CASE-000001")
    return case_no


def case(conn: Conn, case_no: str, *, lock: bool = False) -> Case:
    """One case. ``lock``: until the end of the transaction. Raises Refused if there is none."""
    query = sql.SQL("SELECT * FROM casebook.case_ WHERE case_no = %s {}").format(
        sql.SQL("FOR UPDATE" if lock else "")
    )
    with conn.cursor(row_factory=class_row(Case)) as cursor:
        found = cursor.execute(query, (checked_case_no(case_no),)).fetchone()
    if found is None:
        raise Refused("there is no such case", about=case_no, next_step="see `quietus case list`")
    return found


def some(conn: Conn, case_nos: Sequence[str]) -> list[Case]:
    """These cases, in one statement."""
    with conn.cursor(row_factory=class_row(Case)) as cursor:
        cursor.execute("SELECT * FROM casebook.case_ WHERE case_no = ANY(%s)", (list(case_nos),))
        return cursor.fetchall()


def lock(conn: Conn, case_nos: Collection[str]) -> None:
    """Lock these cases, before anything is written about them, and in one order, as everywhere: what refers to a case
    takes a share of it, and two shares that both want the whole are a deadlock."""
    conn.execute(
        "SELECT FROM casebook.case_ WHERE case_no = ANY(%s) ORDER BY case_no FOR UPDATE", (list(case_nos),)
    )


def cases(conn: Conn, states: Sequence[CaseState] = (), *, limit: int = 200) -> list[Case]:
    """Cases, newest first; all states if none is named."""
    with conn.cursor(row_factory=class_row(Case)) as cursor:
        cursor.execute(
            "SELECT * FROM casebook.case_ WHERE %(all)s OR state = ANY(%(states)s) "
            "ORDER BY received_at DESC, case_no DESC LIMIT %(limit)s",
            {"all": not states, "states": [s.value for s in states], "limit": limit},
        )
        return cursor.fetchall()


_LATE = """
    WITH finished AS (  -- a cancellation is finished once, when it first comes to rest; what follows has dates of its own
        SELECT DISTINCT e.case_no FROM casebook.event e JOIN casebook.case_ c USING (case_no)
        WHERE c.closed_at IS NULL AND c.state IN ('assessing', 'acting') AND e.to_state IN ('waiting', 'held')
          AND e.unit_id IS NULL
    ), overdue AS (  -- the day after its last day an item goes; it may not survive that night
        SELECT DISTINCT case_no FROM casebook.unit
        WHERE state = 'restricted' AND hold IS NULL AND until < %(on)s - 1
        UNION
        SELECT e.case_no FROM casebook.event e JOIN finished USING (case_no) JOIN casebook.case_ c USING (case_no)
        WHERE c.state = 'acting' AND e.to_state = 'acting' AND e.unit_id IS NULL
        GROUP BY e.case_no HAVING max(e.as_of) < %(on)s - 1
    ), judged AS (
        SELECT c.case_no, c.reply_due, concat_ws(', ',
            CASE WHEN c.told_at IS NULL AND c.reply_due < %(on)s THEN 'the person has not been told' END,
            CASE WHEN c.finish_due < %(on)s AND c.state IN ('assessing', 'acting')
                  AND c.case_no NOT IN (SELECT case_no FROM finished) THEN 'the cancellation is not finished' END,
            CASE WHEN c.case_no IN (SELECT case_no FROM overdue) THEN 'items are past their date' END) AS why
        FROM casebook.case_ c WHERE c.closed_at IS NULL
    )
    SELECT case_no, why FROM judged WHERE why <> '' ORDER BY reply_due NULLS LAST, case_no"""


def why_late(conn: Conn, as_of: date) -> dict[str, str]:
    """Open cases past a date of ours, the oldest first, and what each is late with: it must be empty."""
    rows = conn.execute(_LATE, {"on": as_of}).fetchall()
    return {str(r["case_no"]): str(r["why"]) for r in rows}


def late(conn: Conn, as_of: date) -> list[Case]:
    """The same cases, in the same order."""
    order = list(why_late(conn, as_of))
    with conn.cursor(row_factory=class_row(Case)) as cursor:
        cursor.execute("SELECT * FROM casebook.case_ WHERE case_no = ANY(%s)", (order,))
        return sorted(cursor.fetchall(), key=lambda c: order.index(c.case_no))


def next_case_no(conn: Conn) -> str:
    """A new number; gaps mean nothing."""
    row = conn.execute("SELECT nextval('casebook.case_number') AS n").fetchone()
    assert row is not None  # noqa: S101  a SELECT without FROM returns one row
    return f"CASE-{row['n']:06d}"


def insert(
    conn: Conn, *, case_no: str, kind: str, ground: Ground, channel: Channel, requester: Requester,
    opened_by: str, received_at: datetime, as_of: date, key_id: str,
) -> Case:  # fmt: skip
    """A new case in its first state, by row 1 or 5 of section E, with its first event."""
    ours = kind == NIGHTLY
    first = CaseState.TRIGGERED if ours else CaseState.RECEIVED
    known = Facts(as_of=as_of, ground=ground, own_initiative=ours)
    transition = machine.move(None, first, known, about=case_no)
    conn.execute(
        "INSERT INTO casebook.case_ (case_no, kind, ground, channel, requester, opened_by,"
        " received_at, opened_on,"
        " state, key_id) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            case_no,
            kind,
            ground,
            channel,
            requester,
            checked_actor(opened_by),
            received_at,
            as_of,
            first,
            key_id,
        ),
    )
    note(conn, case_no, as_of, opened_by, "opened", to_state=first.value, law_row=transition.row,
         detail={"ground": ground.value, "channel": channel.value, "requester": requester.value})  # fmt: skip
    return case(conn, case_no)


def move(conn: Conn, case_no: str, to: CaseState, facts: Facts, actor: str, **detail: Any) -> Case:
    """Move a case if the machine lets it, and say so on the timeline. Already there: nothing happens."""
    now = case(conn, case_no, lock=True)
    if now.state is to:
        return now
    transition = machine.move(now.state, to, facts, about=case_no)
    conn.execute(
        "UPDATE casebook.case_ SET state = %(to)s,"
        " closed_at = CASE WHEN %(to)s = 'closed' THEN clock_timestamp() WHEN %(to)s = 'reopened' THEN NULL"
        " ELSE closed_at END WHERE case_no = %(no)s",
        {"to": to.value, "no": case_no},
    )
    if to in (CaseState.CLOSED, CaseState.REOPENED):
        conn.execute(
            "UPDATE casebook.case_subject SET open = %s WHERE case_no = %s",
            (to is CaseState.REOPENED, case_no),
        )
    note(conn, case_no, facts.as_of, actor, "moved", from_state=now.state.value, to_state=to.value,
         law_row=transition.row, detail=detail)  # fmt: skip
    return case(conn, case_no)


def note(
    conn: Conn, case_no: str, as_of: date, actor: str, what: str, *, unit_id: int | None = None,
    from_state: str | None = None, to_state: str | None = None, law_row: int | None = None,
    detail: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    """One event on the append-only timeline. ``detail`` holds counts, names and numbers only."""
    note_all(
        conn, [case_no], as_of, actor, what, unit_id=unit_id, from_state=from_state, to_state=to_state,
        law_row=law_row, detail=detail,
    )  # fmt: skip


def note_all(
    conn: Conn, case_nos: Sequence[str], as_of: date, actor: str, what: str, *, unit_id: int | None = None,
    from_state: str | None = None, to_state: str | None = None, law_row: int | None = None,
    detail: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    """The same event on the timelines of many cases, in one statement. ``unit_id``: whose it is, of one case alone."""
    conn.execute(
        "INSERT INTO casebook.event (case_no, unit_id, as_of, actor, what, from_state, to_state, law_row, detail)"
        " SELECT case_no, %s, %s, %s, %s, %s, %s, %s, %s FROM unnest(%s::text[]) AS c(case_no)",
        (
            unit_id,
            as_of,
            checked_actor(actor),
            what,
            from_state,
            to_state,
            law_row,
            Jsonb(detail or {}),
            list(case_nos),
        ),
    )


def timeline(conn: Conn, case_no: str, *, units: bool = False) -> Rows:
    """What happened, oldest first; the units' own moves only if asked for."""
    return conn.execute(
        "SELECT observed_at, as_of, actor, what, from_state, to_state, law_row, detail FROM casebook.event"
        " WHERE case_no = %s AND (%s OR unit_id IS NULL) ORDER BY event_id",
        (checked_case_no(case_no), units),
    ).fetchall()
