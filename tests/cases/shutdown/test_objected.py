"""What only a hold keeps of a person who objects: counted as bags are packed, so that nothing waits for it for ever."""

from __future__ import annotations

from dataclasses import replace

import pytest

from include.cases import holds, verbs
from include.cases.accounts import CatalogueAccounts
from include.cases.retention.held import held_people
from include.cases.shutdown import breaker, disposing, located, objecting, orders
from include.cases.shutdown.preview import preview
from include.cases.shutdown.residual import residual
from include.cases.shutdown.told import Custodian
from include.handover import clearing, ending, packing
from include.handover.conservation import Line
from include.handover.room import Room
from include.handover.shards import Bounds
from include.model.errors import Refused
from include.model.words import Channel, Disposition
from tests.cases.retention.house import House
from tests.cases.shutdown.handing import Handing
from tests.cases.shutdown.test_books import Stopped, sent, stopped
from tests.cases.shutdown.test_closing import PAPER, T0, company, gatekeeper
from tests.cases.shutdown.test_notices_follow import handing
from tests.cases.shutdown.test_orders import TOLD
from tests.handover.both import Attesting

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "handing", "stopped"]  # fixtures

LI = "acct_000000000002"
ON = {"as_of": T0, "actor": "ops/wu"}


@pytest.fixture
def house(house: House) -> House:
    """Long before T0 a person's files were over, and a court held them: seven of sixty."""
    company(house, f"UPDATE u.visit SET at = '2020-01-01' WHERE account_id = '{LI}'")
    verbs.open_hold(
        house.desk, basis="court", document_no="7", issuing_body="court", law="law", as_of=T0,
        actor="legal/zhao", account_ids=frozenset({LI}), datasets=frozenset({"u.visit"}),
    )  # fmt: skip
    return house


def pack(shop: Stopped) -> None:
    house = shop.house
    room = Room(
        house.company.catalogue, house, house.desk.book, Attesting(shop.home / "ours", "ours"), shop.home / "out",
        held=held_people(house.desk), bounds=Bounds(bytes=200, rows=10), objectors=objecting.objectors(house.desk, shop.number),
    )  # fmt: skip
    assert not packing.pack(room, shop.consignment).left
    sent(house.desk, shop.number)
    for bag in shop.bags():
        shop.answer(bag)


def lifted(shop: Stopped) -> None:
    with shop.house.desk.book() as conn:
        (held,) = holds.listing(conn)
    verbs.release_hold(shop.house.desk, held["hold"], document="9", as_of=T0, actor="legal/zhao")


def kept(shop: Stopped) -> None:
    keeper = Custodian("Keeper Co", "office@keeper.example")
    orders.name_custodian(shop.house.desk, shop.number, keeper, paper=PAPER, as_of=T0, actor="legal/zhao")


def fates(shop: Stopped) -> dict[Disposition, int]:
    with shop.house.desk.book() as conn:
        of = orders.order(conn, shop.number)
    return {d: n for d, n in located.counted(shop.house.desk, of)[0]["u.visit"].items() if n}


def visits(shop: Stopped) -> Line:
    (line,) = [x for x in shop.look().lines if x.dataset == "u.visit"]
    return line


def approved(shop: Stopped) -> None:
    for who in TOLD.approvers:
        breaker.approve(shop.house.desk, shop.number, as_of=T0, actor=who)


def test_what_only_a_hold_keeps_of_an_objector_is_held_in_every_count_and_goes_after_it(
    stopped: Stopped,
) -> None:
    shop, desk = stopped, stopped.house.desk
    kept(shop), approved(shop)
    assert fates(shop) == {Disposition.TRANSFER: 60}
    at = replace(desk, accounts=CatalogueAccounts(desk.catalogue, shop.house))
    objecting.object_to(
        at, shop.number, LI, channel=Channel.APP, method="signed_in_session", fields=("PI-001",), as_of=T0, actor="support/li"
    )  # fmt: skip
    assert fates(shop) == {Disposition.TRANSFER: 53, Disposition.HOLD: 7}
    told = {(x.dataset, x.disposition): x.items for x in preview(desk, shop.number, as_of=T0).lines}
    assert (told["u.visit", "hold"], told["u.visit", "transfer"]) == (7, 53)
    pack(shop)
    clearing.run(desk, shop.number, **ON)
    assert company(shop.house, "SELECT DISTINCT account_id, count(*) FROM u.visit GROUP BY 1") == [(LI, 7)]
    line = visits(shop)
    assert line.balances and (line.transferred, line.retained, line.custodian) == (53, 7, "Keeper Co")
    assert not residual(desk, shop.number).moving, "nothing is on its way for ever"
    with desk.book() as conn:
        of = orders.order(conn, shop.number)
    assert [k["items"] for k in ending.residual(desk, of, T0) if k["dataset"] == "u.visit"] == [7]
    lifted(shop)
    assert fates(shop) == {Disposition.ERASE: 7}
    with pytest.raises(Refused, match="did not say so yet"):
        disposing.run(desk, shop.number, **ON)  # of these nothing was approved
    approved(shop)
    assert disposing.run(desk, shop.number, **ON).gone["u.visit"] == 7
    line = visits(shop)
    assert line.balances and (line.transferred, line.deleted, line.retained) == (53, 7, 0)


def test_a_hold_that_is_lifted_after_packing_is_told_and_what_stayed_by_it_goes_here(
    handing: Handing,
) -> None:
    shop, desk = handing.stopped, handing.stopped.house.desk
    handing.pack()
    handing.hand_over()
    lifted(shop)
    out = handing.amend()
    assert out.made and not out.left, out.left
    handing.send_notices()
    assert not handing.follow().refused
    handing.verify_notices()
    clearing.run(desk, shop.number, **ON)
    assert fates(shop) == {Disposition.ERASE: 7}
    approved(shop)
    assert disposing.run(desk, shop.number, **ON).gone["u.visit"] == 7
    line = visits(shop)
    assert (line.transferred, line.deleted, line.retained) == (53, 7, 0) and line.balances, line.reasons
