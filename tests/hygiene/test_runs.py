"""Runs past their limit go with all that is theirs; a run that lives is never touched, whatever its age."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row

from include.hygiene import checking, runs, sweeping
from include.hygiene.tables import OVER_RUN, OVER_TASK
from include.model.errors import NotReachable
from include.model.words import Verdict
from tests.hygiene.conftest import Metadata
from tests.hygiene.making import BEFORE, OF_A_RUN, OLD, SECRET, YOUNG, count, dag, everything, run
from tests.hygiene.making import runs as there

WAITING = ("queued", "running", "scheduled", "deferred", "awaiting_input", "up_for_retry", "up_for_reschedule", "restarting",
           "a state of tomorrow")  # fmt: skip


@pytest.fixture
def owner(metadata: Metadata) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(metadata.owner, autocommit=True) as conn:
        yield conn


@pytest.fixture
def janitor(metadata: Metadata) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    options = "-c lock_timeout=500ms -c statement_timeout=60s"
    with psycopg.connect(metadata.janitor, autocommit=True, row_factory=dict_row, options=options) as conn:
        yield conn


def nowhere(told: list[dict[str, Any]]) -> None:
    pass


@pytest.mark.parametrize("state", WAITING)
def test_a_run_with_a_task_that_waits_stays_however_old(owner: Any, janitor: Any, state: str) -> None:
    dag(owner, "d")
    for n, of in enumerate(("success", "failed", "running")):
        everything(owner, run(owner, "d", f"waits-{n}", state=of, tasks=("success", state), ended=OLD))
    before = {table: count(owner, table) for table in OF_A_RUN}
    assert not sweeping.sweep_runs(janitor, BEFORE, nowhere).rows
    assert {table: count(owner, table) for table in OF_A_RUN} == before


@pytest.mark.parametrize("state", ["queued", "running", "a state of tomorrow", None])
def test_a_run_that_is_not_over_stays_whatever_its_tasks_say(
    owner: Any, janitor: Any, state: str | None
) -> None:
    run(owner, "d", "lives", state=state, tasks=("success", None))
    sweeping.sweep_runs(janitor, BEFORE, nowhere)
    assert there(owner) == {"lives"}


def test_a_run_past_its_limit_goes_with_all_that_is_its_own_and_nothing_else(
    owner: Any, janitor: Any
) -> None:
    dag(owner, "d")
    owner.execute(
        "INSERT INTO asset (name, uri, \"group\", extra, created_at, updated_at) VALUES ('a', 'a', 'g', '{}', now(), now())"
    )
    everything(owner, run(owner, "d", "old", ended=OLD, tasks=("success", None, "skipped")))
    everything(owner, run(owner, "d", "young", ended=YOUNG))
    went = sweeping.sweep_runs(janitor, BEFORE, nowhere).rows
    assert there(owner) == {"young"}
    assert went == {**dict.fromkeys(OF_A_RUN, 1), "dag_run": 1, "task_instance": 3}
    assert {table: count(owner, table) for table in OF_A_RUN} == dict.fromkeys(OF_A_RUN, 1)


def test_a_schedule_counts_on_from_its_last_run_and_a_living_run_has_its_predecessor(
    owner: Any, janitor: Any
) -> None:
    dag(owner, "daily")
    dag(owner, "gone", stale=True)
    for n in range(4):
        run(
            owner,
            "daily",
            f"day-{n}",
            kind="scheduled",
            logical=OLD + timedelta(days=n),
            ended=OLD + timedelta(days=n),
        )
        run(
            owner,
            "gone",
            f"gone-{n}",
            kind="scheduled",
            logical=OLD + timedelta(days=n),
            ended=OLD + timedelta(days=n),
        )
    run(owner, "waits", "before", logical=OLD, ended=OLD)
    run(owner, "waits", "lives", state="running", logical=OLD + timedelta(days=1), ended=None)
    sweeping.sweep_runs(janitor, BEFORE, nowhere)
    assert there(owner) == {"day-3", "before", "lives"}


def test_a_run_that_is_begun_again_after_the_look_stays(owner: Any, janitor: Any) -> None:
    number = run(owner, "d", "again")

    def begun_again(told: list[dict[str, Any]]) -> None:
        owner.execute("UPDATE dag_run SET state = 'queued' WHERE id = %s", (number,))

    done = sweeping.sweep_runs(janitor, BEFORE, begun_again)
    assert there(owner) == {"again"} and done.rows["dag_run"] == 0
    with janitor.transaction():  # and the statement itself asks
        assert runs.delete(janitor, [number], BEFORE)["dag_run"] == 0


def test_airflow_is_not_kept_waiting_what_it_holds_is_left_for_the_next_night(
    metadata: Metadata, owner: Any, janitor: Any
) -> None:
    for n in range(5):
        run(owner, "d", f"old-{n}")
    with psycopg.connect(metadata.owner) as scheduler:
        scheduler.execute("SELECT FROM dag_run WHERE run_id = 'old-2' FOR UPDATE")
        done = sweeping.sweep_runs(janitor, BEFORE, nowhere)
        assert there(owner) == {"old-2"} and done.locked["dag_run"] == 1
    assert sweeping.sweep_runs(janitor, BEFORE, nowhere).rows["dag_run"] == 1


def test_no_run_goes_before_its_history_is_kept(owner: Any, janitor: Any) -> None:
    run(owner, "d", "old")

    def full(told: list[dict[str, Any]]) -> None:
        raise NotReachable("the disk is full")

    with pytest.raises(NotReachable):
        sweeping.sweep_runs(janitor, BEFORE, full)
    assert there(owner) == {"old"}


def test_a_history_tells_who_answered_what_and_nothing_that_somebody_typed(owner: Any, janitor: Any) -> None:
    owner.execute(
        "INSERT INTO asset (name, uri, \"group\", extra, created_at, updated_at) VALUES ('a', 'a', 'g', '{}', now(), now())"
    )
    number = run(owner, "account_cancellation", "manual__x", case="CASE-000007", ended=OLD)
    everything(owner, number)
    owner.execute("UPDATE dag_run SET triggering_user_name = 'zhang@example.com' WHERE id = %s", (number,))
    kept: list[dict[str, Any]] = []
    sweeping.sweep_runs(janitor, BEFORE, kept.extend)
    (told,) = kept
    assert told["case"] == "CASE-000007" and told["state"] == "success"
    assert told["triggering_user_name"] == "(withheld: an e-mail address)"
    assert [(t["state"], t["answer"]["by"], t["answer"]["chose"]) for t in told["tries"]] == [
        ("failed", "reviewer", ["Return"]), ("success", "reviewer", ["Approve"]),
    ]  # fmt: skip
    assert SECRET not in str(told)


@pytest.mark.parametrize(
    "statement",
    ["SELECT conf FROM dag_run", "SELECT value FROM xcom", "SELECT rendered_fields FROM rendered_task_instance_fields",
     "SELECT params_input FROM hitl_detail", "SELECT content FROM dag_run_note", "SELECT extra FROM log",
     "SELECT val FROM variable", "SELECT password FROM connection", "UPDATE dag_run SET state = 'failed'",
     "DELETE FROM variable", "DELETE FROM task_instance", "DELETE FROM dag",
     "INSERT INTO log (event) VALUES ('x')", "TRUNCATE dag_run",
     "CREATE TABLE mine (id int)"],
)  # fmt: skip
def test_the_janitor_may_read_no_value_and_write_nothing(janitor: Any, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        janitor.execute(statement)


STATES = st.sampled_from((*OVER_RUN, "queued", "running", "a state of tomorrow"))
TASKS = st.lists(st.sampled_from((None, *OVER_TASK, *WAITING)), max_size=3)
RUNS = st.lists(
    st.tuples(
        st.sampled_from(("a", "b")), STATES, TASKS,
        st.integers(-400, 200), st.sampled_from(("manual", "scheduled", "asset_triggered")),
        st.booleans(),
    ),
    max_size=8,
)  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(RUNS)
def test_whatever_the_states_and_ages_no_living_run_loses_anything_and_nothing_else_stays_too_long(
    owner: Any, janitor: Any, generated: list[Any]
) -> None:
    owner.execute("TRUNCATE dag_run CASCADE")
    dag(owner, "a")
    dag(owner, "b", stale=True)
    lives, old = {}, {}
    for n, (of, state, tasks, days, kind, dated) in enumerate(generated):
        ended = BEFORE + timedelta(days=days, minutes=n)
        run(
            owner,
            of,
            f"r{n}",
            state=state,
            tasks=tasks,
            ended=ended,
            kind=kind,
            logical=ended if dated else None,
        )
        lives[f"r{n}"] = state not in OVER_RUN or any(t in WAITING for t in tasks)
        old[f"r{n}"] = ended < BEFORE
    had = dict(owner.execute("SELECT run_id, count(*) FROM task_instance GROUP BY run_id").fetchall())
    earlier = checking.possessions(janitor)
    done = sweeping.sweep_runs(janitor, BEFORE, nowhere)
    left = there(owner)
    has = dict(owner.execute("SELECT run_id, count(*) FROM task_instance GROUP BY run_id").fetchall())

    assert {r for r, alive in lives.items() if alive or not old[r]} <= left
    assert all(has.get(r, 0) == had.get(r, 0) for r in left)
    # What else is left is a schedule's last run or a predecessor: few, and never of a DAG that is gone without a living run.
    kept = {r for r in left if old[r] and not lives[r]}
    undated = {f"r{n}" for n, g in enumerate(generated) if g[0] == "b" and not g[5]}
    assert not kept & undated
    assert all(c.verdict is Verdict.PASSED for c in checking.check(janitor, BEFORE, earlier, done.locked))
    assert not sweeping.sweep_runs(janitor, BEFORE, nowhere).rows, "a second time finds nothing to do"


def test_the_check_sees_what_a_deleter_that_looks_at_ages_only_would_do(owner: Any, janitor: Any) -> None:
    """As ``airflow db clean`` does."""
    run(owner, "d", "waits", state="running", tasks=("awaiting_input",))
    run(owner, "d", "late", ended=OLD)
    earlier = checking.possessions(janitor)
    owner.execute("DELETE FROM dag_run WHERE run_id = 'waits'")
    found = {c.name: c.verdict for c in checking.check(janitor, BEFORE, earlier, sweeping.Sweep().locked)}
    assert found["living_runs_whole"] is Verdict.FAILED and found["runs_in_their_limit"] is Verdict.FAILED


def test_two_nights_at_once_do_not_disturb_each_other(metadata: Metadata, owner: Any) -> None:
    for n in range(40):
        run(owner, "d", f"old-{n}")
    went: list[int] = []

    def night() -> None:
        with psycopg.connect(
            metadata.janitor, autocommit=True, row_factory=dict_row, options="-c lock_timeout=500ms"
        ) as conn:
            went.append(sweeping.sweep_runs(conn, BEFORE, nowhere, many=7).rows["dag_run"])

    nights = [threading.Thread(target=night) for _ in range(2)]
    for one in nights:
        one.start()
    for one in nights:
        one.join()
    assert sum(went) == 40 and not there(owner)
