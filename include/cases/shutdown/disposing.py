"""After T0 everything that goes to nobody is erased, anonymised or unlinked (policy 5.6(3); RS-28): whose it is does not matter.

One case of ground *shutdown* for all that the preview gave such a fate, by the nights' own machinery: objects with every version,
records in shared files, then rows, in pieces with receipts, each asked again with the holds of now. What a statute or a hold
keeps stays; what is handed over loses neither owner nor clock by it, so some of it waits and is named. Run again it takes that.

Every verb may be killed and called again: a case that was begun is gone on with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from include.cases import book, ciphertexts, holds, own_plans, papers, planner
from include.cases.acting import begun_with
from include.cases.book import Conn
from include.cases.closing import open_backup_track, rest
from include.cases.disposing import ask
from include.cases.opening import open_night
from include.cases.provers import record, seal_pieces
from include.cases.proving import balance
from include.cases.retention import counted
from include.cases.retention.objects import Partly
from include.cases.retention.stayed import stayed
from include.cases.retention.stopping import may_go_on
from include.cases.rooms import Desk
from include.cases.shutdown import breaker, located, needles, orders, way
from include.cases.shutdown.breaker import BEGUN
from include.cases.shutdown.orders import Order
from include.cases.shutdown.pointed import DONE, pointed
from include.cases.shutdown.questions import GOES, whole
from include.cases.shutdown.stores import clearings, ends
from include.cases.shutdown.waiting import waiting
from include.model.errors import Refused
from include.model.flow import Line, Located, Plan
from include.model.words import CaseState, Disposition, Ground
from include.stores.shared import nowhere

At = Callable[[str], None]
Here = Mapping[str, Counter[Disposition]]


class NoneMay(Refused):
    """Nothing that goes to nobody may be disposed of now."""


@dataclass(frozen=True)
class Going:
    """A case of an order. ``waits``: datasets that wait as a whole, and why; ``bare``: dataset -> rows that were bare
    keys when it was begun."""

    number: str
    case_no: str
    waits: Mapping[str, str] = field(default_factory=dict)
    bare: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """``gone``: dataset -> items that were disposed of, but for those that an earlier case of the order had cut;
    ``left``: what of it stays for now, and why; ``stands``: what is there afterwards, by which another run knows whether it could
    do more."""

    case_no: str
    gone: Mapping[str, int]
    left: Mapping[str, str]
    stands: Mapping[str, Any]


def run(desk: Desk, number: str, *, as_of: date, actor: str, at: At = nowhere) -> Done:
    """From what there is to the proof that it is gone. Raises Refused before both approvers let it go, Drifted,
    BooksDoNotBalance, NotProved: then the case stays open, and run again it goes on."""
    going = begin(desk, number, as_of=as_of, actor=actor)
    at("rest.begun")
    plan(desk, going, as_of=as_of, actor=actor)
    at("rest.planned")
    dispose(desk, going, as_of=as_of, actor=actor, at=at)
    at("rest.disposed")
    done = prove(desk, going, as_of=as_of, actor=actor)
    at("rest.proved")
    return done


def begin(desk: Desk, number: str, *, as_of: date, actor: str) -> Going:
    """Open a case for what may go now; the one that is under way, if there is one. Raises Refused if nothing may, before T0,
    before identifiers were gathered, and while the order's approvers did not let it go."""
    with desk.book() as conn:
        of = _in_order(conn, number, as_of)
        if (there := under_way(conn, number)) is not None:
            return there
        needles.were_gathered(desk, conn, number)
    here, waits, _ = _here(desk, of)
    going, keys = _going(here, waits), pointed(desk, of, here)
    with desk.book() as conn:
        as_left = _as_left(conn, number, _stands(here, waits), going - Counter(keys.bare))
    if as_left or not +(going - keys.items):
        raise NoneMay(
            "nothing that goes to nobody may be disposed of now", about=number,
            next_step=_said(waits) or "all of it is gone; see `quietus shutdown residual`",
        )  # fmt: skip
    with orders.deed(desk, number) as (conn, of):
        if (there := under_way(conn, number)) is not None:
            return there
        breaker.may_go(conn, of, going)
        case_no = open_night(desk, conn, as_of, actor, Ground.SHUTDOWN)
        detail = {
            "case": case_no,
            "going": dict(sorted((+going).items())),
            "waits": waits,
            "bare": dict(sorted(keys.bare.items())),
        }
        orders.say(desk, conn, number, BEGUN, as_of, actor, detail)
    return Going(number, case_no, waits, keys.bare)


def under_way(conn: Conn, number: str) -> Going | None:
    """The case that was begun and has not come to its end."""
    for event in reversed(orders.history(conn, number)):
        if event["what"] == BEGUN:
            said = event["detail"]
            going = Going(number, said["case"], said["waits"], said.get("bare", {}))
            return going if way.under_way(conn, going.case_no) else None
    return None


# --- the plan and the deed ----------------------------------------------------------------------------


