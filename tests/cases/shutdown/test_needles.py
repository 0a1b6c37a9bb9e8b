"""Identifiers of everybody are gathered once, by one run at a time; what came in between is said; and their end is never lost."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from include.cases import turns, verbs
from include.cases.shutdown import needles, orders, permitting
from include.handover import clearing
from include.model.errors import NotReachable, Refused
from tests.cases.resting import begun_unasked
from tests.cases.retention.house import House
from tests.cases.shutdown.test_books import Stopped, ungathered
from tests.cases.shutdown.test_closing import PAPER, T0, company, gatekeeper
from tests.cases.shutdown.test_rest_goes import approved, go

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper"]  # fixtures


@pytest.fixture
def stopped(house: House, tmp_path: Path) -> Stopped:
    shop = ungathered(house, tmp_path)
    permitting.permit(house.desk, shop.number, paper=PAPER, as_of=T0, actor="ops/wu")
    return shop


def gather(shop: Stopped) -> int | None:
    return needles.gather(shop.house.desk, shop.number, as_of=T0, actor="ops/wu")


def said(shop: Stopped, what: str) -> list[dict[str, object]]:
    with shop.house.desk.book() as conn:
        return [e["detail"] for e in orders.history(conn, shop.number) if e["what"] == what]


def test_a_persons_own_case_in_between_is_said_and_another_run_waits_and_the_end_is_said_once(
    stopped: Stopped,
) -> None:
    desk = stopped.house.desk
    company(stopped.house, "DELETE FROM s.note; DELETE FROM u.visit")
    deeds = (verbs.rehearse, verbs.restrict, verbs.settle_and_plan, verbs.dispose)
    begun_unasked(desk, ["acct_000000000002"], deeds, as_of=date(2030, 12, 1), actor="system/test")
    with desk.book() as other:
        assert turns.got(other, f"casebook.shutdown needles {stopped.number}")
        with pytest.raises(NotReachable, match="gathered by somebody else"):
            gather(stopped)
    assert gather(stopped) is not None and gather(stopped) is None
    (detail,) = said(stopped, needles.GATHERED)
    assert int(str(detail["disposed_of_before"])) > 0
    # A run that was killed after it had destroyed the key, and before it said so.
    for ref in desk.keys.versions(needles._name(stopped.number)):
        desk.keys.destroy(ref.id)
    for _ in range(2):
        with orders.deed(desk, stopped.number) as (conn, _of):
            needles.drop(desk, conn, stopped.number, as_of=T0, actor="ops/wu")
    assert len(said(stopped, needles.DROPPED)) == 1


def test_nothing_goes_before_they_are_gathered_and_afterwards_it_is_too_late(
    stopped: Stopped, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing may be killed after collection was closed, and the books opened by hand."""
    stopped.pack()
    for bag in stopped.bags():
        stopped.answer(bag)
    before = stopped.house.there()
    for deed in (lambda: go(approved(stopped)), lambda: delete(stopped)):
        with pytest.raises(
            Refused, match=r"were not gathered yet.*Next: run `quietus shutdown close-collection` again"
        ):
            deed()
    with stopped.house.desk.book() as conn:
        assert not conn.execute("SELECT FROM casebook.case_ WHERE ground = 'shutdown'").fetchall()
    assert stopped.house.there() == before
    with monkeypatch.context() as patch:  # a deed of before they were asked for
        patch.setattr(needles, "were_gathered", lambda *_: None)
        go(stopped)
    with pytest.raises(Refused, match="disposed of already"):
        gather(stopped)


def test_once_they_are_gathered_it_goes(stopped: Stopped) -> None:
    assert gather(stopped) is not None
    assert go(approved(stopped)).gone
    stopped.pack()
    for bag in stopped.bags():
        stopped.answer(bag)
    assert delete(stopped).bags


def delete(shop: Stopped) -> clearing.Going:
    return clearing.run(shop.house.desk, shop.number, as_of=T0, actor="ops/wu")
