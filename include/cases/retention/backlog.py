"""Plans of stages: a backlog that two persons let go at so many items a night, until it is burnt down or a day has come.

One plan at a time. It covers, of each dataset, as many items as were due when it was proposed; what falls due since goes
besides, the same night, and is judged as ever. Nights obey it by themselves: they ask nobody about what it covers, take no more
of that than its rate, and count what it leaves apart from what is overdue without a plan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from include.cases import book
from include.cases.book import Conn
from include.cases.retention.breaker import Items
from include.cases.retention.due import Row
from include.cases.retention.forecast import burn_down
from include.cases.retention.seen import look
from include.cases.rooms import Desk
from include.model.errors import NotReachable, Refused

KIND = "backlog"
"""Of the ledger's entries: that such a plan was proposed, approved, or withdrawn."""
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Backlog:
    """One row of ``casebook.backlog_plan``. ``counted``: of each dataset, what was due when it was proposed; ``remaining``: of
    that, what was there when a night had ended last."""

    number: str
    counted_on: date
    rate: int
    until: date
    counted: Items
    remaining: Items
    catalogue: str
    proposed_by: str
    proposed_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    ended: str | None
    ended_by: str | None
    ended_why: str | None
    ended_at: datetime | None

    def covers(self, as_of: date) -> bool:
        """Whether nights of this day obey it."""
        return self.approved_by is not None and self.ended is None and as_of <= self.until

    def state(self, as_of: date) -> str:
        """Where it stands, in words."""
        if self.ended is not None:
            return self.ended
        if as_of > self.until:
            return "over, and not burnt down"
        return "in force" if self.approved_by else "proposed"

    def under(self, rows: Iterable[Row]) -> dict[str, int]:
        """Of what is overdue by dataset, how much it covers: what is overdue beyond that is not."""
        overdue = Counter[str]()
        for row in rows:
            overdue[row.dataset] += row.overdue
        return {d: n for d, left in self.remaining.items() if (n := min(left, overdue[d]))}


def propose(
    desk: Desk, *, rate: int, until: date | None = None, as_of: date, actor: str
) -> Backlog:  # fmt: skip
    """Count what is due now, and propose to let it go at so many items a night. Raises Refused if nothing is, if another plan is
    open, or if it would not be burnt down in time; NotReachable if a dataset could not be asked."""
    seen = look(desk, as_of)
    if seen.unverified:
        raise NotReachable(
            f"{len(seen.unverified)} datasets could not be asked, so the backlog is not counted",
            about=sorted(seen.unverified)[0],
            next_step="see `quietus retention due`, mend that, and propose again",
        )  # fmt: skip
    counted = Counter[str]()
    for row in seen.rows:
        counted[row.dataset] += row.due
    nights = burn_down(counted.total(), rate) or 0
    if not nights:
        raise Refused(
            "nothing is due, so there is no backlog", about="backlog", next_step="nothing is to be done"
        )
    until = until or as_of + nights * DAY
    if (until - as_of).days < nights:
        raise Refused(
            f"{counted.total()} items at {rate} a night take {nights} nights, until {as_of + nights * DAY}", about="backlog",
            next_step="give a later day, or a higher rate",
        )  # fmt: skip
    with desk.book() as conn, book.deed(conn, "backlog"):
        said = conn.execute(
            "INSERT INTO casebook.backlog_plan (number, counted_on, rate, until, counted, remaining, catalogue, proposed_by)"
            " VALUES ('BP-' || lpad(nextval('casebook.backlog_number')::text, 6, '0'), %s, %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT DO NOTHING RETURNING number",
            (as_of, rate, until, Jsonb(+counted), Jsonb(+counted), desk.catalogue.digest, book.checked_actor(actor)),
        ).fetchone()  # fmt: skip
        if said is None:
            raise Refused(
                "a plan is open already: there is one at a time", about="backlog",
                next_step="let it burn down, or end it with `quietus retention backlog withdraw`",
            )  # fmt: skip
        made = of_number(conn, said["number"])
    _say(desk, made, "proposed", actor)
    return made


