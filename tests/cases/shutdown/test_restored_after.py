"""A database that was restored to before a source deletion: the replay says so, and does not pass for done."""

from __future__ import annotations

import pytest

from include.cases import replaying
from include.handover import clearing
from tests.cases.shutdown.test_books import Stopped, stopped
from tests.cases.shutdown.test_closing import T0, company, gatekeeper

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "stopped"]  # fixtures


def test_what_a_shutdown_deleted_is_not_replayed_in_silence(stopped: Stopped) -> None:
    stopped.pack()
    for bag in stopped.bags():
        stopped.answer(bag)
    house = stopped.house
    company(
        house,
        "CREATE TABLE public.visits AS TABLE u.visit; CREATE TABLE public.receipts AS TABLE quietus.receipt",
    )
    going = clearing.run(house.desk, stopped.number, as_of=T0, actor="ops/wu")
    place = replaying.place(house.company.catalogue, "company", house)  # type: ignore[arg-type]
    assert replaying.replay(house.desk, place, as_of=T0, actor="ops/wu").failed == ()
    # As a restore puts it back: the rows are there, and the store's own receipts are not.
    company(house, "DELETE FROM quietus.receipt; INSERT INTO u.visit TABLE public.visits")
    (failed,) = replaying.replay(house.desk, place, as_of=T0, actor="ops/wu").failed
    assert failed.case_no == going.case_no and "close-collection" in failed.why
    assert replaying.replay(house.desk, place, as_of=T0, actor="ops/wu", rehearsal=True).failed == ()
    # It goes again, by a case of its own.
    again = clearing.run(house.desk, stopped.number, as_of=T0, actor="ops/wu")
    assert again.case_no != going.case_no and company(house, "SELECT count(*) FROM u.visit") == [(0,)]
