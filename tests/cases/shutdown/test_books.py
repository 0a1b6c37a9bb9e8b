"""The books of a shutdown on real servers: what was located at T0, bags read again, receipts, and what was disposed of."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from typer.testing import CliRunner

from include.cases import verbs
from include.cases.rooms import Desk
from include.cases.shutdown import closing, located, needles, orders, permitting
from include.cases.shutdown.consigning import consign
from include.commands import shutdown as command
from include.handover import books, packing, receipts, register
from include.handover.books import Books
from include.handover.conservation import Kind, Place
from include.handover.room import Room
from include.handover.shards import Bounds
from include.ledger import attest
from include.model.errors import BooksDoNotBalance, Refused
from include.model.handover import BagReceipt, Consignment, Differences
from include.model.times import observed_now
from tests.cases.retention.house import House
from tests.cases.shutdown.test_closing import INSERT, PAPER, T0, company, gatekeeper, ready, withdraw
from tests.cases.shutdown.test_command import today
from tests.cases.shutdown.test_consigning import fingerprint
from tests.cases.shutdown.test_orders import NEXT
from tests.handover.both import Attesting, certificate, pem

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "today"]  # fixtures

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SHOWN = pem(certificate(KEY, "successor"))


def sent(desk: Desk, number: str) -> None:
    with desk.book() as conn:
        for bag in register.bags(conn, number):
            register.sent(conn, bag)
        conn.commit()


def answer(desk: Desk, consignment: Consignment, theirs: Attesting, bag: register.Bag, **more: Any) -> None:
    """Have the successor sign for a bag, and believe it."""
    of = bag.statement
    said = BagReceipt(
        order=of.order, bag=of.bag, statement=attest.digest(bag.payload), items=of.items, root=of.root,
        differences=Differences(), custodian=of.successor, stored_at=observed_now(),
    ).model_copy(update=more)  # fmt: skip
    with desk.book() as conn:
        conn.autocommit = True
        receipts.verify(conn, consignment, bag.name, theirs(said.canonical()), actor="ops/wu")


def signed(desk: Desk, consignment: Consignment, theirs: Attesting) -> None:
    """Every bag was sent, and signed for without a difference."""
    sent(desk, consignment.order)
    with desk.book() as conn:
        bags = register.bags(conn, consignment.order)
    for bag in bags:
        answer(desk, consignment, theirs, bag)


@dataclass
class Stopped:
    """The shop after T0, its bags sent."""

    house: House
    number: str
    consignment: Consignment
    home: Path

    @property
    def theirs(self) -> Attesting:
        return Attesting(self.home / "theirs", "theirs")

    def bags(self) -> list[register.Bag]:
        with self.house.desk.book() as conn:
            return register.bags(conn, self.number)

    def pack(self) -> None:
        room = Room(
            self.house.company.catalogue, self.house, self.house.desk.book, Attesting(self.home / "ours", "ours"),
            self.home / "out", bounds=Bounds(bytes=200, rows=10),
        )  # fmt: skip
        assert not packing.pack(room, self.consignment).left
        sent(self.house.desk, self.number)

    def consigned_by(self, key: str) -> None:
        """Consigned anew, with that key for receipts."""
        self.consignment = consign(
            self.house.desk, self.number, sender="Old CA", certificate=SHOWN, document="BR-8", as_of=T0, actor="ops/wu",
            receipt_key=Attesting(self.home / key, key).pem,
        )  # fmt: skip

    def answer(self, bag: register.Bag, **more: Any) -> None:
        """What the successor signs for it."""
        answer(self.house.desk, self.consignment, self.theirs, bag, **more)

    def look(self) -> Books:
        return books.balance(self.house.desk, self.number, as_of=T0, actor="ops/wu")


def why(found: Books, dataset: str) -> list[str]:
    """Reasons against a dataset, each once."""
    (line,) = [x for x in found.lines if x.dataset == dataset]
    return sorted({f"{r.kind.value}: {r.why}" for r in line.reasons})


def ungathered(house: House, tmp_path: Path) -> Stopped:
    """Its books are open, and nobody's identifiers were gathered yet."""
    number = ready(house, successor=replace(NEXT, certificate=fingerprint(SHOWN)))
    closing.close(house.desk, number, paper=PAPER, as_of=T0, actor="ops/wu")
    assert located.locate(house.desk, number, as_of=T0, actor="ops/wu") == {}
    made = consign(
        house.desk, number, sender="Old CA", certificate=SHOWN, receipt_key=Attesting(tmp_path / "theirs", "theirs").pem,
        document="BR-8", as_of=T0, actor="ops/wu",
    )  # fmt: skip
    return Stopped(house, number, made, tmp_path)


