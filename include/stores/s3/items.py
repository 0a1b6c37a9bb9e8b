"""One located item as a manifest row, and the digest over many of them.

A manifest (``manifests``) is written and read as a stream, in order of key; of one key the oldest version first,
so that a disposal that is cut short never brings an older version to light.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from typing import Literal, cast

from include.model.flow import Line, Located
from include.model.words import CopyKind, Disposition

Kind = Literal["version", "marker", "upload", "record", "file"]


@dataclass(slots=True)
class Item:
    """A version, delete marker, open upload or record. ``file`` rows say a record file was scanned
    and are no item. ``version`` is the version id (``null`` without versioning) or the upload id."""

    kind: Kind
    key: str
    version: str
    current: bool
    etag: str = ""
    size: int = 0
    modified: str = ""  # ISO 8601, UTC; for an upload, when it was begun
    subjects: tuple[int, ...] = ()
    link_only: bool = False  # not the cohort's to take: others own it too, or nobody in the cohort owns it
    shared: bool = False  # somebody outside the cohort owns it too, so it waits for its last owner
    values: dict[str, str | None] = field(default_factory=dict)  # template variables or record fields
    row: int = -1  # position of the record in its file, from 0
    content: str = ""  # digest of the record's own bytes
    # Of a noncurrent record file: records of others that the current file lacks.
    # Of a noncurrent record: whether the current file has it too.
    bystanders_lost: int = 0
    in_current: bool = False
    newest: bool = False  # of its key, delete markers included
    # Of a ``file`` row with records of the cohort.
    mixed: bool = False  # it holds records of others too, so it cannot be denied as a whole
    youngest: dict[str, str] = field(default_factory=dict)  # time field -> day of its youngest record
    # At night, when nobody's records are looked for: how many a ``record`` row stands for, all of one version and of one fate.
    # Of a ``file`` row: how many of its records stay, and (``content``) the sum of their digests.
    records: int = 1
    stays: int = 0
    # What was weighed.
    disposition: Disposition | None = None
    rule: str = ""
    law: str = ""
    until: date | None = None
    waits_for: str | None = None
    hold: str | None = None

    @property
    def copy(self) -> CopyKind:
        """A current object (or record in one) is live; all else is kept by versioning or multipart."""
        return CopyKind.LIVE if self.current else CopyKind.OBJECT_VERSION

    def identity(self, bucket: str) -> bytes:
        """32 bytes that name the item. A version id names immutable bytes; ``null`` does not, so the ETag
        joins in (not the time: on Ceph our own tagging moves it)."""
        parts = [bucket, self.key, self.version, self.kind, str(self.row)]
        if self.records != 1:
            parts += [str(self.records), self.rule]
        if self.version == "null":
            parts.append(self.etag)
        return hashlib.sha256("\x00".join(parts).encode()).digest()

    def line(self) -> bytes:
        """The manifest row. Defaults are left out: most rows are short."""
        out = {k: v for k in _FIELDS if (v := getattr(self, k)) != _DEFAULTS.get(k, _NEVER)}
        return json.dumps(out, ensure_ascii=False, default=str, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Item:
        raw = json.loads(line)
        raw["subjects"] = tuple(raw.get("subjects", ()))
        if raw.get("disposition"):
            raw["disposition"] = Disposition(raw["disposition"])
        if raw.get("until"):
            raw["until"] = date.fromisoformat(raw["until"])
        return cls(**raw)


_NEVER = object()
_FIELDS = tuple(f.name for f in fields(Item))
_DEFAULTS: dict[str, object] = {
    f.name: (f.default_factory() if callable(f.default_factory) else f.default)
    for f in fields(Item)
    if f.name not in ("kind", "key", "version", "current")
}


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


class Tally:
    """Counts and digests items per copy. The digest is the sum of their SHA-256 modulo 2**256: the
    order does not matter, and one item more, less or other changes it (multiset hash)."""

    def __init__(self, dataset: str, bucket: str) -> None:
        self.dataset, self.bucket = dataset, bucket
        self._of: dict[CopyKind, tuple[int, int]] = {}

    def add(self, item: Item) -> None:
        if item.kind == "file":
            return
        count, total = self._of.get(item.copy, (0, 0))
        self._of[item.copy] = count + item.records, total + int.from_bytes(item.identity(self.bucket))

    def add_all(self, items: Iterable[Item]) -> Iterator[Item]:
        """Pass items through, counting them."""
        for item in items:
            self.add(item)
            yield item

    def located(self) -> tuple[Located, ...]:
        """One entry per copy that has items, and always one for the live copy."""
        of = {CopyKind.LIVE: (0, 0), **self._of}
        return tuple(
            Located(dataset=self.dataset, copy_kind=kind, items=n, digest=f"{total % 2**256:064x}")
            for kind, (n, total) in sorted(of.items())
        )


class Lines:
    """Groups weighed items into the lines of a plan."""

    def __init__(self, dataset: str) -> None:
        self.dataset = dataset
        self._of: dict[tuple[object, ...], int] = {}

    def add(self, item: Item) -> None:
        fate = (item.copy, item.disposition, item.rule, item.law, item.until, item.waits_for, item.hold)
        self._of[fate] = self._of.get(fate, 0) + item.records

    def lines(self) -> tuple[Line, ...]:
        found = [
            Line(
                dataset=self.dataset,
                copy_kind=cast(CopyKind, copy),
                disposition=cast(Disposition, disposition),
                items=n,
                rule=cast(str, rule),
                law=cast(str, law),
                until=cast("date | None", until),
                waits_for=cast("str | None", waits_for),
                hold=cast("str | None", hold),
            )
            for (copy, disposition, rule, law, until, waits_for, hold), n in self._of.items()
        ]
        return tuple(sorted(found, key=lambda line: line.canonical()))
