"""Our copy of what a successor has signed for goes: bag by bag, on verified receipts only (law.md E, 18; ESL 23; policy 5.6).

One case of ground *shutdown* for all bags that may go now: its rows are located by the question of packing in the bags' ranges,
and disposed of by the nights' own machinery, in pieces with receipts, asked again with the holds of now. As many must be located
as the receipts name, or nothing goes. The prover sees each bag gone by reading its range again.

Every verb may be killed and called again: a case that was begun is gone on with, whatever arrived since.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from include.cases import book, holds, own_plans, papers, planner
from include.cases.acting import begun_with
from include.cases.book import Case, Conn
from include.cases.closing import open_backup_track, rest
from include.cases.disposing import ask
from include.cases.opening import open_night
from include.cases.provers import record
from include.cases.proving import balance
from include.cases.retention import counted
from include.cases.retention.behind import Needed
from include.cases.retention.workers import asking
from include.cases.rooms import Desk
from include.cases.shutdown import orders
from include.cases.shutdown.orders import Order
from include.handover import books, register
from include.handover.conservation import BagSeen, Place, stops
from include.handover.needing import needed
from include.handover.places import Here
from include.handover.register import Bag
from include.handover.sources import Sources
from include.model.errors import BooksDoNotBalance, NotProved, Refused
from include.model.flow import Line, Located, Plan, Step
from include.model.handover import BagKind
from include.model.words import CaseState, Ground
from include.stores.postgres.clearing import Clearing
from include.stores.postgres.live import Live
from include.stores.postgres.retention.look import Look
from include.stores.postgres.server import Connection, Server
from include.stores.shared import nowhere

BEGUN = "source deletion begun"
"""Of the event."""
RULE, LAW = "RS-28", "ESL 23; PIPL 22; policy 5.6: the successor has signed for it"
At = Callable[[str], None]


@dataclass(frozen=True)
class Going:
    """A case and its bags. ``left``: those that might go, but that something which stays needs, and why."""

    number: str
    case_no: str
    bags: tuple[str, ...]
    left: Mapping[str, str] = field(default_factory=dict)


def begin(desk: Desk, number: str, *, as_of: date, actor: str) -> Going:
    """Open a case for every bag of rows that may go; the one that is under way, if there is one. Raises Refused if none may."""
    with desk.book() as conn:
        of, there = orders.order(conn, number), under_way(conn, number)
    if there is not None:
        return there
    seen = books.seen(desk, of)
    may = {b.bag: b for b in seen if b.items and not _stopped(of, b, as_of)}
    with desk.book() as conn:
        bags = [b for b in register.bags(conn, number) if b.name in may and b.statement.kind is BagKind.ROWS]
        left = needed(desk, Sources(desk, conn, of), bags, seen)
    going = [b.name for b in bags if b.name not in left]
    if not going:
        said = "; ".join(f"{bag}: {why}" for bag, why in sorted(left.items()))
        raise Refused(
            "no bag of rows may be deleted here", about=number,
            next_step=said or "see `quietus shutdown books`, which says why",
        )  # fmt: skip
    with orders.deed(desk, number) as (conn, _):
        if (there := under_way(conn, number)) is not None:
            return there
        case_no = open_night(desk, conn, as_of, actor, Ground.SHUTDOWN)
        items = sum(may[b].items for b in going)
        detail = {"case": case_no, "bags": going, "items": items, "left": left}
        orders.say(desk, conn, number, BEGUN, as_of, actor, detail)
    return Going(number, case_no, tuple(going), left)


def under_way(conn: Conn, number: str) -> Going | None:
    """The case that was begun and has not come to its end."""
    for event in reversed(orders.history(conn, number)):
        if event["what"] == BEGUN:
            said = event["detail"]
            going = Going(number, said["case"], tuple(said["bags"]), said["left"])
            done = book.case(conn, going.case_no).state not in (CaseState.ASSESSING, CaseState.ACTING)
            return None if done else going
    return None


def run(desk: Desk, number: str, *, as_of: date, actor: str, at: At = nowhere) -> Going:
    """From the bags that may go to the proof that they are gone. Raises Refused, Drifted, BooksDoNotBalance, NotProved: then the
    case stays open, and run again it goes on."""
    going = begin(desk, number, as_of=as_of, actor=actor)
    at("bags.begun")
    plan(desk, going, as_of=as_of, actor=actor)
    at("bags.planned")
    dispose(desk, going, as_of=as_of, actor=actor, at=at)
    at("bags.disposed")
    prove(desk, going, as_of=as_of, actor=actor)
    at("bags.proved")
    return going


# --- the plan and the deed ----------------------------------------------------------------------------


def plan(desk: Desk, going: Going, *, as_of: date, actor: str) -> Plan:
    """Locate the bags' rows; the prover sees the same. Once something was disposed of, the plan in force stays."""
    from include.proofs import limits

    with desk.book() as conn:
        case, step = _live(desk, conn, going, as_of)
        of, bags = _may_go_on(conn, going, as_of)
        plans = papers.plans(conn, case, "live")
        rooms = _rooms(desk, of, bags, conn)
        if plans and any(room.begun_under(step) for room in rooms):
            return plans[-1]
        every: list[Located] = []
        lines: list[Line] = []
        for room in rooms:
            every += room.locate(step).located
            lines += room.lines(step)
            if room.left:
                dataset, why = next(iter(room.left.items()))
                raise Refused(
                    f"{dataset}: {why}", about=going.number, next_step="nothing was deleted; run it again"
                )
        _as_many(going, every, bags)
        made = planner.plan(step, [x for x in every if x.items], lines, desk.catalogue.digest, desk.code)
        with book.deed(conn, going.case_no):
            fingerprint, base = own_plans.planned(desk, conn, going.case_no, made, as_of=as_of, actor=actor)
            if case.state is CaseState.ASSESSING:
                book.move(conn, going.case_no, CaseState.ACTING, base, actor)
            items = sum(x.items for x in every)
            book.note(
                conn, going.case_no, as_of, actor, "planned", detail={"plan": fingerprint, "items": items}
            )
    seen = Counter[str]()
    for bag in _read_again(desk, of, going):
        seen[bag.dataset] += bag.items if bag.place is Place.WHOLE else 0
    record(
        desk, limits.baseline(desk.catalogue, desk.connections, step, made, seen), as_of=as_of, actor=actor
    )
    return made


