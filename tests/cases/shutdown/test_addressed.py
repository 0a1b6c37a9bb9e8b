"""Bags go to the order's successor and to nobody else, whatever file of a consignment lies at hand, and only while it is that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from include.cases.shutdown import orders
from include.cases.shutdown.consigning import consign
from include.cases.shutdown.told import Successor
from include.handover import receipts
from include.handover.sending import send
from include.handover.stages import CERTIFICATE, CONSIGNMENT, RECEIPT_KEY, Handover
from include.ledger import attest
from include.model.errors import Refused
from include.model.handover import BagReceipt, BagState, Consignment, Differences
from include.model.times import observed_now
from tests.cases.retention.house import House
from tests.cases.shutdown.handing import INBOX
from tests.cases.shutdown.test_books import Stopped, stopped
from tests.cases.shutdown.test_closing import PAPER, T0, gatekeeper, withdraw
from tests.cases.shutdown.test_consigning import fingerprint
from tests.cases.shutdown.test_notices_follow import Handing, handing, leave
from tests.handover.both import Attesting, certificate, pem

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "handing", "stopped"]  # fixtures

OTHER = "B Co"


def another(stopped: Stopped, *, already_gone: bool = False) -> str:
    """The successor withdraws, if it has not, and another is named; its certificate."""
    shown = pem(certificate(rsa.generate_private_key(public_exponent=65537, key_size=2048), "b"))
    desk, on = stopped.house.desk, {"paper": PAPER, "as_of": T0, "actor": "legal/zhao"}
    if not already_gone:
        orders.successor_withdrew(desk, stopped.number, ministry_asked=False, **on)  # type: ignore[arg-type]
    orders.name_successor(
        desk, stopped.number, Successor(OTHER, "b@b.example", fingerprint(shown)), **on  # type: ignore[arg-type]
    )  # fmt: skip
    return shown


def directory(stopped: Stopped, home: Path) -> Handover:
    """The order's directory with the consignment as it was made."""
    way = Handover(stopped.house.desk, stopped.number, home / "bags", INBOX, "Old CA")
    way.papers.mkdir(parents=True)
    (way.papers / CONSIGNMENT).write_text(stopped.consignment.model_dump_json())
    return way


def test_it_is_consigned_anew_to_whoever_takes_the_place_of_one_that_withdrew(
    stopped: Stopped, tmp_path: Path
) -> None:
    way = directory(stopped, tmp_path)
    assert way.stands()
    shown, theirs = another(stopped), Attesting(tmp_path / "b", "b")
    assert not way.stands()
    (way.papers / CERTIFICATE).write_text(shown)
    (way.papers / RECEIPT_KEY).write_text(theirs.pem)
    digest = hashlib.sha256(theirs.pem.encode()).hexdigest()
    made = way.consign(digest, document="BR-8", as_of=T0, actor="ops/wu")
    assert made.successor.name == OTHER and way.consignment() == made and way.stands()
    assert way.consign(digest, document="BR-8", as_of=T0, actor="ops/wu") == made
    with pytest.raises(Refused, match=f"{OTHER} takes over"):
        stopped.pack()
    assert stopped.bags() == []


def test_what_was_packed_is_consigned_to_nobody_else(stopped: Stopped, tmp_path: Path) -> None:
    stopped.pack()
    again = {
        "sender": "Old CA",
        "receipt_key": stopped.theirs.pem,
        "document": "BR-8",
        "as_of": T0,
        "actor": "ops/wu",
    }
    shown = stopped.consignment.successor.certificate
    made = consign(stopped.house.desk, stopped.number, certificate=shown, **again)  # type: ignore[arg-type]
    assert made == stopped.consignment, "the same again is the same"
    with pytest.raises(Refused, match="packed by another consignment"):
        consign(
            stopped.house.desk, stopped.number, certificate=shown,
            **(again | {"receipt_key": Attesting(tmp_path / "other", "other").pem}),  # type: ignore[arg-type]
        )  # fmt: skip


