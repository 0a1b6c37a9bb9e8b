"""Tables written anew: the only way to rid a live file of rows that were deleted from it.

``VACUUM FULL`` copies live rows, their TOAST and indexes into new files and drops the old ones. It carries along a dead row that
some snapshot may still see, so a table waits until nobody does; it locks everybody out, so it has a window, a bounded wait
for the lock and a bounded time; it needs disk for a second copy and for its log, so size and head-room are declared. What
was not written anew is left, served as before, and said.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import psycopg
from psycopg import errors as pg
from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import NotReachable, QuietusError, Refused, Stopped
from include.model.estate import Maintenance
from include.model.times import PRC, observed_now
from include.model.words import Role
from include.stores.postgres.live import Live
from include.stores.postgres.physical import facts
from include.stores.postgres.physical.due import (
    Table,
    disposed,
    dropped,
    measured,
    reached,
    remember,
    written_since,
)
from include.stores.postgres.physical.facts import Facts, Standing, mvcc_dead
from include.stores.postgres.rights import STATISTICS
from include.stores.postgres.server import Connection, Patience, Server, meaning, name, one
from include.stores.shared import nothing

PATIENCE = Patience(statement=3600.0, lock=5.0)
PAUSE = 0.25  # seconds
DISK_FULL = "53100"
_PASSED_OVER = "the server passed it over, for the maintainer may not write it anew: run the store's install again as a superuser"


class Fate(StrEnum):
    """What became of a table in one run."""

    REWRITTEN = "rewritten"
    CLEAN = "clean"  # nothing was disposed of in it since it was last written anew
    LEFT = "left"


@dataclass(frozen=True)
class Outcome:
    """One table, partition, view or catalog of statistics. ``root``: the table that a partition is of. ``size``: bytes before,
    with indexes and TOAST. Not ``sure``: who saw its dead was hidden, so that some may have come along."""

    relation: str
    root: str
    fate: Fate
    size: int
    why: str = ""
    sure: bool = True

    def __str__(self) -> str:
        return f"{self.relation}: {self.why}" if self.why else self.relation


@dataclass(frozen=True)
class Scrubbed:
    """One run. ``position`` and ``at``: the log and the clock after the last commit; reading them late is safe."""

    outcomes: tuple[Outcome, ...]
    position: int
    at: datetime

    def of(self, fate: Fate) -> tuple[Outcome, ...]:
        return tuple(o for o in self.outcomes if o.fate is fate)

    def __str__(self) -> str:
        counts = ", ".join(f"{len(self.of(f))} {f}" for f in Fate if self.of(f)) or "nothing to write anew"
        left = self.of(Fate.LEFT)
        return counts + "".join(f"; left {o}" for o in left[:5]) + (" …" if len(left) > 5 else "")


def _nowhere(_point: str) -> None:
    """The default for ``at``: nothing happens at the named points."""


class Rewriting:
    """Writes anew, as the maintainer, the tables of one database in which something was disposed of.

    ``datasets``: only tables of these, and views over them. ``directory``: its data directory, where this machine sees it:
    the disk's free space is then observed. ``may_go_on`` is called before each table, which is left if it raises Stopped. ``at``
    is called with the name of each point of no return. Everything that a run must know is in the database: receipts say what
    was disposed of, ``quietus.rewritten`` what was written anew since; a run that was killed is run again.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        store: str,
        connections: Connections,
        *,
        datasets: Collection[str] | None = None,
        directory: Path | None = None,
        patience: Patience | None = None,
        now: Callable[[], datetime] = observed_now,
        may_go_on: Callable[[], None] = nothing,
        at: Callable[[str], None] = _nowhere,
    ) -> None:
        declared = catalogue.store(store)
        self.about = f"store {store}"
        if declared.maintenance is None or not declared.modifiable:
            raise Refused(
                "no maintenance is declared, so no table of it is written anew", about=self.about,
                next_step="declare window, rewrite_limit and head_room in stores.yaml",
            )  # fmt: skip
        self._maintenance: Maintenance = declared.maintenance
        self._catalogue = catalogue
        self._store = store
        self._server = Server(
            lambda: connections.postgres(declared.connection, Role.MAINTAINER), store, patience or PATIENCE
        )
        self._patience = patience or PATIENCE
        self._datasets = datasets
        self._directory = directory
        self._now = now
        self._may_go_on = may_go_on
        self._at = at
        self._deadline = 0.0

    def run(self) -> Scrubbed:
        """All that is due, the smallest first. Raises Refused outside the window, or if another run is at it; NotReachable."""
        if remaining(self._maintenance.window, self._now()) is None:
            raise Refused(
                f"it is outside the window {self._maintenance.window} (Beijing time)", about=self.about,
                next_step="run it in the window, or declare another one in stores.yaml",
            )  # fmt: skip
        with self._server.connect() as connection, self._server.reaching():
            self._alone(connection)
            self._deadline = time.monotonic() + self._patience.settle
            live = Live.read(connection)
            deeds = disposed(connection, self._catalogue, self._store, self._datasets)
            tables = reached(connection, live, deeds)
            since = {t: written_since(connection, t) for t in tables}
            due = [t for t, sure in since.items() if sure is None]
            outcomes = [
                Outcome(t.relation, t.root, Fate.CLEAN, t.size, sure=sure)
                for t, sure in since.items()
                if sure is not None
            ]
            outcomes += [Outcome(root, root, Fate.CLEAN, 0) for root in sorted(_without_files(live, deeds))]
            known = {live.tables[t.relation].root for t in due}
            gone = dropped(connection)
            stale = bool(gone) and self._known_still(connection, gone)
            if stale:  # statistics of a whole table tell of its partitions, too
                known |= deeds.keys() & live.tables.keys()
            outcomes += self._roots(connection, known, live)
            outcomes += [self._one(connection, table) for table in due]
            outcomes += self._statistics(connection, _now(connection) if stale else gone)
            if any(o.fate is Fate.REWRITTEN for o in outcomes):
                _forget_statements(connection)
            position, moment = one(
                connection.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint, clock_timestamp()")
            )
            _to_disk(connection)
        return Scrubbed(tuple(outcomes), position, moment)

    def _alone(self, connection: Connection) -> None:
        """Until the session ends."""
        (mine,) = one(
            connection.execute("SELECT pg_try_advisory_lock(hashtextextended('quietus rewriting', 0))")
        )
        if not mine:
            raise Refused("another run is writing tables anew", about=self.about, next_step="let it end")

    def _roots(self, connection: Connection, roots: Collection[str], live: Live) -> Iterator[Outcome]:
        """Statistics of a partitioned table are its own, and not renewed with its partitions'."""
        for root in sorted(r for r in roots if live.tables[r].kind == "p"):
            try:
                connection.execute(sql.SQL("ANALYZE {}").format(name(root)))
            except psycopg.Error as error:
                yield Outcome(root, root, Fate.LEFT, 0, _why(error, self._patience))

    def _known_still(self, connection: Connection, gone: int) -> bool:
        """Whether catalogs of statistics may still hold, dead, what was known of a partition that went with its files by then."""
        return any(
            written_since(connection, measured(connection, catalog, gone)) is None for catalog in STATISTICS
        )

    def _statistics(self, connection: Connection, at_least: int) -> Iterator[Outcome]:
        """The catalogs in which statistics of all tables lie: what ANALYZE replaced is dead, and still in the file.
        ``at_least``: a transaction after which they must have been written, whatever else was."""
        (last,) = one(
            connection.execute(
                "SELECT greatest(max(ended)::text::bigint, nullif(%s, 0)) FROM quietus.rewritten WHERE NOT relation = ANY(%s)",
                [at_least, list(STATISTICS)],
            )
        )
        for catalog in STATISTICS if last is not None else ():
            table = measured(connection, catalog, last)
            sure = written_since(connection, table)
            if sure is None:
                yield self._one(connection, table)
            else:
                yield Outcome(catalog, catalog, Fate.CLEAN, table.size, sure=sure)

    def _one(self, connection: Connection, table: Table) -> Outcome:
        catalog = table.relation in STATISTICS
        seen, dead = self._quiet(connection, table.last, catalog=catalog)
        seconds = remaining(self._maintenance.window, self._now())
        why = self._refusal(table.size)
        if not why and dead.gone is False:
            why = f"what is dead in it is still seen, and would come along: {dead}"
        if not why and seconds is None:
            why = "the window is over"
        try:
            self._may_go_on()
        except Stopped as stopped:  # it makes for ever what was deleted
            why = str(stopped)
        if why or seconds is None:
            return Outcome(table.relation, table.root, Fate.LEFT, table.size, why)
        try:
            self._write(connection, table, seconds)
        except psycopg.Error as error:
            return Outcome(table.relation, table.root, Fate.LEFT, table.size, _why(error, self._patience))
        self._at(f"rewriting.after {table.relation}")
        now = measured(connection, table.relation, table.last, table.root)
        if now.filenode == table.filenode:
            return Outcome(table.relation, table.root, Fate.LEFT, table.size, _PASSED_OVER)
        remember(connection, now, seen.next_xid, _oldest(seen, catalog=catalog) if dead.gone else None)
        return Outcome(table.relation, table.root, Fate.REWRITTEN, table.size, sure=bool(dead.gone))

    def _quiet(self, connection: Connection, last: int, *, catalog: bool) -> tuple[Facts, Standing]:
        """Who sees what that transaction deleted, once short transactions have ended. All tables share the patience."""
        while True:
            seen = facts.look(connection, wal=False)
            # What a logical restore brought along was written by it, whatever number its receipt bears.
            dead = mvcc_dead(seen, min(last, seen.next_xid - 1), catalog=catalog)
            if dead.gone is not False or time.monotonic() > self._deadline:
                return seen, dead
            time.sleep(PAUSE)

    def _write(self, connection: Connection, table: Table, seconds: float) -> None:
        limit = int(min(seconds, self._patience.statement) * 1000)
        connection.execute("SELECT set_config('statement_timeout', %s, false)", [str(max(limit, 1))])
        analyze = sql.SQL("" if table.relation in STATISTICS else ", ANALYZE")
        try:
            connection.execute(sql.SQL("VACUUM (FULL{}) {}").format(analyze, name(table.relation)))
        finally:
            if not connection.closed:
                connection.execute(
                    "SELECT set_config('statement_timeout', %s, false)",
                    [str(int(self._patience.statement * 1000))],
                )

    def _refusal(self, size: int) -> str:
        m = self._maintenance
        if size > m.most:
            return (
                f"it has {size >> 20} MB, more than the declared {m.rewrite_limit} or the head-room of {m.head_room}: raise"
                " them in stores.yaml, or have it written anew by hand"
            )
        # A second copy, and as much log.
        free = None if self._directory is None else _free(self._directory)
        if free is not None and free < 2 * size:
            return (
                f"the disk has {free >> 20} MB left, and writing it anew takes up to {2 * size >> 20} MB:"
                " free some"
            )
        return ""


