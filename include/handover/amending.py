"""What became of a bag's items since it was packed, told to the successor by signed notices: deleted or changed by a case.

A person's case goes on while things are handed over. Each bag's range is read again; digests that were packed and are not here
any more are told as *removed*, lines that are here and were not packed are sealed to the successor as *added*. So both sides have
the same items again, and the shutdown can go on to its end. Told is only what receipts of ours explain: rows that somebody else
wrote, or that are gone and no receipt says how, are named and told to nobody. What goes here by a source deletion is the
successor's from then on: of a bag that is with one nothing is told, or it would be in neither place.

Nothing is in a notice but salted digests. Its row is in the case book before it is signed, so a number has one notice for ever.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial

from include.cases.book import Conn
from include.cases.rooms import Desk
from include.cases.shutdown import accepting, closing, located, orders, way
from include.cases.shutdown.begun import going_by
from include.cases.shutdown.orders import Order
from include.handover import addressed, notices, register, whose
from include.handover.items import Growing, Leaves
from include.handover.places import Again, Key, Reading, each
from include.handover.register import Bag
from include.handover.room import Attest
from include.handover.sealed import Sealing, recipient
from include.handover.shards import At
from include.ledger import attest as attesting
from include.model import ranges
from include.model.errors import Refused
from include.model.handover import BagKind, BagNotice, Consignment
from include.model.times import observed_now
from include.model.words import Ground
from include.stores.shared import nowhere

MOST = 20_000
"""Items of a notice: more is no person's case, and a person looks first."""
NOTICED = "notices made"
"""Of the event."""


@dataclass(frozen=True)
class Line:
    """One item that is here and was not packed so."""

    stored: bytes
    clocks: bytes
    holds: bytes
    leaf: bytes
    owners: tuple[bytes, ...] = ()


@dataclass
class Differs:
    """A bag against what is here. ``stayed``: how many of its range's items stay now that did not when it was packed: a hold was
    lifted, or their owner objects; ``beside``: how many fewer do: a night took what was in no bag. ``kept``: what is left of it,
    in its order; ``held``: how many a hold names. ``why``: it could not be read."""

    removed: list[bytes] = field(default_factory=list)
    added: list[Line] = field(default_factory=list)
    kept: list[bytes] = field(default_factory=list)
    here: int = 0
    held: int = 0
    stayed: int = 0
    beside: int = 0
    why: str = ""

    @property
    def any(self) -> bool:
        return bool(self.removed or self.added)

    def gone(self, bag: Bag) -> int:
        """How many fewer there are than the last notice said, and do not stay."""
        fewer = max(0, len(self.removed) - len(self.added))
        return max(0, _told(bag) + fewer - self.stayed) - self.told(bag)

    def told(self, bag: Bag) -> int:
        """How many notices said to be gone, and that do not stay."""
        return max(0, _told(bag) - self.stayed)


@dataclass
class Outcome:
    """``made``: bags about which there is a new notice; ``left``: bags that differ and are not told of, and why; ``going``: bags
    that differ since our copy of them goes, or went, each with the case: nothing is told of them, and they are no fault."""

    made: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    going: dict[str, str] = field(default_factory=dict)

    @property
    def cases(self) -> list[str]:
        """By which bags go here, or went."""
        return sorted(set(self.going.values()))


def amend(
    desk: Desk, consignment: Consignment, attest: Attest, *, as_of: date, actor: str, at: At = nowhere
) -> Outcome:
    """Make and sign a notice about every bag of which something became another since it was packed. Again makes none of the same.

    Raises Refused before collection is closed, for another consignment, NotReachable. What cannot be told is ``left``, and named.
    """
    number = consignment.order
    with desk.book() as conn:
        addressed.standing(conn, consignment)
    sign(desk, number, attest, at)
    proof = closing.prove(desk, number, as_of=as_of, actor=actor)
    with desk.book() as conn:
        of = orders.order(conn, number)
        bags = [b for b in register.bags(conn, number) if b.statement.kind is not BagKind.BOOK]
    found = _read(desk, of, bags) if bags else {}
    outcome = Outcome()
    grew = {(x.store, place) for x in proof.looked for place in x.grew}
    with desk.book() as conn:
        # A place for which somebody answers by a document stops nobody's notice: else what she did would be told never.
        unseen = {store for store, _, _ in accepting.unseen(conn, number)[0]}
        budget, going = _explained(conn, bags, found), going_by(conn, number)
        busy = {no for no in set(going.values()) if way.under_way(conn, no)}
        over = {name: no for name, no in going.items() if no not in busy}
        beyond = _beyond(conn, number, [b for b in bags if b.name in over], found, over)
    told: list[Bag] = []
    for bag in bags:
        it, case_no = found[bag.name], going.get(bag.name)
        dataset = desk.catalogue.dataset(bag.statement.dataset)
        fault = it.why or beyond.get(bag.name, "")
        if it.any and not fault and case_no is not None and (case_no in busy or not it.added):
            outcome.going[bag.name] = case_no
            continue
        why = fault or (_not_told(bag, it, case_no) if it.any else "")
        if it.added and not why and dataset.keys is not None:
            why = "its rows have keys, which a notice does not bring: a person compares both sides"
        if it.any and not why:
            if (dataset.store, dataset.address) in grew:
                why = "rows were written to it since T0 that no receipt of ours names: find out by whom"
            elif dataset.store in unseen:
                why = "what was written since T0 could not be seen"
            elif it.gone(bag) > budget[dataset.id]:
                why = (
                    f"{it.gone(bag)} of its items are gone, and receipts explain {max(0, budget[dataset.id])}"
                )
        if why:
            outcome.left[bag.name] = why
        elif it.any:
            budget[dataset.id] -= it.gone(bag)
            told.append(bag)
    for bag in told:
        at("notices.found")
        if (by := _make(desk, consignment, bag, found[bag.name], as_of)) is not None:
            outcome.going[bag.name] = by
            continue
        outcome.made.append(bag.name)
        at("notices.made")
    if outcome.made:
        _say(desk, number, outcome, found, as_of, actor)
    sign(desk, number, attest, at)
    return outcome


