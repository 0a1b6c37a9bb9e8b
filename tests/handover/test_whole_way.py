"""Rows and objects go to a successor on another PostgreSQL and another S3 server, and both sides compute the same root."""

from __future__ import annotations

import json
import subprocess
from datetime import date
from pathlib import Path

import psycopg
from cryptography.hazmat.primitives import serialization

from include.cases.retention.held import HeldPeople
from include.cases.retention.limits import binds
from include.cases.scopes import HoldBasis, HoldOrder, Scope
from include.handover import bag as bags
from include.model.interval import Standing
from include.model.words import Role
from include.stores.s3.server import Patience, delete_versions
from tests.handover.both import ORDER, PHOTOS, TABLES, Both, Side
from tests.stores.postgres.dated import AS_OF, CATALOGUE, Oracle


def _rows(both: Both, side: Side, table: str, keys: set[str]) -> dict[str, str]:
    """Whole rows by key, as the server writes them, whatever wrote them before."""
    key = CATALOGUE.dataset(table).key[0]
    found = both.sql(side, f"SET timezone = 'UTC'; SELECT {key}::text, to_jsonb(t)::text FROM {table} AS t")
    return {str(k): row for k, row in found if str(k) in keys}


def _going(both: Both) -> dict[str, set[str]]:
    """What is to go, by the rules applied to one row at a time."""
    with psycopg.connect(both.ours.server.conninfo(both.ours.database)) as conn:
        oracle = Oracle(conn)
    going: dict[str, set[str]] = {}
    for of in TABLES:
        d = CATALOGUE.dataset(of.dataset)
        going[d.id] = set()
        for row in oracle.rows[d.id]:
            reached = any(
                (b.bound.rule, b.period.name) == (of.rule, of.period) and oracle.start(d, row, b.bound)[0]
                for b in binds(CATALOGUE, d)
            )
            if reached and oracle.standing(d, row)[1] is not Standing.DUE and not oracle.bare(d, row):
                going[d.id].add(str(row[d.key[0]]))
    return going


def test_what_the_law_binds_and_nothing_else_goes_and_is_signed_for(both: Both) -> None:
    going = _going(both)
    before = {t: _rows(both, both.ours, t, keys) for t, keys in going.items()}
    out = both.pack()
    assert not out.left, out.left
    assert sorted(both.send()) == sorted(out.made)
    got = both.receive()
    assert not got.refused, got.refused
    for table, keys in going.items():
        there = both.sql(both.theirs, f"SELECT {CATALOGUE.dataset(table).key[0]}::text FROM {table}")
        assert {str(k) for (k,) in there} == keys, table
        assert _rows(both, both.theirs, table, keys) == before[table], table
    assert min(map(len, going.values())) > 4 and len(both.bags("cert.certificate")) > 2, "several shards each"
    assert {b.name: b.statement.root for b in both.bags()} == {r.bag: r.root for r in got.receipts}
    for name in out.made[:-1]:
        both.verify(name)
    assert not both.reconciled(), "one bag has no receipt yet"
    both.verify(out.made[-1])
    assert both.reconciled()
    assert both.pack().made == [] and both.send() == [], "done once is done"
    home = both.home / "out" / ORDER
    assert not [*(home / "unfinished").glob("*"), *home.glob("*.part")], "nothing open stays on the disk"


def test_retention_goes_on_where_it_was(both: Both) -> None:
    both.datasets = (TABLES[0],)
    both.pack()
    both.send()
    both.receive()
    with psycopg.connect(both.ours.server.conninfo(both.ours.database)) as conn:
        oracle = Oracle(conn)
    d = CATALOGUE.dataset("cert.certificate")
    found = dict(
        both.sql(
            both.theirs, "SELECT key[1], due FROM quietus_handover.running WHERE dataset = 'cert.certificate'"
        )
    )
    ended = 0
    for row in oracle.rows[d.id]:
        if row["serial"] not in found:
            continue
        _, start = oracle.start(d, row, d.binds[0])
        if start is None:
            assert found[row["serial"]] is None, (
                "its clock has not started, and does not start by being handed over"
            )
        else:
            ended += 1
            assert date.fromisoformat(str(found[row["serial"]])) > AS_OF
            assert (found[row["serial"]].year, found[row["serial"]].month) in {
                (start.year + 5, start.month), (start.year + 5, start.month % 12 + 1), (start.year + 6, 1)
            }  # fmt: skip
    assert ended > 10


