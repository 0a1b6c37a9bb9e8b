"""What nobody deletes at the successor at a person's word: what a hold covers that is open there or here, and a row that another
one needs which stays."""

from __future__ import annotations

import pytest

from include.cases import verbs
from include.cases.retention.held import HeldPeople
from include.cases.scopes import HoldBasis, HoldOrder, Scope
from include.cases.shutdown import preview as previews
from include.handover import clearing, passing_on
from include.handover.conservation import Place
from include.handover.custody import Known
from include.handover.following import Item
from include.handover.heeding import children_first, heed
from include.handover.staying import HOLD, NEEDED, keeps
from include.model.handover import BagKind
from tests.cases.shutdown.conftest import SHOP
from tests.cases.shutdown.handing import Handing
from tests.cases.shutdown.test_books import stopped
from tests.cases.shutdown.test_closing import T0, gatekeeper
from tests.cases.shutdown.test_notices_follow import LI, OVER, handing, leave, places, visits
from tests.cases.shutdown.test_requests_after import WANG, gone, hers

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "gone", "handing", "stopped"]  # fixtures


def hold(*people: str, datasets: frozenset[str] = frozenset({"u.visit"})) -> HeldPeople:
    """An open hold as a successor's own book has it."""
    tokens = frozenset(p.encode().hex() for p in people)
    order = HoldOrder("HOLD-000007", HoldBasis.COURT, "law", Scope(subjects=tokens, datasets=datasets))
    return HeldPeople((order,), {order.number: frozenset(people)})


def whys(handing: Handing) -> list[str]:
    return [
        w for (w,) in handing.theirs("SELECT why FROM quietus_handover.item WHERE fate = 'kept' ORDER BY 1")
    ]


def test_a_request_deletes_nothing_that_a_hold_of_the_successor_covers(gone: Handing) -> None:
    for who in (LI, WANG):
        leave(gone, OVER, who)
    gone.their_holds = lambda: hold(LI)
    gone.ask(OVER)
    assert len(hers(gone)) == 7, "her evidence is there"
    assert len(hers(gone, WANG)) == 4, "the other one is not held, and three of seven are over"
    assert whys(gone).count(HOLD) == 4


def test_a_hold_on_everybody_or_on_another_dataset(gone: Handing) -> None:
    leave(gone, OVER)
    leave(gone, OVER, WANG)
    gone.their_holds = lambda: hold(LI, datasets=frozenset({"u.click"}))
    gone.ask(OVER)
    assert len(hers(gone)) == 3
    leave(gone, OVER, "acct_000000000004")
    gone.their_holds = hold
    gone.ask(OVER)
    assert len(hers(gone, "acct_000000000004")) == 7


def test_a_notice_deletes_nothing_that_a_hold_of_the_successor_covers(handing: Handing) -> None:
    handing.pack()
    handing.hand_over()
    leave(handing, OVER)
    handing.their_holds = lambda: hold(LI)
    handing.tell(OVER)
    assert len(hers(handing)) == 7 and whys(handing) == [HOLD] * 4


def test_while_a_hold_names_people_what_is_nobodys_is_not_followed(gone: Handing) -> None:
    leave(gone, OVER)
    gone.theirs(f"UPDATE u.visit SET account_id = NULL WHERE account_id = '{LI}'")
    made = passing_on.ask(
        gone.stopped.house.desk, gone.stopped.consignment, gone.ours, as_of=OVER, actor="ops/wu"
    ).made
    passing_on.send(gone.way, gone.stopped.consignment)
    gone.their_holds = lambda: hold(LI)
    done = heed(gone.inbox, gone.custody, gone.stopped.theirs, gone.number, as_of=OVER)
    assert made and any("nobody here can say whose" in why for why in done.refused.values())
    assert LI not in str(done.refused)
    assert gone.theirs("SELECT count(*) FROM u.visit") == [(60,)]


def test_a_hold_that_is_opened_meanwhile_is_seen_before_anything_is_committed(gone: Handing) -> None:
    leave(gone, OVER)
    asked = iter([HeldPeople()])
    gone.their_holds = lambda: next(asked, hold(LI))
    with pytest.raises(AssertionError, match="a hold was opened or changed meanwhile"):
        gone.ask(OVER)
    assert len(hers(gone)) == 7