def approve(desk: Desk, number: str, *, as_of: date, actor: str) -> Backlog:
    """The word of another person than who proposed it: the next night obeys it. The same word again says nothing new."""
    with desk.book() as conn, book.deed(conn, "backlog"):
        plan = of_number(conn, number, lock=True)
        _is_open(plan, as_of)
        if plan.approved_by == actor:
            return plan
        if plan.approved_by is not None:
            raise Refused(
                f"{plan.approved_by} approved it already", about=number,
                next_step="the next night obeys it; to end it, `quietus retention backlog withdraw`",
            )  # fmt: skip
        if book.person(plan.proposed_by) == book.person(book.checked_actor(actor)):
            raise Refused(
                "who proposed it does not approve it", about=number,
                next_step="have another person read `quietus retention backlog show`, and approve it",
            )  # fmt: skip
        conn.execute(
            "UPDATE casebook.backlog_plan SET approved_by = %s, approved_at = clock_timestamp() WHERE number = %s",
            (actor, number),
        )
        plan = of_number(conn, number)
    _say(desk, plan, "approved", actor)
    return plan


def withdraw(desk: Desk, number: str, why: str, *, actor: str) -> Backlog:
    """End a plan, approved or not: what it left is overdue, and the next night asks a person again."""
    if not why.strip():
        raise Refused(
            "a withdrawal needs a reason", about=number, next_step="say why, without naming anybody"
        )
    with desk.book() as conn, book.deed(conn, "backlog"):
        plan = of_number(conn, number, lock=True)
        if plan.ended is not None:
            raise Refused(f"it is {plan.ended} already", about=number, next_step="nothing is to be done")
        _end(conn, number, "withdrawn", book.checked_actor(actor), why)
        plan = of_number(conn, number)
    _say(desk, plan, "withdrawn", actor)
    return plan


# --- of the book ------------------------------------------------------------------------------------


def of_number(conn: Conn, number: str, *, lock: bool = False) -> Backlog:
    """One plan. Raises Refused if there is none of that number."""
    if lock:
        conn.execute("SELECT FROM casebook.backlog_plan WHERE number = %s FOR UPDATE", (number,))
    with conn.cursor(row_factory=class_row(Backlog)) as cursor:
        found = cursor.execute("SELECT * FROM casebook.backlog_plan WHERE number = %s", (number,)).fetchone()
    if found is None:
        raise Refused(
            "there is no such plan", about="backlog", next_step="see `quietus retention backlog show`"
        )
    return found


def plans(conn: Conn) -> list[Backlog]:
    """All of them, the newest first."""
    with conn.cursor(row_factory=class_row(Backlog)) as cursor:
        return cursor.execute("SELECT * FROM casebook.backlog_plan ORDER BY number DESC").fetchall()


def in_force(conn: Conn, as_of: date) -> Backlog | None:
    """The plan that nights of a day obey."""
    return next((p for p in plans(conn) if p.covers(as_of)), None)


def burnt(conn: Conn, number: str, remaining: Mapping[str, int], actor: str) -> None:
    """What of a plan is there when a night has ended; with nothing left, it has ended, too."""
    conn.execute(
        "UPDATE casebook.backlog_plan SET remaining = %s WHERE number = %s AND ended IS NULL",
        (Jsonb(dict(remaining)), number),
    )
    if not any(remaining.values()):
        _end(conn, number, "burnt down", actor, None)


def _end(conn: Conn, number: str, how: str, actor: str, why: str | None) -> None:
    conn.execute(
        "UPDATE casebook.backlog_plan SET ended = %s, ended_by = %s, ended_why = %s, ended_at = clock_timestamp()"
        " WHERE number = %s AND ended IS NULL",
        (how, actor, why, number),
    )


def _is_open(plan: Backlog, as_of: date) -> None:
    if plan.ended is not None or as_of > plan.until:
        raise Refused(
            f"it is {plan.ended}" if plan.ended else f"it was to last until {plan.until}", about=plan.number,
            next_step="withdraw it if it is open, and propose another: `quietus retention backlog propose`",
        )  # fmt: skip


def _say(desk: Desk, plan: Backlog, what: str, actor: str) -> None:
    body = {
        "number": plan.number, "what": what, "actor": actor, "rate": plan.rate, "counted_on": plan.counted_on.isoformat(),
        "until": plan.until.isoformat(), "items": sum(plan.counted.values()), "remaining": sum(plan.remaining.values()),
        "catalogue": plan.catalogue,
    }  # fmt: skip
    desk.record(KIND, None, body, f"{KIND}:{plan.number}:{what}")
