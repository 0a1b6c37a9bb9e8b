"""What auditors review of a run, or of the audit log, told before it goes: who answered or did what, when; no value or note."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from include.hygiene.installing import SCHEMA
from include.hygiene.opening import Conn
from include.model.screening import kind_of_identifier

_RUNS = (
    "SELECT id, dag_id, run_id, run_type, state, triggering_user_name, logical_date, run_after, queued_at, start_date,"
    " end_date, clear_number FROM dag_run WHERE id = ANY(%s) ORDER BY id"
)
_CASES = f"SELECT run, case_no FROM {SCHEMA}.cases_of(%s)"  # noqa: S608  a name of ours
_TRIES = """
SELECT r.id AS run, t.task_id, t.map_index, t.try_number, t.state, t.start_date, t.end_date,
       a.responded_at, a.responded_by ->> 'name' AS answered_by, a.chosen_options
FROM dag_run r JOIN (
    SELECT id, dag_id, run_id, task_id, map_index, try_number, state, start_date, end_date FROM task_instance
    UNION ALL
    SELECT task_instance_id, dag_id, run_id, task_id, map_index, try_number, state, start_date, end_date
    FROM task_instance_history
) t USING (dag_id, run_id)
LEFT JOIN (
    SELECT ti_id, responded_at, responded_by, chosen_options FROM hitl_detail
    UNION ALL
    SELECT ti_history_id, responded_at, responded_by, chosen_options FROM hitl_detail_history
) a ON a.ti_id = t.id AND a.responded_at IS NOT NULL
WHERE r.id = ANY(%s)
ORDER BY r.id, t.task_id, t.map_index, t.try_number, t.start_date
"""


_AUDIT = (  # a name of ours
    "SELECT l.id, l.dttm, l.event, l.owner, l.dag_id, l.run_id, l.task_id, l.map_index, l.try_number, s.states, s.tasks"  # noqa: S608
    f" FROM log l LEFT JOIN {SCHEMA}.said_of(%(ids)s) s ON s.entry = l.id WHERE l.id = ANY(%(ids)s) ORDER BY l.id"
)


def audited(conn: Conn, ids: Sequence[int]) -> list[dict[str, Any]]:
    """Of each of these entries of the audit log who did what to which run and task, as JSON can say it; the same entries give the
    same words. Of a request's body only states and names of tasks are told."""
    found = []
    for row in conn.execute(_AUDIT, {"ids": list(ids)}).fetchall():
        by, tasks, states = row.pop("owner"), row.pop("tasks") or (), row.pop("states") or ()
        said = _plain(row) | {name: clean(row[name]) for name in ("event", "dag_id", "run_id", "task_id")}
        found.append({**said, "by": clean(by), "tasks": [clean(t) for t in tasks], "states": list(states)})
    return found


def told(conn: Conn, ids: Sequence[int]) -> list[dict[str, Any]]:
    """Of each of these runs what happened, as JSON can say it; the same runs give the same words."""
    cases = {r["run"]: r["case_no"] for r in conn.execute(_CASES, (list(ids),)).fetchall()}
    tries: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in conn.execute(_TRIES, (list(ids),)).fetchall():
        tries[row.pop("run")].append(_try(row))
    found = []
    for row in conn.execute(_RUNS, (list(ids),)).fetchall():
        number = row.pop("id")
        said = _plain(row)
        said["run_id"] = clean(row["run_id"])
        said["triggering_user_name"] = clean(row["triggering_user_name"])
        found.append({**said, "case": cases.get(number), "tries": tries[number]})
    return found


def _try(row: dict[str, Any]) -> dict[str, Any]:
    answer = {
        "by": clean(row.pop("answered_by")),
        "at": row.pop("responded_at"),
        "chose": row.pop("chosen_options"),
    }
    said = _plain(row)
    if answer["at"] is not None:
        said["answer"] = _plain(answer)
    return said


def clean(name: str | None) -> str | None:
    """A name that a person gave; one of a form that finds a person is withheld, and its kind said."""
    kind = kind_of_identifier(name, account_ids=True) if name else None
    return f"(withheld: {kind})" if kind else name


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {k: v.astimezone(UTC).isoformat() if isinstance(v, datetime) else v for k, v in row.items()}
