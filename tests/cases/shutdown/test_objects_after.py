"""Who objects to the handover once our copy of her bags went: the successor, who alone has it, hears of it, restricts what a
statute keeps, deletes the rest, and signs for both."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from include.cases import verbs
from include.cases.accounts import CatalogueAccounts
from include.cases.keys import Purpose
from include.cases.rooms import Desk
from include.cases.shutdown import objecting, orders, whereabouts, who_asked
from include.commands import _common as common
from include.commands import _handover_requests as command
from include.handover import asking, clearing, heeding, passing_on, requests, unpassed
from include.handover.heeding import Heeded, heed
from include.handover.sending import request_key, request_receipt_key
from include.handover.staying import HOLD
from include.model.errors import BooksDoNotBalance, LedgerError, NotProved, Refused
from include.model.handover import OBJECTION, REQUEST
from include.model.words import Channel
from tests.cases.restoring import killed_at
from tests.cases.shutdown.handing import INBOX, Handing
from tests.cases.shutdown.test_books import Stopped, stopped
from tests.cases.shutdown.test_closing import T0, company, gatekeeper
from tests.cases.shutdown.test_held_by_successor import hold
from tests.cases.shutdown.test_left_with_former import OFFICE, left, other_takes_over, two_went
from tests.cases.shutdown.test_notices_follow import LI, OVER, handing, leave, replace_at, visits
from tests.cases.shutdown.test_requests_after import WANG, gone, hers, signed_anew, take, without_account
from tests.cases.shutdown.test_set_aside import begun as half_gone
from tests.cases.shutdown.test_set_aside import differs, go, in_small_pieces, line
from tests.cases.shutdown.test_successor_gone import withdrew
from tests.handover.both import Attesting

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "gone", "handing", "in_small_pieces", "stopped"]  # fixtures
CHECKED: dict[str, Any] = {"channel": Channel.APP, "method": "signed_in_session", "fields": ("PI-001",)}
ON: dict[str, Any] = {"as_of": T0, "actor": "ops/wu"}


def asks(shop: Stopped) -> Desk:
    """The desk, with the accounts of the shop's own table."""
    desk = shop.house.desk
    return replace(desk, accounts=CatalogueAccounts(desk.catalogue, shop.house))


def objects(shop: Stopped, who: str = LI, as_of: date = T0) -> int:
    return objecting.object_to(asks(shop), shop.number, who, as_of=as_of, actor="support/li", **CHECKED)


def owns(shop: Stopped, who: str, *bags: str) -> None:
    """The first item of each of these bags, which were packed without it being kept whose they are."""
    with shop.house.desk.book() as conn, conn.transaction():
        conn.cursor().executemany(
            "INSERT INTO casebook.handover_owner (order_no, bag, token, leaves) SELECT order_no, bag, %s, substr(leaves, 1, 32)"
            " FROM casebook.handover_leaves WHERE order_no = %s AND bag = %s",
            [(t, shop.number, bag) for bag in bags for t in asking.every(shop.house.desk, who)],
        )


def noted(handing: Handing, who: str = LI) -> list[tuple[Any, ...]]:
    """Of each of her visits at the successor: why it may only be stored, and what became of it."""
    return handing.theirs(
        "SELECT v.id, i.restricted, i.fate, i.request FROM quietus_handover.item AS i JOIN u.visit AS v ON v.id::text = i.key[1]"
        f" WHERE i.dataset = 'u.visit' AND i.notice IS NULL AND v.account_id = '{who}' ORDER BY 1"
    )


def words(handing: Handing, who: str = LI) -> set[tuple[str | None, str | None]]:
    return {(word, fate) for _, word, fate, _ in noted(handing, who)}


def clocks(handing: Handing) -> set[str]:
    return {str(c) for c in handing.theirs("SELECT dataset, key, due, by FROM quietus_handover.clock")}


