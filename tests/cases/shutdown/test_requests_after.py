"""Who asks once our copy of her bags went: the successor, who alone has it, is asked by a signed request, and answers."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from quietus_console import following_up, work
from typer.testing import CliRunner

from include.cases import sealing, subjects
from include.cases.accounts import CatalogueAccounts
from include.cases.keys import Purpose
from include.cases.rooms import Desk
from include.cases.shutdown import orders, whereabouts, who_asked
from include.commands import _common as common
from include.commands import _handover_requests as command
from include.handover import asking, clearing, heard, passing_on, requests, stages, whose
from include.handover.heeding import heed
from include.handover.recounting import count_again
from include.handover.sending import request_key, request_receipt_key
from include.ledger import verify
from include.model.errors import BooksDoNotBalance, LedgerError, Refused
from include.model.handover import BagReceipt
from include.model.words import Channel
from tests.cases.restoring import killed_at
from tests.cases.shutdown.handing import INBOX, Handing
from tests.cases.shutdown.test_books import stopped, why
from tests.cases.shutdown.test_closing import T0, company, gatekeeper
from tests.cases.shutdown.test_notices_follow import (
    LI,
    OVER,
    Connected,
    handing,
    leave,
    objects,
    replace_at,
    visits,
)
from tests.handover.both import Attesting

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "handing", "stopped"]  # fixtures

WANG = "acct_000000000003"
CHECKED: dict[str, Any] = {
    "channel": Channel.LETTER,
    "method": "signed_with_certificate",
    "fields": ("PI-001",),
}


@pytest.fixture
def gone(handing: Handing) -> Handing:
    """Everything was handed over, and our copy of it is gone."""
    handing.pack()
    handing.hand_over()
    clearing.run(handing.stopped.house.desk, handing.number, as_of=T0, actor="ops/wu")
    assert visits(handing) == 0
    return handing


def hers(handing: Handing, who: str = LI) -> list[tuple[Any, ...]]:
    return handing.theirs(f"SELECT id FROM u.visit WHERE account_id = '{who}' ORDER BY id")


def signed_anew(handing: Handing) -> list[BagReceipt]:
    """The successor counts every bag again; what it signs is believed."""
    handing.hand_over()
    with handing.stopped.house.desk.book() as conn:
        return [r for said in heard.receipts(conn, handing.number).values() for r in said[-1:]]


def test_a_case_after_our_copy_went_is_passed_on_and_followed(gone: Handing) -> None:
    before = gone.stopped.look()
    assert len(hers(gone)) == 7
    leave(gone, OVER)
    assert gone.amend(OVER).made == [], "of what went here no notice is made"
    made = gone.ask(OVER)
    assert made.made and not made.left
    assert len(hers(gone)) == 3, "four of seven are past their five years with the successor, too"
    assert gone.theirs("SELECT count(*) FROM u.visit") == [(56,)], "and nobody else's is touched"
    kept = gone.theirs(
        "SELECT key[1]::int, why, running.restricted FROM quietus_handover.item JOIN quietus_handover.running"
        " USING (order_no, bag, no, dataset, key) WHERE request IS NOT NULL AND fate = 'kept' ORDER BY 1"
    )
    assert [k for k, *_ in kept] == [k for (k,) in hers(gone)]
    assert {(w, r) for _, w, r in kept} == {("RS-03/main: ESL 24", "request")}
    with gone.stopped.house.desk.book() as conn:
        stand = requests.stand(conn, gone.number, OVER)
        assert "将转告该公司" in whereabouts.sentence(conn)
    assert (stand.asked, stand.deleted, stand.kept, stand.late) == (
        7,
        4,
        3,
        0,
    ) and stand.answered == stand.made
    assert gone.ask(OVER).made == [], "nobody is asked twice"
    said = signed_anew(gone)
    assert sum(len(r.asked) for r in said) == 4 and all(r.differences.none for r in said)
    after = gone.stopped.look()
    lines = [next(x for x in of.lines if x.dataset == "u.visit") for of in (before, after)]
    assert lines[0] == lines[1] and lines[1].transferred == 60, "it was transferred, and stays so"
    kinds = {k for k, *_ in gone.stopped.house.ledger}
    assert {"shutdown"} <= kinds and LI not in str(gone.stopped.house.ledger)
    with gone.stopped.house.desk.book() as conn:
        named = [e for e in orders.history(conn, gone.number) if e["what"] == "requests passed on"]
    assert [e["detail"]["people"] for e in named] == [1]


def test_a_case_before_our_copy_went_is_told_by_notices_and_asked_for_by_nobody(handing: Handing) -> None:
    handing.pack()
    handing.hand_over()
    leave(handing)
    handing.tell()
    clearing.run(handing.stopped.house.desk, handing.number, as_of=T0, actor="ops/wu")
    assert handing.ask().made == [] and len(hers(handing)) == 7
    leave(handing, who=WANG)
    assert sum(len(r.said.asked) for r in handing.requests()) == 0
    assert handing.ask().made and {x for r in handing.requests() for x in r.said.asked}
    assert sum(len(r.said.asked) for r in handing.requests()) == 7, "of the other alone"


def test_whose_a_row_is_that_a_notice_brought_is_known_too(handing: Handing) -> None:
    """Her rows went as others: an objection changed their clocks. Then she leaves."""
    handing.pack()
    handing.hand_over()
    objects(handing)
    handing.tell()
    clearing.run(handing.stopped.house.desk, handing.number, as_of=T0, actor="ops/wu")
    leave(handing, OVER)
    handing.ask(OVER)
    assert len(hers(handing)) == 3


def accounts(handing: Handing) -> Desk:
    desk = handing.stopped.house.desk
    return replace(desk, accounts=CatalogueAccounts(desk.catalogue, handing.stopped.house))


def take(handing: Handing, *who: str, **more: Any) -> int:
    return asking.take(
        accounts(handing), handing.number, who or (LI,), as_of=OVER, actor="support/li", **(CHECKED | more)
    )


def without_account(handing: Handing, who: str = LI) -> None:
    for text in (f"DELETE FROM u.click WHERE account_id = '{who}'",
                 f"DELETE FROM s.note WHERE ticket_id IN (SELECT id FROM s.ticket WHERE account_id = '{who}')",
                 f"DELETE FROM s.ticket WHERE account_id = '{who}'", f"DELETE FROM a.account WHERE id = '{who}'"):  # fmt: skip
        company(handing.stopped.house, text)


def test_who_has_no_account_here_any_more_is_heard_too(gone: Handing) -> None:
    with pytest.raises(Refused, match="the account is here still"):
        take(gone)
    without_account(gone)
    with pytest.raises(Refused, match="nothing of it went to the successor"):
        take(gone, "acct_0000000000zz")
    with pytest.raises(Refused, match="nobody knows who asks"):
        take(gone, fields=())
    with pytest.raises(Refused, match="no known method"):
        take(gone, method="a hunch")
    first = take(gone)
    assert take(gone) == first, "once"
    with pytest.raises(Refused, match="the account is here still"):
        take(gone, LI, WANG)
    without_account(gone, WANG)
    with pytest.raises(Refused, match="nothing of it went to the successor"):
        take(gone, WANG, "acct_0000000000zz")
    both = take(gone, LI, WANG)
    assert both != first and both == take(gone, WANG), "what she did not name before is a request of its own"
    assert gone.ask(OVER).made and len(hers(gone)) == 3 and len(hers(gone, WANG)) == 4
    assert LI not in str(gone.stopped.house.ledger)


def test_whose_account_goes_before_our_copy_does_is_asked_for_once_that_went(handing: Handing) -> None:
    handing.pack()
    handing.hand_over()
    for (name,) in company(
        handing.stopped.house,
        "SELECT conname FROM pg_constraint WHERE conrelid = 'u.visit'::regclass AND confrelid = 'a.account'::regclass",
    ):
        company(handing.stopped.house, f"ALTER TABLE u.visit DROP CONSTRAINT {name}")
    without_account(handing)
    assert take(handing) == 1
    assert handing.amend(OVER).made == [] and handing.ask(OVER).made == []
    clearing.run(handing.stopped.house.desk, handing.number, as_of=T0, actor="ops/wu")
    assert visits(handing) == 0 and handing.ask(OVER).made
    assert len(hers(handing)) == 3 and len(hers(handing, WANG)) == 7, "hers that no law keeps are gone"
    assert handing.ask(OVER).made == []


class Stop(Exception):
    """A run of packing that ends."""


@pytest.fixture
def two_keys(handing: Handing) -> Handing:
    """Packed by two runs, and in between the key was succeeded by which tokens are made; our copy is gone."""
    made = 0

    def after_three(point: str) -> None:
        nonlocal made
        made += point == "handover.packed"
        if made == 3:
            raise Stop

    with pytest.raises(Stop):
        replace_at(handing, after_three).pack()
    desk = handing.stopped.house.desk
    desk.keys.make(Purpose.SUBJECT_TOKEN.value, "case book", Purpose.SUBJECT_TOKEN)
    handing.pack()
    handing.hand_over()
    clearing.run(desk, handing.number, as_of=T0, actor="ops/wu")
    with desk.book() as conn:
        under = [whose.bags_of(conn, handing.number, [t]) for t in every(desk)]
    assert len(under) == 2 and all(under), "her items are known by two tokens"
    return handing


def every(desk: Desk, who: str = LI) -> list[bytes]:
    return list(sealing.digests(desk.keys, Purpose.SUBJECT_TOKEN, subjects.KIND, who).values())


@pytest.mark.parametrize("how", ["case", "taken", "taken again"])
def test_who_asks_is_known_under_every_key_that_bags_were_packed_under(two_keys: Handing, how: str) -> None:
    desk = two_keys.stopped.house.desk
    if how == "case":
        leave(two_keys, OVER)
    else:
        without_account(two_keys)
        if how == "taken again":  # as it was taken before there were several tokens of a request
            with desk.book() as conn, conn.transaction():
                conn.execute(
                    "WITH r AS (INSERT INTO casebook.shutdown_request (number, asked_on, channel, method, fields, recorded_by)"
                    " VALUES (%(n)s, %(on)s, 'letter', 'x', '{PI-001}', 'support/li') RETURNING request) INSERT INTO"
                    " casebook.shutdown_request_token (number, token, request) SELECT %(n)s, %(t)s, request FROM r",
                    {"n": two_keys.number, "on": OVER, "t": every(desk)[0]},
                )
            asked = {x for w in wanted(two_keys) for x in w.fresh}
            assert 0 < len(asked) < 7
        assert take(two_keys) == 1
    assert sum(len(w.fresh) for w in wanted(two_keys)) == 7
    two_keys.ask(OVER)
    assert len(hers(two_keys)) == 3 and {r.said.people for r in two_keys.requests()} == {1}


def wanted(handing: Handing) -> list[passing_on.Wanted]:
    desk = handing.stopped.house.desk
    with desk.book() as conn:
        return list(passing_on.wanting(desk, conn, handing.number, {}))


def test_the_last_word_is_taken_until_the_ledger_is_handed_over(gone: Handing) -> None:
    desk = gone.stopped.house.desk
    with desk.book() as conn:
        conn.execute("UPDATE casebook.shutdown_order SET ended_on = %s WHERE number = %s", (T0, gone.number))
        conn.commit()
    leave(gone, OVER)
    assert gone.ask(OVER).made and len(hers(gone)) == 3, "also after its end"
    with desk.book() as conn:
        orders.say(desk, conn, gone.number, whereabouts.HANDED, OVER, "ops/wu", {})
        assert who_asked.forget(conn, gone.number) > 0
        conn.commit()
    with pytest.raises(Refused, match="nothing is passed on any more"):
        gone.ask(OVER)
    with desk.book() as conn:
        assert "如有请求，请向其提出" in whereabouts.sentence(conn)


@pytest.mark.parametrize("point", ["requests.made", "requests.signed", "requests.put", "requests.before_commit",
                                   "requests.followed", "requests.receipted"])  # fmt: skip
def test_killed_anywhere_it_is_asked_and_followed_once(gone: Handing, point: str) -> None:
    leave(gone, OVER)
    assert killed_at(point, lambda at: replace_at(gone, at).ask(OVER)), f"{point} was never reached"
    gone.ask(OVER)
    assert len(hers(gone)) == 3 and all(r.answered and r.said.request == 1 for r in gone.requests())
    assert gone.theirs("SELECT count(*) FROM u.visit") == [(56,)]


def test_forged_or_exchanged_requests_are_refused_and_nothing_changes(gone: Handing) -> None:
    leave(gone, OVER)
    passing_on.ask(gone.stopped.house.desk, gone.stopped.consignment, gone.ours, as_of=OVER, actor="ops/wu")
    passing_on.send(gone.way, gone.stopped.consignment)
    one, two, *_ = gone.waiting()
    client = gone.client

    def read(key: str) -> bytes:
        return bytes(client.get_object(Bucket=INBOX, Key=key)["Body"].read())

    def put(key: str, data: bytes) -> None:
        client.put_object(Bucket=INBOX, Key=key, Body=data)

    first, second = (read(request_key(gone.number, n)) for n in (one, two))
    stranger = Attesting(gone.stopped.home / "stranger", "stranger")
    forged = gone.requests()[0].said.model_copy(update={"people": 2})
    put(request_key(gone.number, one), stranger(forged.canonical()))
    put(request_key(gone.number, two), first)
    refused = heed(gone.inbox, gone.custody, gone.stopped.theirs, gone.number, as_of=OVER).refused
    assert "signature is not by the key" in refused[one] and "another bag" in refused[two]
    put(request_key(gone.number, one), first), put(request_key(gone.number, two), second)
    answers = {
        r.bag: r
        for r in heed(gone.inbox, gone.custody, gone.stopped.theirs, gone.number, as_of=OVER).receipts
    }
    mine = read(request_receipt_key(gone.number, one))
    with pytest.raises(Refused, match="about another request"):
        gone.verify_request(two, mine)
    said = answers[gone.requests()[0].said.bag]
    with pytest.raises(LedgerError, match="key that was agreed"):
        gone.verify_request(one, Attesting(gone.stopped.home / "another", "another")(said.canonical()))
    silent = said.model_copy(update={"deleted": said.deleted - 1 if said.deleted else 1})
    with pytest.raises(Refused, match="does not say of each item"):
        gone.verify_request(one, gone.stopped.theirs(silent.canonical()))
    loose = json.loads(said.canonical()) | {"deleted": str(said.deleted)}
    with pytest.raises(LedgerError, match="malformed"):
        gone.verify_request(one, gone.stopped.theirs(verify.canonical(loose)))
    wrong = said.model_copy(update={"root": "0" * 64})
    with pytest.raises(BooksDoNotBalance, match="another root"):
        gone.verify_request(one, gone.stopped.theirs(wrong.canonical()))
    assert one in gone.waiting()
    gone.verify_request(one)
    assert one not in gone.waiting()


def test_a_loss_is_not_excused_by_a_request_that_nobody_made(gone: Handing) -> None:
    """The successor notes an item as deleted at somebody's request, and signs."""
    gone.theirs(
        "UPDATE quietus_handover.item SET request = 1, fate = 'deleted' WHERE dataset = 'u.visit' AND key = '{1}'"
    )
    gone.theirs("DELETE FROM u.visit WHERE id = 1")
    with pytest.raises(BooksDoNotBalance, match="lacks 1 items"):
        gone.hand_over()
    assert any("1 missing" in w for w in why(gone.stopped.look(), "u.visit"))


