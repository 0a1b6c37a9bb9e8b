"""A night of retention limits: everything that is due goes, whosever it is, and nothing else (PIPL 47 para. 1; policy 5.1, 7.2).

One case for each night that found something, of our own initiative and about nobody in particular: its items are named by
keys in the stores' step areas, its plan gives each dataset and rule its line, and receipts, proofs, epochs and certificate are
those of any case. Nobody is restricted, since what is due may be used for nothing any more and goes at once.

Every verb may be killed and called again: a night that was begun is gone on with, whatever day it is by then; what fell due
since, and a week of nights that were missed, is what the next night finds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

from include.cases import book, holds, own_plans, papers, planner, turns
from include.cases.acting import begun_with
from include.cases.book import Case, Conn
from include.cases.disposing import ask
from include.cases.opening import open_night
from include.cases.retention import (
    backlog,
    counted,
    figures,
    nights,
    shapes,
    shortfall,
    starts,
    stopping,
    undecided,
)
from include.cases.retention.ended import keep
from include.cases.retention.fates import PERIOD_OVER
from include.cases.retention.held import held_people
from include.cases.retention.locked import Locked
from include.cases.retention.nights import Night
from include.cases.retention.objects import Partly
from include.cases.retention.proposals import in_earnest, lawful
from include.cases.retention.readings import remembering
from include.cases.retention.seen import Seen, look
from include.cases.retention.silent import answered
from include.cases.retention.stages import Budget
from include.cases.retention.stayed import stayed
from include.cases.retention.stopped import stopped
from include.cases.retention.workers import asking, clearings, worked_on
from include.cases.rooms import Desk
from include.model.catalogue import Catalogue
from include.model.doors import Clearing
from include.model.errors import NotReachable, Refused
from include.model.flow import Line, Located, Plan, Step
from include.model.words import CaseState
from include.stores.shared import is_staged

DAY = timedelta(days=1)


# --- the beginning --------------------------------------------------------------------------------


def begin(
    desk: Desk, *, as_of: date, at: datetime | None = None, actor: str, patiently: bool = False
) -> Night:
    """Look, and open a case if anything is due that no lock keeps; the night that is under way, if there is one. One that found
    nothing, and was killed before it could say how it ended, is ended first. ``at``: for periods of less than a day.
    ``patiently``: none is begun while a store is silent; else what lies there is named, and left to the next. Raises Refused
    while disposing is stopped, and outside a sandbox while a company period has no owner; NotReachable while another run begins
    one."""
    schedule: nights.Schedule = "days" if at is None else "hours"
    in_earnest(desk.catalogue, desk.connections)
    lawful(desk.catalogue)
    desk.are_ours()
    with desk.book() as turn:
        if not turns.waited(turn, f"night by {schedule}"):
            raise NotReachable(
                "another run is beginning one", about=f"night by {schedule}",
                next_step="run it again in a while: it goes on with that one",
            )  # fmt: skip
        with desk.book() as conn:
            stopping.may_go_on(conn)
            there = nights.under_way(conn, schedule)
            if there is not None and there.case_no is not None:
                return _by_plan_now(conn, there, actor)
        if there is not None:
            _end_of_nothing(desk, there, patiently)
        return _begin(desk, schedule, as_of, at, actor, patiently)


def _end_of_nothing(desk: Desk, night: Night, patiently: bool) -> None:
    """What has come to light since is left to the night that begins now."""
    held, once, by = held_people(desk), remembering(desk), stopped(desk)
    seen = look(desk, night.as_of, night.at, held, once, by=by)
    if patiently:
        answered(by, seen.unverified)
    keep(desk, night, {}, seen, held, once, by)


def _begin(
    desk: Desk, schedule: nights.Schedule, as_of: date, at: datetime | None, actor: str, patiently: bool
) -> Night:
    held, once, by = held_people(desk), remembering(desk), stopped(desk)
    seen = look(desk, as_of, at, held, once, by=by, starts=True)
    if patiently:
        answered(by, seen.unverified)
    about = asking(desk, as_of, at, by)
    due_now = Counter[str]()
    for line in seen.rows:
        due_now[line.dataset] += line.due
    kept = Locked(desk.catalogue.in_parts, desk.connections, about).all_of(+due_now)
    with desk.book() as conn, book.deed(conn, "night"):
        if (there := nights.under_way(conn, schedule)) is not None:  # our turn was lost with its session
            return there
        ours = worked_on(desk, about)
        stages = backlog.in_force(conn, as_of) if schedule == "days" else None
        something = any(r.due for r in seen.rows if r.dataset in ours) and not kept
        case_no = open_night(desk, conn, as_of, actor) if something else None
        night = nights.begin(
            conn, case_no, schedule, as_of, at, seen.rows if something else [], seen.late, desk.catalogue.digest,
            backlog=stages.number if stages else None, under=stages.under(seen.rows) if stages else None,
        )  # fmt: skip
        figures.keep_found(conn, night, seen.ages)
        shapes.remember(conn, night, seen.shapes)
        starts.keep(conn, night, seen.starts)
        if at is None:
            _fell_short(conn, night, seen, by.in_parts, as_of, actor)
            new = undecided.keep(conn, night, seen.undecided, seen.unverified)
            for it in new if night.case_no else ():
                book.note(
                    conn, str(night.case_no), as_of, actor, undecided.NOTED[it.code],
                    detail={"dataset": it.dataset, "items": it.items, "what": it.what},
                )  # fmt: skip
        for dataset, (items, why) in (kept or {}).items():
            nights.tell(conn, night, nights.STAYED, dataset, needed=items, why_left=why)
        for dataset, why in seen.unverified.items():
            rule = nights.STRAYS if isinstance(why, Partly) else nights.UNFINISHED
            nights.tell(conn, night, rule, dataset, why_left=why)
    return night if night.case_no else keep(desk, night, {}, seen, held, once, by)


def _fell_short(conn: Conn, night: Night, seen: Seen, catalogue: Catalogue, as_of: date, actor: str) -> None:
    """Say of which datasets far less is due than the night before forecast."""
    whole = [d for d, why in seen.unverified.items() if not isinstance(why, Partly)]
    found = shortfall.short(conn, as_of, seen.rows, catalogue, whole)
    shortfall.tell(conn, night, found)
    for it in found if night.case_no else ():
        detail = {"dataset": it.dataset, "forecast": it.forecast, "came": it.came, "explained": it.explained}
        book.note(conn, str(night.case_no), as_of, actor, shortfall.NOTED, detail=detail)


def _by_plan_now(conn: Conn, night: Night, actor: str) -> Night:
    """A night that waits for a person, as the first one does, obeys the plan of stages that was approved meanwhile."""
    stages = (
        backlog.in_force(conn, night.as_of) if night.schedule == "days" and night.backlog is None else None
    )
    if stages is None or not night.waits_for_a_person or night.case_no is None:
        return night
    with book.deed(conn, night.case_no):
        under = stages.under(nights.rows_of(conn, night))
        nights.obey(conn, night, stages.number, under)
        detail = {"plan": stages.number, "items": sum(under.values())}
        book.note(conn, night.case_no, night.as_of, actor, "night goes by a plan of stages", detail=detail)
    return nights.of_id(conn, night.night_id)


def approve(desk: Desk, case_no: str, *, budget: int | None = None, as_of: date, actor: str) -> Night:
    """A person lets a night go on that is out of line; ``budget``: with at most so many items tonight. The same word again says
    nothing new. Raises Refused if the night has ended, needs nobody's word, or has somebody else's or another one."""
    if budget is not None and budget < 1:
        raise Refused(
            "a night of no items is none", about=case_no, next_step="give a number above zero, or none"
        )
    with desk.book() as conn, book.deed(conn, case_no):
        night = nights.night_of(conn, case_no)
        if nights.approve(conn, night, actor, budget):
            book.note(
                conn, case_no, as_of, actor, "night approved",
                detail={"due": sum((night.asked or {}).values()), "budget": budget or 0},
            )  # fmt: skip
            return nights.night_of(conn, case_no)
        night = nights.night_of(conn, case_no)
    if night.ended_at is None and (night.approved_by, night.budget) == (actor, budget):
        return night
    what, next_step = _no_word_wanted(night)
    raise Refused(what, about=case_no, next_step=next_step)


def _no_word_wanted(night: Night) -> tuple[str, str]:
    """Why a person's word changes nothing of a night, and what would."""
    if night.ended_at is not None:
        return "the night has ended", "what is due still is the next night's: see `quietus retention nights`"
    if night.approved_by is not None:
        at_most = f", with at most {night.budget} items" if night.budget else ""
        return (
            f"{night.approved_by} let it go on already{at_most}",
            "to keep it from going on, `quietus retention stop`",
        )
    return (
        "its size is in line, so it needs nobody's word",
        "to keep it from going on, `quietus retention stop`",
    )


