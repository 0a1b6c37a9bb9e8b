"""Tasks of what goes without being asked for. What passes between them are case numbers and counts."""

from __future__ import annotations

from typing import Any

from airflow.sdk import get_current_context
from quietus_console.partnering import PROMISE
from quietus_console.work import desk, now, step, today

from include.cases import unasked
from include.model.errors import NotProved


@step(pool="disposals")
def follow() -> str | None:
    """Look who took back a consent, and open a case for each; if there are more than ever before, why nothing was opened."""
    if why := unasked.look(desk(), today()).needs_word:
        return why
    unasked.open_cases(desk(), **now())
    return None


@step(task_id="cases")
def without_a_run() -> list[dict[str, Any]]:
    """New cases that have no run yet, and cases at rest of which a date has come: a run for each, begun once a day."""
    with desk().book() as conn:
        wanted = {no: no for no in unasked.waiting(conn)}
        wanted |= {f"{no}__{today()}": no for no in unasked.woken(conn, today())}
    count = get_current_context()["ti"].get_dr_count
    return [
        {"trigger_run_id": run, "conf": {"case": no}}
        for run, no in wanted.items()
        if not count(PROMISE, run_ids=[run])
    ]


@step(retries=0)
def nobody_waits(why: str | None) -> str:
    """Red while withdrawals wait for a person's word."""
    if why:
        raise NotProved(
            f"no case was opened: {why}", about="unasked deletion",
            next_step="read `quietus retention unasked`, then: quietus retention unasked --open --at-most N --actor ROLE/NAME",
        )  # fmt: skip
    return "nobody waits"
