"""### 年度义务 · Once a year, what was called done is looked at again

**Purpose 目的** (policy 3.3, 4.3, PIPL 54, 69, 73): a set is anonymous only as long as nobody in it can be found, so every set that the
catalogue calls so is measured and attacked again with what is known today (RS-27). And what still leads from a closed case to its
people is destroyed once both periods of RS-24 are over: its key, its people's tokens and tombstones, and versions of the tombstone
key that nothing needs. What was destroyed for ever in the year before (data, copies in backups, keys, media) is listed, and the
list's digest is said in the ledger, once, as is that of each year that was missed (RS-17, policy 5.3). The run is **red** if somebody
is found in a set, if a set could not be tried, if a key is left whose time has come, or if the case book gives another list than the ledger has.

**Who may run it 谁可运行**: it runs by itself on 15 January at 02:00; ops may trigger it at any time: nothing is done twice.

**What it destroys 销毁什么**: keys, tokens and tombstones of cases that were closed years ago, for ever. Never of a case that is open or under
a hold, whose notices are still kept (RS-22), or whose person has another case that is not over. Nothing in any set.

**How to stop it 如何停止**: `quietus retention stop` keeps the next key; or pause it, or mark the run as failed. Killed at any instant, the next run does the rest.

**Evidence 证据**: the ledger has what each set came to, check by check, and each key that was destroyed; figures only, never a value.
The list itself is `quietus yearly destroyed`. `quietus yearly retest` and `quietus yearly keys` look without waiting for January
(`docs/yearly.md`).
"""

from __future__ import annotations

from airflow.sdk import CronTriggerTimetable, dag
from quietus_console import yearly
from quietus_console.timetables import GRACE
from quietus_console.work import DEFAULTS


@dag(
    dag_id="yearly_duties",
    schedule=CronTriggerTimetable("0 2 15 1 *", timezone="Asia/Shanghai", run_immediately=GRACE),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,  # nobody remembers to switch on what comes once a year
    doc_md=__doc__,
    tags=["retention", "anonymity", "ledger"],
    default_args=DEFAULTS,
)
def yearly_duties() -> None:
    yearly.try_anonymised_sets_again()
    yearly.destroy_keys_whose_time_has_come()
    yearly.list_what_was_destroyed()


yearly_duties()
