"""The books of a shutdown name whatever is not in exactly one place, and nothing else. Without servers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.catalogue import load
from include.handover.conservation import BagSeen, Entry, Kind, Ordered, Place, bag_reasons, line, stops
from include.handover.hanging import hanging
from include.model.handover import BagState
from include.model.words import Disposition as D

ROOT, OTHER = "a" * 64, "b" * 64
T0 = date(2027, 3, 4)
CUSTODIAN = "Archive Co"


@dataclass
class World:
    """Items by name, where each really is, and what each deed leaves to be seen of it."""

    bags: dict[str, set[str]]
    fates: dict[str, D]  # of everything that was located
    here: set[str] = field(default_factory=set)
    theirs: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)  # disposed of by a receipt, and not for the successor
    done: Counter[D] = field(default_factory=Counter)
    state: dict[str, BagState] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    strangers: int = 0
    lost: int = 0  # gone here, and no receipt says how: named even if the successor has it

    def __post_init__(self) -> None:
        self.here = set(self.fates)

    # --- deeds
    def do(self, deed: str, what: str) -> None:
        state = self.state.get(what)
        match deed:
            case "pack" if what in self.bags:
                if self.bags[what] <= self.here:  # what is not here cannot be packed
                    self.state.setdefault(what, BagState.PACKED)
            case "send" if state is BagState.PACKED:
                self.state[what] = BagState.SENT
            case "receive" if state in (BagState.SENT, BagState.RECEIVED):
                self.state[what] = BagState.RECEIVED
                self.theirs |= self.bags[what]
                self.refused.pop(what, None)
            case "refuse" if state in (BagState.SENT, BagState.RECEIVED):
                self.refused[what] = "1 missing, 0 changed, 0 too many"
            case "delete source" if what in self.bags:
                taken = self.bags[what] & self.here
                self.here -= taken
                self.done[D.ERASE] += len(taken)
            case "dispose" if what in self.here and self.fates[what] is D.ERASE:
                self.here.remove(what)
                self.gone.add(what)
                self.done[D.ERASE] += 1
            case "lose" if what in self.here:
                self.here.remove(what)
                self.lost += 1
            case "grow":
                self.strangers += 1

    # --- what is seen
    def entry(self) -> Entry:
        standing = Counter(self.fates[x] for x in self.here)
        if self.strangers:
            standing[D.RETAIN] += self.strangers
        return Entry(
            "a.thing", Counter(self.fates.values()), standing, self.done,
            tuple(self._bag(b) for b in sorted(self.state)), set(self.state) == set(self.bags), self.strangers,
        )  # fmt: skip

    def _bag(self, name: str) -> BagSeen:
        left = self.bags[name] & self.here
        place = Place.WHOLE if left == self.bags[name] else Place.PART if left else Place.GONE
        theirs = ROOT if self.state[name] is BagState.RECEIVED else None
        return BagSeen(
            name,
            "a.thing",
            len(self.bags[name]),
            self.state[name],
            ROOT,
            theirs,
            self.refused.get(name, ""),
            place,
        )

    # --- what is true
    def settled(self) -> bool:
        """Each item in exactly one place, the one that its fate says, and the successor's last word is no difference."""
        if self.strangers or self.lost or self.refused:
            return False
        for item, fate in self.fates.items():
            where = [
                p
                for p, of in (("here", self.here), ("theirs", self.theirs), ("gone", self.gone))
                if item in of
            ]
            wanted = {D.TRANSFER: "theirs", D.ERASE: "gone"}.get(fate, "here")
            if where != [wanted]:
                return False
        return True


BAGS = {"t-00001": {"t1", "t2", "t3"}, "t-00002": {"t4"}, "t-00003": {"t5", "t6"}}
FATES = {t: D.TRANSFER for b in BAGS.values() for t in b} | {
    "e1": D.ERASE, "e2": D.ERASE, "r1": D.RETAIN, "h1": D.HOLD
}  # fmt: skip
WAY = [(deed, bag) for bag in BAGS for deed in ("pack", "send", "receive", "delete source")]
END = [*WAY, ("dispose", "e1"), ("dispose", "e2")]
FAULTS = [
    *((deed, bag) for bag in BAGS for deed in ("refuse", "delete source", "receive")),
    *(("lose", item) for item in FATES), ("grow", ""),
]  # fmt: skip


def world() -> World:
    return World({b: set(of) for b, of in BAGS.items()}, dict(FATES))


