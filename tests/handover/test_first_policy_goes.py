"""The whole first policy over a company with its buckets: what is located to go is what is packed, what is signed for goes in an
order in which nobody's clock or owner is lost, and what goes to nobody goes but for what that needs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.cases.shutdown import (
    approving,
    breaker,
    disposing,
    located,
    needles,
    orders,
    permitting,
    waiting,
)
from include.cases.shutdown.consigning import consign
from include.cases.shutdown.questions import GOES
from include.cases.shutdown.residual import residual
from include.handover import books, clearing
from include.handover.books import Books
from include.handover.conservation import Kind, Place
from include.handover.packing import pack
from include.handover.room import Room
from include.handover.shards import Bounds
from include.model import sealed
from include.model.keks import CONNECTION, Keks
from include.sandbox.buckets import LOCKED
from tests.cases.retention.test_night_with_objects import CATALOGUE, TODAY, House, house
from tests.cases.shutdown.test_books import SHOWN, signed
from tests.cases.shutdown.test_closing import PAPER
from tests.cases.shutdown.test_consigning import fingerprint
from tests.cases.shutdown.test_orders import NEXT, TOLD
from tests.handover.both import Attesting

pytestmark = pytest.mark.slow
__all__ = ["house"]  # a fixture
ON: dict[str, Any] = {"as_of": TODAY, "actor": "ops/wu"}
# Collection was closed, as the book has it; closing by itself is tried elsewhere.
CLOSED = "UPDATE casebook.shutdown_order SET closed_on = %s, t0 = %s, closing_at = now(), decided_on = %s"
PHOTOS = "ca-id-photos"
# As a night leaves a certificate that ended long ago: it goes to the successor as it is.
CUT = """
CREATE TEMP TABLE old AS SELECT serial FROM cert.certificate AS c WHERE renews_serial IS NULL
   AND NOT EXISTS (SELECT FROM cert.certificate AS d WHERE d.renews_serial = c.serial)
   AND NOT EXISTS (SELECT FROM sign.signature AS s WHERE s.serial = c.serial) ORDER BY serial LIMIT 1;
UPDATE cert.certificate SET subject_dn = NULL, der = NULL, account_id = NULL, application_id = NULL WHERE serial IN (TABLE old);
UPDATE cert.issuance_log SET subject_dn = NULL WHERE serial IN (TABLE old);
UPDATE cert.crl_entry SET reason = 'unspecified' WHERE serial IN (TABLE old)"""
# A contract on the chain that was signed twice, once with a certificate that ended long ago: that signature stays behind when the
# other goes with its bag, and then the anchor's clock would show its day.
TWICE = """
CREATE TEMP TABLE one AS SELECT * FROM sign.signature WHERE contract_id IN (SELECT contract_id FROM sign.chain_anchor)
   ORDER BY signature_id LIMIT 1;
INSERT INTO cert.certificate (serial, account_id, der_sha256, status, not_before, not_after)
SELECT 'ended-long-ago', account_id, repeat('0', 64), 'expired', '2008-01-01', '2010-01-01' FROM one;
INSERT INTO sign.signature SELECT (SELECT max(signature_id) + 1 FROM sign.signature), contract_id, account_id, 'ended-long-ago',
       digest, signature_value, '2009-01-01' FROM one"""
REGISTER = "SELECT count(*) FROM cert.certificate WHERE account_id IS NULL"


@pytest.fixture
def number(house: House) -> str:
    told = replace(
        TOLD, t0=TODAY + timedelta(days=100), successor=replace(NEXT, certificate=fingerprint(SHOWN))
    )
    found = orders.open_order(house.desk, told, as_of=TODAY, actor="legal/zhao")
    approving.approve(house.desk, found, as_of=TODAY, actor="board/qian")
    with psycopg.connect(house.server.conninfo(house.records), autocommit=True) as conn:
        conn.execute(CLOSED.encode(), [TODAY, TODAY, TODAY - timedelta(days=100)])
    with psycopg.connect(house.server.conninfo(house.company), autocommit=True) as conn:
        conn.execute(CUT.encode())
        conn.execute(TWICE.encode())
        assert conn.execute(REGISTER.encode()).fetchone() == (1,)
    assert located.locate(house.desk, found, **ON) == {}
    needles.gather(house.desk, found, **ON)
    return found


@pytest.fixture(autouse=True)
def keks(house: House, monkeypatch: pytest.MonkeyPatch) -> Keks:
    """The company's key-encryption key: all keys of signatures are wrapped with it."""
    made = Keks.made()
    real = House.text
    monkeypatch.setattr(House, "text", lambda it, name: made.text() if name == CONNECTION else real(it, name))
    with psycopg.connect(house.server.conninfo(house.company), autocommit=True) as conn:
        for (key_id,) in conn.execute("SELECT key_id FROM sign.evidence_key").fetchall():
            conn.execute(
                "UPDATE sign.evidence_key SET kek = %s, wrapped = %s WHERE key_id = %s",
                [made.newest, made.wrap(key_id, sealed.new_key()), key_id],
            )
    return made


