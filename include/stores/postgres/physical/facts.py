"""What keeps the dead alive: one read-only look at a server, and what follows from it.

A deleted row is seen by every snapshot that is older than its deletion, and lies in WAL until its segment is recycled. Who
holds an old snapshot, or WAL, is a backend, a prepared transaction, a replication slot or a standby: each is named by kind,
role or slot and age, and by nothing that it says: statements quote people's values.

What is hidden from whoever looks is told as hidden, never as absent: a managed server shows less. Sources: PostgreSQL's
documentation, "System Views" and "System Administration Functions"; ``procarray.c`` (ComputeXidHorizons) for who counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, LiteralString

from psycopg import errors as pg
from psycopg import sql

from include.model.backups import segment, written
from include.model.history import History
from include.stores.postgres.server import Connection, one

_XIDS = 1 << 32  # transaction ids are written with 32 bits in most places


@dataclass(frozen=True)
class Holder:
    """Who holds an old snapshot. ``xmin``: it may see rows that this transaction, or a later one, deleted; None if it only
    keeps rows of system catalogs (``catalog_xmin``), as a logical slot does. ``age``: seconds, where that is known."""

    kind: str
    name: str
    xmin: int | None
    catalog_xmin: int | None = None
    age: int | None = None

    @property
    def oldest(self) -> int | None:
        """What it keeps of system catalogs, which every snapshot sees."""
        return min((x for x in (self.xmin, self.catalog_xmin) if x is not None), default=None)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".rstrip()


@dataclass(frozen=True)
class Slot:
    """A replication slot. ``restart``: the position from which it keeps WAL; None if it keeps none."""

    name: str
    restart: int | None
    active: bool
    age: int | None = None  # seconds since it was used, where the server tells


@dataclass(frozen=True)
class Follower:
    """Who takes the log. ``replayed``: how far it has replayed; None if it has not said, or only stores it."""

    name: str
    replayed: int | None


@dataclass(frozen=True)
class Facts:
    """One look. Positions are bytes of the log, transaction ids 64 bits wide. ``counter``: our own count of a store's
    histories; None where nothing of ours is installed. ``moment``: by the store's clock. ``hidden_…``: what could not be
    seen, and why."""

    system: int
    timeline: int
    counter: int | None
    insert: int
    next_xid: int
    moment: datetime
    holders: tuple[Holder, ...] = ()
    slots: tuple[Slot, ...] = ()
    oldest_wal: int | None = None
    redo: int | None = None
    followers: tuple[Follower, ...] = ()
    hidden_holders: str = ""
    hidden_wal: str = ""

    @property
    def history(self) -> History | None:
        """To which positions and transaction ids belong; None where nothing of ours is installed, which could tell."""
        if self.counter is None:
            return None
        return History(self.system, self.timeline, self.counter, self.insert, self.moment)


@dataclass(frozen=True)
class Standing:
    """Whether something is out of reach. ``gone`` of None: it could not be seen. ``why``: what stands in the way, each with
    what to do about it."""

    gone: bool | None
    why: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "; ".join(self.why)


def mvcc_dead(facts: Facts, xid: int, *, catalog: bool = False) -> Standing:
    """R3: whether no snapshot sees any more what the transaction ``xid`` deleted. ``catalog``: in a system catalog
    (``pg_statistic``), of which logical slots keep more."""
    if xid >= facts.next_xid:
        return Standing(
            None, (f"transaction {xid} is not in this server's past: it was restored, or is another's",)
        )
    held = [(h, h.oldest if catalog else h.xmin) for h in facts.holders]
    why = tuple(_holding(h, xmin, facts) for h, xmin in held if xmin is not None and xmin <= xid)
    if why:
        return Standing(False, why)
    if facts.hidden_holders:
        return Standing(None, (facts.hidden_holders,))
    return Standing(True)


def wal_gone(facts: Facts, position: int) -> Standing:
    """R5: whether the server's own WAL begins at or after a position, and nobody keeps it from before. What recycled
    segments still say is not asked here: a scan of their bytes tells."""
    if position > facts.insert:
        return Standing(
            None, (f"{written(position)} is not in this server's past: it was restored, or is another's",)
        )
    why = [_keeping(s) for s in facts.slots if s.restart is not None and s.restart < position]
    if facts.oldest_wal is not None and facts.oldest_wal < position:
        redo = facts.redo is not None and facts.redo < position
        next_ = "wait for a checkpoint after it" if redo else "it goes with later checkpoints"
        why.append(
            f"the oldest WAL begins at {written(facts.oldest_wal)}, before {written(position)}: {next_}"
        )
    if why:
        return Standing(False, tuple(why))
    if facts.oldest_wal is None:
        return Standing(None, (facts.hidden_wal or "it is not known where the oldest WAL begins",))
    return Standing(True)


def _holding(holder: Holder, xmin: int, facts: Facts) -> str:
    since = f" for {_time(holder.age)}" if holder.age is not None else ""
    return f"{holder} holds xmin {xmin % _XIDS}{since} ({facts.next_xid - xmin} transactions old): {_CURE[_kind(holder)]}"


def _keeping(slot: Slot) -> str:
    use = (
        "is in use" if slot.active else f"is idle{f' for {_time(slot.age)}' if slot.age is not None else ''}"
    )
    return f"slot {slot.name} {use} and keeps WAL from {written(slot.restart or 0)}: {_CURE['slot']}"


def _kind(holder: Holder) -> str:
    return holder.kind if holder.kind in _CURE else "backend"


_CURE = {
    "slot": "drop it or let it catch up",
    "prepared transaction": "commit it or roll it back",
    "standby": "let its queries end, or turn its hot_standby_feedback off",
    "backend": "let its transaction end, or end the session",
}


def _time(seconds: int) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


# --- the look ---------------------------------------------------------------------------------------

_HEAD = """
SELECT s.system_identifier, ('x' || left(pg_catalog.pg_walfile_name(here.lsn), 8))::bit(32)::int, (here.lsn - '0/0')::bigint,
       pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint,
       (SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'wal_segment_size'), clock_timestamp()
  FROM pg_catalog.pg_control_system() AS s, (SELECT pg_catalog.pg_current_wal_insert_lsn() AS lsn) AS here
