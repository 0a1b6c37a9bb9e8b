"""Whom a case deletes once tombstones were packed: by itself its successor hears of that every morning, also after its order's
end, until the ledger is with the custodian; and that waits for it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from quietus_console import following_up, work

from include.cases.shutdown import orders, whereabouts
from include.handover import buried, stages, unpassed
from include.handover.receiving import receive
from include.model.errors import Refused
from tests.cases.shutdown.handing import Handing
from tests.cases.shutdown.test_books import stopped
from tests.cases.shutdown.test_closing import T0, gatekeeper
from tests.cases.shutdown.test_notices_follow import LI, OVER, Connected, handing, leave
from tests.cases.shutdown.test_requests_after import WANG, gone

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "gone", "handing", "stopped"]  # fixtures


@pytest.fixture
def mornings(gone: Handing, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the DAG `handover_notices` does of it, by name."""
    desk = replace(gone.stopped.house.desk, connections=Connected(gone))
    monkeypatch.setattr(stages, "SignerClient", lambda _: SimpleNamespace(attest=gone.ours))
    monkeypatch.setattr(following_up, "desk", lambda: desk)
    monkeypatch.setattr(following_up, "now", lambda: {"as_of": OVER, "actor": "system/airflow"})
    context = {"params": {}, "ti": SimpleNamespace(max_tries=0, try_number=1)}
    monkeypatch.setattr(work, "get_current_context", lambda: context)
    names = ("burying", "bury", "hear_tombstones")
    tasks = SimpleNamespace(**{n: getattr(following_up, n).function for n in names})
    with pytest.raises(AirflowSkipException):
        tasks.burying()  # nothing was packed from the directory of its bags
    (stages.Handover.of(desk, gone.number).papers / stages.CONSIGNMENT).write_text(
        gone.stopped.consignment.model_dump_json(), "utf-8"
    )
    return tasks


def ended(handing: Handing) -> None:
    with handing.stopped.house.desk.book() as conn:
        conn.execute(
            "UPDATE casebook.shutdown_order SET ended_on = %s WHERE number = %s", (T0, handing.number)
        )
        conn.commit()


def open_(handing: Handing) -> dict[str, tuple[int, str]]:
    with handing.stopped.house.desk.book() as conn:
        return buried.open_(conn, handing.number)


def balances(handing: Handing) -> bool:
    lines = {x.dataset: x.balances for x in handing.stopped.look().lines}
    return all(lines[x] for x in buried.BAGS)


def received(handing: Handing) -> list[str]:
    """The bags of tombstones that the successor has stored."""
    got = receive(handing.inbox, handing.custody, handing.stopped.theirs, handing.number)
    assert not got.refused, got.refused
    return sorted(r.bag for r in got.receipts if r.bag.startswith("book.tombstone"))


@pytest.mark.parametrize("after_its_end", [False, True])
def test_by_itself_the_successor_hears_of_them_until_the_ledger_is_handed_over(
    gone: Handing, mornings: Any, after_its_end: bool
) -> None:
    number = gone.number
    assert mornings.burying() == [number]
    assert mornings.bury(number) == f"{number}: 0 bags of tombstones made, 0 bags sent now"
    if after_its_end:
        ended(gone)
    leave(gone, OVER)
    assert sum(n for n, _ in open_(gone).values()) > 0
    desk = gone.stopped.house.desk
    with desk.book() as conn, pytest.raises(Refused, match="made since tombstones were packed"):
        unpassed.none_open(desk, conn, number)
    assert mornings.bury(number) == f"{number}: 2 bags of tombstones made, 2 bags sent now"
    assert (
        mornings.hear_tombstones(number) == f"{number}: 0 bags of tombstones signed for now, 2 are waited for"
    )
    with desk.book() as conn, pytest.raises(Refused, match="did not sign for"):
        unpassed.none_open(desk, conn, number)
    late = ["book.tombstone-00002", "book.tombstone_key-00002"]
    assert after_its_end or not balances(gone), "the books wait for it"
    assert set(late) <= set(received(gone))
    assert (
        mornings.hear_tombstones(number) == f"{number}: 2 bags of tombstones signed for now, 0 are waited for"
    )
    assert open_(gone) == {} and (after_its_end or balances(gone))
    assert mornings.bury(number) == f"{number}: 0 bags of tombstones made, 0 bags sent now"
    stored = gone.theirs("SELECT body FROM quietus_handover.item WHERE bag LIKE 'book.tombstone%-00002'")
    assert stored and LI not in str(stored) and LI not in str(gone.stopped.house.ledger)
    with desk.book() as conn:
        orders.say(desk, conn, number, whereabouts.HANDED, OVER, "ops/wu", {})
        conn.commit()
    leave(gone, OVER, WANG)
    with pytest.raises(AirflowSkipException):
        mornings.burying()
    with pytest.raises(AirflowFailException, match="nothing is passed on any more"):
        mornings.bury(number)


def test_a_receipt_that_names_a_difference_is_red(gone: Handing, mornings: Any) -> None:
    leave(gone, OVER)
    mornings.bury(gone.number)
    received(gone)
    gone.theirs("DELETE FROM quietus_handover.item WHERE bag = 'book.tombstone-00002'")
    received(gone)
    with pytest.raises(AirflowFailException, match=r"book.tombstone-00002.*lacks 1 items"):
        mornings.hear_tombstones(gone.number)
    assert "book.tombstone-00002" in open_(gone)


def test_an_ended_order_is_followed_beside_a_newer_one_and_each_by_itself(
    gone: Handing, mornings: Any
) -> None:
    """Of the newer one nothing was packed from the directory of bags yet, then it was, then its paper cannot be read."""
    ended(gone)
    newer = "SO-000099"
    desk = gone.stopped.house.desk
    with desk.book() as conn, conn.transaction():
        conn.execute(
            "INSERT INTO casebook.shutdown_order SELECT n.* FROM casebook.shutdown_order AS o,"
            " jsonb_populate_record(o, jsonb_build_object('number', %s::text, 'ended_on', NULL)) AS n WHERE o.number = %s",
            (newer, gone.number),
        )
        conn.execute(
            "INSERT INTO casebook.shutdown_approval (number, approver, approved_on)"
            " SELECT %s, approver, approved_on FROM casebook.shutdown_approval WHERE number = %s",
            (newer, gone.number),
        )
        conn.execute(
            "INSERT INTO casebook.handover_bag SELECT n.* FROM casebook.handover_bag AS b,"
            " jsonb_populate_record(b, jsonb_build_object('order_no', %s::text)) AS n WHERE b.order_no = %s AND b.dataset = %s",
            (newer, gone.number, buried.TOMBSTONE),
        )
    assert mornings.burying() == [gone.number]
    assert following_up.passing.function() == [gone.number]
    papers = stages.Handover.of(following_up.desk(), newer).papers
    papers.mkdir(parents=True)
    (papers / stages.CONSIGNMENT).write_text(gone.stopped.consignment.model_dump_json(), "utf-8")
    assert mornings.burying() == [gone.number, newer]
    (papers / stages.CONSIGNMENT).write_text("{", "utf-8")
    assert mornings.burying() == [gone.number, newer], "its own task is red over it"
    leave(gone, OVER)
    assert mornings.bury(gone.number).startswith(f"{gone.number}: 2 bags of tombstones made")
    with pytest.raises(AirflowFailException, match="consignment cannot be read"):
        mornings.bury(newer)
