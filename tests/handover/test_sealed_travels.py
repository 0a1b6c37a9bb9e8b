"""Sealed objects and their keys reach a successor: each key under its own wrapping, none in clear anywhere on the way."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from include.handover import bag as bags
from include.handover import fetching, storing
from include.handover import sealed as envelope
from include.handover.keyed import PAYLOAD, WRAPPED, Transit
from include.model import sealed
from include.model.errors import LedgerError, Refused
from include.model.handover import Consigned
from include.model.keks import Keks
from include.model.words import Role
from tests.handover.both import Both, Side, certificate
from tests.stores.postgres.dated import CATALOGUE

KEYS = Consigned(dataset="sign.evidence_key", rule="RS-10")
EVIDENCE = Consigned(dataset="objects.locked_evidence", rule="RS-10")
BUCKET = CATALOGUE.dataset(EVIDENCE.dataset).address
UNTIL = datetime.now(UTC).replace(microsecond=0) + timedelta(days=400)
BAG = "sign.evidence_key-00001"


@pytest.fixture
def keys(both: Both) -> Iterator[dict[UUID, bytes]]:
    """Every row of ours has a key of which the test has a copy, wrapped with our key-encryption key."""
    made: dict[UUID, bytes] = {}
    with psycopg.connect(both.ours.server.conninfo(both.ours.database), autocommit=True) as conn:
        for (number,) in conn.execute("SELECT key_id FROM sign.evidence_key").fetchall():
            made[number] = sealed.new_key()
            conn.execute(
                "UPDATE sign.evidence_key SET kek = %s, wrapped = %s WHERE key_id = %s",
                [both.ours.keks.newest, both.ours.keks.wrap(number, made[number]), number],
            )
    both.datasets = (KEYS,)
    yield made


def at_theirs(both: Both) -> dict[UUID, tuple[str, bytes]]:
    rows = both.sql(both.theirs, "SELECT key_id, kek, wrapped FROM sign.evidence_key")
    return {number: (kek, bytes(wrapped)) for number, kek, wrapped in rows}


def opened(both: Both) -> dict[UUID, bytes]:
    return {n: both.theirs.keks.unwrap(kek, n, w) for n, (kek, w) in at_theirs(both).items()}


def received(both: Both) -> tuple[int, int, int]:
    got = both.receive()
    assert not got.refused, got.refused
    (d,) = [r.differences for r in got.receipts if r.bag == BAG]
    return len(d.missing), len(d.changed), len(d.extra)


def put_evidence(both: Both, side: Side, keys: dict[UUID, bytes]) -> dict[str, bytes]:
    """A sealed object for each of five keys, under lock."""
    client = side.s3("objects", Role.ERASER)
    clear = {}
    rows = both.sql(
        side, "SELECT account_id || '/' || serial, key_id FROM sign.evidence_key ORDER BY key_id LIMIT 5"
    )
    for path, number in rows:
        key = f"{path}/{number}.p7s"
        clear[key] = f"what was signed, of {path}".encode()
        client.put_object(
            Bucket=BUCKET, Key=key, Body=b"".join(sealed.seal(keys[number], number, key, io.BytesIO(clear[key]))),
            ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=UNTIL,
        )  # fmt: skip
    return clear


def bucket(client: Any) -> Any:
    if BUCKET not in {b["Name"] for b in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    there = client.list_object_versions(Bucket=BUCKET)
    for v in [*there.get("Versions", []), *there.get("DeleteMarkers", [])]:
        client.delete_object(
            Bucket=BUCKET, Key=v["Key"], VersionId=v["VersionId"], BypassGovernanceRetention=True
        )
    return client


def test_the_successor_opens_what_was_sealed_with_keys_of_its_own_wrapping(
    both: Both, keys: dict[UUID, bytes]
) -> None:
    both.datasets = (KEYS, EVIDENCE)
    theirs = bucket(both.theirs.s3("objects", Role.CUSTODIAN))
    bucket(both.ours.s3("objects", Role.ERASER))
    clear = put_evidence(both, both.ours, keys)
    assert not both.pack().left
    both.send()
    assert received(both) == (0, 0, 0)
    for name in both.statements():
        both.verify(name)
    assert both.reconciled()
    mine, ours = (
        opened(both),
        dict(both.sql(both.ours, "SELECT key_id, wrapped FROM sign.evidence_key")),
    )
    assert len(mine) > 4 and all(mine[n] == keys[n] for n in mine), "the same keys"
    assert all(
        w != bytes(ours[n]) and kek == both.theirs.keks.newest for n, (kek, w) in at_theirs(both).items()
    )
    there = theirs.list_object_versions(Bucket=BUCKET)["Versions"]
    assert {v["Key"] for v in there} == set(clear)
    for version in there:
        said = theirs.get_object(Bucket=BUCKET, Key=version["Key"], VersionId=version["VersionId"])
        body = said["Body"].read()
        number = sealed.key_of(body)
        assert number is not None
        assert (
            b"".join(sealed.unseal(mine[number], version["Key"], io.BytesIO(body))) == clear[version["Key"]]
        )
        assert said["ObjectLockMode"] == "GOVERNANCE" and said["ObjectLockRetainUntilDate"] == UNTIL


def test_no_key_is_in_clear_on_either_disk_in_the_ledger_or_in_a_receipt(
    both: Both, keys: dict[UUID, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []

    def look(*_: object) -> None:
        seen.extend(p.read_bytes() for p in both.home.rglob("*") if p.is_file() and p.suffix != ".cms")

    real = bags.tar_size

    def lies_open(home: Path) -> int:
        look()
        return real(home)

    monkeypatch.setattr(bags, "tar_size", lies_open)
    both.at(look).pack()
    both.send()
    both.at(look).receive()
    assert any(BAG.encode() in data for data in seen) and any(len(d) % WRAPPED == 0 and d for d in seen)
    whole = b"".join(seen) + json.dumps(both.ledger, default=str).encode() + both.receipt(BAG)
    for key in keys.values():
        assert key not in whole and key.hex().encode() not in whole
    with psycopg.connect(both.theirs.server.conninfo(both.theirs.database)) as conn:
        text = str(conn.execute("SELECT * FROM quietus_handover.bag").fetchall())
    assert "transit" not in text


def test_a_key_that_was_tampered_with_is_not_stored(both: Both, keys: dict[UUID, bytes]) -> None:
    both.pack()
    both.send()
    with fetching.opened(both.inbox, "SO-000001", BAG) as arrived:
        file = arrived.path / "data" / PAYLOAD
        whole = file.read_bytes()
        assert len(whole) == arrived.statement.items * WRAPPED
        for wrong in (
            whole[:-1] + bytes([whole[-1] ^ 1]), whole[WRAPPED:] + whole[:WRAPPED], whole[:-WRAPPED],
        ):  # fmt: skip
            file.write_bytes(wrong)
            with pytest.raises(LedgerError, match="does not open, or is another"):
                storing.store(both.custody, arrived)
        # Another key that opens is not the one that the row says either.
        assert arrived.transit is not None
        first = (arrived.path / "data/rows.copy").read_bytes().split(b"\t")[0].decode()
        file.write_bytes(arrived.transit.wrap(UUID(first), sealed.new_key()) + whole[WRAPPED:])
        with pytest.raises(LedgerError, match="does not open, or is another"):
            storing.store(both.custody, arrived)
        assert at_theirs(both) == {}
        file.write_bytes(whole)
        assert storing.store(both.custody, arrived)
    assert received(both) == (0, 0, 0)


def test_keys_for_another_successor_open_for_nobody_else(both: Both, keys: dict[UUID, bytes]) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for_other = Transit.drawn(certificate(other, "another"))
    with pytest.raises(LedgerError, match="wrapped for another certificate"):
        Transit.opened(for_other.sent, both.key, BAG)
    number, key = UUID(int=1), sealed.new_key()
    wrapped = for_other.wrap(number, key)
    assert Transit.opened(for_other.sent, other, BAG).unwrap(number, wrapped) == key
    both.pack()
    both.send()
    mine = certificate(other, "another")
    with (
        pytest.raises(Refused, match="another certificate"),
        fetching.opened(
            fetching.Inbox(**(vars(both.inbox) | {"certificate": mine, "key": other})), "SO-000001", BAG
        ),
    ):
        pass
    with (both.home / "out/SO-000001" / f"{BAG}.cms").open("rb") as file, pytest.raises(Refused):
        envelope.Opening(file, other, both.certificate)


def test_a_receipt_names_a_key_that_is_another_at_the_successor(both: Both, keys: dict[UUID, bytes]) -> None:
    both.pack()
    both.send()
    assert received(both) == (0, 0, 0)
    before = at_theirs(both)
    number = min(before)
    with psycopg.connect(both.theirs.server.conninfo(both.theirs.database), autocommit=True) as conn:

        def becomes(kek: str, wrapped: bytes) -> tuple[int, int, int]:
            conn.execute(
                "UPDATE sign.evidence_key SET kek = %s, wrapped = %s WHERE key_id = %s",
                [kek, wrapped, number],
            )
            return received(both)

        theirs = both.theirs.keks
        assert becomes(theirs.newest, theirs.wrap(number, sealed.new_key())) == (0, 1, 0), "another key"
        kek, wrapped = before[number]
        assert becomes(kek, wrapped[:-1] + bytes([wrapped[-1] ^ 1])) == (0, 1, 0), "damaged"
        assert becomes("nobody's", wrapped) == (0, 1, 0), "it opens no more"
        # Wrapped anew by the successor it is the same key.
        newer = Keks({"newer": sealed.new_key()} | dict(theirs.by_name))
        both.theirs.keks = newer
        assert becomes("newer", newer.wrap(number, keys[number])) == (0, 0, 0)
        conn.execute("DELETE FROM sign.evidence_key WHERE key_id = %s", [number])
    assert received(both) == (1, 0, 0)


def test_a_killed_import_goes_on_and_stores_each_key_once(both: Both, keys: dict[UUID, bytes]) -> None:
    both.killed_at("handover.sealed", lambda b: b.pack())
    both.pack()
    both.send()
    both.killed_at("handover.before_store_commit", lambda b: b.receive(), time=5)  # after four of the book
    assert at_theirs(both) == {}
    both.killed_at("handover.recounted", lambda b: b.receive(), time=5)
    assert received(both) == (0, 0, 0)
    mine = opened(both)
    assert len(mine) == both.statements()[BAG].items and all(mine[n] == keys[n] for n in mine)


def test_a_key_that_we_cannot_open_stops_its_dataset_and_is_named(
    both: Both, keys: dict[UUID, bytes]
) -> None:
    both.sql(both.ours, "UPDATE sign.evidence_key SET kek = 'lost'")
    out = both.pack()
    assert (
        list(out.left) == [KEYS.dataset]
        and "does not open with our key-encryption keys" in out.left[KEYS.dataset]
    )
    assert not both.bags(KEYS.dataset)


def test_what_is_sealed_does_not_go_without_what_opens_it(both: Both) -> None:
    both.datasets = (EVIDENCE,)
    out = both.pack()
    assert list(out.left) == [EVIDENCE.dataset] and KEYS.dataset in out.left[EVIDENCE.dataset]
