"""The books of a shutdown: located = transferred + deleted + anonymised + retained, dataset by dataset. Pure.

An item that was located on T0 ends in exactly one place: with the successor, by a verified receipt, and not here any more; gone
or anonymised, by a receipt of our stores; or here, with a custodian. While it is on its way it is named, and so is whatever
cannot be explained. A dataset balances if nothing of it is named.

What is counted can cancel out (one lost, one added); so bags are not counted but known by their roots, and what was added since
T0 is told by the stores' own transaction numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any

from include.model.handover import BagState
from include.model.words import Disposition

D = Disposition
STAYS = (D.RETAIN, D.HOLD)
GONE_BY = (D.ERASE, D.UNLINK, D.ANONYMISE)
"""What a receipt may say of an item that is disposed of for good. What was only cut is personal still (PIPL 73(3))."""


class Place(StrEnum):
    """Where a bag's items are on our side, read again."""

    WHOLE = "here"  # all of them, byte for byte: the root is the one that was signed
    GONE = "gone"  # none of them
    PART = "changed"  # some are gone, were changed, or stand otherwise since they were packed
    KEPT = "kept"  # of the case book, which is not deleted by bags
    UNASKED = "not asked"


class Kind(StrEnum):
    """What a reason is."""

    WRONG = "wrong"  # find out why
    WAITS = "waits"  # not done yet
    UNASKED = "unverified"  # could not be seen


@dataclass(frozen=True)
class Reason:
    """Why a dataset does not balance."""

    kind: Kind
    why: str
    items: int
    bag: str = ""


@dataclass(frozen=True)
class BagSeen:
    """A bag on both sides. ``refused``: what the newest verified receipt names as different, or nothing; ``theirs``: the root
    that it says; ``held``: how many of the bag's items a hold names today; ``kept``: how many a statute keeps here as well;
    ``unanswered``: how many notices about it the successor has not answered. Of objects, ``unfinished``: uploads among them that
    were never finished, which no bag can hold; ``locked``: versions that the server keeps, ``until`` a day (None: under a legal
    hold). ``rest``: of a bag in part, how many are left of it, if a case of ours took the others and nothing else is here.
    ``by``: the case that deleted it here, or a part of it. ``doubted``: why nothing that was signed for it counts any more, or
    nothing. ``custodian``: the company that it is for."""

    bag: str
    dataset: str
    items: int
    state: BagState
    root: str
    theirs: str | None = None
    refused: str = ""
    place: Place = Place.WHOLE
    held: int = 0
    why: str = ""
    kept: int = 0
    unanswered: int = 0
    unfinished: int = 0
    locked: int = 0
    until: date | None = None
    rest: int | None = None
    by: str = ""
    doubted: str = ""
    custodian: str = ""

    @property
    def taken(self) -> int:
        """How many of its items the deletion of our copy took: they are the successor's, and no item that was deleted."""
        if self.place is Place.GONE:
            return self.items if self.by or self.arrived else 0
        return self.items - self.rest if self.place is Place.PART and self.rest else 0

    @property
    def lock(self) -> str:
        """What the server keeps of it, in words; or nothing."""
        if not self.locked:
            return ""
        until = f"until {self.until}" if self.until else "under a legal hold of the bucket"
        return f"the server keeps {self.locked} of its versions {until}"

    @property
    def arrived(self) -> bool:
        """Whether the successor has exactly what we signed, and its newest receipt says so."""
        signed = self.state is BagState.RECEIVED and not self.refused and self.theirs == self.root
        return signed and not self.unanswered


