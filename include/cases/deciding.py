"""The verbs of deciding: rehearse, approve, refuse. Nothing at the company's stores is changed by any."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from include.cases import book, decisions, holds, papers, parts, planner, refusals, subjects
from include.cases.book import Case, Conn
from include.cases.discretion import state_told
from include.cases.notices import beyond, composing, holes, outbox, preserving, synthetic
from include.cases.notices.whom import ToTell, whom
from include.cases.planner import Provided
from include.cases.refusals import EVERYTHING, RefusalGround
from include.cases.rooms import Desk, reachable
from include.cases.scopes import HoldBasis, Scope
from include.cases.situation import facts
from include.model.errors import Refused
from include.model.flow import Finding, Plan, Step, Survey
from include.model.words import CaseState

_REHEARSAL = "rehearsal."  # codes of findings that a later rehearsal settles by itself

_REFUSAL_BASIS = {
    RefusalGround.LEGAL_DUTY: HoldBasis.STATUTE,
    RefusalGround.NATIONAL_SECURITY: HoldBasis.AUTHORITY,
    RefusalGround.PUBLIC_INTEREST: HoldBasis.AUTHORITY,
    RefusalGround.CRIMINAL_PROCESS: HoldBasis.AUTHORITY,
}


def assess(desk: Desk, case_no: str, *, as_of: date, actor: str) -> Case:
    """TRIGGERED to ASSESSING: an own-initiative case needs no identity step. Others stay as they are."""
    with desk.book() as conn, book.deed(conn, case_no):
        case = book.case(conn, case_no, lock=True)
        if case.state is not CaseState.TRIGGERED:
            return case
        return book.move(conn, case_no, CaseState.ASSESSING, facts(conn, case, as_of), actor)


def rehearse(desk: Desk, case_no: str, *, as_of: date, actor: str) -> Plan:
    """Survey, weigh and plan without touching anything; the plan that the approver sees.

    Its step area is dropped again, so that no item keys lie about while people make up their minds.
    Raises Refused if a preflight or a contradiction in the catalogue stops the case; the findings are
    in the book. The same rehearsal again (same day, catalogue, code) gives the stored one.
    """
    case = assess(desk, case_no, as_of=as_of, actor=actor)
    with desk.book() as conn:
        if case.state is not CaseState.ASSESSING:
            raise Refused(
                f"a case that is {state_told(conn, case).value} is not rehearsed", about=case_no,
                next_step="verify the person first" if not case.verified_at else "see `quietus case show`",
            )  # fmt: skip
        last = papers.current_step(conn, case, "rehearsal")
        done = papers.plans(conn, case, "rehearsal")
        same_day = last is not None and last.closed and bool(done) and last.as_of == as_of
        if same_day and fresh(desk, conn, case, done[-1]) and not papers.in_the_way(conn, case_no):
            return done[-1]
        with book.deed(conn, case_no):
            row = papers.open_step(conn, case, "rehearsal", as_of, planner.restricting(case.ground))
        step = row.step(case, subjects.ids(conn, desk.keys, case))
        plan = survey_and_plan(desk, conn, case, step, actor)
        for store in desk.stores():
            store.close(step)
        with book.deed(conn, case_no):
            held = provisions(desk, conn, case, as_of).held
            papers.keep_plan(conn, plan, held)
            papers.close_step(conn, step.id)
            detail = _counts(plan) | {"holds": list(held)}
            book.note(conn, case_no, as_of, actor, "rehearsed", detail=detail)
    return plan


def fresh(desk: Desk, conn: Conn, case: Case, plan: Plan) -> bool:
    """Whether a rehearsal still stands: same catalogue, same code, same holds."""
    if (plan.catalogue, plan.code) != (desk.catalogue.digest, desk.code):
        return False
    seen = [e["detail"].get("holds") for e in book.timeline(conn, case.case_no) if e["what"] == "rehearsed"]
    return bool(seen) and seen[-1] == list(provisions(desk, conn, case, plan.as_of).held)


def survey_and_plan(desk: Desk, conn: Conn, case: Case, step: Step, actor: str) -> Plan:
    """Preflight, open, survey and weigh in every store, and plan. Findings are stored before it raises."""
    provided = provisions(desk, conn, case, step.as_of)
    stores = reachable(desk.stores())
    preflight = tuple(f for store in stores for f in store.preflight())
    _stop(conn, case, (*preflight, *provided.findings), actor)
    surveys: list[Survey] = []
    for store in stores:
        store.open(step)
        surveys.append(store.survey(step))
    unseen = planner.missing(provided.provisions, surveys)
    _stop(conn, case, unseen, actor, done=not unseen)
    lines = [
        line for store in stores for line in store.weigh(step, provided.of_store(desk.catalogue, store.id))
    ]
    located = [x for survey in surveys for x in survey.located]
    return planner.plan(step, located, lines, desk.catalogue.digest, desk.code)


def provisions(desk: Desk, conn: Conn, case: Case, as_of: date) -> Provided:
    """What catalogue and open holds provide for this case."""
    orders = holds.orders(conn)
    named = frozenset[str]().union(*(o.scope.subjects for o in orders))
    return planner.provide(
        desk.catalogue, case.ground, as_of, case_no=case.case_no,
        tokens=subjects.tokens_among(conn, desk.keys, case, named), holds=orders,
        released=holds.released_of_those_that_came(conn), reach=parts.reach(desk, conn, case),
    )  # fmt: skip


def _stop(conn: Conn, case: Case, found: Sequence[Finding], actor: str, *, done: bool = False) -> None:
    """Store findings of a rehearsal and raise on them; settle those of earlier ones once it is ``done``."""
    kept = [f.model_copy(update={"code": f"{_REHEARSAL}{f.code}"}) for f in found]
    with book.deed(conn, case.case_no):
        if done:
            for row in papers.open_findings(conn, case.case_no):
                if row["code"].startswith(_REHEARSAL):
                    papers.settle_findings(
                        conn,
                        case.case_no,
                        row["code"],
                        [row["place"]],
                        actor=actor,
                        settlement="no longer found",
                    )
        papers.keep_findings(conn, case.case_no, kept)
    if found:
        first = found[0]
        where = first.dataset or first.place
        raise Refused(
            f"{len(found)} findings stop the case; the first, {first.code}: {first.what} ({first.place})",
            about=f"{case.case_no} {where}", next_step=first.next_step,
        )  # fmt: skip


def approve(desk: Desk, case_no: str, *, approver: str, as_of: date, plan: str | None = None) -> Case:
    """Approve a rehearsed plan, and write the recipients' notices in the same transaction (policy 11.2).

    ``plan`` is the fingerprint that the approver saw; it may be left out only where there was never more than
    one to see. A case at work whose plan went beyond what was approved: that plan is accepted (:func:`accept_plan`).
    Refused: an approver who is the requester, a plan that is not the latest. Approving twice changes nothing.
    """
    with desk.book() as conn:
        case = book.case(conn, case_no)
        if plan is not None and case.approved_plan == plan:
            return case
        if case.state is CaseState.ACTING and further(conn, case_no):
            return accept_plan(desk, case_no, approver=approver, plan=plan or "", as_of=as_of)
        rehearsed = papers.plans(conn, case, "rehearsal")
        if not rehearsed:
            raise Refused("there is no plan to approve", about=case_no, next_step="rehearse the case first")
        latest = rehearsed[-1].fingerprint()
        _seen(conn, case, plan, latest)
        if case.approved_plan == latest:
            return case
        if not fresh(desk, conn, case, rehearsed[-1]):
            raise Refused(
                "what the plan rests on changed since the rehearsal", about=case_no,
                next_step="rehearse again, then look at the new plan",
            )  # fmt: skip
        told = _whom(desk, conn, case, rehearsed[-1], as_of)
        with book.deed(conn, case_no):
            case = book.case(conn, case_no, lock=True)
            if case.state is not CaseState.ASSESSING:
                raise Refused(
                    f"a case that is {state_told(conn, case).value} is not decided",
                    about=case_no,
                    next_step="see its state",
                )
            decisions.approve(conn, case, approver, latest)
            book.note(conn, case_no, as_of, approver, "approved", detail={"plan": latest})
            case = book.case(conn, case_no)
            _write(desk, conn, case, rehearsed[-1], told, as_of, approver)
            return case


FURTHER = ("differs_from_rehearsal", "other_catalogue")
"""Codes of findings that say: the plan in force goes beyond what was approved. Only another word settles them."""


def further(conn: Conn, case_no: str) -> list[dict[str, Any]]:
    """Where the plan in force goes beyond what was approved, and nobody has accepted that yet."""
    return [f for f in papers.open_findings(conn, case_no) if f["code"] in FURTHER]


def accept_plan(desk: Desk, case_no: str, *, approver: str, plan: str, as_of: date) -> Case:
    """Approve the live plan that went beyond its rehearsal. Raises Refused if it is not the one in force."""
    with desk.book() as conn, book.deed(conn, case_no):
        case = book.case(conn, case_no, lock=True)
        live = papers.plans(conn, case, "live")
        if not live or live[-1].fingerprint() != plan:
            raise Refused(
                "this is not the plan in force", about=case_no, next_step="look at the plan in force"
            )
        decisions.approve(conn, case, approver, plan)
        for code in FURTHER:
            papers.settle_findings(conn, case_no, code, None, actor=approver, settlement="accepted")
        book.note(conn, case_no, as_of, approver, "approved", detail={"plan": plan})
        return book.case(conn, case_no)


def _seen(conn: Conn, case: Case, plan: str | None, latest: str | None) -> None:
    """Raises Refused unless the plan that somebody decides on is the latest they can have been shown."""
    if plan is None and papers.rehearsals(conn, case) > 1:
        raise Refused(
            "more than one plan was rehearsed, and the decision does not say which it is about",
            about=case.case_no, next_step="decide on the latest rehearsal, and name its fingerprint",
        )  # fmt: skip
    if plan is not None and plan != latest:
        raise Refused(
            "the plan was rehearsed again since you saw it", about=case.case_no,
            next_step="look at the new one: clear `rehearse` in the run",
        )  # fmt: skip


def _whom(desk: Desk, conn: Conn, case: Case, plan: Plan, as_of: date) -> tuple[ToTell, ...]:
    """Whom to tell, and what each was given: looked up before anything is disposed of."""
    told = whom(desk.catalogue, desk.company, plan, subjects.ids(conn, desk.keys, case), as_of)
    told = synthetic.also_told(conn, desk.keys, case, desk.catalogue, told)
    if case.ground.whole_person:
        return told
    # What we hold of the same kind by our own contract, recipients have by that as well.
    reached, ours = (
        {
            c
            for x in plan.lines
            if x.not_reached is not_reached
            for c in desk.catalogue.dataset(x.dataset).all_categories
        }
        for not_reached in (False, True)
    )
    return tuple(t for one in told if (t := one.about(reached - ours)) is not None)


def _write(
    desk: Desk, conn: Conn, case: Case, plan: Plan, told: Sequence[ToTell], as_of: date, actor: str
) -> int:
    known = facts(conn, case, as_of, notice_written=True)
    new = outbox.write(
        conn, case, desk.seal(case), told, facts=known, actor=actor,
        preserved=composing.held(desk.catalogue, plan, holds.orders(conn)),
        because="reopened" if _reopened(conn, case) else "decision",
    )  # fmt: skip
    papers.keep_findings(conn, case.case_no, [holes.finding(t.recipient.id) for t in told if new and t.hole])
    for one in told if new else ():
        beyond.keep(conn, case, one, as_of, actor)
    return new


def _reopened(conn: Conn, case: Case) -> bool:
    row = conn.execute(
        "SELECT EXISTS (SELECT FROM casebook.event WHERE case_no = %s AND to_state = 'reopened') AS again",
        (case.case_no,),
    ).fetchone()
    return bool(row and row["again"])


def notices_written(conn: Conn, case: Case) -> bool:
    """Whether the recipients of the decision in force have their notices; a case that is reopened is decided anew."""
    row = conn.execute(
        "SELECT EXISTS (SELECT FROM casebook.event WHERE case_no = %(no)s AND what IN ('notices written', 'nobody to tell')"
        " AND event_id > (SELECT coalesce(max(event_id), 0) FROM casebook.event"
        "  WHERE case_no = %(no)s AND to_state = 'reopened')) AS written",
        {"no": case.case_no},
    ).fetchone()
    return bool(row and row["written"])


def write_notices(desk: Desk, case_no: str, *, as_of: date, actor: str) -> int:
    """Write the notices of an own-initiative case, which nobody approves; how many were new."""
    with desk.book() as conn:
        case = book.case(conn, case_no)
        plan = papers.latest_plan(conn, case)
        told = _whom(desk, conn, case, plan, as_of)
        with book.deed(conn, case_no):
            new = _write(desk, conn, case, plan, told, as_of, actor)
            if not new:
                book.note(conn, case_no, as_of, actor, "nobody to tell", law_row=15)
            return new


def refuse(
    desk: Desk, case_no: str, *, ground: str, article: str, reasons: str, scope: Sequence[str],
    reviewer: str, second_reviewer: str, as_of: date, plan: str | None = None,
) -> Case:  # fmt: skip
    """Refuse a request, wholly or in part (policy 11.4; PIPL 50). ``plan``: as in :func:`approve`.

    Everything refused: the case is REFUSED. Categories or datasets refused: they are put under a hold of
    just that scope, and the case goes on to approval for the rest. Raises Refused if anything is missing.
    """
    with desk.book() as conn, book.deed(conn, case_no):
        case = book.case(conn, case_no, lock=True)
        book.checked_actor(second_reviewer)
        refusal = refusals.refusal(
            ground=ground, article=article, reasons=reasons, scope=tuple(scope),
            requester=book.person(case.opened_by),
            reviewer=book.person(book.checked_actor(reviewer)), second_reviewer=book.person(second_reviewer),
        )  # fmt: skip
        if case.state is not CaseState.ASSESSING:
            raise Refused(
                f"a case that is {state_told(conn, case).value} is not decided",
                about=case_no,
                next_step="see its state",
            )
        rehearsed = papers.plans(conn, case, "rehearsal")
        _seen(conn, case, plan, rehearsed[-1].fingerprint() if rehearsed else None)
        named = refusals.Refusal(
            refusal.ground, refusal.article, refusal.reasons, refusal.scope, reviewer, second_reviewer
        )
        if EVERYTHING in scope:
            decisions.refuse(conn, case, named, desk.seal(case))
            return book.move(
                conn, case_no, CaseState.REFUSED, facts(conn, case, as_of), reviewer,
                ground=refusal.ground.value, article=refusal.article,
            )  # fmt: skip
        part = _scope(desk, case_no, scope)
        hold = holds.open_hold(
            conn, basis=_REFUSAL_BASIS.get(refusal.ground, HoldBasis.DISPUTE),
            document_no=f"refusal {case_no}", issuing_body="two reviewers", scope=part,
            law=f"policy {refusal.ground.value}; {refusal.article}", as_of=as_of, actor=reviewer,
        )  # fmt: skip
        preserving.hold_opened(
            desk, conn, holds.order(conn, hold), (case_no,), as_of=as_of, actor=reviewer
        )  # of a case that was reopened, recipients have notices already
        decisions.refuse(conn, case, named, desk.seal(case))
        book.note(conn, case_no, as_of, reviewer, "refused in part",
                  detail={"ground": refusal.ground.value, "scope": sorted(scope), "hold": hold})  # fmt: skip
        return case


def _scope(desk: Desk, case_no: str, names: Sequence[str]) -> Scope:
    categories = frozenset(n for n in names if n in {c.id for c in desk.catalogue.categories})
    datasets = frozenset(n for n in names if n in {d.id for d in desk.catalogue.datasets})
    if unknown := sorted(set(names) - categories - datasets):
        raise Refused(
            f"{len(unknown)} names of the scope are neither category nor dataset", about=case_no,
            next_step="see `quietus catalogue explain`",
        )  # fmt: skip
    return Scope(cases=frozenset({case_no}), categories=categories, datasets=datasets)


def _counts(plan: Plan) -> dict[str, object]:
    """Counts for the timeline."""
    counts: dict[str, int] = {"located": sum(x.items for x in plan.located)}
    for line in plan.lines:
        counts[line.disposition.past] = counts.get(line.disposition.past, 0) + line.items
    return dict(counts)
