"""Restricting: business roles cannot read, or the receipt says that this server does not stop them."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from botocore.exceptions import ClientError

from include.model.errors import CatalogueError, Drifted
from include.model.flow import Held
from include.stores.s3.restriction import BLUNT, ENFORCED, KEPT, LOOSE, NOBODY, SID, WRITES, Restriction
from tests.stores.s3.world import Server, World, jsonl, planned, provide

pytestmark = pytest.mark.s3


def business(server: Server) -> Any:
    """A client of the company's own application."""
    if not server.config:
        pytest.skip("needs the cluster's configuration to make a user")
    subprocess.run(
        ["radosgw-admin", "-c", server.config, "user", "create", "--uid=kycapp", "--display-name=kycapp",
         "--access-key=kycapp", "--secret-key=kycapp-secret"],
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    return server.client("kycapp", "kycapp-secret")


def refused(call: Any, **how: Any) -> bool:
    try:
        call(**how)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    return False


def test_a_business_role_reads_no_version_of_the_cohort_and_everything_of_the_others(
    ceph_here: Server,
) -> None:
    world, app = World(ceph_here, roles=("kycapp",)), business(ceph_here)
    bucket = world.bucket("photos")
    dataset = world.objects(bucket, "id/{account_id}/")
    theirs = {"Sid": "App", "Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/kycapp"]},
              "Action": ["s3:GetObject", "s3:GetObjectVersion"],
              "Resource": f"arn:aws:s3:::{bucket}/*"}  # fmt: skip
    world.s3.put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [theirs]})
    )
    ids = [
        (
            f"id/{who}/1",
            world.s3.put_object(Bucket=bucket, Key=f"id/{who}/1", Body=b"x", Tagging="keep=me")["VersionId"],
        )
        for who in "aabb"
    ]
    store, step = world.store(), world.step("a")
    planned(store, step, provide(dataset))
    (receipt,) = store.receipts(step)
    assert receipt.position["enforcement"] == ENFORCED
    assert receipt.counts == {dataset.id: {"restricted": 2, "gone": 0}}
    for key, version in ids:
        hidden = key.startswith("id/a/")
        assert refused(app.head_object, Bucket=bucket, Key=key) is hidden
        assert refused(app.get_object, Bucket=bucket, Key=key) is hidden
        assert refused(app.get_object, Bucket=bucket, Key=key, VersionId=version) is hidden
        tags = world.s3.get_object_tagging(Bucket=bucket, Key=key, VersionId=version)["TagSet"]
        assert {"Key": "keep", "Value": "me"} in tags
    assert store.restrict(step) == receipt
    found = json.loads(world.s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    assert [s["Sid"] for s in found] == ["App", SID]
    assert found[0] == theirs
    assert b"acct" not in world.s3.get_bucket_policy(Bucket=bucket)["Policy"].encode()


def test_a_server_that_ignores_conditions_is_not_given_a_deny_and_nothing_is_claimed(on_moto: World) -> None:
    on_moto.roles = ("kycapp",)
    bucket = on_moto.bucket("photos")
    dataset = on_moto.objects(bucket, "id/{account_id}/")
    on_moto.s3.put_object(Bucket=bucket, Key="id/a/1", Body=b"x")
    store, step = on_moto.store(), on_moto.step("a")
    planned(store, step, provide(dataset))
    (receipt,) = store.receipts(step)
    assert receipt.position["enforcement"] == BLUNT
    assert receipt.position["enforcement"].startswith("UNVERIFIED")
    assert receipt.counts == {dataset.id: {"marked": 1, "gone": 0}}
    with pytest.raises(ClientError):
        on_moto.s3.get_bucket_policy(Bucket=bucket)
    assert on_moto.s3.get_object(Bucket=bucket, Key="id/a/1")["Body"].read() == b"x"


def test_without_business_roles_nothing_is_claimed(world: World) -> None:
    bucket = world.bucket("photos")
    dataset = world.objects(bucket, "id/{account_id}/")
    store, step = world.store(), world.step("a")
    planned(store, step, provide(dataset))
    assert store.receipts(step)[0].position["enforcement"] == NOBODY


def test_a_policy_without_room_is_told_and_left_as_it_is(world: World) -> None:
    bucket = world.bucket("photos")
    full = {"Version": "2012-10-17", "Statement": [
        {"Sid": f"S{n}", "Effect": "Allow", "Principal": {"AWS": [f"arn:aws:iam:::user/app{n}"]},
         "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/{n:0140d}/*"} for n in range(75)
    ]}  # fmt: skip
    text = json.dumps(full, separators=(",", ":"))
    world.s3.put_bucket_policy(Bucket=bucket, Policy=text)
    store = world.store()
    store.install()
    with pytest.raises(CatalogueError, match="no room"):
        Restriction(store._site, ["kycapp"]).deny(bucket)
    assert json.loads(world.s3.get_bucket_policy(Bucket=bucket)["Policy"]) == full


def test_the_canary_leaves_no_policy_behind(world: World) -> None:
    world.roles = ("kycapp",)
    store = world.store()
    store.install()
    Restriction(store._site, ["kycapp"]).measure()
    with pytest.raises(ClientError):
        world.s3.get_bucket_policy(Bucket=f"quietus-work-{world.tag}")


def test_a_business_role_may_not_take_the_tag_off_nor_open_by_an_acl_and_an_upload_is_found(
    ceph_here: Server,
) -> None:
    world, app = World(ceph_here, roles=("kycapp",)), business(ceph_here)
    bucket = world.bucket("photos")
    dataset = world.objects(bucket, "id/{account_id}/")
    everything = {"Sid": "App", "Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/kycapp"]},
                  "Action": "s3:*", "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]}  # fmt: skip
    policy = {"Version": "2012-10-17", "Statement": [everything]}
    world.s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    for who in "ab":
        world.s3.put_object(Bucket=bucket, Key=f"id/{who}/1", Body=b"x", Tagging="keep=me")
    store, step = world.store(), world.step("a")
    plan = planned(store, step, provide(dataset))
    (receipt,) = store.receipts(step)
    assert (receipt.position["tag"], receipt.position["writes"]) == (KEPT, WRITES)
    mine = {"Bucket": bucket, "Key": "id/a/1"}
    version = world.s3.head_object(**mine)["VersionId"]
    clean = {"TagSet": [{"Key": "keep", "Value": "me"}]}
    for attempt, how in (
        (app.put_object_tagging, {"Tagging": clean}),
        (app.put_object_tagging, {"Tagging": clean, "VersionId": version}),
        (app.delete_object_tagging, {}),
        (app.delete_object_tagging, {"VersionId": version}),
        (app.put_object_acl, {"ACL": "public-read"}),
    ):
        assert refused(attempt, **mine, **how)
        assert refused(app.get_object, **mine)
        assert not refused(
            attempt, Bucket=bucket, Key="id/b/1", **{k: v for k, v in how.items() if k != "VersionId"}
        )
    # What no policy can refuse: it is declared, and found before anything is disposed of.
    assert not refused(app.put_object, **mine, Body=b"anew")
    with pytest.raises(Drifted, match="items are there"):
        store.dispose(step, plan)


