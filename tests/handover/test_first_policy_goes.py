"""The whole first policy over a company with its buckets: what is located to go is what is packed, and what is signed for goes in
an order in which nobody's clock or owner is lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.cases.shutdown import located, orders
from include.cases.shutdown.consigning import consign
from include.handover import books, clearing
from include.handover.conservation import Kind, Place
from include.handover.packing import Room, pack
from include.handover.shards import Bounds
from tests.cases.retention.test_night_with_objects import CATALOGUE, TODAY, House, house
from tests.cases.shutdown.test_books import SHOWN, signed
from tests.cases.shutdown.test_consigning import fingerprint
from tests.cases.shutdown.test_orders import NEXT, TOLD
from tests.handover.both import Attesting

pytestmark = pytest.mark.slow
__all__ = ["house"]  # a fixture
ON: dict[str, Any] = {"as_of": TODAY, "actor": "ops/wu"}
# Collection was closed, as the book has it; closing by itself is tried elsewhere.
CLOSED = "UPDATE casebook.shutdown_order SET closed_on = %s, t0 = %s, closing_at = now(), decided_on = %s"
NOT_BUILT = {"objects.locked_evidence", "sign.evidence_key"}  # sealed with our key-encryption key


@pytest.fixture
def number(house: House) -> str:
    told = replace(
        TOLD, t0=TODAY + timedelta(days=100), successor=replace(NEXT, certificate=fingerprint(SHOWN))
    )
    found = orders.open_order(house.desk, told, as_of=TODAY, actor="legal/zhao")
    with psycopg.connect(house.server.conninfo(house.records), autocommit=True) as conn:
        conn.execute(CLOSED.encode(), [TODAY, TODAY, TODAY - timedelta(days=100)])
    assert located.locate(house.desk, found, **ON) == {}
    return found


def test_the_first_policy_goes_in_order(house: House, number: str, tmp_path: Path) -> None:
    theirs = Attesting(tmp_path / "theirs", "theirs")
    made = consign(house.desk, number, sender="Old CA", certificate=SHOWN, receipt_key=theirs.pem, **ON)
    room = Room(
        CATALOGUE, house, house.desk.book, Attesting(tmp_path / "ours", "ours"), tmp_path / "out",  # type: ignore[arg-type]
        bounds=Bounds(bytes=20_000, rows=200, keys=50),
    )  # fmt: skip
    assert set(pack(room, made).left) == NOT_BUILT
    signed(house.desk, made, theirs)
    found = books.balance(house.desk, number, **ON)
    assert all(r.kind is not Kind.WRONG for x in found.lines for r in x.reasons), (
        "as many are packed as were located to go"
    )
    going = clearing.run(house.desk, number, **ON)
    tables = {b.rsplit("-", 1)[0] for b in going.bags}
    assert tables == {
        "cert.crl_entry", "cert.issuance_log", "ra.id_card", "ra.image", "ra.operator_record", "ra.other_evidence",
        "sign.chain_anchor", "sign.signature",
    }  # fmt: skip
    # Objects lead through these, and clocks of what is still here hang on them.
    assert {b.rsplit("-", 1)[0] for b in going.left} == {
        "cert.certificate",
        "ra.application",
        "ra.match_result",
    }
    found = books.balance(house.desk, number, **ON)
    assert all(r.kind is not Kind.WRONG for x in found.lines for r in x.reasons)
    places = {b.dataset: b.place for b, _ in found.bags if b.items}
    assert {d for d, p in places.items() if p is Place.GONE} == tables
    assert {p for d, p in places.items() if d not in tables} == {Place.WHOLE}
    by = {x.dataset: x for x in found.lines}
    for dataset in tables:
        line = by[dataset]
        assert (
            line.transferred
            and line.located == line.transferred + line.deleted + line.retained + line.pending
        )
