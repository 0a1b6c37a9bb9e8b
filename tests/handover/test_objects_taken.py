"""At the successor objects go at somebody's word in batches, under the holds of each moment; what is said to be kept is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from include.cases.retention.held import HeldPeople
from include.cases.scopes import HoldBasis, HoldOrder, Scope
from include.handover import notices, taking
from include.handover.custody import Custody
from include.handover.following import Followed, follow
from include.handover.heeding import Heeded, heed
from include.handover.items import Growing
from include.handover.sending import notice_key, request_key
from include.handover.staying import HIDES, HOLD, LOCK
from include.ledger import attest
from include.model.handover import OBJECTION, REQUEST, BagNotice, BagRequest
from include.model.times import observed_now, prc_date
from include.model.words import Role
from tests.handover import both as sides
from tests.handover.both import ORDER, PHOTOS, Both
from tests.handover.test_objects_stored import OBJECTS, UNDER
from tests.stores.postgres.dated import AS_OF

pytestmark = [pytest.mark.postgres, pytest.mark.s3]
LATE = date(2060, 1, 1)
"""By then no floor of these photos runs."""
BUCKET = "taken-photos"


@pytest.fixture
def photos(both: Both, monkeypatch: pytest.MonkeyPatch) -> Both:
    """Two photos of each of three people came to the successor, in a bucket that can lock them; batches of two."""
    catalogue = UNDER.model_copy(
        update={
            "datasets": tuple(
                d.model_copy(update={"address": BUCKET}) if d.id == PHOTOS.dataset else d
                for d in UNDER.datasets
            )
        }
    )
    monkeypatch.setattr(sides, "CATALOGUE", catalogue)
    monkeypatch.setattr(taking, "BATCH", 2)
    both.datasets = (PHOTOS,)
    for side in (both.ours, both.theirs):
        _fresh(side.s3(OBJECTS, Role.ERASER))
    client = both.ours.s3(OBJECTS, Role.ERASER)
    for (path,) in both.sql(
        both.ours,
        "SELECT a.account_id || '/' || a.application_id FROM ra.application AS a JOIN cert.certificate AS c"
        " USING (application_id) GROUP BY 1"
        f" HAVING min(c.not_after) > '2023-01-01' AND max(c.not_after) < '{AS_OF}' ORDER BY 1 LIMIT 3",
    ):
        for shows in ("front", "back"):
            client.put_object(Bucket=BUCKET, Key=f"photos/{path}/{shows}.jpg", Body=shows.encode())
    assert not both.pack().left
    both.send()
    assert not both.receive().refused
    assert len(there(both)) == 6
    return both


def _fresh(client: Any) -> None:
    if BUCKET not in {b["Name"] for b in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    told = client.list_object_versions(Bucket=BUCKET)
    for v in told.get("Versions", []):
        client.put_object_legal_hold(
            Bucket=BUCKET, Key=v["Key"], VersionId=v["VersionId"], LegalHold={"Status": "OFF"}
        )
    for v in (*told.get("Versions", []), *told.get("DeleteMarkers", [])):
        client.delete_object(
            Bucket=BUCKET, Key=v["Key"], VersionId=v["VersionId"], BypassGovernanceRetention=True
        )


def there(both: Both) -> list[tuple[str, str]]:
    told = both.theirs.s3(OBJECTS, Role.CUSTODIAN).list_object_versions(Bucket=BUCKET)
    return [(v["Key"], v["VersionId"]) for v in told.get("Versions", [])]


def hold(*keys: str) -> HeldPeople:
    """One that the successor opened itself, on the people of these paths."""
    people = frozenset(k.split("/")[1] for k in keys)
    scope = Scope(subjects=frozenset(p.encode().hex() for p in people), datasets=frozenset({PHOTOS.dataset}))
    return HeldPeople((HoldOrder("HOLD-000007", HoldBasis.COURT, "law", scope),), {"HOLD-000007": people})


def from_call(number: int, on: HeldPeople) -> Callable[[], HeldPeople]:
    """It is there from the so-manieth time on that somebody asks."""
    came = 0

    def held() -> HeldPeople:
        nonlocal came
        came += 1
        return on if came >= number else HeldPeople()

    return held


def told(both: Both, how: str) -> None:
    """The authority asks for all of the bag."""
    (bag,) = both.bags(PHOTOS.dataset)
    leaves = both.sql(
        both.theirs,
        f"SELECT encode(leaf, 'hex') FROM quietus_handover.item WHERE bag = '{bag.name}' ORDER BY no",
    )
    same: dict[str, Any] = {
        "order": ORDER, "bag": bag.name, "statement": attest.digest(bag.payload), "as_of": AS_OF, "made_at": observed_now(),
    }  # fmt: skip
    every, name = tuple(x for (x,) in leaves), notices.name(bag.name, 1)
    said: BagNotice | BagRequest
    if how == "notice":
        said = BagNotice(notice=1, removed=every, added=0, items=0, root=Growing().root(), **same)
    else:
        form = OBJECTION if how == "objection" else REQUEST
        said = BagRequest(
            format=form, request=1, asked=every, people=3, law="PIPL 47", answer_by=AS_OF, **same
        )
    key = notice_key(ORDER, name) if how == "notice" else request_key(ORDER, name)
    both.theirs.s3("inbox", Role.COURIER).put_object(
        Bucket=both.bucket, Key=key, Body=both.our_signer(said.canonical())
    )


def obey(both: Both, how: str, custody: Custody | None = None) -> Followed | Heeded:
    obeys = follow if how == "notice" else heed
    return obeys(both.inbox, custody or both.custody, both.their_signer, ORDER, as_of=LATE)


def held_by(both: Both, held: Callable[[], HeldPeople]) -> Custody:
    return replace(both.custody, held=held)


@pytest.mark.parametrize(
    ("how", "call", "left"), [("notice", 2, 6), ("request", 3, 4), ("notice", 4, 2), ("request", 5, 0)]
)
def test_a_hold_that_comes_in_the_midst_keeps_what_is_there_and_no_more_is_signed(
    photos: Both, how: str, call: int, left: int
) -> None:
    """Asked at the beginning, before each of three batches, and at the end."""
    told(photos, how)
    on = hold(*(key for key, _ in there(photos)))
    done = obey(photos, how, held_by(photos, from_call(call, on)))
    assert not done.receipts and "a hold was opened or changed meanwhile" in str(done.refused)
    assert len(there(photos)) == left
    done = obey(photos, how, held_by(photos, lambda: on))
    assert not done.refused
    (answer,) = done.receipts
    assert (answer.deleted, len(answer.kept)) == (6 - left, left) and len(there(photos)) == left
    assert {k.why for k in answer.kept} <= {HOLD} and answer.differences.none


@pytest.mark.parametrize(
    ("how", "point", "left"), [("notice", "taking.noted", 4), ("request", "taking.batch", 2)]
)
def test_killed_in_the_midst_and_then_held(photos: Both, how: str, point: str, left: int) -> None:
    """What was noted and had not gone yet is kept; what had gone is told as deleted."""
    told(photos, how)
    came: list[str] = []

    def dies(here: str) -> None:
        came.append(here)
        if came.count(point) == 2:
            raise KeyboardInterrupt

    on = hold(*(key for key, _ in there(photos)))
    with pytest.raises(KeyboardInterrupt):
        obey(photos, how, replace(photos.custody, at=dies))
    (answer,) = obey(photos, how, held_by(photos, lambda: on)).receipts
    assert (answer.deleted, len(answer.kept), len(there(photos))) == (6 - left, left, left)


@pytest.mark.parametrize("how", ["notice", "request"])
def test_nobody_signs_that_what_is_lost_is_kept(photos: Both, how: str) -> None:
    told(photos, how)
    every = there(photos)
    (key, version), *_ = every
    photos.theirs.s3(OBJECTS, Role.ERASER).delete_object(Bucket=BUCKET, Key=key, VersionId=version)
    done = obey(photos, how, held_by(photos, lambda: hold(*(k for k, _ in every))))
    assert not done.receipts and "1 of its objects are to be kept" in str(done.refused)
    assert len(there(photos)) == 5


@pytest.mark.parametrize("how", ["notice", "request"])
def test_a_lock_says_until_when(photos: Both, how: str) -> None:
    told(photos, how)
    client, until = photos.theirs.s3(OBJECTS, Role.ERASER), datetime.now(UTC) + timedelta(days=40)
    (first, v1), (second, v2), *_ = there(photos)
    client.put_object_retention(
        Bucket=BUCKET, Key=first, VersionId=v1, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until}
    )
    client.put_object_legal_hold(Bucket=BUCKET, Key=second, VersionId=v2, LegalHold={"Status": "ON"})
    (answer,) = obey(photos, how).receipts
    assert {(k.why, k.until) for k in answer.kept} == {(LOCK, prc_date(until)), (LOCK, None)}
    assert answer.deleted == 4 and sorted(there(photos)) == sorted([(first, v1), (second, v2)])


class Denied:
    """A bucket's client that may not delete, or is denied one request."""

    def __init__(self, client: Any, *, whole: bool) -> None:
        self._client, self._whole = client, whole

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def delete_objects(self, **what: Any) -> Any:
        said = {"Code": "AccessDenied", "Message": "no"}
        if self._whole:
            raise ClientError({"Error": said}, "DeleteObjects")  # type: ignore[arg-type]
        return {
            "Errors": [{**said, **o} for o in what["Delete"]["Objects"]],
            "ResponseMetadata": {"RequestId": "1"},
        }