def _as_many(going: Going, every: Sequence[Located], bags: Sequence[Bag]) -> None:
    signed = Counter[str]()
    for bag in bags:
        signed[bag.statement.dataset] += bag.statement.items
    for x in every:
        if x.items != signed.get(x.dataset, 0):
            raise BooksDoNotBalance(
                f"{x.items} items are located, and the successor signed for {signed.get(x.dataset, 0)}",
                about=f"{going.number} {x.dataset}", next_step="nothing was deleted; see `quietus shutdown books`",
            )  # fmt: skip


def dispose(desk: Desk, going: Going, *, as_of: date, actor: str, at: At = nowhere) -> Plan:
    """Carry out the plan in every store. Raises Refused if a receipt names a difference by now, or the order is withdrawn."""
    with desk.book() as conn:
        case, step = _live(desk, conn, going, as_of)
        of, bags = _may_go_on(conn, going, as_of)
        plans = papers.plans(conn, case, "live")
        if not plans:
            raise Refused(
                "there is no plan in force", about=going.case_no, next_step="run it from its beginning"
            )
        ask(conn, case, {d.id for d in desk.catalogue.datasets}, as_of)
        located: list[Located] = []
        lines: list[Line] = []
        with holds.none_unnoticed(conn, going.case_no):
            for room in _rooms(desk, of, bags, conn, at):
                begun = begun_with(room, step, plans) or plans[-1]
                mine = {d.id for d in desk.catalogue.of_store(room.id)}
                if any(x.items for x in plans[-1].located if x.dataset in mine):
                    room.dispose(step, begun)
                with book.deed(conn, going.case_no):
                    papers.keep_receipts(conn, case, [r for r in room.receipts(step) if r.verb == "dispose"])
                before = {x.dataset for x in plans[-1].located}
                located += [x for x in room.settled(step).located if x.items or x.dataset in before]
                lines += room.lines(step)
        made = planner.plan(step, located, lines, desk.catalogue.digest, desk.code)
        with book.deed(conn, going.case_no):
            own_plans.carried_out(desk, conn, going.case_no, made, as_of=as_of, actor=actor)
            counts = counted.total(counted.words(conn, step.id))
            book.note(conn, going.case_no, as_of, actor, "disposed", detail={"step": step.id, **counts})
    return made


