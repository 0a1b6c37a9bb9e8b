"""A cancellation from the request to the closed case, and everything that must stop it on the way."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest

from include.cases import (
    acting,
    book,
    deciding,
    decisions,
    epochs,
    holds,
    papers,
    planner,
    progress,
    subjects,
    tombstones,
    units,
    verbs,
    watch,
)
from include.cases.keys import FileKeyStore, Purpose
from include.cases.notices import outbox
from include.cases.notices.composing import Given
from include.model.errors import BooksDoNotBalance, Drifted, NotProved, NotReachable, Refused
from include.model.flow import Check, Evidence, Finding
from include.model.times import observed_now
from include.model.words import CaseState, Channel, Disposition, Ground, Requester, Rung, UnitState, Verdict
from tests.cases.small import GHOST, GONE, LI, RECEIVED, TODAY, WANG, Row, Transfers, World, world

pytestmark = pytest.mark.postgres

SUPPORT, BOSS, ROBOT = "support/li", "approver/wang", "system/dag"


@pytest.fixture
def keys(tmp_path) -> FileKeyStore:
    return FileKeyStore(tmp_path / "keys", b"k" * 32)


@pytest.fixture
def w(writer: str, keys: FileKeyStore) -> World:
    return world(writer, keys)


def opened(w: World, account: str = LI, ground: Ground = Ground.CANCELLATION) -> str:
    return verbs.open_case(
        w.desk, account, ground=ground, channel=Channel.APP, requester=Requester.SELF,
        trigger_user=SUPPORT, received_at=RECEIVED,
    ).case_no  # fmt: skip


def verified(w: World, **more) -> str:
    case_no = opened(w, **more)
    proof = {"method": "signed_in_session", "fields": ["PI-001", "PI-004"], "as_of": TODAY, "actor": ROBOT}
    verbs.ask_identity(w.desk, case_no, **proof)
    verbs.record_identity(w.desk, case_no, outcome="matched", **proof)
    return case_no


def approved(w: World, **more) -> str:
    case_no = verified(w, **more)
    verbs.rehearse(w.desk, case_no, as_of=TODAY, actor=ROBOT)
    verbs.approve(w.desk, case_no, approver=BOSS, as_of=TODAY)
    return case_no


def on(as_of: date = TODAY) -> dict:
    return {"as_of": as_of, "actor": ROBOT}


def carried_out(w: World, case_no: str, as_of: date = TODAY) -> None:
    verbs.restrict(w.desk, case_no, **on(as_of))
    verbs.settle_and_plan(w.desk, case_no, **on(as_of))
    verbs.dispose(w.desk, case_no, **on(as_of))


def proved(w: World, case_no: str, as_of: date = TODAY) -> None:
    with w.desk.book() as conn:
        step = papers.current_step(conn, book.case(conn, case_no), "live")
    assert step is not None
    for evidence in w.prove(case_no, step.step_id, as_of):
        verbs.record_evidence(w.desk, evidence, **on(as_of))
    verbs.balance(w.desk, case_no, **on(as_of))


def issued(w: World, case_no: str) -> None:
    """What `certify` leaves in the book, without a ledger to sign it."""
    with w.desk.book() as conn:
        conn.execute(
            "INSERT INTO casebook.certificate (case_no, serial, kind, content, draft, person, auditor, entry, issued_at)"
            " SELECT %(no)s, 1 + count(*), 'interim', 'c', '{}', '{}', '{}', 1, clock_timestamp()"
            " FROM casebook.certificate WHERE case_no = %(no)s",
            {"no": case_no},
        )


def rested(w: World, case_no: str, as_of: date = TODAY) -> CaseState:
    """The run of an approved case, from its restriction to its rest."""
    carried_out(w, case_no, as_of)
    proved(w, case_no, as_of)
    verbs.open_backup_track(w.desk, case_no, **on(as_of))
    return verbs.rest(w.desk, case_no, **on(as_of)).state


def state(w: World, case_no: str) -> CaseState:
    with w.desk.book() as conn:
        return book.case(conn, case_no).state


def findings(w: World, case_no: str) -> list[dict]:
    with w.desk.book() as conn:
        return papers.open_findings(conn, case_no)


def stored_cases(database: str) -> int:
    with psycopg.connect(database) as conn:
        row = conn.execute("SELECT count(*) FROM casebook.case_").fetchone()
        assert row
        return row[0]


# --- the whole way ----------------------------------------------------------------------------


def test_a_cancellation_goes_its_whole_way_and_waits_in_data_for_what_the_law_keeps(w: World) -> None:
    case_no = approved(w)
    carried_out(w, case_no)
    proved(w, case_no)
    assert verbs.open_backup_track(w.desk, case_no, **on()) == 2
    assert verbs.rest(w.desk, case_no, **on()).state is CaseState.WAITING

    left = {n: sum(r.owner == LI for r in rows.values()) for n, rows in (w.main.rows | w.files.rows).items()}
    assert left == {"account.account": 0, "account.session": 0, "ra.application": 1, "ca.certificate": 0,
                    "web.log": 1, "scan.image": 0}  # fmt: skip
    others = {
        n: sum(r.owner == WANG for r in rows.values()) for n, rows in (w.main.rows | w.files.rows).items()
    }
    assert set(others.values()) == {1}

    with w.desk.book() as conn:
        ours = {(u.dataset, u.part, u.category): u for u in units.of_case(conn, case_no)}
        stays = [u for u in ours.values() if u.state is UnitState.RESTRICTED]
        assert {(u.dataset, u.until) for u in stays} == {
            ("ra.application", date(2029, 6, 30)), ("web.log", date(2027, 5, 1))
        }  # fmt: skip
        assert ours["ca.certificate", 0, "PI-029"].state is UnitState.DEIDENTIFIED
        assert ours["account.account", 0, "PI-004"].state is UnitState.LIVE_DELETED
        assert ours["account.account", 0, "PI-004"].rung_reached == 2
        horizon = {t["backup_set"]: t["horizon"] for t in epochs.of_case(conn, case_no)}
        assert horizon == {"nightly": TODAY + timedelta(days=35), "files": TODAY + timedelta(days=7)}
        assert tombstones.buried_among(conn, w.desk.keys, [WANG, LI]) == {LI: {case_no}}
    assert not w.main.areas, "the step areas are dropped"
    assert {e.kind for e in w.logged.values()} == {"gone", "balance"}


def test_it_closes_only_after_the_dates_the_backups_and_the_recipients(w: World) -> None:
    case_no = approved(w)
    rested(w, case_no)
    with pytest.raises(Refused, match="nothing to hand over yet"):
        verbs.told(w.desk, case_no, **on())
    issued(w, case_no)
    verbs.told(w.desk, case_no, **on())
    for recipient in ("sms", "vetting"):
        verbs.sent(w.desk, case_no, recipient, **on())
    with pytest.raises(Refused, match="a recipient is silent"):
        verbs.close(w.desk, case_no, **on())
    assert (
        verbs.record_answer(w.desk, case_no, "sms", code="DELETED", proof_digest="ab", **on())
        is UnitState.TP_ACKED
    )
    assert watch.look(w.desk, **on(TODAY + timedelta(days=29))).silent == 0
    assert watch.look(w.desk, **on(TODAY + timedelta(days=30))).silent == 1
    with w.desk.book() as conn:
        standing = {r["recipient"]: r["state"] for r in outbox.listing(conn, case_no)}
    assert standing == {"sms": "tp_acked", "vetting": "tp_escalated"}
    with pytest.raises(Refused, match="not every item, backup and recipient"):
        verbs.close(w.desk, case_no, **on())
    w.backups_expire(TODAY + timedelta(days=36))

    with pytest.raises(Refused, match="nothing of this case is due before 2027-05-02"):
        verbs.restrict(w.desk, case_no, **on(date(2027, 5, 1)))  # its last day
    assert state(w, case_no) is CaseState.WAITING
    for later in (date(2027, 5, 2), date(2029, 7, 1)):
        carried_out(w, case_no, later)  # as a run that is triggered again with the number does
        with w.desk.book() as conn:
            case = book.case(conn, case_no)
            row = papers.current_step(conn, case, "live")
            assert row is not None and row.as_of == later
            assert row.step(case, ()).began == TODAY, "what starts with the case does not start anew"
        proved(w, case_no, later)
        assert verbs.rest(w.desk, case_no, **on(later)).state is CaseState.WAITING
    assert not any(r.owner == LI for rows in w.main.rows.values() for r in rows.values())
    with pytest.raises(Refused, match="waits for a review, for backups or for recipients"):
        verbs.restrict(w.desk, case_no, **on(date(2029, 7, 1)))
    assert verbs.close(w.desk, case_no, **on(date(2029, 7, 1))).state is CaseState.CLOSED
    with w.desk.book() as conn:
        rows = [e["law_row"] for e in book.timeline(conn, case_no, units=True) if e["law_row"]]
        assert {1, 2, 3, 6, 10, 11, 12, 14, 15, 16, 17, 19, 21} <= set(rows)

    # Something comes back: the old approval and the old letter do not speak for it.
    back = date(2029, 8, 1)
    w.main.rows["account.session"][90] = Row(LI)
    verbs.reopen(w.desk, case_no, because="probe_hit", **on(back))
    assert progress.decided(w.desk, case_no) is None
    with pytest.raises(Refused, match="nobody has approved"):
        verbs.restrict(w.desk, case_no, **on(back))
    plan = verbs.rehearse(w.desk, case_no, **on(back))
    verbs.approve(w.desk, case_no, approver=BOSS, as_of=back, plan=plan.fingerprint())
    assert rested(w, case_no, back) is CaseState.WAITING
    assert left(w, "account.session") == 0
    with pytest.raises(Refused, match="nothing to hand over yet"):
        verbs.told(w.desk, case_no, **on(back))


def test_after_closing_the_key_is_destroyed_and_nobody_can_say_who_it_was(w: World) -> None:
    case_no = verified(w)
    with pytest.raises(Refused, match="the case is open"):
        verbs.destroy_key(w.desk, case_no, **on())
    verbs.refuse(
        w.desk,
        case_no,
        ground="11.4(5)",
        article="PIPL 50",
        reasons="the same request, forty times",
        scope=["everything"],
        reviewer=BOSS,
        second_reviewer="approver/zhao",
        as_of=TODAY,
    )
    verbs.told(w.desk, case_no, **on())
    verbs.close(w.desk, case_no, **on())
    verbs.destroy_key(w.desk, case_no, **on())
    with w.desk.book() as conn, pytest.raises(Refused, match="was destroyed"):
        subjects.ids(conn, w.desk.keys, book.case(conn, case_no))


# --- what is typed wrong ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "kind"),
    [
        ("13812345678", "a mobile number"),
        ("li.si@example.cn", "an e-mail address"),
        ("11010519491231002X", "a resident ID number"),
        ("91110000100000000A"[:17] + "A", "not an account id"),
        ("李四", "not an account id"),
        ("acct_0123456789aB", "not an account id"),
        ("acct_0123456789ab ", "not an account id"),
        ("", "not an account id"),
    ],
)
def test_anything_but_an_opaque_id_is_refused_unechoed_and_unstored(
    w, database, tmp_path, typed, kind
) -> None:
    with pytest.raises(Refused) as refused:
        opened(w, typed)
    assert kind in str(refused.value)
    assert not typed.strip() or typed not in str(refused.value)
    assert stored_cases(database) == 0
    assert w.desk.accounts.asked == [], "not even looked up"


def test_an_unknown_and_a_cancelled_account_leave_nothing_behind(w: World, database: str) -> None:
    for account, says in ((GHOST, "no such account"), (GONE, "cancelled already")):
        with pytest.raises(Refused, match=says) as refused:
            opened(w, account)
        assert account not in str(refused.value)
    assert stored_cases(database) == 0


def test_a_buried_account_is_cancelled_already_whatever_the_store_says(w: World) -> None:
    case_no = verified(w)
    verbs.tombstone(w.desk, case_no, as_of=TODAY)
    verbs.refuse(w.desk, case_no, ground="11.4(5)", article="PIPL 50", reasons="r", scope=["everything"],
                 reviewer=BOSS, second_reviewer="approver/zhao", as_of=TODAY)  # fmt: skip
    verbs.told(w.desk, case_no, **on())
    verbs.close(w.desk, case_no, **on())
    with pytest.raises(Refused, match="cancelled already"):
        opened(w)


def test_a_second_trigger_joins_the_open_case_also_under_an_older_token_key(
    w: World, database: str, keys
) -> None:
    first = opened(w)
    keys.make(Purpose.SUBJECT_TOKEN.value, "case book", Purpose.SUBJECT_TOKEN)
    again = verbs.open_case(
        w.desk, LI, ground=Ground.CANCELLATION, channel=Channel.PHONE, requester=Requester.SELF,
        trigger_user="support/chen", received_at=RECEIVED,
    )  # fmt: skip
    assert (again.case_no, again.joined) == (first, True)
    assert stored_cases(database) == 1
    assert opened(w, WANG) != first


def test_a_company_database_that_is_down_stores_nothing(w: World, database: str) -> None:
    class Down:
        def standing(self, account_id: str):
            raise NotReachable("the store does not answer", about="main")

    desk = type(w.desk)(**{**w.desk.__dict__, "accounts": Down()})
    with pytest.raises(NotReachable):
        verbs.open_case(desk, LI, ground=Ground.CANCELLATION, channel=Channel.APP, requester=Requester.SELF,
                        trigger_user=SUPPORT, received_at=RECEIVED)  # fmt: skip
    assert stored_cases(database) == 0


@pytest.mark.parametrize(
    "actor", ["li", "support/", "support/li@example.cn", "support/13812345678", "Support/x y"]
)
def test_an_actor_is_a_role_and_a_login_never_a_persons_data(w: World, actor: str) -> None:
    with pytest.raises(Refused) as refused:
        verbs.open_case(w.desk, LI, ground=Ground.CANCELLATION, channel=Channel.APP, requester=Requester.SELF,
                        trigger_user=actor, received_at=RECEIVED)  # fmt: skip
    assert "13812345678" not in str(refused.value) and "example" not in str(refused.value)


# --- identity ---------------------------------------------------------------------------------


def test_nothing_is_asked_that_registration_did_not_collect(w: World) -> None:
    case_no = opened(w)
    with pytest.raises(Refused, match="beyond what registration collected"):
        verbs.ask_identity(w.desk, case_no, method="document_compared_in_person", fields=["PI-028"], **on())
    assert state(w, case_no) is CaseState.RECEIVED


@pytest.mark.parametrize(
    ("method", "fields", "says"),
    [
        ("ok", ["PI-001"], "no known method"),
        ("signed_in_session", [], "unexplained tick"),
        ("signed_in_session", ["PI-028"], "beyond what registration collected"),
    ],
)
def test_an_unexplained_tick_is_not_accepted(w: World, method, fields, says) -> None:
    case_no = opened(w)
    verbs.ask_identity(w.desk, case_no, method="signed_in_session", fields=["PI-001"], **on())
    with pytest.raises(Refused, match=says):
        verbs.record_identity(w.desk, case_no, outcome="matched", method=method, fields=fields, **on())
    assert state(w, case_no) is CaseState.ID_PENDING


def test_no_answer_in_fifteen_days_fails_and_new_proof_revives(w: World) -> None:
    case_no = opened(w)
    proof = {"method": "signed_in_session", "fields": ["PI-001"]}
    verbs.ask_identity(w.desk, case_no, **proof, **on())
    assert verbs.expire_identity(w.desk, TODAY + timedelta(days=15), ROBOT) == ()
    assert verbs.expire_identity(w.desk, TODAY + timedelta(days=16), ROBOT) == (case_no,)
    with pytest.raises(Refused):
        verbs.rehearse(w.desk, case_no, **on())
    later = TODAY + timedelta(days=20)
    case = verbs.record_identity(w.desk, case_no, outcome="matched", **proof, **on(later))
    assert case.state is CaseState.ASSESSING
    with w.desk.book() as conn:
        assert [c["outcome"] for c in decisions.checks(conn, case)] == ["no_answer", "matched"]


def test_a_match_starts_both_clocks_and_says_when_they_are_provisional(w: World) -> None:
    case_no = verified(w)
    with w.desk.book() as conn:
        case = book.case(conn, case_no)
        assert (case.reply_due, case.finish_due) == (date(2026, 12, 24), date(2026, 12, 15))
        assert not case.finish_provisional
        assert book.late(conn, date(2026, 12, 15)) == []
        assert [c.case_no for c in book.late(conn, date(2026, 12, 16))] == [case_no]
    other = opened(w, WANG)
    proof = {"method": "signed_in_session", "fields": ["PI-001"], "as_of": date(2026, 12, 21), "actor": ROBOT}
    verbs.ask_identity(w.desk, other, **proof)
    verbs.record_identity(w.desk, other, outcome="matched", **proof)
    with w.desk.book() as conn:
        assert book.case(conn, other).finish_provisional
        assert "2027" in book.timeline(conn, other)[-1]["detail"]["provisional"]


# --- deciding ---------------------------------------------------------------------------------


def test_a_rehearsal_touches_nothing_and_leaves_no_item_keys_about(w: World) -> None:
    before = repr(w.main.rows)
    plan = verbs.rehearse(w.desk, case_no := verified(w), **on())
    assert repr(w.main.rows) == before
    assert not w.main.areas and not w.main.restricted and not w.main.kept
    assert {(x.dataset, x.disposition): x.items for x in plan.lines}[
        ("account.session", Disposition.ERASE)
    ] == 2
    calls = len(w.main.calls)
    assert verbs.rehearse(w.desk, case_no, **on()) == plan
    assert len(w.main.calls) == calls, "the same rehearsal again is read from the book"


@pytest.mark.parametrize("approver", [SUPPORT, "approver/li", "admin/li"])
def test_the_requester_cannot_approve_in_any_role(w: World, approver: str) -> None:
    case_no = verified(w)
    verbs.rehearse(w.desk, case_no, **on())
    with pytest.raises(Refused, match="the approver must be another person than the requester"):
        verbs.approve(w.desk, case_no, approver=approver, as_of=TODAY)
    with pytest.raises(Refused, match="nobody has approved"):
        verbs.restrict(w.desk, case_no, **on())
    with w.desk.book() as conn:
        assert outbox.listing(conn, case_no) == []


def test_an_approval_is_of_the_plan_that_was_seen(w: World) -> None:
    case_no = verified(w)
    first = verbs.rehearse(w.desk, case_no, **on()).fingerprint()
    with pytest.raises(Refused, match="rehearsed again since you saw it"):
        verbs.approve(w.desk, case_no, approver=BOSS, as_of=TODAY, plan="0" * 64)
    verbs.open_hold(
        w.desk,
        basis="court",
        document_no="(2026) 1",
        issuing_body="a court",
        law="policy 5.2(2)",
        case_nos=frozenset({case_no}),
        datasets=frozenset({"web.log"}),
        as_of=TODAY,
        actor="legal/sun",
    )
    with pytest.raises(Refused, match="what the plan rests on changed"):
        verbs.approve(w.desk, case_no, approver=BOSS, as_of=TODAY)
    second = verbs.rehearse(w.desk, case_no, **on()).fingerprint()
    no = {"ground": "11.4(5)", "article": "PIPL 50", "reasons": "r", "scope": ["everything"],
          "reviewer": BOSS, "second_reviewer": "approver/zhao", "as_of": TODAY}  # fmt: skip
    for said, plan in (("rehearsed again since", first), ("does not say which", None)):
        with pytest.raises(Refused, match=said):
            verbs.approve(w.desk, case_no, approver=BOSS, as_of=TODAY, plan=plan)
        with pytest.raises(Refused, match=said):
            verbs.refuse(w.desk, case_no, plan=plan, **no)
    for _ in range(2):
        assert verbs.approve(
            w.desk, case_no, approver=BOSS, as_of=TODAY, plan=second
        ).approved_plan == second  # fmt: skip


def test_notices_are_written_with_the_decision_sealed_and_once(writer, keys, database) -> None:
    w = world(writer, keys, company=Transfers())
    case_no = approved(w)
    verbs.approve(w.desk, case_no, approver=BOSS, as_of=TODAY)
    with w.desk.book() as conn:
        case = book.case(conn, case_no)
        (notice,) = outbox.listing(conn, case_no)
        assert (notice["recipient"], notice["state"], notice["items"]) == ("sms", "tp_notified", 3)
        assert notice["remind_on"] == TODAY + timedelta(days=10)
        sms = next(r for r in w.desk.catalogue.recipients if r.id == "sms")
        told = outbox.payload(conn, case, w.desk.seal(case), sms)
    assert told.references == ("txn-1", "txn-2") and told.erase == ("PI-001",) and told.preserve == ()
    assert told.law and told.answer_by == date(2026, 12, 15)
    assert told.request_id == notice["request_id"] and told.request_id.version == 4
    with psycopg.connect(database) as conn:
        raw = conn.execute("SELECT row_to_json(o)::text FROM casebook.outbox o").fetchone()
        assert raw and "txn-1" not in raw[0]


def test_what_was_given_beyond_the_policy_is_told_as_well_and_said(writer, keys) -> None:
    class Beyond(Transfers):
        def given(self, subjects):
            return {"sms": Given("sms", 1, ("txn-1",), ("PI-001", "PI-060"))}

    w = world(writer, keys, company=Beyond())
    case_no = approved(w)
    with w.desk.book() as conn:
        (notice,) = outbox.listing(conn, case_no)
        (said,) = [e for e in book.timeline(conn, case_no) if e["what"] == "given beyond the policy"]
        (found,) = papers.open_findings(conn, case_no)
    assert notice["erase"] == ["PI-001", "PI-060"]
    assert said["detail"] == {"recipient": "sms", "categories": ["PI-060"]}
    assert (found["code"], found["place"]) == ("given_beyond_policy", "recipient sms") and "PI-060" in found[
        "what"
    ]


def test_without_a_register_those_are_told_whose_categories_were_located(w: World) -> None:
    case_no = approved(w)
    with w.desk.book() as conn:
        assert [n["recipient"] for n in outbox.listing(conn, case_no)] == ["sms", "vetting"]


def test_a_refusal_in_part_becomes_a_hold_of_just_that_scope(w: World) -> None:
    case_no = verified(w)
    verbs.refuse(
        w.desk,
        case_no,
        ground="11.4(7)",
        article="PIPL 50",
        reasons="the other signer needs it",
        scope=["scan.image"],
        reviewer=BOSS,
        second_reviewer="approver/zhao",
        as_of=TODAY,
    )
    assert state(w, case_no) is CaseState.ASSESSING
    plan = verbs.rehearse(w.desk, case_no, **on())
    held = [x for x in plan.lines if x.disposition is Disposition.HOLD]
    assert [(x.dataset, x.items) for x in held] == [("scan.image", 1)]
    assert "11.4(7)" in held[0].law


def test_the_reasons_of_a_refusal_are_sealed(w: World, database: str) -> None:
    case_no = verified(w)
    verbs.refuse(
        w.desk,
        case_no,
        ground="11.4(5)",
        article="PIPL 50",
        reasons="李四 asked forty times",
        scope=["everything"],
        reviewer=BOSS,
        second_reviewer="approver/zhao",
        as_of=TODAY,
    )
    assert state(w, case_no) is CaseState.REFUSED
    with psycopg.connect(database) as conn:
        raw = conn.execute("SELECT row_to_json(a)::text FROM casebook.approval a").fetchone()
        assert raw and "李四" not in raw[0]
        sealed = conn.execute("SELECT sealed_reasons FROM casebook.approval").fetchone()
    with w.desk.book() as conn:
        seal = w.desk.seal(book.case(conn, case_no))
        assert sealed and seal.open("approval.sealed_reasons.1", sealed[0]) == "李四 asked forty times"


def test_a_preflight_finding_stops_the_case_by_name_and_settles_when_mended(w: World) -> None:
    case_no = verified(w)
    w.main.findings = (
        Finding(code="unindexed_link", dataset="web.log", place="web.log.account_id", items=None,
                what="the subject link has no index", next_step="create one"),
    )  # fmt: skip
    with pytest.raises(Refused, match=r"unindexed_link: .*web\.log\.account_id"):
        verbs.rehearse(w.desk, case_no, **on())
    assert [f["code"] for f in findings(w, case_no)] == ["rehearsal.unindexed_link"]
    w.main.findings = ()
    verbs.rehearse(w.desk, case_no, **on())
    assert findings(w, case_no) == []


def test_a_dataset_that_no_survey_reported_on_stops_the_case(w: World) -> None:
    case_no = verified(w)
    del w.main.rows["web.log"]
    with pytest.raises(Refused, match="no survey reported on it"):
        verbs.rehearse(w.desk, case_no, **on())


# --- acting, and dying in the middle ----------------------------------------------------------


@pytest.mark.parametrize(
    "verb", ["preflight", "open", "survey", "restrict", "settle", "weigh", "dispose", "close"]
)
@pytest.mark.parametrize("store", ["main", "files"])
def test_a_store_that_is_down_at_any_step_is_retried_to_the_same_end(w: World, verb: str, store: str) -> None:
    case_no = verified(w)
    broken = getattr(w, store)
    broken.down_at = {verb}
    stages = [
        lambda: verbs.rehearse(w.desk, case_no, **on()),
        lambda: verbs.approve(w.desk, case_no, approver=BOSS, as_of=TODAY),
        lambda: verbs.restrict(w.desk, case_no, **on()),
        lambda: verbs.settle_and_plan(w.desk, case_no, **on()),
        lambda: verbs.dispose(w.desk, case_no, **on()),
        lambda: proved(w, case_no),
        lambda: verbs.rest(w.desk, case_no, **on()),
    ]
    failures = 0
    for stage in stages:
        try:
            stage()
        except NotReachable:
            failures += 1
            broken.down_at = set()
            stage()
    assert failures == 1
    assert state(w, case_no) is CaseState.WAITING
    assert sum(r.owner == LI for rows in w.main.rows.values() for r in rows.values()) == 2
    assert told_twice(w, case_no) == []


def told_twice(w: World, case_no: str) -> list[dict[str, object]]:
    """What the timeline says of a unit more than once."""
    with w.desk.book() as conn:
        return conn.execute(
            "SELECT unit_id, from_state, to_state, detail FROM casebook.event"
            " WHERE case_no = %s AND unit_id IS NOT NULL GROUP BY 1, 2, 3, 4 HAVING count(*) > 1",
            [case_no],
        ).fetchall()


def test_a_case_book_that_goes_away_meanwhile_is_a_server_to_wait_for(w: World) -> None:
    """Not only when it is asked for a connection: a session that ends says so too, and quotes nothing."""
    with pytest.raises(NotReachable, match="check the records database") as said, w.desk.book() as conn:
        with w.desk.book() as other:
            other.execute("SELECT pg_terminate_backend(%s)", [conn.info.backend_pid])
        book.cases(conn)
    assert said.value.__cause__ is None


@pytest.mark.parametrize("verb", ["restrict", "dispose"])
@pytest.mark.parametrize("store", ["main", "files"])
def test_killed_after_the_deed_the_run_resumes_from_receipts_and_does_nothing_twice(w, verb, store) -> None:
    case_no = approved(w)
    getattr(w, store).dies_after = {verb}
    with pytest.raises(KeyboardInterrupt):
        carried_out(w, case_no)
    carried_out(w, case_no)
    proved(w, case_no)
    assert verbs.rest(w.desk, case_no, **on()).state is CaseState.WAITING
    for memory in (w.main, w.files):
        assert len([r for r in memory.kept if r.verb == "dispose"]) == 1
        assert len([r for r in memory.kept if r.verb == "restrict"]) == 1
    assert told_twice(w, case_no) == []


def test_running_every_verb_twice_changes_nothing_more(w: World) -> None:
    case_no = approved(w)
    for _ in range(2):
        carried_out(w, case_no)
    proved(w, case_no)
    with w.desk.book() as conn:
        before = units.of_case(conn, case_no)
    proved(w, case_no)
    verbs.dispose(w.desk, case_no, **on())
    with w.desk.book() as conn:
        assert units.of_case(conn, case_no) == before


def test_nothing_is_disposed_before_restriction_and_nothing_restricted_before_approval(w: World) -> None:
    case_no = verified(w)
    verbs.rehearse(w.desk, case_no, **on())
    for verb in (verbs.restrict, verbs.settle_and_plan, verbs.dispose):
        with pytest.raises(Refused):
            verb(w.desk, case_no, **on())
    assert not w.main.kept
    verbs.approve(w.desk, case_no, approver=BOSS, as_of=TODAY)
    with pytest.raises(Refused, match="not restricted"):
        verbs.dispose(w.desk, case_no, **on())
    assert len(w.main.rows["account.account"]) == 2


def test_a_few_more_rows_since_the_rehearsal_are_noted_but_many_need_another_word(w: World) -> None:
    case_no = approved(w)
    w.main.rows["account.session"][90] = Row(LI)
    verbs.restrict(w.desk, case_no, **on())
    verbs.settle_and_plan(w.desk, case_no, **on())
    w.main.rows["account.session"] |= {100 + n: Row(LI) for n in range(40)}
    with pytest.raises(Refused, match=r"goes beyond what was approved .*account\.session"):
        verbs.settle_and_plan(w.desk, case_no, **on())
    with pytest.raises(Refused, match="goes beyond what was approved"):
        verbs.dispose(w.desk, case_no, **on())
    # The run is cleared from `rehearse`: the same question is asked again, about the plan in force.
    assert progress.decided(w.desk, case_no) is None
    shown = progress.acted_on(w.desk, case_no)
    assert shown == w.main_plan(case_no)
    plan = shown.fingerprint()
    for approver, seen, says in (
        (SUPPORT, plan, "another person"),
        (BOSS, None, "not the plan in force"),
        (BOSS, "0" * 64, "not the plan in force"),
    ):
        with pytest.raises(Refused, match=says):
            verbs.approve(w.desk, case_no, approver=approver, as_of=TODAY, plan=seen)
    for _ in range(2):
        verbs.approve(w.desk, case_no, approver=BOSS, as_of=TODAY, plan=plan)
    assert progress.decided(w.desk, case_no) == "the plan is approved and being carried out"
    assert verbs.settle_and_plan(w.desk, case_no, **on()).fingerprint() == plan
    verbs.dispose(w.desk, case_no, **on())
    proved(w, case_no)


# --- holds ------------------------------------------------------------------------------------


def hold(w: World, case_no: str, **scope) -> str:
    return verbs.open_hold(
        w.desk, basis="court", document_no="(2026)京0108民初1号", issuing_body="北京市海淀区人民法院",
        law="policy 5.2(2)", case_nos=frozenset({case_no}), as_of=TODAY, actor="legal/sun", **scope,
    )  # fmt: skip


def test_a_hold_over_everything_parks_the_case_restricted_and_says_why(w: World) -> None:
    case_no = verified(w)
    number = hold(w, case_no)
    verbs.rehearse(w.desk, case_no, **on())
    verbs.approve(w.desk, case_no, approver=BOSS, as_of=TODAY)
    before = repr(w.main.rows)
    carried_out(w, case_no)
    proved(w, case_no)
    case = verbs.rest(w.desk, case_no, **on())
    assert case.state is CaseState.HELD
    assert case.parked_because == (
        f"everything that is left is under a hold: {number} holds 9 items (policy 5.2(2))"
    )
    assert repr(w.main.rows) == before and LI in w.main.restricted

    assert verbs.release_hold(w.desk, number, document="(2026) release 1", **on()) == (case_no,)
    assert state(w, case_no) is CaseState.ACTING
    carried_out(w, case_no)
    proved(w, case_no)
    assert verbs.rest(w.desk, case_no, **on()).state is CaseState.WAITING
    assert len(w.main.rows["account.account"]) == 1


def test_a_hold_on_one_category_holds_that_and_nothing_else(w: World) -> None:
    case_no = verified(w)
    number = hold(w, case_no, categories=frozenset({"PI-060"}))
    verbs.rehearse(w.desk, case_no, **on())
    verbs.approve(w.desk, case_no, approver=BOSS, as_of=TODAY)
    carried_out(w, case_no)
    proved(w, case_no)
    with w.desk.book() as conn:
        held = {u.dataset for u in units.of_case(conn, case_no) if u.state is UnitState.HELD}
        assert held == {"web.log"}
        listed = holds.listing(conn)
        assert (listed[0]["hold"], listed[0]["review_due"]) == (number, date(2027, 5, 24))
        assert holds.overdue_reviews(conn, date(2027, 5, 25)) == (number,)
    assert len(w.main.rows["account.account"]) == 1


def test_a_hold_on_a_person_reaches_only_that_person(w: World) -> None:
    verbs.open_hold(w.desk, basis="authority", document_no="1", issuing_body="b", law="policy 5.2(3)",
                    account_ids=frozenset({WANG}), as_of=TODAY, actor="legal/sun")  # fmt: skip
    plan = verbs.rehearse(w.desk, verified(w), **on())
    assert not [x for x in plan.lines if x.disposition is Disposition.HOLD]
    plan = verbs.rehearse(w.desk, verified(w, account=WANG), **on())
    assert {x.disposition for x in plan.lines} == {Disposition.HOLD}


@pytest.mark.parametrize("first", ["case", "hold"])
def test_a_hold_on_a_person_reaches_a_case_under_another_version_of_the_token_key(
    w: World, keys: FileKeyStore, first: str
) -> None:
    def order() -> str:
        return verbs.open_hold(w.desk, basis="court", document_no="1", issuing_body="b", law="l",
                               account_ids=frozenset({LI}), as_of=TODAY, actor="legal/sun")  # fmt: skip

    number = order() if first == "hold" else ""
    case_no = opened(w) if first == "case" else ""
    keys.make(Purpose.SUBJECT_TOKEN.value, "case book", Purpose.SUBJECT_TOKEN)
    number, case_no = number or order(), case_no or opened(w)
    with w.desk.book() as conn:
        provided = deciding.provisions(w.desk, conn, book.case(conn, case_no), TODAY)
        noted = [e["detail"]["hold"] for e in book.timeline(conn, case_no) if e["what"] == "hold opened"]
    assert {h.hold for p in provided.provisions for h in p.holds} == {number}
    assert noted == ([number] if first == "case" else [])


@pytest.mark.parametrize(
    "wrong",
    [{"document_no": " "}, {"issuing_body": ""}, {"law": ""}, {"basis": "wish"}, {"case_nos": frozenset()},
     {"document_no": "13812345678"}, {"datasets": frozenset({"no.such"})}],
)  # fmt: skip
def test_a_hold_without_document_body_law_or_people_is_no_hold(w: World, wrong) -> None:
    case_no = opened(w)
    good = {
        "basis": "court",
        "document_no": "1",
        "issuing_body": "b",
        "law": "l",
        "case_nos": frozenset({case_no}),
    }
    with pytest.raises(Refused):
        verbs.open_hold(w.desk, **(good | wrong), **on())
    with w.desk.book() as conn:
        assert holds.listing(conn) == []


def held_by_court(w: World, case_no: str, *datasets: str) -> str:
    return hold(w, case_no, datasets=frozenset(datasets))


def left(w: World, dataset: str) -> int:
    rows = (w.main.rows | w.files.rows)[dataset]
    return sum(r.owner == LI for r in rows.values())


@pytest.mark.parametrize("store", ["main", "files"])
def test_a_hold_that_arrives_after_planning_is_obeyed_by_the_retry(w: World, store: str) -> None:
    case_no = approved(w)
    verbs.restrict(w.desk, case_no, **on())
    verbs.settle_and_plan(w.desk, case_no, **on())
    dataset = {"main": "account.session", "files": "scan.image"}[store]
    getattr(w, store).down_at = {"dispose"}
    with pytest.raises(NotReachable):
        verbs.dispose(w.desk, case_no, **on())
    before = left(w, dataset)
    number = held_by_court(w, case_no, dataset)  # the order comes while the store is down
    getattr(w, store).down_at = set()
    with pytest.raises(Drifted, match="what must stay"):
        verbs.dispose(w.desk, case_no, **on())
    assert left(w, dataset) == before
    verbs.settle_and_plan(w.desk, case_no, **on())
    verbs.dispose(w.desk, case_no, **on())
    proved(w, case_no)
    assert left(w, dataset) == before and left(w, "account.account") == 0
    assert verbs.rest(w.desk, case_no, **on()).state is CaseState.WAITING
    with w.desk.book() as conn:
        held = {u.dataset: u.hold for u in units.of_case(conn, case_no) if u.state is UnitState.HELD}
    assert held == {dataset: number}


def test_a_hold_over_people_that_is_narrowed_or_released_after_planning_is_weighed_anew(w: World) -> None:
    case_no = verified(w)
    number = hold(w, case_no, categories=frozenset({"PI-060"}))
    verbs.rehearse(w.desk, case_no, **on())
    verbs.approve(w.desk, case_no, approver=BOSS, as_of=TODAY)
    verbs.restrict(w.desk, case_no, **on())
    verbs.settle_and_plan(w.desk, case_no, **on())
    verbs.release_hold(w.desk, number, document="2", **on())
    with pytest.raises(Drifted, match="what must stay"):
        verbs.dispose(w.desk, case_no, **on())


def test_a_hold_opened_while_one_store_is_disposed_of_is_noticed_and_stops_the_next(w: World) -> None:
    case_no = approved(w)
    verbs.restrict(w.desk, case_no, **on())
    verbs.settle_and_plan(w.desk, case_no, **on())
    numbers: list[str] = []
    w.main.meanwhile["dispose"] = lambda: numbers.append(hold(w, case_no))
    with pytest.raises(Drifted, match="what must stay"):
        verbs.dispose(w.desk, case_no, **on())
    assert left(w, "account.account") == 0 and left(w, "scan.image") == 1
    with w.desk.book() as conn:
        assert holds.overtaken(conn, numbers[0]) == (case_no,)
        told = [e["detail"] for e in book.timeline(conn, case_no) if e["what"] == "hold opened"]
        assert told == [{"hold": numbers[0], "while_disposing": True}]
    later = hold(w, case_no, datasets=frozenset({"scan.image"}))
    with w.desk.book() as conn:
        assert holds.overtaken(conn, later) == (), "nothing was being disposed of"


def test_a_hold_on_a_person_is_noticed_by_the_case_about_that_person(w: World) -> None:
    case_no, other = approved(w), opened(w, WANG)
    number = verbs.open_hold(w.desk, basis="court", document_no="1", issuing_body="b", law="l",
                             account_ids=frozenset({LI}), as_of=TODAY, actor="legal/sun")  # fmt: skip
    with w.desk.book() as conn:
        for case, says in ((case_no, [number]), (other, [])):
            found = [e["detail"]["hold"] for e in book.timeline(conn, case) if e["what"] == "hold opened"]
            assert found == says


def test_two_runs_never_dispose_of_one_case_at_the_same_time(w: World) -> None:
    case_no = approved(w)
    with w.desk.book() as conn, holds.none_unnoticed(conn, case_no), w.desk.book() as second:
        second.execute("SET lock_timeout = '50ms'")
        with pytest.raises(NotReachable, match="by somebody else"), holds.none_unnoticed(second, case_no):
            pass


def test_a_store_that_was_begun_stops_where_it_is_at_a_hold_that_came_since(w: World) -> None:
    case_no = approved(w)
    verbs.restrict(w.desk, case_no, **on())
    verbs.settle_and_plan(w.desk, case_no, **on())
    w.files.dies_after = {"intend"}
    with pytest.raises(KeyboardInterrupt):
        verbs.dispose(w.desk, case_no, **on())
    number = held_by_court(w, case_no, "scan.image")
    for verb in (verbs.dispose, verbs.settle_and_plan, verbs.dispose):
        with pytest.raises(Refused, match=r"what must stay of scan\.image is more than"):
            verb(w.desk, case_no, **on())
    assert left(w, "scan.image") == 1
    verbs.release_hold(w.desk, number, document="2", **on())
    verbs.settle_and_plan(w.desk, case_no, **on())
    verbs.dispose(w.desk, case_no, **on())
    proved(w, case_no)
    assert left(w, "scan.image") == 0
    assert verbs.rest(w.desk, case_no, **on()).state is CaseState.WAITING


def secretly_held(w: World, case_no: str, **scope) -> str:
    return verbs.open_hold(w.desk, basis="court", document_no="(2026)京0108民初1号", issuing_body="法院",
                           law="policy 5.2(2)", case_nos=frozenset({case_no}), as_of=TODAY, actor="legal/sun",
                           confidential=True, **scope)  # fmt: skip


def test_no_message_and_no_finding_speaks_of_a_hold_that_came_after_the_rehearsal(w: World) -> None:
    """What a red task says, Airflow stores for everybody; the case's page shows findings to whoever opens cases."""
    said: list[str] = []

    def refused(verb, **more) -> None:
        with pytest.raises((Refused, Drifted)) as told:
            verb(w.desk, case_no, **more)
        said.append(str(told.value))

    case_no = verified(w)
    verbs.rehearse(w.desk, case_no, **on())
    secretly_held(w, case_no, categories=frozenset({"PI-060"}))
    refused(verbs.approve, approver=BOSS, as_of=TODAY)
    seen = verbs.rehearse(w.desk, case_no, **on()).fingerprint()
    verbs.approve(w.desk, case_no, approver=BOSS, as_of=TODAY, plan=seen)
    verbs.restrict(w.desk, case_no, **on())
    secretly_held(w, case_no, datasets=frozenset({"account.session"}))
    w.main.rows["account.session"] |= {n: Row(LI) for n in range(100, 103)}
    w.main.rows["ca.certificate"] |= {n: Row(LI, date(2020, 1, 1)) for n in range(100, 200)}
    refused(verbs.settle_and_plan, **on())  # the certificates go further than what was approved
    with w.desk.book() as conn:
        said += [f["what"] for f in papers.open_findings(conn, case_no)]
    verbs.accept_plan(w.desk, case_no, approver=BOSS, plan=w.main_plan(case_no).fingerprint(), as_of=TODAY)
    secretly_held(w, case_no, datasets=frozenset({"account.account"}))
    refused(verbs.dispose, **on())
    verbs.settle_and_plan(w.desk, case_no, **on())
    w.files.dies_after = {"intend"}
    with pytest.raises(KeyboardInterrupt):
        verbs.dispose(w.desk, case_no, **on())
    secretly_held(w, case_no, datasets=frozenset({"scan.image"}))
    refused(verbs.dispose, **on())
    assert len(said) >= 5
    assert [text for text in said if re.search(r"(?i)\bhold|\bheld\b|保全", text)] == []


