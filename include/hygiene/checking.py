"""Another look, by questions that the deleter did not ask: what is late and still there, and has a living run lost anything.

Runs are read row by row and judged here; what could not be looked at is UNVERIFIED, with why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import sql

from include.hygiene.installing import tables_of
from include.hygiene.opening import Conn
from include.hygiene.tables import ARCHIVES, OVER_RUN, OVER_TASK, SWEPT, known
from include.model.words import Verdict

# What Airflow itself never takes from a run that lives. XComs and rendered fields it clears at each try.
_OWN = ("task_instance", "task_instance_history", "log")
Run = tuple[str, str]  # (dag_id, run_id)


@dataclass(frozen=True)
class Check:
    name: str
    verdict: Verdict
    said: str


def living(conn: Conn) -> dict[Run, bool]:
    """Every run that is there, and whether it lives, judged one by one."""
    tasks: dict[Run, set[str | None]] = {}
    for row in conn.execute("SELECT DISTINCT dag_id, run_id, state FROM task_instance").fetchall():
        tasks.setdefault((row["dag_id"], row["run_id"]), set()).add(row["state"])
    found = {}
    for row in conn.execute("SELECT dag_id, run_id, state FROM dag_run").fetchall():
        run = (row["dag_id"], row["run_id"])
        waits = tasks.get(run, set()) - {None, *OVER_TASK}
        found[run] = row["state"] not in OVER_RUN or bool(waits)
    return found


def possessions(conn: Conn) -> dict[Run, Counter[str]]:
    """What each living run has, in rows by table: taken before the deletion, compared after it."""
    alive = {run for run, lives in living(conn).items() if lives}
    found: dict[Run, Counter[str]] = {run: Counter() for run in alive}
    for table in _OWN:
        rows = conn.execute(
            sql.SQL("SELECT dag_id, run_id, count(*) AS n FROM {} GROUP BY dag_id, run_id").format(
                sql.Identifier(table)
            )
        ).fetchall()
        for row in rows:
            if (run := (row["dag_id"], row["run_id"])) in found:
                found[run][table] += row["n"]
    return found


def check(
    conn: Conn, before: datetime, earlier: Mapping[Run, Counter[str]], locked: Counter[str]
) -> list[Check]:
    """All that can be asked of the metadata. ``earlier``: the possessions before; ``locked``: what Airflow held."""
    return [_lost_nothing(conn, earlier), _runs_in_limit(conn, before, locked), _no_archives(conn)]


def _lost_nothing(conn: Conn, earlier: Mapping[Run, Counter[str]]) -> Check:
    now = living(conn)
    there = possessions(conn)
    gone = [run for run in earlier if run not in now]
    # A run that ended meanwhile is not compared: Airflow itself clears what only its tasks needed.
    less = [
        run for run, had in earlier.items() if now.get(run) and any(there[run][t] < n for t, n in had.items())
    ]
    if gone or less:
        return Check(
            "living_runs_whole",
            Verdict.FAILED,
            f"{len(gone)} of {len(earlier)} living runs are gone, {len(less)} have less",
        )
    return Check("living_runs_whole", Verdict.PASSED, f"{len(earlier)} living runs have what they had")


def _runs_in_limit(conn: Conn, before: datetime, locked: Counter[str]) -> Check:
    alive = living(conn)
    rows = conn.execute(
        "SELECT r.dag_id, r.run_id, r.run_type, r.logical_date, r.run_after, coalesce(r.end_date, r.updated_at, r.run_after)"
        " AS ended, coalesce(NOT d.is_stale, false) AS in_use FROM dag_run r LEFT JOIN dag d USING (dag_id)"
    ).fetchall()
    of_dag: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        of_dag.setdefault(row["dag_id"], []).append(row)
    late = [
        row for row in rows
        if row["ended"] < before and not alive.get((row["dag_id"], row["run_id"]), False)
        and not _needed(row, of_dag[row["dag_id"]], alive)
    ]  # fmt: skip
    unexplained = max(0, len(late) - locked["dag_run"])
    said = f"{len(late)} runs are past their limit, of which Airflow held {len(late) - unexplained}"
    return Check("runs_in_their_limit", Verdict.FAILED if unexplained else Verdict.PASSED, said)


def _needed(row: dict[str, Any], family: list[dict[str, Any]], alive: Mapping[Run, bool]) -> bool:
    """Whether a schedule counts on from this run, or one that lives came right after it."""
    day = row["logical_date"]
    scheduled = [r for r in family if r["run_type"] != "manual"]
    if row["run_type"] != "manual" and row["in_use"]:
        kin = [r for r in scheduled if r["run_type"] == row["run_type"]]
        if row["run_after"] == max(r["run_after"] for r in kin):
            return True
        if day is not None and day == max(
            r["logical_date"] for r in scheduled if r["logical_date"] is not None
        ):
            return True
    if day is None:
        return False
    later = sorted(
        (r for r in family if r["logical_date"] is not None and r["logical_date"] > day),
        key=lambda r: r["logical_date"],
    )
    return bool(later) and any(
        alive.get((r["dag_id"], r["run_id"]), False)
        for r in later
        if r["logical_date"] == later[0]["logical_date"]
    )


def audit_log(conn: Conn, before: datetime, locked: Counter[str]) -> Check:
    """No row of the audit log is past its limit but those of living runs."""
    alive = living(conn)
    rows = conn.execute(
        "SELECT dag_id, run_id, count(*) AS n FROM log WHERE dttm < %s GROUP BY dag_id, run_id", (before,)
    ).fetchall()
    late = sum(r["n"] for r in rows if not alive.get((r["dag_id"], r["run_id"]), False))
    failed = late and not locked["log"]
    return Check(
        "audit_log_in_its_limit",
        Verdict.FAILED if failed else Verdict.PASSED,
        f"{late} entries are past their limit",
    )


def every_table_known(conn: Conn, archives: Iterable[str]) -> Check:
    """A table that nobody declared was not looked at."""
    there = tables_of(conn)
    if strange := sorted(there - known() - set(archives)):
        said = f"not looked at, for nobody said what is in them: {', '.join(strange)}"
        return Check("every_table_known", Verdict.UNVERIFIED, said)
    return Check("every_table_known", Verdict.PASSED, f"{len(SWEPT)} tables swept, {len(there)} known")


def _no_archives(conn: Conn) -> Check:
    rows = conn.execute(
        "SELECT count(*) AS n FROM pg_class WHERE relkind = 'r' AND relname LIKE ANY(%s)", (list(ARCHIVES),)
    )
    row = rows.fetchone()
    left = int(row["n"]) if row else 0
    return Check(
        "no_archives",
        Verdict.FAILED if left else Verdict.PASSED,
        f"{left} archives of deleted rows are there",
    )
