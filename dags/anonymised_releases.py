"""### 匿名化发布 · Sets in which nobody is found are made, and only those may leave

**Purpose 目的** (policy 2.10, 3.3, 3.4; PIPL 4, 73): what was drawn of people for research stays personal as long as it is only de-identified. At the
rhythm that `releases.yaml` declares, everything of it that nobody holds is made a set that passes the test of re-identification: pseudonyms
are destroyed first, identifiers dropped, the rest made coarser until everybody stands among enough others, small classes suppressed. The
run is **red** if somebody is found in a set, or if a role may read past the gate that is not declared to.

**Who may run it 谁可运行**: switched on by ops; from then on it looks every night at 01:00 whether a release's day has come (docs/anonymity.md): before
`retention_limits`, which waits for none and erases what is due and no release took.

**What it destroys 销毁什么**: the extracts that were released and their pseudonyms, for ever. Nothing under a hold, nothing of whom a case has
restricted. If no declared level hides everybody, nothing at all.

**How to stop it 如何停止**: pause it, or `quietus retention stop`. Killed at any instant, the next run does the rest.

**Evidence 证据**: one case for each release: kinds `baseline`, `gone`, `bystanders`, `due`, `anonymity`, `balance`, and a certificate; an entry
`release` in the ledger. What leaves does so by `quietus anonymity publish` only, with an entry `publication`.
"""

from __future__ import annotations

from airflow.sdk import dag
from quietus_console import releasing
from quietus_console.timetables import MaintenanceWindow
from quietus_console.work import DEFAULTS


@dag(
    dag_id="anonymised_releases",
    schedule=MaintenanceWindow(
        "0 1 * * *"
    ),  # before retention_limits: what falls due tonight may become part of a set
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=True,  # what is destroyed for it somebody must have read first
    doc_md=__doc__,
    tags=["anonymity", "policy 3.4"],
    default_args=DEFAULTS,
)
def anonymised_releases() -> None:
    releasing.certify(cases=releasing.look_again(made=releasing.make()))
    releasing.nobody_reads_past_the_gate()


anonymised_releases()