def test_a_confidential_hold_is_compared_as_what_is_kept(w: World) -> None:
    """One dataset both held and grown: the difference that is told names what goes and what is kept."""
    case_no = approved(w)
    verbs.restrict(w.desk, case_no, **on())
    secretly_held(w, case_no, datasets=frozenset({"account.session"}))
    plan = verbs.settle_and_plan(w.desk, case_no, **on())
    with w.desk.book() as conn:
        case = book.case(conn, case_no)
        differences, _ = acting._further(w.desk, conn, case, plan)
        open_about_it = planner.compare(papers.plans(conn, case, "rehearsal")[-1], plan)
    assert {f.what.split(":")[0] for f in differences} == {"to be erased", "to be retained"}
    assert "to be held" in {f.what.split(":")[0] for f in open_about_it}


def test_a_parked_case_is_refused_in_the_words_of_a_waiting_one(w: World) -> None:
    case_no = verified(w)
    secretly_held(w, case_no)
    verbs.rehearse(w.desk, case_no, **on())
    verbs.approve(w.desk, case_no, approver=BOSS, as_of=TODAY)
    for verb in (verbs.restrict, verbs.settle_and_plan, verbs.dispose):
        verb(w.desk, case_no, **on())
    proved(w, case_no)
    assert verbs.rest(w.desk, case_no, **on()).state is CaseState.HELD
    for verb in (verbs.restrict, verbs.rehearse):
        with pytest.raises(Refused) as told:
            verb(w.desk, case_no, **on())
        assert not re.search(r"(?i)\bhold|\bheld\b", str(told.value)), told.value


