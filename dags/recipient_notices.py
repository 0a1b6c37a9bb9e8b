"""### 通知第三方 · Whoever received the data is told at the same time, chased, and heard

**Purpose 目的** (policy 11.2, PIPL 21, 47, 59): every body that was given a person's data is told of the deletion within the day of
the decision, asked again, reminded, and escalated when it stays silent; who says that it deleted is asked whether it still knows. What each is told and when stands in the case book, written
with the decision itself; this run carries it out, one task per recipient with its whole batch. What only a person can do becomes a
run of *recipient_errands*.

**Who may run it 谁可运行**: it runs by itself, every five minutes; ops may trigger it at any time.

**What it destroys 销毁什么**: nothing of ours. A recipient that is told to delete does so, and that cannot be undone.

**How to stop it 如何停止**: `quietus retention stop` holds back what asks to delete; or pause it; but then nobody is told, and the clocks run on. A recipient's task may be killed at any instant:
what was on the way is asked after, or goes to a person where asking is not possible, and nothing is sent as something new. No
recipient is told by two tasks at once: a mapped task has one pool for all, so that is the case book's lock, not the pool's.

**Evidence 证据**: each task returns what it did as counts. Each notice, receipt and answer is an event of its case and kept in the
ledger by digest; *第三方 Recipients* in the console shows who answers, how fast and how truly.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import dag
from quietus_console import notifying


@dag(
    dag_id="recipient_notices",
    schedule=timedelta(minutes=5),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,  # a notice that waits to be switched on is none
    doc_md=__doc__,
    tags=["recipients", "PIPL 21"],
    default_args={"owner": "privacy", "retries": 1, "retry_delay": timedelta(seconds=30)},
)
def recipient_notices() -> None:
    notifying.tell.expand(recipient=notifying.recipients_due())
    notifying.look_again.expand(recipient=notifying.to_look_at())
    notifying.hand_out(notifying.begun_errands())


recipient_notices()
