"""### 备份到期 · What was deleted goes from the backups when they do, and is seen to be gone

**Purpose 目的** (policy 11.2, PIPL 47): deleted data may live on in backups until these are refreshed, and no longer. Every day
what is past its last day is expired through each set's own tool; then each set is asked what it still has. Where nothing reaches back to before a night's disposals any more, that is said in the ledger,
and every case of that night is certified anew; what waits for nothing else then has its final certificate. Where a date moved out
(a new pin, a slot, a lock), the cases' timelines say so. The run is **red** if a set cannot be read or expired, or if something should be gone by its date and is not.

**Who may run it 谁可运行**: it runs by itself every day at 04:00; ops may trigger it at any time.

**What it destroys 销毁什么**: backups past their last day, as the tool's own rehearsal names them: never what another copy leans on, what is pinned or
under a hold, the last copy that is known to be restorable, or more of a set at one time than the catalogue allows. Nothing of what is live.

**How to stop it 如何停止**: `quietus retention stop` keeps copies from going, and the looks go on. Or pause it; but then nothing is known to be gone, and cases wait. Killed at any instant, the next run goes on.

**Evidence 证据**: one ledger entry for each set and night, with where the log stood and where the oldest copy begins, from which
anybody can see it; the certificates cite it. Of a database's own log each case has evidence of its own (kind `own_log`, R5). `quietus case show` and the case's page name what a case still waits for, and why.
"""

from __future__ import annotations

from airflow.sdk import CronTriggerTimetable, dag
from quietus_console import copies
from quietus_console.timetables import GRACE
from quietus_console.work import DEFAULTS


@dag(
    dag_id="backup_purge",
    schedule=CronTriggerTimetable("0 4 * * *", timezone="Asia/Shanghai", run_immediately=GRACE),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,  # a wait that nobody ends is none
    doc_md=__doc__,
    tags=["backups", "policy 11.2"],
    default_args=DEFAULTS,
)
def backup_purge() -> None:
    expired = copies.expire()
    looked = copies.look()
    expired >> looked >> copies.prove_logs() >> copies.certify()
    copies.nothing_stays_too_long(expired, looked)


backup_purge()