def needs_nobody(desk: Desk, case_no: str | None) -> str | None:
    """Why nobody's word is needed for a night to go on; None if somebody's is."""
    if case_no is None:
        return "nothing is due"
    with desk.book() as conn:
        night = nights.night_of(conn, case_no)
    if night.needs_word is None:
        return "its size is in line"
    return f"{night.approved_by} let it go on" if night.approved_by else None


def waits_for(desk: Desk, case_no: str) -> str | None:
    """Why a night waits for a person's word; None if it does not."""
    with desk.book() as conn:
        night = nights.night_of(conn, case_no)
    return night.needs_word if night.waits_for_a_person else None


# --- the plan -------------------------------------------------------------------------------------


def plan(desk: Desk, case_no: str, *, as_of: date, actor: str) -> Plan:
    """Locate everything that is due, write the plan, and judge by it whether a person has to let the night go on before anything
    goes: rows may have come since the look, or another catalogue. Once something was disposed of, the plan in force stays."""
    with desk.book() as conn:
        case, night, step = _live(desk, conn, case_no)
        plans = papers.plans(conn, case, "live")
        if not plans:
            _may_go_on(night)
        rooms = clearings(desk, asking(desk, night.as_of, night.at))
        if plans and any(room.begun_under(step) for room in rooms):
            return plans[-1]
        every: list[Located] = []
        lines: list[Line] = []
        for room in rooms:
            every += room.locate(step).located
            lines += room.lines(step)
            _left(conn, night, room)
        # A night of which nothing is there any more is told as none of each dataset, and comes to its end like any other; and so
        # is, of one that is planned again, what is not due any more.
        before = {x.dataset for p in plans for x in p.located}
        located = [x for x in every if x.items or x.dataset in before] or every
        made = planner.plan(step, located, lines, desk.catalogue.digest, desk.code)
        with book.deed(conn, case_no):
            if plans and not _same_catalogue(desk, plans[-1]):
                both = _catalogues(desk, plans[-1])
                book.note(conn, case_no, as_of, actor, "planned under another catalogue", detail=both)
            why = nights.judge(conn, night, _items(made), desk.catalogue.digest)
            if why is not None and not night.waits_for_a_person:
                grew = {"due": night.due, "located": sum(_items(made).values())}
                book.note(conn, case_no, as_of, actor, "night out of line", detail=grew)
            of = made if lines else own_plans.of_none(made, desk.catalogue, PERIOD_OVER)
            fingerprint, base = own_plans.planned(
                desk, conn, case_no, made, units_of=of, as_of=as_of, actor=actor
            )
            book.move(conn, case_no, CaseState.ACTING, base, actor)
            book.note(
                conn, case_no, as_of, actor, "planned",
                detail={"plan": fingerprint, "items": sum(_items(made).values())},
            )  # fmt: skip
    return made