@given(st.permutations(END), st.lists(st.sampled_from(FAULTS), max_size=3), st.data())
def test_each_item_is_in_exactly_one_place_or_the_books_name_it(
    deeds: list[tuple[str, str]], faults: list[tuple[str, str]], data: st.DataObject
) -> None:
    """In any order, with faults between: after each deed the books balance if and only if everything is where it belongs."""
    w = world()
    order = list(deeds) + (
        END if data.draw(st.booleans()) else []
    )  # a second run takes up what was out of turn
    for fault in faults:
        order.insert(data.draw(st.integers(0, len(order))), fault)
    for deed, what in order:
        w.do(deed, what)
        found = line(w.entry(), CUSTODIAN)
        assert found.balances == w.settled(), (deed, what, found.reasons)
        if found.balances:
            parts = found.transferred + found.deleted + found.anonymised + found.retained
            assert (found.located, found.pending) == (parts, 0)


def test_the_way_without_faults_balances_at_its_end_alone() -> None:
    w = world()
    said = []
    for deed, what in END:
        said.append(line(w.entry(), CUSTODIAN).balances)
        w.do(deed, what)
    found = line(w.entry(), CUSTODIAN)
    assert not any(said) and found.balances
    assert (found.located, found.transferred, found.deleted, found.retained) == (10, 6, 2, 2)
    assert found.custodian == CUSTODIAN
    assert [r.why for r in line(w.entry(), None).reasons] == ["stays, and nobody is named who keeps it"]


@pytest.mark.parametrize(
    ("deeds", "kind", "why"),
    [
        ([("send", "t-00002")], Kind.WAITS, "is sent, and no receipt"),
        ([("send", "t-00002"), ("refuse", "t-00002")], Kind.WRONG, "receipt names differences: 1 missing"),
        ([("grow", "")], Kind.WRONG, "was written since T0"),
        ([("lose", "e1")], Kind.WRONG, "gone here, and no receipt says how"),
        ([("lose", "t4")], Kind.WRONG, "in neither place: gone here, and not received"),
        ([("delete source", "t-00002")], Kind.WRONG, "in neither place: gone here, and not received"),
        ([("lose", "t1")], Kind.WRONG, "changed or is gone in part since it was packed"),
        ([("send", "t-00002"), ("receive", "t-00002")], Kind.WAITS, "in both places"),
        ([], Kind.WAITS, "is to be deleted or anonymised, and is still here"),
        ([], Kind.WAITS, "is packed and not sent"),
    ],
)
def test_what_does_not_balance_is_named(deeds: list[tuple[str, str]], kind: Kind, why: str) -> None:
    w = world()
    for bag in BAGS:
        w.do("pack", bag)
    for deed in deeds:
        w.do(*deed)
    found = [r for r in line(w.entry(), CUSTODIAN).reasons if why in r.why]
    assert [r.kind for r in found[:1]] == [kind], line(w.entry(), CUSTODIAN).reasons


def test_what_is_in_bags_is_what_was_to_go() -> None:
    w = world()
    assert "not wholly packed" in str(line(w.entry(), CUSTODIAN).reasons)
    for bag in BAGS:
        w.do("pack", bag)
    short = replace(w.entry(), bags=w.entry().bags[1:])
    assert "6 were to go, and 3 are in bags" in str(line(short, CUSTODIAN).reasons)
    asked = line(replace(w.entry(), unasked="the store does not answer"), CUSTODIAN)
    assert [r.kind for r in asked.reasons] == [Kind.UNASKED]


def test_what_is_here_and_disposed_of_as_well_is_named() -> None:
    both = line(replace(world().entry(), done=Counter({D.ERASE: 1})), CUSTODIAN)
    assert [r.items for r in both.reasons if "beyond what was located" in r.why] == [1]
    cut = replace(
        world().entry(), here={D.TRANSFER: 6, D.RETAIN: 1, D.HOLD: 1}, done=Counter({D.DEIDENTIFY: 2})
    )
    assert [r.items for r in line(cut, CUSTODIAN).reasons if "only cut" in r.why] == [2]


def test_what_the_successor_names_as_different_is_not_transferred() -> None:
    w = world()
    for deed in ("pack", "send", "receive", "delete source", "refuse"):
        w.do(deed, "t-00002")
    assert line(w.entry(), CUSTODIAN).transferred == 0


@pytest.mark.parametrize(
    ("place", "rest", "kind", "items"),
    [(Place.GONE, None, Kind.WRONG, 3), (Place.PART, 1, Kind.WRONG, 2), (Place.WHOLE, None, Kind.WAITS, 3)],
)
def test_what_went_on_the_receipt_of_one_that_withdrew_is_named(
    place: Place, rest: int | None, kind: Kind, items: int
) -> None:
    bag = replace(ARRIVED, doubted="A takes over no more: it withdrew", place=place, rest=rest)
    (reason,) = bag_reasons(bag)
    assert (reason.kind, reason.items, reason.bag) == (kind, items, bag.bag) and "withdrew" in reason.why


# --- which bag's source may go ------------------------------------------------------------------------

