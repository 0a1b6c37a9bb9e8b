"""A person's case in the midst of a handover: the successor hears of it by a signed notice, and nothing is in neither place, or
after receipt in both. Real databases, a real bucket, real signatures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from quietus_console import following_up, work

from include.cases import verbs
from include.cases.accounts import CatalogueAccounts
from include.cases.certifying import SIGNER
from include.cases.retention.limits import binds
from include.cases.shutdown import objecting, whereabouts
from include.connections import SUCCESSOR_INBOX
from include.handover import clearing, notifying, proving, stages
from include.handover.clocks import Stays, clocks, stays
from include.handover.conservation import BagSeen, Entry, Place, line
from include.handover.recounting import count_again
from include.handover.sending import notice_key, notice_receipt_key, notice_sealed_key
from include.model.errors import BooksDoNotBalance, LedgerError, Refused
from include.model.handover import BagState
from include.model.retention import Clock
from include.model.words import Channel, Disposition, Role, Verdict
from tests.cases.resting import begun_unasked
from tests.cases.restoring import killed_at
from tests.cases.shutdown.conftest import SHOP
from tests.cases.shutdown.handing import INBOX, Handing, successor
from tests.cases.shutdown.test_books import Stopped, stopped, why
from tests.cases.shutdown.test_closing import INSERT, T0, company, gatekeeper
from tests.conftest import PgServer, S3Server
from tests.handover.both import Attesting

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "stopped"]  # fixtures

LI = "acct_000000000002"
OVER = date(2030, 12, 1)
"""By then the older half of the visits is past its five years."""


@pytest.fixture
def handing(stopped: Stopped, pg18: PgServer, moto: S3Server) -> Iterator[Handing]:
    database = successor(pg18, stopped.house.company.catalogue)
    yield Handing(stopped, pg18, moto, database)
    pg18.drop_database(database)


def leave(handing: Handing, as_of: date = T0, who: str = LI) -> str:
    """A person's own case, as far as the disposal."""
    on = {"as_of": as_of, "actor": "system/test"}
    deeds = (verbs.rehearse, verbs.restrict, verbs.settle_and_plan, verbs.dispose)
    return begun_unasked(handing.stopped.house.desk, [who], deeds, **on)


def visits(handing: Handing) -> int:
    return int(str(company(handing.stopped.house, "SELECT count(*) FROM u.visit")[0][0]))


def places(handing: Handing) -> set[Place]:
    return {b.place for b, _ in handing.stopped.look().bags if b.dataset == "u.visit"}


def restricted(handing: Handing) -> set[tuple[str, str | None]]:
    return {
        (str(who), word)
        for who, word in handing.theirs(
            "SELECT v.account_id, r.restricted FROM quietus_handover.running r JOIN u.visit v ON v.id::text = r.key[1]"
        )
    }


def test_a_case_before_packing_goes_restricted(handing: Handing) -> None:
    leave(handing)
    handing.pack()
    handing.hand_over()
    assert {w for who, w in restricted(handing) if who == LI} == {"case"}
    assert {w for who, w in restricted(handing) if who != LI} == {None}
    assert handing.amend().made == [] and places(handing) == {Place.WHOLE}


def test_a_case_after_packing_and_before_sending_is_told_once_the_bag_has_gone(handing: Handing) -> None:
    handing.pack()
    leave(handing)
    assert len(handing.amend().made) > 1 and handing.send_notices() == [], (
        "nobody follows a notice of what he does not have"
    )
    handing.hand_over()
    assert {w for _, w in restricted(handing)} == {None}
    handing.tell()
    assert {w for who, w in restricted(handing) if who == LI} == {"case"}
    assert places(handing) == {Place.WHOLE}
    clearing.run(handing.stopped.house.desk, handing.number, as_of=T0, actor="ops/wu")
    assert visits(handing) == 0 and handing.theirs("SELECT count(*) FROM u.visit") == [(60,)]


