"""Objects at the successor: put by one run at a time, whatever lock is over, and whatever else lies in the bucket."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from threading import Thread
from typing import Any

import pytest
from botocore.exceptions import ClientError

from include.handover import storing
from include.handover.receiving import receive
from include.model.errors import NotReachable
from include.model.words import Role
from tests.handover import both as sides
from tests.handover.both import ORDER, PHOTOS, Both
from tests.handover.test_whole_way import _emptied
from tests.stores.postgres.dated import CATALOGUE

OBJECTS = "objects"
OVER = datetime(2020, 1, 1, tzinfo=UTC)
UNDER = CATALOGUE.model_copy(
    update={
        "datasets": tuple(
            d.model_copy(update={"prefix": f"photos/{d.prefix}"}) if d.id == PHOTOS.dataset else d
            for d in CATALOGUE.datasets
        )
    }
)
BUCKET = CATALOGUE.dataset(PHOTOS.dataset).address


@pytest.fixture
def photos(both: Both, monkeypatch: pytest.MonkeyPatch) -> Both:
    """Two photos of each of three people lie under a prefix of the bucket; nothing is packed yet."""
    monkeypatch.setattr(sides, "CATALOGUE", UNDER)
    both.datasets = (PHOTOS,)
    for side in (both.ours, both.theirs):
        _emptied(side.s3(OBJECTS, Role.ERASER), BUCKET)
    client = both.ours.s3(OBJECTS, Role.ERASER)
    for (path,) in both.sql(
        both.ours,
        "SELECT a.account_id || '/' || a.application_id FROM ra.application AS a JOIN cert.certificate AS c"
        " USING (application_id) WHERE c.not_after > '2023-01-01' ORDER BY 1 LIMIT 3",
    ):
        for shows in ("front", "back"):
            client.put_object(Bucket=BUCKET, Key=f"photos/{path}/{shows}.jpg", Body=shows.encode())
    return both


def received(both: Both) -> list[tuple[int, int, int]]:
    """Missing, changed and extra of each bag of objects."""
    got = both.receive()
    assert not got.refused, got.refused
    differences = [r.differences for r in got.receipts if r.bag.startswith(PHOTOS.dataset)]
    return [(len(d.missing), len(d.changed), len(d.extra)) for d in differences]


def sent(both: Both) -> Both:
    assert not both.pack().left
    both.send()
    return both


def test_what_else_lies_in_the_bucket_is_none_of_the_bags(photos: Both) -> None:
    sent(photos)
    theirs = photos.theirs.s3(OBJECTS, Role.CUSTODIAN)
    for key in ("aside/1.jpg", "zzz/1.jpg"):
        theirs.put_object(Bucket=BUCKET, Key=key, Body=b"another dataset's")
    assert set(received(photos)) == {(0, 0, 0)}
    theirs.put_object(Bucket=BUCKET, Key="photos/zzz/1/1.jpg", Body=b"nobody sent it")
    assert sum(extra for _, _, extra in received(photos)) == 1


def test_two_runs_at_once_put_each_version_once(photos: Both) -> None:
    sent(photos)
    came: list[str] = []

    def other() -> None:
        with suppress(NotReachable):  # it waited long enough
            receive(
                replace(photos.inbox, home=photos.home / "other"), photos.custody, photos.their_signer, ORDER
            )

    second = Thread(target=other)

    def at(point: str) -> None:
        came.append(point)
        if came.count("handover.object_put") == 1 and not second.ident:
            second.start()
            second.join(10)  # longer than it waits for a lock

    assert not photos.at(at).receive().refused
    second.join()
    there = photos.theirs.s3(OBJECTS, Role.CUSTODIAN).list_object_versions(Bucket=BUCKET)
    assert len(there["Versions"]) == 6
    assert set(received(photos)) == {(0, 0, 0)}


class Locked:
    """A bucket's client whose versions are all under a lock that is over."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def get_object(self, **which: Any) -> Any:
        lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": OVER}
        return {**self._client.get_object(**which), **lock}


class Strict(Locked):
    """One that locks nothing until a day that is over, as S3 does."""

    def get_object(self, **which: Any) -> Any:
        return self._client.get_object(**which)

    def put_object(self, **what: Any) -> Any:
        if "ObjectLockRetainUntilDate" in what:
            said = {"Error": {"Code": "InvalidRequest", "Message": "must be in the future"}}
            raise ClientError(said, "PutObject")  # type: ignore[arg-type]
        return self._client.put_object(**what)


def test_an_object_whose_lock_is_over_is_stored_without_it(photos: Both) -> None:
    ours, theirs = photos.ours, photos.theirs
    ours.stands_in[OBJECTS] = Locked(ours.s3(OBJECTS, Role.PROVER))
    theirs.stands_in[OBJECTS] = Strict(theirs.s3(OBJECTS, Role.CUSTODIAN))
    assert set(received(sent(photos))) == {(0, 0, 0)}
    noted = photos.sql(
        theirs,
        "SELECT DISTINCT body::jsonb -> 'lock' ->> 'until' FROM quietus_handover.item WHERE version <> ''",
    )
    assert noted == [("2020-01-01T00:00:00Z",)]


def test_what_no_one_request_takes_is_put_in_parts_and_killed_it_is_put_once(
    photos: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "ONE_PUT", 5 << 20)
    monkeypatch.setattr(storing, "PUT_PART", 5 << 20)
    ours, theirs = (side.s3(OBJECTS, Role.CUSTODIAN) for side in (photos.ours, photos.theirs))
    key = ours.list_objects_v2(Bucket=BUCKET, Prefix="photos/")["Contents"][0]["Key"]
    large = bytes(range(256)) * (6 << 12)
    said = {
        "ContentType": "video/mp4",
        "Metadata": {"shows": "front"},
        "WebsiteRedirectLocation": "https://a.example/",
    }
    ours.put_object(Bucket=BUCKET, Key=key, Body=large, **said)
    sent(photos)
    photos.killed_at("handover.part_put", lambda b: b.receive())
    assert theirs.list_multipart_uploads(Bucket=BUCKET)["Uploads"][0]["Key"] == key, (
        "killed in the midst of it"
    )
    assert set(received(photos)) == {(0, 0, 0)}
    there = theirs.get_object(Bucket=BUCKET, Key=key)
    assert there["Body"].read() == large and {k: there[k] for k in said} == said
    assert "Uploads" not in theirs.list_multipart_uploads(Bucket=BUCKET)
    sizes = [v["Size"] for v in theirs.list_object_versions(Bucket=BUCKET, Prefix=key)["Versions"]]
    assert sizes.count(len(large)) == 1
