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
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from include.cases import book, holds, own_plans, papers, planner
from include.cases.acting import begun_with
from include.cases.book import Case, Conn
from include.cases.disposing import ask
from include.cases.opening import open_night
from include.cases.retention import counted, due, figures, forecast, late, nights, stopping
from include.cases.retention.due import Row
from include.cases.retention.fates import PERIOD_OVER
from include.cases.retention.held import HeldPeople, held_people
from include.cases.retention.locked import Locked
from include.cases.retention.nights import Night
from include.cases.retention.objects import Partly
from include.cases.retention.proposals import in_earnest
from include.cases.retention.stayed import STAYED, stayed
from include.cases.retention.unproved import unproved
from include.cases.retention.workers import Budget, asking, clearings, worked_on
from include.cases.rooms import Desk
from include.model.doors import Clearing
from include.model.errors import Refused
from include.model.flow import Line, Located, Plan, Step
from include.model.words import CaseState, Disposition
from include.stores.s3.once import Once
from include.stores.shared import is_staged

KIND = "night"
"""Of the ledger's entries: what a night found and how it ended."""
DAY = timedelta(days=1)


@dataclass
class Seen:
    """What the prover sees to be due. ``unverified``: datasets that could not be asked, and why. ``late``: in minutes. ``ages``:
    since when it has been due."""

    rows: list[Row] = field(default_factory=list)
    unverified: dict[str, str] = field(default_factory=dict)
    late: int | None = None
    ages: figures.Ages = field(default_factory=dict)

    def of(self, dataset: str) -> int:
        """Items of a dataset that are due and not held."""
        return sum(r.due for r in self.rows if r.dataset == dataset)


def look(
    desk: Desk, as_of: date, at: datetime | None = None, held: HeldPeople | None = None, once: Once | None = None
) -> Seen:  # fmt: skip
    """What is due on a day, or past its hours at a moment, read by the prover. Nothing is changed."""
    held = held if held is not None else held_people(desk)
    if at is None:
        seen = due.see(desk.catalogue, desk.connections, as_of, held=held, once=once)
        return Seen(due.table(seen), seen.unverified, ages=figures.ages(seen.judged, as_of))
    minutes = late.late(desk.catalogue, desk.connections, at, held=held)
    lines = late.table(minutes)
    rows = [
        Row(
            rule=x.rule, dataset=x.dataset, due=x.due, overdue=0, oldest=None, held=x.held, basis=x.basis, late=x.late
        )
        for x in lines
    ]  # fmt: skip
    late_by = {(x.rule, x.dataset): x.late for x in lines if x.late is not None}
    since = {(*of, at - timedelta(minutes=n)): None for of, n in late_by.items()}
    return Seen(rows, minutes.unverified, max(late_by.values(), default=None), since)


# --- the beginning --------------------------------------------------------------------------------


def begin(desk: Desk, *, as_of: date, at: datetime | None = None, actor: str) -> Night:
    """Look, and open a case if anything is due that no lock keeps; the night that is under way, if there is one. ``at``: for
    periods of less than a day. Raises Refused while nights are stopped, and outside a sandbox while a company period has no
    owner."""
    schedule: nights.Schedule = "days" if at is None else "hours"
    in_earnest(desk.catalogue, desk.connections)
    desk.are_ours()
    with desk.book() as conn:
        stopping.may_go_on(conn)
        if (there := nights.under_way(conn, schedule)) is not None:
            return there
    held, once = held_people(desk), Once()
    seen = look(desk, as_of, at, held, once)
    about = asking(desk, as_of, at)
    due_now = Counter[str]()
    for line in seen.rows:
        due_now[line.dataset] += line.due
    kept = Locked(desk.catalogue, desk.connections, about).all_of(+due_now)
    with desk.book() as conn, book.deed(conn, "night"):
        if (there := nights.under_way(conn, schedule)) is not None:
            return there
        ours = worked_on(desk, about)
        something = any(r.due for r in seen.rows if r.dataset in ours) and not kept
        case_no = open_night(desk, conn, as_of, actor) if something else None
        night = nights.begin(conn, case_no, schedule, as_of, at, seen.rows if something else [], seen.late)
        figures.keep_found(conn, night, seen.ages)
        for dataset, (items, why) in (kept or {}).items():
            nights.tell(conn, night, nights.STAYED, dataset, needed=items, why_left=why)
        for dataset, why in seen.unverified.items():
            rule = nights.STRAYS if isinstance(why, Partly) else nights.UNFINISHED
            nights.tell(conn, night, rule, dataset, why_left=why)
    return night if night.case_no else _ended(desk, night, {}, seen, held, once)


