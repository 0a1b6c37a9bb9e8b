"""### 短期保存 · Codes after ten minutes; faces, places, sessions and keys after a day

**Purpose 目的** (policy 5.1; PIPL 19, 47(1)(1)): what has served its purpose within the hour or the day does not wait for the night. Every
ten minutes whatever is past a period of less than a day goes, to the minute, in the same way and with the same proofs as at night
(`retention_limits`). A run that finds nothing opens no case.

**Who may run it 谁可运行**: it is switched on by ops once `quietus retention late` was read; from then on it runs by itself.

**What it destroys 销毁什么**: what `quietus retention late` lists. Nothing under a hold, nothing inside a statutory period.

**How to stop it 如何停止**: `quietus retention stop`, or mark the run as failed; the next run goes on there. Paused, its data becomes late.

**Evidence 证据**: as of a night; `late_minutes` of the entry `night` in the ledger is by how much the oldest was late.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import dag
from quietus_console import nights, questions


@dag(
    dag_id="retention_hours",
    schedule=timedelta(minutes=10),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=True,  # as of the nights: somebody reads first what would go
    doc_md=__doc__,
    tags=["retention", "policy 5.1"],
    default_args={"owner": "privacy", "retries": 1, "retry_delay": timedelta(minutes=1)},
)
def retention_hours() -> None:
    night = nights.look(by_the_minute=True)
    ask = questions.may_the_night_go_on()
    ask_again = questions.may_the_night_go_on(as_planned=True)
    night >> ask
    (
        nights.take_word(found=night, answer=ask.output)
        >> nights.plan(found=night)
        >> ask_again
        >> nights.take_word.override(task_id="take_word_again")(found=night, answer=ask_again.output)
        >> nights.dispose(found=night)
        >> nights.prove(found=night)
        >> nights.certify(found=night)
        >> nights.nothing_is_left(found=night)
    )


retention_hours()
