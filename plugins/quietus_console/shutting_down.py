"""Tasks and questions of a shutdown. What passes between them is an order's number, days, and counts."""

from __future__ import annotations

from datetime import date
from typing import Any

from airflow.sdk import get_current_context, task_group
from quietus_console import forms
from quietus_console.asking import Ask
from quietus_console.questions import answered_at, person
from quietus_console.words import GATES
from quietus_console.work import DONE, desk, now, step, today

from include.cases.shutdown import closing, located, orders
from include.cases.shutdown import preview as previews
from include.cases.shutdown.dates import LAW, Gate
from include.cases.shutdown.told import Paper
from include.model.errors import NotProved, Refused
from include.model.times import prc_date

PAGE = "[/quietus/shutdown/{n}](/quietus/shutdown/{n})"
ORDER = "{{ ti.xcom_pull(task_ids='take_up') }}"


@step
def take_up() -> str:
    """The order that this run is about, and nothing else."""
    number = get_current_context()["params"].get("order") or ""
    with desk().book() as conn:
        of = orders.order(conn, number)
    if not of.in_force:
        raise Refused(f"the order is {of.state}", about=of.number, next_step="see `quietus shutdown list`")
    return of.number


@step(pool="proofs")
def preview(number: str) -> str:
    """What would move, go and stay, counted without changing anything; the page of the order shows it whole."""
    found = previews.preview(desk(), number, as_of=today())
    totals = previews.without_holds(found.body())["totals"]  # whoever may read the run reads this
    parts = [f"{n} {word}" for word, n in totals.items()]
    return (
        f"located {found.located} = {' + '.join(parts)}; {len(found.findings)} to decide;"
        f" {len(found.unverified)} datasets UNVERIFIED"
    )


def gate(number: Any, which: Gate) -> Any:
    """A gate as a person passes it: asked with its document until somebody answers, then recorded."""

    @task_group(group_id=which.value)
    def of_gate() -> None:
        record(number, which.value, _ask(which).output)

    return of_gate()


@step
def record(number: str, which: str, answer: dict[str, Any]) -> str:
    """The gate in the case book; if it is late, T0 moves. Cleared and run again, it says the same of the same answer."""
    if "known" in answer:
        return str(answer["known"])
    given = answer["params_input"]
    of = orders.pass_gate(
        desk(), number, Gate(which), on=forms.day(given.get("done_on")) or _answered_on(answer), paper=_paper(given),
        as_of=today(), actor=person(answer, "legal"),
    )  # fmt: skip
    return f"T0 is {of.t0}"


def close(number: Any) -> Any:
    """T0: a person says that it has come, by a document; rights to write are taken, and another role looks."""

    @task_group(group_id="t0")
    def at_t0() -> None:
        closed = close_collection(number, _ask(Gate.CLOSED).output)
        closed >> prove(number)

    return at_t0()


@step(task_id="close", pool="disposals")
def close_collection(number: str, answer: dict[str, Any]) -> str:
    """Every right to write of what the order is about is taken. Refused before T0: clear the question on that day."""
    if "known" in answer:
        return str(answer["known"])
    closed = closing.close(
        desk(), number, paper=_paper(answer["params_input"]), as_of=today(), actor=person(answer, "ops")
    )  # fmt: skip
    return f"closed on {closed.closed_on}"


@step(pool="proofs")
def prove(number: str) -> str:
    """Looked at by the prover: nothing was written since, and nobody can write. What there is then opens the books."""
    proof = closing.prove(desk(), number, **now())
    located.locate(desk(), number, **now())
    return closing.proved(proof)


@step(retries=0)
def no_gate_is_overdue() -> str:
    """Red while a gate of the order in force is overdue, or nobody takes over."""
    with desk().book() as conn:
        found = orders.alarms(conn, today())
    if found:
        raise NotProved(
            "; ".join(found), about="shutdown", next_step="do it, then record it (docs/shutdown.md); late, it moves T0"
        )  # fmt: skip
    return "no gate is overdue"


@step(pool="proofs")
def nothing_is_collected() -> str:
    """Of an order whose collection is closed: looked at again every night, by the prover."""
    with desk().book() as conn:
        of = orders.in_force(conn)
    if of is None or of.closed_on is None:
        return "no collection is closed"
    return closing.proved(closing.prove(desk(), of.number, **now()))


# --- the questions ----------------------------------------------------------------------------------


def _ask(which: Gate) -> Ask:
    """Asked while the book has no answer. A run that waits for a person holds no slot, however long."""
    zh, en = GATES[which]
    return Ask(
        task_id="ask",
        case_of="take_up",
        answered=lambda number: _known(number, which),
        subject=f"{ORDER}: {zh} · {en}",
        body=f"{LAW[which]}. 期限与进度 due dates and progress: {PAGE.format(n=ORDER)}\n\n"
        "办理后填写文书编号与文件的SHA-256。 Once it is done, give the document's number and the file's SHA-256 "
        "(`sha256sum`). "
        + (
            "仅在停止收集日(T0)当日或之后确认。 Answer on T0 or later; before, it is refused."
            if which is Gate.CLOSED
            else "逾期办理会推迟T0。 Done late, it moves T0."
        ),
        options=[DONE],
        params=forms.gate(),
    )


def _known(number: str, which: Gate) -> str | None:
    """For a question: what the book has already, or that nobody has to be told."""
    with desk().book() as conn:
        if which not in orders.days(conn, orders.order(conn, number)).gates:
            return (
                "not needed: people were told of the successor with the notice itself, or there is none yet"
            )
        return orders.gate_done(conn, number, which)


def _answered_on(answer: dict[str, Any]) -> date:
    """The day of the answer, not of the task that records it. Raises Refused."""
    moment = answered_at(answer)
    if moment is None:
        raise Refused(
            "the answer does not say when it was given", about="shutdown",
            next_step="clear the question, and give the day on which it was done",
        )  # fmt: skip
    return prc_date(moment)


def _paper(given: dict[str, Any]) -> Paper:
    return Paper(str(given.get("document") or ""), str(given.get("digest") or "").lower())
