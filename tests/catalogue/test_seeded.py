"""The first policy's map held against a sandbox with people in it; and against buckets in which something is astray."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import EndpointConnectionError

from include.catalogue import buckets, records
from include.catalogue import database as tables
from include.catalogue.loader import ITRUS, load
from include.catalogue.problems import Compared
from include.model.errors import NotReachable
from include.model.estate import Column
from include.sandbox import seed as seeding

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from tests.conftest import PgServer, S3Server

POLICY = load()
LI = "acct_000000000001"


@pytest.fixture(scope="module")
def seeded(pg18: PgServer, empty_moto: S3Server) -> tuple[str, S3Client]:
    """The prover's way into a company of a hundred people, and its buckets."""
    name, s3 = pg18.fresh_database(), empty_moto.client()
    seeding.apply_schema(pg18.conninfo(name))
    seeding.make_buckets(s3)
    seeding.seed(pg18.conninfo(name), s3, people=100, seed=3, today=date(2026, 11, 24))
    return pg18.conninfo(name, "prover"), s3


@pytest.fixture
def s3(seeded: tuple[str, S3Client]) -> S3Client:
    return seeded[1]


def compared(s3: S3Client) -> Compared:
    return buckets.differences(ITRUS, POLICY, "objects", s3)


def said(found: Compared) -> list[str]:
    return [f"{p.file}: {p.key}: {p.what}" for p in found.problems]


@contextmanager
def put(s3: S3Client, bucket: str, key: str, body: bytes = b"x") -> Iterator[None]:
    """An object that is there for a while, without a trace afterwards."""
    version = s3.put_object(Bucket=bucket, Key=key, Body=body)["VersionId"]
    try:
        yield
    finally:
        s3.delete_object(Bucket=bucket, Key=key, VersionId=version)


def jsonl(**fields: Any) -> bytes:
    return gzip.compress(json.dumps(fields).encode() + b"\n")


def test_the_map_is_that_of_the_database_with_people(seeded: tuple[str, S3Client]) -> None:
    assert said(tables.differences(ITRUS, POLICY, "company", seeded[0])) == []


def test_the_map_is_that_of_the_buckets_with_people_and_says_what_was_sampled(s3: S3Client) -> None:
    found = compared(s3)
    assert said(found) == []
    assert any("files of objects.web_log 5 were read" in what for what in found.unverified)


def test_a_key_that_only_begins_like_a_mapped_one_is_counted_and_not_told(s3: S3Client) -> None:
    with put(s3, "ca-id-photos", "export-2026.csv"), put(s3, "ca-id-photos", f"{LI}/x.jpg"):
        (problem,) = said(compared(s3))
    assert problem.startswith("datasets/objects.yaml: objects.id_photos.prefix: 2 of ")
    assert "keys in ca-id-photos lie under no mapped path" in problem
    assert "export" not in problem


def test_a_folder_where_an_account_id_should_be_is_named(s3: S3Client) -> None:
    with put(s3, "ca-face-video", "exports/all.zip"):
        assert said(compared(s3)) == [
            "datasets/objects.yaml: objects.face_video.prefix: of 1 keys the part that should be an account id is none"
        ]


def test_what_lies_astray_is_seen_on_any_page_and_under_a_delete_marker(
    s3: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "MOST_VERSIONS", 3000)
    for n in range(1005):
        s3.put_object(Bucket="ca-access-logs", Key=f"a/{n:04}", Body=b"")
    version = s3.put_object(Bucket="ca-access-logs", Key="zz", Body=b"")["VersionId"]
    marker = s3.delete_object(Bucket="ca-access-logs", Key="zz")["VersionId"]
    try:
        (problem,) = said(compared(s3))
        assert "1006 of " in problem
        monkeypatch.setattr(buckets, "MOST_VERSIONS", 1000)
        found = compared(s3)
        assert "1000 of 1000 keys in ca-access-logs lie under no mapped path" in said(found)[0]
        assert any("of ca-access-logs only the first 1000 keys were compared" in x for x in found.unverified)
    finally:
        while left := s3.list_object_versions(Bucket="ca-access-logs", Prefix="a/").get("Versions"):
            keys = [{"Key": v["Key"], "VersionId": v["VersionId"]} for v in left]
            s3.delete_objects(Bucket="ca-access-logs", Delete={"Objects": keys})  # type: ignore[typeddict-item]
        for id_ in (version, marker):
            s3.delete_object(Bucket="ca-access-logs", Key="zz", VersionId=id_)


