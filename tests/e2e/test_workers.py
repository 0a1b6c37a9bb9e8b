"""The same night by CeleryExecutor, with one of its two workers killed while it disposes: the other brings it to the same end.

After ``test_unasked`` by name: what was due of everybody is gone, and both nights here find the same planted rows.
"""

from __future__ import annotations

import json
import signal
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from psycopg import sql

from include.cases import book, papers
from include.cases.retention import counted, ended, nights
from include.cases.retention import night as nightly
from include.cases.shelf import Shelf
from include.ledger.verify import verify
from include.model.times import observed_now, prc_date
from include.model.words import CaseState, Role
from include.sandbox.answering import Answer
from include.sandbox.api import wait
from include.sandbox.stack.process import marked
from include.sandbox.stack.workers import WORKERS, Executor
from tests.e2e.conftest import PATIENCE, House

DAG = "retention_limits"
EACH = 30
PLANTED = {
    "account.login_code": "INSERT INTO account.login_code (account_id, code_hash, mobile, sent_at)"
    " SELECT account_id, 'h', '0', now() - interval '3 days' FROM {people}",
    "account.session": "INSERT INTO account.session (session_id, account_id, token_hash, created_at, revoked_at)"
    " SELECT gen_random_uuid(), account_id, 'h', now() - interval '4 days', now() - interval '3 days' FROM {people}",
    "usage.access_log": "INSERT INTO usage.access_log (log_id, occurred_at, account_id, page, ip)"
    " SELECT {first} + row_number() OVER (), now() - interval '15 months', account_id, '/', '127.0.0.1' FROM {people}",
}
"""Rows that are due, in tables of which each is a piece of its own; fewer than a person is asked about."""


OF_A_GROUP = (
    "dataset",
    "category",
    "disposition",
    "items",
    "law",
    "rung_required",
    "rung_reached",
    "verdict",
)
"""What a certificate says of items that share their fate."""


@dataclass(frozen=True)
class Ended:
    """How a night ended, without what tells any two nights apart."""

    found: Counter[tuple[str, str, str]]
    gone: dict[str, Counter[str]]
    left: tuple[int | None, int | None, list[str]]
    balance: list[dict[str, Any]]
    groups: Counter[tuple[str, ...]]


def plant(house: House, first: int) -> None:
    people = sql.SQL(
        "(SELECT account_id FROM account.account WHERE cancelled_at IS NULL ORDER BY 1 LIMIT {}) AS p"
    ).format(EACH)
    with house.company() as conn:
        for insert in PLANTED.values():
            conn.execute(sql.SQL(insert).format(people=people, first=first))


def begin(house: House) -> str:
    return str(house.user("admin").trigger(DAG, {})["dag_run_id"])


def finish(house: House, run_id: str) -> None:
    """To the end of a run, its question answered if it asks one."""
    admin = house.user("admin")
    house.through(DAG, run_id, {"ask": Answer(house.user("ops"), "Go on 执行")})
    said = {t.task_id: " ".join(admin.log(DAG, run_id, t.task_id, t.tries))
            for t in admin.tasks(DAG, run_id)
            if t.state != "success" and (t.task_id, t.state) != ("todays_night", "skipped")}  # fmt: skip
    # Red for what is locked, or not read by age, in any house.
    assert set(said) <= {"nothing_is_left"}, [text[-900:] for text in said.values()]


def states(house: House, run_id: str) -> dict[str, str | None]:
    return {t.task_id: t.state for t in house.user("admin").tasks(DAG, run_id)}


def how_it_ended(house: House) -> Ended:
    with house.desk.book() as conn:
        last = nights.latest(conn, "days")[0]
        assert last.case_no is not None and last.ended_at is not None
        rows = conn.execute(
            "SELECT * FROM casebook.night_line WHERE night_id = %s", [last.night_id]
        ).fetchall()
        case = book.case(conn, last.case_no)
        step = papers.latest_plan(conn, case).step
        gone = counted.words(conn, step)
    assert case.state in (CaseState.WAITING, CaseState.CLOSED)
    with house.company() as conn:
        twice = conn.execute(
            "SELECT verb, chunk FROM quietus.receipt WHERE step = %s GROUP BY 1, 2 HAVING count(*) > 1",
            [step],
        ).fetchall()
    assert twice == []
    shelf = Shelf(house.stack.certificates)
    name = [n for n in shelf.names(last.case_no) if "auditor" in n][-1]
    report = verify(shelf.get(name), (house.stack.ledger_home / "pub.pem").read_bytes())
    assert report.problems == []
    found: Counter[tuple[str, str, str]] = Counter()
    for row in rows:
        for word in ("due", "overdue", "gone", "needed"):
            found[row["rule"], row["dataset"], word] += row[word]
    said = json.loads(b64decode(json.loads(shelf.get(name))["payload"]))
    groups = Counter(tuple(str(g.get(word)) for word in OF_A_GROUP) for g in said["groups"])
    left = (last.remaining, last.overdue, ended.nothing_is_left(house.desk, last.night_id))
    return Ended(+found, gone, left, said["balance"], groups)