# --- plans that come back ---------------------------------------------------------------------


def test_a_row_that_appears_and_goes_again_leaves_the_first_plan_in_force(w: World) -> None:
    case_no = approved(w)
    verbs.restrict(w.desk, case_no, **on())
    first = verbs.settle_and_plan(w.desk, case_no, **on())
    w.main.rows["account.session"][90] = Row(LI)
    assert verbs.settle_and_plan(w.desk, case_no, **on()) != first
    del w.main.rows["account.session"][90]
    assert verbs.settle_and_plan(w.desk, case_no, **on()) == first
    assert w.main_plan(case_no) == first
    carried = verbs.dispose(w.desk, case_no, **on())
    assert {r.plan for r in carried} == {first.fingerprint()}
    proved(w, case_no)
    assert verbs.rest(w.desk, case_no, **on()).state is CaseState.WAITING
    with w.desk.book() as conn:
        assert [done.plan for done in papers.carried_out(conn, book.case(conn, case_no))] == [first]


def test_a_store_without_transactions_is_finished_by_the_plan_it_was_begun_with_however_long_ago(
    w: World,
) -> None:
    case_no = approved(w)
    verbs.restrict(w.desk, case_no, **on())
    begun = verbs.settle_and_plan(w.desk, case_no, **on())
    honest = w.main.dispose
    w.main.dispose = lambda step, plan: None  # type: ignore[method-assign,assignment,return-value]
    w.files.dies_after = {"intend"}
    with pytest.raises(KeyboardInterrupt):
        verbs.dispose(w.desk, case_no, **on())
    w.main.dispose = honest  # type: ignore[method-assign]
    for n in range(3):  # the other store's items move on, and it is planned three times more
        w.main.rows["account.session"][90 + n] = Row(LI)
        verbs.settle_and_plan(w.desk, case_no, **on())
    receipts = verbs.dispose(w.desk, case_no, **on())
    assert {r.store: r.plan == begun.fingerprint() for r in receipts} == {"main": False, "files": True}
    proved(w, case_no)
    assert left(w, "scan.image") == 0
    assert verbs.rest(w.desk, case_no, **on()).state is CaseState.WAITING


