"""A case of our copy that gave its bags up, and disposed of nothing, keeps no service from its certificate."""

from __future__ import annotations

import pytest

from include.handover import clearing, receipts
from include.ledger import attest, verify_service
from include.model.errors import BooksDoNotBalance
from include.model.handover import BagReceipt, Differences
from include.model.times import observed_now
from tests.cases.shutdown.ended import Ended
from tests.cases.shutdown.test_closing import T0
from tests.cases.shutdown.test_ending import case_book, ended, gatekeeper, house, new_company

pytestmark = pytest.mark.postgres
__all__ = ["case_book", "ended", "gatekeeper", "house", "new_company"]  # fixtures


def test_it_is_certified_for_what_it_did(ended: Ended) -> None:
    ended.hand_over()
    bag = next(b for b in ended.bags() if b.statement.dataset == "u.visit")

    def killed(point: str) -> None:
        if point == "bags.planned":
            raise RuntimeError(point)

    with pytest.raises(RuntimeError):
        clearing.run(ended.desk, ended.number, as_of=T0, actor="ops/wu", at=killed)
    of = bag.statement
    said = BagReceipt(
        order=of.order, bag=of.bag, statement=attest.digest(bag.payload), items=of.items, root=of.root,
        differences=Differences(missing=("c" * 64,)), custodian=of.successor, stored_at=observed_now(),
    )  # fmt: skip
    with ended.desk.book() as conn, pytest.raises(BooksDoNotBalance):
        conn.autocommit = True
        receipts.verify(
            conn, ended.consignment, bag.name, ended.theirs(said.canonical()), actor="ops/wu", record=ended.desk.record
        )  # fmt: skip
    ended.delete_source()
    ended.sign_for(bag)
    ended.delete_source()
    ended.tell_everybody()
    made = ended.certificate()
    assert {c["case"] for c in made.payload["cases"]} >= {"CASE-000001", "CASE-000002", "CASE-000003"}
    assert verify_service.verify_file(made.envelope.encode(), ended.pem).problems == []