@dataclass(frozen=True)
class Entry:
    """What is known of a dataset. ``located``: at the opening; ``here``: now, by the same question; ``done``: by receipts of our
    stores since; ``packed``: its last bag is there; ``grew``: rows or objects written since T0; ``unasked``: why it could not be
    asked, or nothing; ``noticed``: items that notices took out of its bags since they were packed; ``objected``: items that did
    not go since their owner objects; ``pointed``: how many of what is
    here would go by their fate, and stay since rows that the law keeps point at them; ``left``: by company that withdrew, how
    many items are with it alone, by its receipt: of these it is the custodian."""

    dataset: str
    located: Mapping[Disposition, int] = field(default_factory=dict)
    here: Mapping[Disposition, int] = field(default_factory=dict)
    done: Mapping[Disposition, int] = field(default_factory=dict)
    bags: tuple[BagSeen, ...] = ()
    packed: bool = False
    grew: int = 0
    unasked: str = ""
    noticed: int = 0
    objected: int = 0
    pointed: int = 0
    left: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Line:
    """A dataset's line of the books: it balances if there is no reason against it. ``left``: of what was transferred, how many
    items are with each company that withdrew afterwards, and stays their custodian."""

    dataset: str
    located: int
    transferred: int
    deleted: int
    anonymised: int
    retained: int
    custodian: str | None
    pending: int
    reasons: tuple[Reason, ...]
    left: Mapping[str, int] = field(default_factory=dict)

    @property
    def balances(self) -> bool:
        return not self.reasons

    def told(self) -> dict[str, Any]:
        """As JSON: counts, names of datasets and bags."""
        return {
            "dataset": self.dataset, "located": self.located, "transferred": self.transferred, "deleted": self.deleted,
            "anonymised": self.anonymised, "retained": self.retained, "custodian": self.custodian,
            "pending": self.pending, "balances": self.balances,
            "reasons": [{"kind": r.kind.value, "why": r.why, "items": r.items, "bag": r.bag} for r in self.reasons],
            **({"left": dict(self.left)} if self.left else {}),
        }  # fmt: skip

    def noted(self) -> dict[str, Any]:
        """The same as an event has room for, however many bags there are: what is said of several bags is said once."""
        found: dict[tuple[str, str], Counter[str]] = {}
        for r in self.reasons:
            found.setdefault((r.kind.value, r.why), Counter()).update(items=r.items, bags=bool(r.bag))
        reasons = [
            {"kind": k, "why": w, "items": n["items"], "bags": n["bags"]} for (k, w), n in found.items()
        ]
        return {**self.told(), "reasons": reasons}


def line(of: Entry, custodian: str | None) -> Line:
    """The line of one dataset."""
    if of.bags and all(b.place is Place.KEPT for b in of.bags):
        return _of_the_book(of)
    over = [b for b in of.bags if b.arrived and b.place in (Place.GONE, Place.KEPT)]
    left = sum(of.left.values())
    transferred = sum(b.items for b in over) + left
    sources = sum(b.taken for b in of.bags) + left  # their deletion has receipts, too
    retained = sum(of.here.get(d, 0) for d in STAYS) + of.pointed
    removed = of.done.get(D.ERASE, 0) + of.done.get(D.UNLINK, 0)
    return Line(
        of.dataset, sum(of.located.values()), transferred, max(0, removed - sources), of.done.get(D.ANONYMISE, 0),
        retained, custodian if retained else None, sum(of.here.values()) - retained,
        tuple(_reasons(of, custodian, retained)), of.left,
    )  # fmt: skip


def _of_the_book(of: Entry) -> Line:
    """What of the case book goes is a copy, and stays in the book."""
    items = sum(b.items for b in of.bags)
    over = sum(b.items for b in of.bags if b.arrived)
    reasons = tuple(r for b in of.bags for r in bag_reasons(b))
    return Line(of.dataset, items, over, 0, 0, 0, None, items - over, reasons)


