"""Which nights a year of the sandbox goes through, and that it goes on where it was interrupted."""

from __future__ import annotations

from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from include.sandbox.days import a_year

FIRST, DAY = date(2026, 11, 24), timedelta(days=1)


@pytest.mark.parametrize(("every", "days"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (5, [5]), (7, [5])])
def test_each_so_manieth_night_and_always_the_last(every: int, days: list[int]) -> None:
    kept: list[date] = []
    calendar: Any = SimpleNamespace(day=FIRST, now=FIRST, keep=lambda: kept.append(calendar.day))
    gone_through = a_year._kept(calendar, FIRST + 5 * DAY, every)
    for n in days:
        assert next(gone_through) == FIRST + n * DAY and calendar.day < FIRST + n * DAY, (
            "not before it is over"
        )
    assert next(gone_through, None) is None and kept == [FIRST + n * DAY for n in days]