def _say(
    desk: Desk, number: str, outcome: Outcome, found: Mapping[str, Differs], as_of: date, actor: str
) -> None:
    detail = {
        "bags": ranges.short(outcome.made),
        "removed": sum(len(found[b].removed) for b in outcome.made),
        "added": sum(len(found[b].added) for b in outcome.made),
        "left": ranges.short(outcome.left),
    }
    with orders.deed(desk, number) as (conn, _):
        orders.say(desk, conn, number, NOTICED, as_of, actor, detail)


def sign(desk: Desk, number: str, attest: Attest, at: At = nowhere) -> None:
    """Have every notice signed that is not."""
    with desk.book() as conn:
        waiting = [n for n in notices.of_order(conn, number) if n.envelope is None]
    for n in waiting:
        envelope = attest(n.payload)
        body = {
            "order": number, "bag": n.said.bag, "notice": n.said.notice, "removed": len(n.said.removed),
            "added": n.said.added, "items": n.said.items, "root": n.said.root, "digest": attesting.digest(n.payload),
        }  # fmt: skip
        desk.record("handover.notice", None, body, f"handover.notice:{number}:{n.said.bag}:{n.said.notice}")
        with desk.book() as conn, conn.transaction():
            notices.signed(conn, n, envelope)
        at("notices.signed")


# --- what is another ------------------------------------------------------------------------------------


def _read(desk: Desk, of: Order, bags: Sequence[Bag]) -> dict[str, Differs]:
    by = Reading.of(desk, of, bags[0].statement.as_of, whose=True)
    return each(by, partial(_differs, desk), lambda why: Differs(why=why))


def _differs(desk: Desk, again: Again, bag: Bag, salt: bytes, after: Key | None) -> Differs:
    known, leaves, found, stay = again.known(bag), Leaves(salt), Differs(), Counter[str]()
    for stored, said in again.lines(after, bag.upto, salt):
        if said.stays is not None:
            stay[said.stays.value] += 1
            continue
        found.here += 1
        found.held += bool(said.holds)
        leaf = leaves.of(stored, said.clocks, said.holds)
        if known[leaf] > 0:
            known[leaf] -= 1
        elif len(found.added) <= MOST:
            found.added.append(Line(stored, said.clocks, said.holds, leaf, said.owners))
    more = stay.total() - sum(bag.stays.values())
    found.stayed, found.beside = max(0, more), max(0, -more)
    left = +known
    with desk.book() as conn:
        listed = register.leaves(conn, bag) or []
    for leaf in listed:
        if left[leaf] > 0:
            left[leaf] -= 1
            found.removed.append(leaf)
        else:
            found.kept.append(leaf)
    return found


def _not_told(bag: Bag, it: Differs, case_no: str | None) -> str:
    if it.held:
        return f"a hold names {it.held} of its items: release it, or let a person decide who keeps them"
    if case_no is not None:
        return f"items are here that were not packed so, and {case_no} deleted it here: find out by whom"
    if len(it.removed) > MOST or len(it.added) > MOST:
        return f"more than {MOST:,} of its items differ: find out why"
    if bag.statement.kind is BagKind.OBJECTS and it.added:
        return "" if _same_objects(it) else "objects were put beside those that were packed: find out by whom"
    return ""