def test_a_case_after_receipt_is_followed_and_the_shutdown_goes_on_to_its_end(handing: Handing) -> None:
    handing.pack()
    handing.hand_over()
    leave(handing, OVER)
    left = visits(handing)
    assert left == 56, "four of seven are past their five years"
    assert Place.PART in places(handing)
    made = handing.amend(OVER)
    assert made.made and not made.left
    assert handing.amend(OVER).made == [], "nothing is told twice"
    waiting = handing.stopped.look()
    assert any("is not answered by the successor" in w for w in why(waiting, "u.visit"))
    handing.send_notices()
    followed = handing.follow(OVER)
    assert sum(r.deleted for r in followed.receipts) == 4 and not any(r.kept for r in followed.receipts)
    assert handing.theirs("SELECT count(*) FROM u.visit") == [(56,)]
    proof = proving.theirs(handing.inbox, handing.custody, lambda *_: None, handing.number)
    assert proof.verdict is Verdict.PASSED, (
        "what is stored is held against the last notice, not against the packing"
    )
    handing.verify_notices()
    found = handing.stopped.look()
    (line,) = [x for x in found.lines if x.dataset == "u.visit"]
    assert (line.located, line.deleted) == (60, 4)
    assert why(found, "u.visit") == ["waits: is in both places: received, and not deleted here yet"]
    clearing.run(handing.stopped.house.desk, handing.number, as_of=OVER, actor="ops/wu")
    (line,) = [x for x in handing.stopped.look().lines if x.dataset == "u.visit"]
    assert line.balances and (line.transferred, line.deleted, line.pending) == (56, 4, 0)
    said = json.dumps([b for k, b, _ in handing.stopped.house.ledger], default=str)
    assert LI not in said and "handover.notice" in {k for k, _, _ in handing.stopped.house.ledger}


def test_what_a_statute_keeps_with_the_successor_is_restricted_there(handing: Handing) -> None:
    """Its day is judged by whoever has it: here the successor follows three years too early."""
    handing.pack()
    handing.hand_over()
    leave(handing, OVER)
    handing.amend(OVER)
    handing.send_notices()
    followed = handing.follow(T0)
    kept = [k for r in followed.receipts for k in r.kept]
    assert len(kept) == 4 and {k.until for k in kept} == {date(2030, 10, 19)} and "ESL 24" in kept[0].why
    assert handing.theirs("SELECT count(*) FROM u.visit") == [(60,)]
    assert handing.theirs("SELECT count(*), min(until) FROM quietus_handover.item WHERE fate = 'kept'") == [
        (4, date(2030, 10, 19))
    ]
    assert handing.theirs("SELECT DISTINCT restricted FROM quietus_handover.item WHERE fate = 'kept'") == [
        ("notice",)
    ]
    went = "SELECT count(*), min(due), max(due) FROM quietus_handover.clock WHERE by = 'RS-28/main'"
    assert handing.theirs(went) == [(4, date(2030, 10, 20), date(2030, 10, 20))], "it goes as soon as it may"
    handing.verify_notices()
    assert places(handing) == {Place.WHOLE}


@pytest.mark.parametrize("point", ["notices.made", "notices.signed", "notices.put", "notices.before_commit",
                                   "notices.followed", "notices.receipted"])  # fmt: skip
def test_killed_anywhere_it_is_told_and_followed_once(handing: Handing, point: str) -> None:
    handing.pack()
    handing.hand_over()
    leave(handing, OVER)

    def all_of_it(at: object) -> None:
        other = replace_at(handing, at)
        other.tell(OVER)

    assert killed_at(point, all_of_it), f"{point} was never reached"
    handing.tell(OVER)
    assert handing.theirs("SELECT count(*) FROM u.visit") == [(56,)] and places(handing) == {Place.WHOLE}
    assert all(n.followed and n.said.notice == 1 for n in handing.notices())


def replace_at(handing: Handing, at: object) -> Handing:
    other = object.__new__(Handing)
    other.__dict__.update(handing.__dict__, at=at)
    return other


def test_a_row_that_was_replaced_then_deleted_and_is_there_again_is_one_too_many(handing: Handing) -> None:
    handing.pack()
    handing.hand_over()
    leave(handing)
    handing.tell()  # her rows are other lines now: those of before were replaced
    bag = next(b for b in handing.bags() if b.notices)

    def extra() -> int:
        return len(count_again(handing.custody, bag.statement, bag.payload)[0].differences.extra)

    assert extra() == 0
    mine = f"SELECT key FROM quietus_handover.item WHERE bag = '{bag.name}' AND fate = 'replaced' LIMIT 1"
    handing.theirs(
        "UPDATE quietus_handover.item SET notice = 2, fate = 'deleted'"
        f" WHERE bag = '{bag.name}' AND notice IS NULL AND key = ({mine})"
    )
    assert extra() == 1


def test_what_no_receipt_of_ours_explains_is_named_and_told_to_nobody(handing: Handing) -> None:
    handing.pack()
    handing.hand_over()
    company(handing.stopped.house, "DELETE FROM u.visit WHERE id = 1")
    out = handing.amend()
    assert out.made == [] and list(out.left.values()) == ["1 of its items are gone, and receipts explain 0"]
    company(handing.stopped.house, INSERT)
    out = handing.amend()
    assert out.made == [] and set(out.left.values()) == {
        "rows were written to it since T0 that no receipt of ours names: find out by whom"
    }
    assert handing.notices() == []


