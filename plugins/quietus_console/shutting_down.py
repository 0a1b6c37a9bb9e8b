"""Tasks and questions of a shutdown. What passes between them is an order's number, days, and counts."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from airflow.sdk import get_current_context, task_group
from quietus_console import forms
from quietus_console.asking import Ask
from quietus_console.questions import APPROVE, answered_at, chose, person
from quietus_console.waits import Waits
from quietus_console.words import GATES
from quietus_console.work import DONE, desk, now, step, today

from include.cases.shutdown import accepting, approving, closing, located, needles, orders, people
from include.cases.shutdown import preview as previews
from include.cases.shutdown.dates import LAW, Gate
from include.cases.shutdown.told import Paper
from include.handover import dataroom
from include.model.errors import NotProved, NotReachable, Refused
from include.model.times import prc_date

PAGE = "[/quietus/shutdown/{n}](/quietus/shutdown/{n})"
ANSWERED_FOR, NOT_ANSWERED_FOR = "I answer for it 同意继续", "Stop here 停止"
FIRST_LOOK, SELDOMEST = timedelta(seconds=10), timedelta(minutes=15)  # at what is to be filed
NOT_NEEDED = {
    Gate.SUCCESSOR_TOLD: "not needed: people were told of the successor with the notice itself, or there is none yet",
    Gate.REPORTED_E_GOVERNMENT: "not needed: the order is of no certificates for e-government",
}
"""Gates that not every order has."""
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
    said = previews.without_holds(found.body())  # whoever may read the run reads this
    parts = [f"{n} {word}" for word, n in said["totals"].items()]
    return (
        f"located {found.located} = {' + '.join(parts)}; {len(said['findings'])} to decide;"
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
        desk(), number, Gate(which), on=forms.day(given.get("done_on")) or _answered_on(answer), paper=paper(given),
        as_of=today(), actor=person(answer, "legal"),
    )  # fmt: skip
    return f"T0 is {of.t0}"


def approvals(number: Any) -> list[Any]:
    """Each of the two who approve it is asked by himself."""
    return [_approval(number, n) for n in (0, 1)]


def _approval(number: Any, n: int) -> Any:
    @task_group(group_id=f"approval_{n + 1}")
    def of_approver() -> None:
        approve(number, _ask_approver(n).output)

    return of_approver()


@step(task_id="record")
def approve(number: str, answer: dict[str, Any]) -> str:
    """The approval of whoever answered, as the user that was logged in. Refused for anybody else: clear the question."""
    if "known" in answer:
        return str(answer["known"])
    of = approving.approve(desk(), number, as_of=_answered_on(answer), actor=person(answer, "legal"))
    return f"waits for {len(of.waits_for)} more" if of.waits_for else "approved by both"


@step
def tell_people(number: str) -> str:
    """Everybody gets the letter, once, where the catalogue says how holders are reached. What is said here are counts."""
    return _tell(number)


@step
def tell_of_the_last_day(number: str) -> str:
    """If a late gate moved T0, everybody gets another letter; who has it is not told twice."""
    return _tell(number)


@step
def tell_who_came_since(number: str) -> str:
    """Whoever came between the letter and the end of collection gets it before anything is handed over (PIPL 22). A revoked
    licence waits for no letter: `tell_people`, beside this, tells everybody."""
    with desk().book() as conn:
        of = orders.order(conn, number)
    return _tell(number) if people.waits_for_letters(desk(), of) else "nothing waits for a letter"


def _tell(number: str) -> str:
    it = desk()
    if not orders.reached(it.catalogue):
        return "the catalogue does not say where people are reached: they are told by other means"
    run = people.notify(it, number, **now())
    if run.stopped:
        raise NotReachable(run.stopped, about=number, next_step="nobody is told twice")
    return (
        f"{run.telling.told} told, {run.telling.unreached} could not be reached: the announcement tells them"
    )


def close(number: Any) -> Any:
    """T0: a person says that it has come, by a document; rights to write are taken, and another role looks. Asked once everything
    is filed and everybody told that has to be before; of a revoked licence at once, and what is filed is asked beside it."""

    @task_group(group_id="t0")
    def at_t0() -> None:
        filed = Waits(
            task_id="filed", waiting=_before_t0, first_look=FIRST_LOOK, seldomest=SELDOMEST,
            doc_md="Waits for the gates that T0 needs, and for letters that name that day.",
        )  # fmt: skip
        asked_to_close = _ask(Gate.CLOSED)
        filed >> asked_to_close
        closed = close_collection(number, asked_to_close.output)
        shown = unseen(number)
        asked = _ask_unseen()
        closed >> prove(number) >> shown >> asked
        go_on(number, asked.output, shown)

    return at_t0()


@step(task_id="close", pool="disposals")
def close_collection(number: str, answer: dict[str, Any]) -> str:
    """Every right to write of what the order is about is taken. Refused before T0: clear the question on that day."""
    if "known" in answer:
        return str(answer["known"])
    closed = closing.close(
        desk(), number, paper=paper(answer["params_input"]), as_of=today(), actor=person(answer, "ops")
    )  # fmt: skip
    return f"closed on {closed.closed_on}"


@step(pool="proofs")
def prove(number: str) -> str:
    """Looked at by the prover: nothing was written since, and nobody can write. Identifiers are gathered,
    by which what is left is looked through; and what there is then opens the books."""
    proof = closing.prove(desk(), number, **now())
    needles.gather(desk(), number, **now())
    located.locate(desk(), number, **now())
    return closing.proved(proof)


@step
def unseen(number: str) -> dict[str, Any]:
    """What the last look could not see and nobody answers for, as the question shows it: places and reasons, and which look."""
    with desk().book() as conn:
        found = accepting.shown(conn, number)
    return {"look": found.look, "places": str(found)}


@step
def go_on(number: str, answer: dict[str, Any], shown: dict[str, Any]) -> str:
    """Nothing goes on by itself behind what could not be seen: somebody answers for it, or the run ends here, as UNVERIFIED. The
    answer is for what was shown: every night looks again, and who answers days later saw no more than the question."""
    if "known" in answer:
        return str(answer["known"])
    if not chose(answer, ANSWERED_FOR):
        raise NotProved(
            "UNVERIFIED: that nothing is collected since T0 could not be seen everywhere, and nobody answers for it",
            about=number,
            next_step="see the order's page; make it visible, then clear `t0.prove`, which looks again",
        )  # fmt: skip
    places = accepting.accept(
        desk(), number, look=shown["look"], paper=paper(answer["params_input"]), as_of=today(), actor=person(answer, "legal")
    )  # fmt: skip
    return f"UNVERIFIED, and answered for: {', '.join(places)}"


@step(retries=0)
def no_gate_is_overdue() -> str:
    """Red while a gate of the order in force is overdue, or nobody takes over; or of one that was not approved."""
    with desk().book() as conn:
        found = orders.alarms(conn, today())
    if found:
        raise NotProved(
            "; ".join(found), about="shutdown", next_step="do it, then record it (docs/shutdown.md); late, it moves T0"
        )  # fmt: skip
    return "no gate is overdue"


@step(retries=0)
def no_data_room_is_overdue() -> str:
    """Red while a deal is over and somebody's copies of what was shown are past their last day."""
    with desk().book() as conn:
        found = dataroom.alarms(conn, today())
    if found:
        raise NotProved(
            "; ".join(found), about="data rooms", next_step="clear our copies, and ask for the statement (docs/dataroom.md)"
        )  # fmt: skip
    return "no data room is overdue"


