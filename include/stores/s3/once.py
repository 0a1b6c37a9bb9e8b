"""What was listed and read once: for several questions of one moment, and, of what does not change, from night to night.

A version of a record file never changes, so that whoever read it need not read it again to say how old its records are
(``Reading``). Prover and eraser remember each for themselves (``Memory``), by the question that they asked of it: other fields,
other people under a hold or another code is another question, and is answered by reading anew.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import date
from typing import IO, TYPE_CHECKING, Protocol, cast

from include.model.estate import Dataset
from include.stores.s3.inventory import Inventory, Values

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

IN_MEMORY = 8 << 20
BATCH = 500  # readings that are kept at a time

Clocks = tuple[
    date | None, ...
]  # of each bind, in their order, the day that it starts on; None: it has not started
Group = tuple[Clocks, bool]  # and whether a hold covers them
Name = bytes
"""Of a version: a digest of what names its bytes for good."""
Also = Callable[[Dataset, IO[bytes]], tuple[int, int] | None]
"""What somebody else makes of a body that was fetched, by a reading of their own: records, and the sum of their digests."""


def name_of(bucket: str, key: str, version: str, etag: str, size: int) -> Name:
    """A version id names immutable bytes. Without versioning it is the ETag that does, with the size."""
    exact = (etag, str(size)) if version == "null" else ()
    return hashlib.sha256("\x00".join((bucket, key, version, *exact)).encode()).digest()


@dataclass(frozen=True)
class Reading:
    """What a version holds: of its records by their own clocks how many, and the sum of their digests. ``summed``: what whoever
    proves made of the same bytes (``Also``). ``odd``: how many bear no time that can be."""

    groups: Mapping[Group, tuple[int, int]]
    summed: tuple[int, int] | None = None
    odd: int = 0

    def to_text(self) -> str:
        groups = [
            [[d and d.isoformat() for d in clocks], held, n, f"{total:x}"]
            for (clocks, held), (n, total) in self.groups.items()
        ]
        return json.dumps(
            [groups, self.summed and [self.summed[0], f"{self.summed[1]:x}"], self.odd], separators=(",", ":")
        )

    @classmethod
    def from_text(cls, text: str) -> Reading:
        groups, summed, *odd = json.loads(text)
        return cls(
            {
                (tuple(d and date.fromisoformat(d) for d in clocks), held): (n, int(total, 16))
                for clocks, held, n, total in groups
            },
            (summed[0], int(summed[1], 16)) if summed else None,
            *odd,
        )


class Memory(Protocol):
    """Where readings outlive the process. Nothing in it is a person's, or says which file it is of."""

    def load(self, dataset: str) -> Iterable[tuple[Name, str, str]]:
        """All that is remembered of a dataset: version, question, reading."""

    def keep(self, dataset: str, question: str, read: Mapping[Name, str]) -> None:
        """Remember these; what is there of the same version gives way."""

    def forget(self, dataset: str, versions: Collection[Name]) -> None:
        """These are not there any more."""


@dataclass
class _Of:
    """What is known of one dataset, by one question. ``theirs``: versions of which another question was answered."""

    known: dict[Name, Reading | str] = field(default_factory=dict)
    theirs: set[Name] = field(default_factory=set)
    new: dict[Name, Reading] = field(default_factory=dict)


