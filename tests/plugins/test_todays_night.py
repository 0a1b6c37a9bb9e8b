"""After the end of an earlier day's night this day's own begins, once, and not by day."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from quietus_console import nights, quiet
from quietus_console.work import today

from include.model.times import PRC, observed_now


@pytest.mark.parametrize(
    ("days_ago", "hour", "begins"),
    [(0, 2, False), (1, 2, True), (9, 5, True), (1, 6, False), (1, 12, False), (1, 0, False)],
)
def test_it_begins_in_the_window_and_if_the_one_that_ended_was_not_its_own(
    monkeypatch: pytest.MonkeyPatch, days_ago: int, hour: int, begins: bool
) -> None:
    at = observed_now().astimezone(PRC).replace(hour=hour, minute=30)
    monkeypatch.setattr(quiet, "observed_now", lambda: at)
    monkeypatch.setattr(nights, "_day", lambda found: today() - timedelta(days=days_ago))
    found: list[dict[str, Any]] = nights.still_to_come.function({"night": 7})
    assert found == ([{"trigger_run_id": "after_night_7"}] if begins else [])


def test_the_last_task_names_the_day_that_it_speaks_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nights, "desk", lambda: None)
    monkeypatch.setattr(nights.ended, "nothing_is_left", lambda *_: [])
    monkeypatch.setattr(nights, "_day", lambda found: date(2026, 11, 24))
    assert nights.nothing_is_left.function({"night": 7, "case": None}) == "nothing was overdue on 2026-11-24"
