"""### 期限 · Nothing is late

**Promise 承诺** (policy 11.3, 12.2): a reply within 30 days, a cancellation within 15 working days, both from verification; a request whose proof nobody
answered within 15 days fails. This run looks at every case's clocks and is **red while anything is late**, with the numbers of the late cases. That is
the alarm: let it reach whoever can act. The clocks are dates in the case book, so no restart, clearing or deleted run can lose one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import dag
from quietus_console.work import desk, keep_ledger, now, step

from include.cases import watch
from include.model.errors import NotProved


@dag(
    dag_id="case_clocks",
    schedule=timedelta(minutes=15),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["clocks"],
    default_args={"owner": "privacy", "retries": 1, "retry_delay": timedelta(minutes=1)},
)
def case_clocks() -> None:
    @step
    def keep_the_ledger() -> str:
        """Whatever is queued gets its index and is under a signed head."""
        return keep_ledger()

    @step(retries=0)
    def nothing_is_late() -> str:
        """Expire what nobody answered, escalate the silent, and say what is late."""
        clocks = watch.look(desk(), **now())
        if clocks.late:
            raise NotProved(
                str(clocks), about="clocks", next_step="open the late cases in the evidence console"
            )
        return str(clocks)

    keep_the_ledger() >> nothing_is_late()


case_clocks()
