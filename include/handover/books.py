"""The books of a shutdown held against both sides: gathered, judged by :mod:`include.handover.conservation`, said in the ledger.

What was located at T0 is in the order's own events; what is here is counted anew by the prover; what was disposed of is in the
stores' receipts; bags and what the successor signed are in the register, and each bag's range is read again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from include.cases.retention.held import held_people
from include.cases.rooms import Desk
from include.cases.shutdown import closing, located, orders
from include.cases.shutdown.closing import Proof
from include.cases.shutdown.consigning import consigned
from include.cases.shutdown.located import Opening
from include.cases.shutdown.orders import Order
from include.handover import register
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
    """``lines``: by dataset; ``bags``: each with why its items may not be deleted here, or nothing."""

    order: str
    closed_on: date
    lines: tuple[Line, ...]
    bags: tuple[tuple[BagSeen, tuple[str, ...]], ...]

    @property
    def verdict(self) -> Verdict:
        """Passed if every dataset balances; unverified if nothing is against it but what could not be asked."""
        kinds = {r.kind for x in self.lines for r in x.reasons}
        if kinds & {Kind.WRONG, Kind.WAITS}:
            return Verdict.FAILED
        return Verdict.UNVERIFIED if kinds else Verdict.PASSED

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
                 "their_root": b.theirs, "here": b.place.value, "may_be_deleted_here": not why, "stopped_by": list(why)}
                for b, why in self.bags
            ],
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
    with desk.book() as conn:
        done = {d: located.disposed(conn, o.since).get(d, Counter()) for d, o in openings.items()}
        whole = {b.statement.dataset for b in register.bags(conn, number) if b.last}
    entries = _entries(of, desk, openings, here, unasked | unopened, done, bags, whole, proof)
    found = Books(
        number, of.closed_on or of.t0, tuple(line(e, of.custodian) for e in entries) + _beside(desk, of, proof),
        tuple((b, stops(ordered(of), b, as_of)) for b in bags),
    )  # fmt: skip
    with orders.deed(desk, number) as (conn, _):
        detail = {"verdict": found.verdict.value, "lines": [x.told() for x in found.lines], "bags": len(bags)}
        orders.say(desk, conn, number, BOOKS, as_of, actor, detail)
    return found


def balanced(found: Books) -> str:
    """Raises BooksDoNotBalance naming each dataset that does not, and why."""
    if found.verdict is Verdict.FAILED:
        raise BooksDoNotBalance(
            "; ".join(sentence(x.dataset, r) for x in found.open for r in x.reasons), about=found.order,
            next_step="see `quietus shutdown books` and docs/shutdown.md: nothing of such a bag is deleted",
        )  # fmt: skip
    return f"{found.order}: {found.verdict}, {len(found.lines)} datasets"


def sentence(dataset: str, reason: Reason) -> str:
    """One reason as a sentence."""
    items = f"{reason.items:,} items: " if reason.items else ""
    return f"{reason.bag or dataset}: {items}{reason.why}"


def ordered(of: Order) -> Ordered:
    """What a bag's deletion asks of an order."""
    return Ordered(of.number, of.state, of.in_force, of.closed_on, of.t0)


def seen(desk: Desk, of: Order) -> list[BagSeen]:
    """Every bag of an order on both sides: how far it came, what the successor said last, where its items are here."""
    with desk.book() as conn:
        bags, said = register.bags(conn, of.number), register.answers(conn, of.number)
    if not bags:
        return []
    reading = Reading(
        desk.catalogue, desk.connections, desk.book, held_people(desk), of.number, bags[0].statement.as_of,
        tuple(consigned(desk.catalogue, of)),
    )  # fmt: skip
    here = places(reading)
    return [bag_seen(b, said.get(b.name), here[b.name]) for b in bags]


def bag_seen(bag: Bag, said: register.Answer | None, here: Here) -> BagSeen:
    """One bag, by what is known of it."""
    of = bag.statement
    return BagSeen(
        of.bag, of.dataset, of.items, bag.state, of.root, said.root if said else None, said.refused if said else "",
        here.place, here.held, here.why, here.kept,
    )  # fmt: skip


def _entries(
    of: Order, desk: Desk, openings: Mapping[str, Opening], here: Mapping[str, Mapping[Disposition, int]],
    unasked: Mapping[str, str], done: Mapping[str, Mapping[Disposition, int]], bags: list[BagSeen], whole: set[str],
    proof: Proof,
) -> list[Entry]:  # fmt: skip
    grew = {(x.store, place): n for x in proof.looked for place, n in x.grew.items()}
    found = []
    for d in of.datasets(desk.catalogue):
        why = unasked.get(d.id, "") if d.id not in openings or d.id not in here else ""
        found.append(
            Entry(
                d.id, openings[d.id].fates if d.id in openings else {}, here.get(d.id, {}), done.get(d.id, {}),
                tuple(b for b in bags if b.dataset == d.id), d.id in whole, grew.get((d.store, d.address), 0),
                why or ("" if d.id in openings and d.id in here else "it was not counted"),
            )
        )  # fmt: skip
    known = {e.dataset for e in found}
    for dataset in sorted({b.dataset for b in bags} - known):
        found.append(Entry(dataset, bags=tuple(b for b in bags if b.dataset == dataset), packed=True))
    return found


def _beside(desk: Desk, of: Order, proof: Proof) -> tuple[Line, ...]:
    """What the look at collection says of no dataset alone: other places that grew, who can write, what it could not see."""
    known = {(d.store, d.address) for d in of.datasets(desk.catalogue)}
    reasons: list[tuple[str, Reason]] = []
    for x in proof.looked:
        for place, n in sorted(x.grew.items()):
            if (x.store, place) not in known:
                reasons.append((place, Reason(Kind.WRONG, "was written since T0: find out by whom", n)))
        reasons += [(place, Reason(Kind.WRONG, f"{role} can still write it", 0)) for role, place in x.writers]
        reasons += [(place, Reason(Kind.UNASKED, why, 0)) for place, why in sorted(x.unasked.items())]
    return tuple(Line(place, 0, 0, 0, 0, 0, None, 0, (r,)) for place, r in reasons)
