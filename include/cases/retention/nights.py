"""The book of nights: what each found, what was expected of it, and how the estate stood when it had ended.

A night whose size is out of line with its own forecast and with the nights before it stops for a person's word before anything is
disposed of (:mod:`include.cases.retention.breaker`), when it was looked at and again when it was located. So does the first one,
which has a backlog of years: it may be given so many items that night.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from include.cases.book import Conn, checked_actor
from include.cases.retention.breaker import Items, more_than, out_of_line, usual
from include.cases.retention.due import Row
from include.model.errors import Refused

Schedule = Literal["days", "hours"]

UNFINISHED, STAYED, STRAYS, SHORT = "-", "=", "?", "<"
"""In the place of a rule: that a dataset could not be asked, or not finished; what of it was come to and stays, by the count of
receipts; what of it leads to nobody, so that no rule is known; that far less of it was due than forecast."""


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
    expects: Items | None = None
    asked: Items | None = None
    catalogue: str | None = None
    backlog: str | None = None
    under: Items | None = None
    staged: Items | None = None
    planned: int | None = None

    @property
    def about(self) -> str:
        return self.case_no or f"night of {self.as_of}"

    @property
    def unplanned(self) -> int | None:
        """What was overdue when it had ended and no plan of stages covers: the one number."""
        return None if self.overdue is None else self.overdue - (self.planned or 0)

    @property
    def waits_for_a_person(self) -> bool:
        return self.needs_word is not None and self.approved_by is None


def begin(
    conn: Conn, case_no: str | None, schedule: Schedule, as_of: date, at: datetime | None, rows: Sequence[Row],
    late: int | None, catalogue: str | None = None, *, backlog: str | None = None, under: Items | None = None,
) -> Night:  # fmt: skip
    """Write down what a night found, and whether that needs a person's word. ``catalogue``: digest of the one that judged.
    ``backlog``: the plan of stages that it obeys, and what of this that covers (``under``), about which nobody is asked."""
    found = Counter[str]()
    for r in rows:
        found[r.dataset] += r.due
    why = out_of_line(judged := beyond(found, under), usual(conn, schedule, as_of, at))
    made = conn.execute(
        "INSERT INTO casebook.night (case_no, schedule, as_of, at, due, held, expected, needs_word, late, asked, catalogue,"
        " backlog, under) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING night_id",
        (case_no, schedule, as_of, at, found.total(), sum(r.held for r in rows), _expected(conn, schedule, as_of),
         why, late, Jsonb(judged) if why else None, catalogue, backlog,
         _json(under)),
    ).fetchone()  # fmt: skip
    assert made is not None  # noqa: S101  RETURNING gives the row that was inserted
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO casebook.night_line (night_id, rule, dataset, due, overdue, oldest, held)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [(made["night_id"], r.rule, r.dataset, r.due, r.overdue, r.oldest, r.held) for r in rows],
        )
    return of_id(conn, made["night_id"])


def beyond(found: Items, under: Items | None) -> Counter[str]:
    """What is due besides what a plan of stages covers."""
    return Counter({d: max(0, n - (under or {}).get(d, 0)) for d, n in found.items()})


def found_by(conn: Conn, night: Night) -> Counter[str]:
    """What was due of each dataset when the night began."""
    found = Counter[str]()
    for row in rows_of(conn, night):
        found[row.dataset] += row.due
    return found


def rows_of(conn: Conn, night: Night) -> list[Row]:
    """What a night found when it began, by rule and dataset."""
    rows = conn.execute(
        "SELECT rule, dataset, due, overdue, oldest, held, '' AS basis FROM casebook.night_line WHERE night_id = %s",
        (night.night_id,),
    ).fetchall()
    return [Row(**row) for row in rows]


def obey(conn: Conn, night: Night, plan: str, under: Items) -> None:
    """A plan of stages was approved while the night waited: it obeys that, and what it found besides is judged anew."""
    found = beyond(found_by(conn, night), under)
    why = out_of_line(found, usual(conn, night.schedule, night.as_of, night.at))
    conn.execute(
        "UPDATE casebook.night SET backlog = %s, under = %s, needs_word = %s, asked = %s WHERE night_id = %s",
        (plan, Jsonb(dict(under)), why, Jsonb(found) if why else None, night.night_id),
    )


def judge(conn: Conn, night: Night, found: Items, catalogue: str) -> str | None:
    """Judge a night anew by what is really to go of each dataset: why it stops for a person's word, again if it had one; None, if
    it is in line, or no more than a person was shown who let it go, under the same catalogue."""
    found = beyond(found, night.under)
    why = out_of_line(found, usual(conn, night.schedule, night.as_of, night.at))
    if why is not None and night.approved_by is not None:
        if night.catalogue != catalogue:
            why = f"{night.approved_by} let it go on under another catalogue; by now {why}"
        elif more_than(night.asked or {}, found):
            shown = sum((night.asked or {}).values())
            why = f"{night.approved_by} let it go on when {shown} items were due; by now {why}"
        else:
            why = None
    elif why is not None and night.needs_word is None:
        why = f"{night.due} items were due when it began; by now {why}"
    if why is None:
        conn.execute(
            "UPDATE casebook.night SET catalogue = %s WHERE night_id = %s", (catalogue, night.night_id)
        )
    else:
        conn.execute(
            "UPDATE casebook.night SET needs_word = %s, approved_by = NULL, budget = NULL, asked = %s, catalogue = %s"
            " WHERE night_id = %s",
            (why, Jsonb(dict(found)), catalogue, night.night_id),
        )
    return why


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


def approve(conn: Conn, night: Night, actor: str, budget: int | None) -> bool:
    """A person's word that a night may go on, with at most ``budget`` items of it tonight; whether it was the first."""
    return bool(
        conn.execute(
            "UPDATE casebook.night SET approved_by = %s, budget = %s WHERE night_id = %s AND approved_by IS NULL"
            " AND needs_word IS NOT NULL AND ended_at IS NULL",
            (checked_actor(actor), budget, night.night_id),
        ).rowcount
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
    conn: Conn, night: Night, *, gone: int, remaining: int, overdue: int, tomorrow: int | None,
    expects: Items | None = None, staged: Items | None = None, planned: int | None = None,
) -> Night:  # fmt: skip
    """How the estate stands after the night, and what is forecast for the next. ``expects``: of that, by dataset, what needs
    nobody's word when it comes: all but what a stage left. ``staged``: what went of a plan's; ``planned``: of what is overdue,
    what that plan covers."""
    conn.execute(
        "UPDATE casebook.night SET gone = %s, remaining = %s, overdue = %s, tomorrow = %s, expects = %s, staged = %s,"
        " planned = %s, ended_at = coalesce(ended_at, clock_timestamp()) WHERE night_id = %s",
        (gone, remaining, overdue, tomorrow, _json(expects), _json(staged), planned, night.night_id),
    )
    return of_id(conn, night.night_id)


def _json(items: Items | None) -> Jsonb | None:
    return None if items is None else Jsonb(dict(items))


def latest(conn: Conn, schedule: Schedule | None = None, limit: int = 30) -> list[Night]:
    """The last nights, newest first."""
    with conn.cursor(row_factory=class_row(Night)) as cursor:
        return cursor.execute(
            "SELECT * FROM casebook.night WHERE %(schedule)s::text IS NULL OR schedule = %(schedule)s"
            " ORDER BY night_id DESC LIMIT %(limit)s",
            {"schedule": schedule, "limit": limit},
        ).fetchall()


def night_of(conn: Conn, case_no: str) -> Night:
    """The night of a case. Raises Refused if it is another kind of case."""
    night = of_case(conn, case_no)
    if night is None:
        raise Refused("it is no night's case", about=case_no, next_step="see `quietus case show`")
    return night


def besides(conn: Conn, night: Night) -> Counter[str]:
    """Of each dataset, what is to go whatever a plan of stages covers: what fell due since, or what a person was shown."""
    due_since = beyond(found_by(conn, night), night.under)
    return due_since | Counter(dict(night.asked or {})) if night.approved_by else due_since
