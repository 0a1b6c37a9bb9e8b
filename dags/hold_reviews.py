"""### 保全复核 · Nothing is kept for an order that nobody looks at

**Purpose 目的** (policy 5.2, 11.4): an order suspends a deletion for as long as it is needed, and no longer. Every six months somebody
looks whether it still is, and once it is released the clock of what it kept runs again within a working day. This run finishes releases
that were interrupted, and is **red while a review is late or a freed case was not gone on with**, in counts: which they are is for auditors.

**Who may run it 谁可运行**: it runs by itself at 09:00 on the PRC's working days, when whoever reviews is at work; ops may trigger it.

**What it destroys 销毁什么**: nothing.

**How to stop it 如何停止**: pause it; but then nobody is told of an order that outlived its reason.

**Evidence 证据**: reviews, narrowings and releases are in the case book, each with its paper (`quietus case hold show`); what a release
frees is an event of its case.
"""

from __future__ import annotations

from datetime import time

from airflow.sdk import dag
from quietus_console import holding
from quietus_console.timetables import PrcWorkdays
from quietus_console.work import DEFAULTS


@dag(
    dag_id="hold_reviews",
    schedule=PrcWorkdays(time(9, 0)),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,  # an alarm that waits to be switched on is none
    doc_md=__doc__,
    tags=["clocks", "policy 5.2"],
    default_args=DEFAULTS,
)
def hold_reviews() -> None:
    holding.reviews_are_not_late()


hold_reviews()
