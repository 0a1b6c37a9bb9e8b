"""When a period ends."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.cases.periods import add_months, last_day
from include.model.errors import CatalogueError
from include.model.times import Counting


@pytest.mark.parametrize(
    ("start", "duration", "counting", "end"),
    [
        (date(2021, 11, 23), "P5Y", Counting.CALENDAR, date(2026, 11, 23)),
        (date(2024, 2, 29), "P5Y", Counting.CALENDAR, date(2029, 2, 28)),
        (date(2026, 8, 31), "P6M", Counting.CALENDAR, date(2027, 2, 28)),
        (date(2026, 1, 31), "P1M1D", Counting.CALENDAR, date(2026, 3, 1)),
        (date(2026, 11, 24), "P2W", Counting.CALENDAR, date(2026, 12, 8)),
        (date(2026, 11, 24), "PT24H", Counting.CALENDAR, date(2026, 11, 25)),
        (date(2026, 11, 24), "PT10M", Counting.CALENDAR, date(2026, 11, 25)),
        (date(2026, 3, 1), "P10Y", Counting.FISCAL_YEARS, date(2036, 12, 31)),
        (date(2026, 11, 24), "P15D", Counting.PRC_WORKING_DAYS, date(2026, 12, 15)),
        (date(2026, 11, 24), "P0D", Counting.CALENDAR, date(2026, 11, 24)),
    ],
)
def test_a_period_ends_on_its_corresponding_day(start, duration, counting, end) -> None:
    assert last_day(start, duration, counting) == end


def test_ten_minutes_from_a_known_moment_end_the_same_day() -> None:
    noon = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
    assert last_day(noon, "PT10M") == date(2026, 11, 24)
    assert last_day(datetime(2026, 11, 24, 15, 55, tzinfo=UTC), "PT10M") == date(2026, 11, 25)


@pytest.mark.parametrize("wrong", ["", "P", "5Y", "P5", "PT", "P1Y2", "P-1D"])
def test_what_is_no_period_is_refused(wrong) -> None:
    with pytest.raises(CatalogueError, match="no ISO 8601 period"):
        last_day(date(2026, 1, 1), wrong)


def test_years_cannot_be_counted_in_working_days_nor_days_in_fiscal_years() -> None:
    with pytest.raises(CatalogueError):
        last_day(date(2026, 1, 1), "P1Y", Counting.PRC_WORKING_DAYS)
    with pytest.raises(CatalogueError):
        last_day(date(2026, 1, 1), "P5D", Counting.FISCAL_YEARS)


@given(st.dates(date(1990, 1, 1), date(2090, 1, 1)), st.integers(0, 400))
def test_months_land_in_the_right_month_and_never_overshoot(day, months) -> None:
    there = add_months(day, months)
    assert (there.year * 12 + there.month) - (day.year * 12 + day.month) == months
    assert there.day <= day.day