def _items(made: Plan) -> Counter[str]:
    """What is to go of each dataset, in all of its copies."""
    found = Counter[str]()
    for x in made.located:
        found[x.dataset] += x.items
    return found


def _same_catalogue(desk: Desk, made: Plan) -> bool:
    """Whether a plan was made under the rules, and by the code, that stores would be asked by now."""
    return (made.catalogue, made.code) == (desk.catalogue.digest, desk.code)


def _catalogues(desk: Desk, made: Plan) -> dict[str, str]:
    """For the timeline: under what a plan was made, and what holds now."""
    return {
        "planned": made.catalogue, "now": desk.catalogue.digest, "code": made.code, "code_now": desk.code
    }  # fmt: skip


def outdated(desk: Desk, case_no: str) -> bool:
    """Whether a night was planned under another catalogue than that of now, and nothing of it went yet: it is to be planned
    again."""
    with desk.book() as conn:
        case, night, step = _live(desk, conn, case_no)
        return _outdated(desk, night, step, papers.plans(conn, case, "live"))


def _outdated(desk: Desk, night: Night, step: Step, plans: Sequence[Plan]) -> bool:
    if not plans or _same_catalogue(desk, plans[-1]):
        return False
    return not any(room.begun_under(step) for room in clearings(desk, asking(desk, night.as_of, night.at)))


