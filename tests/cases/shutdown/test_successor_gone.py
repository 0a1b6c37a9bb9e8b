"""A successor withdraws once it has signed for bags: nothing more goes here on its receipts, and what went is named."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from include.cases.shutdown import orders
from include.cases.shutdown.begun import Elsewhere
from include.cases.shutdown.residual import residual
from include.handover import workers
from include.handover.conservation import Kind, Place
from include.model.errors import Refused
from include.stores.postgres.clearing import Clearing as Tables
from tests.cases.restoring import killed_at
from tests.cases.shutdown.test_addressed import OTHER, another
from tests.cases.shutdown.test_books import Stopped, stopped
from tests.cases.shutdown.test_closing import PAPER, T0, gatekeeper, withdraw
from tests.cases.shutdown.test_given_up import received
from tests.cases.shutdown.test_source_goes import go, visits
from tests.stores.sizes import Pieces

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "stopped"]  # fixtures

GONE = "takes over no more: it withdrew"


def withdrew(shop: Stopped) -> dict[str, Any]:
    """What the event says."""
    orders.successor_withdrew(
        shop.house.desk, shop.number, paper=PAPER, ministry_asked=True, as_of=T0, actor="legal/zhao"
    )
    with shop.house.desk.book() as conn:
        said = orders.history(conn, shop.number)[-1]
    assert said["what"] == "successor withdrew"
    return dict(said["detail"])


def test_nothing_goes_on_its_receipts_and_no_more_of_them_are_believed(stopped: Stopped) -> None:
    bags = received(stopped)
    said = withdrew(stopped)
    assert said["went_here"] == [] and f"u.visit-00001..{len(bags):05d}" in said["signed_for"]
    with pytest.raises(Refused, match="no bag may be deleted here") as told:
        go(stopped)
    assert GONE in str(told.value) and visits(stopped.house) == 60
    with pytest.raises(Refused, match=GONE):
        stopped.answer(bags[0])
    reasons = {(r.kind, r.items) for x in stopped.look().lines if x.dataset == "u.visit" for r in x.reasons}
    assert {kind for kind, _ in reasons} == {Kind.WAITS}
    another(stopped, already_gone=True)
    with pytest.raises(Refused, match=f"{OTHER} takes over"):
        go(stopped)
    assert visits(stopped.house) == 60


def test_while_all_is_here_the_order_may_be_withdrawn(stopped: Stopped) -> None:
    received(stopped)
    with pytest.raises(Refused, match="the successor signed for"):
        withdraw(stopped.house, stopped.number)
    withdrew(stopped)
    withdraw(stopped.house, stopped.number)
    with stopped.house.desk.book() as conn:
        assert orders.order(conn, stopped.number).state == "withdrawn"


def test_what_went_before_is_named_and_stays_in_the_books(stopped: Stopped) -> None:
    stopped.pack()
    bags = [b for b in stopped.bags() if b.statement.dataset == "u.visit"]
    for bag in bags[:2]:
        stopped.answer(bag)
    gone = sum(b.statement.items for b in bags[:2])
    go(stopped)
    assert residual(stopped.house.desk, stopped.number).elsewhere == ()
    assert visits(stopped.house) == 60 - gone
    said = withdrew(stopped)
    assert said["went_here"] == ["u.visit-00001..00002"] and said["under_way"] == []
    found = stopped.look()
    (line,) = [x for x in found.lines if x.dataset == "u.visit"]
    wrong = [r for r in line.reasons if r.kind is Kind.WRONG]
    assert {r.bag for r in wrong} == {b.name for b in bags[:2]} and sum(r.items for r in wrong) == gone
    assert all("nobody else has it" in r.why for r in wrong)
    assert line.transferred == gone and {b.place for b, _ in found.bags if b.dataset == "u.visit"} == {
        Place.GONE,
        Place.WHOLE,
    }
    assert residual(stopped.house.desk, stopped.number).elsewhere == (
        Elsewhere(bags[0].statement.successor, "u.visit", 2, gone),
    )
    with pytest.raises(Refused, match="2 bags go here, or went, on receipts of a successor that withdrew"):
        withdraw(stopped.house, stopped.number)


def test_it_stops_a_deletion_between_two_pieces(stopped: Stopped, monkeypatch: pytest.MonkeyPatch) -> None:
    received(stopped)
    left: list[int] = []

    def at(point: str) -> None:
        if point == "clearing.after_commit" and not left:
            left.append(visits(stopped.house))
            withdrew(stopped)

    monkeypatch.setattr(workers, "Tables", partial(Tables, size=Pieces(10)))
    with pytest.raises(Refused, match=GONE):
        go(stopped, at=at)
    assert 0 < left[0] < 60 and visits(stopped.house) == left[0]


def test_it_stops_one_that_was_killed_half_way(stopped: Stopped) -> None:
    received(stopped)
    assert killed_at("clearing.after_commit", lambda at: go(stopped, at=at))
    left = visits(stopped.house)
    assert withdrew(stopped)["under_way"] == ["CASE-000001"]
    with pytest.raises(Refused, match=GONE):
        go(stopped)
    assert visits(stopped.house) == left
