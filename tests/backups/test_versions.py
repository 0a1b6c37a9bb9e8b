"""Versions of objects as a backup set: what keeps each, until when, and what of them is from before a deed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.backups import lifecycle, versions
from include.backups.horizon import Deed, Reach, ends, reach
from include.backups.lifecycle import Lifecycle, Rule
from include.backups.versions import ObjectVersions
from include.model.errors import NotReachable
from include.model.times import observed_now, prc_date
from tests.backups.test_horizon import kept
from tests.stores.s3.conftest import ceph_here, moto_here, server  # noqa: F401  (fixtures)
from tests.stores.s3.world import World

DAY = timedelta(days=1)


class Bucket:
    """A bucket of one test, and its reader."""

    def __init__(self, world: World, *, locks: bool = False, replica: bool = False) -> None:
        self.world, self.s3 = world, world.s3
        self.name = world.bucket("versions", locks=locks)
        self.reader = ObjectVersions("set", world.eraser, self.name, replica=replica)

    def put(self, key: str, times: int = 1) -> list[str]:
        return [self.s3.put_object(Bucket=self.name, Key=key, Body=b"x")["VersionId"] for _ in range(times)]

    def rules(self, *rules: dict[str, Any]) -> None:
        self.s3.put_bucket_lifecycle_configuration(
            Bucket=self.name,
            LifecycleConfiguration={
                "Rules": [{"ID": f"r{n}", "Status": "Enabled", **r} for n, r in enumerate(rules)]
            },
        )

    def reach(self, deed: datetime | None = None) -> Reach:
        seen = self.reader.look()
        return reach(Deed(None, deed or observed_now()), seen, ends(seen.copies, kept(35)))


def noncurrent(days: int, prefix: str = "", **more: int) -> dict[str, Any]:
    return {"Filter": {"Prefix": prefix}, "NoncurrentVersionExpiration": {"NoncurrentDays": days, **more}}


@pytest.fixture
def bucket(server: Any) -> Bucket:  # noqa: F811
    return Bucket(World(server))


@pytest.fixture
def locked(server: Any) -> Iterator[Bucket]:  # noqa: F811
    made = Bucket(World(server), locks=True)
    yield made
    for entry in made.s3.list_object_versions(Bucket=made.name).get("Versions", []):
        made.s3.put_object_legal_hold(
            Bucket=made.name, Key=entry["Key"], VersionId=entry["VersionId"], LegalHold={"Status": "OFF"}
        )


pytestmark = pytest.mark.s3


def test_what_is_current_is_live_and_none_of_this(bucket: Bucket) -> None:
    bucket.put("a/1")
    assert bucket.reader.look().copies == () and bucket.reach().beyond


def test_versions_go_by_the_lifecycle(bucket: Bucket) -> None:
    bucket.rules(noncurrent(7, "a/"))
    old, _ = bucket.put("a/1", 2)
    (copy,) = bucket.reader.look().copies
    assert copy.pinned is None and copy.location.endswith(": 1 versions, 1 bytes")
    until = copy.until
    assert until is not None and 7 <= (until - prc_date(observed_now())).days <= 8
    found = bucket.reach()
    assert found.until == until and found.because.startswith("not current since")
    assert bucket.reach(observed_now() - timedelta(minutes=20)).beyond, (
        "it was current at that deed, and was left"
    )
    bucket.s3.delete_object(Bucket=bucket.name, Key="a/1", VersionId=old)
    assert bucket.reach().beyond, "as seen"


def test_what_no_rule_expires_stays_for_ever(bucket: Bucket) -> None:
    bucket.rules(noncurrent(7, "a/"))
    bucket.put("b/1", 2)
    found = bucket.reach()
    assert found.until is None and not found.beyond
    assert found.open == ("not current, no rule is pinned (no rule of the lifecycle expires them)",)


def test_a_deleted_object_is_a_version_under_its_marker(bucket: Bucket) -> None:
    bucket.rules(noncurrent(7))
    bucket.put("a/1")
    bucket.s3.delete_object(Bucket=bucket.name, Key="a/1")
    (copy,) = bucket.reader.look().copies
    assert copy.until is not None and bucket.reach().until == copy.until


def test_the_newest_of_each_key_that_a_rule_spares_have_no_end(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither server keeps NewerNoncurrentVersions, so the rule is given; how new each is comes from the listing."""
    monkeypatch.setattr(bucket.reader, "_lifecycle", lambda: Lifecycle((Rule("", 7, newer=1),)))
    bucket.put("a/1", 4)
    by_pin = {c.pinned: c.location.split(": ")[1] for c in bucket.reader.look().copies}
    assert by_pin == {
        None: "2 versions, 2 bytes", "no rule of the lifecycle expires them": "1 versions, 1 bytes"
    }  # fmt: skip