@step(pool="proofs")
def nothing_is_collected() -> str:
    """Of an order whose collection is closed: looked at again every night, by the prover."""
    with desk().book() as conn:
        of = orders.in_force(conn)
    if of is None or of.closed_on is None:
        return "no collection is closed"
    said = closing.proved(closing.prove(desk(), of.number, **now()))
    with desk().book() as conn:
        open_ = accepting.open_places(conn, of.number)
    if open_:
        raise NotProved(
            f"UNVERIFIED: {said}", about=of.number,
            next_step="look there in another way, then `quietus shutdown accept-unverified`, which shows it, by a document",
        )  # fmt: skip
    return said


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


def _ask_unseen() -> Ask:
    """Asked only if the look after T0 could not see everything."""
    return Ask(
        task_id="ask_unseen",
        case_of="take_up",
        answered=_standing,
        subject=f"{ORDER}: 停止收集未能全部核查 · UNVERIFIED: not all could be seen after T0",
        body="What could not be seen, and why (look {{ ti.xcom_pull(task_ids='t0.unseen')['look'] }}): "
        "{{ ti.xcom_pull(task_ids='t0.unseen')['places'] }}\n\n"
        f"Look there in another way: {PAGE.format(n=ORDER)}. Whoever answers for going on, for these places and no others, gives "
        "a document; else the run ends here. 上列未能核查之处须另行查明;同意就上列各处继续的,填写文书编号与文件的SHA-256。",
        options=[ANSWERED_FOR, NOT_ANSWERED_FOR],
        params=forms.paper(),
    )


def _standing(number: str) -> str | None:
    with desk().book() as conn:
        return accepting.standing(conn, number)


def _ask_approver(n: int) -> Ask:
    return Ask(
        task_id="ask",
        case_of="take_up",
        answered=lambda number: _approved(number, n),
        subject=f"{ORDER}: 请批准停止运营令（第{n + 1}位批准人） · approve the shutdown (approver {n + 1})",
        body=(
            "须由命令所列的批准人本人登录后批准。 Only that approver, logged in.\n\n"
            f"预览 What it would do: {{{{ ti.xcom_pull(task_ids='preview') }}}}. {PAGE.format(n=ORDER)}"
        ),
        options=[APPROVE],
    )


def _approved(number: str, n: int) -> str | None:
    with desk().book() as conn:
        of = orders.order(conn, number)
    return None if of.approvers[n] in of.waits_for else "approved already"


def _before_t0(number: str) -> list[str]:
    with desk().book() as conn:
        return list(closing.missing(desk(), conn, orders.order(conn, number)))


def _known(number: str, which: Gate) -> str | None:
    """For a question: what the book has already, or that nobody has to be told."""
    with desk().book() as conn:
        if which not in orders.days(conn, orders.order(conn, number)).gates:
            return NOT_NEEDED[which]
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


def paper(given: dict[str, Any]) -> Paper:
    """The document of an answer, as its fields have it."""
    return Paper(str(given.get("document") or ""), str(given.get("digest") or "").lower())
