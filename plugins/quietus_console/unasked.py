"""Tasks of what goes without being asked for. What passes between them are case numbers and counts."""

from __future__ import annotations

from typing import Any

from airflow.sdk import get_current_context
from quietus_console.partnering import PROMISE
from quietus_console.quiet import only_at_night
from quietus_console.work import desk, now, step, today

from include.cases import unasked
from include.model.errors import NotProved


@step(pool="disposals")
def follow() -> str | None:
    """Look who took back a consent, and which accounts sleep, and open a case for each; what waits for a person, in words."""
    only_at_night()
    looked = unasked.look(desk(), today())
    waits = []
    if looked.needs_word:
        waits.append(f"no case was opened: {looked.needs_word} (--open --at-most N --actor ROLE/NAME)")
    else:
        unasked.open_cases(desk(), **now())
    if many := len(looked.asleep.to_tell):
        waits.append(f"the holders of {many} accounts that sleep are to be told (--to-tell FILE)")
    return "; ".join(waits) or None


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
    """Red while something waits for a person: a word that so many may go, or a holder who is to be told."""
    if why:
        raise NotProved(why, about="unasked deletion", next_step="see `quietus retention unasked`")
    return "nobody waits"
