"""A question to a person, asked only while the case book has no answer.

Airflow's own human-in-the-loop task parks without holding a slot. A run that is started again for a case that
went further already must not ask a second time: then it returns at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from quietus_console.work import plainly


class Ask(HITLOperator):
    """A :class:`HITLOperator` that skips the question if ``answered`` gives an answer of what ``case_of`` gave.

    ``case_of``: id of the task that gave the case number, or what else the question is about. There is never a
    default answer: silence is not consent. ``retries`` cover a race of Airflow 3.3.2 between parking and a quick answer.
    """

    def __init__(self, *, answered: Callable[[Any], str | None], case_of: str, **kwargs: Any) -> None:
        super().__init__(retries=3, defaults=None, **kwargs)
        self.answered = answered
        self.case_of = case_of

    def execute(self, context: Any) -> Any:
        case_no = context["ti"].xcom_pull(task_ids=self.case_of)
        with plainly(case_no):
            known = self.answered(case_no)
        if known:
            self.log.info("%s: %s; not asked again", case_no, known)
            return {"known": known}
        return super().execute(context)
