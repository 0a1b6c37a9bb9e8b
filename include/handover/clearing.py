"""Our copy of what a successor has signed for goes: bag by bag, on verified receipts only (law.md E, 18; ESL 23; policy 5.6).

One case of ground *shutdown* for all bags that may go now: its items are located by the question of packing in the bags' ranges,
and disposed of by the nights' own machinery, in pieces with receipts, asked again with the holds of now: objects first, each with
its versions, delete markers and unfinished uploads, then the rows that they led through. As many must be located as the receipts
name, or nothing goes. The prover sees each bag gone by reading its range again, and that nothing beside it went.

Every verb may be killed and called again: a case that was begun is gone on with, whatever arrived since. What stops a bag stops
that bag alone: as long as nothing was disposed of by its case that is given up, and another takes the others; afterwards the plan
is pinned, and the bag is set aside (:mod:`include.handover.aside`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from types import MappingProxyType

from include.cases import book, holds, own_plans, papers, planner, turns
from include.cases.acting import begun_with
from include.cases.book import Conn
from include.cases.closing import open_backup_track, rest
from include.cases.disposing import ask
from include.cases.opening import open_night
from include.cases.provers import record
from include.cases.proving import balance
from include.cases.retention import counted
from include.cases.retention.ended import stayed_of
from include.cases.rooms import Desk
from include.cases.shutdown import located, needles, orders, permitting, way
from include.cases.shutdown.begun import BEGUN, few
from include.cases.shutdown.orders import Order
from include.handover import addressed, books, heard, register
from include.handover.aside import Aside, said_aside
from include.handover.conservation import BagSeen, Place, over_there, stops, too_early
from include.handover.needing import needed
from include.handover.places import Here
from include.handover.register import Bag
from include.handover.sources import LAW, Sources
from include.handover.workers import none_aside, rooms
from include.model import ranges
from include.model.errors import BooksDoNotBalance, NotProved, NotReachable, Refused
from include.model.flow import Evidence, Line, Located, Plan, Step
from include.model.words import CaseState, Ground
from include.stores.postgres.clearing import Clearing as Tables
from include.stores.s3.clearing import Clearing as Objects
from include.stores.shared import nowhere

BESIDE = "beside"
"""Of the event of a plan: what lies in the buckets beside its items."""
At = Callable[[str], None]
NONE: Mapping[str, str] = MappingProxyType({})


class NoneMay(Refused):
    """No bag of rows may be deleted here now."""


@dataclass(frozen=True)
class Going:
    """A case and its bags. ``left``: those that might go, but that something which stays needs, and why; ``rest``: of bags that
    an earlier case took in part, how many items are left; ``given_up``: bags that the case had, of which it comes to its end
    without having disposed of anything."""

    number: str
    case_no: str
    bags: tuple[str, ...]
    left: Mapping[str, str] = field(default_factory=dict)
    rest: Mapping[str, int] = field(default_factory=dict)
    given_up: tuple[str, ...] = ()


def begin(
    desk: Desk, number: str, *, as_of: date, actor: str, doubts: Mapping[str, str] = NONE
) -> Going:  # fmt: skip
    """Open a case for every bag that may go; the one that is under way, if there is one. Of that each bag is judged anew while
    nothing was disposed of by it: if one is stopped since, the case gives its bags up, comes to its end with nothing, and the
    next takes the others. ``doubts``: bags of which something newer was said that cannot be believed, and why: they stay.
    Raises NoneMay; Refused before identifiers were gathered, or anybody let it begin."""
    while True:
        with desk.book() as conn:
            of, there = orders.order(conn, number), under_way(conn, number)
            if there is None:
                needles.were_gathered(desk, conn, number)
                permitting.may_begin(conn, number)
            elif not there.bags or _has_begun(desk, conn, of, there):
                return _undoubted(there, doubts)
        seen = {b.bag: replace(b, doubted=b.doubted or doubts.get(b.bag, "")) for b in books.seen(desk, of)}
        if there is not None:
            stopped = _stopped_since(of, there, seen, as_of)
            return _given_up(desk, there, stopped, as_of=as_of, actor=actor) if stopped else there
        if (going := _opened(desk, of, seen, as_of=as_of, actor=actor)) is not None:
            return going


def _undoubted(going: Going, doubts: Mapping[str, str]) -> Going:
    """Raises Refused if a bag of a case that disposed of something is among them: then it waits as a whole."""
    for bag in going.bags:
        if bag in doubts:
            raise Refused(
                doubts[bag], about=bag, next_step="nothing more of this case is deleted until that is settled"
            )
    return going


def _opened(desk: Desk, of: Order, seen: Mapping[str, BagSeen], *, as_of: date, actor: str) -> Going | None:
    """A case for what may go; None: something was told, or signed, of a bag while it was read, so all is to be read anew."""
    number = of.number
    why = {b.bag: _stopped(of, b, as_of) for b in seen.values() if b.items or b.unfinished}
    with desk.book() as conn:
        bags = [b for b in register.bags(conn, number) if why.get(b.name) == ()]
        waits = needed(desk, Sources(desk, conn, of), bags, list(seen.values()))
    # What is signed for and stopped by something on our side is named, too: a lock, a hold, a change.
    here = [b for b in seen.values() if b.arrived and b.place in (Place.WHOLE, Place.PART)]
    left = {b.bag: "; ".join(why[b.bag]) for b in here if why.get(b.bag)} | waits
    going = [b.name for b in bags if b.name not in waits]
    if not going:
        said = "; ".join(f"{bag}: {reason}" for bag, reason in sorted(left.items()))
        raise NoneMay(
            "no bag may be deleted here", about=number,
            next_step=said or "see `quietus shutdown books`, which says why",
        )  # fmt: skip
    with orders.deed(desk, number) as (conn, now):  # its successor may be another since it was read
        if (there := under_way(conn, number)) is not None:
            return there
        approved = permitting.may_begin(conn, number)
        if not _as_read(conn, now, [seen[b] for b in going], as_of):
            return None
        case_no = open_night(desk, conn, as_of, actor, Ground.SHUTDOWN)
        rest = {b: n for b in going if (n := seen[b].rest)}
        detail = {
            "case": case_no,
            "bags": ranges.short(going),
            "items": sum(rest.get(b, seen[b].items) for b in going),
            "left": few(left),
            "rest": rest,
            **({"consignment": approved} if approved else {}),  # by which its verifiers find who let it go
        }
        orders.say(desk, conn, number, BEGUN, as_of, actor, detail)
    return Going(number, case_no, tuple(going), left, rest)


def _as_read(conn: Conn, of: Order, read: Sequence[BagSeen], as_of: date) -> bool:
    """Whether the book says of these bags what it said when they were read. A notice is made under the order's lock, too: so one
    that came in between is seen here; the successor would follow it while we delete."""
    now = {b.name: b for b in register.bags(conn, of.number)}
    said = heard.answers(conn, of.number)
    return all(
        now[b.bag].root == b.root
        and not _stopped(
            of, books.bag_seen(of, now[b.bag], said.get(b.bag), Here(b.place, rest=b.rest)), as_of
        )
        for b in read
    )


def _has_begun(desk: Desk, conn: Conn, of: Order, going: Going) -> bool:
    """Whether a store has disposed of something by the case, or is about to, by its own journal."""
    case = book.case(conn, going.case_no)
    if not papers.plans(conn, case, "live"):
        return False
    _, step = way.live(desk, conn, going.case_no, of.t0)
    named = [b for b in register.bags(conn, going.number) if b.name in going.bags]
    return any(room.begun_under(step) is not None for room in rooms(desk, of, named, conn))


def _stopped_since(of: Order, going: Going, seen: Mapping[str, BagSeen], as_of: date) -> dict[str, str]:
    """The case's bags that may not go any more, and why."""
    found = {b: "; ".join(why) for b in going.bags if (why := _stopped(of, seen[b], as_of))}
    other = {b for b in going.bags if b not in found and seen[b].rest != going.rest.get(b)}
    return found | dict.fromkeys(sorted(other), "more or less of it is left than when the case was begun")