def _without_files(live: Live, deeds: Mapping[str, int]) -> set[str]:
    """Divided tables of which no partition is left: nothing of them is in any file."""
    filled = {t.root for t in live.tables.values() if t.kind in ("r", "m")}
    return {a for a in deeds if a in live.tables and live.tables[a].kind == "p" and a not in filled}


def _now(connection: Connection) -> int:
    (xid,) = one(connection.execute("SELECT pg_current_xact_id()::text::bigint"))
    return int(xid)


def remaining(window: str, now: datetime) -> float | None:
    """Seconds until a window (``22:30-04:00``, Beijing time) closes; None if it is not open. One that begins when it ends is
    never open."""
    begin, end = (int(t[:2]) * 3600 + int(t[3:]) * 60 for t in window.split("-"))
    local = now.astimezone(PRC)
    at = local.hour * 3600 + local.minute * 60 + local.second + local.microsecond / 1e6
    if begin < end:
        return end - at if begin <= at < end else None
    if begin > end and (at >= begin or at < end):
        return end - at if at < end else end + 86_400 - at
    return None


def _free(directory: Path) -> int | None:
    """Bytes that the server may still write; None where the directory cannot be seen."""
    try:
        return shutil.disk_usage(directory).free
    except OSError:
        return None


def _why(error: psycopg.Error, patience: Patience) -> str:
    """Why a table was left, without a value. Raises NotReachable if the session is lost."""
    match error:
        case pg.LockNotAvailable():
            return (
                f"it was in use, and could not be locked within {patience.lock:g} s; the next run tries again"
            )
        case pg.QueryCanceled():
            return "its time, or the window, was over before it was written; the next run tries again"
        case pg.DeadlockDetected():
            return "it and another transaction waited for each other; the next run tries again"
    if error.sqlstate in (DISK_FULL, "XX000", "58030"):
        return f"it could not be written [{error.sqlstate}]: the disk is full, or refuses; nothing of it was changed"
    said: QuietusError = meaning(error, "")
    if isinstance(said, NotReachable) or error.sqlstate is None:
        raise error
    return said.what