def test_what_a_statute_keeps_goes_restricted_and_the_rest_goes(gone: Handing) -> None:
    before, ran = gone.stopped.look(), clocks(gone)
    assert objects(gone.stopped) == 1
    assert gone.amend(OVER).made == [], "of what went here no notice is made"
    made = gone.ask(OVER)
    assert made.made and {r.said.format for r in gone.requests()} == {OBJECTION}
    assert len(hers(gone)) == 3, "four of seven are past their five years: no law keeps them"
    assert words(gone) == {("objection", None)}, "as if they had come so"
    assert {w for who in (WANG,) for w in words(gone, who)} == {(None, None)}, "nobody else's are touched"
    assert len(ran - clocks(gone)) == 4 and clocks(gone) < ran, "no clock is another by it"
    with gone.stopped.house.desk.book() as conn:
        stand = requests.stand(conn, gone.number, OVER)
        (said,) = [e["detail"] for e in orders.history(conn, gone.number) if e["what"] == passing_on.ASKED]
    assert (stand.asked, stand.deleted, stand.kept, stand.objections) == (7, 4, 3, stand.made)
    assert said["people"] == 1 and said["objections"] == said["requests"]
    assert [b["objection"] for k, b, _ in gone.stopped.house.ledger if k == "handover.request"] == [
        True
    ] * stand.made
    receipts = signed_anew(gone)
    assert sum(len(r.asked) for r in receipts) == 4 and all(r.differences.none for r in receipts)
    lines = [next(x for x in of.lines if x.dataset == "u.visit") for of in (before, gone.stopped.look())]
    assert lines[0] == lines[1] and lines[1].transferred == 60, "it was transferred, and stays so"
    assert LI not in str(gone.stopped.house.ledger)


def test_once_is_once(gone: Handing) -> None:
    assert objects(gone.stopped) == objects(gone.stopped) == 1
    assert gone.ask().made and gone.ask().made == []
    assert objects(gone.stopped) == 1 and gone.ask().made == []
    assert words(gone) == {("objection", None)} and len(hers(gone)) == 7, "a statute keeps all of it yet"


def test_who_asks_for_deletion_after_that_asks_for_more(gone: Handing) -> None:
    objects(gone.stopped)
    gone.ask(OVER)
    leave(gone, OVER)
    assert gone.ask(OVER).made
    assert sum(len(r.said.asked) for r in gone.requests() if not r.said.objects) == 3, (
        "the rest is gone already"
    )
    assert words(gone) == {("objection", "kept")}, (
        "restricted since she objected; it goes the day after the statute"
    )
    assert gone.ask(OVER).made == [] and all(r.differences.none for r in signed_anew(gone))


def test_who_asked_for_deletion_and_then_objects_asked_for_it_already(gone: Handing) -> None:
    leave(gone, OVER)
    gone.ask(OVER)
    asked = len(gone.requests())
    objects(gone.stopped, as_of=OVER)
    assert gone.ask(OVER).made == [] and len(gone.requests()) == asked
    assert words(gone) == {("request", "kept")}


def test_both_at_once_are_one_request_for_deletion(gone: Handing) -> None:
    objects(gone.stopped)
    leave(gone, OVER)
    assert gone.ask(OVER).made and not any(r.said.objects for r in gone.requests())


def test_who_objected_before_our_copy_went_is_told_by_a_notice_and_asked_for_by_nobody(
    handing: Handing,
) -> None:
    handing.pack()
    handing.hand_over()
    objects(handing.stopped)
    with pytest.raises(Refused, match="no bag may be deleted"):  # each has something of hers
        clearing.run(handing.stopped.house.desk, handing.number, **ON)
    handing.tell()
    clearing.run(handing.stopped.house.desk, handing.number, **ON)
    assert visits(handing) == 0 and handing.ask().made == []
    assert words(handing) == {("objection", None)}


@pytest.mark.parametrize("point", ["requests.made", "requests.signed", "requests.put", "requests.before_commit",
                                   "requests.followed", "requests.receipted"])  # fmt: skip
def test_killed_anywhere_it_is_said_and_followed_once(gone: Handing, point: str) -> None:
    objects(gone.stopped)
    assert killed_at(point, lambda at: replace_at(gone, at).ask(OVER)), f"{point} was never reached"
    gone.ask(OVER)
    assert len(hers(gone)) == 3 and words(gone) == {("objection", None)}
    assert all(r.answered and r.said.request == 1 for r in gone.requests())


