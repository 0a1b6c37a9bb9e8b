"""Every table of Airflow 3.3's metadata, and what becomes of its rows. A table that is not here is not looked after, and said.

A swept table has a clock (an SQL expression over ``t``) and reasons for which a row stays (conditions over ``t``; ``live``
is the list of runs that live). Both are ours and hold no value from outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OVER_RUN = ("success", "failed")
"""States of a run in which the scheduler looks at it no more. Any other, also one that we do not know, lives."""
OVER_TASK = ("success", "failed", "skipped", "upstream_failed", "removed")
OVER_CALLBACK = ("success", "failed")

LIVE = "a run that lives needs it"


@dataclass(frozen=True)
class Swept:
    """A table whose rows go by their own age. ``reads``: what our role may read of it; ``takes``: what the database
    deletes with its rows. ``told``: who did what is in it, and goes to a file first."""

    table: str
    key: tuple[str, ...]
    clock: str
    reads: tuple[str, ...]
    stays: tuple[tuple[str, str], ...] = ()  # reason, condition: the first that holds is told
    takes: tuple[str, ...] = ()
    told: bool = False


def _of_live(run: str) -> str:
    return f"EXISTS (SELECT FROM live WHERE (live.dag_id, live.run_id) = ({run}))"


AUDIT = ("id", "dttm", "dag_id", "run_id", "task_id", "map_index", "try_number", "event", "owner")
"""What we read of the audit log. Not its ``extra``: that has the body of each request, refused ones included."""

SWEPT: tuple[Swept, ...] = (
    Swept(
        "log", ("id",), "t.dttm", AUDIT, ((LIVE, _of_live("t.dag_id, t.run_id")),), told=True,
    ),
    Swept(
        "asset_event", ("id",), "t.timestamp", ("id", "timestamp", "asset_id"),
        (
            (LIVE, "EXISTS (SELECT FROM dagrun_asset_event e JOIN live ON live.id = e.dag_run_id WHERE e.event_id = t.id)"),
            ("a DAG waits for it", "EXISTS (SELECT FROM asset_dag_run_queue q WHERE q.asset_id = t.asset_id)"),
            ("a DAG waits for it", "EXISTS (SELECT FROM partitioned_asset_key_log k WHERE k.asset_event_id = t.id)"),
            ("the newest of its asset", "NOT EXISTS (SELECT FROM asset_event n WHERE n.asset_id = t.asset_id"
             " AND (n.timestamp, n.id) > (t.timestamp, t.id))"),
        ),
        takes=("asset_alias_asset_event", "dagrun_asset_event"),
    ),
    Swept(
        "partitioned_asset_key_log", ("id",), "t.created_at",
        ("id", "created_at", "asset_event_id", "asset_partition_dag_run_id"),
        ((
            "its run is still to come",
            "EXISTS (SELECT FROM asset_partition_dag_run p WHERE p.id = t.asset_partition_dag_run_id)",
        ),),
    ),
    Swept(
        "callback", ("id",), "t.created_at", ("id", "created_at", "state", "trigger_id"),
        (
            (LIVE, "EXISTS (SELECT FROM deadline d JOIN live ON live.id = d.dagrun_id WHERE d.callback_id = t.id)"),
            ("it is not through", "t.state NOT IN ('success', 'failed') AND NOT (t.state = 'scheduled'"
             " AND NOT EXISTS (SELECT FROM deadline d WHERE d.callback_id = t.id))"),
        ),
        takes=("deadline",),
    ),
    Swept(
        "trigger", ("id",), "t.created_date", ("id", "created_date"),
        (
            (LIVE, "EXISTS (SELECT FROM task_instance i WHERE i.trigger_id = t.id)"),
            ("a callback or an asset needs it", "EXISTS (SELECT FROM callback c WHERE c.trigger_id = t.id)"
             " OR EXISTS (SELECT FROM asset_watcher w WHERE w.trigger_id = t.id)"),
        ),
    ),
    Swept(
        "job", ("id",), "coalesce(t.latest_heartbeat, t.start_date)", ("id", "latest_heartbeat", "start_date"),
        (
            (LIVE, "EXISTS (SELECT FROM live JOIN task_instance i USING (dag_id, run_id) WHERE i.queued_by_job_id = t.id)"
             " OR EXISTS (SELECT FROM live WHERE t.id IN (live.creating_job_id, live.scheduled_by_job_id))"),
        ),
    ),
    Swept("import_error", ("id",), "t.timestamp", ("id", "timestamp")),
    Swept(
        "connection_test_request", ("id",), "t.updated_at", ("id", "updated_at", "state"),
        (("it is not through", "t.state NOT IN ('success', 'failed')"),),
    ),
    Swept("revoked_token", ("jti",), "t.exp", ("jti", "exp")),
    Swept(
        "backfill", ("id",), "coalesce(t.completed_at, 'infinity')", ("id", "completed_at"),
        (("its runs are still there", "EXISTS (SELECT FROM dag_run r WHERE r.backfill_id = t.id)"),),
        takes=("backfill_dag_run",),
    ),
    Swept(
        "dag_version", ("id",), "t.created_at", ("id", "created_at", "dag_id", "version_number"),
        (
            ("a run is of it", "EXISTS (SELECT FROM task_instance i WHERE i.dag_version_id = t.id)"
             " OR EXISTS (SELECT FROM task_instance_history h WHERE h.dag_version_id = t.id)"
             " OR EXISTS (SELECT FROM dag_run r WHERE r.created_dag_version_id = t.id)"),
            ("the newest of its DAG", "NOT EXISTS (SELECT FROM dag_version n WHERE n.dag_id = t.dag_id"
             " AND n.version_number > t.version_number)"),
        ),
        takes=("dag_code", "serialized_dag", "deadline_alert"),
    ),
    # Made by what is not always there: the FAB auth manager, the Celery executor.
    Swept("session", ("id",), "t.expiry AT TIME ZONE 'UTC'", ("id", "expiry")),
    Swept("celery_taskmeta", ("id",), "t.date_done AT TIME ZONE 'UTC'", ("id", "date_done")),
    Swept("celery_tasksetmeta", ("id",), "t.date_done AT TIME ZONE 'UTC'", ("id", "date_done")),
)  # fmt: skip
"""In the order in which they go: what is referred to after what refers to it."""

OF_RUNS: Mapping[str, tuple[str, ...]] = {
    "task_instance": (
        "id", "dag_id", "run_id", "task_id", "map_index", "state", "start_date", "end_date", "try_number",
        "trigger_id", "dag_version_id", "queued_by_job_id",
    ),
    "task_instance_history": (
        "task_instance_id", "dag_id", "run_id", "task_id", "map_index", "state", "start_date", "end_date",
        "try_number", "dag_version_id",
    ),
    "hitl_detail": ("ti_id", "responded_at", "responded_by", "chosen_options"),
    "hitl_detail_history": ("ti_history_id", "responded_at", "responded_by", "chosen_options"),
    "rendered_task_instance_fields": ("dag_id", "run_id"),
    "xcom": ("dag_run_id",),
    "task_map": ("dag_id", "run_id"),
    "task_reschedule": ("ti_id",),
    "task_instance_note": ("ti_id",),
    "dag_run_note": ("dag_run_id",),
    "dagrun_asset_event": ("dag_run_id", "event_id"),
    "deadline": ("dagrun_id", "callback_id"),
    "task_state_store": ("dag_run_id",),
    "asset_partition_dag_run": ("id", "created_dag_run_id"),
}  # fmt: skip
"""What goes with its run, by the database's own foreign keys, and what we read of it: never a value, a field, a note."""

