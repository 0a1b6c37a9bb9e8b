"""The book of nights: what each found, what was expected of it, and how the estate stood when it had ended.

A night whose size is out of line with its own forecast and with the nights before it stops for a person's word before anything is
disposed of (:func:`needs_word`). So does the first one, which has a backlog of years: it may be given so many items a night.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from statistics import median
from typing import Literal

from psycopg.rows import class_row

from include.cases.book import Conn, checked_actor
from include.cases.retention.due import Row

Schedule = Literal["days", "hours"]

UNFINISHED, STAYED, STRAYS = "-", "=", "?"
"""In the place of a rule: that a dataset could not be asked, or not finished; what of it was come to and stays, by the count of
receipts; what of it leads to nobody, so that no rule is known."""

USUAL = 14  # nights that a night is compared with
SHARE = 3  # times what was forecast, or what is usual, that go without asking
FEW = 200  # items that go without asking, whatever was expected


@dataclass(frozen=True)
class Night:
    """One row of ``casebook.night``."""

    night_id: int
    case_no: str | None
    schedule: Schedule
    as_of: date
    at: datetime | None
    began_at: datetime
    due: int
    held: int
    expected: int | None
    needs_word: str | None
    approved_by: str | None
    budget: int | None
    gone: int | None
    remaining: int | None
    overdue: int | None
    late: int | None
    tomorrow: int | None
    ended_at: datetime | None
    foreseen: date | None = None

    @property
    def about(self) -> str:
        return self.case_no or f"night of {self.as_of}"

    @property
    def waits_for_a_person(self) -> bool:
        return self.needs_word is not None and self.approved_by is None


def needs_word(due: int, expected: int | None, before: Sequence[int]) -> str | None:
    """Why a night of this size waits for a person's word; None if it does not. ``before``: what nights before it let go."""
    if due <= FEW:
        return None
    if expected is None and not before:
        return f"{due} items are due and no night was before this one: it is a backlog"
    usual = max([*([expected] if expected is not None else []), *([median(before)] if before else [])])
    if due <= SHARE * usual:
        return None
    said = f"{expected} were forecast" if expected is not None else "nothing was forecast"
    return (
        f"{due} items are due; {said}, and nights before it let {round(median(before)) if before else 0} go"
    )


def begin(
    conn: Conn, case_no: str | None, schedule: Schedule, as_of: date, at: datetime | None, rows: Sequence[Row],
    late: int | None,
) -> Night:  # fmt: skip
    """Write down what a night found."""
    due = sum(r.due for r in rows)
    before = _before(conn, schedule)
    expected = _expected(conn, schedule, as_of)
    made = conn.execute(
        "INSERT INTO casebook.night (case_no, schedule, as_of, at, due, held, expected, needs_word, late)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING night_id",
        (case_no, schedule, as_of, at, due, sum(r.held for r in rows), expected,
         needs_word(due, expected, before), late),
    ).fetchone()  # fmt: skip
    assert made is not None  # noqa: S101  RETURNING gives the row that was inserted
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO casebook.night_line (night_id, rule, dataset, due, overdue, oldest, held)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [(made["night_id"], r.rule, r.dataset, r.due, r.overdue, r.oldest, r.held) for r in rows],
        )
    return of_id(conn, made["night_id"])


def _before(conn: Conn, schedule: Schedule) -> list[int]:
    rows = conn.execute(
        "SELECT gone FROM casebook.night WHERE schedule = %s AND gone > 0 ORDER BY night_id DESC LIMIT %s",
        (schedule, USUAL),
    ).fetchall()
    return [row["gone"] for row in rows]


def _expected(conn: Conn, schedule: Schedule, as_of: date) -> int | None:
    """What the last night that ended forecast for the day after it, with what it left; nothing, if a night was missed since."""
    row = conn.execute(
        "SELECT tomorrow FROM casebook.night WHERE schedule = %s AND tomorrow IS NOT NULL AND as_of IN (%s::date, %s::date - 1)"
        " ORDER BY night_id DESC LIMIT 1",
        (schedule, as_of, as_of),
    ).fetchone()
    return None if row is None else row["tomorrow"]


def of_id(conn: Conn, night_id: int) -> Night:
    with conn.cursor(row_factory=class_row(Night)) as cursor:
        found = cursor.execute("SELECT * FROM casebook.night WHERE night_id = %s", (night_id,)).fetchone()
    assert found is not None  # noqa: S101  its number was just given
    return found


def of_case(conn: Conn, case_no: str) -> Night | None:
    with conn.cursor(row_factory=class_row(Night)) as cursor:
        return cursor.execute("SELECT * FROM casebook.night WHERE case_no = %s", (case_no,)).fetchone()


def under_way(conn: Conn, schedule: Schedule) -> Night | None:
    """The night of this schedule that was begun and has not ended."""
    with conn.cursor(row_factory=class_row(Night)) as cursor:
        return cursor.execute(
            "SELECT * FROM casebook.night WHERE schedule = %s AND ended_at IS NULL ORDER BY night_id LIMIT 1",
            (schedule,),
        ).fetchone()


def approve(conn: Conn, night: Night, actor: str, budget: int | None) -> None:
    """A person's word that a night may go on, with at most ``budget`` items of it tonight."""
    conn.execute(
        "UPDATE casebook.night SET approved_by = %s, budget = %s WHERE night_id = %s AND approved_by IS NULL",
        (checked_actor(actor), budget, night.night_id),
    )


def tell(
    conn: Conn, night: Night, rule: str, dataset: str, *, gone: int = 0, needed: int = 0, why_left: str | None = None
) -> None:  # fmt: skip
    """What became of one rule's items of a dataset; said again, it replaces what was said."""
    conn.execute(
        "INSERT INTO casebook.night_line (night_id, rule, dataset, due, overdue, held, gone, needed, why_left)"
        " VALUES (%s, %s, %s, 0, 0, 0, %s, %s, %s) ON CONFLICT (night_id, rule, dataset)"
        " DO UPDATE SET gone = excluded.gone, needed = excluded.needed, why_left = excluded.why_left",
        (night.night_id, rule, dataset, gone, needed, why_left),
    )


def finished(conn: Conn, night: Night, datasets: Sequence[str]) -> None:
    """These datasets were finished: why they had been left, by a try before this one, is true no more."""
    conn.execute(
        "UPDATE casebook.night_line SET why_left = NULL, needed = 0"
        " WHERE night_id = %s AND rule = %s AND dataset = ANY(%s)",
        (night.night_id, UNFINISHED, list(datasets)),
    )


def end(
    conn: Conn, night: Night, *, gone: int, remaining: int, overdue: int, tomorrow: int | None
) -> Night:  # fmt: skip
    """How the estate stands after the night, and what is forecast for the next."""
    conn.execute(
        "UPDATE casebook.night SET gone = %s, remaining = %s, overdue = %s, tomorrow = %s,"
        " ended_at = coalesce(ended_at, clock_timestamp()) WHERE night_id = %s",
        (gone, remaining, overdue, tomorrow, night.night_id),
    )
    return of_id(conn, night.night_id)


def latest(conn: Conn, schedule: Schedule | None = None, limit: int = 30) -> list[Night]:
    """The last nights, newest first."""
    with conn.cursor(row_factory=class_row(Night)) as cursor:
        return cursor.execute(
            "SELECT * FROM casebook.night WHERE %(schedule)s::text IS NULL OR schedule = %(schedule)s"
            " ORDER BY night_id DESC LIMIT %(limit)s",
            {"schedule": schedule, "limit": limit},
        ).fetchall()
