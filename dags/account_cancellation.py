"""### 账户注销 · Cancel one person's account, and prove it

**Purpose 目的** (policy 1.4, 11.3): who cancels an account is no longer served, and what we hold about them is deleted or
anonymised, but for what a law keeps, within 15 working days; the reply comes within 30 days.

**Who may run it 谁可运行**: support, with an *opaque account id* (`acct_…`), which is swapped for a case number before Airflow
stores anything. One colleague checks who asks; **another** decides on a plan that has been rehearsed; a refusal needs a third.
Never type a name, phone number, e-mail address or ID number anywhere in Airflow. 请勿在任何输入框填写姓名、手机号、邮箱或证件号码。

**What it destroys 销毁什么**: the person's rows, objects, object versions and records in shared files, in every store of the
catalogue, as the approved plan says; sessions, certificates and hosted keys are revoked before that. It cannot be undone.

**How to stop it 如何停止**: the emergency stop (`quietus retention stop`) keeps every case from disposing of more, restricted as it is.
Before *dispose*, mark the run as failed: nothing is deleted yet. During it, the step in hand ends its
transaction or rolls back. A red task says what to do next; any task can be cleared and run again, or the run started anew with
the number of its case, and nothing is done twice.

**Evidence 证据**: each step is followed by a proof that somebody else makes, kept in the ledger; the run ends with an interim
certificate. Backups, recipients and statutory dates are waited for in the case book, not here.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task_group
from quietus_console import forms, questions, steps
from quietus_console.work import DEFAULTS

from include.model.words import Ground


@dag(
    dag_id="account_cancellation",
    schedule=None,
    params=forms.request_of(Ground.CANCELLATION),
    doc_md=__doc__,
    tags=["promise", "PIPL 47"],
    max_active_runs=1000,  # runs that wait for a person hold no slot
    default_args=DEFAULTS,
    render_template_as_native_obj=False,
)
def account_cancellation() -> None:
    case = steps.take_up()

    @task_group
    def verify_identity() -> None:
        ask = questions.who_asks()
        steps.request_identity(case) >> ask >> steps.record_identity(case, ask.output)

    rehearsed = steps.rehearse(case)

    @task_group
    def decide() -> Any:
        ask = questions.what_is_to_happen()
        approved = steps.approve(case, ask.output, rehearsed)
        review = questions.does_the_refusal_stand()
        steps.refuse(case, ask.output, review.output, rehearsed)
        rehearsed >> ask
        steps.next_step(ask.output) >> [approved, review]
        return approved  # only an approval leads on

    @task_group
    def restrict() -> None:
        steps.stop_use(case) >> steps.prove_restricted(case)

    @task_group
    def plan() -> None:
        steps.settle(case) >> steps.prove_baseline(case)

    @task_group
    def dispose() -> None:
        (
            steps.carry_out(case)
            >> steps.prove_gone(case)
            >> steps.prove_undeclared(case)
            >> steps.balance(case)
        )

    verify_identity() >> rehearsed
    decide() >> restrict() >> plan() >> dispose() >> steps.wait_in_data(case) >> steps.certify(case)


account_cancellation()