RUN = (
    "id", "dag_id", "run_id", "run_type", "state", "queued_at", "start_date", "end_date", "updated_at", "run_after",
    "logical_date", "triggering_user_name", "clear_number", "creating_job_id", "scheduled_by_job_id", "backfill_id",
    "created_dag_version_id",
)  # fmt: skip
"""What we read of a run. Not its conf: that may hold whatever somebody typed."""

ALSO_READ: Mapping[str, tuple[str, ...]] = {
    "dag": ("dag_id", "is_stale"),
    "asset_dag_run_queue": ("asset_id",),
    "asset_watcher": ("trigger_id",),
}

NOW = frozenset({
    "alembic_version", "alembic_version_fab", "alembic_version_celery",
    "asset", "asset_active", "asset_alias", "asset_alias_asset", "asset_alias_asset_event", "asset_dag_run_queue",
    "asset_state_store", "asset_watcher", "backfill_dag_run", "connection", "dag", "dag_bundle", "dag_bundle_team",
    "dag_code", "dag_favorite", "dag_owner_attributes", "dag_priority_parsing_request", "dag_schedule_asset_alias_reference",
    "dag_schedule_asset_name_reference", "dag_schedule_asset_reference", "dag_schedule_asset_uri_reference", "dag_tag",
    "dag_warning", "deadline_alert", "log_template", "serialized_dag", "slot_pool", "task_inlet_asset_reference",
    "task_outlet_asset_reference", "team", "variable",
    "ab_group", "ab_group_role", "ab_permission", "ab_permission_view", "ab_permission_view_role", "ab_register_user",
    "ab_role", "ab_user", "ab_user_group", "ab_user_role", "ab_view_menu",
})  # fmt: skip
"""What is so now and has no age: definitions, settings, log-ins, and what goes with a swept row."""

ARCHIVES = ("\\_airflow\\_deleted\\_\\_%", "\\_xcom\\_archive")
"""Patterns of ``LIKE``: copies that ``airflow db clean`` or an upgrade left of rows that it deleted."""


def known() -> frozenset[str]:
    """Every table that is declared here."""
    return frozenset({"dag_run", *(s.table for s in SWEPT), *OF_RUNS, *ALSO_READ}) | NOW