@pytest.fixture
def stopped(house: House, tmp_path: Path) -> Stopped:
    shop = ungathered(house, tmp_path)
    needles.gather(house.desk, shop.number, as_of=T0, actor="ops/wu")
    permitting.permit(house.desk, shop.number, paper=PAPER, as_of=T0, actor="ops/wu")
    return shop


def test_the_books_say_how_far_everything_is(stopped: Stopped, today: list[Any]) -> None:
    assert why(stopped.look(), "u.visit") == ["waits: is to go to the successor, and is not wholly packed"]
    stopped.pack()
    visits = [b for b in stopped.bags() if b.statement.dataset == "u.visit"]
    assert len(visits) > 3 and sum(b.statement.items for b in visits) == 60
    stopped.answer(visits[0])
    with pytest.raises(BooksDoNotBalance):
        stopped.answer(visits[1], differences=Differences(missing=("c" * 64,)))
    for bag in visits[3:]:
        stopped.answer(bag)
    found = stopped.look()
    assert {x.dataset: (x.located, x.transferred, x.deleted, x.retained, x.pending) for x in found.lines} == {
        "a.account": (10, 0, 0, 0, 10), "u.visit": (60, 0, 0, 0, 60), "u.click": (20, 0, 0, 20, 0),
        "s.ticket": (8, 0, 0, 4, 4), "s.note": (8, 0, 0, 8, 0), "book.hold": (0, 0, 0, 0, 0),
        "book.recipient": (0, 0, 0, 0, 0), "book.tombstone": (0, 0, 0, 0, 0), "book.tombstone_key": (0, 0, 0, 0, 0),
    }  # fmt: skip
    assert why(found, "u.click") == [] and why(found, "a.account") == [
        "waits: is to be deleted or anonymised, and is still here"
    ]
    said = {b.bag: stops for b, stops in found.bags}
    assert said[visits[0].name] == ()
    assert said[visits[1].name] == ("the receipt names differences: 1 missing, 0 changed, 0 too many",)
    assert said[visits[2].name] == ("there is no verified receipt of it",)
    assert all(said[b.name] == () for b in visits[3:]), "a difference stops that bag alone"
    with pytest.raises(
        BooksDoNotBalance, match=f"{visits[1].name}: {visits[1].statement.items} items: the receipt names"
    ):
        books.balanced(found)
    kind, body, _ = stopped.house.ledger[-1]
    assert (kind, body["what"], body["verdict"]) == (orders.KIND, "books", "failed")
    today[0] = T0
    shown = CliRunner().invoke(command.app, ["books", stopped.number], catch_exceptions=False)
    assert shown.exit_code == 1 and f"{visits[0].name}: may be deleted here" in shown.output
    assert "WRONG u.visit-00002" in shown.output and "located 106 = 0 transferred" in shown.output
    asked = CliRunner().invoke(command.app, ["books", stopped.number, "--json"], catch_exceptions=False)
    (told,) = json.loads(asked.output)
    assert asked.exit_code == 1 and told["verdict"] == "failed"
    assert [b["may_be_deleted_here"] for b in told["bags"] if b["dataset"] == "u.visit"].count(False) == 2