def _given_up(desk: Desk, going: Going, stopped: Mapping[str, str], *, as_of: date, actor: str) -> Going:
    """The case without its bags."""
    with orders.deed(desk, going.number) as (conn, _):
        detail = {
            "case": going.case_no,
            "bags": [],
            "items": 0,
            "left": few(stopped),
            "rest": {},
            "given_up": ranges.short(going.bags),
        }
        orders.say(desk, conn, going.number, BEGUN, as_of, actor, detail)
    return Going(going.number, going.case_no, (), stopped, {}, going.bags)


def under_way(conn: Conn, number: str) -> Going | None:
    """The case that was begun and has not come to its end."""
    for event in reversed(orders.history(conn, number)):
        if event["what"] == BEGUN:
            said = event["detail"]
            left = {bag: why for why, bags in said["left"].items() for bag in ranges.long(bags)}
            going = Going(
                number, said["case"], tuple(ranges.long(said["bags"])), left, said.get("rest", {}),
                tuple(ranges.long(said.get("given_up", ()))),
            )  # fmt: skip
            return going if way.under_way(conn, going.case_no) else None
    return None


def run(
    desk: Desk, number: str, *, as_of: date, actor: str, at: At = nowhere, doubts: Mapping[str, str] = NONE
) -> Going:  # fmt: skip
    """From the bags that may go to the proof that they are gone. Raises Refused, Drifted, BooksDoNotBalance, NotProved: then the
    case stays open, and run again it goes on; NotReachable while another run is at it. ``doubts``: as of :func:`begin`."""
    with desk.book() as alone:
        alone.autocommit = True
        # Whether anything was disposed of is asked before a case is given up: nobody else may begin to in between.
        if not turns.waited(alone, f"casebook.shutdown source {number}"):
            raise NotReachable(
                "our copy is being deleted by somebody else", about=number, next_step="wait for that run"
            )
        while True:
            going = begin(desk, number, as_of=as_of, actor=actor, doubts=doubts)
            at("bags.begun")
            plan(desk, going, as_of=as_of, actor=actor)
            at("bags.planned")
            dispose(desk, going, as_of=as_of, actor=actor, at=at)
            at("bags.disposed")
            prove(desk, going, as_of=as_of, actor=actor)
            at("bags.proved")
            if going.bags:
                return going


