"""Whom a case deletes once the service is certified: the successor signs for her tombstone, too, and then the ledger goes to its
custodian, whose verifier names the receipt."""

from __future__ import annotations

import pytest

from include.cases import verbs
from include.handover import ledger_bag, packing, register
from include.handover.room import Room
from include.ledger import attest
from include.model.errors import NotProved, Refused
from tests.cases.resting import begun_unasked
from tests.cases.shutdown.ended import Ended
from tests.cases.shutdown.test_books import sent
from tests.cases.shutdown.test_closing import T0, gatekeeper
from tests.cases.shutdown.test_ending import case_book, ended, house
from tests.cases.shutdown.test_late_difference import accept, certified, checked, differs, hand
from tests.cases.shutdown.test_orders import TOLD
from tests.handover.both import Attesting
from tests.stores.postgres.conftest import new_company

pytestmark = pytest.mark.postgres
__all__ = ["case_book", "certified", "ended", "gatekeeper", "house", "new_company"]  # fixtures
LI = "acct_000000000002"
LATE = ("book.tombstone-00002", "book.tombstone_key-00002")


@pytest.fixture
def buried_late(certified: Ended) -> Ended:
    """After the certificate a person's case is carried out; her tombstone and its key are packed and sent."""
    deeds = (verbs.rehearse, verbs.restrict, verbs.settle_and_plan, verbs.dispose)
    begun_unasked(certified.desk, [LI], deeds, as_of=T0, actor="system/test")
    room = Room(
        certified.house.company.catalogue, certified.house, certified.desk.book, Attesting(certified.home / "ours", "ours"),
        certified.home / "out", record=certified.desk.record, keys=certified.house.keys,
    )  # fmt: skip
    made = packing.later(room, certified.consignment)
    assert sorted(made.made) == sorted(LATE) and not made.left, made
    with pytest.raises(Refused, match="which the successor did not sign for"):
        hand(certified, "too soon")
    sent(certified.desk, certified.number)
    return certified


def late(ended: Ended) -> list[register.Bag]:
    found = [b for b in ended.bags() if b.name in LATE]
    assert len(found) == 2
    return found


def test_it_is_signed_for_and_the_ledger_goes_to_its_custodian(buried_late: Ended) -> None:
    for bag in late(buried_late):
        buried_late.sign_for(bag)
    said = checked(buried_late, hand(buried_late, "handed"))
    for name in LATE:
        assert f"a receipt for bag {name}, of people who were deleted after it: as it was packed" in said


def test_one_that_names_a_difference_waits_for_an_answer_as_any(buried_late: Ended) -> None:
    bag, other = late(buried_late)
    buried_late.sign_for(other)
    buried_late.sign_for(bag)
    differs(buried_late, bag)
    with pytest.raises(Refused, match=f"name differences: {bag.name}: 1 missing"):
        hand(buried_late, "handed")
    for who in TOLD.approvers:
        accept(buried_late, who)
    said = checked(buried_late, hand(buried_late, "handed"))
    assert f"a receipt for bag {bag.name}, of people who were deleted after it: answered for by D-9" in said


def test_the_verifier_does_not_take_another_root_for_it_nor_another_bag(
    buried_late: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said in the log as if it had been signed so: by nothing but the root of the statement can that be told."""
    bag, other = late(buried_late)
    buried_late.sign_for(other)
    of = bag.statement
    body = {
        "order": of.order, "bag": bag.name, "statement": attest.digest(bag.payload), "root": "0" * 64, "items": of.items,
        "receipt": "1" * 64, "missing": 0, "changed": 0, "extra": 0,
    }  # fmt: skip
    buried_late.desk.record("handover.receipt", None, body, "test.another_root")
    buried_late.desk.record("handover.receipt", None, body | {"bag": "u.visit-00099"}, "test.another_bag")
    buried_late.sign_for(bag)
    said: list[str] = []
    verified = ledger_bag.verify_ledger.verify_directory

    def kept(*of: object) -> object:
        report = verified(*of)  # type: ignore[arg-type]
        said.extend([*report.problems, report.said["after it"]])
        return report

    monkeypatch.setattr(ledger_bag.verify_ledger, "verify_directory", kept)
    with pytest.raises(NotProved, match="does not verify"):
        hand(buried_late, "handed")
    assert any("is a receipt for bag u.visit-00099, which the certificate does not name" in x for x in said)
    assert (
        f"bag {bag.name}, of people who were deleted after it: signed anew without, ledger entry" in said[-1]
    )
