"""pgBackRest: ``restore`` of one set into the scratch, then ``archive-get`` of each segment that it is recovered with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from include.backups.calling import said
from include.backups.restoring.binaries import Binaries
from include.backups.restoring.room import Room
from include.backups.restoring.segments import segment_size, wanted
from include.backups.restoring.tool import Restored, Until
from include.model.backups import SEGMENT, BackupCopy, written
from include.model.errors import NotReachable


class RestorePgBackRest:
    """Restores from the repositories of a stanza, by the configuration file that knows them."""

    def __init__(self, id: str, config: str, stanza: str, binaries: Binaries) -> None:
        self._id, self._config, self._stanza, self._binaries = id, config, stanza, binaries

    def need(self, copy: BackupCopy, until: Until) -> int:
        backup = self._backup(copy, self._stanza_info())
        end = until.position or (copy.stop if until.at_once else None)
        log = (end or 0) - (copy.start or 0) if end else self._archived() - (copy.start or 0)
        return int(backup["info"]["size"]) + max(log, 0) + 2 * SEGMENT

    def restore(self, copy: BackupCopy, room: Room, until: Until) -> Restored:
        stanza = self._stanza_info()
        backup = self._backup(copy, stanza)
        version = next(d["version"] for d in stanza["db"] if d["id"] == backup["database"]["id"])
        binaries = self._binaries.of(int(str(version).split(".")[0]), room.about)
        room.data.mkdir(mode=0o700)
        room.run(
            *self._tool(room, backup), f"--set={copy.name}", "--type=immediate", "--archive-mode=off",
            f"--tablespace-map-all={room.tablespaces}", "restore",
        )  # fmt: skip
        room.give()
        newest = max(self._archived(), copy.stop or 0)
        for name in wanted(copy, until, segment_size(room, binaries), newest):
            self._get(name, copy, room, backup)
        room.give()
        return Restored(binaries)

    def _get(self, name: str, copy: BackupCopy, room: Room, backup: Mapping[str, Any]) -> None:
        try:
            room.run(
                *self._tool(room, backup),
                "--no-archive-async",
                "archive-get",
                name,
                room.wal / name,
                seconds=600,
            )
        except NotReachable as error:
            if "fails with status 1" not in error.what:  # what it says of a segment that is not there
                raise
            raise NotReachable(
                f"segment {name} is not in the archive", about=room.about,
                next_step=f"see `pgbackrest info`: {copy.name} reaches from {written(copy.start or 0)} on",
            ) from None  # fmt: skip

    def _tool(self, room: Room, backup: Mapping[str, Any]) -> list[str]:
        return [
            "pgbackrest", f"--config={self._config}", f"--stanza={self._stanza}", f"--pg1-path={room.data}",
            f"--repo={backup['database']['repo-key']}", f"--lock-path={room.staging}",
            "--log-level-file=off", "--log-level-console=off", "--log-level-stderr=off",
        ]  # fmt: skip

    def _stanza_info(self) -> Mapping[str, Any]:
        stanzas = said(
            ["pgbackrest", f"--config={self._config}", f"--stanza={self._stanza}", "--output=json", "info"],
            about=self._id,
        )
        try:
            return next(s for s in stanzas if s["name"] == self._stanza)
        except (StopIteration, KeyError, TypeError):
            raise NotReachable(
                "pgBackRest does not know this stanza", about=self._id, next_step="see `pgbackrest info`"
            ) from None

    def _archived(self) -> int:
        from include.backups.pgbackrest import PgBackRest

        archive = PgBackRest(self._id, self._config, self._stanza).look().archive
        return archive.newest - 1 if archive else 0

    def _backup(self, copy: BackupCopy, stanza: Mapping[str, Any]) -> Mapping[str, Any]:
        for backup in stanza["backup"]:
            if backup["label"] == copy.name:
                return backup  # type: ignore[no-any-return]
        raise NotReachable(
            "the copy is no longer in the repository",
            about=f"{self._id} {copy.name}",
            next_step="look again which copies there are",
        )
