"""### 恢复重放 · A restored database serves nobody before it is clean

**Purpose 目的** (policy 11.2): a database that is put back to an older state brings back people whom we deleted. Every 15 minutes each
database is compared with what we knew of it: identifier, timeline, our own counter, how far its log was, and our last receipt. One that
was restored is **closed to every application**, everything deleted since is deleted again, proved, and only then is it given back.
Then rows that are new are looked through for people whom an import or a partner's feed brought back.

**Who may run it 谁可运行**: it runs by itself; ops may trigger it after a restore. Better is to restore through
`quietus replay directory`, which does the same before the database is started for anybody (`docs/restore.md`).

**What it destroys 销毁什么**: what the cases of the case book had deleted before, and the restore brought back. What the law or a hold
keeps today stays.

**How to stop it 如何停止**: `quietus retention stop`, or pause it; a database that it closed stays closed. It is **red while one is**, and says why.

**Evidence 证据**: each case gets a step of its own kind with plan, receipts, books and proof; the ledger an entry `replay` with counts
and both histories.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import dag
from quietus_console import restoring


@dag(
    dag_id="restore_replay",
    schedule=timedelta(minutes=15),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,  # an alarm that waits to be switched on is none
    doc_md=__doc__,
    tags=["backups"],
    default_args={"owner": "privacy", "retries": 1, "retry_delay": timedelta(minutes=1)},
)
def restore_replay() -> None:
    restoring.databases_are_ours() >> restoring.nobody_came_back()


restore_replay()
