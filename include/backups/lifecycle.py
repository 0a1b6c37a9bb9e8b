"""What a bucket's lifecycle says of versions that are no longer current: which go, and when. Pure.

Only what is sure counts: a rule that asks for tags is taken to expire nothing, since a listing does not tell them.

Source: Amazon S3, "Lifecycle configuration elements"; a day is counted from the instant at which a version stopped being
current, and rounded up to the next midnight UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from include.model.times import prc_date


@dataclass(frozen=True)
class Rule:
    """Versions under ``prefix`` go so many ``days`` after they stopped being current, but for the ``newer`` newest of each key;
    if their size in bytes is within bounds."""

    prefix: str
    days: int
    newer: int = 0
    larger_than: int = -1
    smaller_than: int | None = None

    def covers(self, key: str, rank: int, size: int) -> bool:
        """``rank``: how many versions of the key that are not current either are newer."""
        return (
            key.startswith(self.prefix)
            and rank >= self.newer
            and size > self.larger_than
            and (self.smaller_than is None or size < self.smaller_than)
        )


@dataclass(frozen=True)
class Lifecycle:
    """``markers``: the prefixes under which a delete marker goes once nothing is under it any more."""

    rules: tuple[Rule, ...] = ()
    markers: tuple[str, ...] = ()

    def days(self, key: str, rank: int, size: int) -> int | None:
        """How long such a version stays after it stopped being current; None if no rule is sure to expire it."""
        return min((r.days for r in self.rules if r.covers(key, rank, size)), default=None)

    def removes_marker(self, key: str) -> bool:
        return key.startswith(self.markers) if self.markers else False


def read(rules: Iterable[Mapping[str, Any]]) -> Lifecycle:
    """The rules of ``GetBucketLifecycleConfiguration``."""
    found: list[Rule] = []
    markers: list[str] = []
    for rule in rules:
        within = rule.get("Filter") or {}
        all_of = within.get("And") or within
        if rule.get("Status") != "Enabled" or all_of.get("Tag") or all_of.get("Tags"):
            continue
        prefix = all_of.get("Prefix") or rule.get("Prefix") or ""
        larger, smaller = all_of.get("ObjectSizeGreaterThan", -1), all_of.get("ObjectSizeLessThan")
        expires = rule.get("NoncurrentVersionExpiration") or {}
        if "NoncurrentDays" in expires:
            newer = int(expires.get("NewerNoncurrentVersions") or 0)
            found.append(Rule(prefix, int(expires["NoncurrentDays"]), newer, larger, smaller))
        if (rule.get("Expiration") or {}).get("ExpiredObjectDeleteMarker"):
            markers.append(prefix)
    return Lifecycle(tuple(found), tuple(markers))


def last_day(since: datetime, days: int) -> date:
    """The last day on which a version may still be there that stopped being current at an instant."""
    over = (since + timedelta(days=days)).astimezone(UTC)
    midnight = datetime.combine(over.date(), time(), UTC)
    return prc_date(midnight if over == midnight else midnight + timedelta(days=1))
