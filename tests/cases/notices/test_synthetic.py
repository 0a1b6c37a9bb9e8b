"""Synthetic people: registered, asked about before and after, and what that makes of a recipient's word."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from itertools import product
from pathlib import Path

import psycopg
import pytest

from include.cases import book, verbs
from include.cases.keys import FileKeyStore, Purpose
from include.cases.notices import answering, figures, outbox, rechecks, record, synthetic, telling, truth
from include.cases.notices.truth import Found
from include.model.errors import NotReachable, Refused
from include.model.notices import AnswerCode, Notice, Part
from include.model.words import Channel, Ground, Requester
from tests.cases.notices.making import ACTOR, Body, Killed, answer, recipient, rows
from tests.cases.small import GHOST, GONE, LI, RECEIVED, TODAY, WANG, Transfers, World, catalogue, world
from tests.cases.test_verbs import on

pytestmark = pytest.mark.postgres
DAY = timedelta(days=1)
AT = {"sms": ("seed-1",)}
FIELDS = ["PI-001", "PI-004"]


@dataclass
class Knowing(Body):
    """A recipient that can be asked whom it knows, and remembers the order of all that it was asked and told."""

    people: set[str] = field(default_factory=set)
    mute: bool = False  # would not say
    away: bool = False
    heard: list[str] = field(default_factory=list)

    def knows(self, reference: str) -> bool | None:
        if self.away:
            raise NotReachable("it does not answer", about=self.id, next_step="later")
        self.heard.append(f"? {reference}")
        return None if self.mute else reference in self.people

    def _arrives(self, notice: Notice) -> None:
        self.heard.append("told")
        super()._arrives(notice)


@pytest.fixture
def keys(tmp_path: Path) -> FileKeyStore:
    return FileKeyStore(tmp_path / "keys", b"k" * 32)


@pytest.fixture
def body() -> Knowing:
    return Knowing(people={"txn-1", "txn-2", "seed-1"})


@pytest.fixture
def w(writer: str, keys: FileKeyStore, body: Knowing) -> World:
    who = (recipient("sms"), recipient("post", channel="email"))
    return world(writer, keys, lambda: catalogue(recipients=who), channel=lambda _: body, company=Transfers())


def register(w: World, account: str = LI, at=AT) -> str:
    return synthetic.add(w.desk, account, at, as_of=TODAY, actor="ops/zhao").name


def decided(w: World, account: str = LI) -> str:
    """A cancellation of the account, as anybody's: opened, checked, rehearsed, and approved by somebody else."""
    opened = verbs.open_case(
        w.desk, account, ground=Ground.CANCELLATION, channel=Channel.APP, requester=Requester.SELF,
        trigger_user="ops/zhao", received_at=RECEIVED, as_of=TODAY,
    )  # fmt: skip
    verbs.ask_identity(w.desk, opened.case_no, method="signed_in_session", fields=FIELDS, **on())
    verbs.record_identity(
        w.desk, opened.case_no, outcome="matched", method="signed_in_session", fields=FIELDS, **on()
    )
    plan = verbs.rehearse(w.desk, opened.case_no, **on())
    verbs.approve(w.desk, opened.case_no, approver="approver/wang", as_of=TODAY, plan=plan.fingerprint())
    return opened.case_no


def said_deleted(w: World, request: dict, code: str = "DELETED") -> None:
    part = Part(code=AnswerCode(code))
    answering.take(
        w.desk, answer(request, part, message=str(request["request_id"])), as_of=TODAY, actor=ACTOR
    )


def of(w: World, case_no: str) -> dict:
    return next(r for r in rows(w.desk, case_no) if r["recipient"] == "sms")


def told_and_gone(w: World, account: str = LI) -> str:
    case_no = decided(w, account)
    telling.tell(w.desk, "sms", **on())
    said_deleted(w, of(w, case_no))
    return case_no