def test_in_a_replica_everything_counts(server: Any) -> None:  # noqa: F811
    bucket = Bucket(World(server), replica=True)
    bucket.rules(noncurrent(7))
    bucket.put("a/1")
    (copy,) = bucket.reader.look().copies
    assert copy.pinned == "a deletion by version is not replicated" and bucket.reach().open
    assert bucket.reach(observed_now() - timedelta(hours=1)).beyond, "it is younger than that deed"
    bucket.s3.delete_object(Bucket=bucket.name, Key="a/1")
    assert {c.name.split(" since ")[0] for c in bucket.reader.look().copies} == {
        "delete markers",
        "not current",
    }


def test_a_lock_moves_the_day_out(locked: Bucket) -> None:
    locked.rules(noncurrent(1))
    version, _ = locked.put("a/1", 2)
    end = (datetime.now(UTC) + 40 * DAY).replace(microsecond=0)
    locked.s3.put_object_retention(
        Bucket=locked.name,
        Key="a/1",
        VersionId=version,
        Retention={"Mode": "GOVERNANCE", "RetainUntilDate": end},
    )
    assert locked.reach().until == prc_date(end) + DAY


def test_a_legal_hold_has_no_day(locked: Bucket) -> None:
    locked.rules(noncurrent(1))
    version, _ = locked.put("a/1", 2)
    locked.s3.put_object_legal_hold(
        Bucket=locked.name, Key="a/1", VersionId=version, LegalHold={"Status": "ON"}
    )
    assert locked.reach().open == ("under a legal hold is pinned (a legal hold)",)


def test_a_lock_that_was_not_asked_for_is_said(locked: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "MOST_ASKED", 1)
    locked.rules(noncurrent(1))
    locked.put("a/1", 4)
    assert locked.reader.look().problems == ("of 2 versions it was not asked whether they are locked",)
    assert locked.reach().until is None


def test_more_versions_than_a_page_has(bucket: Bucket) -> None:
    """One key goes on from page to page, and each of its versions is counted once."""
    bucket.rules(noncurrent(7))
    bucket.put("a/1", 3)
    bucket.put("b/1", 1100)
    bucket.put("c/1", 2)
    (copy, *more) = bucket.reader.look().copies
    assert not more and copy.location.endswith(": 1102 versions, 1102 bytes")


def test_a_bucket_that_is_not_there_is_an_error(bucket: Bucket) -> None:
    with pytest.raises(NotReachable, match="NoSuchBucket"):
        ObjectVersions("set", bucket.world.eraser, "nowhere-at-all").look()


# --- the lifecycle, by itself ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "covers"),
    [
        ({"Filter": {"Prefix": "a/"}}, True),
        ({"Prefix": "a/"}, True),
        ({"Filter": {}}, True),
        ({"Filter": {"Prefix": "b/"}}, False),
        ({"Status": "Disabled"}, False),
        ({"Filter": {"Tag": {"Key": "k", "Value": "v"}}}, False),
        ({"Filter": {"And": {"Prefix": "a/", "Tags": [{"Key": "k", "Value": "v"}]}}}, False),
        ({"Filter": {"And": {"Prefix": "a/", "ObjectSizeGreaterThan": 10}}}, False),
        ({"Filter": {"And": {"Prefix": "a/", "ObjectSizeLessThan": 11}}}, True),
        ({"NoncurrentVersionExpiration": {}}, False),
    ],
    ids=str,
)
def test_only_what_is_sure_counts(rule: dict[str, Any], covers: bool) -> None:
    found = lifecycle.read(
        [{"Status": "Enabled", "NoncurrentVersionExpiration": {"NoncurrentDays": 7}, **rule}]
    )
    assert found.days("a/1", 0, 10) == (7 if covers else None)


def test_the_shortest_rule_counts() -> None:
    found = Lifecycle((Rule("", 30), Rule("a/", 7), Rule("a/", 3, newer=2)))
    assert [found.days("a/1", rank, 1) for rank in (0, 1, 2)] == [7, 7, 3] and found.days("b/1", 0, 1) == 30


@given(st.integers(0, 4_000_000_000), st.integers(1, 400))
def test_a_version_is_gone_the_day_after_its_last(instant: int, days: int) -> None:
    """Its instant is rounded up to midnight UTC, and that falls into its last day here."""
    since = datetime.fromtimestamp(instant, UTC)
    last = lifecycle.last_day(since, days)
    over = since + days * DAY
    assert prc_date(over) <= last <= prc_date(over + DAY)
