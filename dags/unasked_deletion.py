"""### 主动删除 · What is to go goes, without anybody asking

**Purpose 目的** (PIPL 15, 47 para. 1; policy 1.3, 7.2): who takes back a consent need not ask for the deletion as well, and nobody need
remember the day on which a statute lets go of a file. This run looks who took a consent back and did not give it again, and opens a case
for each on our own initiative: what rests on that consent alone goes, what a contract or a statute needs stays, with its reason. It does
so for accounts that nobody uses, once somebody owns that period (`RS-01/dormant`) and the holder was told and stayed away. And it looks
at which resting cases a date has come (a certificate's end and five years), or a hold was released. Each gets its run of
*account_cancellation*, where of what we do ourselves nobody is asked who the person is, and the rule is the approval.

**Who may run it 谁可运行**: ops switch it on once `quietus retention unasked` was read; from then on it runs by itself every night. A
night that was missed is made up for by the next.

**What it destroys 销毁什么**: nothing by itself. Each case's run destroys what the catalogue says rests on that consent (`rests_on`), a
sleeping account as any cancellation does, or what was kept until now.

**How to stop it 如何停止**: pause it, or `quietus retention stop`, by which open cases dispose of nothing more, either. More people than any night before
open nothing: the run is red, and a person looks. It is red, too, while holders of sleeping accounts are to be told.

**Evidence 证据**: each case's own, with its certificate. Which withdrawals a case follows stands in the case book, by purpose and moment.
"""

from __future__ import annotations

from airflow.sdk import dag
from quietus_console import unasked
from quietus_console.partnering import begin
from quietus_console.timetables import MaintenanceWindow
from quietus_console.work import DEFAULTS


@dag(
    dag_id="unasked_deletion",
    schedule=MaintenanceWindow("5 1 * * *"),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=True,  # nothing of a real estate goes before somebody has read what would
    doc_md=__doc__,
    tags=["promise", "PIPL 47"],
    default_args=DEFAULTS,
)
def unasked_deletion() -> None:
    followed = unasked.follow()
    runs = unasked.without_a_run()
    followed >> runs
    begin(runs)
    unasked.nobody_waits(followed)


unasked_deletion()