def figures_of(w: World, who: str = "sms") -> dict:
    with w.desk.book() as conn:
        return next(r for r in record.record(conn) if r["recipient"] == who)


# --- what is registered ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("account", "at", "why"),
    [
        ("13900004444", AT, "mobile number, not an account id"),
        (GHOST, AT, "no such account"),
        (GONE, AT, "cancelled already"),
        (LI, {}, "registered with nobody"),
        (LI, {"sms": ()}, "registered with nobody"),
        (LI, {"nobody": ("1",)}, "no such recipient"),
        (LI, {"13900004444": ("1",)}, "no such recipient"),
        (LI, {"sms": ("",)}, "no number of a recipient"),
        (LI, {"sms": ("a b",)}, "no number of a recipient"),
        (LI, {"sms": ("x" * 129,)}, "no number of a recipient"),
        (LI, {"sms": ("13900004444",)}, "a mobile number, not a number of the recipient's own"),
        (LI, {"sms": ("li@mail.example",)}, "an e-mail address"),
    ],
    ids=["no id", "unknown", "cancelled", "nobody", "no number", "no recipient", "personal recipient", "empty",
         "space", "long", "mobile", "mail"],
)  # fmt: skip
def test_nonsense_is_refused_and_nothing_kept(
    w: World, database: str, account: str, at: dict, why: str
) -> None:
    with pytest.raises(Refused, match=why) as refused:
        register(w, account, at)
    assert "13900004444" not in str(refused.value)
    with psycopg.connect(database) as conn:
        assert conn.execute("SELECT count(*) FROM casebook.synthetic").fetchone() == (0,)


def test_one_account_is_one_person_and_one_number_is_one_persons(w: World, keys: FileKeyStore) -> None:
    first = synthetic.add(
        w.desk, LI, {"sms": ("seed-1", "seed-1"), "post": ("p-1",)}, as_of=TODAY, actor="ops/zhao"
    )
    assert (first.name, first.new, first.unasked) == ("SYN-000001", 2, ("post",))
    keys.make(Purpose.SUBJECT_TOKEN.value, "case book", Purpose.SUBJECT_TOKEN)
    again = synthetic.add(w.desk, LI, {"sms": ("seed-1", "seed-2")}, as_of=TODAY, actor="ops/zhao")
    assert (again.name, again.new) == ("SYN-000001", 1), "under a later key, too"
    with pytest.raises(Refused, match="another synthetic person has this number"):
        register(w, WANG)
    assert synthetic.account(w.desk, first.name) == LI
    with w.desk.book() as conn:
        (only,) = synthetic.listing(conn)
    assert (only["recipients"], only["case_no"]) == (["post", "sms"], None)


def test_the_reader_sees_neither_who_it_is_nor_by_what_anybody_knows_it(
    w: World, database: str, reader: str
) -> None:
    register(w)
    with psycopg.connect(database) as conn:
        for table in ("synthetic", "synthetic_at"):
            said = str(conn.execute(f"SELECT t::text FROM casebook.{table} t").fetchall())
            assert LI not in said and "seed-1" not in said
    for column, table in (
        ("sealed_id", "synthetic"),
        ("token", "synthetic"),
        ("sealed_reference", "synthetic_at"),
    ):
        with psycopg.connect(reader) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(f"SELECT {column} FROM casebook.{table}")
    with book.connect(reader) as conn:
        assert [r["name"] for r in synthetic.listing(conn)] == ["SYN-000001"]


def test_whose_case_is_open_or_was_cannot_be_registered_any_more(w: World) -> None:
    name = register(w)
    case_no = decided(w)
    with pytest.raises(Refused, match="a case about this account is open") as refused:
        register(w, at={"sms": ("seed-9",)})
    assert case_no in str(refused.value)
    with pytest.raises(Refused, match="is evidence"):
        synthetic.remove(w.desk, name)


