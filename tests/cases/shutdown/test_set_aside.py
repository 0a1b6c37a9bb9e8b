"""A difference that comes after something of a case went stops its bag alone: the others of the case go on by their own verified
receipts, and what is left of that bag goes by another case once the successor has signed anew."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from include.cases.shutdown import orders
from include.handover import books, clearing, workers
from include.handover.aside import ASIDE
from include.handover.conservation import BagSeen, Kind, Place
from include.model.errors import BooksDoNotBalance, NotProved, Refused
from include.model.handover import Differences
from include.model.words import CaseState
from include.stores.postgres.clearing import Clearing
from tests.cases.restoring import killed_at
from tests.cases.shutdown.test_books import Stopped, stopped, why
from tests.cases.shutdown.test_closing import company, gatekeeper
from tests.cases.shutdown.test_given_up import differs, received, state
from tests.cases.shutdown.test_source_goes import go, visits
from tests.stores.sizes import Pieces

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "stopped"]  # fixtures


@pytest.fixture(autouse=True)
def in_small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        workers, "Tables", partial(Clearing, size=Pieces(8), pack=4)
    )  # a piece may end amid a bag of ten


def left_of(stopped: Stopped, bags: list[Any]) -> dict[str, int]:
    """How many of each bag's visits are here."""
    ids = [i for (i,) in company(stopped.house, "SELECT id FROM u.visit")]
    ends = [int(b.upto[0]) if b.upto else 10**9 for b in bags]
    return {
        b.name: sum(start < i <= end for i in ids)
        for b, start, end in zip(bags, [0, *ends], ends, strict=False)
    }


def begun(stopped: Stopped) -> tuple[list[Any], list[Any]]:
    """Killed after the first eight went: the bags that are whole still, and those of which something went."""
    bags = received(stopped)
    assert killed_at("clearing.after_commit", lambda at: go(stopped, at=at))
    left = left_of(stopped, bags)
    assert sum(left.values()) == visits(stopped.house) == 52
    return [b for b in bags if left[b.name] == 10], [b for b in bags if 0 < left[b.name] < 10]


def line(stopped: Stopped) -> Any:
    """Of the visits; and whatever is the case, nothing that was located is told of twice, or not at all."""
    found = stopped.look()
    (it,) = [x for x in found.lines if x.dataset == "u.visit"]
    taken = sum(
        b.taken for b, _ in found.bags if b.dataset == "u.visit" and not (b.arrived and b.place is Place.GONE)
    )
    assert it.located == it.transferred + it.deleted + it.anonymised + it.retained + it.pending + taken
    return it


def test_the_others_go_on_and_it_is_taken_later(stopped: Stopped) -> None:
    bags, _ = begun(stopped)
    differs(stopped, bags[-1])
    with pytest.raises(
        NotProved, match=f"something is left of {bags[-1].name}: the receipt names differences"
    ):
        go(stopped)
    assert visits(stopped.house) == bags[-1].statement.items == 10
    assert state(stopped, "CASE-000001") is CaseState.WAITING
    with stopped.house.desk.book() as conn:
        (said,) = [e["detail"] for e in orders.history(conn, stopped.number) if e["what"] == ASIDE]
    assert said == {
        "case": "CASE-000001", "bags": [bags[-1].name],
        "left": {"the receipt names differences: 1 missing, 0 changed, 0 too many": [bags[-1].name]},
    }  # fmt: skip
    it = line(stopped)
    assert (it.transferred, it.deleted, it.pending, it.balances) == (50, 0, 10, False)
    with pytest.raises(Refused, match="no bag may be deleted"):
        go(stopped)
    stopped.answer(bags[-1])
    assert go(stopped).bags == (bags[-1].name,) and visits(stopped.house) == 0
    assert line(stopped).balances


def test_of_a_bag_that_is_half_gone_the_rest_stays(stopped: Stopped) -> None:
    _, bags = begun(stopped)
    rest = left_of(stopped, [b for b in stopped.bags() if b.statement.dataset == "u.visit"])[bags[0].name]
    differs(stopped, bags[0])
    with pytest.raises(NotProved, match=f"left of {bags[0].name}: the receipt"):
        go(stopped)
    assert visits(stopped.house) == rest
    went = f"{10 - rest} of its items were deleted here by CASE-000001 before the successor said so, and the rest stays"
    assert f"wrong: {went}" in why(stopped.look(), "u.visit")
    it = line(stopped)
    assert (it.transferred, it.deleted, it.pending) == (50, 0, rest)
    stopped.answer(bags[0])
    assert why(stopped.look(), "u.visit") == ["waits: is received, and its deletion here was not finished"]
    going = go(stopped)
    assert (going.bags, dict(going.rest)) == ((bags[0].name,), {bags[0].name: rest}) and visits(
        stopped.house
    ) == 0
    assert line(stopped).balances


