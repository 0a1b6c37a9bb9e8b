"""Copies of a store that a backup tool keeps, as the tool itself says: what each reaches back to, leans on, and is kept by."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol

from include.model.errors import Refused

_LSN = re.compile(r"([0-9A-F]{1,8})/([0-9A-F]{1,8})")
_SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})")
SEGMENT = 16 << 20  # bytes of WAL in a segment, unless a cluster was made otherwise


class CopyOf(StrEnum):
    """What a copy is made of."""

    FULL = "full"
    DIFFERENTIAL = "differential"
    INCREMENTAL = "incremental"
    DUMP = "dump"
    VERSIONS = "versions"
    LOG = "log"


@dataclass(frozen=True)
class BackupCopy:
    """One copy. ``start``: the position in the log (bytes) from which it is recovered, so that what was gone from the files
    before is not in it. ``leans_on``: copies without which it is none. ``pinned``: why the tool will not expire it.
    ``broken``: why it cannot be restored; what it holds, it holds. ``until``: its last day by the tool's own rule, where it
    has one."""

    name: str
    kind: CopyOf
    start: int | None
    stop: int | None
    timeline: int | None
    started_at: datetime | None
    stopped_at: datetime | None
    location: str
    leans_on: tuple[str, ...] = ()
    pinned: str | None = None
    broken: str | None = None
    until: date | None = None


@dataclass(frozen=True)
class WalArchive:
    """Archived WAL: the position at which the oldest segment begins, and the newest ends. ``timeline``: the one on which it
    goes on now, of a log that is still being written."""

    oldest: int
    newest: int
    segments: int
    timeline: int | None = None


@dataclass(frozen=True)
class Copies:
    """Everything that a backup set has. ``system``: the identifier of the cluster it is of, where the tool says it.
    ``problems``: what could not be read, so that it cannot be known what it holds."""

    copies: tuple[BackupCopy, ...]
    archive: WalArchive | None = None
    system: int | None = None
    problems: tuple[str, ...] = ()

    def oldest_start(self) -> int | None:
        """The oldest position that any copy, whole or not, reaches back to; None if there is none, or one does not say."""
        starts = [copy.start for copy in self.copies]
        return None if not starts or None in starts else min(s for s in starts if s is not None)


class BackupTool(Protocol):
    """Reads one backup set. It changes nothing."""

    def look(self) -> Copies:
        """What there is now. Raises NotReachable if the repository, or the tool, cannot be asked."""


@dataclass(frozen=True)
class ArchiveCut:
    """What a tool would do to the archived WAL of a place: every segment that begins before this position (bytes) goes."""

    place: str
    until: int


class BackupExpirer(Protocol):
    """Lets copies of one set go, by its tool's own commands. What is to go is decided elsewhere; each call may raise
    NotReachable. A rehearsal changes nothing."""

    def check(self, copy: BackupCopy) -> str | None:
        """Why this copy, or one that it leans on, cannot be restored, by the tool's own reading of all its bytes; None if
        it can, as far as that is known without restoring it."""

    def rehearse(self, names: Sequence[str]) -> frozenset[str]:
        """Every copy that would go with these."""

    def let_go(self, names: Sequence[str]) -> None:
        """Have them go, in this order."""

    def rehearse_archive(self, staying: Collection[BackupCopy]) -> tuple[ArchiveCut, ...]:
        """What archived WAL would go that none of the copies that stay needs, at each place where any would."""

    def let_go_archive(self, staying: Collection[BackupCopy]) -> None:
        """Have it go. A tool that lets archived WAL go with its copies does nothing more."""


def lsn(text: str) -> int:
    """``0/2000028`` as a number of bytes. Raises Refused."""
    found = _LSN.fullmatch(text.strip())
    if found is None:
        raise Refused(
            "this is no position in a log", about="backup", next_step="see what the backup tool says"
        )
    return int(found[1], 16) << 32 | int(found[2], 16)


def written(position: int) -> str:
    """A number of bytes as PostgreSQL writes it."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def segment(name: str, size: int = SEGMENT) -> int:
    """The position at which a segment begins, by its file's name. Raises Refused."""
    found = _SEGMENT.match(name)
    if found is None:
        raise Refused("this is no segment of WAL", about="backup", next_step="see what lies in the archive")
    return (int(found[2], 16) * ((1 << 32) // size) + int(found[3], 16)) * size


def segment_name(position: int, timeline: int = 1, size: int = SEGMENT) -> str:
    """The name of the segment in which a position lies."""
    per_file = (1 << 32) // size
    return f"{timeline:08X}{position // size // per_file:08X}{position // size % per_file:08X}"
