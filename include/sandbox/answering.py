"""A run's questions, answered as people answer them: each when it has been parked for a while, and again if it is asked again.

Airflow 3.3.2 asks again by itself: an answer that comes while a busy scheduler still parks its question fails the task, and the
retry asks anew. Whoever answers once and then only waits would wait for ever.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from include.sandbox.api import SETTLED, AirflowUser, TaskState

PARKED = "awaiting_input"


@dataclass(frozen=True)
class Answer:
    """Who answers what; ``given``: what is filled in besides."""

    who: AirflowUser
    chosen: str
    given: Mapping[str, Any] | None = None


@dataclass
class Answering:
    """One run's questions, by task, and what is answered to them. A question that has no answer here is left to others."""

    dag: str
    run_id: str
    answers: Mapping[str, Answer]
    _parked: dict[tuple[str, int], float] = field(default_factory=dict, init=False)  # since when, by try
    _answered: set[tuple[str, int]] = field(default_factory=set, init=False)

    def look(self, tasks: Iterable[TaskState]) -> dict[str, float]:
        """Answer whatever of it has waited for long enough: the tasks that were answered now, and for how many seconds each had
        waited. To be called again and again."""
        waited: dict[str, float] = {}
        for task in tasks:
            asked = (task.task_id, task.tries)
            if task.state != PARKED or asked in self._answered or task.task_id not in self.answers:
                continue
            since = time.monotonic() - self._parked.setdefault(asked, time.monotonic())
            if since >= SETTLED:
                answer = self.answers[task.task_id]
                answer.who.answer(self.dag, self.run_id, task.task_id, answer.chosen, answer.given)
                self._answered.add(asked)
                waited[task.task_id] = since
        return waited
