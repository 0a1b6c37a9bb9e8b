"""### 停止运营 · A service, or the whole company, stops

**Purpose 目的** (policy 5.6; ESL 23-24; ECL 16; PIPL 22): who stops tells the parties 90 days before, reports to the ministry 60 days
before, says so on its home page for 30 days, and on T0 collects nothing more. What a law hands over goes to the successor,
everything else is deleted or anonymised. This run takes one order through its gates to the end of collection; each gate is
passed by a person, with its document. What was filed late moves T0, and nothing moves it before that.

**Who may run it 谁可运行**: legal, with the number of an order (`SO-…`) that `quietus shutdown open` printed: two people approved it, and
there is one at a time. 请勿在任何输入框填写个人信息。

**What it destroys 销毁什么**: no data. On T0 it takes the applications' rights to insert and update, in the databases and
buckets of what stops. Each right is written down before it is taken: `quietus shutdown withdraw` gives back exactly those.

**How to stop it 如何停止**: before T0 mark the run as failed; nothing was changed. Afterwards withdraw the order. A run that was stopped is
started anew with the order's number, and asks nothing twice. Waiting for a person holds no slot; that a gate is
overdue is said by `case_clocks`, whatever becomes of this run.

**Evidence 证据**: every gate, move and look is an event of the order and an entry `shutdown` in the ledger, with documents by number and
SHA-256. That nothing was written after T0 is looked at by the prover here, and by `proof_audit` every night after
(`docs/shutdown.md`).
"""

from __future__ import annotations

from airflow.sdk import dag
from quietus_console import forms, shutting_down
from quietus_console.work import DEFAULTS

from include.cases.shutdown.dates import Gate


@dag(
    dag_id="service_shutdown",
    schedule=None,
    params={"order": forms.ORDER},
    doc_md=__doc__,
    tags=["promise", "policy 5.6"],
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args=DEFAULTS,
    render_template_as_native_obj=False,
)
def service_shutdown() -> None:
    order = shutting_down.take_up()
    (
        shutting_down.preview(order)
        >> [
            shutting_down.gate(order, Gate.NOTIFIED),
            shutting_down.gate(order, Gate.REPORTED),
            shutting_down.gate(order, Gate.ANNOUNCED),
        ]
        >> shutting_down.gate(order, Gate.SUCCESSOR_TOLD)
        >> shutting_down.close(order)
    )


service_shutdown()
