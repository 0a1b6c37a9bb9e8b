"""The books of a shutdown held against both sides: gathered, judged by :mod:`include.handover.conservation`, said in the ledger.

What was located at T0 is in the order's own events; what is here is counted anew by the prover; what was disposed of is in the
stores' receipts; bags and what the successor signed are in the register, and each bag's range is read again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from include.cases.rooms import Desk
from include.cases.shutdown import accepting, closing, located, orders
from include.cases.shutdown.accepting import Answered, Where
from include.cases.shutdown.begun import deleted_in
from include.cases.shutdown.closing import Proof
from include.cases.shutdown.located import Opening
from include.cases.shutdown.orders import Order
from include.cases.shutdown.pointed import pointed
from include.handover import addressed, heard, register
from include.handover.clocks import Stays
from include.handover.conservation import (
    BagSeen,
    Entry,
    Kind,
    Line,
    Ordered,
    Reason,
    line,
    stops,
)
from include.handover.places import Here, Reading, places
from include.handover.register import Bag
from include.model.errors import BooksDoNotBalance
from include.model.words import Disposition, Verdict

BOOKS = "books"
"""Of the event."""


@dataclass(frozen=True)
class Books:
    """``lines``: by dataset; ``bags``: each with why its items may not be deleted here, or nothing; ``answered``: places of
    which nobody could see that nothing is collected there, and for which a person answers by a document; ``left``: bags of which
    something stays with a company that withdrew."""

    order: str
    closed_on: date
    lines: tuple[Line, ...]
    bags: tuple[tuple[BagSeen, tuple[str, ...]], ...]
    answered: tuple[Answered, ...] = ()
    left: tuple[Bag, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Passed if every dataset balances; unverified if nothing is against it but what could not be asked, or seen: who
        answers for a place has not seen it either."""
        kinds = {r.kind for x in self.lines for r in x.reasons}
        if kinds & {Kind.WRONG, Kind.WAITS}:
            return Verdict.FAILED
        return Verdict.UNVERIFIED if kinds or self.answered else Verdict.PASSED

    @property
    def open(self) -> tuple[Line, ...]:
        return tuple(x for x in self.lines if not x.balances)

    def body(self) -> dict[str, Any]:
        """As JSON: counts, names of datasets and bags, roots."""
        return {
            "order": self.order, "as_of": self.closed_on.isoformat(), "verdict": self.verdict.value,
            "lines": [x.told() for x in self.lines],
            "bags": [
                {"bag": b.bag, "dataset": b.dataset, "items": b.items, "state": b.state.value, "root": b.root,
                 "their_root": b.theirs, "here": b.place.value, "may_be_deleted_here": not why, "stopped_by": list(why),
                 "custodian": b.custodian}
                for b, why in self.bags
            ],
            "left": [
                {"bag": b.name, "dataset": b.statement.dataset, "items": b.left, "custodian": b.statement.successor}
                for b in self.left
            ],
            "answered": [x.told() for x in self.answered],
        }  # fmt: skip


def balance(desk: Desk, number: str, *, as_of: date, actor: str) -> Books:
    """The books of an order after T0, as they are now; said in the book and in the ledger, whatever they are. Opens those of
    datasets that were not counted yet. Raises Refused before collection is closed or if the order is withdrawn, NotReachable."""
    proof = closing.prove(desk, number, as_of=as_of, actor=actor)
    unopened = located.locate(desk, number, as_of=as_of, actor=actor)
    with desk.book() as conn:
        of, openings = orders.order(conn, number), located.openings(conn, number)
    bags = seen(desk, of)
    here, unasked = located.counted(desk, of)
    keys = pointed(desk, of, here)
    with desk.book() as conn:
        done = {d: located.disposed(conn, o.since).get(d, Counter()) for d, o in openings.items()}
        known, former = register.bags(conn, number), register.former(conn, number)
        open_, answered = accepting.unseen(conn, number)
    entries = _entries(
        of,
        desk,
        openings,
        here,
        unasked | unopened | keys.unasked,
        done,
        bags,
        [*known, *former],
        proof,
        keys.items,
    )
    found = Books(
        number, of.closed_on or of.t0, tuple(line(e, of.custodian) for e in entries) + _beside(desk, of, proof, open_),
        tuple((b, stops(ordered(of), b, as_of)) for b in bags), tuple(answered), tuple(b for b in former if b.left),
    )  # fmt: skip
    with orders.deed(desk, number) as (conn, _):
        detail = {
            "verdict": found.verdict.value, "lines": [x.noted() for x in found.lines], "bags": len(bags),
            "answered": [x.told() for x in found.answered],
        }  # fmt: skip
        orders.say(desk, conn, number, BOOKS, as_of, actor, detail)
    return found


def balanced(found: Books) -> str:
    """Raises BooksDoNotBalance naming each dataset that does not, and why."""
    if found.verdict is Verdict.FAILED:
        raise BooksDoNotBalance(
            "; ".join(sentence(x.dataset, r) for x in found.open for r in x.reasons), about=found.order,
            next_step=_next_step(found),
        )  # fmt: skip
    return f"{found.order}: {found.verdict}, {len(found.lines)} datasets"