def forged(of: Consignment, tmp_path: Path) -> Consignment:
    """To another certificate and key, under the successor's name."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    theirs = of.successor.model_copy(
        update={"receipt_key": Attesting(tmp_path / "forger", "forger").pem, "certificate": pem(certificate(key, "m"))}
    )  # fmt: skip
    return of.model_copy(update={"successor": theirs})


def other_key(of: Consignment, tmp_path: Path) -> Consignment:
    """To the right certificate, with another key for receipts."""
    theirs = of.successor.model_copy(update={"receipt_key": Attesting(tmp_path / "forger", "forger").pem})
    return of.model_copy(update={"successor": theirs})


@pytest.mark.parametrize("swap", [forged, other_key])
def test_a_consignment_that_was_swapped_packs_nothing(
    handing: Handing, tmp_path: Path, swap: Callable[[Consignment, Path], Consignment]
) -> None:
    handing.stopped.consignment = swap(handing.stopped.consignment, tmp_path)
    with pytest.raises(Refused, match=r"by another certificate|another consignment than the one"):
        handing.pack()
    assert handing.bags() == []


@pytest.mark.parametrize("swap", [forged, other_key])
def test_nor_is_anything_sent_told_or_believed_by_one(
    handing: Handing, tmp_path: Path, swap: Callable[[Consignment, Path], Consignment]
) -> None:
    handing.pack()
    right = handing.stopped.consignment
    wrong = swap(right, tmp_path)
    with pytest.raises(Refused):
        send(handing.way, wrong)
    handing.hand_over()
    leave(handing)
    handing.amend()
    handing.stopped.consignment = wrong
    for deed in (handing.amend, handing.send_notices):
        with pytest.raises(Refused):
            deed()
    assert not any(n.sent for n in handing.notices())
    bag = handing.bags()[0]
    with pytest.raises(Refused):
        believe(handing, wrong, bag, Attesting(tmp_path / "forger", "forger"))


def believe(handing: Handing, by: Consignment, bag: Any, signer: Attesting) -> None:
    of = bag.statement
    said = BagReceipt(
        order=of.order, bag=of.bag, statement=attest.digest(bag.payload), items=of.items, root=of.root,
        differences=Differences(), custodian=of.successor, stored_at=observed_now(),
    )  # fmt: skip
    with handing.stopped.house.desk.book() as conn:
        conn.autocommit = True
        receipts.verify(conn, by, bag.name, signer(said.canonical()), actor="ops/wu")


def test_nothing_is_packed_or_sent_once_the_order_is_withdrawn(handing: Handing) -> None:
    handing.pack()
    withdraw(handing.stopped.house, handing.number)
    for deed in (handing.pack, lambda: send(handing.way, handing.stopped.consignment)):
        with pytest.raises(Refused, match="the order is withdrawn"):
            deed()
    assert {b.state for b in handing.bags()} == {BagState.PACKED}
    assert "Contents" not in handing.client.list_objects_v2(Bucket=INBOX)


def test_who_withdraws_while_a_bag_is_sent_is_shown_none_of_it(handing: Handing) -> None:
    """The statement comes last, and whoever sees none does not know of the bag."""
    handing.pack()

    def at(point: str) -> None:
        if point == "handover.uploaded":
            withdraw(handing.stopped.house, handing.number)

    handing.at = at
    with pytest.raises(Refused, match="the order is withdrawn"):
        send(handing.way, handing.stopped.consignment)
    keys = [o["Key"] for o in handing.client.list_objects_v2(Bucket=INBOX)["Contents"]]
    assert keys and not any(k.endswith(".json") for k in keys)
    assert {b.state for b in handing.bags()} == {BagState.PACKED}


def test_our_own_key_is_nobodys_for_receipts(stopped: Stopped, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has our signer would sign for what we sent, and our copy would go."""
    ours = Attesting(stopped.home / "ours", "ours")
    said = {
        "sender": "Old CA", "certificate": stopped.consignment.successor.certificate, "receipt_key": ours.pem,
        "document": "BR-8", "as_of": T0, "actor": "ops/wu",
    }  # fmt: skip
    with monkeypatch.context() as declared:
        declared.setattr(House, "text", lambda *_: str(ours.public))
        with pytest.raises(Refused, match="our own signer's"):
            consign(stopped.house.desk, stopped.number, **said)  # type: ignore[arg-type]
    # Where no key is declared: what is signed first shows it, and nothing is sent.
    stopped.consignment = consign(stopped.house.desk, stopped.number, **said)  # type: ignore[arg-type]
    with pytest.raises(Refused, match="our own signer's"):
        stopped.pack()
    assert all(b.envelope is None for b in stopped.bags())


def test_the_last_that_was_made_counts(stopped: Stopped) -> None:
    """Made again for another key before anything was packed: from then on the first is none."""
    again = consign(
        stopped.house.desk, stopped.number, sender="Old CA", certificate=stopped.consignment.successor.certificate,
        receipt_key=Attesting(stopped.home / "second", "second").pem, document="BR-8", as_of=T0, actor="ops/wu",
    )  # fmt: skip
    with pytest.raises(Refused, match="another consignment than the one that was made last"):
        stopped.pack()
    stopped.consignment = again
    stopped.pack()
    assert json.loads(stopped.bags()[0].payload)["successor"] == again.successor.name
