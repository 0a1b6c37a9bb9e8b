"""What stops one bag stops that bag alone, also when its case was begun before: while nothing was disposed of by the case it
comes to its end with nothing, and another takes the other bags. (Afterwards: ``test_set_aside``.)"""

from __future__ import annotations

from typing import Any

import pytest

from include.cases import book
from include.cases.shutdown import orders
from include.cases.shutdown.begun import BEGUN, going_by
from include.model.errors import BooksDoNotBalance, NotReachable, Refused
from include.model.handover import Differences
from include.model.words import CaseState
from tests.cases.restoring import killed_at
from tests.cases.shutdown.test_books import Stopped, stopped
from tests.cases.shutdown.test_closing import gatekeeper
from tests.cases.shutdown.test_source_goes import go, visits

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "stopped"]  # fixtures


def differs(shop: Stopped, bag: Any) -> None:
    with pytest.raises(BooksDoNotBalance):
        shop.answer(bag, differences=Differences(missing=("c" * 64,)))


def received(shop: Stopped) -> list[Any]:
    shop.pack()
    for bag in shop.bags():
        shop.answer(bag)
    return [b for b in shop.bags() if b.statement.dataset == "u.visit"]


def state(shop: Stopped, case_no: str) -> CaseState:
    with shop.house.desk.book() as conn:
        return book.case(conn, case_no).state


@pytest.mark.parametrize("point", ["bags.begun", "bags.planned"])
def test_a_difference_that_comes_after_a_kill_stops_its_bag_alone(stopped: Stopped, point: str) -> None:
    bags = received(stopped)
    assert killed_at(point, lambda at: go(stopped, at=at)), f"{point} was never reached"
    differs(stopped, bags[1])
    going = go(stopped)
    assert going.case_no == "CASE-000002" and set(going.bags) == {b.name for b in bags} - {bags[1].name}
    assert visits(stopped.house) == bags[1].statement.items
    assert [state(stopped, f"CASE-00000{n}") for n in (1, 2)] == [CaseState.WAITING] * 2
    with stopped.house.desk.book() as conn:
        assert set(going_by(conn, stopped.number).values()) == {"CASE-000002"}
        units = conn.execute("SELECT DISTINCT state, items FROM casebook.unit WHERE case_no = 'CASE-000001'")
        assert {(u["state"], u["items"]) for u in units} == {("live_deleted", 0)}
    with pytest.raises(Refused, match="no bag may be deleted"):
        go(stopped)
    stopped.answer(bags[1])  # the successor stored it again, and signs anew
    assert go(stopped).bags == (bags[1].name,) and visits(stopped.house) == 0
    (line,) = [x for x in stopped.look().lines if x.dataset == "u.visit"]
    assert line.balances and line.transferred == 60


def test_killed_while_it_gives_up_it_goes_on(stopped: Stopped) -> None:
    bags = received(stopped)
    assert killed_at("bags.planned", lambda at: go(stopped, at=at))
    differs(stopped, bags[0])
    for point in ("bags.begun", "bags.planned", "bags.disposed", "bags.proved"):
        assert killed_at(point, lambda at: go(stopped, at=at)), f"{point} was never reached"
        assert state(stopped, "CASE-000001") is (
            CaseState.WAITING if point == "bags.proved" else CaseState.ACTING
        )
        assert visits(stopped.house) == 60, "and nothing goes by it"
    assert set(go(stopped).bags) == {b.name for b in bags[1:]}
    with stopped.house.desk.book() as conn:
        begun = [e["detail"]["case"] for e in orders.history(conn, stopped.number) if e["what"] == BEGUN]
    assert begun == ["CASE-000001", "CASE-000001", "CASE-000002"]


def test_two_do_not_delete_at_once(stopped: Stopped, monkeypatch: pytest.MonkeyPatch) -> None:
    received(stopped)
    other: list[str] = []

    def another(point: str) -> None:
        if point == "bags.planned":
            with pytest.raises(NotReachable, match="by somebody else"):
                go(stopped)
            other.append(point)

    go(stopped, at=another)
    assert other == ["bags.planned"] and visits(stopped.house) == 0
