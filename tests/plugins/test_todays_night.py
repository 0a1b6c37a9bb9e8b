"""After the end of an earlier day's night this day's own begins, once, and not by day."""

from __future__ import annotations

import importlib
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from quietus_console import nights, quiet
from quietus_console.work import today

from include.model.times import PRC, observed_now


def night(as_of: date, ended: bool = True) -> SimpleNamespace:
    return SimpleNamespace(as_of=as_of, ended_at=observed_now() if ended else None)


@pytest.mark.parametrize(
    ("days_ago", "hour", "ended", "begins"),
    [
        (0, 2, True, False),
        (1, 2, True, True),
        (9, 5, True, True),
        (1, 2, False, False),  # it waits for a word, was stopped, or a store is away
        (1, 6, True, False),
        (1, 12, True, False),
        (1, 0, True, False),
    ],
)
def test_it_begins_in_the_window_and_if_the_one_that_ended_was_not_its_own(
    monkeypatch: pytest.MonkeyPatch, days_ago: int, hour: int, ended: bool, begins: bool
) -> None:
    at = observed_now().astimezone(PRC).replace(hour=hour, minute=30)
    monkeypatch.setattr(quiet, "observed_now", lambda: at)
    monkeypatch.setattr(nights, "_night", lambda found: night(today() - timedelta(days=days_ago), ended))
    found: list[dict[str, Any]] = nights.still_to_come.function({"night": 7})
    assert found == ([{"trigger_run_id": "after_night_7"}] if begins else [])


def test_nothing_begins_after_a_look_that_failed() -> None:
    assert nights.still_to_come.function(None) == []


def test_it_is_asked_after_a_night_that_is_not_proved_too_and_is_none_of_what_a_run_is_red_for() -> None:
    """All that stands before it may have failed; whatever failed still ends the run red."""
    tasks = {t.task_id: t for t in importlib.import_module("dags.retention_limits").retention_limits().tasks}
    assert tasks["of_today"].trigger_rule == "all_done"
    assert tasks["of_today"].upstream_task_ids == {"look", "certify"}
    assert tasks["todays_night"].upstream_task_ids == {"of_today"}
    assert tasks["todays_night"].trigger_rule == "all_success"
    assert {i for i, t in tasks.items() if not t.downstream_task_ids} == {"nothing_is_left", "todays_night"}
    assert {i for i, t in tasks.items() if t.trigger_rule != "all_success"} == {"of_today"}


def test_the_last_task_names_the_day_that_it_speaks_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nights, "desk", lambda: None)
    monkeypatch.setattr(nights.ended, "nothing_is_left", lambda *_: [])
    monkeypatch.setattr(nights, "_night", lambda found: night(date(2026, 11, 24)))
    assert nights.nothing_is_left.function({"night": 7, "case": None}) == "nothing was overdue on 2026-11-24"