def test_what_a_hold_names_goes_with_its_number_even_past_its_date(both: Both) -> None:
    both.datasets = (TABLES[0],)
    (someone,) = both.sql(
        both.ours,
        "SELECT account_id FROM cert.certificate WHERE not_after < '2021-11-24' AND revoked_at IS NULL AND account_id IS NOT NULL"
        " ORDER BY 1 LIMIT 1",
    )[0]
    order = HoldOrder(
        "HOLD-000001",
        HoldBasis.COURT,
        "CPL 67",
        Scope(datasets=frozenset({"cert.certificate"}), subjects=frozenset({"x"})),
    )
    both.held = HeldPeople((order,), {"HOLD-000001": frozenset({someone})})
    both.pack()
    both.send()
    both.receive()
    held = both.sql(both.theirs, "SELECT key[1] FROM quietus_handover.running WHERE holds = 'HOLD-000001'")
    theirs = both.sql(both.theirs, f"SELECT serial FROM cert.certificate WHERE account_id = '{someone}'")
    assert sorted(held) == sorted(theirs) != []
    ours = both.sql(both.ours, f"SELECT serial FROM cert.certificate WHERE account_id = '{someone}'")
    assert sorted(theirs) == sorted(ours), "nothing of a held person stays behind as due"


def test_a_stranger_opens_a_bag_with_openssl_and_bagit(both: Both, tmp_path: Path) -> None:
    both.datasets = (TABLES[1],)
    name = both.pack().made[0]
    key, certificate, out = tmp_path / "key", tmp_path / "certificate", tmp_path / "bag.tar"
    key.write_bytes(
        both.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    certificate.write_text(both.consignment.successor.certificate)
    sealed = both.home / "out" / ORDER / f"{name}.cms"
    subprocess.run(
        ["openssl", "cms", "-decrypt", "-inform", "DER", "-binary", "-in", sealed, "-recip", certificate, "-inkey", key,
         "-out", out],
        check=True, timeout=60,
    )  # fmt: skip
    subprocess.run(["tar", "-xf", out, "-C", tmp_path], check=True, timeout=60)
    bags.validate(tmp_path / name)
    said = json.loads((tmp_path / name / "data/bag.json").read_bytes())
    assert len((tmp_path / name / "data/rows.copy").read_bytes().splitlines()) == said["items"] > 4
    assert b"CN=" not in sealed.read_bytes()


def test_objects_go_with_every_version_and_come_back_the_same(both: Both) -> None:
    ours, theirs = both.ours.s3("objects", Role.ERASER), both.theirs.s3("objects", Role.CUSTODIAN)
    bucket = CATALOGUE.dataset(PHOTOS.dataset).address
    for client in (ours, theirs):
        _emptied(client, bucket)
    found = both.sql(
        both.ours,
        "SELECT a.account_id || '/' || a.application_id FROM ra.application AS a JOIN cert.certificate AS c"
        " USING (application_id) WHERE c.not_after > '2023-01-01' ORDER BY 1 LIMIT 12",
    )
    for n, (path,) in enumerate(found):
        ours.put_object(Bucket=bucket, Key=f"{path}/front.jpg", Body=b"front %d" % n, ContentType="image/jpeg",
                        Metadata={"side": "front"}, Tagging="kind=photo")  # fmt: skip
        ours.put_object(Bucket=bucket, Key=f"{path}/back.jpg", Body=b"x" * 900)
    (first,), (second,) = found[:2]
    ours.put_object(Bucket=bucket, Key=f"{first}/front.jpg", Body=b"a newer one")
    ours.delete_object(Bucket=bucket, Key=f"{second}/back.jpg")
    both.datasets = (PHOTOS,)
    out = both.pack()
    assert not out.left and len(both.bags(PHOTOS.dataset)) > 2
    assert sum(b.statement.items for b in both.bags(PHOTOS.dataset)) == 26
    both.send()
    # Killed between an object and its note: it is not put twice.
    both.killed_at("handover.object_put", lambda b: b.receive(), 3)
    got = both.receive()
    assert not got.refused, got.refused
    for name in out.made:
        both.verify(name)
    assert both.reconciled()
    versions = theirs.list_object_versions(Bucket=bucket)
    assert (len(versions["Versions"]), len(versions["DeleteMarkers"])) == (25, 1)
    there = theirs.get_object(Bucket=bucket, Key=f"{first}/front.jpg")
    assert there["Body"].read() == b"a newer one"
    old = theirs.get_object(Bucket=bucket, Key=f"{found[3][0]}/front.jpg")
    assert (old["ContentType"], old["Metadata"]) == ("image/jpeg", {"side": "front"})
    # What differs in the bucket is named: one changed content, one gone, one too many.
    key = f"{found[4][0]}/front.jpg"
    theirs.delete_object(
        Bucket=bucket, Key=key, VersionId=theirs.head_object(Bucket=bucket, Key=key)["VersionId"]
    )
    theirs.put_object(Bucket=bucket, Key=f"{found[5][0]}/more.jpg", Body=b"nobody sent it")
    differences = [r.differences for r in both.receive().receipts]
    assert (sum(len(d.missing) for d in differences), sum(len(d.extra) for d in differences)) == (1, 1)


def _emptied(client, bucket: str) -> None:
    if bucket not in {b["Name"] for b in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=bucket)
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    pages = client.get_paginator("list_object_versions").paginate(Bucket=bucket)
    there = [v for p in pages for v in (*p.get("Versions", []), *p.get("DeleteMarkers", []))]
    gone = delete_versions(client, bucket, [(v["Key"], v["VersionId"]) for v in there], Patience(), bucket)
    assert not gone.stayed
