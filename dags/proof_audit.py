"""### 核查的自检 · The proofs can see

**Purpose 目的** (PIPL 47, 54): a proof that finds nothing is worth something only if it would have found something. Every night a person
who does not exist is hidden wherever deleted data is known to hide (an undeclared table, a detached partition, a hole in a page, an
old version of an object …), under values, tables and columns that dice draw; then the house's own proofs look. This run is **red if
they miss anything, or name anybody else**, and what these proofs said that day about real cases does not count for a certificate.
Once they are seen to see, every case at rest that is in doubt is looked at again, and certified anew.

**Who may run it 谁可运行**: it runs by itself every night at 02:30, before the maintenance window; ops may trigger it at any time, and should after mending a proof.

**What it destroys 销毁什么**: what it planted itself: a schema, buckets and an upload of its own. It changes nothing of the
company's; the planter's role may not even read it.

**How to stop it 如何停止**: pause it, or mark the run as failed. What is planted by then is removed at the next start, or by
`quietus proofs sweep`.

**Evidence 证据**: one entry in the ledger each night, with what was planted, found and missed, kind by kind, and the seed of the dice;
`quietus proofs audit` prints it, and the console's page of controls shows the last nights.
"""

from __future__ import annotations

from airflow.sdk import CronTriggerTimetable, dag
from quietus_console import auditing, shutting_down
from quietus_console.timetables import GRACE
from quietus_console.work import DEFAULTS


@dag(
    dag_id="proof_audit",
    schedule=CronTriggerTimetable("30 2 * * *", timezone="Asia/Shanghai", run_immediately=GRACE),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,  # proofs that nobody tests are taken on trust
    doc_md=__doc__,
    tags=["proofs"],
    default_args=DEFAULTS,
)
def proof_audit() -> None:
    looked = auditing.look_again()
    auditing.audit_the_proofs() >> looked
    auditing.certify(looked)
    auditing.nobody_was_overlooked(looked)
    shutting_down.nothing_is_collected()


proof_audit()
