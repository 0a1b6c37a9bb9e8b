"""Planted controls of the S3 proofs: something random is planted, and the check of that name fails."""

from __future__ import annotations

import gzip
import json
import random
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from include import proofs
from include.model.estate import Link
from include.model.flow import Evidence, Plan, Step
from include.model.words import Ownership, Role, Verdict
from include.proofs.names import S3
from tests.conftest import PgServer
from tests.proofs.controls import control
from tests.proofs.planter import Planter
from tests.proofs.test_objects_gone import ME, OTHER, Prover, disposed, look, people
from tests.stores.postgres.making import PARTY, Company, Fixed, plan_of, step
from tests.stores.postgres.making import provide as provide_tables
from tests.stores.s3.world import Server, World, planned, provide, six_months


@pytest.fixture
def world(moto_here: Server) -> World:
    """What is planted is found by the prover, not by the server: one kind will do here."""
    return World(moto_here)


@pytest.fixture(scope="module")
def pg_server(pg18: PgServer) -> PgServer:
    return pg18


@pytest.fixture
def dice() -> random.Random:
    seed = random.SystemRandom().randrange(10**6)
    sys.stderr.write(f"planted with seed {seed}\n")  # shown where the test fails
    return random.Random(seed)


def failed(evidence: Evidence) -> set[str]:
    return {c.name for c in evidence.checks if c.verdict is Verdict.FAILED}


def name(dice: random.Random) -> str:
    return dice.randbytes(6).hex()


def records(world: World) -> tuple[str, Any]:
    """A shared file of two people, of which the person's old record is to go."""
    bucket = world.bucket("logs")
    log = world.records(bucket)
    rows = [{"account_id": w, "at": at, "n": n} for w in (ME, OTHER) for n, at in enumerate(OLD_AND_NEW)]
    world.put_log(bucket, "access/1", rows)
    world.put_log(bucket, "access/2", [{"account_id": OTHER, "at": OLD_AND_NEW[0]}])
    return bucket, provide(log, six_months(log.binds[0].start))


OLD_AND_NEW = ("2026-01-05", "2026-11-01")


# --- before the disposal, and restricted ----------------------------------------------------------


@control("baseline", "seen", S3)
def test_a_version_that_the_prover_does_not_see(world: World, dice: random.Random) -> None:
    bucket, provision = people(world)
    it = world.step(ME)
    plan = planned(world.store(), it, provision)
    key, version, _ = dice.choice([v for v in world.versions(bucket, f"{ME}/") if v[2] is not None])
    world.s3.delete_object(Bucket=bucket, Key=key, VersionId=version)
    assert failed(look(world, proofs.baseline, it, plan)) == {"seen.kyc.photo"}


@control("baseline", "cohort", S3)
def test_a_step_area_that_is_about_somebody_else(world: World, dice: random.Random) -> None:
    _, provision = people(world)
    it = world.step(ME)
    plan = planned(world.store(), it, provision)
    assert failed(look(world, proofs.baseline, it, plan)) == set()
    said = {"case": it.case_no, "subjects": dice.choice(([OTHER], [], [ME, OTHER]))}
    world.s3.put_object(
        Bucket=f"quietus-work-{world.tag}", Key=f"steps/{it.id}/cohort.json.gz",
        Body=gzip.compress(json.dumps(said).encode()),
    )  # fmt: skip
    assert failed(look(world, proofs.baseline, it, plan)) == {"cohort.vault"}


@control("restricted", "marked", S3)
def test_a_version_without_the_mark(world: World, dice: random.Random) -> None:
    bucket, provision = people(world)
    it = world.step(ME)
    planned(world.store(), it, provision)
    key, version, _ = dice.choice([v for v in world.versions(bucket, f"{ME}/") if v[2] is not None])
    world.s3.delete_object_tagging(Bucket=bucket, Key=key, VersionId=version)
    assert failed(look(world, proofs.restricted, it)) == {"marked.kyc.photo"}


