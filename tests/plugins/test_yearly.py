"""The yearly duties as Airflow runs them: each task by itself, red with what to do, and none waits for another."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from include.cases.yearly import destruction_list, ledger_keys, retesting
from include.cases.yearly.ledger_keys import Done
from include.cases.yearly.retesting import Retests
from include.model.errors import NotProved
from include.model.flow import Check
from include.model.words import Rung, Verdict
from include.proofs.retest import Retested

TODAY = date(2027, 1, 15)
FOUND = Retested(
    "research", "stat.release", 9, None, 1,
    (Check(name="k.research", rung=Rung.R10, verdict=Verdict.FAILED, expected=0, observed=1, why="too few"),),
)  # fmt: skip
CLEAN = Done(0, 0, 0, (), None, (), ())


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """One task, with everything it calls replaced."""
    from quietus_console import yearly

    context = {"params": {}, "ti": SimpleNamespace(max_tries=0, try_number=1)}
    monkeypatch.setattr("quietus_console.work.get_current_context", lambda: context)
    monkeypatch.setattr(yearly, "desk", lambda: "desk")
    monkeypatch.setattr(yearly, "today", lambda: TODAY)
    monkeypatch.setattr(yearly, "now", lambda: {"as_of": TODAY, "actor": "system/airflow"})
    return lambda name: getattr(yearly, name).function()


def test_no_duty_waits_for_another() -> None:
    dag = importlib.import_module("dags.yearly_duties").yearly_duties()
    assert set(dag.task_ids) == {
        "try_anonymised_sets_again", "destroy_keys_whose_time_has_come", "list_what_was_destroyed",
    }  # fmt: skip
    assert not any(task.upstream_task_ids for task in dag.tasks)


def test_a_set_in_which_somebody_is_found_turns_its_task_red(
    run: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retesting, "retest_all", lambda desk, as_of: Retests((FOUND,)))
    with pytest.raises(AirflowFailException, match=r"research failed: k.research.*personal data again"):
        run("try_anonymised_sets_again")
    monkeypatch.setattr(retesting, "retest_all", lambda desk, as_of: Retests(()))
    assert "no set" in run("try_anonymised_sets_again")


def test_a_key_that_is_left_turns_its_task_red(
    run: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = Done(0, 0, 0, (), None, (), ("CASE-000001 still leads to its people",))
    for done in (left, CLEAN):
        monkeypatch.setattr(ledger_keys, "destroy_due", lambda desk, as_of, actor, done=done: done)
        if done is CLEAN:
            assert run("destroy_keys_whose_time_has_come").startswith("0 cases")
        else:
            with pytest.raises(AirflowFailException, match="CASE-000001 still leads to its people"):
                run("destroy_keys_whose_time_has_come")


def test_a_book_that_gives_another_list_turns_its_task_red(
    run: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def another(desk: Any, as_of: date) -> None:
        raise NotProved("the book gives another list of 2026", about="destruction list")

    monkeypatch.setattr(destruction_list, "say", another)
    with pytest.raises(AirflowFailException, match="another list of 2026"):
        run("list_what_was_destroyed")
