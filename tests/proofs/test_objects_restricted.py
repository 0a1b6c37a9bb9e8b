"""On S3: what is marked is proved; what cannot be denied to anybody is said to be unverified, never restricted."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError

from include import proofs
from include.connections import business_connection
from include.model.errors import Refused
from include.model.flow import Check, Evidence, Step
from include.model.words import Verdict
from include.proofs.names import S3
from include.proofs.objects_attempts import sample
from tests.proofs.controls import control
from tests.proofs.test_gone import wrong
from tests.proofs.test_objects_gone import ME, OTHER, Prover
from tests.stores.s3.test_restriction import business
from tests.stores.s3.world import Server, World, planned, provide


def restricted(world: World, step: Step, connections: Prover | None = None) -> Evidence:
    work = f"quietus-work-{world.tag}"
    (evidence,) = proofs.restricted(world.store().catalogue, connections or Prover(world), step, work=work)
    return evidence


class Applications(Prover):
    """A prover who is given the keys of some applications, too."""

    def __init__(self, world: World, **clients: Any) -> None:
        super().__init__(world)
        self.clients = clients

    def s3_as(self, connection: str, business_role: str) -> Any:
        if business_role not in self.clients:
            raise Refused(
                "the connection is not declared", about=business_connection(connection, business_role)
            )
        return self.clients[business_role]


def photos(world: World, *actions: str) -> tuple[str, Step]:
    """Three photos of one, one of another and of somebody else, in a bucket in which the application may do these."""
    bucket = world.bucket("photos")
    dataset = world.objects(bucket, "{account_id}/")
    if actions:
        allow = {"Sid": "App", "Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/kycapp"]},
                 "Action": list(actions), "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]}  # fmt: skip
        policy = {"Version": "2012-10-17", "Statement": [allow]}
        world.s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    for key in (f"{ME}/1", f"{ME}/2", f"{ME}/3", f"{ME}/4", "acct_3/1", f"{OTHER}/1"):
        world.s3.put_object(Bucket=bucket, Key=key, Body=b"x", Tagging="keep=me")
    step = world.step(ME, "acct_3")
    planned(world.store(), step, provide(dataset))
    return bucket, step


def as_it_is(world: World, bucket: str) -> object:
    """Every version, with its tags and its ACL, and every open upload."""
    return (
        [
            (key, version, body,
             world.s3.get_object_tagging(Bucket=bucket, Key=key, VersionId=version)["TagSet"],
             world.s3.get_object_acl(Bucket=bucket, Key=key, VersionId=version)["Grants"])
            for key, version, body in world.versions(bucket)
        ],
        world.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []),
    )  # fmt: skip


def checks(evidence: Evidence) -> dict[tuple[str, int], Check]:
    return {(c.name, c.rung): c for c in evidence.checks}


def test_an_applications_own_key_opens_nothing_and_trying_changes_nothing(ceph_here: Server) -> None:
    world, app = World(ceph_here, roles=("kycapp",)), business(ceph_here)
    bucket, step = photos(world, "s3:*")
    before = as_it_is(world, bucket)
    evidence = restricted(world, step, Applications(world, kycapp=app))
    found = checks(evidence)
    assert found["denied.kyc.photo", 1].verdict is Verdict.PASSED
    # What no policy can refuse is said.
    assert wrong(evidence) == {"enforced.kyc.photo": Verdict.UNVERIFIED}
    assert "kycapp may still upload" in found["enforced.kyc.photo", 0].why
    assert as_it_is(world, bucket) == before


def test_an_application_that_may_not_upload_leaves_nothing_unsaid(ceph_here: Server) -> None:
    world, app = World(ceph_here, roles=("kycapp",)), business(ceph_here)
    _, step = photos(world, "s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging")
    assert wrong(restricted(world, step, Applications(world, kycapp=app))) == {}


@pytest.mark.parametrize("gone", ["the policy", "one tag"])
def test_what_an_application_opens_all_the_same_is_found(ceph_here: Server, gone: str) -> None:
    world, app = World(ceph_here, roles=("kycapp",)), business(ceph_here)
    bucket, step = photos(world, "s3:*")
    if gone == "the policy":
        policy = json.loads(world.s3.get_bucket_policy(Bucket=bucket)["Policy"])
        policy["Statement"] = [s for s in policy["Statement"] if s["Sid"] == "App"]
        world.s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    else:
        ((key, version, _),) = world.versions(bucket, "acct_3/")
        world.s3.delete_object_tagging(Bucket=bucket, Key=key, VersionId=version)
    before = as_it_is(world, bucket)
    evidence = restricted(world, step, Applications(world, kycapp=app))
    check = checks(evidence)["denied.kyc.photo", 1]
    assert check.verdict is Verdict.FAILED
    # HEAD, GET and tags of three and of one; writing tags and ACL of two people, or of one.
    assert check.observed == (4 * 3 + 2 * 2 if gone == "the policy" else 3 + 2)
    assert "kycapp: HEAD" in check.why and "write tags" in check.why and "write ACL" in check.why
    assert as_it_is(world, bucket) == before


def test_a_role_without_a_key_is_judged_by_the_policy_and_that_is_said(ceph_here: Server) -> None:
    world, app = World(ceph_here, roles=("kycapp", "batch")), business(ceph_here)
    bucket, step = photos(world, "s3:GetObject")
    evidence = restricted(world, step, Applications(world, kycapp=app))
    assert wrong(evidence) == {"enforced.kyc.photo": Verdict.UNVERIFIED}
    assert "not tried, judged by the text" in str(evidence.checks) and "batch (" in str(evidence.checks)
    # A key that the server does not know is refused everything, and proves nothing.
    stranger = ceph_here.client("nobody", "no-secret")
    evidence = restricted(world, step, Applications(world, kycapp=app, batch=stranger))
    assert wrong(evidence) == {"enforced.kyc.photo": Verdict.UNVERIFIED}
    assert "the server does not take its key [InvalidAccessKeyId]" in str(evidence.checks)
    world.s3.delete_bucket_policy(Bucket=bucket)
    evidence = restricted(world, step, Applications(world))
    assert wrong(evidence) == {"denied.kyc.photo": Verdict.FAILED}
    assert checks(evidence)["denied.kyc.photo", 1].observed == 2


@control("restricted", "denied", S3)
def test_a_server_that_refuses_nobody_is_found_out_by_trying(on_moto: World) -> None:
    world = on_moto
    world.roles = ("kycapp",)
    bucket, step = photos(world)
    app = world.server.client()
    missing = ClientError({"Error": {"Code": "NoSuchUpload"}}, "UploadPart")
    app.upload_part = Mock(side_effect=missing)  # this server answers 500
    keys = Applications(world, kycapp=app)
    evidence = restricted(world, step, keys)
    # The store says so itself; then what was tried is said, and nothing is claimed.
    assert set(wrong(evidence)) == {"enforced.vault", "enforced.kyc.photo"}
    assert "tried as kycapp: 12 of 12 attempts got through" in checks(evidence)["enforced.kyc.photo", 1].why
    work, key = f"quietus-work-{world.tag}", f"receipts/{step.id}/restrict-000000.json"
    receipt = json.loads(world.s3.get_object(Bucket=work, Key=key)["Body"].read())
    receipt["position"]["enforcement"] = "enforced"  # as if it said otherwise
    world.s3.put_object(Bucket=work, Key=key, Body=json.dumps(receipt).encode())
    before = as_it_is(world, bucket)
    check = checks(restricted(world, step, keys))["denied.kyc.photo", 1]
    assert check.verdict is Verdict.FAILED
    assert check.observed is not None and check.observed >= 12
    assert as_it_is(world, bucket) == before


def test_of_each_person_the_first_middle_and_last_are_tried() -> None:
    rows = [{"key": f"a/{n}", "version": "v", "subjects": [0]} for n in range(9)]
    rows += [{"key": "b/1", "version": "v", "subjects": [1]}]
    assert sample(reversed(rows)) == [[("a/0", "v"), ("a/4", "v"), ("a/8", "v")], [("b/1", "v")]]


@control("restricted", "open", S3)
def test_a_log_of_many_people_is_unverified_and_to_close_it_is_found(on_moto: World) -> None:
    world = on_moto
    world.roles = ("kycapp",)
    bucket = world.bucket("logs")
    log = world.records(bucket)
    world.put_log(bucket, "access/1", [{"account_id": ME}, {"account_id": OTHER}])
    world.put_log(bucket, "access/2", [{"account_id": ME}])
    step = world.step(ME)
    planned(world.store(), step, provide(log))

    evidence = restricted(world, step)
    assert wrong(evidence) == {
        "enforced.vault": Verdict.UNVERIFIED,
        "enforced.log.access": Verdict.UNVERIFIED,
    }
    why = next(c.why for c in evidence.checks if c.name == "enforced.vault")
    assert "1 versions of record files also hold records of others" in why
    checks = {c.name: (c.expected, c.observed) for c in evidence.checks}
    assert (checks["marked.log.access"], checks["open.log.access"]) == ((1, 1), (0, 0))

    tag = {"TagSet": [{"Key": "quietus", "Value": "restricted"}]}
    world.s3.put_object_tagging(Bucket=bucket, Key="access/1", Tagging=tag)
    world.s3.delete_object_tagging(Bucket=bucket, Key="access/2")
    assert wrong(restricted(world, step)) == {
        "enforced.vault": Verdict.UNVERIFIED,
        "enforced.log.access": Verdict.UNVERIFIED,
        "marked.log.access": Verdict.FAILED,
        "open.log.access": Verdict.FAILED,
    }
