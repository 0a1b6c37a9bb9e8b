"""### 恢复演练 · What was deleted does not come back with a backup

**Purpose 目的** (policy 11.2, PIPL 47; Network Data Security Management Regulations 9): every week the oldest copy of each backup set that can be
restored is restored, in quarantine, and everybody who was deleted is looked for in it: by the links, and in the bytes of its files. Who should
be gone must not be found; who is still within the copy's reach must be, or the look is blind. The run is **red** if anybody comes up who should be gone, if
a set cannot be restored (it would not help in a disaster either), or if the look was not whole.

**Who may run it 谁可运行**: it runs by itself on Sundays at 05:00; ops may trigger it at any time, or `quietus backups drill SET` one set.

**What it destroys 销毁什么**: nothing but the scratch that it made itself, however it ends; what a killed run left is destroyed by the next.

**How to stop it 如何停止**: mark the run as failed. Pause it, and nobody knows whether a backup can be restored.

**Evidence 证据**: one ledger entry for each set and drill, in counts. Who came up has a finding, and a closed case begins again.
"""

from __future__ import annotations

from airflow.sdk import CronTriggerTimetable, dag
from quietus_console import drills
from quietus_console.timetables import GRACE
from quietus_console.work import DEFAULTS


@dag(
    dag_id="restore_drill",
    schedule=CronTriggerTimetable("0 5 * * 0", timezone="Asia/Shanghai", run_immediately=GRACE),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,  # a drill that waits to be switched on is none
    doc_md=__doc__,
    tags=["backups", "policy 11.2"],
    default_args=DEFAULTS,
)
def restore_drill() -> None:
    drills.drill.expand(backup_set=drills.sets())


restore_drill()