# --- later steps ------------------------------------------------------------------------------


def test_a_later_step_takes_what_the_one_before_left_and_asks_again_for_more(w: World) -> None:
    case_no = verified(w)
    number = hold(w, case_no)
    verbs.rehearse(w.desk, case_no, **on())
    verbs.approve(w.desk, case_no, approver=BOSS, as_of=TODAY)
    assert rested(w, case_no) is CaseState.HELD
    verbs.release_hold(w.desk, number, document="2", **on())
    w.main.rows["account.session"] |= {100 + n: Row(LI) for n in range(40)}
    verbs.restrict(w.desk, case_no, **on())
    with pytest.raises(Refused, match=r"account\.session .*42 items are to go, but the step before left 2"):
        verbs.settle_and_plan(w.desk, case_no, **on())
    with pytest.raises(Refused, match="clear the task `rehearse`"):
        verbs.dispose(w.desk, case_no, **on())
    plan = w.main_plan(case_no).fingerprint()
    verbs.approve(w.desk, case_no, approver=BOSS, as_of=TODAY, plan=plan)
    assert rested(w, case_no) is CaseState.WAITING
    # And at the next date what was to stay still stays, unless somebody says so.
    later = date(2027, 5, 2)
    w.main.rows["ra.application"][2].started = date(2000, 1, 1)
    verbs.restrict(w.desk, case_no, **on(later))
    with pytest.raises(Refused, match=r"ra\.application .*1 items are to go, but the step before left 0"):
        verbs.settle_and_plan(w.desk, case_no, **on(later))
    w.main.rows["ra.application"][2].started = date(2024, 6, 30)
    assert rested(w, case_no, later) is CaseState.WAITING
    assert findings(w, case_no) == []


