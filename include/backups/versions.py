"""Versions that a bucket keeps of what was overwritten or deleted in it, or all that a replica has of another bucket.

Versions are many, so they are told in groups: by the day on which they stopped being current, and by what keeps them. None
of their keys is told, for a key may name a person. A version that was current when something was deleted, and was left, is
not of what was deleted: what counts is since when one is not current. Not so in a replica: a deletion by version is not
replicated, and what is overwritten there may be so later than its original.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from include.backups import lifecycle
from include.backups.lifecycle import Lifecycle
from include.model.abreast import abreast
from include.model.backups import BackupCopy, Copies, CopyOf
from include.model.errors import NotReachable, Refused
from include.model.times import prc_date

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SKEW = timedelta(
    minutes=15
)  # clocks differ by no more, or the server refuses what is signed (RequestTimeTooSkewed)
MOST_ASKED = 20_000  # versions of which it is asked until when they are locked; a request each
_NONE = {"NoSuchLifecycleConfiguration", "ObjectLockConfigurationNotFoundError"}
_GONE = {"404", "NoSuchKey", "NoSuchVersion"}  # since it was listed


@dataclass(frozen=True)
class _Version:
    """One entry of a listing. ``since``: when it stopped being current; None while it is. ``rank``: of the versions of its
    key that are not current, how many are newer."""

    key: str
    id: str
    size: int
    made: datetime
    since: datetime | None
    rank: int
    marker: bool


@dataclass(frozen=True)
class _Kept:
    """What a group's versions have in common."""

    name: str
    until: date | None = None
    pinned: str | None = None


@dataclass
class _Group:
    count: int = 0
    size: int = 0
    begins: datetime | None = None
    ends: datetime | None = None

    def add(self, version: _Version, begins: datetime) -> None:
        self.count += 1
        self.size += version.size
        ends = version.since or version.made
        self.begins = begins if self.begins is None else min(self.begins, begins)
        self.ends = ends if self.ends is None else max(self.ends, ends)