CLOSED = Ordered("SO-000001", "closed", True, T0, T0)
ARRIVED = BagSeen("t-00001", "a.thing", 3, BagState.RECEIVED, ROOT, ROOT)


def test_what_arrived_whole_may_go() -> None:
    assert stops(CLOSED, ARRIVED, T0) == ()


@pytest.mark.parametrize(
    ("of", "bag", "day", "why"),
    [
        ({"state": "withdrawn", "in_force": False}, {}, T0, "the order is withdrawn"),
        ({"closed_on": None}, {}, T0, "T0 has not come"),
        ({}, {}, T0 - timedelta(days=1), "T0 has not come"),
        ({"t0": T0 + timedelta(days=5)}, {}, T0, "T0 has not come"),
        ({}, {"state": BagState.SENT, "theirs": None}, T0, "no verified receipt"),
        ({}, {"state": BagState.PACKED, "theirs": None}, T0, "no verified receipt"),
        ({}, {"refused": "1 missing, 0 changed, 0 too many"}, T0, "differences: 1 missing"),
        ({}, {"theirs": OTHER}, T0, "another root"),
        ({}, {"doubted": "A takes over no more: it withdrew"}, T0, "it withdrew"),
        ({}, {"held": 2}, T0, "a hold names 2 of its items"),
        ({}, {"kept": 2}, T0, "keeps 2 of its items here"),
        ({}, {"place": Place.PART}, T0, "not what was packed"),
        ({}, {"place": Place.GONE}, T0, "nothing of it is here"),
        ({}, {"place": Place.UNASKED, "why": "no answer"}, T0, "could not be read again: no answer"),
        ({}, {"place": Place.KEPT}, T0, "the case book is not deleted"),
        (
            {},
            {"locked": 2, "until": date(2027, 1, 3)},
            T0,
            "keeps 2 of its versions until 2027-01-03: it goes after",
        ),
        ({}, {"locked": 1}, T0, "keeps 1 of its versions under a legal hold"),
    ],
)
def test_one_thing_stops_that_bag_and_is_named(
    of: dict[str, object], bag: dict[str, object], day: date, why: str
) -> None:
    said = stops(replace(CLOSED, **of), replace(ARRIVED, **bag), day)  # type: ignore[arg-type]
    assert len(said) == 1 and why in said[0]


# --- what must wait since clocks hang on it -------------------------------------------------------------


ITRUS = load()
HANDED = {
    "ra.application", "ra.id_card", "ra.image", "ra.match_result", "ra.other_evidence", "ra.operator_record",
    "objects.id_photos", "cert.certificate", "cert.crl_entry", "cert.crl", "cert.crl_listed", "cert.issuance_log",
    "sign.signature", "sign.evidence_key", "sign.chain_anchor", "objects.locked_evidence",
}  # fmt: skip


def bag(dataset: str, place: Place = Place.WHOLE) -> BagSeen:
    return replace(ARRIVED, bag=f"{dataset}-00001", dataset=dataset, place=place)


def waits(going: set[str], gone: set[str] = frozenset(), packed: set[str] = HANDED) -> set[str]:  # type: ignore[assignment]
    seen = [bag(d, Place.GONE if d in gone else Place.WHOLE) for d in HANDED]
    found = hanging(ITRUS, HANDED, packed, seen, {f"{d}-00001": d for d in going})
    return {b.removesuffix("-00001") for b in found}


def test_a_certificate_goes_after_everything_whose_clock_its_end_starts() -> None:
    assert waits({"ra.image", "cert.crl_entry", "sign.chain_anchor"}) == set(), (
        "nobody's clock hangs on these"
    )
    assert waits({"sign.signature"}) == {"sign.signature"}, "the anchors of its contract are still here"
    assert waits({"cert.certificate", "ra.image"}) == {"cert.certificate"}, "the application is still here"
    assert waits({"cert.certificate"}, gone=HANDED - {"cert.certificate"}) == set()
    assert waits(HANDED) == set(), "all of them go with one case"
    assert waits(HANDED, packed=HANDED - {"ra.image"}) == {"cert.certificate", "ra.application"}, (
        "more images are to come"
    )


def test_the_event_of_the_books_has_room_for_any_number_of_bags() -> None:
    bags = tuple(BagSeen(f"x-{n:05}", "x", 10, BagState.SENT, ROOT) for n in range(1, 3001))
    said = line(Entry("x", located={D.TRANSFER: 30_000}, here={D.TRANSFER: 30_000}, bags=bags), CUSTODIAN)
    assert len(said.told()["reasons"]) >= 3000
    noted = said.noted()
    assert len(noted["reasons"]) <= 3 and max(r["bags"] for r in noted["reasons"]) == 3000
    assert sum(r["items"] for r in noted["reasons"]) == sum(r["items"] for r in said.told()["reasons"])
