"""The successor's newest word counts, by the time at which it signed it; and each word names the root that was due then."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from include.handover import clearing, heard, notifying, register, rereading
from include.handover.clearing import Going, NoneMay
from include.handover.receiving import receive
from include.handover.sending import notice_receipt_key, receipt_key
from include.handover.stages import CONSIGNMENT, Handover
from include.ledger import attest, verify
from include.model.errors import BooksDoNotBalance, LedgerError, Refused
from include.model.handover import BagState, Differences, NoticeReceipt
from include.model.times import observed_now
from tests.cases.retention.house import House
from tests.cases.shutdown.handing import INBOX
from tests.cases.shutdown.test_books import Stopped, stopped
from tests.cases.shutdown.test_closing import T0, gatekeeper
from tests.cases.shutdown.test_notices_follow import OVER, Handing, handing, leave, visits
from tests.handover.both import Attesting

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "handing", "stopped"]  # fixtures

MISSING = Differences(missing=("c" * 64,))


def one(shop: Stopped) -> register.Bag:
    return next(b for b in shop.bags() if b.statement.dataset == "u.visit")


def against(shop: Stopped, bag: register.Bag) -> str:
    return "; ".join(next(why for b, why in shop.look().bags if b.bag == bag.name))


# --- receipts ---------------------------------------------------------------------------------------


def test_an_older_receipt_takes_nothing_back(stopped: Stopped) -> None:
    stopped.pack()
    bag, now = one(stopped), observed_now()
    clean = now - timedelta(seconds=20)
    with pytest.raises(BooksDoNotBalance):
        stopped.answer(bag, differences=MISSING, stored_at=now)
    with pytest.raises(Refused, match="older than one that was verified"):
        stopped.answer(bag, stored_at=clean)
    assert one(stopped).state is BagState.SENT
    stopped.answer(bag, stored_at=now + timedelta(seconds=1))
    assert one(stopped).state is BagState.RECEIVED
    with pytest.raises(Refused, match="older than one"):
        stopped.answer(bag, differences=MISSING, stored_at=now)
    assert against(stopped, bag) == ""


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"stored_at": timedelta(minutes=10)}, "in the future"),
    ({"stored_at": timedelta(days=-30)}, "before that of which it speaks"),
    ({"custodian": "Somebody Else Ltd"}, "another company's"),
]


def test_one_of_another_time_or_company_is_none(stopped: Stopped) -> None:
    stopped.pack()
    bag = one(stopped)
    for changes, why in WRONG:
        more = {k: observed_now() + v if isinstance(v, timedelta) else v for k, v in changes.items()}
        with pytest.raises(Refused, match=why):
            stopped.answer(bag, **more)
    with pytest.raises(Refused, match="no time zone"):
        stopped.answer(bag, stored_at=observed_now().replace(tzinfo=None))
    assert one(stopped).state is BagState.SENT
    stopped.answer(bag, stored_at=observed_now() + timedelta(seconds=30))  # its clock is a little ahead


# --- after a notice ---------------------------------------------------------------------------------


@pytest.fixture
def told(handing: Handing) -> tuple[Handing, register.Bag]:
    """A notice about a bag was followed."""
    handing.pack()
    handing.hand_over()
    leave(handing, OVER)
    handing.tell(OVER)
    bag = next(b for b in handing.bags() if b.notices)
    assert against(handing.stopped, bag) == "" and bag.root != bag.statement.root
    return handing, bag


def test_a_receipt_after_a_followed_notice_names_what_that_left(told: tuple[Handing, register.Bag]) -> None:
    handing, bag = told
    shop = handing.stopped
    for root, items in (("1" * 64, bag.items), (bag.statement.root, bag.statement.items)):
        with pytest.raises(BooksDoNotBalance, match="another root than the one that was due"):
            shop.answer(bag, root=root, items=items)
        assert against(shop, bag) == "the successor computed another root"
    shop.answer(bag, root=bag.root, items=bag.items)
    assert against(shop, bag) == ""


def test_which_root_is_due_goes_by_the_time_of_signing(handing: Handing) -> None:
    handing.pack()
    handing.hand_over()
    leave(handing, OVER)
    before = observed_now()
    handing.tell(OVER)
    bag = next(b for b in handing.bags() if b.notices)
    packed, left = (bag.statement.items, bag.statement.root), (bag.items, bag.root)
    with handing.stopped.house.desk.book() as conn:
        ((answer, _),) = heard.answered(conn, handing.number)[bag.name]
        assert heard.due(conn, bag, before - timedelta(days=1)) == {packed}
        assert heard.due(conn, bag, answer.done_at - timedelta(microseconds=1)) == {packed, left}
        assert heard.due(conn, bag, answer.done_at) == {left}


def again(handing: Handing, name: str, **changes: Any) -> bytes:
    """The answer to a notice, signed anew with something else in it."""
    file = notifying.answer_of(handing.way, handing.number, name)
    theirs = handing.stopped.theirs
    payload = attest.opened(file or b"", notifying.SHOWN, attest.public_key(theirs.pem))
    said = NoticeReceipt.model_validate(json.loads(payload))
    return theirs(said.model_copy(update={"done_at": observed_now(), **changes}).canonical())


def put(handing: Handing, key: str, file: bytes) -> None:
    handing.client.put_object(Bucket=INBOX, Key=key, Body=file)


def test_an_answer_that_differs_after_a_good_one_stops_its_bag(told: tuple[Handing, register.Bag]) -> None:
    handing, bag = told
    shop = handing.stopped
    (name,) = [n.name for n in handing.notices() if n.said.bag == bag.name]
    good = notifying.answer_of(handing.way, handing.number, name)
    assert rereading.answer_of(shop.house.desk, handing.way, handing.number, name) is None, "it is known"
    with pytest.raises(Refused, match="in the future"):
        handing.verify_notice(name, again(handing, name, done_at=observed_now() + timedelta(days=1)))
    with pytest.raises(Refused, match="another company's"):
        handing.verify_notice(name, again(handing, name, custodian="Somebody Else Ltd"))
    said = json.loads(attest.opened(good or b"", notifying.SHOWN, attest.public_key(shop.theirs.pem)))
    for loose in ({"deleted": str(said["deleted"])}, {"differences": {}}, {"note": "x"}):
        with pytest.raises(LedgerError, match="malformed"):
            handing.verify_notice(name, shop.theirs(verify.canonical(said | loose)))
    put(handing, notice_receipt_key(handing.number, name), again(handing, name, differences=MISSING))
    assert rereading.doubts(shop.house.desk, shop.consignment, handing.way, actor="ops/wu") == {}, (
        "it is believed"
    )
    assert against(shop, bag) == "the receipt names differences: 1 missing, 0 changed, 0 too many"
    with pytest.raises(Refused, match="older than one"):
        handing.verify_notice(name, good)
    with pytest.raises(BooksDoNotBalance, match="and another root"):
        handing.verify_notice(name, again(handing, name, root="1" * 64, differences=Differences()))
    assert against(shop, bag) == "the successor computed another root"
    gone = clearing.run(shop.house.desk, handing.number, as_of=OVER, actor="ops/wu")
    assert bag.name not in gone.bags and gone.bags and visits(handing) == bag.items
    handing.verify_notice(name, again(handing, name, root=bag.root, differences=Differences()))
    assert against(shop, bag) == ""


# --- read again -------------------------------------------------------------------------------------


@pytest.fixture
def way(handing: Handing, monkeypatch: pytest.MonkeyPatch) -> Iterator[Handover]:
    """All was received; the stages as tasks take them."""
    handing.pack()
    handing.hand_over()
    monkeypatch.setattr(House, "s3", lambda *_: handing.client)
    shop = handing.stopped
    way = Handover(shop.house.desk, handing.number, shop.home / "out", INBOX, "Old CA")
    (way.papers / CONSIGNMENT).write_text(shop.consignment.model_dump_json())
    yield way


def test_a_newer_receipt_is_read_before_our_copy_goes(handing: Handing, way: Handover) -> None:
    assert way.verify(actor="ops/wu") == {}
    handing.theirs("SET session_replication_role = replica; DELETE FROM u.visit WHERE id <= 5")
    got = receive(handing.inbox, handing.custody, handing.stopped.theirs, handing.number)
    (bag,) = [r.bag for r in got.receipts if r.differences.missing]
    items = next(b.items for b in handing.bags() if b.name == bag)
    (going,) = way.delete_source(as_of=T0, actor="ops/wu")
    assert bag not in going.bags and going.bags and visits(handing) == items
    assert set(way.verify(actor="ops/wu")) == {bag}, "and says so for as long as it differs"


def test_one_that_cannot_be_believed_stops_its_bag(handing: Handing, way: Handover) -> None:
    bag = handing.bags()[0]
    forger = Attesting(handing.stopped.home / "forger", "forger")
    put(handing, receipt_key(handing.number, bag.name), forger(bag.payload))
    assert set(way.verify(actor="ops/wu")) == {bag.name}
    (going,) = way.delete_source(as_of=T0, actor="ops/wu")
    assert "is not believed" in going.left[bag.name] and visits(handing) == bag.items
    again = receive(handing.inbox, handing.custody, handing.stopped.theirs, handing.number)
    assert all(r.differences.none for r in again.receipts)
    assert [g.bags for g in way.delete_source(as_of=T0, actor="ops/wu")] == [(bag.name,)]
    assert visits(handing) == 0


def test_nor_is_a_case_gone_on_with_that_has_such_a_bag(stopped: Stopped) -> None:
    stopped.pack()
    for bag in stopped.bags():
        stopped.answer(bag)

    def killed(point: str) -> None:
        if point == "clearing.after_commit":
            raise KeyboardInterrupt

    desk, on = stopped.house.desk, {"as_of": T0, "actor": "ops/wu"}
    with suppress(KeyboardInterrupt):
        clearing.run(desk, stopped.number, at=killed, **on)  # type: ignore[arg-type]
    with pytest.raises(Refused, match="forged"):
        clearing.run(desk, stopped.number, doubts={one(stopped).name: "forged"}, **on)  # type: ignore[arg-type]
    assert clearing.run(desk, stopped.number, **on).bags  # type: ignore[arg-type]


def test_it_is_read_again_between_two_cases(way: Handover, monkeypatch: pytest.MonkeyPatch) -> None:
    did: list[str] = []

    def doubts(*_: Any, **__: Any) -> dict[str, str]:
        did.append("read")
        return {}

    def run(*_: Any, **__: Any) -> Going:
        if did.count("deleted") == 2:
            raise NoneMay("none", about="x", next_step="y")
        did.append("deleted")
        return Going("SO-000001", "CASE-000001", ("u.visit-00001",))

    monkeypatch.setattr(rereading, "doubts", doubts)
    monkeypatch.setattr(clearing, "run", run)
    way.delete_source(as_of=T0, actor="ops/wu")
    assert did == ["read", "deleted", "read", "deleted", "read"]
