"""The tool that restores a declared set, by the connections that its reader uses, and the place where scratches lie."""

from __future__ import annotations

from include.backups.opening import connection
from include.backups.restoring.barman import RestoreBarman
from include.backups.restoring.basebackup import RestoreBaseBackup
from include.backups.restoring.binaries import Binaries
from include.backups.restoring.dumps import RestoreDump
from include.backups.restoring.pgbackrest import RestorePgBackRest
from include.backups.restoring.place import Place
from include.backups.restoring.tool import RestoreTool
from include.model.doors import Connections
from include.model.errors import Refused
from include.model.estate import BackupSet

SCRATCH = "scratch"
"""The plain connection that says where scratches lie."""


def open_restorer(backup: BackupSet, connections: Connections) -> RestoreTool:
    """Raises Refused for a set that is not restored, or whose connection is not declared."""
    place, binaries = connections.text(connection(backup)), Binaries(connections)
    match backup.tool:
        case "basebackup":
            return RestoreBaseBackup(backup.id, place, binaries)
        case "pgbackrest":
            return RestorePgBackRest(backup.id, place, backup.location, binaries)
        case "barman":
            return RestoreBarman(backup.id, place, backup.location, binaries)
        case "dump":
            return RestoreDump(backup.id, place, binaries)
        case "object_versions":
            raise Refused(
                "versions of objects are not restored", about=backup.id,
                next_step="the store's own proof looks at every version",
            )  # fmt: skip
        case "own_log":
            raise Refused(
                "a server's own log is not restored",
                about=backup.id,
                next_step="it goes with the server's checkpoints",
            )


def open_place(connections: Connections) -> Place:
    """Raises Refused if nobody declared where a scratch may lie."""
    return Place.at(connections.text(SCRATCH))
