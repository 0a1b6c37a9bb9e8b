"""pgBackRest: what ``info --output=json`` says of a stanza, over all its repositories.

It has no pins of its own: what it keeps longer is by ``expire`` options. A backup that is marked ``error`` has pages that failed
their checksum: it can be restored, and holds what it holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from include.backups.calling import said
from include.model.backups import SEGMENT, BackupCopy, Copies, CopyOf, WalArchive, lsn, segment
from include.model.errors import NotReachable

_KINDS = {"full": CopyOf.FULL, "diff": CopyOf.DIFFERENTIAL, "incr": CopyOf.INCREMENTAL}
_OK, _NO_BACKUP = 0, 2


class PgBackRest:
    """A stanza, by the configuration file that knows its repositories."""

    def __init__(self, id: str, config: str, stanza: str) -> None:
        self._id, self._config, self._stanza = id, config, stanza

    def look(self) -> Copies:
        arguments = [
            "pgbackrest",
            f"--config={self._config}",
            f"--stanza={self._stanza}",
            "--output=json",
            "info",
        ]
        stanzas = said(arguments, about=self._id)
        try:
            (stanza,) = [s for s in stanzas if s["name"] == self._stanza]
            return _copies(stanza)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise NotReachable(
                "what pgBackRest says cannot be read", about=self._id,
                next_step=f"see {' '.join(arguments)}: the stanza must exist",
            ) from None  # fmt: skip


def _copies(stanza: Mapping[str, Any]) -> Copies:
    problems = [
        f"repository {repo['key']}: {repo['status']['message']}"
        for repo in stanza["repo"] if repo["status"]["code"] not in (_OK, _NO_BACKUP)
    ]  # fmt: skip
    if stanza["backup"]:
        problems += [
            f"repository {repo['key']} has no backup that is whole"
            for repo in stanza["repo"] if repo["status"]["code"] == _NO_BACKUP
        ]  # fmt: skip
    systems = {db["system-id"] for db in stanza["db"]}
    if len(systems) > 1:
        problems.append("the stanza has backups of more than one cluster")
    return Copies(
        copies=tuple(_copy(b) for b in stanza["backup"]),
        archive=_archive([a for a in stanza["archive"] if a.get("min")]),
        system=systems.pop() if len(systems) == 1 else None,
        problems=tuple(problems),
    )


def _copy(backup: Mapping[str, Any]) -> BackupCopy:
    times = backup["timestamp"]
    return BackupCopy(
        name=backup["label"],
        kind=_KINDS[backup["type"]],
        start=lsn(backup["lsn"]["start"]),
        stop=lsn(backup["lsn"]["stop"]),
        timeline=int(backup["archive"]["start"][:8], 16),
        started_at=datetime.fromtimestamp(times["start"], UTC),
        stopped_at=datetime.fromtimestamp(times["stop"], UTC),
        location=f"repository {backup['database']['repo-key']}",
        leans_on=_leans_on(backup),
        broken="pages failed their checksum when it was made" if backup.get("error") else None,
    )


def _leans_on(backup: Mapping[str, Any]) -> tuple[str, ...]:
    names = (*(backup.get("reference") or ()), backup.get("prior"))
    return tuple(dict.fromkeys(name for name in names if name))


def _archive(archives: list[Mapping[str, Any]]) -> WalArchive | None:
    """Over all repositories: what one of them still has, is there. A gap within is not told by the tool."""
    if not archives:
        return None
    oldest = min(segment(a["min"]) for a in archives)
    newest = max(segment(a["max"]) for a in archives) + SEGMENT
    return WalArchive(oldest, newest, (newest - oldest) // SEGMENT)