@pytest.mark.parametrize(
    ("point", "by"), [("bags.begun", "notice"), ("bags.planned", "notice"), ("clearing.after_commit", "request"),
                      ("bags.disposed", "request"), ("bags.proved", "request")],
)  # fmt: skip
def test_while_our_copy_goes_it_is_heard_by_what_becomes_of_that(
    handing: Handing, point: str, by: str
) -> None:
    """As long as nothing went the case gives its bags up; once something went it comes to its end, and the successor is asked."""
    handing.pack()
    handing.hand_over()
    desk = handing.stopped.house.desk
    assert killed_at(point, lambda at: clearing.run(desk, handing.number, **ON, at=at)), (
        f"{point} was never reached"
    )
    objects(handing.stopped)
    for _ in range(3):  # as the DAGs do, until nothing more may go
        handing.ask()
        try:
            clearing.run(desk, handing.number, **ON)
        except Refused:
            handing.tell()
    handing.ask()
    assert visits(handing) == 0 and words(handing) == {("objection", None)}
    assert bool(handing.requests()) is (by == "request") and bool(handing.notices()) is (by == "notice")
    (it,) = [x for x in handing.stopped.look().lines if x.dataset == "u.visit"]
    assert (it.transferred, it.pending, it.balances) == (60, 0, True) and len(hers(handing)) == 7
    assert all(r.differences.none for r in signed_anew(handing))


def test_what_is_left_here_of_a_bag_that_went_is_as_it_was_packed(stopped: Stopped) -> None:
    """Its successor differs, and it is set aside half-way; its rest goes later all the same."""
    bags, _ = half_gone(stopped)
    differs(stopped, bags[-1])
    with pytest.raises(NotProved, match=f"something is left of {bags[-1].name}"):
        go(stopped)
    ((who,),) = company(stopped.house, "SELECT min(account_id) FROM u.visit")
    objects(stopped, str(who))
    stopped.answer(bags[-1])
    assert go(stopped).bags == (bags[-1].name,) and line(stopped).balances
    owns(stopped, str(who), bags[-1].name)
    with stopped.house.desk.book() as conn:
        found = list(passing_on.wanting(stopped.house.desk, conn, stopped.number, {}))
    assert [(w.bag.name, len(w.objected)) for w in found if w.items] == [(bags[-1].name, 1)], (
        "and she is passed on"
    )


def test_whose_account_is_gone_here_may_object_too(gone: Handing) -> None:
    without_account(gone)
    with pytest.raises(Refused, match="no such account, or nothing of it went"):
        objects(gone.stopped, "acct_0000000000zz")
    assert objects(gone.stopped) == 1 and gone.ask(OVER).made
    assert words(gone) == {("objection", None)} and len(hers(gone)) == 3
    assert take(gone) and gone.ask(OVER).made, "and ask for more afterwards"
    assert words(gone) == {("objection", "kept")}


def test_whose_account_goes_before_our_copy_does_is_heard_once_that_went(handing: Handing) -> None:
    """No notice knows her, and packing did not: else she is told that she objected, and nobody ever hears of it."""
    handing.pack()
    handing.hand_over()
    parted(handing)
    assert objects(handing.stopped) == 1
    assert handing.amend().made == [] and handing.ask().made == [], (
        "while our copy is here nobody can say whose it is"
    )
    clearing.run(handing.stopped.house.desk, handing.number, **ON)
    assert visits(handing) == 0
    with handing.stopped.house.desk.book() as conn:
        assert unpassed.unpassed(handing.stopped.house.desk, conn, handing.number).items == 7
    assert handing.ask().made and {r.said.format for r in handing.requests()} == {OBJECTION}
    assert words(handing) == {("objection", None)} and len(hers(handing)) == 7
    assert words(handing, WANG) == {(None, None)}, "nobody else's are touched"
    assert handing.ask().made == [] and objects(handing.stopped) == 1 and handing.ask().made == []


