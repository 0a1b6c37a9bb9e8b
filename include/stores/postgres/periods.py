"""When a floor ends, as a SQL expression. The tests hold it to ``include.cases.periods``, in Python.

Civil Code 201: the day of the event is not counted, so what starts on 2021-03-05 for five years must stay
through 2026-03-05. Months end on the corresponding day or the month's last (Civil Code 202), which is what
``date + interval`` does. Dates are PRC dates: a fixed +08:00, no tz database.
"""

from __future__ import annotations

import re

from psycopg import sql

from include.model.errors import CatalogueError
from include.model.flow import Floor
from include.model.times import Counting

_PERIOD = re.compile(r"P(?=.)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?)?")
MOMENTS = {"timestamptz": "timestamptz", "timestamp": "timestamp", "date": "date"}


EARLIEST, LATEST = "0002-01-01", "9000-01-01"
"""From when and until before when a date can be read: Python's calendar ends with the year 9999, and a period is added to it."""


def readable(started: sql.Composable, kind: str) -> sql.Composed:
    """The same date or time; null, if it is infinite or no calendar counts on it. ``started`` is computed once, and no error
    comes of what is done with it."""
    return sql.SQL(
        "nullif(least(nullif(greatest({x}, {low}::{k}), {low}::{k}), {high}::{k}), {high}::{k})"
    ).format(x=started, low=sql.Literal(EARLIEST), high=sql.Literal(LATEST), k=sql.SQL(MOMENTS[kind]))


def prc_day(started: sql.Composable, kind: str) -> sql.Composed:
    """The PRC date of a date, a timestamptz, or a timestamp (which is taken as PRC wall time); null, if it cannot be read."""
    started = readable(started, kind)
    if kind == "timestamptz":
        return sql.SQL("({} AT TIME ZONE INTERVAL '8 hours')::date").format(started)
    return sql.SQL("{}::date").format(started)


def until(floor: Floor, started: sql.Composable, kind: str) -> sql.Composed:
    """The last day an item must stay, as a date expression over ``started`` of that type; null in, null out.

    Raises CatalogueError for a period that SQL is not trusted to count.
    """
    about = f"{floor.rule}/{floor.period}"
    if kind not in MOMENTS:
        raise CatalogueError(
            f"its starting point is of type {kind}, which is no date or time",
            about=about,
            next_step="name a date or timestamp column, or write a starting-point query",
        )
    found = _PERIOD.fullmatch(floor.duration)
    if found is None:
        raise CatalogueError(f"'{floor.duration}' is no ISO 8601 period", about=about)
    years, months, weeks, days, hours, minutes = (int(n or 0) for n in found.groups())
    day = prc_day(started, kind)
    if floor.counting is Counting.PRC_WORKING_DAYS:
        raise CatalogueError(
            "a floor in working days needs the State Council's calendar, which the database does not have",
            about=about,
            next_step="count the floor in calendar days",
        )
    if floor.counting is Counting.FISCAL_YEARS:
        if weeks or days or hours or minutes:
            raise CatalogueError(
                f"'{floor.duration}' cannot be counted in fiscal years",
                about=about,
                next_step="use years, as P10Y",
            )
        day = sql.SQL("make_date(extract(year FROM {})::int, 12, 31)").format(day)
    # Months first, then days: one interval does both, in this order.
    end = sql.SQL("({} + make_interval(months => {}, days => {}))::date").format(
        day, sql.Literal(years * 12 + months), sql.Literal(weeks * 7 + days)
    )
    rest = hours * 60 + minutes
    if not rest:
        return end
    if kind == "date":
        return sql.SQL("({} + {})").format(end, sql.Literal(-(-rest // (24 * 60))))
    later = prc_day(
        sql.SQL("({} + make_interval(mins => {}))").format(readable(started, kind), sql.Literal(rest)), kind
    )
    return sql.SQL("({} + ({} - {}))").format(end, later, day)