def test_a_hold_that_came_and_was_released_keeps_nothing() -> None:
    bag = Known("SO-1", "visit-0001", BagKind.ROWS, "u.visit", "", b"", ["null"], {}, True)
    item = Item(1, ("1",), 0, "HOLD-1,HOLD-2", b"x" * 32, None, None)
    assert keeps(bag, item, T0, ["SO-1/HOLD-1", "SO-2/HOLD-2"]) is not None
    assert keeps(bag, item, T0, ["SO-1/HOLD-1", "SO-1/HOLD-2"]) is None


def test_a_row_to_which_one_refers_that_stays_is_kept_and_no_reference_dangles(gone: Handing) -> None:
    leave(gone, OVER)
    (due,) = gone.theirs(f"SELECT min(id) FROM u.visit WHERE account_id = '{LI}' AND at < '2025-12-01'")[0]
    gone.theirs("CREATE TABLE u.mark (visit_id int REFERENCES u.visit); GRANT SELECT ON u.mark TO custodian")
    gone.theirs(f"INSERT INTO u.mark VALUES ({due})")
    gone.theirs(
        "ALTER TABLE u.visit ADD FOREIGN KEY (id) REFERENCES u.visit (id)"
    )  # each refers to itself, which keeps nothing
    gone.ask(OVER)
    assert (due,) in hers(gone) and len(hers(gone)) == 4
    assert whys(gone).count(NEEDED) == 1
    assert gone.theirs("SELECT count(*) FROM u.mark LEFT JOIN u.visit ON id = visit_id WHERE id IS NULL") == [
        (0,)
    ]


def test_requests_about_rows_come_before_those_about_the_rows_that_they_need() -> None:
    names = [f"{d}-00001-0001" for d in ("a.account", "s.note", "s.ticket", "u.visit")]
    in_order = [x.partition("-")[0] for x in children_first(SHOP, [*names, "nobody"])]
    assert in_order == ["s.note", "s.ticket", "u.visit", "a.account", "nobody"]


def test_nothing_is_asked_for_that_an_open_hold_of_ours_covers(gone: Handing) -> None:
    leave(gone, OVER)
    desk = gone.stopped.house.desk
    number = verbs.open_hold(
        desk, basis="court", document_no="7", issuing_body="court", law="law", as_of=OVER, actor="legal/zhao",
        account_ids=frozenset({LI}), datasets=frozenset({"u.visit"}),
    )  # fmt: skip
    assert gone.ask(OVER).made == [] and len(hers(gone)) == 7
    verbs.release_hold(desk, number, document="8", as_of=OVER, actor="legal/zhao")
    assert gone.ask(OVER).made and len(hers(gone)) == 3


def test_our_copy_stays_under_our_hold_until_it_is_ordered_of_the_successor(handing: Handing) -> None:
    """Law.md E, 18: nothing is transferred under an open hold. Whoever ordered it orders it there, and releases it here."""
    desk = handing.stopped.house.desk
    number = verbs.open_hold(
        desk, basis="court", document_no="7", issuing_body="court", law="law", as_of=T0, actor="legal/zhao",
        account_ids=frozenset({LI}), datasets=frozenset({"u.visit"}),
    )  # fmt: skip
    found = previews.preview(desk, handing.number, as_of=T0)
    assert [f.items for f in found.findings if f.code == previews.HELD] == [7]
    assert "hold" not in str(previews.without_holds(found.body())), "who is told of none reads of none"
    handing.pack()
    handing.hand_over()
    stopped = {w for b, why in handing.stopped.look().bags if b.held for w in why}
    assert stopped and all(w.startswith("a hold names ") for w in stopped)
    handing.their_holds = lambda: hold(LI)
    verbs.release_hold(desk, number, document="8", as_of=T0, actor="legal/zhao")
    assert handing.tell().made and places(handing) == {Place.WHOLE}
    clearing.run(desk, handing.number, as_of=T0, actor="ops/wu")
    assert visits(handing) == 0
    leave(handing, OVER)
    handing.ask(OVER)
    assert len(hers(handing)) == 7 and whys(handing).count(HOLD) == 4, (
        "it keeps what ours kept, which no law does by then"
    )
