"""What a server's log files still hold, by their bytes: a segment that was recycled bears the name of one to come, and says what
it said before until it is written over.

Every page of the log says at which position it was written, so the oldest of these is how far back the files reach, whatever
they are called. Source: access/xlog_internal.h of PostgreSQL 15 to 18.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_NO_LOG = re.compile(
    r".*\.(history|backup)"
)  # where timelines part, and where backups began: no row is in them
_OURS = frozenset({"archive_status", "summaries"})  # marks without content; which blocks changed
_SEGMENT = re.compile(r"[0-9A-F]{24}")
_PAGE = struct.Struct("<HHIQI")  # magic, flags, timeline, position, rest of a record
_HEADER = 24  # with its padding
_SYSTEM = struct.Struct("<Q")
_MAGIC = range(0xD100, 0xD200)
_IS_LONG = 0x0002
_AT_ONCE = 128  # pages


@dataclass(frozen=True)
class LogFiles:
    """``oldest``: the least position that any page was written at (bytes), also one that waits to be written over; None if no
    page was written. ``segments``: names of whole segments. ``systems``: the clusters that wrote them. ``strange``: files of
    which it is not known what they hold."""

    oldest: int | None
    segments: frozenset[str]
    systems: frozenset[int]
    strange: tuple[str, ...]


class Changing(Exception):
    """Files came, went or were renamed while they were read."""


def read(directory: Path, page: int) -> LogFiles:
    """All files of ``pg_wal``. ``page``: bytes of a page of log. Raises OSError, and Changing: then read again."""
    before = _listed(directory)
    oldest: int | None = None
    systems: set[int] = set()
    strange = [name for name, plain in before.items() if not plain]
    for name in sorted(name for name, plain in before.items() if plain):
        whole = True
        try:
            for position, system in _pages(directory / name, page):
                if position is None:
                    whole = False
                    continue
                oldest = position if oldest is None else min(oldest, position)
                systems |= set() if system is None else {system}
        except FileNotFoundError:
            raise Changing from None
        if not whole:
            strange.append(name)
    if _listed(directory) != before:
        raise Changing
    return LogFiles(
        oldest,
        frozenset(n for n in before if _SEGMENT.fullmatch(n)),
        frozenset(systems),
        tuple(sorted(strange)),
    )


def page_at(directory: Path, name: str, offset: int, page: int) -> int | None:
    """The position that the page says of itself in which a byte of a segment lies; None if it says none. Raises OSError."""
    with (directory / name).open("rb") as file:
        file.seek(offset // page * page)
        header = file.read(_HEADER)
    position = _position(header) if len(header) == _HEADER else None
    return None if position is None else position[0]


def _listed(directory: Path) -> dict[str, bool]:
    """What may hold log, and whether it is a plain file."""
    with os.scandir(directory) as entries:
        return {
            e.name: e.is_file(follow_symlinks=False)
            for e in entries
            if e.name not in _OURS and not _NO_LOG.fullmatch(e.name)
        }


def _pages(path: Path, page: int) -> Iterator[tuple[int | None, int | None]]:
    """Of each page that was written its position and, where it says it, the cluster that wrote it; None of one that is no page
    of log. What was never written is zeros."""
    with path.open("rb") as file:
        while data := file.read(page * _AT_ONCE):
            for at in range(0, len(data), page):
                one = data[at : at + page]
                said = _position(one) if len(one) == page else None
                if said is not None and said[0] % page == 0:
                    yield said[0], _SYSTEM.unpack_from(one, _HEADER)[0] if said[1] else None
                elif one.count(0) != len(one):
                    yield None, None


def _position(header: bytes) -> tuple[int, bool] | None:
    magic, flags, _, position, _ = _PAGE.unpack_from(header)
    return (position, bool(flags & _IS_LONG)) if magic in _MAGIC else None


__all__ = ["Changing", "LogFiles", "page_at", "read"]