def test_what_was_deleted_at_a_request_and_is_there_again_is_one_too_many(gone: Handing) -> None:
    leave(gone, OVER)
    gone.ask(OVER)
    gone.theirs("INSERT INTO u.visit SELECT key[1]::int FROM quietus_handover.item"
                " WHERE request IS NOT NULL AND fate = 'deleted' LIMIT 1")  # fmt: skip
    extra = [count_again(gone.custody, b.statement, b.payload)[0].differences.extra for b in gone.bags()]
    assert sum(map(len, extra)) == 1


def test_the_successor_answers_in_time_or_is_late(gone: Handing, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(gone, OVER)
    passing_on.ask(gone.stopped.house.desk, gone.stopped.consignment, gone.ours, as_of=OVER, actor="ops/wu")
    due = gone.requests()[0].said.answer_by
    assert (due - OVER).days >= 15
    with gone.stopped.house.desk.book() as conn:
        assert requests.stand(conn, gone.number, due).late == 0
        assert requests.stand(conn, gone.number, due.replace(year=due.year + 1)).late == len(gone.requests())


def test_by_itself_it_is_passed_on_every_morning_and_heard_the_next(
    gone: Handing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the DAG `handover_notices` does once our copy went, and what the command line shows of it."""
    day = [OVER]
    desk = replace(gone.stopped.house.desk, connections=Connected(gone))
    monkeypatch.setattr(stages, "SignerClient", lambda _: SimpleNamespace(attest=gone.ours))
    monkeypatch.setattr(following_up, "desk", lambda: desk)
    monkeypatch.setattr(following_up, "now", lambda: {"as_of": day[0], "actor": "system/airflow"})
    context = {"params": {}, "ti": SimpleNamespace(max_tries=0, try_number=1)}
    monkeypatch.setattr(work, "get_current_context", lambda: context)
    passing, hear, pass_on = (
        t.function for t in (following_up.passing, following_up.hear_requests, following_up.pass_on)
    )
    with pytest.raises(AirflowSkipException):
        passing()
    (stages.Handover.of(desk, gone.number).papers / stages.CONSIGNMENT).write_text(
        gone.stopped.consignment.model_dump_json(), "utf-8"
    )
    assert passing() == [gone.number]
    assert pass_on(gone.number) == f"{gone.number}: 0 requests made, 0 sent now"
    leave(gone, OVER)
    assert hear(gone.number).endswith(": 0 answered now, 0 are waited for")
    said = pass_on(gone.number)
    made = len(gone.requests())
    assert made and said == f"{gone.number}: {made} requests made, {made} sent now"
    assert hear(gone.number).endswith(f": 0 answered now, {made} are waited for")
    day[0] = gone.requests()[0].said.answer_by + timedelta(days=1)
    with pytest.raises(
        AirflowFailException, match=f"{made} requests are past the day on which an answer was due"
    ):
        hear(gone.number)
    monkeypatch.setattr(common, "today", lambda: day[0])
    monkeypatch.setattr(common, "reader", desk.book)
    shown = CliRunner().invoke(command.app, ["list", gone.number], catch_exceptions=False)
    assert shown.exit_code == 3 and f"0 of {made} answered, {made} late" in shown.output
    assert LI not in shown.output
    assert not heed(gone.inbox, gone.custody, gone.stopped.theirs, gone.number, as_of=OVER).refused
    assert hear(gone.number).endswith(f": {made} answered now, 0 are waited for")
    shown = CliRunner().invoke(command.app, ["list", gone.number], catch_exceptions=False)
    assert shown.exit_code == 0 and "4 items deleted there, 3 restricted" in shown.output


def test_of_a_bag_from_before_it_was_kept_whose_its_items_are_it_is_said(gone: Handing) -> None:
    leave(gone, OVER)
    with gone.stopped.house.desk.book() as conn:
        who_asked.forget(conn, gone.number)
        conn.commit()
    left = gone.ask(OVER).left
    assert left and all("on paper" in why for why in left.values()) and len(hers(gone)) == 7