def test_the_first_policy_goes_in_order(house: House, number: str, tmp_path: Path) -> None:
    theirs = Attesting(tmp_path / "theirs", "theirs")
    made = consign(
        house.desk, number, sender="Old CA", certificate=SHOWN, receipt_key=theirs.pem, document="BR-8", **ON
    )
    permitting.permit(house.desk, number, paper=PAPER, **ON)
    room = Room(
        CATALOGUE, house, house.desk.book, Attesting(tmp_path / "ours", "ours"), tmp_path / "out",  # type: ignore[arg-type]
        bounds=Bounds(bytes=20_000, rows=200, keys=50),
    )  # fmt: skip
    assert pack(room, made).left == {}
    signed(house.desk, made, theirs)
    found = books.balance(house.desk, number, **ON)
    assert all(r.kind is not Kind.WRONG for x in found.lines for r in x.reasons), (
        "as many are packed as were located to go"
    )
    before = house.things()
    going = clearing.run(house.desk, number, **ON)
    # Keys wait for what they open, which a lock keeps here; clocks and objects that are nobody's hang on the others.
    assert {b.rsplit("-", 1)[0] for b in going.left} >= {
        "cert.certificate",
        "ra.application",
        "ra.match_result",
    }
    gone = before.keys() - house.things().keys()
    assert gone and {bucket for bucket, _, _ in gone} <= {PHOTOS, LOCKED}, "and what is nobody's is as it was"
    assert {k: x for k, x in before.items() if k not in gone} == house.things()
    _balanced(books.balance(house.desk, number, **ON), {b.rsplit("-", 1)[0] for b in going.left})
    _the_rest_goes(house, number)
    # Once what is nobody's has gone, nothing of a bag is left but what a lock keeps: certificates go last.
    last = clearing.run(house.desk, number, **ON)
    _balanced(books.balance(house.desk, number, **ON), {b.rsplit("-", 1)[0] for b in last.left})
    with psycopg.connect(house.server.conninfo(house.company)) as conn:
        (register,) = conn.execute(REGISTER.encode()).fetchone() or (None,)
    # What a lock keeps keeps its keys, and they the certificates by which their clocks start, which need
    # their applications: these go last, after the lock.
    left = {b.rsplit("-", 1)[0] for b in last.left}
    assert left <= {"objects.locked_evidence", "sign.evidence_key", "cert.certificate", "ra.application"}
    assert register == ("cert.certificate" in left)


def _the_rest_goes(house: House, number: str) -> None:
    """Rows, objects with all their versions, records in log files: but for what waits and what the law keeps."""
    with house.desk.book() as conn:
        of = orders.order(conn, number)
    for who in of.approvers:
        breaker.approve(house.desk, number, as_of=TODAY, actor=who)
    before, unasked = located.counted(house.desk, of)
    assert not unasked
    done = disposing.run(house.desk, number, **ON)
    here, unasked = located.counted(house.desk, of)
    assert not unasked
    left = {d for d, n in here.items() if any(n[x] for x in GOES)}
    # Of these something goes to the successor yet, or clocks of that start by their rows; and accounts are needed by both.
    assert left <= {
        "account.account", "cert.certificate", "objects.id_photos", "objects.locked_evidence", "ra.application",
        "ra.match_result", "sign.contract", "sign.contract_party", "sign.evidence_key", "sign.signature",
    }, left  # fmt: skip
    assert left - {"sign.contract"} <= done.left.keys()
    for dataset, n in here.items():
        assert all(n[x] == before[dataset][x] for x in waiting.STAYING), (
            f"{dataset}: something that stays was lost"
        )
        if dataset not in left:
            assert done.gone.get(dataset, 0) >= sum(before[dataset][x] for x in GOES)
    faces = {b for b, _, _ in house.things()} & {
        CATALOGUE.dataset(d).address
        for d in ("objects.face_video", "objects.fingerprints", "objects.call_recordings")
    }
    assert not faces, "no version, marker or unfinished upload of raw biometrics and recordings is left"
    rest = residual(house.desk, number)
    assert {k.dataset for k in rest.kept} >= {
        "billing.invoice",
        "account.consent",
        "partner.transfer",
        "objects.web_log",
    }
    assert rest.custodian == of.custodian
    assert set(rest.going) == left
    found = books.balance(house.desk, number, **ON)
    assert all(r.kind is not Kind.WRONG for x in found.lines for r in x.reasons)


def _balanced(found: Books, waiting: set[str]) -> None:
    """Every bag is gone here but those of these tables, which are here whole; and each line adds up."""
    places = {b.bag: (b.dataset, b.place) for b, _ in found.bags if b.items and b.place is not Place.KEPT}
    assert {p for d, p in places.values() if d not in waiting} == {Place.GONE}
    assert {p for d, p in places.values() if d in waiting} <= {Place.WHOLE}
    by, signed_for = {x.dataset: x for x in found.lines}, Counter[str]()
    for bag, _ in found.bags:
        signed_for[bag.dataset] += bag.items if bag.place is Place.GONE else 0
    assert signed_for["objects.id_photos"]
    for dataset, items in signed_for.items():
        assert by[dataset].transferred == items
