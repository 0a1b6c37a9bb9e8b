"""Files of ``pg_dump``: removed, since no tool expires them. One in format "directory" is renamed before."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from include.backups import aside
from include.backups.calling import HOURS, called
from include.backups.dumps import TOC, begins_as_archive
from include.backups.restoring.binaries import Binaries
from include.model.backups import ArchiveCut, BackupCopy
from include.model.errors import NotReachable, Refused

_COMPLETE = b"-- PostgreSQL database dump complete"
_TAIL = 4 << 10  # bytes


class ExpireDumps:
    def __init__(self, id: str, directory: str, binaries: Binaries) -> None:
        self._id, self._directory, self._binaries = id, Path(directory), binaries

    def check(self, copy: BackupCopy) -> str | None:
        """Whether ``pg_restore`` reads all of it; a text dump says at its end that it is complete."""
        path = Path(copy.location)
        if not path.is_dir() and not begins_as_archive(path):
            return None if _COMPLETE in _tail(path) else "it does not say that it is complete"
        try:
            program = self._binaries.newest(self._id) / "pg_restore"
            called([str(program), "-f", os.devnull, str(path)], about=self._id, seconds=HOURS)
        except NotReachable as error:
            return error.what
        return None

    def rehearse(self, names: Sequence[str]) -> frozenset[str]:
        """Those that are there. Raises Refused for one that lies elsewhere."""
        for name in names:
            if (self._directory / name).is_symlink():
                raise Refused(
                    f"{name} is a link: removing it would leave the dump", about=self._id,
                    next_step="remove it by hand with what it leads to",
                )  # fmt: skip
        return frozenset(name for name in names if (self._directory / name).exists())

    def let_go(self, names: Sequence[str]) -> None:
        for name in names:
            aside.remove(self._directory / name, lambda inside: inside == TOC, about=self._id)

    def rehearse_archive(self, staying: Collection[BackupCopy]) -> tuple[ArchiveCut, ...]:
        return ()

    def let_go_archive(self, staying: Collection[BackupCopy]) -> None:
        """A dump has no WAL."""


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        return file.read()