# --- the plan and the deed ----------------------------------------------------------------------------


def plan(desk: Desk, going: Going, *, as_of: date, actor: str) -> Plan:
    """Locate the bags' items; the prover sees the same. Once something was disposed of, the plan in force stays."""
    from include.proofs import limits
    from include.proofs.beside import beside

    with desk.book() as conn:
        case, step = way.live(desk, conn, going.case_no, as_of)
        of, bags = _in_force(conn, going, as_of)
        plans = papers.plans(conn, case, "live")
        its = _rooms(desk, of, going, bags, conn)
        if plans and any(room.begun_under(step) for room in its):
            return plans[-1]
        _may_go(conn, of, bags, as_of)
        every: list[Located] = []
        lines: list[Line] = []
        unfinished = Counter[str]()
        for room in its:
            every += room.locate(step).located
            lines += room.lines(step)
            unfinished += room.unfinished(step) if isinstance(room, Objects) else Counter()
            way.to_its_end(going.number, room, "nothing was deleted; run it again")
        _as_many(going, every, unfinished, bags)
        there = [x for x in every if x.items] or _nothing(conn, going, every, plans)
        made = planner.plan(step, there, lines, desk.catalogue.digest, desk.code)
        stood = [p.model_dump(mode="json") for p in beside(desk.catalogue, desk.connections, step, made)]
        with book.deed(conn, going.case_no):
            units_of = made if lines else own_plans.of_none(made, Sources(desk, conn, of).catalogue, LAW)
            fingerprint, base = own_plans.planned(
                desk, conn, going.case_no, made, units_of=units_of, as_of=as_of, actor=actor
            )
            if case.state is CaseState.ASSESSING:
                book.move(conn, going.case_no, CaseState.ACTING, base, actor)
            items = sum(x.items for x in every)
            detail = {"plan": fingerprint, "items": items, **({BESIDE: stood} if stood else {})}
            book.note(conn, going.case_no, as_of, actor, "planned", detail=detail)
    seen = Counter[str]()
    for bag in _read_again(desk, of, going):
        if bag.place is Place.WHOLE or bag.rest:
            seen[bag.dataset] += (bag.rest or bag.items) + bag.unfinished
    record(
        desk, limits.baseline(desk.catalogue, desk.connections, step, made, seen), as_of=as_of, actor=actor
    )
    return made