@control("restricted", "denied", S3)
def test_a_bucket_without_the_policy(world: World, dice: random.Random) -> None:
    world.roles = tuple(name(dice) for _ in range(dice.randint(1, 3)))
    _, provision = people(world)
    it = world.step(ME)
    planned(world.store(), it, provision)
    # This server enforces nothing, and the store says so, and writes no policy: as if it said that it does.
    work, key = f"quietus-work-{world.tag}", f"receipts/{it.id}/restrict-000000.json"
    receipt = json.loads(world.s3.get_object(Bucket=work, Key=key)["Body"].read())
    receipt["position"]["enforcement"] = "enforced"
    world.s3.put_object(Bucket=work, Key=key, Body=json.dumps(receipt).encode())
    evidence = look(world, proofs.restricted, it)
    assert failed(evidence) == {"denied.kyc.photo"}
    (check,) = [c for c in evidence.checks if c.name == "denied.kyc.photo"]
    assert (check.expected, check.observed) == (0, len(world.roles))


# --- gone -----------------------------------------------------------------------------------------


@control("gone", "anew", S3)
@control("gone", "gone", S3)
@control("gone", "bytes", S3)
def test_an_object_that_was_put_there_since(world: World, dice: random.Random) -> None:
    bucket, provision = people(world)
    it = world.step(ME)
    plan = disposed(world, it, provision)
    world.s3.put_object(Bucket=bucket, Key=f"{ME}/{name(dice)}", Body=dice.randbytes(9))
    found = failed(look(world, proofs.objects_gone, it, plan))
    assert found == {"anew.kyc.photo", "gone.kyc.photo", "bytes.kyc.photo"}


@control("gone", "gone", S3)
@control("gone", "bytes", S3)
def test_records_that_came_back(world: World, dice: random.Random) -> None:
    bucket, provision = records(world)
    it = world.step(ME)
    plan = disposed(world, it, provision)
    world.put_log(bucket, f"access/{name(dice)}", [{"account_id": ME, "at": OLD_AND_NEW[0]}])
    assert failed(look(world, proofs.objects_gone, it, plan)) == {"gone.log.access", "bytes.log.access"}


@control("gone", "head", S3)
def test_a_key_that_still_answers(world: World, dice: random.Random) -> None:
    bucket, provision = people(world)
    it = world.step(ME)
    plan = disposed(world, it, provision)
    world.s3.put_object(Bucket=bucket, Key=dice.choice((f"{ME}/a.jpg", f"{ME}/b.jpg")), Body=b"again")
    assert "head.kyc.photo" in failed(look(world, proofs.objects_gone, it, plan))


@control("gone", "kept", S3)
def test_an_object_that_had_to_stay_is_missed(world: World, dice: random.Random) -> None:
    bucket = world.bucket("photos")
    photos = world.objects(bucket, "{account_id}/")
    for key in {f"{ME}/{name(dice)}" for _ in range(3)}:
        world.s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    it = world.step(ME)
    plan = disposed(world, it, provide(photos, six_months(None)))
    key, version, _ = dice.choice(world.versions(bucket))
    world.s3.delete_object(Bucket=bucket, Key=key, VersionId=version)
    assert failed(look(world, proofs.objects_gone, it, plan)) == {"kept.kyc.photo"}


