"""What a record file format must be able to do. A new format is one new file, and its name in ``files.format_of``."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Protocol

import numpy as np

from include.model.estate import Cut

if TYPE_CHECKING:
    from numpy.typing import NDArray

# row -> None to drop the record, or a Cut to set fields of it to constants
Changes = Mapping[int, Cut | None]

_KEY = secrets.token_bytes(16)


@dataclass(slots=True)
class Found:
    """One record of the cohort. ``subject`` of None: it looks like one but cannot be read."""

    row: int
    subject: str | None
    content: str = ""
    values: dict[str, str | None] = field(default_factory=dict)


@dataclass(slots=True)
class Rewritten:
    before: int  # records in the file
    dropped: int
    cut: int


class RecordFormat(Protocol):
    """Reads and rewrites one file of many people's records. Files are seekable and at position 0."""

    def scan(
        self, source: IO[bytes], link: str, wanted: frozenset[str], fields: Sequence[str]
    ) -> Iterator[Found]:
        """The records whose field ``link`` is one of ``wanted``, in order, with the values of ``fields``."""

    def prints(self, source: IO[bytes], without: frozenset[int]) -> NDArray[np.uint64]:
        """A 64-bit print of every record but those rows, sorted. Equal records have equal prints."""

    def others(self, source: IO[bytes], rows: frozenset[int]) -> bool:
        """Whether the file has any record but those rows. Stops at the first."""

    def times(self, source: IO[bytes], field: str) -> Iterator[str | None]:
        """What every record, whoever's, says in a field that holds a time: each value at least once, to the
        minute; None for a record that says nothing."""

    def each(self, source: IO[bytes], fields: Sequence[str]) -> Iterator[tuple[int, tuple[str | None, ...]]]:
        """Every record, whoever's, by its row and what it says in these fields; None where it says nothing readable."""

    def bodies(self, source: IO[bytes]) -> Iterator[tuple[int, bytes]]:
        """Every record by its row, as bytes: a line as it is written, a row of Parquet as names and values."""

    def rewrite(self, source: IO[bytes], sink: IO[bytes], changes: Changes) -> Rewritten:
        """Copy the file with these changes; every other record keeps its bytes and its place."""

    def verify(self, source: IO[bytes], copy: IO[bytes], changes: Changes) -> bool:
        """Read both again: whether the copy is the source with exactly these changes."""


def content_of(record: bytes) -> str:
    """Digest of one record's bytes, to find the same record again in another version of its file."""
    return hashlib.blake2b(record, digest_size=16).hexdigest()


def to_the_minute(value: str) -> str:
    """An ISO 8601 moment without its seconds, so that a day's many moments are few; anything else as it is."""
    if len(value) > 19 and value[10] in "T " and value[13] == value[16] == ":":
        return value[:16] + value[19:].lstrip(".0123456789")
    return value


def print_of(record: bytes) -> int:
    """64 bits of a record under a key of this process: nobody can make two records agree on purpose."""
    return int.from_bytes(hashlib.blake2b(record, digest_size=8, key=_KEY).digest())


def lost(old: NDArray[np.uint64], new: NDArray[np.uint64]) -> int:
    """How many records of ``old`` are missing in ``new``, counted with repeats. Both are sorted."""
    values, counts = np.unique(old, return_counts=True)
    there = np.searchsorted(new, values, side="right") - np.searchsorted(new, values, side="left")
    return int(np.maximum(counts - there, 0).sum())
