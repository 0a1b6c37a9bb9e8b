"""When a period ends: ISO 8601 durations under the Civil Code's counting, in pure Python.

This is the oracle for the SQL that the stores run set-based: both must name the same last day.
``last_day`` is the last day on which an item must stay (a floor) or may stay (a ceiling); what is due
goes the day after. Civil Code 201: the day of the event is not counted. Civil Code 202 and its
interpretation: a period in months or years ends on the corresponding day, or on the month's last day
if there is none, which is also what ``date + interval`` does in PostgreSQL. Weeks and days are added
after years and months.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from include.cases.workdays import DEFAULT, Workdays
from include.model.errors import CatalogueError
from include.model.times import Counting, prc_date

_FORM = re.compile(
    r"^P(?=.)(?:(?P<y>\d+)Y)?(?:(?P<mo>\d+)M)?(?:(?P<w>\d+)W)?(?:(?P<d>\d+)D)?"
    r"(?:T(?=.)(?:(?P<h>\d+)H)?(?:(?P<mi>\d+)M)?)?$"
)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Duration:
    """A parsed duration: calendar months, days, and a rest in minutes."""

    months: int
    days: int
    minutes: int

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Parse ``P5Y``, ``P15D``, ``PT24H`` and the like. Raises CatalogueError."""
        found = _FORM.match(text)
        if not found:
            raise CatalogueError(
                f"'{text}' is no ISO 8601 period", next_step="write it like P5Y, P6M, P15D or PT24H"
            )
        n = {name: int(value or 0) for name, value in found.groupdict().items()}
        return cls(n["y"] * 12 + n["mo"], n["w"] * 7 + n["d"], n["h"] * 60 + n["mi"])


def last_day(
    start: date | datetime,
    duration: str,
    counting: Counting = Counting.CALENDAR,
    workdays: Workdays = DEFAULT,
) -> date:
    """The last day of a period that ``start`` sets off.

    ``start`` is a PRC date, or an aware moment; a part of a day counts from the moment, and as a whole
    day if only the date is known. Raises CatalogueError for a period that its counting cannot count.
    """
    parsed = Duration.parse(duration)
    moment = start if isinstance(start, datetime) else None
    day = prc_date(start) if isinstance(start, datetime) else start
    if counting is Counting.PRC_WORKING_DAYS:
        if parsed.months or parsed.minutes:
            raise CatalogueError(
                f"'{duration}' cannot be counted in working days", next_step="use days, as P15D"
            )
        return workdays.after(day, parsed.days).day
    if counting is Counting.FISCAL_YEARS:
        if parsed.days or parsed.minutes:
            raise CatalogueError(
                f"'{duration}' cannot be counted in fiscal years", next_step="use years, as P10Y"
            )
        return add_months(date(day.year, 12, 31), parsed.months)
    end = add_months(day, parsed.months) + parsed.days * DAY
    if not parsed.minutes:
        return end
    if moment is not None:
        shifted = prc_date(moment + timedelta(minutes=parsed.minutes))
        return end + (shifted - day)
    return end + -(-parsed.minutes // (24 * 60)) * DAY


def add_months(day: date, months: int) -> date:
    """The corresponding day so many months on, or the last day of that month."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
