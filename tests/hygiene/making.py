"""Rows of Airflow's, as Airflow writes them: runs with all that can hang on one."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg import sql

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
BEFORE = NOW - timedelta(days=180)
OLD, YOUNG = BEFORE - timedelta(days=30), BEFORE + timedelta(days=30)
SECRET = "what-somebody-typed"  # in every field that nobody may read

# By table, the rows of a run made with ``everything``.
OF_A_RUN = (
    "task_instance", "task_instance_history", "hitl_detail", "hitl_detail_history", "rendered_task_instance_fields", "xcom",
    "task_map", "task_reschedule", "task_instance_note", "dag_run_note", "deadline", "task_state_store", "dagrun_asset_event",
)  # fmt: skip


def dag(conn: psycopg.Connection, dag_id: str, *, stale: bool = False) -> None:
    conn.execute("INSERT INTO dag_bundle (name) VALUES ('b') ON CONFLICT DO NOTHING")
    conn.execute(
        "INSERT INTO dag (dag_id, is_paused, is_stale, bundle_name, timetable_type, partition_mapper_info, max_active_tasks,"
        " max_consecutive_failed_dag_runs, has_task_concurrency_limits) VALUES (%s, false, %s, 'b', 't', '[]', 16, 0, false)"
        " ON CONFLICT (dag_id) DO UPDATE SET is_stale = EXCLUDED.is_stale",
        (dag_id, stale),
    )


def run(
    conn: psycopg.Connection, dag_id: str, run_id: str, *, state: str | None = "success", ended: datetime | None = OLD,
    tasks: Sequence[str | None] = ("success",), kind: str = "manual", logical: datetime | None = None,
    case: str | None = None,
) -> int:  # fmt: skip
    """A run; its number."""
    row = conn.execute(
        "INSERT INTO dag_run (dag_id, run_id, run_type, state, run_after, logical_date, start_date, end_date, updated_at,"
        " triggering_user_name, conf) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 'support', %s) RETURNING id",
        (dag_id, run_id, kind, state, ended or OLD, logical, ended or OLD, ended, ended or OLD,
         json.dumps({"case": case, "note": SECRET})),
    ).fetchone()  # fmt: skip
    assert row is not None
    for n, of in enumerate(tasks):
        conn.execute(
            "INSERT INTO task_instance (id, task_id, dag_id, run_id, map_index, state, try_number, pool, pool_slots,"
            " start_date, end_date) VALUES (%s, %s, %s, %s, -1, %s, 1, 'default_pool', 1, %s, %s)",
            (uuid.uuid4(), f"t{n}", dag_id, run_id, of, ended or OLD, ended),
        )
    return int(row[0])


def everything(conn: psycopg.Connection, number: int) -> None:
    """All that can hang on a run, on the first of its tasks."""
    found = conn.execute(
        "SELECT i.id, r.dag_id, r.run_id FROM dag_run r JOIN task_instance i USING (dag_id, run_id)"
        " WHERE r.id = %s AND i.task_id = 't0'", (number,),
    ).fetchone()  # fmt: skip
    assert found is not None
    ti, dag_id, run_id = found
    earlier, callback = uuid.uuid4(), uuid.uuid4()
    here = {"ti": ti, "dag": dag_id, "run": run_id, "n": number, "earlier": earlier, "secret": SECRET, "at": OLD,
            "json": json.dumps({"v": SECRET}), "by": json.dumps({"id": "7", "name": "reviewer"}), "callback": callback,
            "again": uuid.uuid4()}  # fmt: skip
    for statement in (
        "INSERT INTO task_instance_history (task_instance_id, task_id, dag_id, run_id, map_index, try_number, pool, pool_slots,"
        " state) VALUES (%(earlier)s, 't0', %(dag)s, %(run)s, -1, 0, 'default_pool', 1, 'failed')",
        "INSERT INTO hitl_detail (ti_id, options, subject, body, params, created_at, params_input, responded_at, responded_by,"
        " chosen_options) VALUES (%(ti)s, '[\"Approve\"]', %(secret)s, %(secret)s, '{}', %(at)s, %(json)s, %(at)s, %(by)s,"
        " '[\"Approve\"]')",
        "INSERT INTO hitl_detail_history (ti_history_id, options, subject, params, created_at, params_input, responded_at,"
        " responded_by, chosen_options) VALUES (%(earlier)s, '[]', %(secret)s, '{}', %(at)s, %(json)s, %(at)s, %(by)s,"
        " '[\"Return\"]')",
        "INSERT INTO rendered_task_instance_fields (dag_id, task_id, run_id, map_index, rendered_fields)"
        " VALUES (%(dag)s, 't0', %(run)s, -1, %(json)s)",
        "INSERT INTO xcom (dag_run_id, task_id, map_index, key, dag_id, run_id, value, timestamp)"
        " VALUES (%(n)s, 't0', -1, 'return_value', %(dag)s, %(run)s, %(json)s, %(at)s)",
        "INSERT INTO task_map (dag_id, task_id, run_id, map_index, length) VALUES (%(dag)s, 't0', %(run)s, -1, 1)",
        "INSERT INTO task_reschedule (ti_id, start_date, end_date, duration, reschedule_date)"
        " VALUES (%(ti)s, %(at)s, %(at)s, 1, %(at)s)",
        "INSERT INTO task_instance_note (ti_id, content, created_at, updated_at) VALUES (%(ti)s, %(secret)s, %(at)s, %(at)s)",
        "INSERT INTO dag_run_note (dag_run_id, content, created_at, updated_at) VALUES (%(n)s, %(secret)s, %(at)s, %(at)s)",
        "INSERT INTO callback (id, type, fetch_method, data, state, priority_weight, created_at)"
        " VALUES (%(callback)s, 'triggerer', 'import_path', %(json)s, 'scheduled', 1, %(at)s)",
        "INSERT INTO deadline (id, created_at, last_updated_at, dagrun_id, deadline_time, missed, callback_id)"
        " VALUES (%(again)s, %(at)s, %(at)s, %(n)s, %(at)s, false, %(callback)s)",
        "INSERT INTO task_state_store (dag_run_id, task_id, map_index, key, dag_id, run_id, value, updated_at)"
        " VALUES (%(n)s, 't0', -1, 'k', %(dag)s, %(run)s, %(secret)s, %(at)s)",
        "WITH e AS (INSERT INTO asset_event (asset_id, extra, source_map_index, timestamp)"
        " VALUES (1, '{}', -1, %(at)s) RETURNING id) INSERT INTO dagrun_asset_event SELECT %(n)s, id FROM e",
    ):
        conn.execute(statement, here)


def count(conn: psycopg.Connection, table: str) -> int:
    row = conn.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
    assert row is not None
    return int(row[0])


def runs(conn: psycopg.Connection) -> set[str]:
    return {str(r[0]) for r in conn.execute("SELECT run_id FROM dag_run").fetchall()}