"""
# Snapshots of other databases see no row of this one; a walsender's is that of a standby, or of a slot.
HOLDERS = """
SELECT CASE a.backend_type WHEN 'client backend' THEN 'backend' WHEN 'walsender' THEN 'standby' ELSE a.backend_type END,
       CASE a.backend_type WHEN 'walsender' THEN a.application_name ELSE concat_ws(' ', a.pid, 'of ' || a.usename) END,
       a.backend_xmin::text::bigint, a.backend_xid::text::bigint,
       extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.backend_start))::int, a.backend_type IS NULL
  FROM pg_catalog.pg_stat_activity AS a
 WHERE (a.datname = current_database() OR a.backend_type = 'walsender' OR a.backend_type IS NULL)
   AND a.pid <> pg_catalog.pg_backend_pid()
   AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL OR a.backend_type IS NULL)
"""
_PREPARED = """
SELECT 'of ' || p.owner, p.transaction::text::bigint, extract(epoch FROM clock_timestamp() - p.prepared)::int
  FROM pg_catalog.pg_prepared_xacts AS p WHERE p.database = current_database()
"""
# PostgreSQL 17 tells since when a slot is idle.
_SLOTS = """
SELECT s.slot_name, s.xmin::text::bigint, s.catalog_xmin::text::bigint, (s.restart_lsn - '0/0')::bigint, s.active,
       extract(epoch FROM clock_timestamp() - (pg_catalog.to_jsonb(s) ->> 'inactive_since')::timestamptz)::int,
       s.wal_status IS NOT DISTINCT FROM 'lost'
  FROM pg_catalog.pg_replication_slots AS s
