"""### 移交后通知 · Whoever has taken over hears what became of it since

**Purpose 目的** (policy 5.6; PIPL 22, 47): while a shutdown hands over, a person may still cancel, object, or reach a date. What
became of items after their bag was packed is told to the successor by signed notices, and its answers are believed like receipts:
nothing of a bag is in neither place, or in both, for longer than a day. Who asks, or objects, once our copy went is heard, too: what the successor
alone has by then is asked of it, until the ledger is with the custodian, or its last day is over. So it is for every order, ended ones too, each in tasks of its own.

**Who may run it 谁可运行**: it runs by itself, every morning at 05:10, after the nights; legal or ops may trigger it at any time. Without an order
that has handed something over it does nothing.

**What it destroys 销毁什么**: keyed tokens of whose the items were and who asked, of an ended order that is past its last day (RS-24, from
its end) with its ledger here still; nothing else of ours. The successor deletes or restricts what a notice names.

**How to stop it 如何停止**: pause it; then bags differ, and what differs keeps the books of the shutdown from balancing. Killed at any
instant it goes on where it was, and tells nothing, and asks for nothing, twice.

**Evidence 证据**: every notice and answer is an event of the order and an entry of the ledger, by digest. The run is **red** while
something differs that no receipt of ours explains, or while an answer is forged or names a difference (`quietus handover notices list`).
Bags of which our own copy goes, or went, are counted, told to nobody, and no fault. `hear_requests` is red while an answer to a request
is late, forged or names a difference (`quietus handover requests list`); `end_passing_on` while something is open on the last day.
"""

from __future__ import annotations

from airflow.sdk import dag
from quietus_console import following_up
from quietus_console.timetables import MaintenanceWindow
from quietus_console.work import DEFAULTS


@dag(
    dag_id="handover_notices",
    schedule=MaintenanceWindow("10 5 * * *"),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,  # a notice that waits to be switched on is none
    doc_md=__doc__,
    tags=["promise", "policy 5.6"],
    default_args=DEFAULTS,
)
def handover_notices() -> None:
    order = following_up.under_way()
    following_up.hear(order)
    following_up.tell(order)
    gone = following_up.passing()
    # Red while an answer is late: whoever asks today is passed on all the same.
    following_up.hear_requests.expand(number=gone)
    following_up.pass_on.expand(number=gone)
    late = following_up.burying()
    following_up.hear_tombstones.expand(number=late)
    following_up.bury.expand(number=late)
    following_up.end_passing_on.expand(number=following_up.past_their_day())


handover_notices()
