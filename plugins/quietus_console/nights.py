"""Tasks of a night of retention limits, by days or by the minute. What passes between them is a case number and counts."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import get_current_context
from quietus_console.handing_out import hand_out, hand_out_each
from quietus_console.questions import NOT_TONIGHT, chose, person
from quietus_console.quiet import is_night, only_at_night
from quietus_console.work import desk, now, step, today, tries_left

from include.cases.retention import ended, figures, night, night_proofs
from include.cases.retention import nights as told
from include.model.errors import NotProved, Refused
from include.model.times import observed_now

BY_DAYS = "retention_limits"
SHOWN = 20  # datasets that a message names
Found = dict[str, Any]


@step(pool="proofs")
def look(by_the_minute: bool = False) -> Found:
    """What is due, by the prover, who cannot write. A night that was begun is gone on with. One that Airflow begins late, by day,
    waits for the next, which takes what it would have taken. While a whole store is silent it is tried again; the last try goes
    on with what can be seen, and the rest is named."""
    if not by_the_minute:
        only_at_night()
    # By the minute the next run comes before the last try of this one would.
    patiently = not by_the_minute and tries_left() > 0
    found = night.begin(desk(), at=observed_now() if by_the_minute else None, patiently=patiently, **now())
    run = get_current_context()["dag_run"]
    with desk().book() as conn:
        figures.keep_run(conn, found.night_id, run.dag_id, run.run_id)
    return {
        "night": found.night_id,
        "case": found.case_no,
        "due": found.due,
        "held": found.held,
        "why": found.needs_word,
    }


@step
def take_word(found: Found, answer: dict[str, Any]) -> str:
    """A person's word, and with how many items at most."""
    if "known" in answer:
        return str(answer["known"])
    if chose(answer, NOT_TONIGHT):
        raise Refused(
            "it was put off: nothing was disposed of", about=str(found["case"]),
            next_step="clear the task that asked to decide again; the next night asks too",
        )  # fmt: skip
    budget = answer["params_input"].get("at_most")
    return str(
        night.approve(
            desk(), found["case"], budget=budget, as_of=today(), actor=person(answer, "ops")
        ).approved_by
    )


@step(pool="disposals")
def plan(found: Found) -> Found:
    """Keys of what is due, and the plan; the prover sees the same before anything goes. ``why``: more is to go than was judged,
    so that a person is asked (again)."""
    if not found["case"]:
        return {"said": "nothing is due", "why": None}
    said = night_proofs.plan_and_prove(desk(), found["case"], **now())
    return {"said": said, "why": night.waits_for(desk(), found["case"])}


@step(pool="disposals")
def dispose(found: Found) -> int:
    """Piece by piece, each with its receipt; how many items went."""
    if not found["case"]:
        return 0
    return sum(x.items for x in night_proofs.dispose(desk(), found["case"], **now()).located)


@step(pool="proofs")
def prove(found: Found) -> str:
    """Gone by key, no other row written, and no more due anywhere than the night says that it left; then the books."""
    if not found["case"]:
        return "nothing is due"
    said = night_proofs.prove(desk(), found["case"], **now())
    return f"{said}; {night_proofs.finish(desk(), found['case'], **now())}"


@step(pool="proofs")
def certify(found: Found) -> str:
    """The night's certificate; those of nights before that can be proved by now; and nights whose last one is final are
    closed."""
    where = hand_out(desk(), found["case"]) if found["case"] else "no certificate of nothing"
    rest, failed = night_proofs.take_up(desk(), found["night"], **now())
    uncertified = hand_out_each(desk(), rest)
    closed = night_proofs.close_finished(desk(), **now())
    return "; ".join((where, f"{len(rest)} taken up", *failed, *uncertified, f"{len(closed)} nights closed"))


@step(task_id="of_today", trigger_rule="all_done")
def still_to_come(found: Found | None) -> list[dict[str, str]]:
    """After the end of an earlier day's night, proved or not, this day's is still to come, and begins at once; by day the next
    night does it. One that has not ended is gone on with first."""
    if found is None or not is_night():
        return []
    night = _night(found)
    if night.ended_at is None or night.as_of == today():
        return []
    return [{"trigger_run_id": f"after_night_{found['night']}"}]


def begin_it(runs: Any) -> Any:
    """A run of this promise for this day, once."""
    return TriggerDagRunOperator.partial(
        task_id="todays_night", trigger_dag_id=BY_DAYS, skip_when_already_exists=True, doc_md=begin_it.__doc__,
        map_index_template="{{ task.trigger_run_id }}",
    ).expand_kwargs(runs)  # fmt: skip


@step(retries=0)
def nothing_is_left(found: Found) -> str:
    """Red while something is still due that nothing holds, or could not be asked."""
    if left := ended.nothing_is_left(desk(), found["night"]):
        more = f" (and {len(left) - SHOWN} more)" if len(left) > SHOWN else ""
        raise NotProved(
            "; ".join(left[:SHOWN]) + more, about=str(found["case"] or "night"),
            next_step="see docs/retention.md; the next night takes what is left by itself",
        )  # fmt: skip
    return f"nothing was overdue on {_night(found).as_of}"  # its own day, though it ends on a later one


def _night(found: Found) -> told.Night:
    with desk().book() as conn:
        return told.of_id(conn, found["night"])