def test_forged_exchanged_or_cut_notices_are_refused_and_nothing_changes(handing: Handing) -> None:
    handing.pack()
    handing.hand_over()
    leave(handing, OVER)
    handing.amend(OVER)
    handing.send_notices()
    names = [n.name for n in handing.notices()]
    assert len(names) > 2
    client = handing.client

    def read(key: str) -> bytes:
        return bytes(client.get_object(Bucket=INBOX, Key=key)["Body"].read())

    def put(key: str, data: bytes) -> None:
        client.put_object(Bucket=INBOX, Key=key, Body=data)

    one, two, three = (notice_key(handing.number, n) for n in names[:3])
    first, second, third = read(one), read(two), read(three)
    forged = json.loads(first)
    forged["payload"] = json.loads(second)["payload"]
    put(one, json.dumps(forged).encode())  # signed, of another payload
    put(two, third)  # of another bag
    sealed = notice_sealed_key(handing.number, names[2])
    content = read(sealed)
    put(sealed, content[:-1] + bytes([content[-1] ^ 1]))
    before = handing.theirs("SELECT count(*), md5(string_agg(v::text, ',' ORDER BY id)) FROM u.visit v")
    for n in names[3:]:
        client.delete_object(Bucket=INBOX, Key=notice_key(handing.number, n))
    refused = handing.follow(OVER).refused
    assert set(refused) == set(names[:3])
    assert "signature is not by the key" in refused[names[0]] and "about another bag" in refused[names[1]]
    assert "not what was signed" in refused[names[2]]
    assert (
        handing.theirs("SELECT count(*), md5(string_agg(v::text, ',' ORDER BY id)) FROM u.visit v") == before
    )
    put(one, first), put(two, second), put(sealed, content)
    answers = {r.bag: r for r in handing.follow(OVER).receipts}
    assert len(answers) == 3
    # An answer of another key, to another notice, or with another root.
    mine = read(notice_receipt_key(handing.number, names[0]))
    with pytest.raises(Refused, match="about another notice"):
        handing.verify_notice(names[1], mine)
    with pytest.raises(LedgerError, match="key that was agreed"):
        stranger = Attesting(handing.stopped.home / "stranger", "stranger")
        handing.verify_notice(names[0], stranger(answers[handing.notices()[0].said.bag].canonical()))
    wrong = answers[handing.notices()[0].said.bag].model_copy(update={"root": "0" * 64})
    with pytest.raises(BooksDoNotBalance, match="another root"):
        handing.verify_notice(names[0], handing.stopped.theirs(wrong.canonical()))
    assert not handing.notices()[0].followed
    handing.verify_notice(names[0], mine)
    assert handing.notices()[0].followed


def objects(handing: Handing) -> None:
    desk = handing.stopped.house.desk
    desk = replace(desk, accounts=CatalogueAccounts(desk.catalogue, handing.stopped.house))
    asked = {"channel": Channel.APP, "method": "signed_in_session", "fields": ("PI-001",)}
    objecting.object_to(desk, handing.number, LI, as_of=T0, actor="support/li", **asked)  # type: ignore[arg-type]


def test_an_objectors_statutory_file_goes_all_the_same_and_restricted(handing: Handing) -> None:
    objects(handing)
    handing.pack()
    handing.hand_over()
    assert handing.theirs("SELECT count(*) FROM u.visit") == [(60,)], "an objection lifts no ESL 23, 24"
    assert {w for who, w in restricted(handing) if who == LI} == {"objection"}
    assert {w for who, w in restricted(handing) if who != LI} == {None}
    assert places(handing) == {Place.WHOLE} and handing.amend().made == []


def test_who_objects_after_packing_is_followed_by_a_notice(handing: Handing) -> None:
    handing.pack()
    handing.hand_over()
    objects(handing)
    made = handing.tell()
    assert made.made and not made.left
    assert {w for who, w in restricted(handing) if who == LI} == {"objection"}
    assert {w for who, w in restricted(handing) if who != LI} == {None}
    assert places(handing) == {Place.WHOLE} and handing.theirs("SELECT count(*) FROM u.visit") == [(60,)]
    with handing.stopped.house.desk.book() as conn:
        assert "已由Example CA Co" in whereabouts.sentence(conn), (
            "a person's certificate says who has her file"
        )