def test_what_was_entered_by_mistake_is_forgotten_with_its_key(w: World, database: str) -> None:
    name = register(w)
    synthetic.remove(w.desk, name)
    with pytest.raises(Refused, match="no such synthetic person"):
        synthetic.account(w.desk, name)
    assert w.desk.keys.versions(name.lower()) == ()
    assert register(w) == "SYN-000002"


# --- asked before ------------------------------------------------------------------------------------


def test_it_is_asked_before_its_notice_goes_out_and_the_notice_is_anybodys(w: World, body: Knowing) -> None:
    register(w)
    theirs = told_and_gone(w, WANG)
    body.heard.clear()
    case_no = decided(w)
    telling.tell(w.desk, "sms", **on())
    assert body.heard == ["? txn-1", "? txn-2", "? seed-1", "told"]
    one, other = (n for n in reversed(body.seen))
    assert one.case_no == case_no and other.case_no == theirs
    differs = {"request_id", "case_no", "submitted_at", "references"}
    assert one.model_dump(exclude=differs) == other.model_dump(exclude=differs)
    assert one.references == ("txn-1", "txn-2", "seed-1"), "by the number it was registered with, too"


def test_nobody_asks_about_a_customer_before(w: World, body: Knowing) -> None:
    register(w)
    told_and_gone(w, WANG)
    assert body.heard == ["told"]


def test_it_is_asked_once_however_often_the_notice_is_tried(w: World, body: Knowing) -> None:
    register(w)
    decided(w)
    body.plan = ["busy", "takes"]
    telling.tell(w.desk, "sms", **on())
    telling.tell(w.desk, "sms", **on(TODAY + 30 * DAY))
    assert body.heard == ["? txn-1", "? txn-2", "? seed-1", "told"]


def test_a_recipient_that_is_away_is_told_nothing_and_asked_later(w: World, body: Knowing) -> None:
    register(w)
    case_no = decided(w)
    body.away = True
    with pytest.raises(NotReachable):
        telling.tell(w.desk, "sms", **on())
    assert (body.heard, of(w, case_no)["delivery"]) == ([], "waiting")
    body.away = False
    telling.tell(w.desk, "sms", **on(TODAY + 30 * DAY))
    assert body.heard[-1] == "told" and body.heard[0] == "? txn-1"


def test_killed_while_it_is_asked_it_is_asked_again_and_told_once(w: World, body: Knowing) -> None:
    register(w)
    decided(w)
    knows, dies = body.knows, [True]

    def once(reference: str) -> bool | None:
        if dies:
            dies.pop()
            raise Killed
        return knows(reference)

    body.knows = once  # type: ignore[method-assign]
    with pytest.raises(Killed):
        telling.tell(w.desk, "sms", **on())
    telling.tell(w.desk, "sms", **on())
    assert body.heard == ["? txn-1", "? txn-2", "? seed-1", "told"]


