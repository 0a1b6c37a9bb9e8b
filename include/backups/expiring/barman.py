"""Barman's own ``delete``, which keeps what is pinned (``keep``) and what its minimum redundancy asks for.

It has no dry run. In its place it is asked what it would delete with a backup: the increments that it knows of (since version
3.11). Archived WAL that no backup needs goes with the oldest backup, by Barman itself.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from include.backups.barman import Barman
from include.backups.calling import HOURS, called
from include.model.backups import ArchiveCut, BackupCopy
from include.model.errors import NotReachable


class ExpireBarman:
    def __init__(self, id: str, config: str, server: str) -> None:
        self._id, self._config, self._server = id, config, server
        self._reader = Barman(id, config, server)

    def check(self, copy: BackupCopy) -> str | None:
        """By ``check-backup`` (all WAL that it needs is archived) and ``verify-backup`` (``pg_verifybackup``)."""
        try:
            self._said("check-backup", self._server, copy.name)
            said = self._said("verify-backup", self._server, copy.name)
        except NotReachable as error:
            return error.what
        return (
            None
            if "backup successfully verified" in said
            else "Barman's verify-backup does not call it verified"
        )

    def rehearse(self, names: Sequence[str]) -> frozenset[str]:
        pinned = {copy.name for copy in self._reader.look().copies if copy.pinned}
        found: set[str] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name not in found and name not in pinned:
                found.add(name)
                todo += self._children(name)
        return frozenset(found)

    def _children(self, name: str) -> list[str]:
        said = self._said("-f", "json", "show-backup", self._server, name)
        try:
            children = (
                json.loads(said)[self._server].get("catalog_information", {}).get("children_backup_ids")
            )
        except (ValueError, KeyError, AttributeError):
            raise NotReachable(
                "what Barman says of a backup cannot be read", about=self._id,
                next_step=f"see `barman show-backup {self._server} {name}`",
            ) from None  # fmt: skip
        return list(children.split(",") if isinstance(children, str) else children or ())

    def let_go(self, names: Sequence[str]) -> None:
        for name in names:
            self._said("delete", self._server, name)

    def rehearse_archive(self, staying: Collection[BackupCopy]) -> tuple[ArchiveCut, ...]:
        return ()

    def let_go_archive(self, staying: Collection[BackupCopy]) -> None:
        """``delete`` did."""

    def _said(self, *arguments: str) -> str:
        return called(["barman", "-c", self._config, *arguments], about=self._id, seconds=HOURS)
