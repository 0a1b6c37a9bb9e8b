"""### 保存期限 · Every night, everything that is due, and nothing else

**Purpose 目的** (policy 5.1, 7.2; PIPL 19, 47 para. 1): data is kept no longer than its purpose or the law's period, and then goes without
being asked for. Everything that is past its last day and that nothing holds is found, planned, disposed of piece by piece, and proved: by
keys that it is gone, by a look at the whole estate that no more is due than the night says that it left. A night that is out of line
with its forecast and with the nights before it, as the first one is, waits for a person's word before anything goes; it is asked again
if more was located than was seen.

**Who may run it 谁可运行**: it is switched on by ops once `quietus retention assess` was read; from then on it runs by itself at 01:15
(docs/retention.md). A night that was missed is made up for by the next: what is overdue is due. One that was interrupted, or
waited for a word, is ended first, and that day's own begins after it in the same window.

**What it destroys 销毁什么**: what `quietus retention due` lists. Nothing under a hold, nothing inside a statutory period, nobody else's rows.

**How to stop it 如何停止**: `quietus retention stop` stands still between two pieces, and so does marking the run as failed; the next run goes
on there. Paused, data becomes overdue, which the ops page shows.

**Evidence 证据**: one case for each night: kinds `baseline`, `gone`, `bystanders`, `due`, `balance`, and a certificate; an entry `night` in the ledger.
"""

from __future__ import annotations

from airflow.sdk import dag
from quietus_console import nights, questions
from quietus_console.timetables import MaintenanceWindow
from quietus_console.work import DEFAULTS


@dag(
    dag_id="retention_limits",
    schedule=MaintenanceWindow("15 1 * * *"),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=True,  # nothing of a real estate goes before somebody has read what would
    doc_md=__doc__,
    tags=["retention", "policy 7.2"],
    default_args=DEFAULTS,
)
def retention_limits() -> None:
    night = nights.look()
    ask = questions.may_the_night_go_on()
    ask_again = questions.may_the_night_go_on(as_planned=True)
    night >> ask
    ended = nights.certify(found=night)
    (
        nights.take_word(found=night, answer=ask.output)
        >> nights.plan(found=night)
        >> ask_again
        >> nights.take_word.override(task_id="take_word_again")(found=night, answer=ask_again.output)
        >> nights.dispose(found=night)
        >> nights.prove(found=night)
        >> ended
        >> nights.nothing_is_left(found=night)
    )
    missed = nights.still_to_come(found=night)
    ended >> missed
    nights.begin_it(missed)


retention_limits()
