"""Which segments of the log a recovery may ask for."""

from __future__ import annotations

from pathlib import Path

from include.backups.restoring.room import Room
from include.backups.restoring.server import control
from include.backups.restoring.tool import Until
from include.model.backups import BackupCopy, segment


def segment_size(room: Room, binaries: Path) -> int:
    """Bytes of a segment, as the restored cluster was made with."""
    return int(control(room, binaries)["Bytes per WAL segment"])


def wanted(copy: BackupCopy, until: Until, size: int, newest: int) -> list[str]:
    """The names of the segments from a copy's beginning to where it is recovered to, or to the ``newest`` position."""
    start, last = _bounds(copy, until)
    if start is None or copy.timeline is None:
        return []
    end = newest if last is None else min(last, newest)
    return [name_of(copy.timeline, no, size) for no in range(start // size, end // size + 1)]


def needed(name: str, copy: BackupCopy, until: Until, size: int) -> bool:
    """Whether a file of the archive is one of those; histories of timelines always are."""
    if name.endswith(".history"):
        return True
    start, last = _bounds(copy, until)
    if start is None or (copy.timeline is not None and int(name[:8], 16) != copy.timeline):
        return False
    at = segment(name, size)
    return at + size > start and (last is None or at <= last)


def name_of(timeline: int, no: int, size: int) -> str:
    per = (1 << 32) // size
    return f"{timeline:08X}{no // per:08X}{no % per:08X}"


def _bounds(copy: BackupCopy, until: Until) -> tuple[int | None, int | None]:
    if until.at_once:
        return copy.start, copy.stop
    return copy.start, until.position
