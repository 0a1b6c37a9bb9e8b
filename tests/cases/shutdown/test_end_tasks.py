"""The last tasks of `service_shutdown`, from our copy's deletion to the signed certificate and the ledger for the custodian: real
databases, ledger and signer, and a backup set whose copies reach back. Without Airflow's scheduler, so it takes seconds; what
`quietus sandbox demo-shutdown` does beside it is the way to them, which the end-to-end test walks."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from quietus_console import ending_service, work
from quietus_console.waits import Waits

from include.cases import backups
from include.cases.shutdown import orders, whereabouts
from include.handover import passing_ends, service_certificate
from include.handover.ledger_bag import hand_over
from include.ledger import verify_ledger, verify_service
from tests.cases.shutdown.ended import Ended
from tests.cases.shutdown.test_closing import T0, gatekeeper
from tests.cases.shutdown.test_ending import case_book, ended, house, new_company
from tests.cases.shutdown.test_ending_beside import backed

pytestmark = pytest.mark.postgres
__all__ = ["case_book", "ended", "gatekeeper", "house", "new_company"]  # fixtures


@pytest.fixture
def tasks(ended: Ended, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """By id, as the DAG has them; a wait says whether it goes on."""
    monkeypatch.setattr(ending_service, "desk", lambda: ended.desk)
    monkeypatch.setattr(ending_service, "now", lambda: {"as_of": T0, "actor": "system/airflow"})
    context = {
        "params": {},
        "ti": SimpleNamespace(max_tries=0, try_number=1, xcom_pull=lambda **_: ended.number),
    }
    monkeypatch.setattr(work, "get_current_context", lambda: context)

    def waits(waiting: Any) -> Any:
        return lambda: Waits(task_id="wait", waiting=waiting).poke(context)

    return {
        "tell_recipients": lambda: ending_service.tell_recipients.function(ended.number),
        "answers": waits(ending_service._answers), "backups": waits(ending_service._backups),
        "certify": lambda: ending_service.certify.function(ended.number),
    }  # fmt: skip


def test_the_end_waits_for_answers_and_backups_and_is_certified(
    ended: Ended, tasks: dict[str, Any], tmp_path: Path
) -> None:
    copies = backed(ended, T0).repository
    ended.hand_over()
    ended.delete_source()
    assert not tasks["answers"](), "nobody was told yet"
    assert "recipients are told by CASE-" in tasks["tell_recipients"]()
    assert not tasks["answers"]()
    with pytest.raises(AirflowFailException, match="its answer is waited for"):
        tasks["certify"]()
    ended.tell_everybody(media=False)
    assert tasks["answers"]()
    with pytest.raises(AirflowFailException, match="media store:company"):
        tasks["certify"]()
    ended.answer_for_media()
    assert not tasks["backups"](), "a copy holds what the order took"
    with pytest.raises(AirflowFailException, match="backups nightly"):
        tasks["certify"]()
    copies.copies = ()
    assert not backups.look(ended.desk, as_of=T0, actor="system/airflow").alarms
    assert tasks["backups"]()
    assert tasks["certify"]() == f"certificate 1, issued on {T0}; the order is ended"
    assert tasks["certify"]() == f"certificate 1, issued on {T0}; the order is ended", (
        "cleared, it is the same"
    )
    with ended.desk.book() as conn:
        assert orders.order(conn, ended.number).state == "ended"
        made = service_certificate.kept(conn, ended.number)
    assert made is not None
    assert verify_service.verify_file(made.envelope.encode(), ended.pem).problems == []
    hand_over(ended.desk, ended.number, tmp_path / "ledger", as_of=T0, actor="ops/wu")
    assert verify_ledger.verify_directory(tmp_path / "ledger", ended.pem).ok


def test_after_its_last_day_the_ledger_may_still_be_handed_over_and_verifies(
    ended: Ended, tmp_path: Path
) -> None:
    after = T0.replace(year=T0.year + 3) + timedelta(days=1)
    ended.everything()
    ended.certificate()
    assert passing_ends.end(ended.desk, ended.number, as_of=after, actor="system/airflow") == 0, (
        "none were kept here"
    )
    hand_over(ended.desk, ended.number, tmp_path / "late", as_of=after, actor="ops/wu")
    assert verify_ledger.verify_directory(tmp_path / "late", ended.pem).ok
    with ended.desk.book() as conn:
        whats = [e["what"] for e in orders.history(conn, ended.number)]
    assert whats[-2:] == [whereabouts.LAST_DAY, whereabouts.HANDED]
