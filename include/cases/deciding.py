"""The verbs of deciding: rehearse, approve, refuse. Nothing at the company's stores is changed by any."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from include.cases import book, decisions, holds, outbox, papers, planner, refusals, subjects
from include.cases.book import Case, Conn
from include.cases.planner import Provided
from include.cases.refusals import EVERYTHING, RefusalGround
from include.cases.rooms import Desk, reachable
from include.cases.scopes import HoldBasis, Scope
from include.cases.situation import facts
from include.model.catalogue import Recipient
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
    if case.state is not CaseState.ASSESSING:
        raise Refused(
            f"a case that is {case.state.value} is not rehearsed", about=case_no,
            next_step="verify the person first" if not case.verified_at else "see `quietus case show`",
        )  # fmt: skip
    with desk.book() as conn:
        last = papers.current_step(conn, case, "rehearsal")
        done = papers.plans(conn, case, "rehearsal")
        same_day = last is not None and last.closed and bool(done) and last.as_of == as_of
        if same_day and fresh(desk, conn, case, done[-1]) and not papers.open_findings(conn, case_no):
            return done[-1]
        with book.deed(conn, case_no):
            row = papers.open_step(conn, case, "rehearsal", as_of, planner.restricting(case.ground))
        step = row.step(case, subjects.ids(conn, desk.keys, case))
        plan = survey_and_plan(desk, conn, case, step, actor)
        for store in desk.stores():
            store.close(step)
        with book.deed(conn, case_no):
            papers.keep_plan(conn, plan)
            papers.close_step(conn, step.id)
            detail = _counts(plan) | {"holds": _holds(desk, conn, case, as_of)}
            book.note(conn, case_no, as_of, actor, "rehearsed", detail=detail)
    return plan


def fresh(desk: Desk, conn: Conn, case: Case, plan: Plan) -> bool:
    """Whether a rehearsal still stands: same catalogue, same code, same holds."""
    if (plan.catalogue, plan.code) != (desk.catalogue.digest, desk.code):
        return False
    seen = [e["detail"].get("holds") for e in book.timeline(conn, case.case_no) if e["what"] == "rehearsed"]
    return bool(seen) and seen[-1] == _holds(desk, conn, case, plan.as_of)


def _holds(desk: Desk, conn: Conn, case: Case, as_of: date) -> list[str]:
    """The holds that touch this case, with the datasets they reach, as a list to compare."""
    provided = provisions(desk, conn, case, as_of)
    return sorted(f"{h.hold} {p.dataset}" for p in provided.provisions for h in p.holds)


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
    return planner.provide(
        desk.catalogue, case.ground, as_of, case_no=case.case_no,
        tokens=subjects.tokens(conn, case), holds=holds.orders(conn),
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
                        row["place"],
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

    ``plan`` is the fingerprint that the approver saw; by default the latest rehearsal's. Refused: an
    approver who is the requester, a plan that is not the latest. Approving twice changes nothing.
    """
    with desk.book() as conn:
        case = book.case(conn, case_no)
        rehearsed = papers.plans(conn, case, "rehearsal")
        if not rehearsed:
            raise Refused("there is no plan to approve", about=case_no, next_step="rehearse the case first")
        latest = rehearsed[-1].fingerprint()
        if plan is not None and plan != latest:
            raise Refused(
                "the plan was rehearsed again since you saw it",
                about=case_no,
                next_step="look at the new one",
            )
        if case.approved_plan == latest:
            return case
        if not fresh(desk, conn, case, rehearsed[-1]):
            raise Refused(
                "the catalogue, the code or the holds changed since the rehearsal", about=case_no,
                next_step="rehearse again, then look at the new plan",
            )  # fmt: skip
        given = desk.given_to(case, subjects.ids(conn, desk.keys, case))
        told = recipients(desk, rehearsed[-1], None if given is None else set(given))
        with book.deed(conn, case_no):
            case = book.case(conn, case_no, lock=True)
            if case.state is not CaseState.ASSESSING:
                raise Refused(
                    f"a case that is {case.state.value} is not decided",
                    about=case_no,
                    next_step="see its state",
                )
            decisions.approve(conn, case, approver, latest)
            book.note(conn, case_no, as_of, approver, "approved", detail={"plan": latest})
            case = book.case(conn, case_no)
            outbox.write(
                conn, case, desk.seal(case), told, given or {},
                facts=facts(conn, case, as_of, notice_written=True), actor=approver,
            )  # fmt: skip
            return case


def recipients(desk: Desk, plan: Plan, register: set[str] | None) -> tuple[Recipient, ...]:
    """Whom to tell: those the register names; without one, those whose declared categories we located."""
    if register is not None:
        return tuple(r for r in desk.catalogue.recipients if r.id in register)
    located = {x.dataset for x in plan.located if x.items}
    categories = {c for d in desk.catalogue.datasets if d.id in located for c in d.all_categories}
    return tuple(r for r in desk.catalogue.recipients if not categories.isdisjoint(r.categories))


def write_notices(desk: Desk, case_no: str, *, as_of: date, actor: str) -> int:
    """Write the notices of an own-initiative case, which nobody approves; how many were new."""
    with desk.book() as conn:
        case = book.case(conn, case_no)
        plan = papers.latest_plan(conn, case)
        given = desk.given_to(case, subjects.ids(conn, desk.keys, case))
        told = recipients(desk, plan, None if given is None else set(given))
        with book.deed(conn, case_no):
            known = facts(conn, case, as_of, notice_written=True)
            return outbox.write(conn, case, desk.seal(case), told, given or {}, facts=known, actor=actor)


def refuse(
    desk: Desk, case_no: str, *, ground: str, article: str, reasons: str, scope: Sequence[str],
    reviewer: str, second_reviewer: str, as_of: date,
) -> Case:  # fmt: skip
    """Refuse a request, wholly or in part (policy 11.4; PIPL 50).

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
                f"a case that is {case.state.value} is not decided", about=case_no, next_step="see its state"
            )
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