def _same_objects(it: Differs) -> bool:
    """Of an object only its clocks and marks can be another: then as many go as come. Its content never changes."""
    return len(it.added) <= len(it.removed)


def _told(bag: Bag) -> int:
    return max(0, bag.statement.items - bag.items)


def _explained(conn: Conn, bags: Sequence[Bag], differ: Mapping[str, Differs]) -> Counter[str]:
    """By dataset, how many items may be gone: what receipts of ours say was disposed of since they were packed, less what went by
    bags, what was told already, and what was in no bag and is gone since. What went before was in none: between two runs that
    pack a dataset nothing of its bags may go (of rows packing refuses to go on), so the last of them counts."""
    found, since = Counter[str](), dict[str, datetime]()
    for bag in bags:
        dataset = bag.statement.dataset
        since[dataset] = max(bag.read_at, since.get(dataset, bag.read_at))
    for dataset, moment in since.items():
        done = located.disposed(conn, moment, but=Ground.SHUTDOWN).get(dataset, Counter())
        found[dataset] = sum(done.values())
    for bag in bags:
        found[bag.statement.dataset] -= differ[bag.name].told(bag) + differ[bag.name].beside
    return found


def _beyond(
    conn: Conn, number: str, over: Sequence[Bag], differ: Mapping[str, Differs], by: Mapping[str, str]
) -> dict[str, str]:
    """Bags that went by deletions of our copy, of whose datasets more is gone than these say: a person's case took something of
    what a deletion had left. Named are those of which something is still here; if there are none, all."""
    since = min((o.since for o in located.openings(conn, number).values()), default=None)
    if since is None:
        return {}
    done = located.disposed(conn, since, only=sorted(set(by.values())))
    found: dict[str, str] = {}
    for dataset in dict.fromkeys(b.statement.dataset for b in over):
        its = [b for b in over if b.statement.dataset == dataset]
        gone = sum(max(0, len(d.removed) - len(d.added)) for d in (differ[b.name] for b in its))
        more = gone - sum(done.get(dataset, Counter()).values())
        if more > 0:
            why = f"{more} items are gone that no receipt of the deletion of our copy names, and nobody told the successor"
            found |= dict.fromkeys([b.name for b in its if differ[b.name].kept] or [b.name for b in its], why)
    return found


# --- the notice -----------------------------------------------------------------------------------------


def _make(desk: Desk, consignment: Consignment, bag: Bag, it: Differs, as_of: date) -> str | None:
    """The notice's row; or the case by which the bag goes here since it was read, and nothing is made. Under the order's lock, as
    a source deletion is begun: so either that sees the notice, or this sees the case."""
    listed = [*it.kept, *(x.leaf for x in it.added)]
    number = bag.notices + 1
    sealed, digest = _sealed(consignment, bag, number, it.added) if it.added else (None, None)
    said = BagNotice(
        order=consignment.order, bag=bag.name, notice=number, statement=attesting.digest(bag.payload),
        removed=tuple(x.hex() for x in it.removed), added=len(it.added), sealed=digest, bytes=len(sealed or b""),
        items=len(listed), root=Growing(listed).root(), as_of=as_of, made_at=observed_now(),
    )  # fmt: skip
    with orders.deed(desk, consignment.order) as (conn, _):
        addressed.standing(conn, consignment)
        if (case_no := going_by(conn, consignment.order).get(bag.name)) is not None:
            return case_no
        now = register.bag(conn, consignment.order, bag.name)
        if now.notices != bag.notices:
            raise Refused("another run made a notice about it", about=bag.name, next_step="run it again")
        notices.made(conn, said, sealed, b"".join(listed))
        if whose.are_kept(
            conn, said.order, said.bag
        ):  # of one from before, what is added alone would say nothing
            whose.keep(conn, said.order, said.bag, whose.by_owner((x.leaf, x.owners) for x in it.added))
    return None


def _sealed(consignment: Consignment, bag: Bag, number: int, added: Sequence[Line]) -> tuple[bytes, str]:
    """The added items, as canonical a file as a bag's, sealed to the successor's certificate; with its SHA-256."""
    clocks = sorted({x.clocks for x in added})
    plain = json.dumps(
        {
            "order": consignment.order, "bag": bag.name, "notice": number, "clocks": [c.decode() for c in clocks],
            "items": [[x.stored.decode(), clocks.index(x.clocks), x.holds.decode()] for x in added],
        },
        ensure_ascii=False, separators=(",", ":"),
    ).encode()  # fmt: skip
    out = io.BytesIO()
    sealing = Sealing(out, recipient(consignment.successor.certificate, compared=True), len(plain))
    for at in _pieces(plain):
        sealing.write(at)
    digest = sealing.finish()
    return out.getvalue(), digest


def _pieces(data: bytes, size: int = 1 << 20) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]
