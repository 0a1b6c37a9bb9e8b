"""The clocks run by themselves: the ledger is kept, and red means that something is late."""

from __future__ import annotations

import time

from include.sandbox.demo import CLOCKS
from tests.e2e.conftest import House


def last_run(house: House) -> dict | None:
    runs = house.user("admin")._call("GET", f"/api/v2/dags/{CLOCKS}/dagRuns?order_by=-run_after")["dag_runs"]
    return runs[0] if runs else None


def test_nothing_is_late_and_the_ledger_is_kept(house: House) -> None:
    house.user("admin").unpause(CLOCKS)
    deadline = time.monotonic() + 120
    while (run := last_run(house)) is None or run["state"] not in ("success", "failed"):
        assert time.monotonic() < deadline, run
        time.sleep(1)
    assert run["state"] == "success", house.user("admin").tasks(CLOCKS, run["dag_run_id"])
    with house.records() as conn:
        queued, heads = conn.execute(
            "SELECT (SELECT count(*) FROM ledger.queue q WHERE NOT EXISTS"
            " (SELECT FROM ledger.entry e WHERE e.key = q.key)), (SELECT count(*) FROM ledger.checkpoint)"
        ).fetchone()
    assert queued == 0 and heads >= 0