def _as_many(
    going: Going, every: Sequence[Located], unfinished: Mapping[str, int], bags: Sequence[Bag]
) -> None:
    """Of every copy together; an unfinished upload is in no bag, and goes with its path all the same."""
    signed, found = Counter[str](), Counter[str]()
    for bag in bags:
        signed[bag.statement.dataset] += going.rest.get(bag.name, bag.items)
    for x in every:
        found[x.dataset] += x.items
    for dataset in sorted(signed | found):
        items = found[dataset] - unfinished.get(dataset, 0)
        if items != signed[dataset]:
            raise BooksDoNotBalance(
                f"{items} items are located, and the successor signed for {signed[dataset]}",
                about=f"{going.number} {dataset}", next_step="nothing was deleted; see `quietus shutdown books`",
            )  # fmt: skip


def dispose(desk: Desk, going: Going, *, as_of: date, actor: str, at: At = nowhere) -> Plan:
    """Carry out the plan in every store. Raises Refused if a receipt names a difference before anything went, or the order is
    withdrawn. One that comes later sets its bag aside, and what of it has not gone falls out of the plan."""
    with desk.book() as conn:
        case, step = way.live(desk, conn, going.case_no, as_of)
        of, bags = _in_force(conn, going, as_of)
        plans = way.in_force(conn, case)
        aside = Aside(desk, conn, of, going.case_no, bags, as_of, actor)
        ask(conn, case, {d.id for d in desk.catalogue.datasets}, as_of)
        left: list[Located] = []
        lines: list[Line] = []
        with holds.none_unnoticed(conn, going.case_no):
            its = _rooms(desk, of, going, bags, conn, at, aside)
            if not any(room.begun_under(step) for room in its):
                _may_go(conn, of, bags, as_of)
            for room in its:
                begun = begun_with(room, step, plans) or plans[-1]
                mine = {d.id for d in desk.catalogue.of_store(room.id)}
                if any(x.items for x in plans[-1].located if x.dataset in mine):
                    room.dispose(step, begun)
                with book.deed(conn, going.case_no):
                    papers.keep_receipts(conn, case, [r for r in room.receipts(step) if r.verb == "dispose"])
                way.to_its_end(
                    going.number, room, "its bags are not given up half-way: run it again, it goes on"
                )
            before = {x.dataset for x in plans[-1].located}
            for room in its:
                left += [x for x in room.settled(step).located if x.items or x.dataset in before]
                lines += room.lines(step)
        if not going.bags:
            left = list(plans[-1].located)  # none of each
        made = planner.plan(step, left, lines, desk.catalogue.digest, desk.code)
        with book.deed(conn, going.case_no):
            own_plans.carried_out(desk, conn, going.case_no, made, as_of=as_of, actor=actor)
            counts = counted.total(counted.words(conn, step.id))
            book.note(conn, going.case_no, as_of, actor, "disposed", detail={"step": step.id, **counts})
    return made


def prove(desk: Desk, going: Going, *, as_of: date, actor: str) -> Sequence[BagSeen]:
    """What went is gone, and nothing else went or was written, by the prover; the books of the case balance; the backups are
    waited for. Raises NotProved naming each bag of which something is left."""
    from include import proofs
    from include.proofs import limits

    with desk.book() as conn:
        case, of = book.case(conn, going.case_no), orders.order(conn, going.number)
        step, made = way.carried_out(conn, case)
        stayed = stayed_of(counted.words(conn, step.id))
        aside = said_aside(conn, going.number, going.case_no)
    seen = _read_again(desk, of, going)
    there, said_of = Counter[str](), Counter[str]()
    for bag in seen:
        there[bag.dataset] += bag.items if bag.place is not Place.GONE else 0
    # Of a case that gave its bags up none is its own any more, and none of them is left by it.
    mine = frozenset(b.dataset for b in seen) if going.bags else frozenset(x.dataset for x in made.located)
    held = {
        b.dataset for b in seen if b.held
    }  # by a hold that came in between: the bag is named below, and a person looks
    for bag in seen:
        if bag.bag in aside and bag.place is not Place.GONE:
            said_of[bag.dataset] += bag.items
    owned_up = said_of | Counter({d: n for d, n in there.items() if d in held or stayed.get(d)})
    found = [
        *limits.gone(desk.catalogue, desk.connections, step, made),
        *proofs.touched(desk.catalogue, desk.connections, step, made),
        *limits.left(desk.catalogue, step, made, there, owned_up, {}, asked=mine),
        *_beside(desk, step, made),
    ]
    record(desk, found, as_of=as_of, actor=actor)
    balance(desk, going.case_no, as_of=as_of, actor=actor)
    open_backup_track(desk, going.case_no, as_of=as_of, actor=actor)
    rest(desk, going.case_no, as_of=as_of, actor=actor)
    if left := [b for b in seen if b.place is not Place.GONE]:
        why = {
            b.bag: next(iter(over_there(b)), aside.get(b.bag, "a hold, or a row that stays, needs it"))
            for b in left
        }
        said = "; ".join(f"{', '.join(bags)}: {reason}" for reason, bags in ranges.grouped(why).items())
        raise NotProved(
            f"something is left of {said}", about=going.case_no,
            next_step="see `quietus shutdown books`; what is left stays, and is named there until it is gone",
        )  # fmt: skip
    return seen


