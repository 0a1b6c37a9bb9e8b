"""What the handlers of one store share: the client, the step area, the back-off budget and the wiring."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import ClientError

from include.model.estate import Dataset, Link
from include.model.flow import OBJECT_LOCK, Finding, Step
from include.model.times import observed_now, prc_date
from include.model.words import CopyKind, Disposition, Ownership
from include.stores.s3.area import Area
from include.stores.s3.fate import Judge, settle
from include.stores.s3.items import Item
from include.stores.s3.server import Patience, code_of, reaching
from include.stores.s3.wiring import KeysOf

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WORKERS = 8
AHEAD = 256  # items whose locks or tags are asked for at once


@dataclass(frozen=True)
class Owned:
    """Whose an item is, of the cohort. See ``link_only`` and ``shared`` of :class:`Item`."""

    subjects: tuple[int, ...] = ()
    link_only: bool = True
    shared: bool = False

    def __or__(self, other: Owned) -> Owned:
        """Both ways lead to the item: the stronger ownership counts."""
        only = self.link_only and other.link_only
        return Owned(
            tuple(dict.fromkeys((*self.subjects, *other.subjects))),
            only,
            only and (self.shared or other.shared),
        )


Owners = dict[tuple[str, ...], Owned]  # values of the link's variables or fields -> whose the item is


@dataclass
class Site:
    client: S3Client
    area: Area
    patience: Patience
    keys_of: KeysOf
    _locking: dict[str, bool] = field(default_factory=dict)

    def locking(self, bucket: str) -> bool:
        """Whether the bucket can lock versions. Asked once."""
        if bucket not in self._locking:
            with reaching(bucket):
                try:
                    self.client.get_object_lock_configuration(Bucket=bucket)
                    self._locking[bucket] = True
                except ClientError as error:
                    if code_of(error) != "ObjectLockConfigurationNotFoundError":
                        raise
                    self._locking[bucket] = False
        return self._locking[bucket]

    def locks(self, bucket: str, items: Sequence[Item]) -> list[tuple[datetime | None, bool]]:
        """Of each version: until when it is locked (None: it is not, by the wall clock) and whether a
        legal hold is on it. A lock is an observation, so ``as_of`` has no say in it."""
        with ThreadPoolExecutor(WORKERS) as pool:
            return list(pool.map(lambda item: lock_of(self.client, bucket, item), items))


def lock_of(client: S3Client, bucket: str, item: Item) -> tuple[datetime | None, bool]:
    """Of one version, as :meth:`Site.locks`."""
    with reaching(bucket):
        try:
            head = client.head_object(Bucket=bucket, Key=item.key, VersionId=item.version)
        except ClientError as error:
            if code_of(error) in ("404", "NoSuchVersion", "NoSuchKey"):
                return None, False  # gone since; the re-survey before disposing will say so
            raise
    end = head.get("ObjectLockRetainUntilDate")
    locked = end is not None and end > observed_now()
    return (end if locked else None), head.get("ObjectLockLegalHoldStatus") == "ON"


def weigh_lock(item: Item, end: datetime | None, legal_hold: bool) -> None:
    """A locked version stays until its date (R7), under a legal hold until that is lifted."""
    if legal_hold:
        settle(item, Disposition.RETAIN, item.rule, OBJECT_LOCK, waits_for="the end of the legal hold")
    elif end is not None:
        settle(item, Disposition.RETAIN, item.rule, OBJECT_LOCK, until=prc_date(end))


@dataclass
class Done:
    """What carrying out one chunk did. ``counts``: what happened -> items."""

    counts: dict[str, int] = field(default_factory=dict)
    stayed: dict[str, int] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def add(self, item: Item, n: int = 1) -> None:
        name = happened(item)
        self.counts[name] = self.counts.get(name, 0) + n


def happened(item: Item) -> str:
    """The word in a receipt: ``erased`` for the live copy, ``erased@object_version`` for others."""
    assert item.disposition is not None  # noqa: S101 (weighed)
    past = item.disposition.past
    return past if item.copy is CopyKind.LIVE else f"{past}@{item.copy}"


class Handler(Protocol):
    """One dataset in the five verbs: whole objects or records in files."""

    dataset: Dataset

    def survey(self, step: Step) -> Iterator[Item]:
        """Every item of the cohort, in manifest order, as a stream. Fills ``findings`` on the way."""

    findings: list[Finding]

    def weigh(self, items: Iterable[Item], judge: Judge) -> Iterator[Item]:
        """The same rows with their dispositions."""

    def chunks(self, weighed: Iterable[Item]) -> Iterator[list[Item]]:
        """Rows that are carried out together, always cut in the same places."""

    def drift(self, step: Step, touched: set[int], begun: set[int], expected: Iterable[Item]) -> str | None:
        """What is there now that was not weighed, or is missing, in words; None if nothing. Chunks in
        ``touched`` are done, those in ``begun`` may be half done."""

    def carry_out(self, step: Step, rows: Sequence[Item]) -> Done:
        """Do it. Again is harmless: what is gone counts as done."""

    def tags(self, located: Iterable[Item]) -> Iterator[Item]:
        """The versions to mark as restricted."""

    def open_to_others(self, located: Iterable[Item]) -> Iterator[Item]:
        """The versions that hold something of the cohort and cannot be marked, for others own the rest."""


def owners(site: Site, step: Step, dataset: Dataset) -> dict[tuple[str, ...], Owners]:
    """The cohort's link values: names of variables (or fields) -> values -> owners."""
    found: dict[tuple[str, ...], Owners] = {}

    def add(names: tuple[str, ...], values: tuple[str, ...], owned: Owned) -> None:
        of = found.setdefault(names, {})
        of[values] = of.get(values, Owned()) | owned

    for link in dataset.links:
        if link.column is not None:
            only = link.ownership is Ownership.ACCESS_ONLY
            for no, subject in enumerate(step.subjects):
                add((link.column,), (subject,), Owned((no,), only))
    via = [link for link in dataset.links if link.via is not None]
    if via:
        only = all(link.ownership is Ownership.ACCESS_ONLY for link in via)
        for no, values, outside in site.keys_of(step, dataset):
            names = tuple(sorted(values))
            theirs = outside and not only
            add(names, tuple(values[n] for n in names), Owned((no,), only or outside, theirs))
    return found


def needs_keys(links: Sequence[Link]) -> bool:
    return any(link.via is not None for link in links)