# --- the deed -------------------------------------------------------------------------------------


def dispose(desk: Desk, case_no: str, *, as_of: date, actor: str) -> Plan:
    """Carry out the plan in every store; the plan in force afterwards, without what was passed over. Raises Refused before a
    person gave the word that the night needs, between two pieces while disposing is stopped, and if the catalogue changed since
    it was planned. Once something went, the rest goes by the rules of now, and the timeline names both."""
    with desk.book() as conn:
        case, night, step = _live(desk, conn, case_no)
        plans = papers.plans(conn, case, "live")
        if _outdated(desk, night, step, plans):
            raise Refused(
                "the night was planned under another catalogue, and nothing of it went yet", about=case_no,
                next_step="plan it again: run `quietus retention night`, or clear the task `plan` of its run",
            )  # fmt: skip
        _may_go_on(night)
        if not plans:
            raise Refused("there is no plan in force", about=case_no, next_step="plan first")
        if not _same_catalogue(desk, plans[-1]):
            with book.deed(conn, case_no):
                both = _catalogues(desk, plans[-1])
                book.note(conn, case_no, as_of, actor, "catalogue changed", detail=both)
        ask(conn, case, {d.id for d in desk.catalogue.in_parts.datasets}, as_of)
        with holds.none_unnoticed(conn, case_no):
            budget = Budget(night.budget)
            _by_plan(conn, night, budget)
            rooms = clearings(desk, asking(desk, night.as_of, night.at), conn=conn, budget=budget)
            if (ages := figures.ages_of(conn, night)) is not None:
                of = _items(plans[-1])
                come_to = [d.id for room in rooms for d in desk.catalogue.in_parts.of_store(room.id)]
                budget.oldest_first(ages, {d: of[d] for d in come_to if d in of}, night.under or {})
            _keep_receipts(conn, case, step, rooms)  # of a run that was killed: its items count
            for dataset, words in counted.words(conn, step.id).items():
                budget.gone(dataset, counted.gone({dataset: words}))
            located: list[Located] = []
            lines: list[Line] = []
            by_rows: dict[str, str] = {}
            waits: dict[str, dict[str, dict[str, int]]] = {}
            planned = _carry_out(conn, case, step, rooms, plans, desk.catalogue.in_parts)
            # What was kept for those that have been due longest, and did not go, the others may have.
            staged = [r for r in rooms if any(is_staged(why, gone=1) for why in r.left.values())]
            if budget.let_go() and staged:
                _carry_out(conn, case, step, staged, plans, desk.catalogue.in_parts)
            for room in rooms:
                # What was planned and then passed over, all of it, is told as none: its units come to their end, too.
                before = {x.dataset for x in plans[-1].located}
                located += [x for x in room.settled(step).located if x.items or x.dataset in before]
                lines += room.lines(step)
                by_rows |= room.by_rows
                for whom, said in room.waited.items():
                    waits.setdefault(whom, {})[room.id] = dict(said)
                _left(conn, night, room)
        made = planner.plan(step, located, lines, desk.catalogue.digest, desk.code)
        with book.deed(conn, case_no):
            own_plans.carried_out(desk, conn, case_no, made, as_of=as_of, actor=actor)
            counts = counted.words(conn, step.id)
            _disposed(conn, case_no, step, counts, by_rows, waits, as_of=as_of, actor=actor)
            for (dataset, rule), gone in counted.by_rule(made).items():
                nights.tell(conn, night, rule, dataset, gone=gone)
            done = [d for d, n in planned.items() if d in counts and counts[d].total() >= n]
            nights.finished(conn, night, done)
            for dataset, (items, why) in stayed(papers.receipts(conn, step.id, "dispose")).items():
                nights.tell(conn, night, nights.STAYED, dataset, needed=items, why_left=why)
    return made


