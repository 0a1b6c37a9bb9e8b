"""### 账本审计 · The ledger is still what was signed

**Purpose 目的** (PIPL 54, 69): what we say about a deletion must not be changed afterwards, by nobody. Every night the whole ledger is
recomputed from its entries and compared with every signed head that is kept outside, under Object Lock, where nobody in the house
can change it. This run is **red if anything differs**, and names what: an entry rewritten, removed, a head that is not outside.

**Who may run it 谁可运行**: it runs by itself every night at 02:30; ops may trigger it at any time. Auditors need not trust it:
`quietus ledger audit` does the same with their own reading of the bucket.

**What it destroys 销毁什么**: nothing. It appends: what is queued is sequenced, signed heads are brought outside, and how each
recipient answers, how fast and how truly, is said once a day, in counts.

**How to stop it 如何停止**: pause it, or mark the run as failed; but then nobody notices a rewritten ledger.

**Evidence 证据**: the audit's result is in the task's message: how many entries and heads, and each finding by its code
(`docs/ledger.md` says what each means and what to do).
"""

from __future__ import annotations

from airflow.sdk import CronTriggerTimetable, dag
from quietus_console import steps
from quietus_console.timetables import GRACE
from quietus_console.work import DEFAULTS


@dag(
    dag_id="ledger_audit",
    schedule=CronTriggerTimetable("30 2 * * *", timezone="Asia/Shanghai", run_immediately=GRACE),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,  # an alarm that waits to be switched on is none
    doc_md=__doc__,
    tags=["ledger"],
    default_args=DEFAULTS,
)
def ledger_audit() -> None:
    steps.compare_with_anchors()
    steps.say_how_recipients_answer()


ledger_audit()
