"""After T0 applications put nothing, what came all the same is counted by the server's own date, and rights come back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from include.model.estate import Dataset, StoreDeclared
from include.model.shutdown import Looked, Picture
from include.model.words import Role, StoreKind
from include.stores.s3.collection import BLUNT, NOBODY, SID, Puts
from tests.stores.s3.test_restriction import business, refused
from tests.stores.s3.world import Server, World, planned, provide

pytestmark = pytest.mark.s3


@dataclass
class Doors:
    """The eraser, the prover, and the application's own key."""

    world: World
    app: Any = None

    def s3(self, connection: str, role: Role) -> Any:
        assert role in (Role.ERASER, Role.PROVER)
        return self.world.eraser

    def s3_as(self, connection: str, business_role: str) -> Any:
        return self.app


def puts(
    world: World, *datasets: Dataset, app: Any = None, whole: bool = True, work: str | None = None
) -> Puts:  # fmt: skip
    store = StoreDeclared(
        id="vault", kind=StoreKind.S3, region="CN", connection="vault", description="test", business_roles=world.roles
    )  # fmt: skip
    return Puts(store, datasets, Doors(world, app), whole=whole, work=work or world.bucket("work"))  # type: ignore[arg-type]


def sids(world: World, bucket: str) -> list[str]:
    text = world.s3.get_bucket_policy(Bucket=bucket)["Policy"]
    return [s["Sid"] for s in json.loads(text)["Statement"]]


def test_an_application_puts_nothing_and_gets_it_back(ceph_here: Server) -> None:
    world, app = World(ceph_here, roles=("kycapp",)), business(ceph_here)
    bucket = world.bucket("photos")
    dataset = world.objects(bucket, "id/{account_id}/")
    theirs = {
        "Sid": "Theirs", "Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/kycapp"]},
        "Action": ["s3:PutObject", "s3:GetObject"], "Resource": f"arn:aws:s3:::{bucket}/*",
    }  # fmt: skip
    world.s3.put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [theirs]})
    )
    app.put_object(Bucket=bucket, Key="id/a/before", Body=b"x")
    closing = puts(world, dataset, app=app)
    picture = closing.take()
    assert picture.unenforced == "" and sids(world, bucket) == ["Theirs", SID]
    assert refused(app.put_object, Bucket=bucket, Key="id/a/1", Body=b"x")
    assert app.get_object(Bucket=bucket, Key="id/a/before")["Body"].read() == b"x"
    assert closing.look(picture) == Looked("vault")
    world.s3.put_object(Bucket=bucket, Key="id/a/2", Body=b"x")  # by somebody whom no policy stops
    world.s3.create_multipart_upload(Bucket=bucket, Key="id/a/3")
    assert closing.look(picture).grew == {"kyc.photo": 2}
    closing.give_back()
    closing.give_back()
    assert sids(world, bucket) == ["Theirs"]
    app.put_object(Bucket=bucket, Key="id/a/4", Body=b"x")


def test_who_can_still_put_is_named_and_leaves_nothing(ceph_here: Server) -> None:
    world, app = World(ceph_here, roles=("kycapp",)), business(ceph_here)
    bucket = world.bucket("photos")
    dataset = world.objects(bucket, "id/{account_id}/")
    allow = {
        "Sid": "Theirs", "Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/kycapp"]},
        "Action": ["s3:PutObject"], "Resource": f"arn:aws:s3:::{bucket}/*",
    }  # fmt: skip
    closing = puts(world, dataset, app=app)
    picture = closing.take()
    world.s3.put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    )
    assert closing.look(picture).writers == (("kycapp", bucket),)
    assert world.versions(bucket) == []


def test_where_a_deny_would_hit_everybody_that_is_said_and_the_listing_still_finds(on_moto: World) -> None:
    on_moto.roles = ("kycapp",)
    bucket = on_moto.bucket("photos")
    dataset = on_moto.objects(bucket, "id/{account_id}/")
    on_moto.s3.put_object(Bucket=bucket, Key="id/a/before", Body=b"x")
    closing = puts(on_moto, dataset, app=on_moto.s3)
    picture = closing.take()
    assert picture.unenforced == BLUNT and closing.look(picture).grew == {}
    on_moto.s3.put_object(Bucket=bucket, Key="id/a/2", Body=b"x")
    looked = closing.look(picture)
    assert looked.grew == {"kyc.photo": 1} and looked.unasked == {"vault": BLUNT}


