"""A database's own write-ahead log, read like a backup set: what was deleted lies in it until its segments are gone (R5).

The log that the server itself has is the set's archive; a replication slot, or a standby that is behind, is a copy that reaches
back to where it stands. A recycled segment bears a name to come and its old bytes, so the files themselves are read; where they
cannot be seen, that is a problem, and nothing is gone. An old snapshot or a prepared transaction keeps rows alive (R3), but no
log: a checkpoint writes what is prepared to a file of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from include.model.backups import BackupCopy, Copies, CopyOf, WalArchive, segment_name
from include.model.doors import Connections
from include.model.errors import Refused
from include.model.estate import BackupSet
from include.model.times import PRC
from include.model.words import Role
from include.stores.postgres.physical import facts, log_files
from include.stores.postgres.physical.facts import Facts, Slot
from include.stores.postgres.physical.log_files import Changing, LogFiles
from include.stores.postgres.server import Connection, Patience, Server, one

WAL = "pg_wal"
TRIES = 5  # a busy server makes and renames files while they are read
PAUSE = 0.5  # seconds
PATIENCE = Patience(statement=60.0)

_SIZES = """
SELECT (SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'wal_segment_size'),
       (SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'wal_block_size')
"""


def open_log(backup: BackupSet, connections: Connections) -> OwnLog:
    """The log of a set's server. ``location`` is the connection: the prover's secret for the server, and
    ``<connection>_files``, the path of its data directory, where this machine sees it. Raises Refused without the first."""
    try:
        directory: Path | None = Path(connections.text(f"{backup.location}_files"))
    except Refused:
        directory = None
    return OwnLog(backup.id, lambda: connections.postgres(backup.location, Role.PROVER), directory)


@dataclass(frozen=True)
class _Bytes:
    """What the files say, or why they say nothing."""

    files: LogFiles | None
    problems: tuple[str, ...] = ()


class OwnLog:
    """A :class:`include.model.backups.BackupTool`. ``directory``: the server's data directory; None if it is not seen from
    here."""

    def __init__(self, id: str, conninfo: Callable[[], str], directory: Path | None) -> None:
        self.id, self._directory = id, directory
        self._server = Server(conninfo, id, PATIENCE)
        self._server.about = f"backup set {id}"

    def look(self) -> Copies:
        """What keeps log, and how far back it goes. Raises NotReachable if the server does not answer, or is no primary."""
        with self._server.connect() as connection, self._server.reaching():
            here = facts.look(connection)
            size, page = one(connection.execute(_SIZES))
            seen = self._bytes(connection, size, page)
        problems = (*_hidden(here), *seen.problems)
        return Copies(tuple(_copies(here)), _archive(here, seen.files, size), here.system, problems)

    def _bytes(self, connection: Connection, size: int, page: int) -> _Bytes:
        if self._directory is None:
            return _Bytes(
                None,
                (
                    "recycled segments may bear old log, and the server's files cannot be read from here: a managed server"
                    " hides them, or no connection names them",
                ),
            )
        place = self._directory / WAL
        try:
            for _ in range(TRIES):
                try:
                    files = log_files.read(place, page)
                except Changing:
                    time.sleep(PAUSE)
                    continue
                return _Bytes(files, tuple(_wrong(connection, place, files, size, page)))
        except OSError as error:
            return _Bytes(None, (f"the directory of its log cannot be read ({error.strerror})",))
        return _Bytes(None, (f"the files of its log changed each of {TRIES} times while they were read",))


def _wrong(connection: Connection, place: Path, files: LogFiles, size: int, page: int) -> Iterator[str]:
    """Why files say nothing of this server's log. A copy of its directory looks like it, and stays as it is."""
    here = facts.look(connection)
    if files.strange:
        yield f"{len(files.strange)} files of its log are none that is known; the first: {files.strange[0]}"
    if here.redo is None:
        yield "where its last checkpoint began is hidden, so that it is not known whether these are its files"
        return
    # The page at which the last checkpoint began was written for certain, by this server alone; on whichever timeline.
    begun = segment_name(here.redo, size=size)[8:]
    said: set[int | None] = set()
    for name in [path.name for path in place.iterdir() if path.name[8:] == begun]:
        with suppress(FileNotFoundError):
            said.add(log_files.page_at(place, name, here.redo % size, page))
    if files.systems - {here.system} or here.redo // page * page not in said:
        yield "the files are those of another server, or of a copy of it: correct the connection that names them"


def _hidden(here: Facts) -> Iterator[str]:
    if here.hidden_holders:  # the same right shows standbys
        yield f"standbys may be hidden, too: {here.hidden_holders}"
    if here.oldest_wal is None:
        yield here.hidden_wal


def _archive(here: Facts, files: LogFiles | None, size: int) -> WalArchive | None:
    begins = [p for p in (here.oldest_wal, files.oldest if files else None) if p is not None]
    if not begins:
        return None
    oldest = min(begins)
    segments = len(files.segments) if files else (here.insert - oldest) // size + 1
    return WalArchive(oldest, here.insert, segments, here.timeline)


def _copies(here: Facts) -> Iterator[BackupCopy]:
    for slot in here.slots:
        if slot.restart is not None:
            yield _slot(here, slot, slot.restart)
    for follower in here.followers:
        # Who only stores the log is a set of its own, and says no such position.
        if follower.replayed is not None:
            yield _moving(here, f"standby {follower.name}", follower.replayed)


def _slot(here: Facts, slot: Slot, restart: int) -> BackupCopy:
    if slot.active:
        return _moving(here, f"slot {slot.name}", restart)
    since = None if slot.age is None else here.moment - timedelta(seconds=slot.age)
    told = "nobody uses it" + ("" if since is None else f" since {since.astimezone(PRC):%Y-%m-%d %H:%M}")
    return BackupCopy(
        name=f"slot {slot.name}", kind=CopyOf.LOG, start=restart, stop=None, timeline=here.timeline, started_at=since,
        stopped_at=None, location="the server", pinned=f"{told}: drop it or let it catch up",
    )  # fmt: skip


def _moving(here: Facts, name: str, position: int) -> BackupCopy:
    """What is in use goes on, so that it is expected to be past this by the set's own period, counted from now."""
    return BackupCopy(
        name=name, kind=CopyOf.LOG, start=position, stop=here.insert, timeline=here.timeline, started_at=here.moment,
        stopped_at=here.moment, location="the server",
    )  # fmt: skip


__all__ = ["OwnLog", "open_log"]
