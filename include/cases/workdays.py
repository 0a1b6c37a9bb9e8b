"""PRC working days: weekends, statutory holidays, and the Saturdays and Sundays that make up for them.

Which days are made up is announced by the State Council late in the year before. So a day has three
possible answers: known working, known off, and *provisional*. In a provisional year a deadline is taken at
the earliest day on which it could fall, for a company that acts too early has broken nothing.

Sources in order: ``prc_holidays.yaml`` (the notice itself), then chinesecalendar, cross-checked with
``holidays``. A day on which the two libraries disagree is provisional too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import chinese_calendar
import holidays
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from include.model.errors import CatalogueError

OVERRIDES = Path(__file__).with_name("prc_holidays.yaml")
DAY = timedelta(days=1)
SATURDAY = 5
# How far from a holiday a make-up day has ever been announced (2008-2026).
MAKE_UP_REACH = 10


@dataclass(frozen=True)
class Year:
    """One year's notice: weekdays off, and weekend days worked."""

    rest: frozenset[date]
    work: frozenset[date]
    notice: str


@dataclass(frozen=True)
class Due:
    """A deadline, and whether it stands on days that nobody has announced yet."""

    day: date
    provisional: bool
    why: str = ""


@dataclass(frozen=True)
class Workdays:
    """The calendar. ``years`` are notices that override the libraries."""

    years: Mapping[int, Year] = field(default_factory=dict)

    def known(self, day: date) -> bool | None:
        """Whether the day is worked, or None if nobody can say yet."""
        if (year := self.years.get(day.year)) is not None:
            if day in year.work:
                return True
            return day.weekday() < SATURDAY and day not in year.rest
        return _announced(day)

    def may_be_worked(self, day: date) -> bool:
        """Whether the day is worked or, where that is open, could yet turn out to be.

        A statutory holiday itself is fixed by regulation. A weekday may become a bridge day off, but
        is counted; a weekend day near a holiday may become a make-up day, and is counted too.
        """
        known = self.known(day)
        if known is not None:
            return known
        if day in _statutory(day.year):
            return False
        return day.weekday() < SATURDAY or _near_holiday(day)

    def after(self, day: date, count: int) -> Due:
        """The ``count``-th working day after ``day``, which is not counted (Civil Code 201)."""
        provisional = False
        here = day
        while count > 0:
            here += DAY
            provisional = provisional or self.known(here) is None
            count -= self.may_be_worked(here)
        return self._due(here, provisional)

    def moved_on(self, day: date) -> Due:
        """``day`` or, if it is a day off, the next working day (Civil Code 203)."""
        here = day
        provisional = self.known(here) is None
        while not self.may_be_worked(here):
            here += DAY
            provisional = provisional or self.known(here) is None
        return self._due(here, provisional)

    @staticmethod
    def _due(day: date, provisional: bool) -> Due:
        why = (
            f"the days off of {day.year} are not announced in full; the earliest possible day is taken"
            if provisional
            else ""
        )
        return Due(day, provisional, why)


@lru_cache(maxsize=64)
def _library_year(year: int) -> tuple[frozenset[date], frozenset[date]]:
    """(days off, weekend days worked) of one year by the second library."""
    found = holidays.country_holidays("CN", years=year)
    worked: set[date] = set(getattr(found, "weekend_workdays", set()))
    return frozenset(found), frozenset(d for d in worked if d.year == year)


@lru_cache(maxsize=65_536)
def _announced(day: date) -> bool | None:
    """Whether the day is worked, where both libraries say the same. Kept: one of them goes through all its years for each day,
    and a look at an estate asks about the same days for every group of items."""
    try:
        first = bool(chinese_calendar.is_workday(day))
    except NotImplementedError:
        return None
    return first if first is _second_opinion(day) else None


def _second_opinion(day: date) -> bool:
    off, worked = _library_year(day.year)
    return day in worked or (day.weekday() < SATURDAY and day not in off)


@lru_cache(maxsize=64)
def _statutory(year: int) -> frozenset[date]:
    """The holidays themselves, without bridge days and substitutes, which only a notice fixes."""
    found = holidays.country_holidays("CN", years=year, observed=False)
    return frozenset(d for d, name in found.items() if "substituted" not in name)


@lru_cache(maxsize=4096)
def _near_holiday(day: date) -> bool:
    return any(
        day + step * DAY in _statutory((day + step * DAY).year)
        for step in range(-MAKE_UP_REACH, MAKE_UP_REACH + 1)
    )


def load(path: Path = OVERRIDES) -> Workdays:
    """Read the notices. Raises CatalogueError naming the file and the year."""
    try:
        raw: Any = YAML(typ="safe").load(path.read_text(encoding="utf-8")) or {}
        years = {int(year): _year(int(year), body) for year, body in (raw.get("years") or {}).items()}
    except (OSError, YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CatalogueError(
            f"the holiday notices cannot be read ({type(error).__name__})",
            about=path.name,
            next_step="each year needs notice, rest and work, with dates as 2027-01-01",
        ) from None
    return Workdays(years)


def _year(year: int, body: Any) -> Year:
    rest, work = frozenset(body["rest"]), frozenset(body["work"])
    if any(not isinstance(d, date) or d.year != year for d in rest | work):
        raise ValueError("a date of another year")
    if any(d.weekday() < SATURDAY for d in work) or rest & work:
        raise ValueError("a make-up day must be a Saturday or Sunday, and no day is both")
    return Year(rest, work, str(body["notice"]))


DEFAULT = load()
