"""The steps that promises are made of: each one verb of the case book, as one of Airflow's tasks.

A step is handed a case number, and what a person answered. What it returns is stored by Airflow: counts, dates, names
of datasets and laws. Each may be cleared and run again; nothing is done twice.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import get_current_context, task
from quietus_console.handing_out import hand_out
from quietus_console.questions import MATCHED, REFUSE, RETURN, answered_at, chose, person
from quietus_console.work import desk, now, step, today

from include.cases import keeping, progress, provers, verbs, watch
from include.cases.briefing import briefing
from include.cases.discretion import discretion
from include.cases.notices import figures
from include.cases.refusals import EVERYTHING
from include.model.errors import LedgerError, NotProved, Refused

Answer = dict[str, Any]
Rehearsed = dict[str, str]  # a plan as it is shown to who decides, and its fingerprint


@step
def take_up() -> str:
    """The case that this run is about, and nothing else."""
    conf = get_current_context()["params"]
    if conf.get("account_id"):
        raise Refused(
            "an account id reached Airflow: the intake of this Airflow is not installed",
            about="account_cancellation",
            next_step="load the plugin quietus_console, then trigger again",
        )
    return progress.taken_up(desk(), conf.get("case"))


# --- who asks -------------------------------------------------------------------------------------


@step(task_id="request")
def request_identity(case_no: str) -> None:
    """The clock of 15 days starts."""
    verbs.ask_identity_if_due(desk(), case_no, **now())


@step(task_id="record")
def record_identity(case_no: str, answer: Answer) -> str:
    """An unexplained tick is not accepted; without a match the case fails here."""
    if "known" in answer:
        return str(answer["known"])
    given = answer["params_input"]
    outcome = "matched" if chose(answer, MATCHED) else "mismatched"
    state = verbs.record_identity(
        desk(), case_no, outcome=outcome, method=given.get("method") or "",
        fields=given.get("fields") or (), as_of=today(), actor=person(answer, "identity"),
        answered_at=answered_at(answer),
    ).state  # fmt: skip
    if outcome != "matched":
        raise Refused(
            "identity was not confirmed", about=case_no,
            next_step="nothing was changed; with new proof, trigger again with this case number",
        )  # fmt: skip
    return state.value


# --- what is to happen, and who says so -------------------------------------------------------------


@step(pool="disposals")
def rehearse(case_no: str) -> Rehearsed:
    """What would go and what would stay, counted without touching anything; or the plan in force, of a case at work."""
    at = desk()
    plan = progress.acted_on(at, case_no) or verbs.rehearse(at, case_no, **now())
    with at.book() as conn:
        return {"briefing": briefing(plan, at.catalogue, discretion(conn)), "plan": plan.fingerprint()}


@task.branch
def next_step(answer: Answer) -> str:
    """To the approval, or to the second reviewer of a refusal."""
    return "decide.ask_second_reviewer" if chose(answer, REFUSE) else "decide.approve"


@step
def approve(case_no: str, answer: Answer, rehearsed: Rehearsed) -> str:
    """Of the plan that was shown, and no other; with the notices to recipients. The requester may not approve."""
    if "known" in answer:
        return str(answer["known"])
    approver = person(answer, "approver")
    return verbs.approve(
        desk(), case_no, approver=approver, as_of=today(), plan=rehearsed["plan"]
    ).state.value


@step
def refuse(case_no: str, answer: Answer, review: Answer, rehearsed: Rehearsed) -> None:
    """Recorded with ground, article, reasons and scope, by two people."""
    if chose(review, RETURN):
        raise Refused(
            "the second reviewer returned the refusal", about=case_no,
            next_step="clear the task decide.ask and decide again; the clock runs",
        )  # fmt: skip
    given = answer["params_input"]
    ground = given.get("refusal_ground") or ""
    verbs.refuse(
        desk(), case_no, ground=ground, article=f"policy {ground}" if ground else "",
        reasons=given.get("reasons_document") or "", scope=given.get("refusal_scope") or (),
        reviewer=person(answer, "approver"), second_reviewer=person(review, "second_reviewer"),
        as_of=today(), plan=rehearsed["plan"],
    )  # fmt: skip
    if EVERYTHING not in given["refusal_scope"]:
        raise Refused(
            "a part is refused and held; the rest is to be decided", about=case_no,
            next_step="trigger again with this case number",
        )  # fmt: skip


# --- restrict, plan, dispose: each followed by its proof --------------------------------------------


@step(pool="disposals")
def stop_use(case_no: str) -> int:
    """Rows and objects hidden from the company's own applications, sessions and certificates revoked."""
    return len(verbs.restrict(desk(), case_no, **now()))


