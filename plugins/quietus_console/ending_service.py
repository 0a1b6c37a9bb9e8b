"""Tasks that end a shutdown: recipients are told, what is waited for holds no slot, and the service is certified."""

from __future__ import annotations

from typing import Any

from airflow.sdk import task_group
from quietus_console import asking_media, shutting_down
from quietus_console.waits import Waits
from quietus_console.work import desk, now, step

from include.cases import epochs
from include.cases.shutdown import told_recipients
from include.cases.shutdown.dates import Gate
from include.handover import said, service_certificate
from include.model.words import UnitState


def the_end(number: Any) -> Any:
    """Everybody who has our data says what became of it, the last backup with what the order took expires, and the certificate
    says all of it. What becomes of the media both approvers say meanwhile. Whether people were told who took over is asked once
    more: it may have been named, or another after it, since that was asked before T0."""

    @task_group(group_id="end")
    def end() -> None:
        told = tell_recipients(number)
        answers = Waits(
            task_id="answers",
            waiting=_answers,
            doc_md="Waits until every recipient has answered, or was escalated.",
        )
        backups = Waits(
            task_id="backups", waiting=_backups,
            doc_md="Waits until no backup holds what the order's own cases took.",
        )  # fmt: skip
        certified = certify(number)
        told >> answers >> backups >> certified
        told >> shutting_down.gate(number, Gate.SUCCESSOR_TOLD) >> certified
        told >> asking_media.what_becomes_of_them(number) >> certified

    return end()


@step
def tell_recipients(number: str) -> str:
    """Each is told once that the service stopped, and what becomes of all that it has from us. Who works for the successor
    from now on is named before, by `quietus shutdown tell-recipients --serves-successor`."""
    there = told_recipients.tell(desk(), number, **now())
    return f"{len(there.told)} recipients are told by {there.case_no}"


@step(pool="proofs")
def certify(number: str) -> str:
    """The whole estate is looked through once more, then the service is certified and the order ends. Red while anything is open,
    with each thing that is; clear it once that is done. A word about media whose day is over meanwhile counts no more: clear
    `end.media.open`, which asks anew."""
    made = service_certificate.certificate(desk(), number, **now())
    return f"certificate {made.serial}, issued on {made.issued_on}; the order is ended"


def _answers(number: str) -> list[str]:
    told_recipients.close(desk(), number, **now())
    there = told_recipients.standing(desk(), number)
    return [*there.untold, *there.open]


def _backups(number: str) -> list[str]:
    with desk().book() as conn:
        cases = sorted(said.begun(conn, number))
        return [no for no in cases if set(epochs.states(conn, no)) - {UnitState.BACKUP_PURGED}]