def _next_step(found: Books) -> str:
    """What is to be done about books that do not balance: locks first, for of these it is known when."""
    said = "see `quietus shutdown books`, which names each; once that is done, ask again (in Airflow: clear this task)"
    if until := [b.until for b, _ in found.bags if b.locked and b.until is not None]:
        return (
            f"locks keep some until {max(until)}: then `quietus shutdown delete-source` and `dispose`; {said}"
        )
    return said


def sentence(dataset: str, reason: Reason) -> str:
    """One reason as a sentence."""
    items = f"{reason.items:,} items: " if reason.items else ""
    return f"{reason.bag or dataset}: {items}{reason.why}"


def ordered(of: Order) -> Ordered:
    """What a bag's deletion asks of an order."""
    return Ordered(of.number, of.state, of.in_force, of.closed_on, of.t0)


def seen(desk: Desk, of: Order, by: Mapping[str, str] | None = None) -> list[BagSeen]:
    """Every bag of an order on both sides: how far it came, what the successor said last, where its items are here. ``by``: bags
    of which something goes here right now, each with its case, though the book has no receipt of that yet."""
    with desk.book() as conn:
        bags, said = register.bags(conn, of.number), heard.answers(conn, of.number)
        begun = deleted_in(conn, of.number) | dict(by or {})
    if not bags:
        return []
    here = places(Reading.of(desk, of, bags[0].statement.as_of))
    found = [bag_seen(of, b, said.get(b.name), here[b.name]) for b in bags]
    return [replace(b, by=begun[b.bag]) if b.bag in begun else replace(b, rest=None) for b in found]


def bag_seen(of: Order, bag: Bag, said: heard.Answer | None, here: Here) -> BagSeen:
    """One bag, by what is known of it."""
    its = bag.statement
    return BagSeen(
        its.bag, its.dataset, bag.items, bag.state, bag.root, said.root if said else None, said.refused if said else "",
        here.place, here.held, here.why, here.kept, bag.unanswered, here.unfinished, here.locked, here.until,
        here.rest, doubted=addressed.stranger(of, bag), custodian=its.successor,
    )  # fmt: skip


def _entries(
    of: Order, desk: Desk, openings: Mapping[str, Opening], here: Mapping[str, Mapping[Disposition, int]],
    unasked: Mapping[str, str], done: Mapping[str, Mapping[Disposition, int]], bags: list[BagSeen],
    packed: Sequence[Bag], proof: Proof, keys: Mapping[str, int],
) -> list[Entry]:  # fmt: skip
    grew = {(x.store, place): n for x in proof.looked for place, n in x.grew.items()}
    whole = {b.statement.dataset for b in packed if b.last and b.left is None}
    noticed, objected = Counter[str](), Counter[str]()
    left: dict[str, Counter[str]] = {}
    for b in packed:
        dataset = b.statement.dataset
        if b.left is None:
            noticed[dataset] += b.statement.items - b.items
            objected[dataset] += b.stays.get(Stays.OBJECTED, 0)
        else:  # what cases took of it until the order went on; the rest was packed anew, or stays with that company
            noticed[dataset] += b.statement.items - b.left - (b.here or 0)
            left.setdefault(dataset, Counter())[b.statement.successor] += b.left
    found = []
    for d in of.datasets(desk.catalogue):
        why = unasked.get(d.id, "")  # wholly, or a part of it: of that nobody knows what it is
        found.append(
            Entry(
                d.id, openings[d.id].fates if d.id in openings else {}, here.get(d.id, {}), done.get(d.id, {}),
                tuple(b for b in bags if b.dataset == d.id), d.id in whole, grew.get((d.store, d.address), 0),
                why or ("" if d.id in openings and d.id in here else "it was not counted"), noticed[d.id], objected[d.id],
                keys.get(d.id, 0), +left.get(d.id, Counter()),
            )
        )  # fmt: skip
    known = {e.dataset for e in found}
    for dataset in sorted({b.dataset for b in bags} - known):
        found.append(Entry(dataset, bags=tuple(b for b in bags if b.dataset == dataset), packed=True))
    return found


def _beside(desk: Desk, of: Order, proof: Proof, unseen: Sequence[Where]) -> tuple[Line, ...]:
    """What the look at collection says of no dataset alone: other places that grew, who can write, what it could not see and
    nobody answers for."""
    known = {(d.store, d.address) for d in of.datasets(desk.catalogue)}
    reasons: list[tuple[str, Reason]] = []
    for x in proof.looked:
        for place, n in sorted(x.grew.items()):
            if (x.store, place) not in known:
                reasons.append((place, Reason(Kind.WRONG, "was written since T0: find out by whom", n)))
        reasons += [(place, Reason(Kind.WRONG, f"{role} can still write it", 0)) for role, place in x.writers]
    reasons += [(place, Reason(Kind.UNASKED, why, 0)) for _, place, why in unseen]
    return tuple(Line(place, 0, 0, 0, 0, 0, None, 0, (r,)) for place, r in reasons)