def test_who_objects_again_without_her_account_is_heard_once_our_copy_went(handing: Handing) -> None:
    """Her account went before the notice was made that would have told of her."""
    handing.pack()
    handing.hand_over()
    assert objects(handing.stopped) == 1
    parted(handing)
    assert objects(handing.stopped) == objects(handing.stopped) == 1
    with handing.stopped.house.desk.book() as conn:
        said = [e["detail"] for e in orders.history(conn, handing.number) if e["what"] == objecting.OBJECTED]
    assert [d.get(objecting.GONE, False) for d in said] == [False, True], "it is said once"
    clearing.run(handing.stopped.house.desk, handing.number, **ON)
    assert handing.ask().made and words(handing) == {("objection", None)}


def parted(handing: Handing) -> None:
    """Her account goes, and what was handed over is here still."""
    for table in ("u.visit", "u.click"):
        names = company(
            handing.stopped.house,
            f"SELECT conname FROM pg_constraint WHERE conrelid = '{table}'::regclass"
            " AND confrelid = 'a.account'::regclass",
        )
        for (found,) in names:
            company(handing.stopped.house, f"ALTER TABLE {table} DROP CONSTRAINT {found}")
    without_account(handing)


def test_it_is_known_under_every_key_that_bags_were_packed_under(handing: Handing) -> None:
    handing.pack()
    desk = handing.stopped.house.desk
    desk.keys.make(Purpose.SUBJECT_TOKEN.value, "case book", Purpose.SUBJECT_TOKEN)
    handing.hand_over()
    clearing.run(desk, handing.number, **ON)
    objects(handing.stopped)
    without_account(handing)
    handing.ask(OVER)
    assert words(handing) == {("objection", None)} and {r.said.people for r in handing.requests()} == {1}


def test_it_is_taken_until_nothing_is_passed_on_any_more_and_then_told_where_to_go(gone: Handing) -> None:
    desk = gone.stopped.house.desk
    with desk.book() as conn:
        conn.execute("UPDATE casebook.shutdown_order SET ended_on = %s WHERE number = %s", (T0, gone.number))
        conn.commit()
    objects(gone.stopped, as_of=OVER)
    with desk.book() as conn:
        assert unpassed.unpassed(desk, conn, gone.number).items == 7
        with pytest.raises(Refused, match="not asked for yet"):
            unpassed.none_open(desk, conn, gone.number)
    gone.ask(OVER)
    assert words(gone) == {("objection", None)}, "also after its end"
    with desk.book() as conn:
        unpassed.none_open(desk, conn, gone.number)
        tokens = who_asked.held(conn, gone.number)
        orders.say(desk, conn, gone.number, whereabouts.LAST_DAY, OVER, "ops/wu", {})
        assert who_asked.forget(conn, gone.number) == tokens and who_asked.held(conn, gone.number) == 0
        assert not who_asked.left(conn)
        conn.commit()
    with pytest.raises(Refused, match="nothing is passed on any more") as said:
        objects(gone.stopped, WANG)
    assert "turns to Example CA Co itself" in said.value.next_step


def test_what_stays_with_who_withdrew_is_objected_to_there(stopped: Stopped, tmp_path: Path) -> None:
    before = {str(who) for (who,) in company(stopped.house, "SELECT DISTINCT account_id FROM u.visit")}
    two_went(stopped)
    withdrew(stopped)
    done = left(stopped)
    assert done is not None
    after = {str(who) for (who,) in company(stopped.house, "SELECT DISTINCT account_id FROM u.visit")}
    assert before == after and LI in before
    owns(stopped, LI, *done.left)  # as if all of hers had gone to it
    company(stopped.house, f"DELETE FROM u.visit WHERE account_id = '{LI}'")
    assert objects(stopped, WANG) == 1, "of hers something is packed anew"
    other_takes_over(stopped, tmp_path)
    stopped.pack()
    with pytest.raises(Refused, match="no request of ours reaches it") as said:
        objects(stopped)
    assert OFFICE in said.value.next_step