class Once:
    """The listings and readings of one role. ``memory``: where readings come from and go to; without one they do not outlive this
    object, nor listings ever."""

    def __init__(self, memory: Memory | None = None, also: Also | None = None) -> None:
        self._memory, self.also = memory, also
        self._listed: dict[str, Remembered] = {}
        self._listing: dict[str, Future[None]] = {}
        self._of: dict[tuple[str, str | None], _Of] = {}

    def inventory(self, client: S3Client, dataset: Dataset) -> Inventory:
        """What lies under each path of a dataset: listed now, or as it was listed before."""
        if (begun := self._listing.pop(dataset.id, None)) is not None:
            begun.exception()  # whoever asks lists again, and is told
        if dataset.id not in self._listed:
            self._listed[dataset.id] = Remembered(client, dataset)
        return self._listed[dataset.id]

    def begin_listing(self, client: S3Client, dataset: Dataset, pool: Executor, paths: int) -> None:
        """List a dataset in another thread, for whoever asks for it later; unless it was listed before."""
        if dataset.id not in self._listed:
            made = self._listed[dataset.id] = Remembered(client, dataset)
            self._listing[dataset.id] = pool.submit(made.list_all, paths)

    # --- readings ----------------------------------------------------------------------------------------

    def begin(self, dataset: str, question: str | None) -> None:
        """Before anything is asked: take up what is remembered."""
        if (dataset, question) in self._of:
            return
        of = self._of[dataset, question] = _Of()
        if self._memory is None or question is None:  # of which nobody knows later what was asked
            return
        for version, asked, text in self._memory.load(dataset):
            if asked == question:
                of.known[version] = text
            else:
                of.theirs.add(version)

    def known(self, dataset: str, question: str | None, version: Name) -> Reading | None:
        """What was read of a version; None: nobody did."""
        of = self._of[dataset, question]
        found = of.known.get(version)
        if isinstance(found, str):
            found = of.known[version] = Reading.from_text(found)
        return found

    def learn(self, dataset: str, question: str | None, version: Name, reading: Reading) -> None:
        of = self._of[dataset, question]
        of.known[version] = of.new[version] = reading
        if len(of.new) >= BATCH:
            self.keep()

    def keep(self) -> None:
        """Let what was learned outlive this process."""
        for (dataset, question), of in self._of.items():
            if of.new and self._memory is not None and question is not None:
                self._memory.keep(dataset, question, {v: r.to_text() for v, r in of.new.items()})
            of.new.clear()

    def only(self, dataset: str, question: str | None, there: Collection[Name]) -> None:
        """These are all versions that there are: the others need not be remembered."""
        self.keep()
        of = self._of[dataset, question]
        over = (of.known.keys() | of.theirs) - set(there)
        for version in over:
            of.known.pop(version, None)
        of.theirs -= over
        if over and self._memory is not None and question is not None:
            self._memory.forget(dataset, over)

    def forget(self, dataset: str, question: str | None, versions: Collection[Name]) -> None:
        """These are gone, or what is remembered of them is not so."""
        of = self._of[dataset, question]
        for version in versions:
            of.known.pop(version, None)
            of.new.pop(version, None)
        if versions and self._memory is not None and question is not None:
            self._memory.forget(dataset, versions)

    def summed(self, dataset: str, version: Name) -> tuple[int, int] | None:
        """Records and sum of a version that was read by whoever proves, for whatever question; None: nobody did."""
        for id_, question in self._of:
            if id_ == dataset and (reading := self.known(dataset, question, version)) and reading.summed:
                return reading.summed
        return None


class Remembered(Inventory):
    """An inventory that lists its bucket once. A listing that broke off is none."""

    def __init__(self, client: S3Client, dataset: Dataset) -> None:
        super().__init__(client, dataset)
        self._told: dict[bool | None, IO[bytes]] = {}

    def tallies(self, paths: int, *, unfinished: bool | None = None) -> Iterator[Counter[Values]]:
        if unfinished in self._told:
            yield from self._again(self._told[unfinished])
            return
        file = cast("IO[bytes]", tempfile.SpooledTemporaryFile(IN_MEMORY))  # noqa: SIM115  gone with this object
        for tally in super().tallies(paths, unfinished=unfinished):
            pickle.dump(tally, file)
            yield tally
        self._told[unfinished] = file

    def list_all(self, paths: int) -> None:
        """Before it is asked for."""
        for _ in self.tallies(paths):
            pass

    def _again(self, file: IO[bytes]) -> Iterator[Counter[Values]]:
        file.seek(0)
        while True:
            try:
                tally: Counter[Values] = pickle.load(file)  # noqa: S301  we wrote it ourselves, into a file without a name
            except EOFError:
                return
            yield tally


__all__ = ["Also", "Clocks", "Group", "Memory", "Name", "Once", "Reading", "Remembered", "name_of"]
