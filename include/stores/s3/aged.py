"""Record files by age: how old the records of each version are, whosever they are, and which of them are due.

A record's clock starts by a time that it bears itself. A floor is another thing: the law keeps the log, not the line, so it
starts with the youngest record of the version (``docs/stores-s3.md``). Whether what has started by then is due, somebody else
says (``Aging.fate``), by the calendar; and whom a hold names comes with the question.

No record is younger than the version that it was written into: one that says so, or bears no time that can be read, counts as of
that day. So a single line with a wrong date does not keep everybody's for a thousand years, and none goes too soon. Such versions
are counted.

A version that cannot be read to its end may hold anybody's records of any age. Nothing of its key is judged, and it is counted.

A version that was read before is not fetched (``once``): all that is asked of it is how many records of which clocks it holds.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from include.model.abreast import abreast
from include.model.errors import QuietusError
from include.model.estate import Dataset
from include.model.retention import Clock, Group
from include.stores.s3.fate import day_of
from include.stores.s3.files import File, Files
from include.stores.s3.formats import to_the_minute
from include.stores.s3.items import Item, stamp
from include.stores.s3.listing import Walk, never
from include.stores.s3.once import Clocks, Name, Once, Reading, name_of
from include.stores.s3.once import Group as Own
from include.stores.s3.server import reaching

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Fate = tuple[str, str]  # rule and law
ANYBODY = frozenset[str]()
FORM = "3"  # of readings: in the first, a record was as young as it said; in the second, as its last rewriting at most
_Row = tuple[int, Sequence[str | None]]
AT_ONCE = 10_000  # rows whose owners are asked about


@dataclass(frozen=True)
class Starting:
    """Where the clock of one bind starts: a field of the record. ``floor``: a law forbids to rewrite the log before its end.
    ``unless``: of a former period: it never starts of people who accepted one of these versions of the policy."""

    field: str
    floor: bool
    unless: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Aging:
    """A question about one dataset of records. ``fate``: what is due by these clocks, and by which rule; None: it is not.
    ``link``: the field that says whose a record is; ``held``: whom holds name; ``everybody``: a hold covers all of it. ``mark``:
    says who is held, and is nobody's name; None: nobody made one, so that no answer is remembered. ``accepted``: of account ids,
    which version of the policy each accepted last; a record that nobody owns has no consent."""

    dataset: Dataset
    starts: tuple[Starting, ...]
    fate: Callable[[Clocks], Fate | None]
    link: str
    held: frozenset[str] = field(default=ANYBODY, repr=False)
    everybody: bool = False
    mark: str | None = None
    accepted: Callable[[Collection[str]], Mapping[str, str]] = field(default=lambda _: {}, repr=False)

    @property
    def question(self) -> str | None:
        """What a reading is remembered by: whatever else decides what is read of a version. None: nothing is remembered, as where
        a version of the policy decides, which its owner may have accepted since."""
        if self.mark is None or any(start.unless for start in self.starts):
            return None
        starts = ",".join(start.field for start in self.starts)
        parts = (FORM, self.dataset.format or "", starts, self.link, str(self.everybody), self.mark)
        return hashlib.sha256("\x00".join(parts).encode()).hexdigest()

    @property
    def nobody_held(self) -> bool:
        return not self.everybody and not self.held

    @property
    def may_change(self) -> bool:
        """Whether what was due may be so no more, though no version changed: by a hold, or since its owner accepted a later
        version of the policy."""
        return not self.nobody_held or any(start.unless for start in self.starts)


@dataclass
class Aged:
    """One version. ``groups``: clocks, and whether held -> records. Of a version of which all is due, nothing stays. ``left``:
    what stays, by its own clocks; ``sums``: of the digests of what goes, by fate."""

    entry: Item
    groups: Counter[Own]
    due: Counter[Fate]
    left: Mapping[Own, tuple[int, int]] = field(default_factory=dict)
    sums: Mapping[Fate, str] = field(default_factory=dict)

    @property
    def records(self) -> int:
        return self.groups.total()

    @property
    def stays(self) -> int:
        """How many of its records are not due, or held."""
        return self.records - self.due.total()

    @property
    def sum_of_stays(self) -> str:
        """The sum of the digests of what stays. Sums add up: with those of what goes they make up that of all its records, which
        anybody can count for himself."""
        return _hex(sum(total for _, total in self.left.values()))


class Gone:
    """In place of a version that was not there any more when it was fetched."""


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
    before; versions do not change."""

    def __init__(self, client: S3Client, aging: Aging, once: Once | None = None) -> None:
        # Where nobody can say whether two questions are the same, each is asked by itself.
        self._once = (
            once
            if once is not None and aging.question is not None
            else Once(also=once.also if once is not None else None)
        )
        self.client, self.aging, self.dataset = client, aging, aging.dataset
        self.files = Files(client, aging.dataset)
        self.unreadable = 0
        self.odd = 0  # versions with records whose time cannot be
        self._question = aging.question
        self._days: dict[str | None, date | None] = {}
        self._fates: dict[Clocks, Fate | None] = {}
        self._once.begin(self.dataset.id, self._question)

    # --- what is there -------------------------------------------------------------------------------

    def listed(self) -> Iterator[Key]:
        """Every key of the dataset, some of them fetched ahead. What is not there any more is not remembered either."""
        walk = Walk(self.client, self.dataset.address, may_leap=never, about=self.dataset.id)
        there: set[Name] = set()
        for entries, files in abreast(
            self._fetched, walk.versions(self.dataset.prefix, [self.dataset.prefix])
        ):
            there.update(self._name(e) for e in entries if e.kind == "version")
            yield self._key(entries, files)
        self._once.only(self.dataset.id, self._question, there)

    def key(self, name: str) -> Key:
        """One key, as it is now; without entries if nothing is there."""
        return self._key(*self._fetched(self.files.versions(name)[::-1]))

    def version(self, entry: Item) -> Aged | None:
        """One version; None if it is gone. Raises as :meth:`due_rows`."""
        (file,) = self._fetched([entry])[1]
        if isinstance(file, Gone):
            return None
        if file is None:
            return self._aged(entry, None)
        with file.body:
            return self._aged(entry, file)

    def of(self, entry: Item, file: File) -> Aged:
        """A version that was fetched, read whatever is remembered of it."""
        return self._aged(entry, file)

    def anew(self, entry: Item) -> Aged | None:
        """One version, fetched and read whatever is remembered of it; None if it is gone. Raises as :meth:`due_rows`."""
        file = self.files.fetch(entry)
        if file is None:
            return None
        with file.body:
            return self.of(entry, file)

    def forget(self, entries: Iterable[Item]) -> None:
        """These are gone, or what is remembered of them is not so."""
        self._once.forget(self.dataset.id, self._question, [self._name(e) for e in entries])

    def wrote(self, entry: Item, of: Aged) -> None:
        """A version holds just what stayed of another one: whoever wrote it read it back against that."""
        self._once.learn(self.dataset.id, self._question, self._name(entry), Reading(of.left))

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

    def _fetched(self, entries: list[Item]) -> tuple[list[Item], list[File | Gone | None]]:
        """The versions among these, each with its file; without one if it was read before."""
        found: list[File | Gone | None] = []
        for entry in entries:
            if entry.kind == "version":
                known = self._known(entry) is not None
                found.append(None if known else self.files.fetch(entry) or Gone())
        return entries, found

    def _known(self, entry: Item) -> Reading | None:
        return self._once.known(self.dataset.id, self._question, self._name(entry))

    def _name(self, entry: Item) -> Name:
        return name_of(self.dataset.address, entry.key, entry.version, entry.etag, entry.size)

    def _key(self, entries: list[Item], files: Sequence[File | Gone | None]) -> Key:
        versions: list[Aged] | None = []
        for entry, file in zip((e for e in entries if e.kind == "version"), files, strict=True):
            if isinstance(file, Gone):  # since it was listed
                continue
            try:
                aged = self._aged(entry, file)
            except QuietusError:
                self.unreadable += 1
                versions = None
                continue
            finally:
                if file is not None:
                    file.close()
            if versions is not None:
                versions.append(aged)
        return Key(entries, versions)

    def _aged(self, entry: Item, file: File | None) -> Aged:
        """``file``: None if it was read before."""
        reading = self._known(entry) if file is None else self._read(entry, file)
        assert reading is not None  # noqa: S101 (else it was fetched)
        self.odd += reading.odd > 0
        written = file.written if file is not None else day_of(entry.modified)
        started = self._youngest(written, reading.groups)
        groups: Counter[Own] = Counter()
        due: Counter[Fate] = Counter()
        left: dict[Own, tuple[int, int]] = {}
        sums: Counter[Fate] = Counter()
        for (clocks, held), (items, total) in reading.groups.items():
            of = self._effective(clocks, started)
            groups[of, held] += items
            fate = None if held else self.fate(of)
            if fate is None:
                left[clocks, held] = items, total
            else:
                due[fate] += items
                sums[fate] += total
        return Aged(entry, groups, due, left, {fate: _hex(total) for fate, total in sums.items()})

    def _read(self, entry: Item, file: File) -> Reading:
        """Read a version to its end, and remember what it holds."""
        numbers: dict[Own, int] = {}
        of = array("L")  # of each record the number of its group
        counts: list[int] = []
        odd = [0]
        for _, clocks, held in self._each(file, odd):
            number = numbers.setdefault((clocks, held), len(numbers))
            if number == len(counts):
                counts.append(0)
            counts[number] += 1
            of.append(number)
        totals = [0] * len(counts)
        for number, (_, body) in zip(of, self.files.format.bodies(file.body), strict=True):
            totals[number] += int.from_bytes(hashlib.sha256(body).digest())
        reading = Reading({own: (counts[n], totals[n] % 2**256) for own, n in numbers.items()}, odd=odd[0])
        if self._once.also is not None:
            file.body.seek(0)
            reading = replace(reading, summed=self._once.also(self.dataset, file.body))
        self._once.learn(self.dataset.id, self._question, self._name(entry), reading)
        return reading

    def _started(self, file: File) -> Clocks:
        return self._youngest(file.written, {(clocks, held) for _, clocks, held in self._each(file)})

    def _youngest(self, written: date | None, own: Collection[Own]) -> Clocks:
        """Of each bind the day of the youngest record. One without a readable time is as young as the version it was written
        into."""
        return tuple(
            max((day for clocks, _ in own if (day := clocks[n] or written) is not None), default=None)
            for n in range(len(self.aging.starts))
        )

    def _effective(self, own: Clocks, youngest: Clocks) -> Clocks:
        return tuple(
            max(day, young or day) if start.floor and day is not None else day
            for start, day, young in zip(self.aging.starts, own, youngest, strict=True)
        )

    def _each(self, file: File, odd: list[int] | None = None) -> Iterator[tuple[int, Clocks, bool]]:
        """Row, own clocks, and whether it is held. ``odd`` counts those without a time that can be."""
        written = file.written
        fields = tuple(dict.fromkeys(s.field for s in self.aging.starts))
        places = [fields.index(s.field) for s in self.aging.starts]
        each = self.files.format.each(file.body, (self.aging.link, *fields))
        for row, (whose, *times), accepted in self._with_versions(each):
            said = [self._day(t) for t in times]
            if odd is not None and any(d is None or _after(d, written) for d in said):
                odd[0] += 1
            days = [d if written is None else min(d or written, written) for d in said]
            clocks = tuple(
                None if accepted in start.unless else days[p]
                for start, p in zip(self.aging.starts, places, strict=True)
            )
            yield row, clocks, self.aging.everybody or whose in self.aging.held

    def _with_versions(self, each: Iterable[_Row]) -> Iterator[tuple[int, Sequence[str | None], str | None]]:
        """The rows with the version that each one's owner accepted last, asked of some thousands at a time; and of none, where no
        period was made longer."""
        if not any(start.unless for start in self.aging.starts):
            yield from ((row, said, None) for row, said in each)
            return
        rows = iter(each)
        while some := list(islice(rows, AT_ONCE)):
            of = self.aging.accepted({said[0] for _, said in some if said[0] is not None})
            yield from ((row, said, of.get(said[0] or "")) for row, said in some)

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


def _after(day: date, written: date | None) -> bool:
    """Whether it is plainly no day of what was written by then: clocks of two machines differ at midnight."""
    return written is not None and day > written + timedelta(days=1)


def _group(clocks: Clocks, held: bool, items: int) -> Group:
    return Group(clocks=tuple(Clock(applies=True, day=day) for day in clocks), held=held, items=items)


def _hex(total: int) -> str:
    return f"{total % 2**256:064x}"
