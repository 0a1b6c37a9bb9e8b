"""### 停止运营 · A service, or the whole company, stops

**Purpose 目的** (policy 5.6; ESL 23-24; ECL 16; PIPL 22): who stops tells the parties 90 days before, reports to the ministry 60 days
before, says so on its home page for 30 days, and on T0 collects nothing more. What a law hands over goes to the successor,
everything else is deleted or anonymised. This run takes one order through its gates to the end of collection, each gate passed by a
person with its document (a revoked licence waits for none); then it hands over, deletes what the successor has signed for and what
goes to nobody, holds the books against both sides, tells recipients, waits for their answers and for backups, and ends with the
certificate of the service.
What was filed late moves T0, and nothing moves it before that.

**Who may run it 谁可运行**: legal, with the number of an order (`SO-…`) that `quietus shutdown open` printed: its two approvers approve it,
each logged in, here or by `quietus shutdown approve`; there is one at a time. Everybody is then told by letter. 请勿在任何输入框填写个人信息。

**What it destroys 销毁什么**: on T0 it takes the applications' rights to insert and update, in the databases and buckets of what
stops; each right is written down before it is taken, and `quietus shutdown withdraw` gives back exactly those, until the successor has
signed for a bag. Afterwards, once a person said so, our copy of every bag that the successor signed for without a difference; and, once
both approvers of the order said so, all that goes to nobody.

**How to stop it 如何停止**: `quietus retention stop` keeps all of it from disposing. Before T0 mark the run as failed; nothing was changed. Afterwards withdraw the order, while that is allowed.
A run that was stopped is started anew with the order's number, does nothing twice and asks nothing twice. Waiting for a person or for
receipts holds no slot; that a gate is overdue is said by `case_clocks`, whatever becomes of this run. What could not be seen after
T0 (UNVERIFIED) stops it, unless a person answers for it by a document.

**Files 文件**: sealed bags lie in the directory of the connection `handover_bags`, which must be the same on all workers.

**Evidence 证据**: every gate, move, look, bag, receipt, deletion and balance is an event of the order and an entry of the ledger, with
documents by number and SHA-256. That nothing was written after T0 is looked at by the prover here, and by `proof_audit` every night
after (`docs/shutdown.md`, `docs/handover.md`).
"""

from __future__ import annotations

from airflow.sdk import cross_downstream, dag
from quietus_console import disposing_rest, ending_service, forms, handing_over, shutting_down
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
    preview, told = shutting_down.preview(order), shutting_down.tell_people(order)
    notified = shutting_down.gate(order, Gate.NOTIFIED)
    reported = [
        shutting_down.gate(order, Gate.REPORTED),
        shutting_down.gate(order, Gate.REPORTED_E_GOVERNMENT),
    ]
    others = [*reported, shutting_down.gate(order, Gate.ANNOUNCED)]
    approved = shutting_down.approvals(order)
    preview >> approved >> told >> notified
    cross_downstream(approved, others)
    (
        [notified, *others]
        >> shutting_down.gate(order, Gate.SUCCESSOR_TOLD)
        >> shutting_down.tell_of_the_last_day(order)
    )
    (
        approved
        >> shutting_down.close(order)
        >> shutting_down.tell_who_came_since(order)
        >> handing_over.to_the_successor(order)
        >> handing_over.our_copy(order)
        >> disposing_rest.to_nobody(order)
        >> handing_over.balance(order)
        >> ending_service.the_end(order)
    )


service_shutdown()