def test_killed_between_the_answer_and_the_deed_a_lie_is_found_once(w: World, body: Knowing) -> None:
    register(w)
    case_no = told_and_gone(w)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(truth.book, "note", lambda *_, **__: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            truth.look_again(w.desk, "sms", **on())
    assert truth.look_again(w.desk, "sms", **on()).caught == 1
    assert [r["round"] for r in rows(w.desk, case_no) if r["recipient"] == "sms"] == [1, 2]


def test_a_question_that_breaks_keeps_no_notice_back(w: World, body: Knowing) -> None:
    register(w)
    case_no = decided(w)
    body.knows = lambda reference: 1 / 0  # type: ignore[method-assign]
    telling.tell(w.desk, "sms", **on())
    assert of(w, case_no)["delivery"] == "delivered"


def test_with_whom_it_was_registered_by_hand_is_told_though_no_register_knows(w: World) -> None:
    register(w, at={"post": ("p-7",)})
    case_no = decided(w)
    told = {r["recipient"]: r for r in rows(w.desk, case_no)}
    assert sorted(told) == ["post", "sms"]
    with w.desk.book() as conn:
        case = book.case(conn, case_no)
        notice = outbox.unsealed(told["post"], case, w.desk.seal(case), w.desk.catalogue.recipients[1])
    assert notice.references == ("p-7",)


# --- asked after -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        (True, False, Found.VERIFIED), (True, True, Found.CAUGHT), (False, False, Found.NOT_SEEN_BEFORE),
        (False, True, Found.CAUGHT), (None, False, Found.UNVERIFIED), (None, True, Found.CAUGHT),
        (True, None, Found.UNVERIFIED), (False, None, Found.UNVERIFIED), (None, None, Found.UNVERIFIED),
    ],
)  # fmt: skip
def test_what_a_word_was_worth(
    w: World, body: Knowing, before: bool | None, after: bool | None, what: Found
) -> None:
    assert truth.found(before, after) is what
    register(w)
    body.people, body.mute = ({"seed-1"} if before else set()), before is None
    case_no = told_and_gone(w)
    body.people, body.mute = ({"seed-1"} if after else set()), after is None
    assert truth.to_look_at(w.desk, as_of=TODAY) == ("sms",)
    looked = truth.look_again(w.desk, "sms", **on())
    assert (looked.asked, looked.caught, looked.verified) == (1, what is Found.CAUGHT, what is Found.VERIFIED)
    with w.desk.book() as conn:
        kept = conn.execute("SELECT * FROM casebook.word_kept WHERE recipient = 'sms'").fetchone()
    assert (kept["found"], kept["before"], kept["after"]) == (what.value, before, after)
    assert kept["before_at"] < kept["after_at"]
    assert len([r for r in rows(w.desk, case_no) if r["recipient"] == "sms"]) == 1 + (what is Found.CAUGHT)
    (key,) = w.said
    kind, about, entry = w.said[key]
    assert (kind, about, entry["found"], entry["synthetic"]) == ("recheck", case_no, what.value, True)
    assert truth.look_again(w.desk, "sms", **on()).asked == 0


def test_every_pair_is_told(w: World) -> None:
    assert {truth.found(b, a) for b, a in product((True, False, None), repeat=2)} == set(Found)


def test_a_no_about_a_customer_is_no_evidence_and_a_yes_is(w: World, body: Knowing) -> None:
    body.people = set()
    told_and_gone(w, WANG)
    assert truth.look_again(w.desk, "sms", **on()).unverified == 1
    assert (w.said, figures_of(w)["words"]) == ({}, 0)
    body.people = {"txn-1"}
    case_no = told_and_gone(w)
    truth.look_again(w.desk, "sms", **on())
    ((_, about, entry),) = w.said.values()
    assert (about, entry["found"], entry["synthetic"], entry["before"]) == (case_no, "caught", False, None)
    assert (figures_of(w)["caught"], figures_of(w)["words"]) == (1, 0)


def test_who_was_caught_and_then_deletes_is_verified_in_the_next_round(w: World, body: Knowing) -> None:
    register(w)
    case_no = told_and_gone(w)
    truth.look_again(w.desk, "sms", **on())
    second = [r for r in rows(w.desk, case_no) if r["recipient"] == "sms"][1]
    telling.tell(w.desk, "sms", **on())
    said_deleted(w, second)
    body.people = set()
    assert truth.look_again(w.desk, "sms", **on()).verified == 1
    found = figures_of(w)
    assert [found[x] for x in ("words", "verified", "caught", "unverified", "taken_back")] == [2, 1, 1, 0, 0]
    assert record.truthfulness(found) == "verified 1 of 2, caught 1"