def _reasons(of: Entry, custodian: str | None, retained: int) -> Iterable[Reason]:
    if of.unasked:
        yield Reason(Kind.UNASKED, of.unasked, 0)
        return
    if of.grew:
        yield Reason(Kind.WRONG, "was written since T0: find out by whom", of.grew)
    yield from _neither(of)
    more = of.here.get(D.RETAIN, 0) - of.located.get(D.RETAIN, 0)
    if more > 0:
        yield Reason(
            Kind.WRONG, "is kept by a law by which it was not kept on T0: its clock shows another day", more
        )
    waiting = sum(n for d, n in of.here.items() if d not in (*STAYS, D.TRANSFER)) - of.pointed
    if waiting > 0:
        yield Reason(Kind.WAITS, "is to be deleted or anonymised, and is still here", waiting)
    yield from _to_go(of)
    for bag in of.bags:
        yield from bag_reasons(bag)
    if retained and custodian is None:
        yield Reason(Kind.WRONG, "stays, and nobody is named who keeps it", retained)


def _neither(of: Entry) -> Iterable[Reason]:
    """What was located is here, or a receipt says what became of it."""
    off = sum(of.located.values()) - sum(of.here.values()) - sum(of.done.get(d, 0) for d in GONE_BY)
    cut = min(max(off, 0), of.done.get(D.DEIDENTIFY, 0))
    if cut:
        yield Reason(
            Kind.WRONG, "was only cut, and is personal still (PIPL 73): nothing of that may stay", cut
        )
    if off > cut:
        yield Reason(Kind.WRONG, "is gone here, and no receipt says how", off - cut)
    if off < 0:
        yield Reason(Kind.WRONG, "is here, or was disposed of, beyond what was located", -off)


def _to_go(of: Entry) -> Iterable[Reason]:
    """What is to go is in bags, no more and no less."""
    to_go, bagged = of.located.get(D.TRANSFER, 0), sum(b.items for b in of.bags) + sum(of.left.values())
    if to_go and not of.packed:
        yield Reason(
            Kind.WAITS, "is to go to the successor, and is not wholly packed", max(to_go - bagged, 0)
        )
    elif (bound := to_go - of.noticed - of.objected) != bagged:
        yield Reason(
            Kind.WRONG, f"differs: {bound} were to go, and {bagged} are in bags", abs(bound - bagged)
        )


def bag_reasons(bag: BagSeen) -> Iterable[Reason]:
    """Why a bag's items are not yet in exactly one place."""
    if bag.place is Place.UNASKED:
        yield Reason(Kind.UNASKED, bag.why, bag.items, bag.bag)
    if bag.doubted:
        yield from _of_a_stranger(bag)
        return
    yield from _said_of(bag)
    if not bag.items:
        if bag.state is not BagState.RECEIVED and not bag.refused:
            yield Reason(Kind.WAITS, _not_received(bag), 0, bag.bag)
        return
    if bag.arrived:
        if bag.place is Place.WHOLE:
            why = "is in both places: received, and not deleted here yet"
            yield Reason(Kind.WAITS, f"{why}: {bag.lock}" if bag.lock else why, bag.items, bag.bag)
        elif bag.place is Place.PART and bag.rest:
            yield Reason(Kind.WAITS, "is received, and its deletion here was not finished", bag.rest, bag.bag)
        elif bag.place is Place.PART:
            yield Reason(
                Kind.WRONG, "is received, and what is here was changed or is gone in part", bag.items, bag.bag
            )
        return
    if bag.unanswered and bag.state is BagState.RECEIVED and bag.place in (Place.WHOLE, Place.GONE):
        return  # it was signed for, and waits for that answer alone
    yield from _not_arrived(bag)


def _not_arrived(bag: BagSeen) -> Iterable[Reason]:
    """Of one that the successor has not signed for, or not so: where its items are here."""
    if bag.place is Place.GONE:
        yield Reason(
            Kind.WRONG, f"is in neither place: deleted here by {bag.by} before the successor said so"
            if bag.by else "is in neither place: gone here, and not received", bag.items, bag.bag,
        )  # fmt: skip
    elif bag.place is Place.PART and bag.rest:
        yield Reason(
            Kind.WRONG,
            f"{bag.taken} of its items were deleted here by {bag.by} before the successor said so, and the rest stays",
            bag.items, bag.bag,
        )  # fmt: skip
    elif bag.place is Place.PART:
        why = "was changed or is gone in part since it was packed, and is not received"
        yield Reason(Kind.WRONG, why, bag.items, bag.bag)
    elif not bag.refused and bag.state is not BagState.RECEIVED:
        yield Reason(Kind.WAITS, _not_received(bag), bag.items, bag.bag)


