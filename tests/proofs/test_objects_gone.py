"""On S3: a version, a delete marker, an upload or a record that was left is found, by name."""

from __future__ import annotations

import gzip
import io
import random
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include import proofs
from include.model.flow import Evidence, Plan, Provision, Step
from include.model.words import CopyKind, Role, Rung, Verdict
from tests.proofs.test_gone import wrong
from tests.stores.s3.world import World, planned, provide, six_months

ME, OTHER = "acct_1", "acct_12"


class Prover:
    """Connections of a prover."""

    def __init__(self, world: World) -> None:
        self.world = world

    def s3(self, connection: str, role: Role) -> Any:
        assert role is Role.PROVER
        return self.world.server.client()

    def postgres(self, connection: str, role: Role) -> str:
        raise AssertionError(connection)

    def text(self, name: str) -> str:
        raise AssertionError(name)


Look = Callable[..., list[Evidence]]


def look(world: World, proof: Look, step: Step, *plan: Plan) -> Evidence:
    (evidence,) = proof(world.store().catalogue, Prover(world), step, *plan, work=f"quietus-work-{world.tag}")
    return evidence


def people(world: World) -> tuple[str, Provision]:
    """Photos of two people, of one with an old version, a marker and an open upload."""
    bucket = world.bucket("photos")
    photos = world.objects(bucket, "{account_id}/")
    for who in (ME, OTHER):
        world.s3.put_object(Bucket=bucket, Key=f"{who}/a.jpg", Body=b"first")
        world.s3.put_object(Bucket=bucket, Key=f"{who}/a.jpg", Body=b"second")
    world.s3.put_object(Bucket=bucket, Key=f"{ME}/b.jpg", Body=b"x")
    world.s3.delete_object(Bucket=bucket, Key=f"{ME}/b.jpg")
    world.s3.create_multipart_upload(Bucket=bucket, Key=f"{ME}/c.jpg")
    return bucket, provide(photos)


def disposed(world: World, step: Step, *provisions: Provision) -> Plan:
    plan = planned(world.store(), step, *provisions)
    assert look(world, proofs.baseline, step, plan).verdict is Verdict.PASSED
    world.store().dispose(step, plan)
    return plan


def test_every_version_marker_and_upload_is_gone(world: World) -> None:
    _, provision = people(world)
    step = world.step(ME)
    plan = disposed(world, step, provision)
    evidence = look(world, proofs.objects_gone, step, plan)
    assert wrong(evidence) == {}
    assert {(c.name, c.copy_kind, c.rung) for c in evidence.checks} >= {
        ("gone.kyc.photo", CopyKind.LIVE, Rung.R2),
        ("head.kyc.photo", CopyKind.LIVE, Rung.R1),
        ("bytes.kyc.photo", CopyKind.OBJECT_VERSION, Rung.R4),
    }


@pytest.mark.parametrize("residue", ["object", "marker", "upload"])
def test_what_is_left_is_found(world: World, residue: str) -> None:
    bucket, provision = people(world)
    step = world.step(ME)
    plan = disposed(world, step, provision)
    key = f"{ME}/{random.randbytes(6).hex()}"
    if residue == "upload":
        world.s3.create_multipart_upload(Bucket=bucket, Key=key)
    else:
        world.s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    if residue == "marker":
        world.s3.delete_object(Bucket=bucket, Key=key)
    evidence = look(world, proofs.objects_gone, step, plan)
    found = {(c.name, c.copy_kind) for c in evidence.checks if c.verdict is Verdict.FAILED}
    copy = CopyKind.LIVE if residue == "object" else CopyKind.OBJECT_VERSION
    assert {("anew.kyc.photo", copy), ("bytes.kyc.photo", copy)} <= found
    assert (("gone.kyc.photo", CopyKind.LIVE) in found) is (residue == "object")


@pytest.mark.parametrize("residue", ["marker", "upload"])
def test_what_comes_beside_the_current_objects_is_found_where_there_was_nothing(
    world: World, residue: str
) -> None:
    """The person had no old version, marker or upload, so that the plan has no line about any."""
    bucket = world.bucket("photos")
    photos = world.objects(bucket, "{account_id}/")
    world.s3.put_object(Bucket=bucket, Key=f"{ME}/a.jpg", Body=b"x")
    step = world.step(ME)
    plan = disposed(world, step, provide(photos))
    assert wrong(look(world, proofs.objects_gone, step, plan)) == {}
    if residue == "upload":
        world.s3.create_multipart_upload(Bucket=bucket, Key=f"{ME}/late")
    else:
        world.s3.put_object(Bucket=bucket, Key=f"{ME}/late", Body=b"x")
        world.s3.delete_object(Bucket=bucket, Key=f"{ME}/late")
    evidence = look(world, proofs.objects_gone, step, plan)
    assert [(c.name, c.copy_kind) for c in evidence.checks if c.verdict is Verdict.FAILED] == [
        ("anew.kyc.photo", CopyKind.OBJECT_VERSION)
    ]


