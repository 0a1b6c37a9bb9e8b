"""### 上游请求 · A partner that gave us data tells us to delete it

**Purpose 目的** (policy 1.2(5), 4.1(2); PIPL 21, 47): we are somebody else's recipient, too. A partner's request arrives signed for at
our endpoint and opens a case like any other. This run gives each such case its run of *account_cancellation*, where people check who is
meant and approve the plan, and tells each partner of every change, at the one address that we agreed on.

**Who may run it 谁可运行**: it runs by itself, every five minutes; ops may trigger it at any time.

**What it destroys 销毁什么**: nothing. What is deleted is decided in *account_cancellation*.

**How to stop it 如何停止**: pause it; requests are still taken and signed for, but nobody begins them, and their clocks run on.

**Evidence 证据**: the request's number, its case and what the partner was told stand in the case book; its reference for the person only
as a keyed digest.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import dag
from quietus_console import partnering


@dag(
    dag_id="upstream_requests",
    schedule=timedelta(minutes=5),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,  # a request that waits to be switched on is late
    doc_md=__doc__,
    tags=["recipients", "PIPL 21"],
    default_args={"owner": "privacy", "retries": 1, "retry_delay": timedelta(seconds=30)},
)
def upstream_requests() -> None:
    partnering.begin(partnering.without_a_run())
    partnering.tell_partner.expand(partner=partnering.to_tell())


upstream_requests()