@step(pool="proofs", task_id="prove")
def prove_restricted(case_no: str) -> str:
    """Read as each of the company's own applications: nothing of the person comes back."""
    return provers.prove_restricted(desk(), case_no, **now())


@step(pool="disposals")
def settle(case_no: str) -> str:
    """Wait for whatever is older than the restriction, survey again, and make the plan in force."""
    return verbs.settle_and_plan(desk(), case_no, **now()).fingerprint()


@step(pool="proofs", task_id="prove")
def prove_baseline(case_no: str) -> str:
    """The prover sees exactly what was located: it is not blind."""
    return provers.prove_baseline(desk(), case_no, **now())


@step(pool="disposals")
def carry_out(case_no: str) -> int:
    """Erase, de-identify, unlink: in one transaction per closed chunk, with its receipt."""
    return provers.carry_out(desk(), case_no, **now())


@step(pool="proofs")
def prove_gone(case_no: str) -> str:
    """Looked at again by somebody else: what went is gone, what stays is all there."""
    return provers.prove_gone(desk(), case_no, **now())


@step(pool="proofs")
def prove_undeclared(case_no: str) -> str:
    """The person's own values, looked for in every column and every object, declared or not."""
    return provers.prove_undeclared(desk(), case_no, **now())


@step
def balance(case_no: str) -> int:
    """located = erased + deidentified + anonymised + transferred + unlinked + retained + held"""
    return len(verbs.balance(desk(), case_no, **now()))


# --- what is waited for, and the receipt --------------------------------------------------------------


@step
def wait_in_data(case_no: str) -> str:
    """Backups' tracks are opened; dates, recipients and holds are waited for in the case book."""
    at = desk()
    verbs.open_backup_track(at, case_no, **now())
    case = verbs.rest(at, case_no, **now())
    with at.book() as conn:
        return discretion(conn).case(case).state.value


@step
def certify(case_no: str) -> str:
    """The interim certificate in both editions, with its page of proofs; handed out once its head is kept outside."""
    return hand_out(desk(), case_no)


# --- clocks and the ledger ------------------------------------------------------------------------------


@step
def keep_the_ledger() -> str:
    """Whatever is queued gets its index and is under a signed head, and every head is kept outside."""
    return str(keeping.keep(desk().connections))


@step(pool="proofs")
def compare_with_anchors() -> str:
    """The whole log, recomputed from its entries, beside every head kept outside; red where they differ."""
    found = keeping.keep_and_audit(desk().connections)
    if found.findings:
        raise LedgerError(
            str(found), about="ledger",
            next_step="stop writing, keep the records cluster as it is, and see the table in docs/ledger.md",
        )  # fmt: skip
    return str(found)


@step
def say_how_recipients_answer() -> str:
    """How each recipient answers, how fast and how truly, in the ledger: counts, once a day."""
    return figures.to_ledger(desk(), as_of=today())


@step(retries=0)
def nothing_is_late() -> str:
    """Expire what nobody answered, escalate the silent, and say what is late, abroad, or given beyond the policy."""
    clocks = watch.look(desk(), **now())
    if clocks.alarms:
        raise NotProved(str(clocks), about="clocks", next_step="open the cases in the evidence console")
    return str(clocks)
