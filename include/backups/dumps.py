"""Files of ``pg_dump``: a copy of the rows as they were when it began.

A dump names no position in the log, only its time, in the zone of whoever made it, which it does not name either: what
counts is the earliest instant that it can have been. A text dump tells it only if it was made with ``--verbose``.
The file's own time is when it ended, and so no bound.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from include.backups.aside import INTERRUPTED, is_aside
from include.backups.calling import called
from include.backups.mounted import missing
from include.model.backups import BackupCopy, Copies, CopyOf
from include.model.errors import NotReachable

_CREATED = re.compile(r"^; Archive created at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)", re.MULTILINE)
_STARTED = re.compile(r"^-- Started on (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)", re.MULTILINE)
_EARLIEST = timedelta(hours=14)  # UTC+14 is the zone in which a day begins first
_MAGIC = (b"PGDMP", b"toc.dat\0")  # the custom format, and the first member of a tar
_LONGEST = 8  # bytes
TOC = "toc.dat"  # of a dump in format "directory": what it has, and when it was made
_HEAD = 8 << 10  # characters of a text dump


class Dumps:
    """A directory of dumps: a file each or, in format "directory", a directory each."""

    def __init__(self, id: str, directory: str, pg_restore: str = "pg_restore") -> None:
        self._id, self._directory, self._pg_restore = id, Path(directory), pg_restore

    def look(self) -> Copies:
        try:
            copies = tuple(
                self._copy(p)
                for p in sorted(self._directory.iterdir())
                if is_aside(p) or not p.name.startswith(".")
            )
            unknown = missing(self._directory)
        except OSError as error:
            raise NotReachable(
                f"the dumps cannot be read ({error.strerror})", about=self._id,
                next_step="mount the directory, or give it back to who runs this",
            ) from None  # fmt: skip
        return Copies(
            copies,
            problems=(
                *((unknown,) if unknown else ()),
                *(f"dump {c.name}: {c.broken}" for c in copies if c.started_at is None),
            ),
        )

    def _copy(self, path: Path) -> BackupCopy:
        begun = self._begun(path)
        return BackupCopy(
            name=path.name, kind=CopyOf.DUMP, start=None, stop=None, timeline=None, started_at=begun,
            stopped_at=datetime.fromtimestamp(path.stat().st_mtime, UTC), location=str(path),
            broken=INTERRUPTED if is_aside(path) else None if begun else "it does not say when it was begun",
        )  # fmt: skip

    def _begun(self, path: Path) -> datetime | None:
        if path.is_dir() or begins_as_archive(path):
            try:
                listed = called([self._pg_restore, "-l", str(path)], about=self._id)
            except NotReachable:
                if begins_as_archive(path / TOC if path.is_dir() else path):
                    raise
                return None
            found = _CREATED.search(listed)
        else:
            with path.open("r", encoding="utf-8", errors="replace") as file:
                found = _STARTED.search(file.read(_HEAD))
        if found is None:
            return None
        return datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) - _EARLIEST


def begins_as_archive(path: Path) -> bool:
    """Whether it is a dump of pg_restore's formats, by its first bytes."""
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST).startswith(_MAGIC)
    except OSError:
        return False