# --- of what it is made -------------------------------------------------------------------------------


def _stopped(of: Order, bag: BagSeen, as_of: date) -> tuple[str, ...]:
    return stops(books.ordered(of), bag, as_of)


def _in_force(conn: Conn, going: Going, as_of: date) -> tuple[Order, list[Bag]]:
    """The order and the case's bags. Raises Refused if the order lets nothing be deleted, or whoever signed for them takes over
    no more."""
    of = orders.order(conn, going.number)
    if going.bags and (why := next(iter(too_early(books.ordered(of), as_of)), "")):
        raise Refused(why, about=going.number, next_step="nothing more is deleted; " + orders.SEE)
    bags = [b for b in register.bags(conn, going.number) if b.name in going.bags]
    if bags:
        addressed.still_theirs(conn, going.number, bags[0].statement)
    return of, bags


def _may_go(conn: Conn, of: Order, bags: Sequence[Bag], as_of: date) -> None:
    """Before anything goes. Raises Refused for the first bag that anything stops which the book knows: then it is run again, and
    takes the others."""
    said = heard.answers(conn, of.number)
    for bag in bags:
        # in part it may be gone, by an earlier case
        if why := _stopped(of, books.bag_seen(of, bag, said.get(bag.name), Here(Place.WHOLE)), as_of):
            raise Refused(
                why[0],
                about=bag.name,
                next_step="nothing was deleted: run it again, and it takes the other bags",
            )


def _rooms(
    desk: Desk, of: Order, going: Going, bags: Sequence[Bag], conn: Conn, at: At = nowhere, aside: Aside | None = None
) -> list[Objects | Tables]:  # fmt: skip
    if going.bags:
        return rooms(desk, of, bags, conn, at, aside=aside or none_aside)
    named = [b for b in register.bags(conn, going.number) if b.name in going.given_up]
    return rooms(desk, of, named, conn, at, none=True)


def _nothing(conn: Conn, going: Going, every: Sequence[Located], plans: Sequence[Plan]) -> list[Located]:
    """None of each dataset of bags that were given up, and of each copy that a plan named before: its units come to their end."""
    mine = {b.statement.dataset for b in register.bags(conn, going.number) if b.name in going.given_up}
    found = {(x.dataset, x.copy_kind): x for x in every if x.dataset in mine}
    for x in (x for p in plans for x in p.located):
        found.setdefault((x.dataset, x.copy_kind), x.model_copy(update={"items": 0, "digest": "0" * 64}))
    return list(found.values())


def _read_again(desk: Desk, of: Order, going: Going) -> list[BagSeen]:
    if not going.bags:
        return []
    return [b for b in books.seen(desk, of) if b.bag in going.bags]


def _beside(desk: Desk, step: Step, made: Plan) -> list[Evidence]:
    """What else lies in the buckets, as it stood when the plan was made. A person's own case may have disposed of something there
    meanwhile, and has its receipts."""
    from include.proofs.beside import beside, unchanged
    from include.proofs.pictures import Picture

    with desk.book() as conn:
        row = conn.execute(
            "SELECT observed_at, detail -> %s AS stood FROM casebook.event WHERE case_no = %s AND what = 'planned'"
            " ORDER BY event_id DESC LIMIT 1",
            (BESIDE, step.case_no),
        ).fetchone()
        done = located.disposed(conn, row["observed_at"]) if row else {}
        ours = counted.words(conn, step.id)
    before = [Picture.model_validate(x) for x in row["stood"] or []] if row else []
    others = Counter[str]()
    for dataset in desk.catalogue.datasets:
        mine = counted.gone({dataset.id: ours.get(dataset.id, Counter())})
        others[dataset.address] += sum(done.get(dataset.id, Counter()).values()) - mine
    after = beside(desk.catalogue, desk.connections, step, made, like=before)
    return unchanged(step, made, before, after, others)
