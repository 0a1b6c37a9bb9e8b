"""### 人工事项 · What only a person can tell a recipient, or ask of it

**Purpose 目的** (policy 11.2): some recipients have no interface: somebody phones or writes to them. A letter of which nobody knows
whether it left needs somebody who finds out, and an answer that rests on a law somebody who reads it. Each is one run of this DAG
with one question, begun by *recipient_notices* and called after the notice, so that it is asked once.

**Who may run it 谁可运行**: nobody needs to: it is begun by *recipient_notices*, and begun again if its run is lost. Who may trigger it
may answer it. What to say, the letter and the number stand on the errand's page in the console, never here; the proof is uploaded
there, and the answer recorded. 说明、信函与电话见控制台的事项页面;请勿在 Airflow 中填写任何个人信息。

**What it destroys 销毁什么**: nothing.

**How to stop it 如何停止**: mark the run as failed; the errand stays open in the case book, and its recipient's clock runs on.

**Evidence 证据**: who did what, and the digest of the proof, are events of the case; the proof itself is kept sealed.
"""

from __future__ import annotations

from airflow.sdk import dag
from quietus_console import notifying, questions
from quietus_console.work import DEFAULTS


@dag(
    dag_id="recipient_errands",
    schedule=None,
    params=notifying.ERRAND,
    doc_md=__doc__,
    tags=["recipients", "errand"],
    is_paused_upon_creation=False,
    max_active_runs=10_000,  # runs that wait for a person hold no slot
    default_args=DEFAULTS,
    render_template_as_native_obj=False,
)
def recipient_errands() -> None:
    errand = notifying.take_up_errand()
    ask = questions.an_errand()
    errand >> ask >> notifying.done(errand)


recipient_errands()
