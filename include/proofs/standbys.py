"""Whether every standby has replayed what the step did: until then a query to one of them still reads what is gone here.

A standby is whoever takes this server's log and replays it: connected, or away with a slot that keeps its place.
Who only stores the log (``pg_receivewal``, a base backup under way) replays nothing; those copies belong to R5 and R6.
A standby that follows another standby is told of by that one only, and one that is away without a slot by nobody.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import sql

from include.model.errors import NotReachable, QuietusError
from include.model.flow import Check, Plan
from include.model.words import Rung, Verdict
from include.proofs.server import Connection, Reader
from include.proofs.tables import Tables

PATIENCE = (
    30.0  # seconds: a standby that follows is there within a moment; a delayed one is looked at again later
)
PAUSE = 0.25

_TARGET = """
SELECT CASE WHEN bool_and(coalesce(r.renewed_lsn <= here.lsn AND r.timeline = here.timeline AND r.epoch = here.epoch,
                                   false))
            THEN max(r.renewed_lsn) ELSE max(here.lsn) END::text
FROM (SELECT pg_current_wal_insert_lsn() AS lsn, left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) AS timeline,
             (SELECT max(no) FROM quietus.epoch) AS epoch) AS here
LEFT JOIN quietus.receipt AS r ON r.step = %s AND r.verb = 'dispose'
"""
"""The log's position after the step's last deed; where that is not known, or another history's, the present one."""

_ALL = """
SELECT coalesce(w.application_name, s.slot_name), w.pid IS NOT NULL, w.state, w.write_lsn IS NOT NULL,
       %(target)s::pg_lsn - w.replay_lsn, s.slot_type, s.wal_status,
       %(target)s::pg_lsn - CASE s.slot_type WHEN 'logical' THEN s.confirmed_flush_lsn ELSE s.restart_lsn END
FROM {senders} AS w FULL JOIN pg_catalog.pg_replication_slots AS s ON s.active_pid = w.pid
WHERE s.database IS NULL OR s.database = current_database()
ORDER BY 1
"""
_OPEN: LiteralString = (
    "pg_catalog.pg_stat_replication"  # shows a role without pg_read_all_stats that there are some
)
_SHOWN: LiteralString = (
    "quietus.standbys()"  # and this, which our install makes for the prover, how far they are
)


@dataclass(frozen=True)
class Standby:
    """One of them: how far it is behind, in bytes of log, or why that is not known. Neither: it has replayed."""

    name: str
    connected: bool
    behind: int = 0
    unknown: str = ""

    @property
    def replayed(self) -> bool:
        return self.behind <= 0 and not self.unknown

    def __str__(self) -> str:
        return f"{self.name} {self.unknown or f'is {self.behind} bytes behind'}"


def replayed(reader: Reader, tables: Tables, plan: Plan) -> tuple[Check, ...]:
    """``replayed.<dataset>`` (R2) of every dataset that the plan changes: expected are all standbys, observed those
    that have replayed it. One that lags is waited for, and then UNVERIFIED by name. Raises NotReachable."""
    changed = [
        d.id
        for d in tables.datasets
        if any(x.items and x.disposition.changes_data for x in plan.lines_of(d.id))
    ]
    if not changed:
        return ()
    verdict, expected, observed, why = _look(reader, tables.step.id)
    return tuple(
        Check(
            name=f"replayed.{id}", dataset=id, rung=Rung.R2, verdict=verdict, expected=expected,
            observed=observed, why=why,
        )
        for id in changed
    )  # fmt: skip


def _look(reader: Reader, step: str) -> tuple[Verdict, int | None, int | None, str]:
    try:
        with reader.connect() as connection:
            standbys, hidden = _waited_for(connection, _target(connection, step))
    except NotReachable:
        raise
    except QuietusError as said:
        return Verdict.UNVERIFIED, None, None, f"the standbys could not be looked at: {said.what}"
    if hidden:
        return Verdict.UNVERIFIED, hidden, None, (
            f"the prover may not see how far standbys are, of which there are {hidden}: run the store's install again, "
            "as a role that may read all statistics"
        )  # fmt: skip
    if not standbys:
        return Verdict.PASSED, 0, 0, "the server has no standby, and no slot that keeps the place of one"
    late = [s for s in standbys if not s.replayed]
    why = "; ".join(map(str, late[:5])) + (f"; and {len(late) - 5} more" if len(late) > 5 else "")
    verdict = Verdict.UNVERIFIED if late else Verdict.PASSED
    return verdict, len(standbys), len(standbys) - len(late), why


def _target(connection: Connection, step: str) -> str:
    row = connection.execute(_TARGET, [step]).fetchone()
    return str(row[0]) if row else ""


def _waited_for(connection: Connection, target: str) -> tuple[list[Standby], int]:
    """All standbys, once those that are connected have replayed up to there, or patience has an end; and how many
    more there are of which nothing is shown."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found, hidden = _standbys(connection, target)
        lagging = any(s.connected and not s.replayed for s in found)
        if hidden or not lagging or time.monotonic() > deadline:
            return found, hidden
        time.sleep(PAUSE)


def _standbys(connection: Connection, target: str) -> tuple[list[Standby], int]:
    found, hidden = _asked(connection, target, _OPEN)
    if hidden:
        # An install from before there was the function, or one without the right to make it: it stays hidden.
        with suppress(psycopg.errors.UndefinedFunction, psycopg.errors.InsufficientPrivilege):
            return _asked(connection, target, _SHOWN)
    return found, hidden


def _asked(connection: Connection, target: str, senders: LiteralString) -> tuple[list[Standby], int]:
    """(standbys, how many more there are of which nothing is shown)"""
    found: list[Standby] = []
    hidden = 0
    query = sql.SQL(_ALL).format(senders=sql.SQL(senders))
    for name, connected, state, writes, behind, kind, wal, kept in connection.execute(
        query, {"target": target}
    ):
        if connected and state is None:
            hidden += 1
        elif connected and state != "backup":
            if behind is not None:
                found.append(Standby(name, True, int(behind)))
            elif not writes:  # who has written and does not replay only stores the log
                found.append(Standby(name, True, unknown="has not said yet how far it is"))
        elif not connected:
            found += _away(name, kind, wal, kept)
    return found, hidden


def _away(slot: str, kind: str, wal: str | None, behind: int | None) -> list[Standby]:
    """Who left a slot behind. A physical slot tells what its owner has received, and not what it has replayed."""
    if wal == "lost":
        return [Standby(slot, False, unknown="is away, and what it would have to replay is no longer here")]
    if behind is None:
        return []  # reserved, and never used
    if kind == "logical":
        return [Standby(slot, False, int(behind))]
    if behind > 0:
        return [Standby(slot, False, unknown=f"is away and at least {int(behind)} bytes behind")]
    return [
        Standby(slot, False, unknown="is away; it has received this, and whether it replayed it is not known")
    ]


__all__ = ["PATIENCE", "Standby", "replayed"]
