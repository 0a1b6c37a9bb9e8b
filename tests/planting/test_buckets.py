"""Planting in buckets and removing it again, on both servers: also what is locked, and what is half there."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from include.model.catalogue import Catalogue
from include.model.errors import Refused
from include.model.estate import Bound, Dataset, Link, StoreDeclared
from include.model.words import DatasetKind, StoreKind
from include.planting import s3
from include.planting.note import BUCKETS, Note, draw
from tests.conftest import S3Server
from tests.stores.postgres.making import SHOP

LOCK = 4  # seconds


def catalogue(bucket: str) -> Catalogue:
    return SHOP.model_copy(
        update={
            "stores": (
                StoreDeclared(id="objects", kind=StoreKind.S3, region="CN", connection="objects", description="o"),
            ),
            "datasets": (
                Dataset(
                    id="kyc.photo", store="objects", kind=DatasetKind.OBJECTS, title="photos", address=bucket,
                    prefix="{account_id}/{application_id}/", links=(Link(column="account_id"),),
                    binds=(Bound(rule="RS-01"),),
                ),
            ),
        }
    )  # fmt: skip


@pytest.fixture
def note(s3_server: S3Server) -> Note:
    return draw("5eed" * 8, catalogue(s3_server.fresh_bucket()))


def there(server: S3Server, note: Note) -> tuple[set[str], int]:
    """The night's buckets that there are, and its uploads."""
    client = server.client()
    names = {b["Name"] for b in client.list_buckets()["Buckets"]} & set(note.buckets["objects"])
    ((_, bucket, key),) = note.uploads
    found = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return names, sum(u["Key"] == key for u in found)


def test_everything_is_planted_and_nothing_is_left(s3_server: S3Server, note: Note) -> None:
    client = s3_server.client()
    assert s3.plant(client, note, "objects", lock=LOCK) == {}
    assert there(s3_server, note) == (set(note.buckets["objects"]), 1)
    assert {p.kind for p in note.plants} == set(BUCKETS)
    s3.remove(client, note, "objects")
    assert there(s3_server, note) == (set(), 0)
    s3.remove(client, note, "objects")


def test_what_was_planted_in_part_is_removed(s3_server: S3Server, note: Note) -> None:
    client = s3_server.client()
    first, *_ = note.buckets["objects"]
    client.create_bucket(Bucket=first)
    client.put_object(Bucket=first, Key="half", Body=b"x")
    s3.remove(client, note, "objects")
    assert there(s3_server, note) == (set(), 0)


def test_nobody_elses_upload_or_bucket_is_touched(s3_server: S3Server, note: Note) -> None:
    client = s3_server.client()
    ((_, bucket, key),) = note.uploads
    client.create_multipart_upload(Bucket=bucket, Key=f"{key}/longer")
    client.put_object(Bucket=bucket, Key="A1/x", Body=b"A1")
    s3.plant(client, note, "objects", lock=LOCK)
    s3.remove(client, note, "objects")
    assert [u["Key"] for u in client.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [f"{key}/longer"]
    assert [o["Key"] for o in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["A1/x"]


@pytest.mark.parametrize("denied", ["list_multipart_uploads", "create_multipart_upload"])
def test_who_may_not_upload_beside_customers_plants_no_upload_and_all_else(
    s3_server: S3Server, note: Note, denied: str
) -> None:
    client = s3_server.client()

    def refused(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied"}}, denied)

    setattr(client, denied, refused)
    absent = s3.plant(client, note, "objects", lock=LOCK)
    assert set(absent) == {"open_upload"} and "[AccessDenied]" in absent["open_upload"]
    assert there(s3_server, note) == (set(note.buckets["objects"]), 0)
    s3.remove(client, note, "objects")
    assert there(s3_server, note) == (set(), 0)


def test_a_lock_is_over_before_its_bucket_goes(s3_server: S3Server, note: Note) -> None:
    client = s3_server.client()
    s3.plant(client, note, "objects", lock=LOCK)
    (locked,) = [p.place for p in note.plants if p.kind == "locked_object"]
    waited: list[float] = []

    def refused(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "DeleteObject")

    client.delete_object, through = refused, client.delete_object  # type: ignore[assignment]

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        client.delete_object = through  # type: ignore[method-assign]

    s3._empty(client, locked, sleep)
    assert waited, "it was asked again"
    s3.remove(s3_server.client(), note, "objects")


def test_a_lock_that_does_not_end_is_said_and_not_waited_for_ever(
    s3_server: S3Server, note: Note, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = s3_server.client()
    monkeypatch.setattr(s3, "PATIENCE", 0)
    monkeypatch.setattr(s3, "LOCK", 0)
    s3.plant(client, note, "objects", lock=6)
    with pytest.raises(Refused, match="cannot be removed"):
        s3.remove(client, note, "objects")
    monkeypatch.undo()
    s3.remove(client, note, "objects")
    assert there(s3_server, note) == (set(), 0)
