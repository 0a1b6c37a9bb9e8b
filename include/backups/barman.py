"""Barman: what it says of a server, backup by backup, with its pins (``barman keep``).

``show-server`` and the configuration hold connection strings with passwords, so neither is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from include.backups.calling import called, said
from include.model.backups import SEGMENT, BackupCopy, Copies, CopyOf, WalArchive, lsn, segment
from include.model.errors import NotReachable

_WHOLE = "DONE"
_NOT_PINNED = "nokeep"


class Barman:
    """A server, by the configuration file that knows it."""

    def __init__(self, id: str, config: str, server: str) -> None:
        self._id, self._config, self._server = id, config, server

    def look(self) -> Copies:
        listed = self._said("list-backups")
        try:
            ids = sorted(str(b["backup_id"]) for b in listed)  # the instants at which they were begun
            copies = tuple(self._copy(i) for i in ids)
        except (KeyError, TypeError, ValueError):
            raise NotReachable(
                "what Barman says cannot be read",
                about=self._id,
                next_step="see whether its version is one that is known",
            ) from None
        return Copies(
            copies=copies,
            archive=self._archive(ids),
            problems=tuple(f"backup {c.name}: {c.broken}" for c in copies if c.start is None),
        )

    def _copy(self, backup: str) -> BackupCopy:
        shown = self._said("show-backup", backup)
        base: Mapping[str, Any] = shown.get("base_backup_information", {})
        status = str(shown["status"])
        keep = str(self._said("keep", backup, "--status")["keep_status"]["message"])
        return BackupCopy(
            name=backup,
            kind=CopyOf.FULL,
            start=lsn(base["begin_lsn"]) if base.get("begin_lsn") else None,
            stop=lsn(base["end_lsn"]) if base.get("end_lsn") else None,
            timeline=int(base["timeline"]) if base.get("timeline") else None,
            started_at=_instant(base.get("begin_time")),
            stopped_at=_instant(base.get("end_time")),
            location=f"server {self._server}",
            pinned=None if keep == _NOT_PINNED else f"barman keep ({keep})",
            broken=None if status == _WHOLE else f"it is {status.lower().replace('_', ' ')}, not done",
        )

    def _archive(self, backups: Sequence[str]) -> WalArchive | None:
        """What is archived, by the names of the files: of each backup, until the next."""
        names: set[str] = set()
        for backup in backups:
            files = called(
                [*self._tool, "list-files", "--target", "wal", self._server, backup], about=self._id
            )
            names.update(line.rpartition("/")[2] for line in files.splitlines())
        positions = sorted({segment(n) for n in names if len(n) == 24})
        if not positions:
            return None
        return WalArchive(positions[0], positions[-1] + SEGMENT, len(positions))

    @property
    def _tool(self) -> list[str]:
        return ["barman", "-c", self._config]

    def _said(self, command: str, *more: str) -> Any:
        answer = said([*self._tool, "-f", "json", command, self._server, *more], about=self._id)
        try:
            return answer[self._server]
        except (KeyError, TypeError):
            raise NotReachable(
                "Barman does not know this server", about=self._id, next_step="see `barman list-servers`"
            ) from None


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