@control("gone", "replicas", S3)
def test_a_replica_that_still_has_it(world: World, dice: random.Random) -> None:
    bucket, provision = people(world)
    twin = world.bucket(f"twin-{name(dice)}")
    rule = {"ID": "all", "Status": "Enabled", "Prefix": "", "Destination": {"Bucket": f"arn:aws:s3:::{twin}"}}
    world.s3.put_bucket_replication(
        Bucket=bucket,
        ReplicationConfiguration={"Role": "arn:aws:iam::123456789012:role/x", "Rules": [rule]},
    )
    it = world.step(ME)
    plan = disposed(world, it, provision)
    assert failed(look(world, proofs.objects_gone, it, plan)) == set()
    world.s3.put_object(Bucket=twin, Key=f"{ME}/{name(dice)}", Body=b"x")
    world.s3.put_object(Bucket=twin, Key=f"{OTHER}/{name(dice)}", Body=b"x")
    assert failed(look(world, proofs.objects_gone, it, plan)) == {"replicas.kyc.photo"}
    rule["Destination"] = {"Bucket": f"arn:aws:s3:::elsewhere-{name(dice)}"}
    world.s3.put_bucket_replication(
        Bucket=bucket,
        ReplicationConfiguration={"Role": "arn:aws:iam::123456789012:role/x", "Rules": [rule]},
    )
    evidence = look(world, proofs.objects_gone, it, plan)
    unverified = {(c.name, c.rung) for c in evidence.checks if c.verdict is Verdict.UNVERIFIED}
    assert unverified == {("replicas.kyc.photo", 4)}


# --- bystanders -----------------------------------------------------------------------------------


def pictures(world: World, it: Step, plan: Plan, like: Sequence[proofs.Picture] = ()) -> list[proofs.Picture]:
    """Of the world's own buckets: other tests write to the same server."""
    mine = sorted({d.address for d in world.datasets})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("include.proofs.objects.Looking.buckets", lambda _: (mine, ""))
        return proofs.picture(
            world.store().catalogue, Prover(world), it, plan, like=like, work=f"quietus-work-{world.tag}"
        )


def compared(world: World, it: Step, plan: Plan, before: Sequence[proofs.Picture]) -> Evidence:
    (evidence,) = proofs.unchanged(it, plan, before, pictures(world, it, plan, before))
    return evidence


@control("pictures", "unchanged", S3)
def test_an_object_of_somebody_else_that_was_overwritten(world: World, dice: random.Random) -> None:
    bucket, provision = people(world)
    it = world.step(ME)
    plan = planned(world.store(), it, provision)
    before = pictures(world, it, plan)
    world.store().dispose(it, plan)
    assert failed(compared(world, it, plan, before)) == set()
    key = f"{OTHER}/a.jpg"
    match dice.choice(("overwritten", "marked as deleted", "an old version gone")):
        case "overwritten":
            world.s3.put_object(Bucket=bucket, Key=key, Body=b"second")
        case "marked as deleted":
            world.s3.delete_object(Bucket=bucket, Key=key)
        case _:
            old = [v for k, v, body in world.versions(bucket, key) if body == b"first"]
            world.s3.delete_object(Bucket=bucket, Key=key, VersionId=old[0])
    assert failed(compared(world, it, plan, before)) == {f"unchanged.{bucket}"}


@control("pictures", "unchanged", S3)
def test_an_object_overwritten_where_no_versions_are_kept(world: World, dice: random.Random) -> None:
    bucket = world.bucket("photos", versions=False)
    provision = provide(world.objects(bucket, "{account_id}/"))
    for who in (ME, OTHER):
        world.s3.put_object(Bucket=bucket, Key=f"{who}/a", Body=b"as it was")
    it = world.step(ME)
    plan = planned(world.store(), it, provision)
    before = pictures(world, it, plan)
    world.store().dispose(it, plan)
    assert failed(compared(world, it, plan, before)) == set()
    world.s3.put_object(Bucket=bucket, Key=f"{OTHER}/a", Body=dice.randbytes(9))
    assert failed(compared(world, it, plan, before)) == {f"unchanged.{bucket}"}


