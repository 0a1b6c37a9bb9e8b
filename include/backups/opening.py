"""The tool that reads a declared backup set, and the one that lets its copies go, by its connection ``backup_<id>``.

The connection is a path: for pgBackRest and Barman the configuration file (``location`` is the stanza, or the server); else the
directory in which the copies lie. A bucket is read with the prover's key, ``backup_<id>_prover``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import date

from include.backups.barman import Barman
from include.backups.basebackup import BaseBackups
from include.backups.dumps import Dumps
from include.backups.expiring.barman import ExpireBarman
from include.backups.expiring.carrying_out import Expired, expire
from include.backups.expiring.directories import ExpireDirectories
from include.backups.expiring.dumps import ExpireDumps
from include.backups.expiring.pgbackrest import ExpirePgBackRest
from include.backups.pgbackrest import PgBackRest
from include.backups.restoring.binaries import Binaries
from include.backups.versions import ObjectVersions
from include.model.backups import BackupExpirer, BackupTool
from include.model.doors import Connections
from include.model.errors import Refused
from include.model.estate import BackupSet
from include.model.words import Role


def connection(backup: BackupSet) -> str:
    """The id of the connection that says where a set is."""
    return f"backup_{backup.id}"


def open_tool(backup: BackupSet, connections: Connections) -> BackupTool:
    """Raises Refused for a set whose connection is not declared."""
    name = connection(backup)
    match backup.tool:
        case "basebackup":
            return BaseBackups(backup.id, connections.text(name), backup.archive)
        case "pgbackrest":
            return PgBackRest(backup.id, connections.text(name), backup.location)
        case "barman":
            return Barman(backup.id, connections.text(name), backup.location)
        case "dump":
            return Dumps(backup.id, connections.text(name))
        case "object_versions":
            client = connections.s3(name, Role.PROVER)
            return ObjectVersions(backup.id, client, backup.location, replica=backup.replica)
        case "own_log":
            raise Refused(
                "a server's own log is read by the room of its store", about=backup.id,
                next_step="open it with include.cases.assembling.open_backup_tool",
            )  # fmt: skip


def open_expirer(backup: BackupSet, connections: Connections) -> BackupExpirer:
    """Raises Refused for a set whose copies no tool here lets go, or whose connection is not declared."""
    if backup.tool == "object_versions":
        raise Refused(
            "versions of objects go by their bucket's lifecycle", about=backup.id,
            next_step="see what expires them with `quietus backups list`",
        )  # fmt: skip
    if backup.tool == "own_log":
        raise Refused(
            "a server's own log goes with its checkpoints", about=backup.id,
            next_step="see what keeps it with `quietus backups list`",
        )  # fmt: skip
    place = connections.text(connection(backup))
    match backup.tool:
        case "basebackup":
            return ExpireDirectories(backup.id, place, Binaries(connections))
        case "pgbackrest":
            return ExpirePgBackRest(backup.id, place, backup.location)
        case "barman":
            return ExpireBarman(backup.id, place, backup.location)
        case "dump":
            return ExpireDumps(backup.id, place, Binaries(connections))


def expire_set(
    backup: BackupSet, connections: Connections, *, last: Callable[[date], date], today: date, holds: Sequence[str] = (),
    restorable: Collection[str] = (), dry_run: bool = False, yes: bool = False, reader: BackupTool | None = None,
    may_go_on: Callable[[], None] = lambda: None,
) -> Expired:  # fmt: skip
    """Let go what is due in a declared set; see :func:`include.backups.expiring.carrying_out.expire`. The catalogue's own hold
    on it counts with ``holds``. ``reader``: what reads the set, if not its tool by its connection.
    ``may_go_on`` raises Stopped while nothing may be let go."""
    expirer = open_expirer(backup, connections)  # first, for it says why nothing can go here
    return expire(
        backup.id, reader or open_tool(backup, connections), expirer, last=last,
        today=today, holds=(*((backup.hold,) if backup.hold else ()), *holds), restorable=restorable,
        share=backup.at_most, dry_run=dry_run, yes=yes, may_go_on=may_go_on,
    )  # fmt: skip