def test_an_object_that_had_to_stay_is_missed(world: World) -> None:
    bucket = world.bucket("photos")
    photos = world.objects(bucket, "{account_id}/")
    world.s3.put_object(Bucket=bucket, Key=f"{ME}/a.jpg", Body=b"x")
    step = world.step(ME)
    plan = disposed(world, step, provide(photos, six_months(None)))
    assert wrong(look(world, proofs.objects_gone, step, plan)) == {}
    ((key, version, _),) = world.versions(bucket)
    world.s3.delete_object(Bucket=bucket, Key=key, VersionId=version)
    assert wrong(look(world, proofs.objects_gone, step, plan)) == {"kept.kyc.photo": Verdict.FAILED}


def parquet(*rows: dict[str, str]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), sink, compression="zstd")
    return sink.getvalue()


@pytest.mark.parametrize("format", ["jsonl.gz", "parquet"])
def test_records_are_gone_from_every_version_and_stay_where_the_law_says(world: World, format: str) -> None:
    bucket = world.bucket("logs")
    log = world.records(bucket, format=format)
    old, new = "2026-01-05", "2026-11-01"

    def put(at: str) -> None:
        some = [{"account_id": w, "at": at} for w in (ME, OTHER)]
        if format == "parquet":
            world.s3.put_object(Bucket=bucket, Key=f"access/{at}", Body=parquet(*some))
        else:
            world.put_log(bucket, f"access/{at}", some)

    put(old)
    put(new)
    step = world.step(ME)
    plan = disposed(world, step, provide(log, six_months(log.binds[0].start)))
    evidence = look(world, proofs.objects_gone, step, plan)
    assert wrong(evidence) == {}
    gone = next(c for c in evidence.checks if c.name == "gone.log.access")
    assert (gone.expected, gone.observed, gone.rung) == (1, 1, Rung.R2)

    put(old)  # somebody brings the old file back
    found = wrong(look(world, proofs.objects_gone, step, plan))
    assert found["gone.log.access"] is Verdict.FAILED
    assert found["bytes.log.access"] is Verdict.FAILED


def test_a_file_that_cannot_be_read_is_no_zero(world: World) -> None:
    bucket = world.bucket("logs")
    log = world.records(bucket)
    world.put_log(bucket, "access/1", [{"account_id": ME, "at": "2026-01-05"}])
    step = world.step(ME)
    plan = disposed(world, step, provide(log))
    world.s3.put_object(Bucket=bucket, Key="access/2", Body=gzip.compress(b"{}")[:-6])
    evidence = look(world, proofs.objects_gone, step, plan)
    assert wrong(evidence) == {"gone.log.access": Verdict.UNVERIFIED}


def test_a_prover_that_is_turned_away_says_so(world: World) -> None:
    _, provision = people(world)
    step = world.step(ME)
    plan = disposed(world, step, provision)
    world.datasets = [d.model_copy(update={"address": "no-such-bucket-here"}) for d in world.datasets]
    evidence = look(world, proofs.objects_gone, step, plan)
    assert wrong(evidence) == {"gone.kyc.photo": Verdict.UNVERIFIED}


def test_a_restriction_marks_every_version_and_says_whether_it_is_enforced(world: World) -> None:
    world.roles = ("portal",)
    bucket, provision = people(world)
    step = world.step(ME)
    planned(world.store(), step, provision)
    evidence = look(world, proofs.restricted, step)
    marked = next(c for c in evidence.checks if c.name == "marked.kyc.photo")
    assert (marked.verdict, marked.observed) == (Verdict.PASSED, 3)
    if world.server.name == "moto":
        assert wrong(evidence) == {
            "enforced.vault": Verdict.UNVERIFIED,
            "enforced.kyc.photo": Verdict.UNVERIFIED,
        }
    else:
        # Nobody gave us the portal's key: what the policy's text says was not tried, so it is not passed.
        assert "denied.kyc.photo" not in wrong(evidence)
        assert wrong(evidence)["enforced.kyc.photo"] is Verdict.UNVERIFIED
        world.s3.delete_bucket_policy(Bucket=bucket)
        assert wrong(look(world, proofs.restricted, step))["denied.kyc.photo"] is Verdict.FAILED
    world.s3.put_object_tagging(
        Bucket=bucket, Key=f"{ME}/a.jpg", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]}
    )
    assert wrong(look(world, proofs.restricted, step))["marked.kyc.photo"] is Verdict.FAILED
