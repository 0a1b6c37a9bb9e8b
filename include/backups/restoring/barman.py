"""Barman: ``recover`` of one backup into the scratch, with the log that it takes along.

Tablespaces would be put where they lay on the live server, so each is mapped by its name.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from include.backups.calling import said
from include.backups.restoring.binaries import Binaries
from include.backups.restoring.room import Room, trouble
from include.backups.restoring.tool import Restored, Until
from include.model.backups import BackupCopy, written
from include.model.errors import NotReachable, Refused


class RestoreBarman:
    """Restores from a server of Barman, by the configuration file that knows it."""

    def __init__(self, id: str, config: str, server: str, binaries: Binaries) -> None:
        self._id, self._config, self._server, self._binaries = id, config, server, binaries

    def need(self, copy: BackupCopy, until: Until) -> int:
        shown = self._shown(copy)
        return int(shown["base_backup_information"]["disk_usage_with_wals_bytes"]) + (
            0 if until.at_once else int(shown.get("wal_information", {}).get("disk_usage_bytes", 0))
        )

    def restore(self, copy: BackupCopy, room: Room, until: Until) -> Restored:
        if copy.broken:
            raise Refused(
                f"the copy is broken: {copy.broken}", about=room.about, next_step="restore another copy"
            )
        shown = self._shown(copy)
        binaries = self._binaries.of(int(shown["postgresql_version"]) // 10_000, room.about)
        spaces = [str(t["name"]) for t in shown.get("tablespaces", ())]
        maps = [a for name in spaces for a in ("--tablespace", f"{name}:{room.tablespaces / name}")]
        room.run(
            "barman", "-c", self._config, "-q", "recover", *_target(until), *maps, "--no-get-wal",
            self._server, copy.name, room.data,
        )  # fmt: skip
        try:
            for place in (room.data / "barman_wal", room.data / "pg_wal"):
                _gather(place, room.wal)
            shutil.rmtree(room.data / "barman_wal", ignore_errors=True)
            room.give()
        except OSError as error:
            raise trouble(error, room.about) from None
        return Restored(binaries)

    def _shown(self, copy: BackupCopy) -> Mapping[str, Any]:
        answer = said(
            ["barman", "-c", self._config, "-f", "json", "show-backup", self._server, copy.name],
            about=self._id,
        )
        try:
            shown: Mapping[str, Any] = answer[self._server]
            int(shown["postgresql_version"])
            return shown
        except (KeyError, TypeError, ValueError):
            raise NotReachable(
                "Barman does not say what the copy is", about=f"{self._id} {copy.name}",
                next_step="see `barman show-backup`",
            ) from None  # fmt: skip


def _target(until: Until) -> list[str]:
    if until.position is not None:
        return ["--target-lsn", written(until.position)]
    if until.moment is not None:
        return ["--target-time", until.moment.isoformat(sep=" ")]
    return ["--target-immediate"]


def _gather(place: Path, into: Path) -> None:
    """Barman leaves the log where its own recovery would look."""
    if place.is_dir():
        for path in place.iterdir():
            if path.is_file():
                shutil.move(path, into / path.name)