@pytest.fixture(scope="module")
def rid_of_the_backlog(house: House) -> House:
    """Nothing is due but what is locked, or not read by age."""
    house.user("admin").unpause(DAG)
    if any(nightly.look(house.desk, prc_date(observed_now())).of(d) for d in PLANTED):
        finish(house, begin(house))
    return house


@contextmanager
def locked(house: House, table: str) -> Iterator[None]:
    """Nobody can write to a table; whoever would waits."""
    with house.company() as conn, conn.transaction():
        conn.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(sql.Identifier(*table.split("."))))
        yield


def test_a_worker_killed_half_way_changes_nothing_about_the_end(rid_of_the_backlog: House) -> None:
    house = rid_of_the_backlog
    admin = house.user("admin")
    plant(house, 10**12)
    finish(house, begin(house))
    by_one = how_it_ended(house)
    assert {d: by_one.gone[d].total() for d in PLANTED if d in by_one.gone} == dict.fromkeys(PLANTED, EACH)

    house.stack.up(lambda _line: None, executor=Executor.CELERY)
    plant(house, 2 * 10**12)
    last = list(by_one.gone)[-1]
    with locked(house, last):
        run_id = begin(house)
        wait(lambda: "waits" if waiting(house) else None, PATIENCE, "dispose", every=0.1)
        before = pieces(house)
        struck = kill_whoever_runs(house, run_id, "dispose")
    others = [w for w in WORKERS if w != struck]
    wait(lambda: s if (s := states(house, run_id)["dispose"]) != "running" else None, PATIENCE, "dispose")
    if states(house, run_id)["dispose"] == "up_for_retry":  # an operator need not wait for its minute
        admin.clear(DAG, run_id, "dispose")
    finish(house, run_id)
    by_the_other = how_it_ended(house)
    assert not house.stack.airflow.processes[struck].running
    assert all(house.stack.airflow.processes[w].running for w in others)
    assert by_the_other == by_one
    left = nightly.look(house.desk, prc_date(observed_now()))
    assert not any(left.of(d) for d in PLANTED)
    assert 0 < before < pieces(house), "killed half-way"
    (tries,) = (t.tries for t in admin.tasks(DAG, run_id) if t.task_id == "dispose")
    assert tries > 1


def pieces(house: House) -> int:
    """Of the last night, those that were committed."""
    with house.desk.book() as conn:
        case = book.case(conn, str(nights.latest(conn, "days")[0].case_no))
        step = papers.latest_plan(conn, case).step
    with house.company() as conn:
        return conn.execute(
            "SELECT FROM quietus.receipt WHERE step = %s AND verb = 'dispose'", [step]
        ).rowcount


def waiting(house: House) -> bool:
    """Whether the eraser waits for a lock."""
    with house.company() as conn:
        row = conn.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND wait_event_type = 'Lock'",
            [Role.ERASER.value],
        ).fetchone()
    return row != (0,)


def kill_whoever_runs(house: House, run_id: str, task: str) -> str:
    """Every process of the worker that runs a task, as a machine that is lost; the worker's name."""
    said = house.user("admin")._call("GET", f"/api/v2/dags/{DAG}/dagRuns/{run_id}/taskInstances/{task}")
    mark = house.stack.places.mark
    for name in WORKERS:
        theirs = marked(mark, f"airflow-{name}")
        if said["pid"] in {one.pid for one in theirs}:
            for one in theirs:
                one.send(signal.SIGKILL)
            return name
    raise AssertionError(f"no worker runs {task}: {said['pid']}")
