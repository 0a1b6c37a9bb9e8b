"""The steps by which a partner's request becomes a run of the promise, and the partner hears how it stands."""

from __future__ import annotations

import json
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import get_current_context
from quietus_console.connections import AirflowConnections
from quietus_console.work import desk, step
from quietus_recipients.house import for_partners
from quietus_recipients.partners import said_of

from include.cases import upstream
from include.recipients.telling_partners import tell

PROMISE = "account_cancellation"


@step(task_id="cases")
def without_a_run() -> list[dict[str, Any]]:
    """The cases that partners opened and that have no run yet. A run is called after its case."""
    with desk().book() as conn:
        waiting = upstream.without_a_run(conn)
    count = get_current_context()["ti"].get_dr_count
    return [
        {"trigger_run_id": no, "conf": {"case": no}} for no in waiting if not count(PROMISE, run_ids=[no])
    ]


def begin(runs: Any) -> Any:
    """A run of the promise for each, begun once."""
    return TriggerDagRunOperator.partial(
        task_id="begin", trigger_dag_id=PROMISE, skip_when_already_exists=True, doc_md=begin.__doc__,
        map_index_template="{{ task.trigger_run_id }}",
    ).expand_kwargs(runs)  # fmt: skip


@step(task_id="partners")
def to_tell() -> list[str]:
    """The partners of whose requests one stands otherwise than they were told."""
    at = desk()
    return [p.id for p in at.catalogue.upstream if upstream.to_tell(at, p)]


@step(map_index_template="{{ task.op_kwargs['partner'] }}")
def tell_partner(partner: str) -> int:
    """Signed, one message a request, to the address that we agreed on; how many."""
    at, endpoint = desk(), AirflowConnections().endpoint(f"upstream_{partner}")
    sender = for_partners()
    found = next(p for p in at.catalogue.upstream if p.id == partner)
    changed = upstream.to_tell(at, found)
    for now in changed:
        body = json.dumps(said_of(sender, now, status_callback_url=endpoint.url), ensure_ascii=False).encode()
        tell(endpoint, sender.signature(), body)
        upstream.told(at, now)
    return len(changed)
