"""The steps by which recipients are told, and by which people carry what no machine can.

Airflow is handed the recipients' ids, case numbers and the numbers of notices. What a notice says about a person is
opened inside :func:`tell`, in memory, and on the errand's page of the console.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import islice
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import Param, get_current_context
from quietus_console import errand_numbers, words
from quietus_console.work import ERRANDS, desk, now, step, today

from include.cases.notices import errands, telling, truth
from include.model.errors import Refused
from include.model.times import observed_now

AT_ONCE = 200  # runs that one pass begins; the next pass begins the rest
ERRAND = {
    "errand": Param(
        None, type=["null", "string"], pattern=errand_numbers.PATTERN, title="通知编号 Number of the notice",
        description="由 recipient_notices 填写。 Filled in by recipient_notices.",
    )
}  # fmt: skip


# --- recipient_notices ------------------------------------------------------------------------------


@step
def recipients_due() -> list[str]:
    """Whom there is something to send to, to ask, or to remind."""
    return list(telling.due(desk(), now=observed_now(), as_of=today()))


@step(pool="recipients", map_index_template="{{ task.op_kwargs['recipient'] }}")
def tell(recipient: str) -> str:
    """One recipient's whole batch: told, asked, reminded. What became of it, in numbers."""
    return str(telling.tell(desk(), recipient, **now()))


@step
def to_look_at() -> list[str]:
    """Who said that it deleted, and was not asked since whether that is true."""
    return list(truth.to_look_at(desk(), as_of=today()))


@step(pool="recipients", map_index_template="{{ task.op_kwargs['recipient'] }}")
def look_again(recipient: str) -> str:
    """Asked by its own numbers whether it still knows who it said it deleted. A lie is a finding, and a next notice."""
    return str(truth.look_again(desk(), recipient, **now()))


@step(task_id="errands")
def begun_errands() -> list[dict[str, Any]]:
    """The errands that have no run: new ones, those that came back, and those whose run was lost."""
    with desk().book() as conn:
        waiting = errands.listing(conn)
    runs = partial(get_current_context()["ti"].get_dr_count, ERRANDS)
    return list(islice(errand_numbers.without_a_run(waiting, runs), AT_ONCE))


def hand_out(runs: Any) -> Any:
    """A run of its own for each, so that none waits for another, and this pass for none."""
    return TriggerDagRunOperator.partial(
        task_id="hand_out", trigger_dag_id=ERRANDS, skip_when_already_exists=True,
        map_index_template="{{ task.trigger_run_id }}", doc_md=hand_out.__doc__,
    ).expand_kwargs(runs)  # fmt: skip


# --- recipient_errands ------------------------------------------------------------------------------


@step(task_id="take_up")
def take_up_errand() -> dict[str, str]:
    """What the question says: the case, whom to reach and where, why, until when; nothing about a person."""
    number = get_current_context()["params"].get("errand")
    if not number:
        raise Refused(
            "the run names no errand", about=ERRANDS,
            next_step="leave it to recipient_notices, or give the number on the errand's page",
        )  # fmt: skip
    at = desk()
    found = _open(number)
    if found is None:
        return {"errand": number, "open": ""}
    recipient = next(r for r in at.catalogue.recipients if r.id == found["recipient"])
    return {
        "errand": number,
        "open": "yes",
        "case": found["case_no"],
        "recipient": recipient.name,
        "phone": recipient.phone or "政策未载明 none in the policy",
        "why": words.word("errand", found["why"], "zh") + " " + words.word("errand", found["why"], "en"),
        "due": str(found["due"] or ""),
    }


def _open(number: str) -> dict[str, Any] | None:
    with desk().book() as conn:
        return errand_numbers.open_errand(conn, number)


def no_longer_open(errand: Mapping[str, str]) -> str | None:
    """For the question: it is not asked of what somebody did already."""
    return None if _open(errand["errand"]) else "done already"


@step
def done(errand: Mapping[str, str]) -> str:
    """It is done when the case book says so: the page of the errand is where it is recorded, with its proof."""
    if _open(errand["errand"]) is not None:
        raise Refused(
            "the errand is still open: nothing was recorded on its page", about=errand["case"],
            next_step=f"open /quietus/errands/{errand['errand']}, record what was done, then clear the task ask",
        )  # fmt: skip
    return "recorded"