def approve(desk: Desk, case_no: str, *, budget: int | None = None, as_of: date, actor: str) -> Night:
    """A person lets a night go on that is out of line; ``budget``: with at most so many items tonight."""
    if budget is not None and budget < 1:
        raise Refused(
            "a night of no items is none", about=case_no, next_step="give a number above zero, or none"
        )
    with desk.book() as conn, book.deed(conn, case_no):
        night = night_of(conn, case_no)
        nights.approve(conn, night, actor, budget)
        book.note(
            conn, case_no, as_of, actor, "night approved", detail={"due": night.due, "budget": budget or 0}
        )
        return night_of(conn, case_no)


def needs_nobody(desk: Desk, case_no: str | None) -> str | None:
    """Why nobody's word is needed for a night to go on; None if somebody's is."""
    if case_no is None:
        return "nothing is due"
    with desk.book() as conn:
        night = night_of(conn, case_no)
    if night.needs_word is None:
        return "its size is in line"
    return f"{night.approved_by} let it go on" if night.approved_by else None


# --- the plan -------------------------------------------------------------------------------------


def plan(desk: Desk, case_no: str, *, as_of: date, actor: str) -> Plan:
    """Locate everything that is due, and write the plan. Once something was disposed of, the plan in force stays."""
    with desk.book() as conn:
        case, night, step = _live(desk, conn, case_no)
        _may_go_on(night)
        plans = papers.plans(conn, case, "live")
        rooms = clearings(desk, asking(desk, night.as_of, night.at))
        if plans and any(room.begun_under(step) for room in rooms):
            return plans[-1]
        every: list[Located] = []
        lines: list[Line] = []
        for room in rooms:
            every += room.locate(step).located
            lines += room.lines(step)
            _left(conn, night, room)
        # A night of which nothing is there any more is told as none of each dataset, and comes to its end like any other.
        located = [x for x in every if x.items] or every
        made = planner.plan(step, located, lines, desk.catalogue.digest, desk.code)
        with book.deed(conn, case_no):
            of = made if lines else _of_none(desk, made)
            fingerprint, base = own_plans.planned(
                desk, conn, case_no, made, units_of=of, as_of=as_of, actor=actor
            )
            book.move(conn, case_no, CaseState.ACTING, base, actor)
            book.note(
                conn, case_no, as_of, actor, "planned", detail={"plan": fingerprint, "items": night.due}
            )
    return made


def _of_none(desk: Desk, made: Plan) -> Plan:
    """A plan of no items with a line for each of its datasets, so that the case has something that ends."""
    of = {x.dataset: Disposition(desk.catalogue.dataset(x.dataset).action) for x in made.located}
    lines = [Line(dataset=d, disposition=x, items=0, rule="", law=PERIOD_OVER) for d, x in of.items()]
    return made.model_copy(update={"lines": tuple(lines)})


# --- the deed -------------------------------------------------------------------------------------