FAULTS: list[tuple[Callable[[Stopped], Any], str, str, Place]] = [
    (lambda s: company(s.house, INSERT), "wrong: was written since T0: find out by whom", "", Place.PART),
    (lambda s: company(s.house, "UPDATE u.visit SET path = '/x' WHERE id = 1"),
     "wrong: was written since T0: find out by whom", "not what was packed", Place.PART),
    (lambda s: company(s.house, "DELETE FROM u.visit WHERE id = 1"),
     "wrong: is gone here, and no receipt says how", "not what was packed", Place.PART),
    (lambda s: company(s.house, "DELETE FROM u.visit WHERE id <= 10"),
     "wrong: is gone here, and no receipt says how", "nothing of it is here", Place.GONE),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "said", "stopping", "place"), FAULTS)
def test_what_happens_to_rows_after_they_were_packed_is_named(
    stopped: Stopped, fault: Callable[[Stopped], Any], said: str, stopping: str, place: Place
) -> None:
    stopped.pack()
    for bag in stopped.bags():
        stopped.answer(bag)
    fault(stopped)
    found = stopped.look()
    assert said in why(found, "u.visit")
    visits = [(b, stops) for b, stops in found.bags if b.dataset == "u.visit"]
    (hit,) = [(b, stops) for b, stops in visits if b.place is not Place.WHOLE]
    assert hit[0].place is place and stopping in "; ".join(hit[1])
    assert all(not stops for b, stops in visits if b is not hit[0])


def test_a_hold_that_was_opened_since_stops_the_bags_that_it_names(stopped: Stopped) -> None:
    stopped.pack()
    for bag in stopped.bags():
        stopped.answer(bag)
    verbs.open_hold(
        stopped.house.desk, basis="court", document_no="7", issuing_body="court", law="law", as_of=T0, actor="legal/zhao",
        account_ids=frozenset({"acct_000000000002"}), datasets=frozenset({"u.visit"}),
    )  # fmt: skip
    visits = [(b.held, stops) for b, stops in stopped.look().bags if b.dataset == "u.visit"]
    assert sum(n for n, _ in visits) == 7, "every ninth visit is that person's"
    assert all(f"a hold names {n} of its items" in stops for n, stops in visits if n)
    assert not any("HOLD" in why for _, stops in visits for why in stops)


def test_an_order_is_not_withdrawn_once_the_successor_signed_for_a_bag(stopped: Stopped) -> None:
    stopped.pack()
    first = stopped.bags()[-1]
    stopped.answer(first)
    with pytest.raises(Refused, match="the successor signed for 1 bags of it"):
        withdraw(stopped.house, stopped.number)
    with stopped.house.desk.book() as conn:
        assert orders.order(conn, stopped.number).state == "closed"


def test_the_opening_is_made_once_and_cannot_be_made_to_fit(stopped: Stopped) -> None:
    company(stopped.house, "DELETE FROM u.click WHERE id = 1")
    assert located.locate(stopped.house.desk, stopped.number, as_of=T0, actor="ops/wu") == {}
    (line,) = [x for x in stopped.look().lines if x.dataset == "u.click"]
    assert (line.located, line.retained) == (20, 19)
    assert [(r.kind, r.items) for r in line.reasons] == [(Kind.WRONG, 1)]
    with stopped.house.desk.book() as conn:
        whats = [e["what"] for e in orders.history(conn, stopped.number)]
    assert whats.count("located") == 1


def test_books_are_not_opened_before_t0(house: House) -> None:
    number = ready(house)
    with pytest.raises(Refused, match="collection is not closed"):
        located.locate(house.desk, number, as_of=T0 - timedelta(days=1), actor="ops/wu")
    with pytest.raises(Refused, match="collection is not closed"):
        books.balance(house.desk, number, as_of=T0 - timedelta(days=1), actor="ops/wu")
