"""The buckets' part of a picture: versions that are not the step's, and other people's records in shared files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from include.model.errors import Refused
from include.model.estate import Dataset
from include.model.words import DatasetKind
from include.proofs.bodies import Unreadable, others_of
from include.proofs.bucket import Bucket, Thing
from include.proofs.objects import Looking
from include.proofs.portions import Portion


class Sum:
    """Keyed digests added up: the order of what is added does not matter."""

    def __init__(self, seed: int) -> None:
        self._key = seed.to_bytes(8)
        self._count = self._total = 0

    def add(self, *parts: bytes) -> None:
        """Add one thing. Parts cannot run into each other."""
        digest = hashlib.blake2b(key=self._key, digest_size=16)
        for part in parts:
            digest.update(len(part).to_bytes(8) + part)
        self._count += 1
        self._total += int.from_bytes(digest.digest())

    def portion(self, name: str, dataset: str | None) -> Portion:
        return Portion(name=name, dataset=dataset, items=self._count, digest=f"{self._total % 2**128:032x}")


def portions(looking: Looking, seed: int) -> Iterator[Portion]:
    """``unchanged.<bucket>`` for every bucket but our own, ``records.<dataset>`` for every record dataset."""
    names, why = looking.buckets()
    if why:
        yield Portion(name=f"unchanged.{looking.store.id}").unseen(why)
    for name in names:
        try:
            yield _bucket(looking, name, seed)
        except Refused as error:
            yield Portion(name=f"unchanged.{name}").unseen(error.what)
    for dataset in looking.datasets:
        if dataset.kind is not DatasetKind.RECORDS:
            continue
        blank = Portion(name=f"records.{dataset.id}", dataset=dataset.id)
        try:
            yield _records(looking, dataset, seed)
        except Refused as error:
            yield blank.unseen(error.what)
        except Unreadable:
            yield blank.unseen("a record file cannot be read: nothing says whose it is")


def _bucket(looking: Looking, name: str, seed: int) -> Portion:
    mine: set[tuple[str, str]] = set()
    files: set[str] = set()
    for dataset in looking.datasets:
        if dataset.address == name and dataset.kind is DatasetKind.OBJECTS:
            mine.update((row["key"], row["version"]) for row in _items(looking, dataset))
        elif dataset.address == name:
            files |= _files(looking, dataset)
    total = Sum(seed)
    for thing in Bucket(looking.client, name).under([""]):
        if thing.id not in mine and thing.key not in files:
            total.add(*of_thing(thing))
    return total.portion(f"unchanged.{name}", None)


def of_thing(thing: Thing) -> tuple[bytes, ...]:
    """What names a thing and its bytes, for a sum."""
    # A version id names immutable bytes; where there are no versions the ETag and the size do.
    parts = (thing.kind, thing.key, thing.version, thing.etag, str(thing.size), str(thing.current))
    return tuple(part.encode() for part in parts)


def _records(looking: Looking, dataset: Dataset, seed: int) -> Portion:
    """Records that are not the cohort's, in the current versions of files in which the cohort has some.

    Those that bear the cut are left out: so do the cohort's own, once they are cut.
    """
    ((names, values),) = looking.owned(dataset).items()
    subjects = frozenset(v[0] for v in values)
    bucket = Bucket(looking.client, dataset.address)
    total = Sum(seed)
    files = _files(looking, dataset)
    for thing in bucket.under([dataset.prefix]) if files else ():
        if thing.key in files and thing.kind == "version" and thing.current and thing.size:
            for record in others_of(
                bucket.body(thing), dataset.format or "jsonl.gz", names[0], subjects,
                dataset.cut.set if dataset.cut else {},
            ):  # fmt: skip
                total.add(thing.key.encode(), record)
    return total.portion(f"records.{dataset.id}", dataset.id)


def _items(looking: Looking, dataset: Dataset) -> Iterator[dict[str, str]]:
    for row in looking.manifests.rows("located", dataset.id):
        if row["kind"] != "file":
            yield row


def _files(looking: Looking, dataset: Dataset) -> set[str]:
    return {row["key"] for row in _items(looking, dataset)}


__all__ = ["Sum", "of_thing", "portions"]
