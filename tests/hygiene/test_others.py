"""Rows of no run go by their own age, unless something that lives needs them; archives are dropped; strange tables are said."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from include.hygiene import checking, others, sweeping
from include.hygiene.installing import install, tables_of
from include.hygiene.tables import ARCHIVES, SWEPT, Swept, known
from include.model.errors import Refused
from include.model.words import Verdict
from tests.conftest import PgServer
from tests.hygiene.conftest import Metadata
from tests.hygiene.making import BEFORE, OLD, YOUNG, count, dag, run

TABLES = {s.table: s for s in SWEPT}


@pytest.fixture
def owner(metadata: Metadata) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(metadata.owner, autocommit=True) as conn:
        yield conn


@pytest.fixture
def janitor(metadata: Metadata) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    with psycopg.connect(metadata.janitor, autocommit=True, row_factory=dict_row) as conn:
        yield conn


def sweep(conn: Any, table: str, many: int = 2) -> int:
    return sweeping.sweep_rows(conn, TABLES[table], BEFORE, many, lambda _: None).rows[table]


def plain(conn: Any, table: str, at: datetime) -> None:
    """A row that nothing needs."""
    said = {"at": at, "id": uuid.uuid4(), "text": uuid.uuid4().hex}
    conn.execute(
        {
            "log": "INSERT INTO log (event, dttm, dag_id, run_id) VALUES ('e', %(at)s, 'd', 'over')",
            "asset_event": "INSERT INTO asset_event (asset_id, extra, timestamp, source_map_index) VALUES (1, '{}', %(at)s, -1)",
            "partitioned_asset_key_log": "INSERT INTO partitioned_asset_key_log (asset_id, asset_event_id,"
            " asset_partition_dag_run_id, source_partition_key, target_dag_id, target_partition_key, created_at)"
            " VALUES (1, 1, 1, 'k', 'd', 'k', %(at)s)",
            "callback": "INSERT INTO callback (id, type, fetch_method, data, state, priority_weight, created_at)"
            " VALUES (%(id)s, 'triggerer', 'p', '{}', 'success', 1, %(at)s)",
            "trigger": "INSERT INTO trigger (classpath, kwargs, created_date) VALUES ('c', '', %(at)s)",
            "job": "INSERT INTO job (state, latest_heartbeat) VALUES ('success', %(at)s)",
            "import_error": "INSERT INTO import_error (timestamp, filename) VALUES (%(at)s, 'f')",
            "connection_test_request": "INSERT INTO connection_test_request (id, token, connection_id, state, created_at,"
            " updated_at, conn_type, password) VALUES (%(id)s, %(text)s, 'c', 'success', %(at)s, %(at)s, 'http', 'p')",
            "revoked_token": "INSERT INTO revoked_token (jti, exp) VALUES (%(text)s, %(at)s)",
            "backfill": "INSERT INTO backfill (dag_id, from_date, to_date, dag_run_conf, reprocess_behavior, max_active_runs,"
            " created_at, updated_at, completed_at) VALUES ('d', %(at)s, %(at)s, '{}', 'none', 1, %(at)s, %(at)s, %(at)s)",
            "dag_version": "INSERT INTO dag_version (id, version_number, dag_id, created_at, last_updated)"
            " SELECT %(id)s, coalesce(max(version_number), 0) + 1, 'd', %(at)s, %(at)s FROM dag_version",
            "session": "INSERT INTO session (session_id, expiry) VALUES (%(text)s, %(at)s AT TIME ZONE 'UTC')",
        }[table],
        said,
    )  # fmt: skip


MADE = sorted(t for t in TABLES if not t.startswith("celery"))


@pytest.mark.parametrize("table", MADE)
def test_what_is_past_its_limit_goes_and_the_rest_stays(owner: Any, janitor: Any, table: str) -> None:
    dag(owner, "d")
    asset(owner)
    for at in (OLD, OLD, OLD, YOUNG, YOUNG):
        plain(owner, table, at)
    assert {(f.why, f.rows) for f in others.fates(janitor, TABLES[table], BEFORE)} >= {(None, 3)}
    assert sweep(janitor, table) == 3
    assert count(owner, table) == 2 and sweep(janitor, table) == 0


def asset(conn: Any) -> None:
    conn.execute(
        "INSERT INTO asset (name, uri, \"group\", extra, created_at, updated_at) VALUES ('a', 'a', 'g', '{}', now(), now())"
    )


NEEDED = {
    "log": "INSERT INTO log (event, dttm, dag_id, run_id) VALUES ('e', %(at)s, 'd', 'lives')",
    "asset_event": "WITH e AS (INSERT INTO asset_event (asset_id, extra, timestamp, source_map_index) VALUES"
    " (1, '{}', %(at)s, -1) RETURNING id) INSERT INTO dagrun_asset_event SELECT %(run)s, id FROM e",
    "callback": "WITH c AS (INSERT INTO callback (id, type, fetch_method, data, state, priority_weight, created_at) VALUES"
    " (%(id)s, 'triggerer', 'p', '{}', 'success', 1, %(at)s) RETURNING id) INSERT INTO deadline (id, created_at, last_updated_at,"
    " dagrun_id, deadline_time, missed, callback_id) SELECT id, %(at)s, %(at)s, %(run)s, %(at)s, true, id FROM c",
    "trigger": "WITH t AS (INSERT INTO trigger (classpath, kwargs, created_date) VALUES ('c', '', %(at)s) RETURNING id)"
    " UPDATE task_instance SET trigger_id = t.id FROM t",
    "job": "WITH j AS (INSERT INTO job (state, latest_heartbeat) VALUES ('failed', %(at)s) RETURNING id)"
    " UPDATE task_instance SET queued_by_job_id = j.id FROM j",
    "dag_version": "WITH v AS (INSERT INTO dag_version (id, version_number, dag_id, created_at, last_updated) VALUES"
    " (%(id)s, 1, 'd', %(at)s, %(at)s), (%(ti)s, 2, 'd', now(), now()) RETURNING id)"
    " UPDATE task_instance SET dag_version_id = %(id)s WHERE EXISTS (SELECT FROM v)",
    "backfill": "WITH b AS (INSERT INTO backfill (dag_id, from_date, to_date, dag_run_conf, reprocess_behavior, max_active_runs,"
    " created_at, updated_at, completed_at) VALUES ('d', %(at)s, %(at)s, '{}', 'none', 1, %(at)s, %(at)s, %(at)s) RETURNING id)"
    " UPDATE dag_run SET backfill_id = b.id FROM b",
}


@pytest.mark.parametrize("table", sorted(NEEDED))
def test_what_a_living_run_needs_stays_however_old(owner: Any, janitor: Any, table: str) -> None:
    dag(owner, "d")
    asset(owner)
    number = run(owner, "d", "lives", state="running", tasks=("deferred",), ended=OLD)
    owner.execute(NEEDED[table], {"at": OLD, "run": number, "id": uuid.uuid4(), "ti": uuid.uuid4()})
    if table == "asset_event":
        plain(owner, table, YOUNG)  # not only because it is the newest
    there = {
        t: count(owner, t) for t in (table, "task_instance", "dag_run", "deadline", "dagrun_asset_event")
    }
    assert sweep(janitor, table) == 0
    assert {t: count(owner, t) for t in there} == there


def test_what_would_drag_along_something_undeclared_is_not_deleted(owner: Any, janitor: Any) -> None:
    """A trigger's row takes its task with it, by Airflow's own foreign key."""
    run(owner, "d", "lives", state="running", tasks=("deferred",), ended=OLD)
    owner.execute(NEEDED["trigger"], {"at": OLD})
    blind = Swept("trigger", ("id",), "t.created_date", ("id", "created_date"))
    with pytest.raises(ValueError, match="task_instance"):
        sweeping.sweep_rows(janitor, blind, BEFORE)
    assert count(owner, "task_instance") == 1 and count(owner, "trigger") == 1


def test_archives_are_dropped_and_nothing_that_only_looks_like_one(owner: Any, janitor: Any) -> None:
    for name in (
        "_airflow_deleted__dag_run__20260101000000",
        "_xcom_archive",
        "airflow_deleted__x",
        "xairflowxdeletedxxy",
    ):
        owner.execute(psycopg.sql.SQL("CREATE TABLE {} (id int)").format(psycopg.sql.Identifier(name)))
    assert others.archives(janitor, ARCHIVES) == (
        "_airflow_deleted__dag_run__20260101000000",
        "_xcom_archive",
    )
    assert set(others.drop_archives(janitor)) == {
        "_airflow_deleted__dag_run__20260101000000",
        "_xcom_archive",
    }
    assert others.archives(janitor, ARCHIVES) == ()
    said = checking.every_table_known(janitor, ())
    assert said.verdict is Verdict.UNVERIFIED and "airflow_deleted__x" in said.said


def test_every_table_that_airflow_makes_is_declared(owner: Any) -> None:
    """A new version of Airflow that brings another turns this red, and the night UNVERIFIED."""
    assert tables_of(owner) - known() == set()


def test_airflow_that_holds_a_row_is_given_way(metadata: Metadata, owner: Any, janitor: Any) -> None:
    janitor.execute("SET lock_timeout = '200ms'")
    for _ in range(3):
        plain(owner, "log", OLD)
    with psycopg.connect(metadata.owner) as held:
        held.execute("SELECT FROM log WHERE id = (SELECT min(id) FROM log) FOR UPDATE")
        done = sweeping.sweep_rows(janitor, TABLES["log"], BEFORE, keep=lambda _: None)
    assert done.locked["log"] == 1 and done.rows["log"] == 0


def test_installing_again_changes_nothing_and_takes_back_what_is_not_needed(
    metadata: Metadata, owner: Any
) -> None:
    owner.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO janitor")
    for _ in range(2):
        install(metadata.airflow)
    granted = owner.execute(
        "SELECT table_name, privilege_type FROM information_schema.table_privileges WHERE grantee = 'janitor'"
    ).fetchall()
    assert set(granted) == {(t, "DELETE") for t in {"dag_run", *TABLES} & tables_of(owner)}


def test_only_the_owner_of_the_tables_installs(metadata: Metadata) -> None:
    with pytest.raises(Refused, match="only the owner"):
        install(metadata.janitor)


def test_a_database_that_is_not_airflows_is_refused(pg18: PgServer) -> None:
    with pytest.raises(Refused, match="no tables of Airflow"):
        install(pg18.conninfo(pg18.fresh_database()))
