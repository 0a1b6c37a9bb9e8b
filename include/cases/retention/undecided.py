"""What a night leaves to a person: items over which two laws collide, and items that no rule speaks of. Never guessed, and never
disposed of. The first night that sees one says so, once, and is red; it stands in the book, and on the page, until none does.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

from psycopg.rows import class_row

from include.cases.book import Conn
from include.cases.retention.nights import Night
from include.model.flow import Finding
from include.model.interval import DECIDE

CONFLICT, NO_RULE = "empty_interval", "no_rule"
NOTED = {CONFLICT: "laws collide", NO_RULE: "no rule speaks"}
"""What the timeline of a night's case calls it."""
NEXT = {CONFLICT: DECIDE, NO_RULE: "bind a rule that reaches them, or let a starting point return them"}


@dataclass(frozen=True)
class Undecided:
    """``what``: the two rules that collide, with their laws, or that there is none."""

    code: str
    dataset: str
    what: str
    items: int
    first_night: int
    since: date  # the day of the night that saw it first

    def __str__(self) -> str:
        return f"{self.dataset}: {self.items} items wait for a decision: {self.what}. Next: {NEXT[self.code]}"


def keep(conn: Conn, night: Night, found: Sequence[Finding], unasked: Collection[str]) -> list[Undecided]:
    """Write down what a night sees; what no night saw before. What it does not see any more is settled, if it could be asked."""
    for it in found:
        conn.execute(
            "INSERT INTO casebook.undecided (code, dataset, what, items, first_night, last_night)"
            " VALUES (%(code)s, %(dataset)s, %(what)s, %(items)s, %(night)s, %(night)s)"
            " ON CONFLICT (code, dataset, what) WHERE settled_night IS NULL"
            " DO UPDATE SET items = excluded.items, last_night = excluded.last_night",
            {"code": it.code, "dataset": it.dataset, "what": it.what, "items": it.items, "night": night.night_id},
        )  # fmt: skip
    conn.execute(
        "UPDATE casebook.undecided SET settled_night = %(night)s WHERE settled_night IS NULL AND last_night <> %(night)s"
        " AND dataset <> ALL(%(unasked)s)",
        {"night": night.night_id, "unasked": list(unasked)},
    )
    return new_of(conn, night.night_id)


def new_of(conn: Conn, night_id: int) -> list[Undecided]:
    """What a night was the first to see."""
    return _read(conn, night_id)


def open_now(conn: Conn) -> list[Undecided]:
    """What waits for a decision, the oldest first."""
    return _read(conn)


def _read(conn: Conn, night_id: int | None = None) -> list[Undecided]:
    with conn.cursor(row_factory=class_row(Undecided)) as cursor:
        return cursor.execute(
            "SELECT u.code, u.dataset, u.what, u.items, u.first_night, n.as_of AS since FROM casebook.undecided u"
            " JOIN casebook.night n ON n.night_id = u.first_night WHERE CASE WHEN %(night)s::bigint IS NULL"
            " THEN u.settled_night IS NULL ELSE u.first_night = %(night)s END ORDER BY u.undecided_id",
            {"night": night_id},
        ).fetchall()
