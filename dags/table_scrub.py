"""### 物理清除 · What was deleted leaves the files, too

**Purpose 目的** (policy 11.2, PIPL 47): a row that no query returns still lies in its table's file, in indexes, in statistics. Every
night in the maintenance window the tables are written anew from which something went that must be gone to the byte (biometrics),
once for all cases. Then somebody else looks into the files themselves for these people's values, and every case that is proved
further than its certificate says is certified anew. The run is **red** while a table was left: in use, too big, no room on the disk,
or an old snapshot, slot or prepared transaction still sees what is dead in it; the message names which and who.

**Who may run it 谁可运行**: it runs by itself every night at 03:30, before the day's look at backups; a night that was missed waits for the
next window (01:00 to 06:00). Ops may trigger it in the window.

**What it destroys 销毁什么**: nothing that a query could return. Each table is locked while it is written anew, one at a time.

**How to stop it 如何停止**: `quietus retention stop` leaves the next table; or mark the run as failed: the table at hand is rolled back and served. Killed at any instant, the next run
goes on. Paused, biometrics stay in files and in every backup made of them, and cases wait.

**Evidence 证据**: kind `residue`, per case and store: R3 and R4 of each dataset; what could not be seen says so (`docs/scrub.md`).
"""

from __future__ import annotations

from airflow.sdk import dag
from quietus_console import scrubbing
from quietus_console.timetables import MaintenanceWindow
from quietus_console.work import DEFAULTS


@dag(
    dag_id="table_scrub",
    schedule=MaintenanceWindow("30 3 * * *"),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,  # what must be gone the same night does not wait to be switched on
    doc_md=__doc__,
    tags=["scrub", "policy 11.2"],
    default_args=DEFAULTS,
)
def table_scrub() -> None:
    scrubbed = scrubbing.rewrite()
    scrubbed >> scrubbing.look_into_files() >> scrubbing.certify()
    scrubbing.nothing_was_left(scrubbed)


table_scrub()
