"""### 调度记录的保存期限 · Airflow keeps no longer than it must

**Purpose 目的** (policy 5.1, 7.2; Cybersecurity Law 23): runs, answers, the audit log and task logs are records, too. Every night
what is past its limit goes: six months for logs, by the catalogue. Before a run goes, its history (which case, which states, when, who
answered; never a value) is written to a file whose digest is in the ledger, and so is the audit log: who did what to which task. A run that waits or runs is never touched, whatever its
age, nor what it needs. The run is **red** if anything is left without a reason, or if something could not be looked at.

**Who may run it 谁可运行**: it runs by itself every night at 04:30, in the maintenance window; ops may trigger it at any time, and see before
with `quietus airflow hygiene --dry-run` what would go and why the rest stays.

**What it destroys 销毁什么**: rows of Airflow's own database and its log files, past their limit; archives that `airflow db clean` left.
Nothing of the company's, nothing of a case.

**How to stop it 如何停止**: `quietus retention stop`, pause it, or mark the run as failed: the batch at hand is rolled back. Killed at any instant, the next night goes on.

**Evidence 证据**: kinds `run_history`, `audit_history` (the digest of each file) and `airflow_hygiene` (what went, by table, and the checks afterwards).
"""

from __future__ import annotations

from airflow.sdk import dag
from quietus_console import tidying
from quietus_console.timetables import MaintenanceWindow
from quietus_console.work import DEFAULTS


@dag(
    dag_id="airflow_hygiene",
    schedule=MaintenanceWindow("30 4 * * *"),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,  # what is kept too long is nobody's favourite task
    doc_md=__doc__,
    tags=["retention", "policy 7.2"],
    default_args=DEFAULTS,
)
def airflow_hygiene() -> None:
    tidying.keep_airflow_in_its_limits()


airflow_hygiene()