@pytest.mark.parametrize(("how", "whole"), [("notice", True), ("request", False)])
def test_a_right_that_is_missing_is_no_lock(photos: Both, how: str, whole: bool) -> None:
    told(photos, how)
    photos.theirs.stands_in[OBJECTS] = Denied(photos.theirs.s3(OBJECTS, Role.CUSTODIAN), whole=whole)
    done = obey(photos, how)
    assert not done.receipts and "no lock says why" in str(done.refused)
    photos.theirs.stands_in.clear()
    (answer,) = obey(photos, how).receipts
    assert (answer.deleted, answer.kept) == (6, ()) and there(photos) == []


@pytest.mark.parametrize("how", ["request", "objection"])
def test_what_a_statute_keeps_is_marked_as_if_it_had_come_restricted(photos: Both, how: str) -> None:
    """By its tag, which is no part of what is counted; of who objects its clock runs on, and no fate is said of it."""
    told(photos, how)
    client = photos.theirs.s3(OBJECTS, Role.ERASER)
    (full, version), *_ = there(photos)
    ten = [{"Key": f"k{n}", "Value": "v"} for n in range(10)]
    if how == "objection":
        client.put_object_tagging(Bucket=BUCKET, Key=full, VersionId=version, Tagging={"TagSet": ten})
    done = heed(photos.inbox, photos.custody, photos.their_signer, ORDER, as_of=AS_OF)
    (answer,) = done.receipts
    assert (answer.deleted, len(answer.kept), len(there(photos))) == (0, 6, 6)
    tags = [
        {t["Key"]: t["Value"] for t in client.get_object_tagging(Bucket=BUCKET, Key=k, VersionId=v)["TagSet"]}
        for k, v in there(photos)
    ]
    assert [t.get("quietus") for t in tags].count("restricted") == (6 if how == "request" else 5)
    noted = photos.sql(
        photos.theirs,
        "SELECT DISTINCT restricted, fate, request FROM quietus_handover.item WHERE path IS NOT NULL",
    )
    assert noted == ([("request", "kept", 1)] if how == "request" else [("objection", None, None)])
    changed = len(answer.differences.changed)
    assert changed == (0 if how == "request" else 1), (
        "ten tags that somebody put are a difference, and ours is none"
    )


def test_a_marker_stays_over_what_a_lock_keeps(photos: Both, how: str = "notice") -> None:
    client = photos.theirs.s3(OBJECTS, Role.ERASER)
    (key, version), *_ = there(photos)
    until = datetime.now(UTC) + timedelta(days=40)
    client.put_object_retention(
        Bucket=BUCKET, Key=key, VersionId=version, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until}
    )
    over = client.delete_object(Bucket=BUCKET, Key=key)["VersionId"]
    photos.sql(
        photos.theirs,
        "INSERT INTO quietus_handover.item (order_no, bag, no, dataset, key, clock, holds, leaf, body, version, path)"
        " SELECT order_no, bag, 99, dataset, key, clock, holds, sha256(leaf), jsonb_build_object('kind', 'marker', 'key', key[1])"
        f", '{over}', path FROM quietus_handover.item WHERE version = '{version}'",
    )
    told(photos, how)
    done = obey(photos, how)
    kept = [k for r in done.receipts for k in r.kept]
    assert {(k.why, k.until) for k in kept} == {
        (LOCK, prc_date(until)),
        (HIDES, prc_date(until)),
    }
    assert "Contents" not in client.list_objects_v2(Bucket=BUCKET), "nothing came to light again"