def dispose(desk: Desk, case_no: str, *, as_of: date, actor: str) -> Plan:
    """Carry out the plan in every store; the plan in force afterwards, without what was passed over. Raises Refused before a
    person gave the word that the night needs, and between two pieces when nights are stopped."""
    with desk.book() as conn:
        case, night, step = _live(desk, conn, case_no)
        _may_go_on(night)
        plans = papers.plans(conn, case, "live")
        if not plans:
            raise Refused("there is no plan in force", about=case_no, next_step="plan first")
        ask(conn, case, {d.id for d in desk.catalogue.datasets}, as_of)
        with holds.none_unnoticed(conn, case_no):
            budget = Budget(None)
            rooms = clearings(desk, asking(desk, night.as_of, night.at), conn=conn, budget=budget)
            _keep_receipts(conn, case, step, rooms)  # of a run that was killed: its items count
            budget.left = _left_of(night, counted.words(conn, step.id))
            located: list[Located] = []
            lines: list[Line] = []
            planned: Counter[str] = Counter()
            for room in rooms:
                mine = {d.id for d in desk.catalogue.of_store(room.id)}
                begun = begun_with(room, step, plans) or plans[-1]
                for x in begun.located:  # of each copy
                    if x.dataset in mine and x.items:
                        planned[x.dataset] += x.items
                if any(x.items for x in plans[-1].located if x.dataset in mine):
                    room.dispose(step, begun)
                _keep_receipts(conn, case, step, [room])
                # What was planned and then passed over, all of it, is told as none: its units come to their end, too.
                before = {x.dataset for x in plans[-1].located}
                located += [x for x in room.settled(step).located if x.items or x.dataset in before]
                lines += room.lines(step)
                _left(conn, night, room)
        made = planner.plan(step, located, lines, desk.catalogue.digest, desk.code)
        with book.deed(conn, case_no):
            own_plans.carried_out(desk, conn, case_no, made, as_of=as_of, actor=actor)
            counts = counted.words(conn, step.id)
            book.note(
                conn, case_no, as_of, actor, "disposed", detail={"step": step.id, **counted.total(counts)}
            )
            for (dataset, rule), gone in counted.by_rule(made).items():
                nights.tell(conn, night, rule, dataset, gone=gone)
            done = [d for d, n in planned.items() if d in counts and counts[d].total() >= n]
            nights.finished(conn, night, done)
            for dataset, (items, why) in stayed(papers.receipts(conn, step.id, "dispose")).items():
                nights.tell(conn, night, nights.STAYED, dataset, needed=items, why_left=why)
    return made


def _keep_receipts(conn: Conn, case: Case, step: Step, rooms: Sequence[Clearing]) -> None:
    with book.deed(conn, case.case_no):
        for room in rooms:
            papers.keep_receipts(conn, case, [r for r in room.receipts(step) if r.verb == "dispose"])


def _left_of(night: Night, counts: dict[str, Counter[str]]) -> int | None:
    """How many items the night may still take. What was passed over took none of them."""
    return None if night.budget is None else max(0, night.budget - counted.gone(counts))


# --- the end --------------------------------------------------------------------------------------


def end(desk: Desk, step: Step) -> tuple[Night, Seen, dict[str, int]]:
    """How the estate stands after a night's step: what is still due by dataset, and how much of it the night says it left."""
    with desk.book() as conn:
        night = night_of(conn, step.case_no)
        counts = counted.words(conn, step.id)
    held, once = held_people(desk), Once()
    seen = look(desk, night.as_of, night.at, held, once)
    return _ended(desk, night, counts, seen, held, once), seen, stayed_of(counts)


def stayed_of(counts: counted.Words) -> dict[str, int]:
    """How much of each dataset was passed over that is due still, by the receipts."""
    return {d: sum(w[x] for x in STAYED) for d, w in counts.items()}


