"""One copy restored, in quarantine, for as long as somebody looks at it; then stopped and destroyed, whatever happened."""

from __future__ import annotations

import signal
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from include.backups.restoring import quarantine
from include.backups.restoring.place import Place
from include.backups.restoring.quarantine import MAINTENANCE
from include.backups.restoring.room import Room
from include.backups.restoring.server import ScratchServer
from include.backups.restoring.tool import RestoreTool, Until
from include.model.backups import BackupCopy, lsn
from include.model.errors import NotReachable

_READS_ALL = "pg_read_all_data"


@dataclass(frozen=True)
class Scratch:
    """A restored cluster that serves. ``system``: its identifier; ``position``: the log's position when it began to serve.
    ``took``: seconds until then."""

    room: Room
    server: ScratchServer
    system: int
    position: int
    took: float
    database: str | None

    @property
    def files(self) -> tuple[Path, ...]:
        """Everything that was restored, the log it was recovered with included."""
        return (self.room.data, self.room.tablespaces, self.room.wal)

    def conninfo(self, database: str, role: str = MAINTENANCE) -> str:
        """Without a secret: the kernel says who asks. For whoever runs the scratch alone."""
        return self.server.conninfo(self.database or database, role)

    def admit(self, roles: Collection[str]) -> None:
        """Admit these roles for the work, as they are in the copy. A dump has none: there they are made, to read."""
        with self.server.connect("template1") as conn:
            for role in roles if self.database else ():
                name = sql.Identifier(role)
                known = conn.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
                verb = sql.SQL("ALTER" if known else "CREATE")
                conn.execute(sql.SQL("{} ROLE {} LOGIN BYPASSRLS").format(verb, name))
                conn.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(_READS_ALL), name))
            quarantine.admit(self.room, (MAINTENANCE, *roles))
            self.server.reload()
        for role in roles:
            self._wait_for(role)

    def _wait_for(self, role: str, seconds: float = 10.0) -> None:
        """A reload takes a moment."""
        until = time.monotonic() + seconds
        while True:
            try:
                with self.server.connect(self.database or "template1", role):
                    return
            except NotReachable:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def checkpoint(self) -> None:
        """Write everything into the files, before they are looked through."""
        with self.server.connect("template1") as conn:
            conn.execute("CHECKPOINT")


@contextmanager
def scratch(
    tool: RestoreTool, copy: BackupCopy, place: Place, *, about: str, until: Until | None = None
) -> Iterator[Scratch]:
    """Restore one copy and start it. Raises what :class:`RestoreTool` raises, and Refused without head-room."""
    until = until or Until()
    began = time.monotonic()
    with place.room(f"{about} {copy.name}", tool.need(copy, until)) as room:
        restored = tool.restore(copy, room, until)
        server = ScratchServer(room, restored.binaries)
        try:
            if restored.recovering:
                _recover(room, server, until)
            quarantine.admit(room, (MAINTENANCE,))
            server.start()
            _disarm(server)
            system, position = _whose(server)
            yield Scratch(room, server, system, position, time.monotonic() - began, restored.database)
        finally:
            server.stop(signal.SIGQUIT, seconds=30)


def _recover(room: Room, server: ScratchServer, until: Until) -> None:
    """Recover with nobody admitted, stop, and take its sting out before anybody can be."""
    control = server.control()
    quarantine.shut(room, control, until)
    server.start()
    server.stop()
    quarantine.opened(room, control)
    server.single("template1", quarantine.DISARM)


def _disarm(server: ScratchServer) -> None:
    """Foreign servers lead out, by the log-ins that the copy holds: these are forgotten in every database."""
    with server.connect("template1") as conn:
        databases = conn.execute("SELECT datname FROM pg_database WHERE datallowconn").fetchall()
    for (database,) in databases:
        with server.connect(database) as conn:
            conn.execute("DELETE FROM pg_catalog.pg_user_mapping")


def _whose(server: ScratchServer) -> tuple[int, int]:
    with server.connect("template1") as conn:
        row = conn.execute(
            "SELECT system_identifier, pg_current_wal_lsn() FROM pg_control_system()"
        ).fetchone()
    assert row is not None  # noqa: S101 - the function returns one row
    return int(row[0]) % (1 << 64), lsn(str(row[1]))