def test_one_that_comes_in_the_midst_of_it_stops_what_has_not_gone(stopped: Stopped) -> None:
    bags = received(stopped)
    came: list[Any] = []

    def comes(point: str) -> None:
        if point == "clearing.after_commit" and not came:
            left = left_of(stopped, bags)
            came.append(next(b for b in bags if left[b.name] == 10))
            differs(stopped, came[0])

    with pytest.raises(NotProved, match="the receipt names differences"):
        go(stopped, at=comes)
    assert left_of(stopped, bags)[came[0].name] == visits(stopped.house) == 10
    stopped.answer(came[0])
    assert set(go(stopped).bags) == {came[0].name} and line(stopped).balances


def test_what_is_settled_before_its_turn_goes_with_its_case(stopped: Stopped) -> None:
    bags, _ = begun(stopped)
    differs(stopped, bags[-1])
    stopped.answer(bags[-1])
    assert go(stopped).case_no == "CASE-000001" and visits(stopped.house) == 0
    assert line(stopped).balances


def test_what_is_settled_while_its_turn_is_leaves_a_case_that_is_proved(stopped: Stopped) -> None:
    """Items that fell out by then are owned up to: else no run could prove the case any more."""
    bags, _ = begun(stopped)
    differs(stopped, bags[-1])
    settled: list[str] = []

    def settles(point: str) -> None:
        passed = "SELECT coalesce(sum((counts -> 'u.visit' ->> 'not_due')::int), 0) FROM quietus.receipt"
        if point == "clearing.after_commit" and not settled and company(stopped.house, passed) == [(10,)]:
            stopped.answer(bags[-1])
            settled.append(point)

    with pytest.raises(NotProved, match=f"something is left of {bags[-1].name}"):
        go(stopped, at=settles)
    assert settled and state(stopped, "CASE-000001") is CaseState.WAITING and visits(stopped.house) == 10
    assert go(stopped).bags == (bags[-1].name,) and line(stopped).balances


@pytest.mark.parametrize("point", ["clearing.after_commit", "bags.disposed"])
def test_killed_anywhere_after_it_was_set_aside_it_goes_on(stopped: Stopped, point: str) -> None:
    bags, _ = begun(stopped)
    differs(stopped, bags[-1])
    assert killed_at(point, lambda at: go(stopped, at=at)), f"{point} was never reached"
    with pytest.raises(NotProved, match=f"left of {bags[-1].name}"):
        go(stopped)
    assert visits(stopped.house) == 10
    stopped.answer(bags[-1])
    assert go(stopped).bags == (bags[-1].name,) and line(stopped).balances


def test_of_one_that_is_gone_it_is_said_and_the_bag_can_be_sent_again(stopped: Stopped) -> None:
    bags = received(stopped)
    go(stopped)
    differs(stopped, bags[1])
    found = stopped.look()
    assert "wrong: is in neither place: deleted here by CASE-000001 before the successor said so" in why(
        found, "u.visit"
    )
    (it,) = [x for x in found.lines if x.dataset == "u.visit"]
    assert (it.transferred, it.deleted, it.pending, it.balances) == (50, 0, 0, False), (
        "it is no item that was deleted"
    )
    assert any(r.kind is Kind.WRONG and r.bag == bags[1].name for r in it.reasons)
    stopped.answer(bags[1])
    assert line(stopped).balances


def test_nothing_more_goes_once_the_order_lets_nothing_go(
    stopped: Stopped, monkeypatch: pytest.MonkeyPatch
) -> None:
    received(stopped)
    assert killed_at("clearing.after_commit", lambda at: go(stopped, at=at))
    left = visits(stopped.house)
    monkeypatch.setattr(clearing, "too_early", lambda *_: ("the order is withdrawn",))
    with pytest.raises(Refused, match="the order is withdrawn"):
        go(stopped)
    assert visits(stopped.house) == left
    monkeypatch.undo()
    with pytest.raises(BooksDoNotBalance):
        stopped.answer(stopped.bags()[-1], differences=Differences(missing=("c" * 64,)))


def test_one_that_could_not_be_taken_later_keeps_all_of_its_case_waiting(
    stopped: Stopped, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if rows had gone by which its clocks started: what would be left of it is not what was packed."""
    bags, _ = begun(stopped)
    differs(stopped, bags[-1])
    seen = books.seen

    def otherwise(*of: Any, **more: Any) -> list[BagSeen]:
        return [
            replace(b, place=Place.PART, rest=None) if b.bag == bags[-1].name else b
            for b in seen(*of, **more)
        ]

    with monkeypatch.context() as patch:
        patch.setattr(books, "seen", otherwise)
        with pytest.raises(Refused, match="other clocks than it was packed with"):
            go(stopped)
    assert visits(stopped.house) == 52 and state(stopped, "CASE-000001") is CaseState.ACTING
    stopped.answer(bags[-1])
    assert go(stopped).case_no == "CASE-000001" and visits(stopped.house) == 0
    assert line(stopped).balances