def test_a_server_that_lets_the_tag_be_taken_off_is_named(
    ceph_here: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(ceph_here, roles=("kycapp",))
    monkeypatch.setattr("include.stores.s3.restriction.LOOSENING", ())  # as if it did not know these actions
    bucket = world.bucket("photos")
    dataset = world.objects(bucket, "id/{account_id}/")
    world.s3.put_object(Bucket=bucket, Key="id/a/1", Body=b"x")
    store, step = world.store(), world.step("a")
    planned(store, step, provide(dataset))
    (receipt,) = store.receipts(step)
    assert (receipt.position["enforcement"], receipt.position["tag"]) == (ENFORCED, LOOSE)


def test_a_step_that_does_not_end_the_relation_marks_nothing(world: World) -> None:
    world.roles = ("kycapp",)
    bucket = world.bucket("photos")
    dataset = world.objects(bucket, "id/{account_id}/")
    world.s3.put_object(Bucket=bucket, Key="id/a/1", Body=b"x")
    store, step = world.store(), world.step("a").model_copy(update={"restricting": False})
    planned(store, step, provide(dataset))
    (receipt,) = store.receipts(step)
    assert receipt.counts == {}
    assert world.s3.get_object_tagging(Bucket=bucket, Key="id/a/1")["TagSet"] == []


def test_a_log_of_many_people_is_closed_to_nobody_and_a_persons_own_is_until_he_is_gone(
    ceph_here: Server,
) -> None:
    world, app = World(ceph_here, roles=("kycapp",)), business(ceph_here)
    bucket = world.bucket("logs")
    dataset = world.records(bucket)
    allow = {"Sid": "App", "Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/kycapp"]},
             "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": allow})  # one statement, without a list
    world.s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    mixed, own, others = (f"access/{n}.jsonl.gz" for n in range(3))
    world.put_log(
        bucket, mixed, [{"account_id": "a"}, {"account_id": "b"}], Tagging="quietus=restricted&team=web"
    )
    world.put_log(bucket, own, [{"account_id": "a"}, {"account_id": "a"}])
    world.put_log(bucket, others, [{"account_id": "b"}])
    store, step = world.store(), world.step("a")
    plan = planned(store, step, provide(dataset))
    # The first bore the tag from an earlier version of ours; it is open again at once.
    assert [refused(app.get_object, Bucket=bucket, Key=k) for k in (mixed, own, others)] == [
        False,
        True,
        False,
    ]
    assert world.s3.get_object_tagging(Bucket=bucket, Key=mixed)["TagSet"] == [
        {"Key": "team", "Value": "web"}
    ]
    (receipt,) = store.receipts(step)
    assert receipt.counts == {dataset.id: {"restricted": 1, "gone": 0, "left_open": 1}}
    assert receipt.position["records"].startswith("UNVERIFIED: 1 ")
    store.dispose(step, plan)
    assert not any(refused(app.get_object, Bucket=bucket, Key=k) for k in (mixed, own, others))
    assert world.s3.get_object_tagging(Bucket=bucket, Key=own)["TagSet"] == []


def test_a_file_in_which_only_restricted_records_stay_keeps_its_tag(ceph_here: Server) -> None:
    world = World(ceph_here, roles=("kycapp",))
    bucket, key = world.bucket("logs"), "access/1.jsonl.gz"
    dataset = world.records(bucket)
    world.put_log(bucket, key, [{"account_id": "a"}, {"account_id": "c"}])
    store, step = world.store(), world.step("a", "c")
    hold = Held(hold="HOLD-000001", subject_nos=(1,), law="Arb. Law 58")
    store.dispose(step, planned(store, step, provide(dataset, holds=(hold,))))
    assert world.log(bucket, key) == jsonl([{"account_id": "c"}])
    tags = world.s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    assert tags == [{"Key": "quietus", "Value": "restricted"}]