def test_who_was_told_to_preserve_something_may_know_the_person(w: World, body: Knowing) -> None:
    register(w)
    decided_no = verbs.open_case(
        w.desk, LI, ground=Ground.CANCELLATION, channel=Channel.APP, requester=Requester.SELF,
        trigger_user="ops/zhao", received_at=RECEIVED, as_of=TODAY,
    ).case_no  # fmt: skip
    verbs.open_hold(
        w.desk, basis="court", document_no="1", issuing_body="court", law="CPL 103", as_of=TODAY, actor="legal/sun",
        case_nos=frozenset({decided_no}), categories=frozenset({"PI-001"}),
    )  # fmt: skip
    case_no = decided(w)
    telling.tell(w.desk, "sms", **on())
    notice = of(w, case_no)
    assert notice["preserve"] == ["PI-001"] and notice["erase"] == ["PI-005"]
    part = Part(code=AnswerCode.DELETED, categories=("PI-005",))
    answering.take(w.desk, answer(notice, part), as_of=TODAY, actor=ACTOR)
    assert of(w, case_no)["state"] == "tp_acked"
    assert truth.to_look_at(w.desk, as_of=TODAY) == ()


def test_who_cannot_be_asked_stays_unverified_and_that_is_said(w: World) -> None:
    register(w, at={"post": ("p-7",)})
    case_no = decided(w)
    letter = next(r for r in rows(w.desk, case_no) if r["recipient"] == "post")
    verbs.sent(w.desk, case_no, "post", **on())
    answering.take(w.desk, answer(letter, "DELETED", to="post"), as_of=TODAY, actor=ACTOR)
    assert truth.to_look_at(w.desk, as_of=TODAY) == ()
    assert record.truthfulness(figures_of(w, "post")) == "verified 0 of 1, unverified 1"
    assert record.truthfulness(figures_of(w, "post"), "zh") == "经核实 0/1,未能核实 1"


# --- in the ledger -----------------------------------------------------------------------------------


def test_what_was_found_out_is_said_once_also_if_the_ledger_was_away(w: World, body: Knowing) -> None:
    register(w)
    told_and_gone(w)
    away = NotReachable("the ledger does not answer", about="ledger", next_step="later")

    def down(*_: object) -> None:
        raise away

    broken = world(w.desk.connections.writer, w.desk.keys, lambda: w.desk.catalogue,  # type: ignore[attr-defined]
                   channel=lambda _: body, company=Transfers(), record=down)  # fmt: skip
    with pytest.raises(NotReachable):
        truth.look_again(broken.desk, "sms", **on())
    assert rechecks.to_ledger(w.desk) == 1 and rechecks.to_ledger(w.desk) == 0
    assert len(w.said) == 1


def test_the_days_figures_are_said_once_in_whole_numbers_and_without_a_case(w: World, body: Knowing) -> None:
    assert figures.to_ledger(w.desk, as_of=TODAY) == "nobody was ever told anything"
    register(w)
    case_no = told_and_gone(w)
    body.people = set()
    truth.look_again(w.desk, "sms", **on())
    figures.to_ledger(w.desk, as_of=TODAY)
    kind, about, said = w.said["recipients:2026-11-24"]
    assert (kind, about) == ("recipients", None)
    (sms,) = said["recipients"]
    assert (sms["told"], sms["answered"], sms["words"], sms["verified"], sms["caught"]) == (1, 1, 1, 1, 0)
    assert isinstance(sms["median_seconds"], int) and sms["median_seconds"] == sms["p95_seconds"]
    assert case_no not in str(said) and LI not in str(said)
    told_and_gone(w, WANG)
    assert "said before" in figures.to_ledger(w.desk, as_of=TODAY)
    figures.to_ledger(w.desk, as_of=TODAY + DAY)
    assert w.said["recipients:2026-11-25"][2]["recipients"][0]["told"] == 2


def test_a_probe_stays_as_it_was(w: World, database: str) -> None:
    register(w)
    told_and_gone(w)
    truth.look_again(w.desk, "sms", **on())
    for deed in (
        "UPDATE casebook.probe SET known = NOT known",
        "DELETE FROM casebook.probe",
        "TRUNCATE casebook.probe",
    ):
        with psycopg.connect(database) as conn, pytest.raises(psycopg.Error, match="append-only"):
            conn.execute(deed)