def test_what_only_a_hold_keeps_of_an_objector_does_not_go() -> None:
    of = tuple(binds(SHOP, SHOP.dataset("u.visit")))
    dataset = SHOP.dataset("u.visit")
    for day, held, objected, stay in (
        (date(2020, 1, 1), True, True, Stays.OBJECTED), (date(2020, 1, 1), True, False, None),
        (date(2020, 1, 1), False, True, Stays.DUE), (date(2025, 1, 1), True, True, None), (date(2025, 1, 1), False, True, None),
    ):  # fmt: skip
        started = (Clock(applies=True, day=day),)
        _, it = clocks(of, started)
        assert stays(SHOP, dataset, of, started, it, T0, held=held, objected=objected) is stay, (
            day,
            held,
            objected,
        )
    entry = Entry(
        "u.visit", {Disposition.TRANSFER: 5}, {Disposition.HOLD: 2}, {Disposition.ERASE: 3},
        (BagSeen("u.visit-00001", "u.visit", 3, BagState.RECEIVED, "r", "r", place=Place.GONE),), packed=True, objected=2,
    )  # fmt: skip
    told = line(entry, "Archive Co")
    assert told.balances and (told.transferred, told.retained, told.custodian) == (3, 2, "Archive Co")
    assert not line(replace(entry, objected=0), "Archive Co").balances


class Connected:
    """The house's connections, and those of a handover."""

    def __init__(self, handing: Handing) -> None:
        self.handing = handing

    def postgres(self, connection: str, role: Role) -> str:
        return self.handing.stopped.house.postgres(connection, role)

    def s3(self, connection: str, role: Role) -> object:
        assert role is Role.COURIER
        if connection != SUCCESSOR_INBOX:
            raise Refused("the connection is not declared", about=connection)
        return self.handing.client

    def text(self, name: str) -> str:
        mine = {"handover_bags": str(self.handing.stopped.home / "out"), "handover_sender": "Sandbox CA"}
        return {**mine, f"{SUCCESSOR_INBOX}_{Role.COURIER}": INBOX, SIGNER: "-"}[name]


def test_by_itself_it_is_told_every_morning_and_heard_the_next(
    handing: Handing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the DAG `handover_notices` does, with no order, with one, and with an answer that is somebody else's."""
    desk = replace(handing.stopped.house.desk, connections=Connected(handing))
    monkeypatch.setattr(stages, "SignerClient", lambda _: SimpleNamespace(attest=handing.ours))
    monkeypatch.setattr(following_up, "desk", lambda: desk)
    monkeypatch.setattr(following_up, "now", lambda: {"as_of": OVER, "actor": "system/airflow"})
    context = {"params": {}, "ti": SimpleNamespace(max_tries=0, try_number=1)}
    monkeypatch.setattr(work, "get_current_context", lambda: context)
    under_way, tell, hear = (
        t.function for t in (following_up.under_way, following_up.tell, following_up.hear)
    )
    with pytest.raises(AirflowSkipException):
        under_way()
    handing.pack()
    (stages.Handover.of(desk, handing.number).papers / stages.CONSIGNMENT).write_text(
        handing.stopped.consignment.model_dump_json(), "utf-8"
    )
    handing.hand_over()
    leave(handing, OVER)
    assert under_way() == handing.number
    assert hear(handing.number).endswith(": 0 followed now, 0 are waited for")
    told = tell(handing.number)
    made = len(handing.notices())
    assert made and told.endswith(f": {made} notices made, {made} sent now")
    assert hear(handing.number).endswith(f": 0 followed now, {made} are waited for")
    handing.follow(OVER)
    forged = handing.notices()[0].name
    answer = notifying.answer_of(handing.way, handing.number, forged)
    assert answer is not None
    key = notice_receipt_key(handing.number, forged)
    handing.client.put_object(Bucket=INBOX, Key=key, Body=answer.replace(b"payload", b"payroll"))
    with pytest.raises(AirflowFailException, match=f"{forged}: .*handover notices list"):
        hear(handing.number)
    handing.client.put_object(Bucket=INBOX, Key=key, Body=answer)
    assert hear(handing.number).endswith(": 1 followed now, 0 are waited for")
    assert all(n.followed for n in handing.notices()) and places(handing) == {Place.WHOLE}
    assert tell(handing.number).endswith(": 0 notices made, 0 sent now")
    company(handing.stopped.house, "DELETE FROM u.visit WHERE id IN (SELECT max(id) FROM u.visit)")
    with pytest.raises(AirflowFailException, match="1 of its items are gone, and receipts explain 0"):
        tell(handing.number)