# --- after the letter -------------------------------------------------------------------------


def test_after_the_letter_of_a_refusal_the_case_is_closed_and_the_person_can_ask_again(w: World) -> None:
    case_no = verified(w)
    with pytest.raises(Refused, match="nothing to hand over yet"):
        verbs.told(w.desk, case_no, **on())
    verbs.refuse(w.desk, case_no, ground="11.4(5)", article="PIPL 50", reasons="r", scope=["everything"],
                 reviewer=BOSS, second_reviewer="approver/zhao", as_of=TODAY)  # fmt: skip
    with pytest.raises(Refused, match=f"case told {case_no}"):
        opened(w)
    assert verbs.told(w.desk, case_no, **on()).state is CaseState.CLOSED
    assert verbs.told(w.desk, case_no, **on()).state is CaseState.CLOSED
    assert opened(w) != case_no


# --- lies -------------------------------------------------------------------------------------


def test_a_table_that_silently_ignores_the_delete_ends_in_a_named_finding_and_an_open_case(w: World) -> None:
    case_no = approved(w)
    w.main.ignores = {"account.session"}
    carried_out(w, case_no)
    with pytest.raises(NotProved, match=r"gone\.account\.session"):
        proved(w, case_no)
    (found,) = findings(w, case_no)
    assert (found["code"], found["dataset"], found["items"]) == ("gone_not_proved", "account.session", 2)
    assert verbs.rest(w.desk, case_no, **on()).state is CaseState.ACTING
    with w.desk.book() as conn:
        failed = {u.dataset for u in units.of_case(conn, case_no) if u.state is UnitState.DELETE_FAILED}
    assert failed == {"account.session"}


