"""A file in dags/ reads as the promise that it keeps: short, told in five headings, and without logic of its own."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any

import pytest
from quietus_console.work import DEFAULTS

from include.model.words import Channel, Ground, Requester

DAGS = Path(__file__).parents[2] / "dags"
HEADINGS = ("Purpose", "Who may run it", "What it destroys", "How to stop it", "Evidence")
LOGIC = (ast.If, ast.IfExp, ast.For, ast.While, ast.ListComp, ast.DictComp, ast.Try, ast.Lambda, ast.Match)
PROMISES = sorted(path.stem for path in DAGS.glob("*.py"))

# What each task runs after: the order of the promise. Every task is also handed the case by take_up.
CANCELLATION = {
    "take_up": set(),
    "verify_identity.request": set(),
    "verify_identity.ask": {"verify_identity.request"},
    "verify_identity.record": {"verify_identity.ask"},
    "rehearse": {"verify_identity.record"},
    "decide.ask": {"rehearse"},
    "decide.next_step": {"decide.ask"},
    "decide.approve": {"decide.ask", "decide.next_step", "rehearse"},
    "decide.ask_second_reviewer": {"decide.next_step"},
    "decide.refuse": {"decide.ask", "decide.ask_second_reviewer", "rehearse"},
    "restrict.stop_use": {"decide.approve"},
    "restrict.prove": {"restrict.stop_use"},
    "plan.settle": {"restrict.prove"},
    "plan.prove": {"plan.settle"},
    "dispose.carry_out": {"plan.prove"},
    "dispose.prove_gone": {"dispose.carry_out"},
    "dispose.prove_undeclared": {"dispose.prove_gone"},
    "dispose.balance": {"dispose.prove_undeclared"},
    "wait_in_data": {"dispose.balance"},
    "certify": {"wait_in_data"},
}


def dag_of(promise: str) -> Any:
    return getattr(importlib.import_module(f"dags.{promise}"), promise)()


@pytest.mark.parametrize("promise", PROMISES)
def test_a_dag_file_reads_as_a_promise(promise: str) -> None:
    text = (DAGS / f"{promise}.py").read_text("utf-8")
    tree = ast.parse(text)
    told = ast.get_docstring(tree) or ""
    assert [h for h in HEADINGS if f"**{h} " not in told] == []
    assert len(text.splitlines()) < 120
    assert [f"line {n.lineno}" for n in ast.walk(tree) if isinstance(n, LOGIC)] == []


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_is_told_owned_and_small(promise: str) -> None:
    dag = dag_of(promise)
    assert dag.dag_id == promise and dag.doc_md and dag.tags
    # Each costs Airflow more than a second. A shutdown takes ninety days and waits at every gate.
    assert len(dag.tasks) <= (60 if promise == "service_shutdown" else 25)
    assert {t.owner for t in dag.tasks} == {"privacy"}
    assert [
        t.task_id for t in dag.tasks if not t.doc_md and not t.task_id.split(".")[-1].startswith("ask")
    ] == []


EVERY_FEW_MINUTES = {
    "case_clocks",
    "recipient_notices",
    "restore_replay",
    "retention_hours",
    "upstream_requests",
}


@pytest.mark.parametrize("promise", PROMISES)
def test_what_does_not_answer_is_tried_five_times_but_where_the_next_run_comes_sooner(promise: str) -> None:
    """docs/ops.md. Questions to people have tries of their own; what is red for what it found is not tried again."""
    dag = dag_of(promise)
    tries = {t.retries for t in dag.tasks if t.retries and not t.task_id.split(".")[-1].startswith("ask")}
    assert DEFAULTS["retries"] == 5
    assert tries <= ({1} if promise in EVERY_FEW_MINUTES else {5}) and (tries or promise == "hold_reviews")


def test_a_cancellation_goes_in_the_order_of_the_promise() -> None:
    """Above all: nothing is restricted or disposed of but behind an approval."""
    tasks = {t.task_id: t for t in dag_of("account_cancellation").tasks}
    assert {i: t.upstream_task_ids - {"take_up"} for i, t in tasks.items()} == CANCELLATION
    assert {t.trigger_rule.value for t in tasks.values()} == {"all_success"}


def test_a_trigger_asks_for_nobodys_name() -> None:
    """Every field is a closed list or has a pattern that no personal value fits."""
    dag = dag_of("account_cancellation")
    for name in dag.params:
        schema = dag.params.get_param(name).schema
        assert schema.get("enum") or schema.get("pattern"), name


def test_a_question_is_never_answered_by_silence() -> None:
    asks = [t for t in dag_of("account_cancellation").tasks if t.task_id.split(".")[-1].startswith("ask")]
    assert len(asks) == 3
    for ask in asks:
        assert ask.defaults is None and ask.retries >= 1


def test_what_is_chosen_from_is_shown_in_words() -> None:
    """The schema holds every code that can be asked for, and a word for each; and no other."""
    params = dag_of("account_cancellation").params
    for name, codes in (("ground", Ground), ("channel", Channel), ("requester", Requester)):
        schema = params.get_param(name).schema
        assert schema["enum"] == [c.value for c in codes if c.requestable]
        assert schema["values_display"].keys() == {*schema["enum"]}
    asked = {t.task_id: t for t in dag_of("account_cancellation").tasks}["decide.ask"].params
    ground = asked.get_param("refusal_ground").schema
    assert ground["enum"][0] is None and len(ground["enum"]) == 9


def test_recipients_are_told_each_by_itself_and_by_themselves_every_few_minutes() -> None:
    """One recipient's failure is its own task's; whom it concerns can be read off the map index; errands wait for none."""
    dag = dag_of("recipient_notices")
    assert dag.max_active_runs == 1 and dag.is_paused_upon_creation is False
    tasks = {t.task_id: t for t in dag.tasks}
    assert {i: t.upstream_task_ids for i, t in tasks.items()} == {
        "recipients_due": set(), "tell": {"recipients_due"}, "errands": set(), "hand_out": {"errands"},
        "to_look_at": set(), "look_again": {"to_look_at"},
    }  # fmt: skip
    assert tasks["tell"].is_mapped and tasks["tell"].pool == "recipients"
    # A mapped task has one pool, whatever its index: that one recipient is told by one task is the case book's lock.
    assert "pool" not in tasks["tell"].op_kwargs_expand_input.value
    assert "recipient" in tasks["tell"].partial_kwargs["map_index_template"]
    assert tasks["tell"].downstream_task_ids == set(), "a leaf, so that its failure is the run's"


def test_an_errand_asks_one_question_with_no_field_to_write_in() -> None:
    dag = dag_of("recipient_errands")
    tasks = {t.task_id: t for t in dag.tasks}
    assert {i: t.upstream_task_ids for i, t in tasks.items()} == {
        "take_up": set(), "ask": {"take_up"}, "done": {"take_up", "ask"},
    }  # fmt: skip
    ask = tasks["ask"]
    assert ask.defaults is None and ask.response_timeout is None and not ask.params
    assert dag.params.get_param("errand").schema["pattern"]
    assert dag.is_paused_upon_creation is False


def test_a_partners_request_is_begun_as_any_other_and_the_partner_is_told() -> None:
    dag = dag_of("upstream_requests")
    assert dag.max_active_runs == 1 and dag.is_paused_upon_creation is False
    assert {t.task_id: t.upstream_task_ids for t in dag.tasks} == {
        "cases": set(), "begin": {"cases"}, "partners": set(), "tell_partner": {"partners"},
    }  # fmt: skip


def test_what_goes_unasked_is_begun_as_any_other_and_by_ops() -> None:
    """Too many withdrawals make the run red; they keep no case whose date has come from going on."""
    dag = dag_of("unasked_deletion")
    assert dag.max_active_runs == 1 and dag.is_paused_upon_creation is True
    tasks = {t.task_id: t for t in dag.tasks}
    assert {i: t.upstream_task_ids for i, t in tasks.items()} == {
        "follow": set(), "cases": {"follow"}, "begin": {"cases"}, "nobody_waits": {"follow"},
    }  # fmt: skip
    assert (
        tasks["begin"].is_mapped and tasks["begin"].partial_kwargs["trigger_dag_id"] == "account_cancellation"
    )