def _of_a_stranger(bag: BagSeen) -> Iterable[Reason]:
    """Of what went here on its receipts nobody else has a copy."""
    if bag.place in (Place.GONE, Place.PART) and bag.items:
        why = f"{bag.doubted}; what is gone here went on its receipt, and nobody else has it"
        yield Reason(Kind.WRONG, why, bag.items - (bag.rest or 0), bag.bag)
    elif bag.place is not Place.UNASKED:
        yield Reason(Kind.WAITS, f"{bag.doubted}; nothing goes on its receipt", bag.items, bag.bag)


def _said_of(bag: BagSeen) -> Iterable[Reason]:
    """What the successor says of it, or does not."""
    if bag.refused:
        yield Reason(Kind.WRONG, f"the receipt names differences: {bag.refused}", bag.items, bag.bag)
    elif bag.unanswered:
        yield Reason(Kind.WAITS, "a notice about it is not answered by the successor", 0, bag.bag)
    elif bag.state is BagState.RECEIVED and bag.theirs != bag.root:
        yield Reason(Kind.WRONG, "the successor computed another root", bag.items, bag.bag)


def _not_received(bag: BagSeen) -> str:
    return (
        "is packed and not sent"
        if bag.state is BagState.PACKED
        else "is sent, and no receipt without difference came"
    )


# --- which bag's source may go ------------------------------------------------------------------------


@dataclass(frozen=True)
class Ordered:
    """What of an order a bag's deletion asks. ``closed_on``: collection was closed then; None: it was not."""

    number: str
    state: str
    in_force: bool
    closed_on: date | None
    t0: date


def stops(of: Ordered, bag: BagSeen, as_of: date) -> tuple[str, ...]:
    """Why a bag's items may not be deleted here; nothing: they may. Each bag is judged by itself (ESL 23; law.md E, 18)."""
    return tuple(_stops(of, bag, as_of))


def _stops(of: Ordered, bag: BagSeen, as_of: date) -> Iterable[str]:
    if bag.place is Place.KEPT:
        yield "the case book is not deleted by bags"
    yield from too_early(of, as_of)
    yield from over_there(bag)
    yield from _over_here(bag)


def too_early(of: Ordered, as_of: date) -> Iterable[str]:
    """What of the order is against deleting any bag."""
    if not of.in_force:
        yield f"the order is {of.state}"
    if of.closed_on is None or as_of < max(of.t0, of.closed_on):
        yield "T0 has not come, or collection is not closed"


def over_there(bag: BagSeen) -> Iterable[str]:
    """What is against it on the successor's side."""
    if bag.doubted:
        yield bag.doubted
    elif bag.refused:
        yield f"the receipt names differences: {bag.refused}"
    elif bag.state is not BagState.RECEIVED:
        yield "there is no verified receipt of it"
    elif bag.unanswered:
        yield "a notice about it is not answered by the successor"
    elif bag.theirs != bag.root:
        yield "the successor computed another root"


def _over_here(bag: BagSeen) -> Iterable[str]:
    """And on ours."""
    if bag.held:
        yield f"a hold names {bag.held} of its items"
    if bag.kept:
        yield f"a statute that is not handed over keeps {bag.kept} of its items here: a person decides who keeps what"
    if bag.lock:
        yield f"{bag.lock}: it goes after that"
    match bag.place:
        case Place.PART if not bag.rest:
            yield "what is here is not what was packed: some of it was changed, is gone, or stands otherwise"
        case Place.GONE if bag.items:
            yield "nothing of it is here any more"
        case Place.UNASKED:
            yield f"it could not be read again: {bag.why}"