def heard(gone: Handing) -> Heeded:
    return heed(gone.inbox, gone.custody, gone.stopped.theirs, gone.number, as_of=OVER)


def test_a_successor_that_does_not_know_the_word_yet_changes_nothing(
    gone: Handing, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects(gone.stopped)
    leave(gone, OVER, WANG)
    passing_on.ask(gone.stopped.house.desk, gone.stopped.consignment, gone.ours, as_of=OVER, actor="ops/wu")
    passing_on.send(gone.way, gone.stopped.consignment)
    with monkeypatch.context() as older:
        older.setattr(heeding, "FORMS", (REQUEST,))
        done = heard(gone)
    assert done.refused.keys() == {r.name for r in gone.requests() if r.said.objects}
    assert all("it is no quietus-bag-request/1" in why for why in done.refused.values())
    assert words(gone) == {(None, None)} and len(hers(gone)) == 7 and len(hers(gone, WANG)) == 4, (
        "the others are followed"
    )
    assert not heard(gone).refused and words(gone) == {("objection", None)}, "once it does"


def test_forged_or_exchanged_it_is_refused_and_nothing_changes(gone: Handing) -> None:
    objects(gone.stopped)
    passing_on.ask(gone.stopped.house.desk, gone.stopped.consignment, gone.ours, as_of=OVER, actor="ops/wu")
    passing_on.send(gone.way, gone.stopped.consignment)
    one = gone.requests()[0]

    def read(key: str) -> bytes:
        return bytes(gone.client.get_object(Bucket=INBOX, Key=key)["Body"].read())

    def put(data: bytes) -> None:
        gone.client.put_object(Bucket=INBOX, Key=request_key(gone.number, one.name), Body=data)

    right = read(request_key(gone.number, one.name))
    stranger, another = (Attesting(gone.stopped.home / name, name) for name in ("stranger", "another"))
    put(stranger(one.payload))
    assert "signature is not by the key" in heard(gone).refused[one.name]
    put(right.replace(b"bag-objection+json", b"bag-request+json"))  # as if she asked for deletion
    assert "signature is not by the key" in heard(gone).refused[one.name]
    put(b"{}")
    assert "damaged, or no signed file" in heard(gone).refused[one.name]
    put(right)
    (answer,) = [r for r in heard(gone).receipts if r.bag == one.said.bag]
    silent = answer.model_copy(update={"kept": answer.kept[1:]} if answer.kept else {"deleted": 0})
    with pytest.raises(Refused, match="does not say of each item"):
        gone.verify_request(one.name, gone.stopped.theirs(silent.canonical()))
    with pytest.raises(LedgerError, match="key that was agreed"):
        gone.verify_request(one.name, another(answer.canonical()))
    with pytest.raises(BooksDoNotBalance, match="another root"):
        gone.verify_request(
            one.name, gone.stopped.theirs(answer.model_copy(update={"root": "0" * 64}).canonical())
        )
    assert one.name in gone.waiting()
    gone.verify_request(one.name, read(request_receipt_key(gone.number, one.name)))
    assert one.name not in gone.waiting()


def test_what_a_hold_there_keeps_is_due_with_its_end(gone: Handing) -> None:
    """No law keeps it: it was to go, and goes as soon as the hold is over. What a statute keeps beside goes by its clock."""
    gone.their_holds = lambda: hold(LI)
    objects(gone.stopped)
    gone.ask(OVER)
    assert words(gone) == {("objection", "kept"), ("objection", None)} and len(hers(gone)) == 7
    whys = gone.theirs("SELECT DISTINCT why FROM quietus_handover.item WHERE fate = 'kept'")
    assert whys == [(HOLD,)]


def test_what_our_own_hold_covers_is_passed_on_once_it_is_released(gone: Handing) -> None:
    desk = gone.stopped.house.desk
    ours = verbs.open_hold(
        desk, basis="court", document_no="7", issuing_body="court", law="law", as_of=T0, actor="legal/zhao",
        account_ids=frozenset({LI}), datasets=frozenset({"u.visit"}),
    )  # fmt: skip
    objects(gone.stopped)
    assert gone.ask().made == []
    with desk.book() as conn, pytest.raises(Refused, match="which an open hold covers"):
        unpassed.none_open(desk, conn, gone.number)
    verbs.release_hold(desk, ours, document="8", as_of=T0, actor="legal/zhao")
    assert gone.ask().made and words(gone) == {("objection", None)}


def test_an_estate_that_was_restored_since_follows_it_again(gone: Handing) -> None:
    objects(gone.stopped)
    leave(gone, OVER, WANG)
    gone.ask(OVER)
    assert len(hers(gone)) == 3 and len(hers(gone, WANG)) == 4
    mine = gone.theirs("SELECT id FROM u.visit ORDER BY 1")
    gone.theirs(
        "DELETE FROM quietus_handover.request"
    )  # as it was before: what came, and nothing of what was asked
    gone.theirs(
        "SET session_replication_role = replica; INSERT INTO u.visit SELECT key[1]::int FROM quietus_handover.item"
        " WHERE fate = 'deleted' AND dataset = 'u.visit'"
    )
    gone.theirs(
        "UPDATE quietus_handover.item SET request = NULL, fate = NULL, restricted = NULL, why = NULL, until = NULL"
    )
    assert not heard(gone).refused
    assert gone.theirs("SELECT id FROM u.visit ORDER BY 1") == mine and words(gone) == {("objection", None)}


def test_an_item_of_several_is_passed_on_once_none_is_left_who_said_nothing(
    gone: Handing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it would have been packed: restricted, once all of its owners object; and one who asks for deletion wants no less."""
    monkeypatch.setattr(passing_on, "alone", lambda *_: False)
    desk = gone.stopped.house.desk
    with desk.book() as conn, conn.transaction():
        (bag, *_) = whose_bags(gone)
        (shared,) = conn.execute(
            "SELECT substr(leaves, 1, 32) AS leaf FROM casebook.handover_owner WHERE token = %s AND bag = %s",
            (token(gone, LI), bag),
        ).fetchall()
        conn.execute(
            "INSERT INTO casebook.handover_owner AS o (order_no, bag, token, leaves) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (order_no, bag, token) DO UPDATE SET leaves = o.leaves || EXCLUDED.leaves",
            (gone.number, bag, token(gone, WANG), shared["leaf"]),
        )
    leaf = bytes(shared["leaf"])

    def passed_on() -> tuple[bool, bool]:
        with desk.book() as conn:
            found = list(passing_on.wanting(desk, conn, gone.number, {}))
        return any(leaf in w.objected for w in found), any(leaf in w.fresh for w in found)

    objects(gone.stopped)
    assert passed_on() == (False, False), "the other said nothing"
    objects(gone.stopped, WANG)
    assert passed_on() == (True, False)
    leave(gone, OVER, WANG)
    assert passed_on() == (True, False), "one asks for deletion, and the other does not"
    leave(gone, OVER)
    assert passed_on() == (False, True)


def token(handing: Handing, who: str) -> bytes:
    (found,) = asking.every(handing.stopped.house.desk, who)
    return found


def whose_bags(handing: Handing) -> list[str]:
    with handing.stopped.house.desk.book() as conn:
        rows = conn.execute(
            "SELECT bag FROM casebook.handover_owner WHERE token = %s AND bag LIKE 'u.visit%%' ORDER BY 1",
            (token(handing, LI),),
        ).fetchall()
        return [str(r["bag"]) for r in rows]


def test_the_list_says_what_is_asked(gone: Handing, monkeypatch: pytest.MonkeyPatch) -> None:
    objects(gone.stopped)
    leave(gone, OVER, WANG)
    gone.ask(OVER)
    monkeypatch.setattr(common, "today", lambda: OVER)
    monkeypatch.setattr(common, "reader", gone.stopped.house.desk.book)
    shown = CliRunner().invoke(command.app, ["list", gone.number], catch_exceptions=False)
    assert shown.exit_code == 0 and "objection" in shown.output and "deletion" in shown.output
