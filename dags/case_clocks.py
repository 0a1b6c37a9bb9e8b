"""### 期限 · Nothing is late

**Purpose 目的** (policy 11.3, 12.2): a reply within 30 days, a cancellation within 15 working days, both from verification; a
request whose proof nobody answered within 15 days fails. This run looks at every case's clocks and is **red while anything is
late**, with the numbers of the late cases; and while a gate of a shutdown order (docs/shutdown.md) or a data room (docs/dataroom.md) is overdue. That is the alarm:
let it reach whoever can act.

**Who may run it 谁可运行**: it runs by itself, every 15 minutes; ops may trigger it at any time.

**What it destroys 销毁什么**: nothing.

**How to stop it 如何停止**: pause it; but then nobody is told of a late case, and the ledger's heads are not kept outside.

**Evidence 证据**: the clocks are dates in the case book, so no restart, clearing or deleted run can lose one. What a date brings
about (an expired check, an escalated recipient) is an event of its case.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import dag
from quietus_console import shutting_down, steps


@dag(
    dag_id="case_clocks",
    schedule=timedelta(minutes=15),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,  # an alarm that waits to be switched on is none
    doc_md=__doc__,
    tags=["clocks"],
    default_args={"owner": "privacy", "retries": 1, "retry_delay": timedelta(minutes=1)},
)
def case_clocks() -> None:
    steps.keep_the_ledger() >> steps.nothing_is_late()
    shutting_down.no_gate_is_overdue()
    shutting_down.no_data_room_is_overdue()


case_clocks()