class Kept:
    """A client by which nothing can be deleted."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def delete_object(self, **_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "x"}}, "DeleteObject")


def test_what_was_found_is_told_though_something_else_cannot_be_asked(on_moto: World) -> None:
    on_moto.roles = ("kycapp",)
    bucket = on_moto.bucket("photos")
    dataset = on_moto.objects(bucket, "id/{account_id}/")
    gone = dataset.model_copy(update={"id": "kyc.gone", "address": "no-such-bucket"})
    picture = Picture(moment=datetime(2020, 1, 1, tzinfo=UTC))
    on_moto.s3.put_object(Bucket=bucket, Key="id/a/2", Body=b"x")
    closing = puts(on_moto, dataset, gone, app=on_moto.s3)
    looked = closing.look(picture)
    assert looked.grew == {"kyc.photo": 1} and "kyc.gone" in looked.unasked
    assert looked.writers == (("kycapp", bucket),)
    on_moto.eraser = Kept(on_moto.eraser)  # type: ignore[assignment]
    looked = puts(on_moto, dataset, app=on_moto.s3).look(picture)
    assert looked.writers == (("kycapp", bucket),) and f"{bucket} as kycapp" in looked.unasked


def test_without_business_roles_nothing_is_claimed(on_moto: World) -> None:
    dataset = on_moto.objects(on_moto.bucket("photos"), "id/{account_id}/")
    assert puts(on_moto, dataset).take().unenforced == NOBODY


def test_a_service_closes_its_own_prefix_alone(ceph_here: Server) -> None:
    world, app = World(ceph_here, roles=("kycapp",)), business(ceph_here)
    bucket = world.bucket("photos")
    world.s3.put_bucket_policy(
        Bucket=bucket,
        Policy=json.dumps({"Version": "2012-10-17", "Statement": [{
            "Sid": "Theirs", "Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/kycapp"]},
            "Action": ["s3:PutObject"], "Resource": f"arn:aws:s3:::{bucket}/*"}]}),
    )  # fmt: skip
    closing = puts(world, world.objects(bucket, "id/{account_id}/"), app=app, whole=False)
    closing.take()
    assert refused(app.put_object, Bucket=bucket, Key="id/a/1", Body=b"x")
    app.put_object(Bucket=bucket, Key="other/1", Body=b"x")


def test_a_shared_file_that_we_put_over_itself_after_t0_is_no_collection_and_others_are(world: World) -> None:
    bucket, key, old = world.bucket("logs"), "access/2026-01-05.jsonl.gz", "2026-01-05T10:00:00+08:00"
    dataset = world.records(bucket)
    rows = [{"account_id": who, "n": n, "at": old} for n, who in enumerate("aabb")]
    world.put_log(bucket, key, rows)
    before = world.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    store, step = world.store(), world.step("a")
    plan = planned(store, step, provide(dataset))
    closing = puts(world, dataset, work=f"quietus-work-{world.tag}")
    picture = closing.take()
    assert store.dispose(step, plan).counts == {dataset.id: {"erased": 2}}
    now = world.s3.get_object(Bucket=bucket, Key=key)
    assert now["Body"].read() != before and now["LastModified"] >= picture.moment
    assert closing.look(picture).grew == {}
    # Nobody else's write is ours: neither of what was there before, nor of our bytes under another key.
    world.s3.put_object(Bucket=bucket, Key=key, Body=before)
    world.s3.put_object(
        Bucket=bucket, Key="access/other.jsonl.gz",
        Body=world.s3.get_object(Bucket=bucket, Key=key, VersionId=now["VersionId"])["Body"].read(),
    )  # fmt: skip
    assert closing.look(picture).grew == {dataset.id: 2}
    world.s3.put_object(Bucket=bucket, Key="access/third.jsonl.gz", Body=b"", Metadata={"quietus": "ours"})
    assert closing.look(picture).grew == {dataset.id: 3}