def _ended(
    desk: Desk,
    night: Night,
    counts: dict[str, Counter[str]],
    seen: Seen,
    held: HeldPeople,
    once: Once | None = None,
) -> Night:
    """``once``: what the look at what is due was made of; the forecast is of the same moment."""
    gone = counted.gone(counts)
    tomorrow, until, unverified = None, None, seen.unverified
    coming: Mapping[date, Counter[str]] = {}
    if night.at is None:
        until = night.as_of + figures.AHEAD * DAY
        ahead = due.see(desk.catalogue, desk.connections, until, held=held, once=once)
        coming = forecast.nights(ahead, night.as_of + DAY)
        unverified = ahead.unverified | unverified  # a forecast without a dataset is no whole one either
        tomorrow = sum(coming.get(night.as_of + DAY, Counter()).values())
    with desk.book() as conn, book.deed(conn, night.about):
        figures.keep_end(conn, night, seen.rows, unverified, coming, until)
        ended = nights.end(
            conn, night, gone=gone, remaining=sum(r.due for r in seen.rows),
            overdue=sum(r.overdue for r in seen.rows), tomorrow=tomorrow,
        )  # fmt: skip
    body = {
        "schedule": ended.schedule, "as_of": ended.as_of.isoformat(), "case": ended.case_no, "due": ended.due,
        "held": ended.held, "gone": ended.gone, "remaining": ended.remaining, "overdue": ended.overdue,
        "late_minutes": ended.late, "forecast": ended.expected, "approved_by": ended.approved_by,
    }  # fmt: skip
    desk.record(KIND, ended.case_no, body, f"{KIND}:{ended.night_id}:{ended.gone}:{ended.remaining}")
    return ended


def nothing_is_left(desk: Desk, night_id: int) -> list[str]:
    """What of a night is not as it must be, in words, and which nights before it are not proved; nothing, if all is well. What a
    person left for the nights after is no fault."""
    with desk.book() as conn:
        night = nights.of_id(conn, night_id)
        rows = conn.execute(
            "SELECT dataset, why_left FROM casebook.night_line WHERE night_id = %s AND why_left IS NOT NULL ORDER BY 1, rule",
            (night_id,),
        ).fetchall()
        before = [str(x) for x in unproved(conn, night.schedule, night_id) if x.night_id != night_id]
    staged = [row for row in rows if is_staged(row["why_left"], gone=night.gone or 0)]
    said = [f"{row['dataset']}: {row['why_left']}" for row in rows if row not in staged]
    if night.remaining and not staged:
        said.insert(0, f"{night.remaining} items are still due, {night.overdue} of them overdue")
    return said + before


# --- of the book -------------------------------------------------------------------------------------


def _left(conn: Conn, night: Night, room: Clearing) -> None:
    """Datasets that a store could not finish or ask, with why."""
    with book.deed(conn, night.about):
        for dataset, why in room.left.items():
            nights.tell(conn, night, nights.UNFINISHED, dataset, why_left=why)


def _live(desk: Desk, conn: Conn, case_no: str) -> tuple[Case, Night, Step]:
    desk.are_ours()
    case, night = book.case(conn, case_no), night_of(conn, case_no)
    if case.state not in (CaseState.ASSESSING, CaseState.ACTING):
        raise Refused(
            f"the night has ended: its case is {case.state.value}", about=case_no,
            next_step="what fell due since, or was left, is the next night's",
        )  # fmt: skip
    with book.deed(conn, case_no):
        row = papers.open_step(conn, case, "live", night.as_of, restricting=False)
    return case, night, row.step(case, ())


def night_of(conn: Conn, case_no: str) -> Night:
    """The night of a case. Raises Refused if it is another kind of case."""
    night = nights.of_case(conn, case_no)
    if night is None:
        raise Refused("it is no night's case", about=case_no, next_step="see `quietus case show`")
    return night


def _may_go_on(night: Night) -> None:
    if night.waits_for_a_person:
        raise Refused(
            f"the night is out of line: {night.needs_word}", about=night.about,
            next_step="let a person look at `quietus retention due`, then answer in the run or `quietus retention approve`",
        )  # fmt: skip


__all__ = [
    "KIND",
    "Night",
    "Seen",
    "approve",
    "begin",
    "dispose",
    "end",
    "look",
    "nothing_is_left",
    "plan",
]
