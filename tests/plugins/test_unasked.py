"""The tasks of what goes unasked: which runs they ask for, and what makes the night red."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import date
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from quietus_console import unasked as tasks
from quietus_console import work

from include.cases import unasked
from include.cases.dormant import Asleep
from include.cases.unasked import Looked

TODAY = date(2026, 11, 24)


class Desk:
    @contextmanager
    def book(self) -> Any:
        yield None


class Task:
    """A task instance that knows which runs there are."""

    def __init__(self) -> None:
        self.there: set[str] = set()

    def get_dr_count(self, dag: str, run_ids: list[str]) -> int:
        assert dag == "account_cancellation"
        return len(self.there & set(run_ids))


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> Task:
    ti = Task()
    for module in (tasks, work):
        monkeypatch.setattr(module, "get_current_context", lambda: {"ti": ti, "params": {}})
    monkeypatch.setattr(tasks, "only_at_night", lambda: None)
    monkeypatch.setattr(tasks, "desk", Desk)
    monkeypatch.setattr(tasks, "today", lambda: TODAY)
    monkeypatch.setattr(tasks, "now", lambda: {"as_of": TODAY, "actor": "system/airflow"})
    monkeypatch.setattr(unasked, "waiting", lambda conn: ("CASE-000001", "CASE-000002"))
    monkeypatch.setattr(unasked, "woken", lambda conn, as_of: ("CASE-000003",))
    return ti


def test_each_new_case_has_one_run_and_each_that_woke_one_a_day(task: Task) -> None:
    new = [{"trigger_run_id": no, "conf": {"case": no}} for no in ("CASE-000001", "CASE-000002")]
    woken = {"trigger_run_id": "CASE-000003__2026-11-24", "conf": {"case": "CASE-000003"}}
    assert tasks.without_a_run.function() == [*new, woken]
    task.there = {"CASE-000001", "CASE-000003", "CASE-000003__2026-11-23"}
    assert tasks.without_a_run.function() == [new[1], woken], "its first run, and yesterday's, are over"
    task.there.add("CASE-000003__2026-11-24")
    assert tasks.without_a_run.function() == [new[1]]


def test_the_night_is_red_while_a_person_has_to_give_a_word_or_tell_somebody(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[dict[str, Any]] = []
    monkeypatch.setattr(unasked, "open_cases", lambda desk, **said: opened.append(said))
    found = Looked()
    monkeypatch.setattr(unasked, "look", lambda desk, as_of: found)
    assert tasks.follow.function() is None and len(opened) == 1
    assert tasks.nobody_waits.function(None) == "nobody waits"
    found = Looked(needs_word="4711 items are due")
    assert "4711" in tasks.follow.function() and len(opened) == 1, "nothing is opened"
    found = Looked(asleep=Asleep(to_tell=["acct_0123456789ab"]))
    why = tasks.follow.function()
    assert "1 accounts that sleep" in why and "acct_" not in why and len(opened) == 2
    with pytest.raises(AirflowFailException, match="are to be told"):
        tasks.nobody_waits.function(why)
