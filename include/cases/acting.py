"""The verbs that change the company's stores: restrict, settle and plan, dispose.

Each may be killed at any instant and run again. The stores commit receipts with the deed itself; the book
copies them and advances only from them, so a resumed run does nothing twice and forgets nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from include.cases import book, decisions, outbox, papers, planner, subjects, tracks, units
from include.cases.book import Case, Conn
from include.cases.deciding import provisions, write_notices
from include.cases.rooms import Desk, reachable
from include.cases.situation import facts
from include.cases.units import Unit
from include.model.doors import Store
from include.model.errors import Drifted, Refused
from include.model.flow import Line, Located, Plan, Receipt, Step, Survey
from include.model.times import observed_now
from include.model.words import CaseState, Disposition, UnitState

_TRIES = 3  # a survey may be overtaken by an upload that was under way; then it is made again


def restrict(desk: Desk, case_no: str, *, as_of: date, actor: str) -> tuple[Receipt, ...]:
    """Stop all use of the person's items in every store, the same day, before anything is deleted.

    Raises Refused before anything is touched if nobody approved, and NotReachable if a store is down:
    then the others stay restricted, and running it again restricts the rest.
    """
    with desk.book() as conn:
        case = book.case(conn, case_no)
        _may_act(case)
        if case.ground.own_initiative and not outbox.listing(conn, case_no):
            write_notices(desk, case_no, as_of=as_of, actor=actor)
        approved = _approved(conn, case)
        with book.deed(conn, case_no):
            row = papers.open_step(conn, case, "live", as_of, planner.restricting(case.ground))
        step = row.step(case, subjects.ids(conn, desk.keys, case))
        found: list[Receipt] = []
        for store in reachable(desk.stores()):
            done = [r for r in store.receipts(step) if r.verb == "restrict"]
            if not done:
                store.open(step)
                store.survey(step)
                store.restrict(step)
                done = [r for r in store.receipts(step) if r.verb == "restrict"]
            if not done:
                raise Drifted(
                    "the store restricted but left no receipt", about=f"{case_no} {store.id}",
                    next_step="check the store's quietus schema, then run this step again",
                )  # fmt: skip
            found += done
            with book.deed(conn, case_no):
                papers.keep_receipts(conn, case, done)
        with book.deed(conn, case_no):
            case = book.case(conn, case_no, lock=True)
            if row.step_no == 1 and not papers.plans(conn, case, "live"):
                units.sync(conn, case, desk.catalogue, approved, len(step.subjects))
            _restrict_units(conn, case, as_of, actor)
            book.move(conn, case_no, CaseState.ACTING, facts(conn, case, as_of), actor, stores=len(found))
    return tuple(found)


def _may_act(case: Case) -> None:
    if case.state is CaseState.ACTING:
        return
    if case.state is not CaseState.ASSESSING:
        raise Refused(
            f"a case that is {case.state.value} is not acted on", about=case.case_no,
            next_step="verify and approve it first" if case.open else "see `quietus case show`",
        )  # fmt: skip
    if not (case.ground.own_initiative or case.approved_plan):
        raise Refused(
            "nobody has approved the plan", about=case.case_no, next_step="have it approved; the clock runs"
        )


def _approved(conn: Conn, case: Case) -> Plan:
    if case.approved_plan:
        return papers.plan_of(conn, case, case.approved_plan)
    rehearsed = papers.plans(conn, case, "rehearsal")
    if not rehearsed:
        raise Refused("there is no plan yet", about=case.case_no, next_step="rehearse the case first")
    return rehearsed[-1]


def _restrict_units(conn: Conn, case: Case, as_of: date, actor: str) -> None:
    base = facts(conn, case, as_of)
    fresh = [u for u in units.of_case(conn, case.case_no) if u.state is UnitState.ACTIVE]
    units.move(conn, fresh, UnitState.RESTRICTED, lambda u: u.facts(base), actor)


def settle_and_plan(desk: Desk, case_no: str, *, as_of: date, actor: str) -> Plan:
    """Wait until nothing older than the restriction is open, survey again, and make the plan in force.

    A store that has begun to dispose keeps its part of the plan it was begun with; the others are planned
    anew, so that a run which died half-way, or met a drift in its second store, goes on. Raises Refused
    with findings in the book if the new plan goes beyond what was approved; :func:`accept_plan` then takes
    another person's word for it.
    """
    with desk.book() as conn:
        case = book.case(conn, case_no)
        step, row = _live(desk, conn, case)
        plan = _settled(desk, conn, case, step, papers.plans(conn, case, "live"))
        approved = _approved(conn, case)
        with book.deed(conn, case_no):
            case = book.case(conn, case_no, lock=True)
            fingerprint = papers.keep_plan(conn, plan)
            differences = planner.compare(approved, plan, desk.catalogue.measures)
            grave = planner.grave(approved, plan, differences)
            if case.approved_plan != fingerprint and row.step_no == 1:
                papers.keep_findings(conn, case_no, grave)
            else:
                grave = ()
            if not grave:
                papers.settle_findings(
                    conn, case_no, "differs_from_rehearsal", None, actor=actor, settlement="planned again"
                )
            units.sync(conn, case, desk.catalogue, plan, len(step.subjects))
            _restrict_units(conn, case, as_of, actor)
            book.note(conn, case_no, as_of, actor, "planned",
                      detail={"plan": fingerprint, "differences": len(differences),
                              "grave": len(grave)})  # fmt: skip
    if grave:
        raise Refused(
            f"the plan goes beyond what was approved in {len(grave)} places; the first, {grave[0].place}: "
            f"{grave[0].what}",
            about=case_no,
            next_step="look at the new plan and accept it, as another person than the requester",
        )  # fmt: skip
    return plan


def accept_plan(desk: Desk, case_no: str, *, approver: str, plan: str, as_of: date) -> Case:
    """Approve the live plan that went beyond its rehearsal. Raises Refused if it is not the latest."""
    with desk.book() as conn, book.deed(conn, case_no):
        case = book.case(conn, case_no, lock=True)
        live = papers.plans(conn, case, "live")
        if not live or live[-1].fingerprint() != plan:
            raise Refused("this is not the plan in force", about=case_no, next_step="look at the latest plan")
        decisions.approve(conn, case, approver, plan)
        for code in ("differs_from_rehearsal", "other_catalogue"):
            papers.settle_findings(conn, case_no, code, None, actor=approver, settlement="accepted")
        book.note(conn, case_no, as_of, approver, "approved", detail={"plan": plan})
        return book.case(conn, case_no)


def _live(desk: Desk, conn: Conn, case: Case) -> tuple[Step, papers.StepRow]:
    row = papers.current_step(conn, case, "live")
    if row is None or row.closed or case.state is not CaseState.ACTING:
        raise Refused("the case is not restricted", about=case.case_no, next_step="restrict it first")
    return row.step(case, subjects.ids(conn, desk.keys, case)), row


def _settled(desk: Desk, conn: Conn, case: Case, step: Step, earlier: Sequence[Plan]) -> Plan:
    provided = provisions(desk, conn, case, step.as_of)
    if provided.findings:
        with book.deed(conn, case.case_no):
            papers.keep_findings(conn, case.case_no, provided.findings)
        first = provided.findings[0]
        raise Refused(first.what, about=f"{case.case_no} {first.place}", next_step=first.next_step)
    located: list[Located] = []
    lines: list[Line] = []
    surveys: list[Survey] = []
    for store in reachable(desk.stores()):
        if (begun := _begun_with(store, step, earlier)) is not None:
            ours = {d.id for d in desk.catalogue.of_store(store.id)}
            mine = tuple(x for x in begun.located if x.dataset in ours)
            surveys.append(Survey(step=step.id, store=store.id, located=mine, observed_at=observed_now()))
            located += mine
            lines += [x for x in begun.lines if x.dataset in ours]
            continue
        surveys.append(_survey_settled(store, step))
        located += surveys[-1].located
        lines += store.weigh(step, provided.of_store(desk.catalogue, store.id))
    if unseen := planner.missing(provided.provisions, surveys):
        with book.deed(conn, case.case_no):
            papers.keep_findings(conn, case.case_no, unseen)
        raise Refused(
            unseen[0].what, about=f"{case.case_no} {unseen[0].place}", next_step=unseen[0].next_step
        )
    return planner.plan(step, located, lines, desk.catalogue.digest, desk.code)


def _begun_with(store: Store, step: Step, plans: Sequence[Plan]) -> Plan | None:
    """The plan that a store was begun with, by its receipts; None if it was not begun."""
    begun = {r.plan for r in store.receipts(step) if r.verb == "dispose"}
    found = [p for p in plans if p.fingerprint() in begun]
    if begun and not found:
        raise Drifted(
            "the store was begun under a plan that is not this case's", about=f"{step.case_no} {store.id}",
            next_step="find out who disposed, before anything else",
        )  # fmt: skip
    return found[-1] if found else None


def _survey_settled(store: Store, step: Step) -> Survey:
    for attempt in range(_TRIES):
        try:
            store.settle(step)
            break
        except Drifted:
            if attempt == _TRIES - 1:
                raise
            store.survey(step)
    return store.survey(step)


def dispose(desk: Desk, case_no: str, *, as_of: date, actor: str) -> tuple[Receipt, ...]:
    """Carry out the plan in force, store by store. A second run finds nothing to do.

    Tombstones are written first, so that no restore can fall between. Raises Drifted if the items are no
    longer those that were weighed (then nothing of that store was touched: settle and plan again).
    """
    with desk.book() as conn:
        case = book.case(conn, case_no)
        step, row = _live(desk, conn, case)
        plans = papers.plans(conn, case, "live")
        if not plans:
            raise Refused("there is no plan in force", about=case_no, next_step="settle and plan first")
        _accepted(conn, case)
        with book.deed(conn, case_no):
            if case.kind == "request" and planner.restricting(case.ground):
                tracks.bury(conn, desk.keys, case, step.subjects, as_of)
            case = book.case(conn, case_no, lock=True)
            _begin_units(conn, case, as_of, actor)
        done: list[Receipt] = []
        for store in reachable(desk.stores()):
            _dispose_store(desk, store, step, plans)
            receipts = [r for r in store.receipts(step) if r.verb == "dispose"]
            done += receipts
            with book.deed(conn, case_no):
                papers.keep_receipts(conn, case, receipts)
        with book.deed(conn, case_no):
            counts: dict[str, int] = {}
            for receipt in done:
                for what in receipt.counts.values():
                    for word, items in what.items():
                        counts[word] = counts.get(word, 0) + items
            book.note(conn, case_no, as_of, actor, "disposed", detail={"step": row.step_id, **counts})
    return tuple(done)


def _accepted(conn: Conn, case: Case) -> None:
    codes = ("differs_from_rehearsal", "other_catalogue")
    open_ = [f for f in papers.open_findings(conn, case.case_no) if f["code"] in codes]
    if open_:
        raise Refused(
            f"the plan goes beyond what was approved: {open_[0]['what']}",
            about=f"{case.case_no} {open_[0]['place']}",
            next_step="accept the new plan, as another person than the requester",
        )  # fmt: skip


def _begin_units(conn: Conn, case: Case, as_of: date, actor: str) -> None:
    """Rows 8, 10 and 11: what is held parks, what is kept is told its date, what goes begins to go."""
    base = facts(conn, case, as_of)
    ours = [
        u
        for u in units.of_case(conn, case.case_no)
        if u.state in (UnitState.RESTRICTED, UnitState.DELETE_FAILED)
    ]

    def of(*dispositions: Disposition) -> list[Unit]:
        return [u for u in ours if u.disposition in dispositions]

    units.move(conn, of(Disposition.HOLD), UnitState.HELD, lambda u: u.facts(base), actor)
    kept = [u for u in of(Disposition.RETAIN) if u.state is UnitState.RESTRICTED]
    units.move(conn, kept, UnitState.RESTRICTED, lambda u: u.facts(base), actor)
    going = of(Disposition.ERASE, Disposition.UNLINK)
    units.move(conn, going, UnitState.DELETING_LIVE, lambda u: u.facts(base), actor)


def _dispose_store(desk: Desk, store: Store, step: Step, plans: Sequence[Plan]) -> None:
    """Dispose in one store, by the plan it was begun with if it was begun before."""
    ours = {d.id for d in desk.catalogue.of_store(store.id)}
    begun = _begun_with(store, step, plans)
    plan = begun or plans[-1]
    if not any(x.disposition.changes_data for x in plan.lines if x.dataset in ours):
        return
    try:
        store.dispose(step, plan)
    except Drifted:
        # A store without transactions may have begun under the plan before and left no receipt yet.
        if begun is not None or len(plans) == 1:
            raise
        store.dispose(step, plans[-2])