"""
_FOLLOWERS: LiteralString = (
    "SELECT r.application_name, (r.replay_lsn - '0/0')::bigint FROM {} AS r WHERE r.state IS NOT NULL"
)
_WAL: LiteralString = "SELECT w.name FROM {} AS w (name) WHERE w.name ~ '^[0-9A-F]{{24}}$'"


def look(connection: Connection, *, wal: bool = True) -> Facts:
    """What there is now, as whoever asks may see it. In autocommit mode, so that a refused question does not end the look.
    ``wal=False``: only who holds old snapshots, in a few milliseconds."""
    system, timeline, insert, next_xid, size, moment = one(connection.execute(_HEAD))
    holders, hidden = _holders(connection, next_xid)
    kept, slots = _slots(connection, next_xid)
    prepared = [
        Holder("prepared transaction", name, widened(xid, next_xid), age=age)
        for name, xid, age in connection.execute(_PREPARED)
    ]
    snapshots = Facts(
        system=system,
        timeline=timeline,
        counter=None,
        insert=insert,
        next_xid=next_xid,
        moment=moment,
        holders=(*holders, *kept, *prepared),
        slots=slots,
        hidden_holders=hidden,
        hidden_wal="nobody looked at it",
    )
    if not wal:
        return snapshots
    oldest, hidden_wal = _oldest_wal(connection, size)
    return replace(
        snapshots, counter=_counter(connection), oldest_wal=oldest, redo=_redo(connection),
        followers=_followers(connection), hidden_wal=hidden_wal,
    )  # fmt: skip


def widened(xid: int, next_xid: int) -> int:
    """A transaction id of 32 bits in 64, by one near it: as the server compares them, none is two billion away. It may be
    later than ``next_xid``, which was read a moment before."""
    half = _XIDS // 2
    return next_xid + (xid - next_xid + half) % _XIDS - half


def _holders(connection: Connection, next_xid: int) -> tuple[list[Holder], str]:
    """As our own function shows it, which shows no statement, else as the server shows it to us."""
    rows = _asked(connection, "SELECT * FROM quietus.holding_back()")
    found, hidden = ([], 1) if rows is None else _activity(rows, next_xid)
    if hidden:
        found, hidden = _activity(connection.execute(HOLDERS), next_xid)
    if not hidden:
        return found, ""
    return found, (
        f"the snapshots of {hidden} other sessions are hidden: run the store's install as a role that may read all "
        "statistics (pg_read_all_stats), or UNVERIFIED it stays"
    )


def _activity(rows: Iterable[tuple[Any, ...]], next_xid: int) -> tuple[list[Holder], int]:
    found: list[Holder] = []
    hidden = 0
    for kind, name, xmin, xid, age, unseen in rows:
        if unseen:
            hidden += 1
            continue
        found.append(
            Holder(kind, name, min(widened(x, next_xid) for x in (xmin, xid) if x is not None), age=age)
        )
    return found, hidden


def _slots(connection: Connection, next_xid: int) -> tuple[list[Holder], tuple[Slot, ...]]:
    holders: list[Holder] = []
    slots: list[Slot] = []
    for name, xmin, catalog_xmin, restart, active, age, lost in connection.execute(_SLOTS):
        if not lost:
            slots.append(Slot(name, restart, active, age))
        if xmin is not None or catalog_xmin is not None:
            holders.append(
                Holder(
                    "slot", name, None if xmin is None else widened(xmin, next_xid),
                    None if catalog_xmin is None else widened(catalog_xmin, next_xid), age,
                )
            )  # fmt: skip
    return holders, tuple(slots)


def _oldest_wal(connection: Connection, size: int) -> tuple[int | None, str]:
    """Recycled segments bear the names of those to come, so the least name is that of the oldest in use."""
    for source in ("quietus.wal_segments()", "(SELECT name FROM pg_catalog.pg_ls_waldir())"):
        rows = _asked(connection, _WAL, source)
        if rows:
            return min(segment(name, size) for (name,) in rows), ""
    return None, (
        "the names of WAL segments are hidden: run the store's install as a role that may list them (pg_monitor)"
    )


def _redo(connection: Connection) -> int | None:
    rows = _asked(
        connection, "SELECT (c.redo_lsn - '0/0')::bigint FROM pg_catalog.pg_control_checkpoint() AS c"
    )
    return rows[0][0] if rows else None


def _followers(connection: Connection) -> tuple[Follower, ...]:
    for source in ("quietus.standbys()", "pg_catalog.pg_stat_replication"):
        rows = _asked(connection, _FOLLOWERS, source)
        if rows is not None:
            return tuple(Follower(name, replayed) for name, replayed in rows)
    return ()


def _counter(connection: Connection) -> int | None:
    rows = _asked(connection, "SELECT max(no) FROM quietus.epoch")
    return rows[0][0] if rows else None


def _asked(
    connection: Connection, question: LiteralString, source: LiteralString | None = None
) -> list[tuple[Any, ...]] | None:
    """The answer; None if nobody may ask that here."""
    query = sql.SQL(question) if source is None else sql.SQL(question).format(sql.SQL(source))
    try:
        return connection.execute(query).fetchall()
    except (
        pg.InsufficientPrivilege, pg.UndefinedFunction, pg.UndefinedTable, pg.InvalidSchemaName, pg.FeatureNotSupported,
    ):  # fmt: skip
        return None


__all__ = ["Facts", "Follower", "Holder", "Slot", "Standing", "look", "mvcc_dead", "wal_gone", "widened"]
