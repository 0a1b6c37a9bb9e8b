"""Waiting for what other people do, for a year at most: between two looks it holds no slot."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseSensorOperator
from quietus_console.work import plainly

FIRST_LOOK, SELDOMEST = timedelta(seconds=30), timedelta(hours=6)
LONGEST = timedelta(days=366)


class Waits(BaseSensorOperator):
    """Waits until ``waiting`` names nothing more of the order; it looks more and more seldom, at least every ``seldomest``."""

    def __init__(
        self, *, waiting: Callable[[str], list[str]], first_look: timedelta = FIRST_LOOK, seldomest: timedelta = SELDOMEST,
        **more: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            mode="reschedule", poke_interval=first_look, exponential_backoff=True, max_wait=seldomest, timeout=LONGEST, **more
        )  # fmt: skip
        self.waiting = waiting

    def poke(self, context: Any) -> bool:
        number = context["ti"].xcom_pull(task_ids="take_up")
        with plainly(number):
            named = self.waiting(number)
        if named:
            self.log.info("%s: waits for %s", number, ", ".join(named))
        return not named
