"""The tasks of *backup_purge*: what is seen of a server's own log is told to each case before certificates are made."""

from __future__ import annotations

import importlib
from datetime import date
from typing import Any

import pytest
from quietus_console import copies

from include.cases import backups, came_up, own_log


def test_each_look_comes_before_what_is_said_of_it() -> None:
    tasks = {t.task_id: t for t in importlib.import_module("dags.backup_purge").backup_purge().tasks}
    assert {name: t.upstream_task_ids for name, t in tasks.items()} == {
        "expire": set(), "look": {"expire"}, "prove_logs": {"look"}, "certify": {"prove_logs"},
        "nothing_stays_too_long": {"expire", "look"},
    }  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any, dict[str, Any]]]:
    """What the tasks ask of the cases' room, with which desk and on which day."""
    made: list[tuple[str, Any, dict[str, Any]]] = []

    def note(what: str, answer: Any) -> Any:
        return lambda desk, **on: made.append((what, desk, on)) or answer

    monkeypatch.setattr("quietus_console.work.get_current_context", lambda: {"params": {}})
    monkeypatch.setattr(copies, "desk", lambda: "the desk")
    monkeypatch.setattr(copies, "now", lambda: {"as_of": date(2026, 11, 28), "actor": "system/airflow"})
    monkeypatch.setattr(own_log, "look", note("logs", "1 passed, 2 unverified"))
    monkeypatch.setattr(came_up, "take_left", note("left", 0))
    monkeypatch.setattr(backups, "look", note("sets", backups.Looked(unread=["set x is not read"])))
    return made


ON = {"as_of": date(2026, 11, 28), "actor": "system/airflow"}


def test_what_the_look_at_a_log_came_to_is_told_to_the_cases(asked: list[Any]) -> None:
    assert copies.prove_logs.function() == "1 passed, 2 unverified"
    assert asked == [("logs", "the desk", ON)]


def test_what_a_killed_drill_found_is_taken_before_the_sets_are_looked_at(asked: list[Any]) -> None:
    assert copies.look.function() == {"looked": "set x is not read", "alarms": ["set x is not read"]}
    assert [what for what, *_ in asked] == ["left", "sets"]
