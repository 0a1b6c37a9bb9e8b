"""Notices and the deletion of our copy at one time: what we delete is never told as deleted, or it would be in neither place."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from quietus_console import following_up, work
from typer.testing import CliRunner

from include.cases import verbs
from include.cases.shutdown import orders
from include.commands import _common as common
from include.commands import _handover_notices as command
from include.handover import books, clearing, stages
from include.ledger import signer
from include.model.errors import NotProved, Refused
from tests.cases.restoring import killed_at
from tests.cases.shutdown.handing import INBOX, Handing
from tests.cases.shutdown.test_books import stopped
from tests.cases.shutdown.test_closing import company, gatekeeper
from tests.cases.shutdown.test_notices_follow import LI, OVER, Connected, handing, leave, replace_at, visits

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "handing", "stopped"]  # fixtures

PUT = "INSERT INTO u.visit VALUES (1, 'acct_000000000001', '2026-11-24', '/')"


@pytest.fixture
def received(handing: Handing) -> Handing:
    """Before anything was packed, cases of four people disposed of more visits than a bag has: receipts explain as many again."""
    for n in range(2, 6):
        leave(handing, OVER, f"acct_{n:012d}")
    assert visits(handing) <= 60 - 10
    handing.pack()
    handing.hand_over()
    assert handing.theirs("SELECT count(*) FROM u.visit") == [(visits(handing),)]
    return handing


def delete(handing: Handing, **more: Any) -> clearing.Going:
    return clearing.run(handing.stopped.house.desk, handing.number, as_of=OVER, actor="ops/wu", **more)


def nothing_is_told(handing: Handing, theirs: list[tuple[Any, ...]]) -> set[str]:
    """The morning's run; the cases that it names."""
    out = handing.amend(OVER)
    assert out.made == [] and out.left == {}, (out.made, out.left)
    handing.send_notices(), handing.follow(OVER)
    assert handing.theirs("SELECT count(*) FROM u.visit") == theirs
    return set(out.going.values())


def test_what_a_killed_deletion_took_is_told_to_nobody_nor_what_is_properly_gone(received: Handing) -> None:
    theirs = received.theirs("SELECT count(*) FROM u.visit")
    there = visits(received)
    assert killed_at("clearing.after_commit", lambda at: delete(received, at=at))
    assert visits(received) < there
    (case_no,) = nothing_is_told(received, theirs)
    assert delete(received).case_no == case_no and visits(received) == 0
    assert nothing_is_told(received, theirs) == {case_no}, "what was properly deleted here is no fault"
    # What somebody puts there afterwards is one.
    company(received.stopped.house, PUT)
    out = received.amend(OVER)
    assert [f"{case_no} deleted it here" in why for why in out.left.values()] == [True] and out.made == []


def test_in_the_midst_of_a_deletion_nothing_of_its_bags_is_told(received: Handing) -> None:
    theirs = received.theirs("SELECT count(*) FROM u.visit")
    cases: list[set[str]] = []

    def morning(point: str) -> None:
        if point == "clearing.after_commit" and not cases:
            cases.append(nothing_is_told(received, theirs))

    going = delete(received, at=morning)
    assert cases == [{going.case_no}] and visits(received) == 0


def test_what_a_person_took_of_what_a_deletion_had_left_is_no_part_of_it(handing: Handing) -> None:
    """A hold left some of her visits; once it is lifted her own case takes those that are over: nobody tells the successor."""
    desk = handing.stopped.house.desk
    handing.pack()
    handing.hand_over()
    held: list[str] = []

    def hold(point: str) -> None:
        if point == "bags.planned":
            held.append(verbs.open_hold(
                desk, basis="court", document_no="7", issuing_body="court", law="law", as_of=OVER, actor="legal/zhao",
                account_ids=frozenset({LI}), datasets=frozenset({"u.visit"}),
            ))  # fmt: skip

    with pytest.raises(NotProved, match="something is left of"):
        delete(handing, at=hold)
    assert visits(handing) == 7
    assert all("a hold names" in why for why in handing.amend(OVER).left.values())
    verbs.release_hold(desk, held[0], document="8", as_of=OVER, actor="legal/zhao")
    out = handing.amend(OVER)
    assert out.left == {} and out.cases == ["CASE-000001"]
    leave(handing, OVER)
    assert visits(handing) == 3
    out = handing.amend(OVER)
    assert out.made == [] and out.left
    assert {why.partition(" that")[0] for why in out.left.values()} == {"4 items are gone"}


def opened(handing: Handing, seen: dict[str, Any]) -> clearing.Going | None:
    desk = handing.stopped.house.desk
    with desk.book() as conn:
        of = orders.order(conn, handing.number)
    return clearing._opened(desk, of, seen, as_of=OVER, actor="ops/wu")


def read(handing: Handing) -> dict[str, Any]:
    desk = handing.stopped.house.desk
    with desk.book() as conn:
        of = orders.order(conn, handing.number)
    return {b.bag: b for b in books.seen(desk, of)}


