"""Record files by age: how old the records of each version are, whosever they are, and which of them are due.

A record's clock starts by a time that it bears itself. A floor is another thing: the law keeps the log, not the line, so it
starts with the youngest record of the version (``docs/stores-s3.md``). Whether what has started by then is due, somebody else
says (``Aging.fate``), by the calendar; and whom a hold names comes with the question.

A version that cannot be read to its end may hold anybody's records of any age. Nothing of its key is judged, and it is counted.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from include.model.abreast import abreast
from include.model.catalogue import Dataset
from include.model.errors import QuietusError
from include.model.retention import Clock, Group
from include.stores.s3.fate import day_of
from include.stores.s3.files import File, Files
from include.stores.s3.formats import to_the_minute
from include.stores.s3.items import Item, stamp
from include.stores.s3.listing import Walk, never
from include.stores.s3.once import Once
from include.stores.s3.server import reaching

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Clocks = tuple[
    date | None, ...
]  # of each bind, in their order, the day that it starts on; None: it has not started
Fate = tuple[str, str]  # rule and law
ANYBODY = frozenset[str]()


@dataclass(frozen=True)
class Starting:
    """Where the clock of one bind starts: a field of the record. ``floor``: a law forbids to rewrite the log before its end."""

    field: str
    floor: bool


@dataclass(frozen=True)
class Aging:
    """A question about one dataset of records. ``fate``: what is due by these clocks, and by which rule; None: it is not.
    ``link``: the field that says whose a record is; ``held``: whom holds name; ``everybody``: a hold covers all of it."""

    dataset: Dataset
    starts: tuple[Starting, ...]
    fate: Callable[[Clocks], Fate | None]
    link: str
    held: frozenset[str] = field(default=ANYBODY, repr=False)
    everybody: bool = False

    @property
    def nobody_held(self) -> bool:
        return not self.everybody and not self.held


@dataclass
class Aged:
    """One version. ``groups``: clocks, and whether held -> records. Of a version of which all is due, nothing stays."""

    entry: Item
    groups: Counter[tuple[Clocks, bool]]
    due: Counter[Fate]

    @property
    def records(self) -> int:
        return self.groups.total()

    @property
    def stays(self) -> int:
        """How many of its records are not due, or held."""
        return self.records - self.due.total()


@dataclass
class Key:
    """All that lies under one key, the oldest first. ``versions`` is None if one of them cannot be read."""

    entries: list[Item]
    versions: list[Aged] | None

    @property
    def due(self) -> int:
        return sum(v.due.total() for v in self.versions or ())

    @property
    def whole(self) -> bool:
        """Whether it goes as it is: something of it is due, and nothing in any of its versions stays."""
        return self.due > 0 and not any(v.stays for v in self.versions or ())

    @property
    def markers(self) -> list[Item]:
        return [e for e in self.entries if e.kind == "marker"]

    def last(self) -> tuple[Clocks, Fate]:
        """Clocks and fate that its markers go by: those of its newest version that has any."""
        newest = next(v for v in reversed(self.versions or []) if v.due)
        return max((c for c, _ in newest.groups), key=str), max(newest.due)


class Logs:
    """The record files of a dataset, by age. ``unreadable``: how many versions could not be read so far. ``once``: what was read
    before, of the same moment and with the same holds; versions do not change."""

    def __init__(self, client: S3Client, aging: Aging, once: Once | None = None) -> None:
        self._once = once
        self.client, self.aging, self.dataset = client, aging, aging.dataset
        self.files = Files(client, aging.dataset)
        self.unreadable = 0
        self._days: dict[str | None, date | None] = {}
        self._fates: dict[Clocks, Fate | None] = {}

    # --- what is there -------------------------------------------------------------------------------

    def listed(self) -> Iterator[Key]:
        """Every key of the dataset, some of them fetched ahead."""
        walk = Walk(self.client, self.dataset.address, may_leap=never, about=self.dataset.id)
        for entries, files in abreast(
            self._fetched, walk.versions(self.dataset.prefix, [self.dataset.prefix])
        ):
            yield self._key(entries, files)

    def key(self, name: str) -> Key:
        """One key, as it is now; without entries if nothing is there."""
        return self._key(*self._fetched(self.files.versions(name)[::-1]))

    def uploads(self) -> Iterator[tuple[Item, Clocks]]:
        """Unfinished uploads, of which nobody can read what they hold: as young as their newest part."""
        walk = Walk(self.client, self.dataset.address, may_leap=never, about=self.dataset.id)
        for upload in walk.uploads(self.dataset.prefix, [self.dataset.prefix]):
            day = day_of(self._newest_part(upload))
            yield upload, tuple(day for _ in self.aging.starts)

    def groups(self) -> Iterator[Group]:
        """All items, grouped by their clocks: records of each version, markers over what goes whole, unfinished uploads."""
        held = not self.aging.nobody_held  # nobody can say whose parts these are
        for _, clocks in self.uploads():
            yield _group(clocks, held, 1)
        for key in self.listed():
            for version in key.versions or ():
                for (clocks, is_held), items in version.groups.items():
                    yield _group(clocks, is_held, items)
            if key.whole and key.markers:
                yield _group(key.last()[0], False, len(key.markers))

    def fate(self, clocks: Clocks) -> Fate | None:
        """What is due by these clocks; asked once of each."""
        if clocks not in self._fates:
            self._fates[clocks] = self.aging.fate(clocks)
        return self._fates[clocks]

    # --- in a version --------------------------------------------------------------------------------

    def due_rows(self, file: File) -> Mapping[int, Fate]:
        """The records of a version that are due and not held, by row."""
        started = self._started(file)
        found: dict[int, Fate] = {}
        for row, clocks, held in self._each(file):
            fate = None if held else self.fate(self._effective(clocks, started))
            if fate is not None:
                found[row] = fate
        return found

    def sums(self, file: File) -> tuple[str, Mapping[Fate, str]]:
        """The sum of the digests of the records that stay, and of those that go by each fate. Sums add up: those of one version
        make up the sum of all its records, which anybody can count for himself."""
        due = self.due_rows(file)
        stay, go = 0, dict.fromkeys(due.values(), 0)
        for row, body in self.files.format.bodies(file.body):
            digest = int.from_bytes(hashlib.sha256(body).digest())
            if row in due:
                go[due[row]] += digest
            else:
                stay += digest
        return _hex(stay), {fate: _hex(total) for fate, total in go.items()}

    def _fetched(self, entries: list[Item]) -> tuple[list[Item], list[File | None]]:
        versions = [e for e in entries if e.kind == "version"]
        return entries, [
            File(e, io.BytesIO(), {}) if self._known(e) is not None else self.files.fetch(e) for e in versions
        ]

    def _known(self, entry: Item) -> Counter[tuple[Clocks, bool]] | None:
        return self._once.read.get(self._name(entry)) if self._once is not None else None

    def _name(self, entry: Item) -> tuple[str, ...]:
        return self.dataset.id, entry.key, entry.version, entry.etag

    def _key(self, entries: list[Item], files: Sequence[File | None]) -> Key:
        versions: list[Aged] | None = []
        for file in files:
            if file is None:  # gone since it was listed
                continue
            with file.body:
                try:
                    aged = self._aged(file)
                except QuietusError:
                    self.unreadable += 1
                    versions = None
                    continue
            if versions is not None:
                versions.append(aged)
        return Key(entries, versions)

    def _aged(self, file: File) -> Aged:
        own = self._known(file.entry)
        if own is None:
            own = Counter((clocks, held) for _, clocks, held in self._each(file))
            if self._once is not None:
                self._once.read[self._name(file.entry)] = own
        started = self._youngest(file, own)
        groups: Counter[tuple[Clocks, bool]] = Counter()
        due: Counter[Fate] = Counter()
        for (clocks, held), items in own.items():
            of = self._effective(clocks, started)
            groups[of, held] += items
            if not held and (fate := self.fate(of)) is not None:
                due[fate] += items
        return Aged(file.entry, groups, due)

    def _started(self, file: File) -> Clocks:
        return self._youngest(file, Counter({(clocks, held): 1 for _, clocks, held in self._each(file)}))

    def _youngest(self, file: File, own: Counter[tuple[Clocks, bool]]) -> Clocks:
        """Of each bind the day of the youngest record. One without a readable time is as young as the version it was written
        into."""
        written = day_of(file.entry.modified)
        return tuple(
            max((day for clocks, _ in own if (day := clocks[n] or written) is not None), default=None)
            for n in range(len(self.aging.starts))
        )

    def _effective(self, own: Clocks, youngest: Clocks) -> Clocks:
        return tuple(
            max(day, young or day) if start.floor and day is not None else day
            for start, day, young in zip(self.aging.starts, own, youngest, strict=True)
        )

    def _each(self, file: File) -> Iterator[tuple[int, Clocks, bool]]:
        """Row, own clocks, and whether it is held."""
        fields = tuple(dict.fromkeys(s.field for s in self.aging.starts))
        places = [fields.index(s.field) for s in self.aging.starts]
        for row, (whose, *times) in self.files.format.each(file.body, (self.aging.link, *fields)):
            days = [self._day(t) for t in times]
            yield row, tuple(days[p] for p in places), self.aging.everybody or whose in self.aging.held

    def _day(self, value: str | None) -> date | None:
        minute = to_the_minute(value) if value is not None else None  # a day has few of these
        if minute not in self._days:
            self._days[minute] = day_of(value)
        return self._days[minute]

    def _newest_part(self, upload: Item) -> str:
        newest = upload.modified
        with reaching(self.dataset.id):
            for page in self.client.get_paginator("list_parts").paginate(
                Bucket=self.dataset.address, Key=upload.key, UploadId=upload.version
            ):
                for part in page.get("Parts", []):
                    newest = max(newest, stamp(part["LastModified"]))
        return newest


def _group(clocks: Clocks, held: bool, items: int) -> Group:
    return Group(clocks=tuple(Clock(applies=True, day=day) for day in clocks), held=held, items=items)


def _hex(total: int) -> str:
    return f"{total % 2**256:064x}"