def plan(desk: Desk, going: Going, *, as_of: date, actor: str) -> Plan:
    """Locate it; the prover sees the same. Once something was disposed of, the plan in force stays. Raises Refused,
    BooksDoNotBalance if it is more than was located on T0 and approved."""
    from include.proofs import Ciphertexts, limits

    with desk.book() as conn:
        case, step = way.live(desk, conn, going.case_no, as_of)
        of = _in_order(conn, going.number, as_of)
        plans = papers.plans(conn, case, "live")
    here, waits, _ = _here(desk, of)
    with desk.book() as conn:
        about = ends(desk, of, waits)
        rooms = clearings(desk, about, conn)
        if plans and any(room.begun_under(step) for room in rooms):
            return plans[-1]
        every: list[Located] = []
        lines: list[Line] = []
        for room in rooms:
            every += room.locate(step).located
            lines += room.lines(step)
            way.to_its_end(going.number, room, "nothing was deleted; run it again")
        there = [x for x in every if x.items] or every
        breaker.may_go(conn, of, _items(there))
        made = planner.plan(step, there, lines, desk.catalogue.digest, desk.code)
        with book.deed(conn, going.case_no):
            catalogue = whole(desk.catalogue)
            units_of = made if lines else own_plans.of_none(made, catalogue, "policy 5.6(3)")
            fingerprint, base = own_plans.planned(
                desk, conn, going.case_no, made, units_of=units_of, as_of=as_of, actor=actor
            )
            if case.state is CaseState.ASSESSING:
                book.move(conn, going.case_no, CaseState.ACTING, base, actor)
            items = sum(x.items for x in there)
            book.note(
                conn, going.case_no, as_of, actor, "planned", detail={"plan": fingerprint, "items": items}
            )
    seal_pieces(desk, step, desk.catalogue)
    kept = Ciphertexts()
    found = limits.baseline(desk.catalogue, desk.connections, step, made, _going(here, waits), kept)
    ciphertexts.keep(desk, going.case_no, kept)
    record(desk, found, as_of=as_of, actor=actor)
    return made


def dispose(desk: Desk, going: Going, *, as_of: date, actor: str, at: At = nowhere) -> Plan:
    """Carry out the plan in every store. Raises Refused if the order is withdrawn, and between two pieces when nights are
    stopped."""
    with desk.book() as conn:
        of = _in_order(conn, going.number, as_of)
    _, waits, _ = _here(desk, of)  # of what something that is handed over hangs on by now
    with desk.book() as conn:
        case, step = way.live(desk, conn, going.case_no, as_of)
        plans = way.in_force(conn, case)
        ask(conn, case, {d.id for d in desk.catalogue.datasets}, as_of)
        left: list[Located] = []
        lines: list[Line] = []
        unfinished: dict[str, str] = {}
        with holds.none_unnoticed(conn, going.case_no):
            for room in clearings(desk, ends(desk, of, waits), conn, at):
                mine = {d.id for d in desk.catalogue.of_store(room.id)}
                if not any(x.dataset in mine for x in plans[-1].located):
                    continue  # all of it waited when this was planned, or nothing of it was there: another case's, if anybody's
                begun = begun_with(room, step, plans) or plans[-1]
                if any(x.items for x in plans[-1].located if x.dataset in mine):
                    room.dispose(step, begun)
                with book.deed(conn, going.case_no):
                    papers.keep_receipts(conn, case, [r for r in room.receipts(step) if r.verb == "dispose"])
                before = {x.dataset for x in plans[-1].located}
                left += [x for x in room.settled(step).located if x.items or x.dataset in before]
                lines += room.lines(step)
                unfinished |= room.left
        made = planner.plan(step, left, lines, desk.catalogue.digest, desk.code)
        with book.deed(conn, going.case_no):
            own_plans.carried_out(desk, conn, going.case_no, made, as_of=as_of, actor=actor)
            counts = counted.total(counted.words(conn, step.id))
            book.note(
                conn, going.case_no, as_of, actor, "disposed",
                detail={"step": step.id, **counts, "unfinished": dict(unfinished)},
            )  # fmt: skip
    return made