def _oldest(seen: Facts, *, catalog: bool) -> int:
    """The transaction before which nothing that was deleted is seen by anybody."""
    held = (h.oldest if catalog else h.xmin for h in seen.holders)
    return min((x for x in held if x is not None), default=seen.next_xid)


def _to_disk(connection: Connection) -> None:
    """What is in memory alone is in no file yet. Where we may not ask for it, the server's own next checkpoint does it, and
    whoever looks into the files sees whether there was one."""
    with suppress(pg.InsufficientPrivilege, pg.QueryCanceled):
        connection.execute("CHECKPOINT")


def _forget_statements(connection: Connection) -> None:
    """Texts of statements that the server remembers, where it does and we may."""
    for (function,) in connection.execute(
        "SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.deptype = 'e'"
        " JOIN pg_extension e ON e.oid = d.refobjid WHERE e.extname = 'pg_stat_statements'"
        " AND p.proname = 'pg_stat_statements_reset' AND has_function_privilege(p.oid, 'EXECUTE')"
    ).fetchall():
        call = function.partition("(")[0]
        connection.execute(sql.SQL("SELECT {}()").format(sql.SQL(call)))


__all__ = ["DISK_FULL", "PATIENCE", "Fate", "Outcome", "Rewriting", "Scrubbed", "remaining"]
