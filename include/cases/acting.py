"""The verbs that come before the deed at the company's stores: restrict; settle, and make the plan in force.

Each may be killed at any instant and run again. The stores commit receipts with the deed itself; the book
copies them and advances only from them, so a resumed run does nothing twice and forgets nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from include.cases import book, dormant, papers, planner, subjects, units, withdrawals
from include.cases.book import Case, Conn
from include.cases.deciding import FURTHER, notices_written, provisions, write_notices
from include.cases.discretion import discretion
from include.cases.planner import Provided
from include.cases.rooms import Desk, reachable
from include.cases.situation import facts, roll_up
from include.model.doors import Clearing, Store
from include.model.errors import Drifted, Refused
from include.model.flow import Finding, Line, Located, Plan, Receipt, Step, Survey
from include.model.times import observed_now
from include.model.words import CaseState, Ground, UnitState

_TRIES = 3  # a survey may be overtaken by an upload that was under way; then it is made again


def restrict(desk: Desk, case_no: str, *, as_of: date, actor: str) -> tuple[Receipt, ...]:
    """Stop all use of the person's items in every store, the same day, before anything is deleted.

    Raises Refused before anything is touched if nobody approved, and NotReachable if a store is down:
    then the others stay restricted, and running it again restricts the rest. A case that waits is woken if
    the date of one of its items has come: a new step begins, for what is left.
    """
    with desk.book() as conn:
        case = _woken(conn, book.case(conn, case_no), as_of, actor)
        _may_act(case)
        if case.own_initiative and not notices_written(conn, case):
            write_notices(desk, case_no, as_of=as_of, actor=actor)
        approved = _approved(conn, case)
        _something_to_do(desk, conn, case, approved, as_of)
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


def _woken(conn: Conn, case: Case, as_of: date, actor: str) -> Case:
    if case.state not in (CaseState.WAITING, CaseState.HELD):
        return case
    with book.deed(conn, case.case_no):
        woken = roll_up(conn, case.case_no, as_of, actor)
    if woken.state is CaseState.ACTING:
        return woken
    following = units.next_date(conn, case.case_no)
    raise Refused(
        "nothing of this case is due"
        + (f" before {following + timedelta(days=1)}" if following
           else "; it waits for a review, for backups or for recipients"),
        about=case.case_no, next_step="nothing is to be done today; trigger it again then",
    )  # fmt: skip


def _may_act(case: Case) -> None:
    if case.state is CaseState.ACTING:
        return
    if case.state is not CaseState.ASSESSING:
        raise Refused(
            f"a case that is {case.state.value} is not acted on", about=case.case_no,
            next_step="verify and approve it first" if case.open else "see `quietus case show`",
        )  # fmt: skip
    if not (case.own_initiative or case.approved_plan):
        raise Refused(
            "nobody has approved the plan", about=case.case_no, next_step="have it approved; the clock runs"
        )


def _something_to_do(desk: Desk, conn: Conn, case: Case, approved: Plan, as_of: date) -> None:
    """A case of ours that has come to nothing before it began is closed, and not acted on: nothing of a part is left, or the
    account that slept is used again."""
    if case.state is not CaseState.ASSESSING or not case.own_initiative:
        return
    if case.ground is Ground.DORMANT:
        nothing = any(not dormant.sleeps(desk, who, as_of) for who in subjects.ids(conn, desk.keys, case))
    else:
        nothing = not case.ground.whole_person and all(x.not_reached for x in approved.lines)
    if nothing:
        raise Refused(
            "it reaches nothing any more", about=case.case_no,
            next_step="`quietus retention unasked --open` closes it; the next night does, too",
        )  # fmt: skip


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


def _back_to_use(conn: Conn, case: Case, again: frozenset[str], as_of: date, actor: str) -> None:
    """Of what rests on a consent that was given again, the tracks by which nothing goes any more come to their end."""
    known = facts(conn, case, as_of, consented_again=True)
    left = [u for u in units.of_case(conn, case.case_no)
            if u.dataset in again and not u.ended and not u.items]  # fmt: skip
    if moved := units.move(conn, left, UnitState.LIVE_AGAIN, lambda _: known, actor):
        book.note(
            conn, case.case_no, as_of, actor, "consent given again", law_row=10, detail={"tracks": moved}
        )


def keep_to_consents(desk: Desk, conn: Conn, case: Case, store: Store, plan: Plan) -> None:
    """Raises Drifted if what a store is to begin with rests on a consent that was given again since the plan was made."""
    ours = {d.id for d in desk.catalogue.of_store(store.id)} & withdrawals.given_again(desk, conn, case)
    if any(x.disposition.changes_data and x.items for x in plan.lines if x.dataset in ours):
        raise Drifted(
            "a consent was given again since the plan was made", about=f"{case.case_no} {store.id}",
            next_step="plan again; whatever of this store is left was not touched",
        )  # fmt: skip


def settle_and_plan(desk: Desk, case_no: str, *, as_of: date, actor: str) -> Plan:
    """Wait until nothing older than the restriction is open, survey again, and make the plan in force.

    A store that is through, or can only go on with the plan it was begun with, keeps its part of that; of one that
    did some chunks the rest is planned anew, and so are the others. So a run which died half-way, or met a
    drift in its second chunk or store, goes on. Raises Refused
    with findings in the book if the new plan goes beyond what was approved; :func:`accept_plan` then takes
    another person's word for it.
    """
    with desk.book() as conn:
        case = book.case(conn, case_no)
        step, row = live(desk, conn, case)
        provided = _provided(desk, conn, case, step.as_of)
        for store in reachable(desk.stores()):
            if store.begun_under(step) is not None:
                stop_at_holds(desk, conn, case, row, store, provided)
        again = withdrawals.given_again(desk, conn, case)
        plan = _settled(desk, conn, case, step, provided, papers.plans(conn, case, "live"))
        with book.deed(conn, case_no):
            case = book.case(conn, case_no, lock=True)
            fingerprint = papers.keep_plan(conn, plan, provided.held)
            differences, grave = _further(desk, conn, case, plan)
            for code in FURTHER:  # of the plan before this one
                papers.settle_findings(conn, case_no, code, None, actor=actor, settlement="planned again")
            papers.keep_findings(conn, case_no, grave)
            units.sync(conn, case, desk.catalogue, plan, len(step.subjects))
            _restrict_units(conn, case, as_of, actor)
            _back_to_use(conn, case, again, as_of, actor)
            book.note(conn, case_no, as_of, actor, "planned",
                      detail={"plan": fingerprint, "differences": len(differences),
                              "grave": len(grave)})  # fmt: skip
    if grave:
        raise Refused(
            f"the plan goes beyond what was approved in {len(grave)} places; the first, {grave[0].place}: "
            f"{grave[0].what}",
            about=case_no,
            next_step=ACCEPT,
        )  # fmt: skip
    return plan


ACCEPT = (
    "clear the task `rehearse` in the run: another person than the requester decides on the new plan "
    "(without Airflow: `quietus case accept`)"
)


def _further(
    desk: Desk, conn: Conn, case: Case, plan: Plan
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """(differences, those that need a new approval), against what was approved for this very step: the plan
    accepted in it, else the rehearsal; a step that goes on from another is measured by what that one left."""
    if case.approved_plan == plan.fingerprint():
        return (), ()
    approved = _approved(conn, case)
    before = papers.plan_before(conn, case)
    if before is not None and approved.step != plan.step:
        found = planner.beyond(before, plan)
        return found, found
    # Findings are read by everybody: what a confidential hold keeps is compared, and told, as kept.
    told = discretion(conn)
    approved, plan = told.plan(approved), told.plan(plan)
    differences = planner.compare(approved, plan, desk.catalogue.measures)
    return differences, planner.grave(approved, plan, differences)


def live(desk: Desk, conn: Conn, case: Case) -> tuple[Step, papers.StepRow]:
    row = papers.current_step(conn, case, "live")
    if row is None or row.closed or case.state is not CaseState.ACTING:
        raise Refused("the case is not restricted", about=case.case_no, next_step="restrict it first")
    return row.step(case, subjects.ids(conn, desk.keys, case)), row


def keep_to_holds(
    desk: Desk, conn: Conn, case: Case, row: papers.StepRow, store: Store, provided: Provided
) -> None:
    """Whether what is left of a store was weighed with the holds that reach it now. Raises Drifted if not."""
    weighed, now = _reaching(desk, row, store, provided)
    if row.held is None or weighed != now:
        raise Drifted(
            "what must stay is another since the plan was made",
            about=f"{case.case_no} {store.id}",
            next_step="plan again; whatever of this store is left was not touched",
        )


def stop_at_holds(
    desk: Desk, conn: Conn, case: Case, row: papers.StepRow, store: Store, provided: Provided
) -> None:
    """A store that can only go on with the plan it was begun with: a hold that came since stops it where it is.
    Raises Refused, unless the store has ended already."""
    ended = any(r.store == store.id for r in papers.receipts(conn, row.step_id, "dispose"))
    if ended or row.held is None:  # not known: it was begun by a version that did not ask
        return
    weighed, now = _reaching(desk, row, store, provided)
    if new := now - weighed:
        dataset = min(new).split(" ")[0]
        raise Refused(
            f"what must stay of {dataset} is more than when its store was begun; the rest of it is left as it is",
            about=f"{case.case_no} {store.id}",
            next_step="an auditor sees why (`quietus case show --auditor`); clear `plan.settle` once that is settled; "
            "what went is in the receipts",
        )


def _reaching(desk: Desk, row: papers.StepRow, store: Store, provided: Provided) -> tuple[set[str], set[str]]:
    """What holds reached in a store when the plan in force was weighed, and what they reach now."""
    ours = {d.id for d in desk.catalogue.of_store(store.id)}
    weighed, now = ({x for x in h if x.split(" ")[0] in ours} for h in (row.held or (), provided.held))
    return weighed, now


def _provided(desk: Desk, conn: Conn, case: Case, as_of: date) -> Provided:
    provided = provisions(desk, conn, case, as_of)
    if provided.findings:
        with book.deed(conn, case.case_no):
            papers.keep_findings(conn, case.case_no, provided.findings)
        first = provided.findings[0]
        raise Refused(first.what, about=f"{case.case_no} {first.place}", next_step=first.next_step)
    return provided


def _settled(
    desk: Desk, conn: Conn, case: Case, step: Step, provided: Provided, earlier: Sequence[Plan]
) -> Plan:
    located: list[Located] = []
    lines: list[Line] = []
    surveys: list[Survey] = []
    for store in reachable(desk.stores()):
        if (begun := begun_with(store, step, earlier)) is not None:
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


def begun_with(store: Store | Clearing, step: Step, plans: Sequence[Plan]) -> Plan | None:
    """The plan that a store was begun with, by its own word; None if it was not begun."""
    begun = store.begun_under(step)
    if begun is None:
        return None
    found = next((p for p in plans if p.fingerprint() == begun), None)
    if found is None:
        raise Drifted(
            "the store was begun under a plan that is not this case's", about=f"{step.case_no} {store.id}",
            next_step="find out who disposed, before anything else",
        )  # fmt: skip
    return found


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