def test_an_unverified_proof_is_never_gone(w: World) -> None:
    case_no = approved(w)
    carried_out(w, case_no)
    check = Check(name="gone.account.account", dataset="account.account", rung=Rung.R2,
                  verdict=Verdict.UNVERIFIED, why="permission denied")  # fmt: skip
    evidence = Evidence(kind="gone", step="case_000001_s1", case_no=case_no, store="main", as_of=TODAY,
                        observed_at=observed_now(), plan=None, checks=(check,))  # fmt: skip
    with pytest.raises(NotProved, match="permission denied"):
        verbs.record_evidence(w.desk, evidence, **on())
    assert verbs.rest(w.desk, case_no, **on()).state is CaseState.ACTING
    with w.desk.book() as conn:
        account = [u for u in units.of_case(conn, case_no) if u.dataset == "account.account"]
    assert {u.state for u in account} == {UnitState.DELETING_LIVE}
    assert {u.rung_reached for u in account} == {None}


def test_evidence_without_a_single_check_proves_nothing(w: World) -> None:
    case_no = approved(w)
    carried_out(w, case_no)
    empty = Evidence(kind="dragnet", step="case_000001_s1", case_no=case_no, store=None, as_of=TODAY,
                     observed_at=observed_now(), plan=None, checks=())  # fmt: skip
    with pytest.raises(NotProved, match="no check was made"):
        verbs.record_evidence(w.desk, empty, **on())
    assert findings(w, case_no)