@control("pictures", "records", S3)
def test_a_record_of_somebody_else_that_the_rewriting_changed(world: World, dice: random.Random) -> None:
    bucket, provision = records(world)
    it = world.step(ME)
    plan = planned(world.store(), it, provision)
    before = pictures(world, it, plan)
    world.store().dispose(it, plan)
    assert failed(compared(world, it, plan, before)) == set()
    lines = world.log(bucket, "access/1").splitlines(keepends=True)
    theirs = dice.choice([n for n, line in enumerate(lines) if OTHER.encode() + b'"' in line])
    # As many records as before, one of them with another time, or its keys in another order.
    record = json.loads(lines[theirs])
    other = dice.choice(({**record, "at": "2026-01-06"}, dict(reversed(record.items()))))
    lines[theirs] = json.dumps(other).encode() + b"\n"
    world.s3.put_object(Bucket=bucket, Key="access/1", Body=gzip.compress(b"".join(lines), mtime=0))
    assert failed(compared(world, it, plan, before)) == {"records.log.access"}


# --- everywhere, and through a database -----------------------------------------------------------


@control("dragnet", "dragnet", S3)
def test_a_value_in_an_object_that_nobody_declared(world: World, dice: random.Random) -> None:
    _, provision = people(world)
    it = world.step(ME)
    plan = disposed(world, it, provision)
    value = dice.choice((f"139{dice.randrange(10**8):08d}", f"{name(dice)}@{name(dice)}.example"))
    bucket = world.bucket(f"exports-{name(dice)}")
    world.s3.put_object(Bucket=bucket, Key=name(dice), Body=gzip.compress(f"call {value} back".encode()))
    (evidence,) = proofs.dragnet(
        world.store().catalogue, Prover(world), it, plan, proofs.Values(frozenset([value])),
        work=f"quietus-work-{world.tag}",
    )  # fmt: skip
    assert failed(evidence) == {f"dragnet.{bucket}"}


class Both(Fixed):
    """Connections to the shop's database and the world's buckets."""

    def __init__(self, shop: Company, world: World) -> None:
        super().__init__(shop.conninfo)
        self.world = world

    def s3(self, connection: str, role: Role) -> Any:
        return self.world.server.client()


@control("gone", "unlinked", S3)
def test_a_row_that_still_ties_somebody_elses_object_to_the_person(
    shop: Company, world: World, dice: random.Random
) -> None:
    plant = Planter(shop, dice.randrange(10**6))
    bucket = world.bucket("contracts")
    link = Link(via=PARTY.id, on={"contract_id": "contract_id"}, ownership=Ownership.ACCESS_ONLY)
    files = world.objects(bucket, "{contract_id}/", id="sign.file", links=(link,))
    world.s3.put_object(Bucket=bucket, Key="1/contract.pdf", Body=b"of A1 and A2")
    shop.catalogue = shop.catalogue.model_copy(
        update={
            "stores": (*shop.catalogue.stores, *world.store().catalogue.stores),
            "datasets": (*shop.catalogue.datasets, files),
        }
    )
    connections, it, work = Both(shop, world), step("A2"), f"quietus-work-{world.tag}"
    rows, vault = shop.store(), world.store(keys_of=shop.store().keys_of)
    for store in (rows, vault):
        store.open(it)
    surveys = [store.survey(it) for store in (rows, vault)]
    lines = [*rows.weigh(it, provide_tables(shop.catalogue)), *vault.weigh(it, [provide(files)])]
    plan = plan_of(it, surveys[0], lines)
    plan = plan.model_copy(update={"located": (*plan.located, *surveys[1].located)})
    rows.dispose(it, plan)
    vault.dispose(it, plan)
    (evidence,) = proofs.objects_gone(shop.catalogue, connections, it, plan, work=work)
    assert failed(evidence) == set()
    assert "unlinked.sign.file" in {c.name for c in evidence.checks}
    plant.past_everything("sign.party", "INSERT INTO sign.party VALUES (1, 'A2')")
    (evidence,) = proofs.objects_gone(shop.catalogue, connections, it, plan, work=work)
    assert failed(evidence) == {"unlinked.sign.file"}