def test_a_bucket_that_nobody_mapped_and_one_that_is_gone_are_named(s3: S3Client) -> None:
    s3.create_bucket(Bucket="ca-exports")
    s3.create_bucket(Bucket="quietus-work-of-a-step")
    other = POLICY.dataset("objects.call_recordings").model_copy(update={"address": "ca-gone"})
    moved = tuple(other if d.id == other.id else d for d in POLICY.datasets)
    try:
        found = buckets.differences(ITRUS, POLICY.model_copy(update={"datasets": moved}), "objects", s3)
        assert {p.what for p in found.problems} == {
            "there is no bucket ca-gone",
            "ca-call-recordings is a bucket that nobody mapped",
            "ca-exports is a bucket that nobody mapped",
        }
    finally:
        s3.delete_bucket(Bucket="ca-exports")
        s3.delete_bucket(Bucket="quietus-work-of-a-step")


def test_a_bucket_to_which_another_is_copied_must_be_declared(s3: S3Client) -> None:
    mapped = next(d.address for d in POLICY.datasets if d.store == "objects")
    rule = {"Status": "Enabled", "Priority": 1, "Filter": {}, "DeleteMarkerReplication": {"Status": "Disabled"},
            "Destination": {"Bucket": "arn:aws:s3:::second-site"}}  # fmt: skip
    s3.create_bucket(Bucket="second-site")
    s3.put_bucket_versioning(Bucket="second-site", VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_replication(
        Bucket=mapped,
        ReplicationConfiguration={"Role": "arn:aws:iam::1:role/copies", "Rules": [rule]},  # type: ignore[list-item]
    )
    declared = POLICY.backups[0].model_copy(
        update={"tool": "object_versions", "location": "second-site", "replica": True}
    )
    try:
        known = POLICY.model_copy(update={"backups": (declared,)})
        assert said(buckets.differences(ITRUS, known, "objects", s3)) == []
        found = said(buckets.differences(ITRUS, POLICY, "objects", s3))
        assert any(f"what is written to {mapped} is copied to second-site" in line for line in found)
    finally:
        s3.delete_bucket_replication(Bucket=mapped)
        s3.delete_bucket(Bucket="second-site")


def test_a_field_of_records_that_nobody_mapped_is_named(s3: S3Client) -> None:
    body = jsonl(account_id=LI, occurred_at="2026-11-01T00:00:00", page="/", ip="10.0.0.1", agent="x", request_id="x",
                 status=200, device={"imei": 1})  # fmt: skip
    with put(s3, "ca-access-logs", "web/2026/11/25.jsonl.gz", body):
        assert said(compared(s3)) == [
            "datasets/objects.yaml: objects.web_log.columns: the records have a field 'device' that is not mapped"
        ]


def test_a_field_said_to_be_impersonal_that_holds_numbers_of_people_is_named(s3: S3Client) -> None:
    body = jsonl(account_id=LI, request_id="login of 13800138000")
    with put(s3, "ca-access-logs", "web/2026/11/25.jsonl.gz", body):
        (problem,) = said(compared(s3))
    assert "objects.web_log.columns.request_id: 1 of" in problem
    assert "values look like a mobile number" in problem
    assert "13800138000" not in problem


def test_a_mapped_field_that_no_file_has_is_named(s3: S3Client) -> None:
    log = POLICY.dataset("objects.web_log")
    log = log.model_copy(update={"columns": {**log.columns, "session": Column()}})
    policy = POLICY.model_copy(
        update={"datasets": tuple(log if d.id == log.id else d for d in POLICY.datasets)}
    )
    assert said(buckets.differences(ITRUS, policy, "objects", s3)) == [
        "datasets/objects.yaml: objects.web_log.columns.session: none of 5 files has such a field"
    ]


def test_of_a_large_parquet_file_the_fields_are_read_from_its_end(
    s3: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "WHOLE", 1000)
    assert said(compared(s3)) == []
    sink = io.BytesIO()
    pq.write_table(
        pa.table({"account_id": [LI] * 3_000_000, "imsi": [str(n) for n in range(3_000_000)]}), sink
    )
    assert len(sink.getvalue()) > 2 << 20
    with put(s3, "ca-access-logs", "app/2026-12.parquet", sink.getvalue()):
        assert any("a field 'imsi' that is not mapped" in what for what in said(compared(s3)))


@pytest.mark.parametrize("key", ["web/2026/11/25.jsonl.gz", "app/2026-12.parquet"])
def test_a_file_of_another_format_is_named(s3: S3Client, key: str) -> None:
    with put(s3, "ca-access-logs", key, b"account_id;page\n"):
        (problem,) = said(compared(s3))
    assert "1 of 5 files are not " in problem


def test_a_server_that_is_down_is_not_reachable(s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise EndpointConnectionError(endpoint_url="http://nowhere")

    monkeypatch.setattr(s3, "list_buckets", refuse)
    with pytest.raises(NotReachable):
        compared(s3)
