"""What every tool has in common: it puts one copy's files into a scratch, and fetches the log that recovers them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from include.backups.restoring.room import Room
from include.model.backups import BackupCopy


@dataclass(frozen=True)
class Until:
    """To where a copy is recovered, along its own timeline: a position in the log or a moment; neither: to the end of the
    copy's own making, the earliest at which it is consistent."""

    position: int | None = None
    moment: datetime | None = None

    @property
    def at_once(self) -> bool:
        return self.position is None and self.moment is None


@dataclass(frozen=True)
class Restored:
    """What lies in the scratch's data directory. ``binaries``: the programs of its version. ``recovering``: it is yet to be
    recovered, with what lies in the scratch's ``wal``. A dump is loaded, and has nothing to recover; ``database``: its name."""

    binaries: Path
    recovering: bool = True
    database: str | None = None


class RestoreTool(Protocol):
    """Restores copies of one backup set. The repository is only read."""

    def need(self, copy: BackupCopy, until: Until) -> int:
        """Bytes that restoring it takes, at most. Raises NotReachable."""

    def restore(self, copy: BackupCopy, room: Room, until: Until) -> Restored:
        """Fill ``room.data`` and ``room.wal``. Raises Refused for what the tool cannot do, NotReachable for a copy that cannot
        be read, is broken, or does not fit onto the disk; a restore that failed half-way is for the room to destroy."""
