"""Questions of a run are answered once a try, when they have been parked for a while, by whom they are for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from include.sandbox import answering
from include.sandbox.answering import PARKED, Answer, Answering
from include.sandbox.api import SETTLED, AirflowUser, TaskState


class Colleague(AirflowUser):
    """Notes what is answered, and sends nothing."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.said: list[tuple[str, str, Mapping[str, Any] | None]] = []

    def answer(
        self, dag_id: str, run_id: str, task_id: str, chosen: str, given: Mapping[str, Any] | None = None
    ) -> None:
        self.said.append((task_id, chosen, given))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(answering.time, "monotonic", lambda: now[0])
    return now


def parked(task: str, tries: int = 1, state: str = PARKED) -> TaskState:
    return TaskState(task, state, tries, 0.0)


def test_an_answer_waits_until_its_question_is_parked_and_is_given_once(clock: list[float]) -> None:
    ops = Colleague("ops")
    asked = Answering("a_dag", "a_run", {"ask": Answer(ops, "Go on", {"at_most": 3})})
    assert asked.look([parked("ask", state="running")]) == {}
    assert asked.look([parked("ask")]) == {}
    clock[0] += SETTLED - 0.1
    assert asked.look([parked("ask")]) == {} and ops.said == []
    clock[0] += 0.2
    assert asked.look([parked("ask")]) == {"ask": pytest.approx(SETTLED + 0.1)}
    clock[0] += 60
    assert asked.look([parked("ask")]) == {}
    assert ops.said == [("ask", "Go on", {"at_most": 3})]


def test_a_question_that_is_asked_again_is_answered_again_and_one_for_others_is_left(
    clock: list[float],
) -> None:
    ops, reviewer = Colleague("ops"), Colleague("reviewer")
    asked = Answering(
        "a_dag", "a_run", {"ask": Answer(ops, "Matched"), "decide": Answer(reviewer, "Approve")}
    )
    every = [parked("ask"), parked("decide"), parked("ask_second")]
    asked.look(every)
    clock[0] += SETTLED
    assert asked.look(every).keys() == {"ask", "decide"}
    again = [parked("ask", tries=2), parked("decide", state="success")]
    asked.look(again)
    clock[0] += SETTLED
    assert asked.look(again).keys() == {"ask"}
    assert ([s[0] for s in ops.said], [s[0] for s in reviewer.said]) == (["ask", "ask"], ["decide"])