def prove(desk: Desk, going: Going, *, as_of: date, actor: str) -> Sequence[BagSeen]:
    """What went is gone and nothing else was written, by the prover; the books of the case balance; the backups are waited for.
    Raises NotProved naming each bag of which something is left."""
    from include import proofs
    from include.proofs import limits

    with desk.book() as conn:
        case, of = book.case(conn, going.case_no), orders.order(conn, going.number)
        row = papers.current_step(conn, case, "live")
        plans = papers.plans(conn, case, "live")
        if row is None or not plans:
            raise Refused(
                "nothing was located yet", about=going.case_no, next_step="run it from its beginning"
            )
    step, made = row.step(case, ()), plans[-1]
    found = [
        *limits.gone(desk.catalogue, desk.connections, step, made),
        *proofs.touched(desk.catalogue, desk.connections, step, made),
    ]
    record(desk, found, as_of=as_of, actor=actor)
    balance(desk, going.case_no, as_of=as_of, actor=actor)
    open_backup_track(desk, going.case_no, as_of=as_of, actor=actor)
    rest(desk, going.case_no, as_of=as_of, actor=actor)
    seen = _read_again(desk, of, going)
    if left := [b.bag for b in seen if b.place is not Place.GONE]:
        raise NotProved(
            f"something is left of {', '.join(left)}: a hold, or a row that stays, needs it", about=going.case_no,
            next_step="see `quietus shutdown books`; what is left stays, and is named there until it is gone",
        )  # fmt: skip
    return seen


# --- of what it is made -------------------------------------------------------------------------------


def _stopped(of: Order, bag: BagSeen, as_of: date) -> tuple[str, ...]:
    return stops(books.ordered(of), bag, as_of)


def _live(desk: Desk, conn: Conn, going: Going, as_of: date) -> tuple[Case, Step]:
    desk.are_ours()
    case = book.case(conn, going.case_no)
    if case.state not in (CaseState.ASSESSING, CaseState.ACTING):
        raise Refused(
            f"its case is {case.state.value}", about=going.case_no, next_step="begin anew with what is left"
        )
    with book.deed(conn, going.case_no):
        row = papers.open_step(conn, case, "live", as_of, restricting=False)
    return case, row.step(case, ())


def _may_go_on(conn: Conn, going: Going, as_of: date) -> tuple[Order, list[Bag]]:
    """The order and the case's bags, if nothing that the book knows stops them now. Raises Refused for the first that is."""
    of, said = orders.order(conn, going.number), register.answers(conn, going.number)
    bags = [b for b in register.bags(conn, going.number) if b.name in going.bags]
    for bag in bags:
        known = books.bag_seen(
            bag, said.get(bag.name), Here(Place.WHOLE)
        )  # in part it may be gone, by this very case
        if why := _stopped(of, known, as_of):
            raise Refused(
                why[0], about=bag.name, next_step="nothing more of this case is deleted until that is settled"
            )
    return of, bags


def _read_again(desk: Desk, of: Order, going: Going) -> list[BagSeen]:
    return [b for b in books.seen(desk, of) if b.bag in going.bags]


def _rooms(desk: Desk, of: Order, bags: Sequence[Bag], conn: Conn, at: At = nowhere) -> list[Clearing]:
    """The databases of these bags."""
    sources = Sources(desk, conn, of)

    def looks(server: Server, connection: Connection, live: Live) -> Mapping[str, Look]:
        return sources.looks(bags, server, connection, live)

    return [
        Clearing(
            sources.catalogue, store, desk.connections, looks, _fates, lambda: holds.changes(conn),
            led=Needed(asking(desk, sources.day, None), desk.connections), at=at,
        )
        for store in sorted({sources.store_of(b.statement.dataset) for b in bags})
    ]  # fmt: skip


def _fates(_: Look, groups: Sequence[tuple[Any, ...]]) -> Sequence[tuple[str, str] | None]:
    return [(RULE, LAW) for _ in groups]