def _carry_out(
    conn: Conn, case: Case, step: Step, rooms: Sequence[Clearing], plans: Sequence[Plan], catalogue: Catalogue
) -> Counter[str]:  # fmt: skip
    """Dispose in each store of what is planned there; how many items of each dataset that is, in all of its copies."""
    planned: Counter[str] = Counter()
    for room in rooms:
        mine = {d.id for d in catalogue.of_store(room.id)}
        begun = begun_with(room, step, plans) or plans[-1]
        for x in begun.located:
            if x.dataset in mine and x.items:
                planned[x.dataset] += x.items
        if any(x.items for x in plans[-1].located if x.dataset in mine):
            room.dispose(step, begun)
        _keep_receipts(conn, case, step, [room])
    return planned


def _disposed(
    conn: Conn, case_no: str, step: Step, counts: counted.Words, by_rows: Mapping[str, str],
    waits: Mapping[str, Mapping[str, Mapping[str, int]]], *, as_of: date, actor: str,
) -> None:  # fmt: skip
    """What was disposed of, for the timeline: how much, which partitions whole or by rows, and for whom it was waited."""
    book.note(conn, case_no, as_of, actor, "disposed", detail={"step": step.id, **counted.total(counts)})
    went = [p for r in papers.receipts(conn, step.id, "dispose") if (p := r.position.get("partition"))]
    if went or by_rows:
        said = {"dropped": went, "by_rows": dict(by_rows)}
        book.note(conn, case_no, as_of, actor, "partitions due", detail=said)
    for whom, of in sorted(waits.items()):
        book.note(conn, case_no, as_of, actor, f"waited for {whom}", detail=dict(of))


def _keep_receipts(conn: Conn, case: Case, step: Step, rooms: Sequence[Clearing]) -> None:
    with book.deed(conn, case.case_no):
        for room in rooms:
            papers.keep_receipts(conn, case, [r for r in room.receipts(step) if r.verb == "dispose"])


def _by_plan(conn: Conn, night: Night, budget: Budget) -> None:
    """Bind a night to the plan of stages that it began under: of each dataset goes what fell due besides, or what a person let
    go, and of the rest the rate. Once it was withdrawn, nothing of the rest."""
    if night.backlog is None or not night.under:
        return
    plan = backlog.of_number(conn, night.backlog)
    budget.plan = frozenset(night.under)
    budget.rate = plan.rate if plan.ended is None else 0
    budget.free = nights.besides(conn, night)


# --- of the book -------------------------------------------------------------------------------------


def _left(conn: Conn, night: Night, room: Clearing) -> None:
    """Datasets that a store could not finish or ask, with why."""
    with book.deed(conn, night.about):
        for dataset, why in room.left.items():
            nights.tell(conn, night, nights.UNFINISHED, dataset, why_left=why)


def _live(desk: Desk, conn: Conn, case_no: str) -> tuple[Case, Night, Step]:
    desk.are_ours()
    lawful(desk.catalogue)
    case, night = book.case(conn, case_no), nights.night_of(conn, case_no)
    if case.state not in (CaseState.ASSESSING, CaseState.ACTING):
        raise Refused(
            f"the night has ended: its case is {case.state.value}", about=case_no,
            next_step="what fell due since, or was left, is the next night's",
        )  # fmt: skip
    with book.deed(conn, case_no):
        row = papers.open_step(conn, case, "live", night.as_of, restricting=False)
    return case, night, row.step(case, ())


def _may_go_on(night: Night) -> None:
    if night.waits_for_a_person:
        raise Refused(
            f"the night is out of line: {night.needs_word}", about=night.about,
            next_step="let a person look at `quietus retention due`, then answer in the run or `quietus retention approve`",
        )  # fmt: skip


__all__ = [
    "Night",
    "Seen",
    "approve",
    "begin",
    "dispose",
    "look",
    "plan",
]