def test_books_that_do_not_balance_name_the_dataset_and_both_numbers_and_keep_the_case_open(w: World) -> None:
    case_no = approved(w)
    verbs.restrict(w.desk, case_no, **on())
    verbs.settle_and_plan(w.desk, case_no, **on())
    honest = w.main.dispose

    def short(step, plan):
        receipt = honest(step, plan)
        counts = receipt.counts | {"account.session": {"erased": 1}}
        w.main.kept[-1] = receipt.model_copy(update={"counts": counts})
        return w.main.kept[-1]

    w.main.dispose = short  # type: ignore[method-assign]
    verbs.dispose(w.desk, case_no, **on())
    with pytest.raises(BooksDoNotBalance, match=r"account\.session: 2 located, 1 accounted for"):
        verbs.balance(w.desk, case_no, **on())
    assert [f["dataset"] for f in findings(w, case_no)] == ["account.session"]
    assert verbs.rest(w.desk, case_no, **on()).state is CaseState.ACTING


def test_a_closed_case_reopens_only_when_something_resurfaced(w: World) -> None:
    case_no = verified(w)
    with pytest.raises(Refused, match="no way"):
        verbs.reopen(w.desk, case_no, because="probe_hit", **on())


# --- own initiative ---------------------------------------------------------------------------