class ObjectVersions:
    """A bucket. ``replica``: it is not the store's own, so that nothing in it is deleted by us."""

    def __init__(self, id: str, client: S3Client, bucket: str, *, replica: bool = False) -> None:
        self.id, self.client, self.bucket, self.replica = id, client, bucket, replica

    def look(self) -> Copies:
        groups: dict[_Kept, _Group] = {}
        unasked = 0
        for version, kept, asked in self._kept(self._lifecycle(), self._locking()):
            unasked += not asked
            # In a replica what counts is when it was made: the deed itself may have been what overwrote it, later.
            begins = version.made if self.replica or version.since is None else version.since
            groups.setdefault(kept, _Group()).add(version, begins - SKEW)
        return Copies(
            tuple(self._copy(kept, groups[kept]) for kept in sorted(groups, key=lambda k: k.name)),
            problems=(f"of {unasked} versions it was not asked whether they are locked",) if unasked else (),
        )

    def _copy(self, kept: _Kept, group: _Group) -> BackupCopy:
        return BackupCopy(
            name=kept.name, kind=CopyOf.VERSIONS, start=None, stop=None, timeline=None,
            started_at=group.begins, stopped_at=group.ends, until=kept.until, pinned=kept.pinned,
            location=f"bucket {self.bucket}: {group.count} versions, {group.size} bytes",
        )  # fmt: skip

    # --- what keeps each --------------------------------------------------------------------------------

    def _kept(self, rules: Lifecycle, locking: bool) -> Iterator[tuple[_Version, _Kept, bool]]:
        """Every version that the set holds, with what keeps it, and whether it is known until when it is locked."""
        held = (v for v in self._versions() if self.replica or v.since is not None)
        numbered = ((v, not locking or n < MOST_ASKED) for n, v in enumerate(held))
        ask = self._lock if locking else _not_locked
        for version, asked, locked, legal_hold in abreast(ask, numbered) if locking else map(ask, numbered):
            yield version, self._why(rules, version, locked, legal_hold), asked

    def _why(self, rules: Lifecycle, version: _Version, locked: datetime | None, legal_hold: bool) -> _Kept:
        if legal_hold:
            return _Kept("under a legal hold", pinned="a legal hold")
        if version.since is None and not version.marker:
            return _Kept("current in the replica", pinned="a deletion by version is not replicated")
        if version.since is None:
            # Where a rule removes them, they go after the last version under them: by the set's own period, as expected.
            return _Kept(
                "delete markers", pinned=None if rules.removes_marker(version.key) else "no rule removes them"
            )
        days = rules.days(version.key, version.rank, version.size)
        if days is None:
            return _Kept("not current, no rule", pinned="no rule of the lifecycle expires them")
        until = lifecycle.last_day(version.since, days)
        if locked is not None:
            until = max(until, prc_date(locked) + timedelta(days=1))
        return _Kept(f"not current since {version.since:%Y-%m-%d}, until {until}", until=until)

    def _lock(self, of: tuple[_Version, bool]) -> tuple[_Version, bool, datetime | None, bool]:
        """A version, until when it is locked, and whether a legal hold is on it. A marker cannot be locked."""
        version, asked = of
        if version.marker or not asked:
            return _not_locked(of)
        with self._reaching():
            try:
                head = self.client.head_object(Bucket=self.bucket, Key=version.key, VersionId=version.id)
            except ClientError as error:
                if _code(error) in _GONE:
                    return _not_locked(of)
                raise
        return (
            version,
            asked,
            head.get("ObjectLockRetainUntilDate"),
            head.get("ObjectLockLegalHoldStatus") == "ON",
        )

    def _lifecycle(self) -> Lifecycle:
        answer = self._asked_for("get_bucket_lifecycle_configuration")
        return lifecycle.read(answer.get("Rules", []))

    def _locking(self) -> bool:
        answer = self._asked_for("get_object_lock_configuration")
        return bool(answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled")

    def _asked_for(self, what: str) -> dict[str, Any]:
        with self._reaching():
            try:
                answer: dict[str, Any] = getattr(self.client, what)(Bucket=self.bucket)
                return answer
            except ClientError as error:
                if _code(error) in _NONE:
                    return {}
                raise

    # --- what there is ----------------------------------------------------------------------------------

    def _versions(self) -> Iterator[_Version]:
        """Every entry of the bucket, of each key the newest first; a page at a time."""
        token: dict[str, str] | None = {}
        key, newer, rank = "", None, 0
        while token is not None:
            with self._reaching():
                page: Any = self.client.list_object_versions(Bucket=self.bucket, **token)  # type: ignore[arg-type]
            for entry, marker in _of_page(page):
                if entry["Key"] != key:
                    key, newer, rank = entry["Key"], None, 0
                made = entry["LastModified"]
                yield _Version(
                    key,
                    entry.get("VersionId") or "null",
                    entry.get("Size", 0),
                    made,
                    newer,
                    max(rank - 1, 0),
                    marker,
                )
                newer, rank = made, rank + 1
            token = _next(page)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            code = _code(error)
            if code in ("AccessDenied", "403"):
                raise Refused(
                    "the prover may not list the bucket's versions, or read its lifecycle and locks", about=self.id,
                    next_step="grant it ListBucketVersions, GetLifecycleConfiguration, GetBucketObjectLockConfiguration,"
                    " GetObjectVersion",
                ) from None  # fmt: skip
            raise NotReachable(
                f"the S3 server answered {code}", about=self.id, next_step="see whether the bucket is there"
            ) from None
        except BotoCoreError as error:
            raise NotReachable(
                f"the S3 server did not answer ({type(error).__name__})", about=self.id,
                next_step="see that it is up; then look again",
            ) from None  # fmt: skip


def _not_locked(of: tuple[_Version, bool]) -> tuple[_Version, bool, datetime | None, bool]:
    return *of, None, False


def _of_page(page: Any) -> Sequence[tuple[Any, bool]]:
    """Versions and delete markers of a page, each key's newest first."""
    entries = [(v, False) for v in page.get("Versions", [])] + [
        (m, True) for m in page.get("DeleteMarkers", [])
    ]
    entries.sort(
        key=lambda e: (e[0]["Key"].encode(), not e[0]["IsLatest"], -e[0]["LastModified"].timestamp())
    )
    return entries


def _next(page: Any) -> dict[str, str] | None:
    if not page.get("IsTruncated"):
        return None
    following = {"KeyMarker": page["NextKeyMarker"]}
    if page.get("NextVersionIdMarker"):
        following["VersionIdMarker"] = page["NextVersionIdMarker"]
    return following


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