def prove(desk: Desk, going: Going, *, as_of: date, actor: str) -> Done:
    """What went is gone, no other row was written, and no more of any dataset is left than the receipts say; the books of the
    case balance; the backups are waited for. Raises NotProved."""
    from include import proofs
    from include.proofs import limits

    with desk.book() as conn:
        case, of = book.case(conn, going.case_no), orders.order(conn, going.number)
        step, made = way.carried_out(conn, case)
        words = counted.words(conn, step.id)
        passed = stayed(papers.receipts(conn, step.id, "dispose"))
    here, waits, unasked = _here(desk, of)
    unfinished = _unfinished(desk, going)
    keys = pointed(desk, of, here).bare
    still = {d: sum(here[d][x] for x in GOES) - keys.get(d, 0) for d in here}
    owned_up = {
        d: n if d in waits or d in going.waits or d in unfinished else passed.get(d, (0, ""))[0]
        for d, n in still.items()
    }  # fmt: skip
    partly = frozenset(d for d, why in unasked.items() if isinstance(why, Partly))
    found = [
        *limits.gone(desk.catalogue, desk.connections, step, made, ciphertexts.kept(desk, going.case_no)),
        *proofs.touched(desk.catalogue, desk.connections, step, made),
        *limits.left(desk.catalogue, step, made, still, owned_up, unasked, partly, asked=frozenset(here)),
    ]
    record(desk, found, as_of=as_of, actor=actor)
    balance(desk, going.case_no, as_of=as_of, actor=actor)
    again = _cut_again(desk, going)
    gone = {d: n for d, w in words.items() if (n := counted.gone({d: w}) - again[d]) > 0}
    left = {d: why for d, why in (waits | unfinished).items() if still.get(d)}
    left |= {d: why for d, (_, why) in passed.items() if still.get(d)}
    stands = _stands(here, waits)
    with orders.deed(desk, going.number) as (conn, _):
        if not any(
            e["what"] == DONE and e["detail"]["case"] == going.case_no
            for e in orders.history(conn, going.number)
        ):
            needed = {d: n for d, w in sorted(words.items()) if (n := w["needed"])}
            detail = {
                "case": going.case_no,
                "gone": dict(sorted(gone.items())),
                "left": left,
                "needed": needed,
                "moving": bool(going.waits or waits),
                "stands": stands,
            }
            orders.say(desk, conn, going.number, DONE, as_of, actor, detail)
    open_backup_track(desk, going.case_no, as_of=as_of, actor=actor)
    rest(desk, going.case_no, as_of=as_of, actor=actor)
    return Done(going.case_no, gone, left, stands)


# --- of what it is made -------------------------------------------------------------------------------


def _cut_again(desk: Desk, going: Going) -> Counter[str]:
    """Of each dataset, rows that this case cut though an earlier one of the order had. What looks bare from the start, since its
    columns were empty, is cut for the first time, too."""
    with desk.book() as conn:
        before = [
            e["detail"] for e in orders.history(conn, going.number)
            if e["what"] == DONE and e["detail"]["case"] != going.case_no
        ]  # fmt: skip
    dealt_with = sum((Counter(d["gone"]) for d in before), Counter[str]())
    return Counter({d: min(n, dealt_with[d]) for d, n in going.bare.items()})


def _in_order(conn: Conn, number: str, as_of: date) -> Order:
    """The order, if what goes to nobody may go by it. Raises Refused."""
    of = orders.order(conn, number)
    if not of.in_force:
        raise Refused(f"the order is {of.state}", about=number, next_step=orders.SEE)
    if of.closed_on is None or as_of < max(of.t0, of.closed_on):
        raise Refused(
            "T0 has not come, or collection is not closed", about=number,
            next_step="use `quietus shutdown close-collection` on T0",
        )  # fmt: skip
    orders.not_withdrawing(conn, number)
    may_go_on(conn)
    return of


def _here(desk: Desk, of: Order) -> tuple[Here, dict[str, str], dict[str, str]]:
    """What is there by dataset and fate, seen by the prover; what waits, and why; what could not be asked."""
    here, unasked = located.counted(desk, of)
    ours = [d.id for d in of.datasets(desk.catalogue)]
    return here, waiting(desk.catalogue, ours, here), unasked


def _going(here: Here, waits: Mapping[str, str]) -> Counter[str]:
    return Counter({d: sum(n[x] for x in GOES) for d, n in here.items() if d not in waits})


def _stands(here: Here, waits: Mapping[str, str]) -> dict[str, Any]:
    """Counts of what goes to the successor yet, and of what may go."""
    moving = sum(n[Disposition.TRANSFER] for n in here.values())
    return {"moving": moving, "going": dict(sorted((+_going(here, waits)).items()))}


def _as_left(conn: Conn, number: str, stands: Mapping[str, Any], going: Counter[str]) -> bool:
    """Whether the last disposal left all of this since other rows need it, and nothing is otherwise since: then another would do
    nothing but cut bare keys once more. ``going``: without those."""
    last = next((e["detail"] for e in reversed(orders.history(conn, number)) if e["what"] == DONE), None)
    return last is not None and last.get("stands") == stands and not going - Counter(last["needed"])


def _items(every: list[Located]) -> Counter[str]:
    found: Counter[str] = Counter()
    for x in every:
        found[x.dataset] += x.items
    return found


def _said(waits: Mapping[str, str]) -> str:
    return "; ".join(f"{d}: {why}" for d, why in sorted(waits.items()))


def _unfinished(desk: Desk, going: Going) -> dict[str, str]:
    """Datasets that the deed could not finish, as the case says."""
    with desk.book() as conn:
        row = conn.execute(
            "SELECT detail FROM casebook.event WHERE case_no = %s AND what = 'disposed' ORDER BY event_id DESC LIMIT 1",
            (going.case_no,),
        ).fetchone()
    return dict(row["detail"].get("unfinished", {})) if row else {}