def test_a_nightly_cohort_needs_no_identity_and_no_approval_but_notices_and_proof(w: World) -> None:
    made = verbs.open_own_initiative(
        w.desk, [WANG, LI, LI], ground=Ground.MINOR, trigger_user="system/nightly", as_of=TODAY
    )
    plan = verbs.rehearse(w.desk, made.case_no, **on())
    assert sum(x.items for x in plan.located) == 15
    carried_out(w, made.case_no)
    with w.desk.book() as conn:
        assert {u.subject_no for u in units.of_case(conn, made.case_no)} == {units.COHORT}
        assert outbox.listing(conn, made.case_no)
    assert opened(w, LI) != made.case_no, "a request may be opened beside a nightly cohort"


@pytest.mark.parametrize("ground", [Ground.LIMIT_REACHED, Ground.PURPOSE_ACHIEVED])
def test_a_ground_that_reaches_a_part_is_never_taken_for_the_whole_person(w: World, ground: Ground) -> None:
    with pytest.raises(Refused, match="reaches only a part"):
        verbs.open_own_initiative(w.desk, [LI], ground=ground, trigger_user="system/nightly", as_of=TODAY)


@pytest.mark.parametrize(
    "said",
    [
        {"ground": Ground.LIMIT_REACHED}, {"ground": Ground.SHUTDOWN}, {"ground": Ground.PURPOSE_ACHIEVED},
        {"ground": Ground.WITHDRAWN_CONSENT}, {"ground": Ground.OBJECTION}, {"ground": Ground.NO_CONSENT},
        {"ground": Ground.UNLAWFUL_PROCESSING}, {"ground": Ground.BREACH_OF_AGREEMENT},
        {"channel": Channel.SCHEDULE}, {"requester": Requester.US}, {"requester": Requester.OBJECTOR},
    ],
)  # fmt: skip
def test_nobody_can_ask_for_what_skips_identity_and_approval_or_reaches_only_a_part(
    w: World, database: str, said: dict
) -> None:
    request = {"ground": Ground.CANCELLATION, "channel": Channel.APP, "requester": Requester.SELF} | said
    with pytest.raises(Refused) as refused:
        verbs.open_case(w.desk, LI, trigger_user=SUPPORT, received_at=RECEIVED, **request)
    assert refused.value.next_step
    accounts: Any = w.desk.accounts
    assert stored_cases(database) == 0 and accounts.asked == []


def test_a_minor_that_somebody_reports_is_verified_and_approved_like_any_request(w: World) -> None:
    case_no = opened(w, ground=Ground.MINOR)
    assert state(w, case_no) is CaseState.RECEIVED
    assert progress.identified(w.desk, case_no) is None and progress.decided(w.desk, case_no) is None
    for verb in (verbs.rehearse, verbs.restrict, verbs.settle_and_plan, verbs.dispose):
        with pytest.raises(Refused):
            verb(w.desk, case_no, **on())
    proof = {"method": "guardian_documents_compared", "fields": ["PI-001"], "as_of": TODAY, "actor": ROBOT}
    verbs.ask_identity(w.desk, case_no, **proof)
    verbs.record_identity(w.desk, case_no, outcome="matched", **proof)
    verbs.rehearse(w.desk, case_no, **on())
    with pytest.raises(Refused, match="nobody has approved"):
        verbs.restrict(w.desk, case_no, **on())
    assert not w.main.kept and not w.main.restricted


def test_a_request_is_no_own_initiative(w: World) -> None:
    with pytest.raises(Refused, match="asked for by a person"):
        verbs.open_own_initiative(
            w.desk, [LI], ground=Ground.CANCELLATION, trigger_user="system/x", as_of=TODAY
        )


# --- nothing personal -------------------------------------------------------------------------


def test_the_case_book_holds_no_account_id_in_clear_in_any_column(w: World, database: str) -> None:
    case_no = approved(w)
    verbs.open_hold(
        w.desk,
        basis="court",
        document_no="1",
        issuing_body="b",
        law="l",
        account_ids=frozenset({LI}),
        as_of=TODAY,
        actor="legal/sun",
        datasets=frozenset({"web.log"}),
    )
    verbs.rehearse(w.desk, verified(w, account=WANG), **on())
    with pytest.raises(Refused):
        opened(w, "13812345678")
    with psycopg.connect(database) as conn:
        tables = [r[0] for r in conn.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'casebook'")]  # fmt: skip
        assert len(tables) >= 15
        for name in tables:
            for (text,) in conn.execute(f"SELECT row_to_json(t)::text FROM casebook.{name} t"):
                for word in (LI, WANG, "acct_", "13812345678", LI.encode().hex()):
                    assert word not in text, name
    assert case_no


def test_a_drift_in_the_second_store_is_planned_again_without_losing_the_first(w: World) -> None:
    case_no = approved(w)
    verbs.restrict(w.desk, case_no, **on())
    verbs.settle_and_plan(w.desk, case_no, **on())
    w.files.rows["scan.image"][7] = Row(LI)  # written while the first store was being disposed of
    with pytest.raises(Drifted):
        verbs.dispose(w.desk, case_no, **on())
    plan = verbs.settle_and_plan(w.desk, case_no, **on())
    assert {x.dataset: x.items for x in plan.located}["account.session"] == 2, "as disposed of"
    verbs.dispose(w.desk, case_no, **on())
    proved(w, case_no)
    assert verbs.rest(w.desk, case_no, **on()).state is CaseState.WAITING