def test_a_deletion_that_is_begun_while_a_notice_is_made_comes_first(handing: Handing) -> None:
    handing.pack()
    handing.hand_over()
    seen = read(handing)  # all bags are whole
    leave(handing, OVER)
    begun: list[clearing.Going | None] = []

    def begins(point: str) -> None:
        if point == "notices.found" and not begun:
            begun.append(opened(handing, seen))

    out = replace_at(handing, begins).amend(OVER)
    (first,) = begun
    assert first is not None and out.made == [] and set(out.going.values()) == {first.case_no}
    # Nothing was disposed of by it: it gives its bags up, for each lacks a row of that person, and they can be told.
    with pytest.raises(clearing.NoneMay, match="not what was packed"):
        delete(handing)
    told = handing.tell(OVER)
    assert set(told.made) == set(first.bags) and not told.left and not told.going
    second = delete(handing)
    assert second.case_no != first.case_no and set(second.bags) == set(first.bags)
    assert visits(handing) == 0 and handing.theirs("SELECT count(*) FROM u.visit") == [(56,)]


def test_a_notice_that_is_made_while_a_deletion_begins_comes_first(handing: Handing) -> None:
    handing.pack()
    handing.hand_over()
    seen = read(handing)
    leave(handing, OVER)
    assert handing.amend(OVER).made
    assert opened(handing, seen) is None, "it reads all bags anew"
    with pytest.raises(clearing.NoneMay):
        delete(handing)
    handing.send_notices(), handing.follow(OVER), handing.verify_notices()
    assert opened(handing, seen) is None, "also once it was followed"
    assert delete(handing).bags and visits(handing) == 0


def test_what_a_case_took_of_what_is_in_no_bag_explains_no_gap_in_a_bag(handing: Handing) -> None:
    """Four visits were over when the rest was packed, so they are in no bag; then their owner's case takes them."""
    company(
        handing.stopped.house,
        f"UPDATE u.visit SET at = '2019-01-01' WHERE account_id = '{LI}' AND id % 2 = 1",
    )
    handing.pack()
    handing.hand_over()
    leave(handing, OVER)
    assert visits(handing) == 56
    company(handing.stopped.house, "DELETE FROM u.visit WHERE id = 3")
    out = handing.amend(OVER)
    assert "1 of its items are gone, and receipts explain 0" in set(out.left.values())


def test_what_cases_took_before_anything_was_packed_explains_no_gap_in_a_bag(received: Handing) -> None:
    """Those 28 visits were in no bag: so nothing that somebody else deletes may be told to the successor as deleted by us."""
    theirs = received.theirs("SELECT count(*) FROM u.visit")
    company(received.stopped.house, "DELETE FROM u.visit WHERE id = (SELECT min(id) FROM u.visit)")
    out = received.amend(OVER)
    assert out.made == [] and set(out.left.values()) == {"1 of its items are gone, and receipts explain 0"}
    received.send_notices(), received.follow(OVER)
    assert received.theirs("SELECT count(*) FROM u.visit") == theirs, "and there it stays"


def test_what_a_case_takes_after_packing_is_told_as_before(received: Handing) -> None:
    leave(received, OVER, f"acct_{6:012d}")
    left = visits(received)
    out = received.tell(OVER)
    assert out.made and not out.left
    assert received.theirs("SELECT count(*) FROM u.visit") == [(left,)]


class Undeclared(Connected):
    """No connection of a handover is declared yet."""

    def text(self, name: str) -> str:
        raise Refused("there is no such connection", about=name, next_step="declare it")


def test_the_morning_is_green_before_anything_is_handed_over_and_after_our_copy_went(
    handing: Handing, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = handing.stopped.house.desk
    context = {"params": {}, "ti": SimpleNamespace(max_tries=0, try_number=1)}
    monkeypatch.setattr(work, "get_current_context", lambda: context)
    monkeypatch.setattr(stages, "SignerClient", lambda _: SimpleNamespace(attest=handing.ours))
    monkeypatch.setattr(following_up, "now", lambda: {"as_of": OVER, "actor": "system/airflow"})
    monkeypatch.setattr(following_up, "desk", lambda: replace(desk, connections=Undeclared(handing)))
    under_way, tell = following_up.under_way.function, following_up.tell.function
    with pytest.raises(AirflowSkipException):
        under_way()
    declared = replace(desk, connections=Connected(handing))
    monkeypatch.setattr(following_up, "desk", lambda: declared)
    handing.pack()
    papers = stages.Handover.of(declared, handing.number).papers
    (papers / stages.CONSIGNMENT).write_text(handing.stopped.consignment.model_dump_json(), "utf-8")
    handing.hand_over()
    assert under_way() == handing.number
    going = delete(handing)
    said = f"0 notices made, 0 sent now; {len(going.bags)} bags went here, or go, by {going.case_no}"
    assert tell(handing.number) == f"{handing.number}: {said}"
    consignment = handing.stopped.home / "consignment.json"
    consignment.write_text(handing.stopped.consignment.model_dump_json(), "utf-8")
    monkeypatch.setattr(common, "desk", lambda: declared)
    monkeypatch.setattr(common, "today", lambda: OVER)
    monkeypatch.setattr(signer, "SignerClient", lambda _: SimpleNamespace(attest=handing.ours))
    sent = CliRunner().invoke(
        command.app, ["send", str(consignment), "--bucket", INBOX], catch_exceptions=False
    )
    assert (
        sent.exit_code == 0
        and f"went here, or go, by {going.case_no}: of them nothing is told" in sent.output
    )
    # An order that waits for an approval is in no force, whatever it has packed.
    with desk.book() as conn:
        waits = replace(orders.order(conn, handing.number), approved=["legal/zhao"])
    monkeypatch.setattr(orders, "in_force", lambda conn: waits)
    with pytest.raises(AirflowSkipException):
        under_way()
