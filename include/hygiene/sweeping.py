"""The deletion itself: batch after batch, each a transaction that gives way to Airflow; killed anywhere, the next goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from include.hygiene import history, others, runs
from include.hygiene.opening import Conn
from include.hygiene.tables import Swept

RUNS_A_BATCH = 100
ROWS_A_BATCH = 5000
GIVES_WAY = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected, psycopg.errors.QueryCanceled)

Keep = Callable[[list[dict[str, Any]]], None]


@dataclass
class Sweep:
    """What went, by table, and what could not be had because Airflow was at it."""

    rows: Counter[str] = field(default_factory=Counter)
    locked: Counter[str] = field(default_factory=Counter)


def sweep_runs(conn: Conn, before: datetime, keep: Keep, many: int = RUNS_A_BATCH) -> Sweep:
    """Runs that are past their limit, the oldest first; ``keep`` returns when their history lies outside and is in the ledger.

    Runs that Airflow holds are left for the next night. Raises what ``keep`` raises, with nothing of its batch deleted.
    """
    done, busy, size = Sweep(), list[int](), many
    while ids := runs.due(conn, before, size, busy):
        keep(history.told(conn, ids))
        try:
            with conn.transaction():
                went = runs.delete(conn, ids, before)
        except GIVES_WAY:
            if size == 1:
                busy += ids
            size = max(1, size // 4)
            continue
        done.rows += went
        if went["dag_run"] < len(ids):
            busy += _left(conn, ids)  # begun again meanwhile, or held: not asked for twice
        size = min(many, size * 2)
    done.locked["dag_run"] = len(busy)
    return done


def _left(conn: Conn, ids: Sequence[int]) -> list[int]:
    rows = conn.execute("SELECT id FROM dag_run WHERE id = ANY(%s)", (list(ids),)).fetchall()
    return [int(r["id"]) for r in rows]


def sweep_rows(
    conn: Conn, table: Swept, before: datetime, many: int = ROWS_A_BATCH, keep: Keep | None = None
) -> Sweep:
    """Rows of one table that are past their limit. One that Airflow holds ends it for tonight. ``keep``, of a table that is told:
    returns when what is told of a batch lies outside and is in the ledger. Raises what it raises, with nothing of its batch
    deleted."""
    if table.told and keep is None:
        raise ValueError(f"{table.table} is told before it goes, and nobody keeps it")
    done, size = Sweep(), many
    while True:
        chosen: tuple[int, ...] | None = None
        if keep is not None and table.told and (chosen := others.due(conn, table, before, size)):
            keep(history.audited(conn, chosen))
        try:
            with conn.transaction():
                went = others.delete(conn, table, before, size, chosen)
        except GIVES_WAY:
            if size == 1:
                done.locked[table.table] += 1
                return done
            size = max(1, size // 8)
            continue
        done.rows += went
        if went[table.table] < size:
            return done
        size = min(many, size * 2)
