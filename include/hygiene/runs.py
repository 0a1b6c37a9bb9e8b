"""Runs that go, and what keeps the others; and a batch of them, deleted in one transaction with all that is theirs.

A run is deleted by the one row of ``dag_run``: what is its own follows by Airflow's foreign keys, so it is never half gone.
The statement that deletes asks again whether the run lives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import sql

from include.hygiene.opening import Conn
from include.hygiene.tables import OF_RUNS, OVER_RUN, OVER_TASK

ENDED = sql.SQL("coalesce(r.end_date, r.updated_at, r.run_after)")
"""When a run ended. One that was marked as ended without a time: when that was written."""

LIVE = sql.SQL(
    "live AS MATERIALIZED (SELECT r.id, r.dag_id, r.run_id, r.logical_date, r.creating_job_id, r.scheduled_by_job_id"
    " FROM dag_run r WHERE r.state IS NULL OR r.state <> ALL(%(over_run)s) OR EXISTS (SELECT FROM task_instance i"
    " WHERE (i.dag_id, i.run_id) = (r.dag_id, r.run_id) AND i.state <> ALL(%(over_task)s)))"
)
"""The runs that live: queued, running, or with a task that waits, runs or is tried again, of whatever age."""

WHY = sql.SQL(
    "CASE WHEN EXISTS (SELECT FROM live WHERE live.id = r.id) THEN 'it lives'"
    " WHEN EXISTS (SELECT FROM live l WHERE l.dag_id = r.dag_id AND r.logical_date < l.logical_date AND NOT EXISTS ("
    "SELECT FROM dag_run b WHERE b.dag_id = r.dag_id AND b.logical_date > r.logical_date AND b.logical_date < l.logical_date))"
    " THEN 'a run that lives may depend on it'"
    " WHEN r.run_type <> 'manual' AND EXISTS (SELECT FROM dag d WHERE d.dag_id = r.dag_id AND NOT d.is_stale) AND ("
    "NOT EXISTS (SELECT FROM dag_run n WHERE (n.dag_id, n.run_type) = (r.dag_id, r.run_type) AND n.run_after > r.run_after)"
    " OR r.logical_date IS NOT NULL AND NOT EXISTS (SELECT FROM dag_run n WHERE n.dag_id = r.dag_id AND n.run_type <> 'manual'"
    " AND n.logical_date > r.logical_date)) THEN 'its schedule counts on from it'"
    " WHEN {ended} >= %(before)s THEN 'its limit has not come' END"
).format(ended=ENDED)
"""Why a run stays; NULL: it goes."""

_OF_CHOSEN = sql.SQL("WITH {live} SELECT r.id, {why} AS why FROM dag_run r WHERE r.id = ANY(%(ids)s)").format(
    live=LIVE, why=WHY
)
_FATES = sql.SQL(
    "WITH {live} SELECT why, count(*) AS n, min(ended) AS oldest FROM (SELECT {why} AS why, {ended} AS ended FROM dag_run r) f"
    " GROUP BY why ORDER BY why NULLS FIRST"
).format(live=LIVE, why=WHY, ended=ENDED)
_NEXT = sql.SQL(
    "WITH {live} SELECT r.id, {columns} FROM dag_run r WHERE {ended} < %(before)s AND r.id <> ALL(%(busy)s) AND {why} IS NULL"
    " ORDER BY {ended}, r.id LIMIT %(many)s"
).format(live=LIVE, why=WHY, ended=ENDED, columns=sql.SQL("r.dag_id, r.run_id"))
# ``live`` is asked of the chosen runs alone here: it is the moment of the deed that counts, not the list of a while ago.
_DELETE = sql.SQL(
    "DELETE FROM dag_run r WHERE r.id = ANY(%(ids)s) AND r.state = ANY(%(over_run)s) AND {ended} < %(before)s"
    " AND NOT EXISTS (SELECT FROM task_instance i WHERE (i.dag_id, i.run_id) = (r.dag_id, r.run_id)"
    " AND i.state <> ALL(%(over_task)s)) RETURNING r.id"
).format(ended=ENDED)


@dataclass(frozen=True)
class Fate:
    """So many rows of a table stay for this reason; without one: go."""

    table: str
    why: str | None
    rows: int
    oldest: datetime | None = None


def fates(conn: Conn, before: datetime) -> tuple[Fate, ...]:
    """Of every run. Changes nothing. ``before``: what ended before it is past its limit."""
    return tuple(
        Fate("dag_run", row["why"], row["n"], row["oldest"])
        for row in conn.execute(_FATES, _asked(before)).fetchall()
    )


def due(conn: Conn, before: datetime, many: int, busy: Sequence[int] = ()) -> tuple[int, ...]:
    """The next runs that go, the oldest first; without ``busy``, which were locked."""
    rows = conn.execute(_NEXT, {**_asked(before), "many": many, "busy": list(busy)}).fetchall()
    return tuple(int(row["id"]) for row in rows)


def delete(conn: Conn, ids: Sequence[int], before: datetime) -> Counter[str]:
    """Delete those of these runs that still may go, in the caller's transaction; rows by table, what follows included.

    One that was begun again meanwhile stays. Raises ValueError if anything of another kind than a run's went: roll back.
    """
    asked = {**_asked(before), "ids": list(ids)}
    may = [int(r["id"]) for r in conn.execute(_OF_CHOSEN, asked).fetchall() if r["why"] is None]
    earlier = deleted(conn)
    conn.execute(_DELETE, {**asked, "ids": may})
    went = deleted(conn) - earlier
    expect(went, {"dag_run", *OF_RUNS})
    return went


def deleted(conn: Conn) -> Counter[str]:
    """Rows that this transaction deleted so far, by table, cascades included."""
    rows = conn.execute(
        "SELECT relname, n_tup_del FROM pg_stat_xact_user_tables WHERE n_tup_del > 0"
    ).fetchall()
    return Counter({str(r["relname"]): int(r["n_tup_del"]) for r in rows})


def expect(went: Counter[str], allowed: set[str]) -> None:
    if more := sorted(set(went) - allowed):
        raise ValueError(f"rows of {', '.join(more)} would go with it")


def _asked(before: datetime) -> dict[str, Any]:
    return {"before": before, **over()}


def over() -> dict[str, Any]:
    """The states in which nothing is waited for, as parameters of ``LIVE``."""
    return {"over_run": list(OVER_RUN), "over_task": list(OVER_TASK)}
