"""The clocks over the whole book: red when something is late, quiet when nothing is, whatever the number of cases."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from include.cases import book, verbs, watch
from include.cases.keys import FileKeyStore
from include.cases.notices import errands, outbox
from include.model.catalogue import Catalogue
from include.model.words import CaseState
from tests.cases.small import LI, TODAY, WANG, World, catalogue, world
from tests.cases.test_verbs import (
    ROBOT,
    approved,
    carried_out,
    hold,
    issued,
    on,
    opened,
    proved,
    rested,
    state,
    verified,
)

pytestmark = pytest.mark.postgres
DAY = timedelta(days=1)
REPLY, FINISH = date(2026, 12, 24), date(2026, 12, 15)  # of a person verified on TODAY
LOG_GOES = date(2027, 5, 2)  # the day after the last day of the log's six months
PROOF = {"method": "signed_in_session", "fields": ["PI-001"]}


@pytest.fixture
def w(writer: str, tmp_path) -> World:
    return world(writer, FileKeyStore(tmp_path / "keys", b"k" * 32))


def look(w: World, as_of: date) -> watch.Clocks:
    return watch.look(w.desk, as_of=as_of, actor="system/clocks")


def test_a_case_nobody_finishes_is_red_with_what_it_is_late_with_and_soon_before(w: World) -> None:
    case_no = verified(w)
    assert look(w, FINISH - 4 * DAY).soon == ()
    assert look(w, FINISH).late == () and look(w, FINISH).soon == (case_no,)
    red = look(w, FINISH + DAY)
    assert red.why == {case_no: "the cancellation is not finished"} and case_no in str(red)
    assert look(w, REPLY).why == red.why
    assert look(w, REPLY + DAY).why == {
        case_no: "the person has not been told, the cancellation is not finished"
    }


def test_a_certificate_that_nobody_handed_over_is_no_reply_and_one_that_was_is(w: World) -> None:
    case_no = approved(w)
    assert rested(w, case_no) is CaseState.WAITING
    issued(w, case_no)
    assert look(w, REPLY).late == ()
    assert look(w, REPLY + DAY).why == {case_no: "the person has not been told"}
    verbs.told(w.desk, case_no, **on(REPLY))
    assert look(w, REPLY + DAY).late == (), "told: it waits in data, and the alarm is not blind"
    other = verified(w, account=WANG)
    assert look(w, FINISH + DAY).late == (other,)


def test_an_item_that_survives_the_night_of_its_date_is_late_unless_a_hold_keeps_it(w: World) -> None:
    case_no = approved(w)
    rested(w, case_no)
    issued(w, case_no)
    verbs.told(w.desk, case_no, **on())
    assert (look(w, LOG_GOES - DAY).due, look(w, LOG_GOES - DAY).late) == ((), ())
    today = look(w, LOG_GOES)
    assert (today.due, today.late) == ((case_no,), ()) and f"go on with ({case_no})" in str(today)
    assert look(w, LOG_GOES + DAY).why == {case_no: "items are past their date"}

    verbs.resume(w.desk, case_no, **on(LOG_GOES))
    assert state(w, case_no) is CaseState.ACTING and look(w, LOG_GOES).late == (), "at work the same day"
    carried_out(w, case_no, LOG_GOES)
    assert look(w, LOG_GOES + 2 * DAY).why == {case_no: "items are past their date"}, "begun, never proved"
    proved(w, case_no, LOG_GOES)
    assert verbs.rest(w.desk, case_no, **on(LOG_GOES)).state is CaseState.WAITING
    assert look(w, LOG_GOES + DAY).late == ()


def test_an_item_under_a_hold_is_not_late_past_its_date(w: World) -> None:
    case_no = verified(w)
    hold(w, case_no, categories=frozenset({"PI-060"}))
    verbs.rehearse(w.desk, case_no, **on())
    verbs.approve(w.desk, case_no, approver="approver/wang", as_of=TODAY)
    rested(w, case_no)
    issued(w, case_no)
    verbs.told(w.desk, case_no, **on())
    red = look(w, LOG_GOES + DAY)
    assert (red.late, red.due) == ((), ()) and red.reviews == (), "its review is due on 24 May"
    assert len(look(w, date(2027, 5, 25)).reviews) == 1


def test_who_cannot_be_told_by_a_machine_is_given_to_a_person_on_the_day_of_its_reminder(
    w: World, writer: str
) -> None:
    """It was tried and nobody signed for it, so it was never told and is not silent: no other clock would end that."""
    case_no = approved(w)
    with w.desk.book() as conn, book.deed(conn, case_no):
        conn.execute("UPDATE casebook.outbox SET attempts = 3, why = 'not signed' WHERE recipient = 'sms'")
        (remind_on,) = {n["remind_on"] for n in outbox.listing(conn, case_no)}
    assert look(w, remind_on - DAY).handed_over == 0
    assert look(w, remind_on).handed_over == 1 and look(w, remind_on).handed_over == 0
    with w.desk.book() as conn:
        states = {
            n["recipient"]: (n["state"], n["delivery"], n["why"]) for n in outbox.listing(conn, case_no)
        }
        assert [e["recipient"] for e in errands.listing(conn)] == ["sms"]
        assert book.timeline(conn, case_no)[-1]["what"] == "notice for a person"
    assert states["sms"] == ("tp_notified", "errand", "not signed")
    assert states["vetting"][1] == "waiting", "nobody tried: that is ours to do"


@pytest.mark.parametrize("of", ["stores", "recipients"])
def test_what_is_abroad_is_an_alarm_whatever_the_cases_say(writer: str, tmp_path: Path, of: str) -> None:
    def moved() -> Catalogue:
        made = catalogue()
        last = getattr(made, of)[-1]
        return made.model_copy(
            update={of: (*getattr(made, of)[:-1], last.model_copy(update={"region": "SG"}))}
        )

    home = world(writer, FileKeyStore(tmp_path / "home", b"k" * 32))
    away = world(writer, FileKeyStore(tmp_path / "away", b"k" * 32), moved)
    assert look(home, TODAY).alarms == ()
    (place,) = look(away, TODAY).abroad
    assert place.startswith(of) and place.endswith("in SG") and look(away, TODAY).alarms == (place,)
    assert "1 places abroad" in str(look(away, TODAY))


def test_proof_that_nobody_brings_in_fifteen_days_fails_for_all_at_once_and_once(w: World) -> None:
    waiting, other = opened(w), opened(w, WANG)
    verbs.ask_identity(w.desk, waiting, **PROOF, **on())
    verbs.ask_identity(w.desk, other, **PROOF, **on(TODAY + DAY))
    assert look(w, TODAY + 15 * DAY).expired == ()
    assert look(w, TODAY + 16 * DAY).expired == (waiting,)
    assert look(w, TODAY + 16 * DAY).expired == () and state(w, other) is CaseState.ID_PENDING
    assert look(w, TODAY + 17 * DAY).expired == (other,)
    with w.desk.book() as conn:
        moved = book.timeline(conn, waiting)[-1]
    assert (moved["to_state"], moved["law_row"], moved["detail"]) == (
        "id_failed", 4, {"outcome": "no_answer"}
    )  # fmt: skip


def test_a_case_that_somebody_is_answering_is_left_alone(w: World) -> None:
    case_no = opened(w)
    verbs.ask_identity(w.desk, case_no, **PROOF, **on())
    with w.desk.book() as conn, book.deed(conn, case_no):
        book.case(conn, case_no, lock=True)
        assert look(w, TODAY + 16 * DAY).expired == ()
    assert look(w, TODAY + 16 * DAY).expired == (case_no,)


def test_only_who_was_told_can_be_silent_also_in_a_case_that_is_held(w: World) -> None:
    case_no = verified(w)
    hold(w, case_no)
    verbs.rehearse(w.desk, case_no, **on())
    verbs.approve(w.desk, case_no, approver="approver/wang", as_of=TODAY)
    assert rested(w, case_no) is CaseState.HELD
    never = look(w, TODAY + 400 * DAY)
    assert (never.silent, never.unsent) == (0, 2)
    sent_on = TODAY + 5 * DAY
    verbs.sent(w.desk, case_no, "sms", **on(sent_on))
    verbs.sent(w.desk, case_no, "sms", **on(sent_on + 9 * DAY))  # once sent is sent
    assert look(w, sent_on + 29 * DAY).silent == 0
    assert look(w, sent_on + 30 * DAY).silent == 1
    assert look(w, sent_on + 30 * DAY).silent == 0
    with w.desk.book() as conn:
        states = {n["recipient"]: (n["state"], n["answer_code"]) for n in outbox.listing(conn, case_no)}
        event = book.timeline(conn, case_no)[-1]
    assert states == {"sms": ("tp_escalated", "NO_REPLY"), "vetting": ("tp_notified", None)}
    assert (event["law_row"], event["detail"]) == (17, {"recipient": "sms", "code": "NO_REPLY"})


def test_an_answer_recorded_late_starts_the_clocks_on_the_day_it_was_given(w: World) -> None:
    case_no = opened(w)
    verbs.ask_identity(w.desk, case_no, **PROOF, **on())
    friday = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
    case = verbs.record_identity(
        w.desk, case_no, outcome="matched", **PROOF, **on(TODAY + 3 * DAY), answered_at=friday
    )
    assert (case.reply_due, case.finish_due) == (REPLY, FINISH)
    assert case.verified_at is not None and case.verified_at <= friday
    other = opened(w, WANG)
    verbs.ask_identity(w.desk, other, **PROOF, **on())
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    case = verbs.record_identity(w.desk, other, outcome="matched", **PROOF, **on(), answered_at=tomorrow)
    assert case.verified_at is not None and case.verified_at <= datetime.now(UTC), "no moment still to come"


@pytest.mark.sessions_end
def test_looking_takes_as_many_connections_for_many_cases_as_for_one(w: World, monkeypatch) -> None:
    counts: list[int] = []
    real = book.connect

    def counting(conninfo: str) -> book.Conn:
        counts[-1] += 1
        return real(conninfo)

    monkeypatch.setattr(book, "connect", counting)
    for account in (LI, WANG):
        counts.append(0)
        case_no = approved(w, account=account)
        verbs.restrict(w.desk, case_no, as_of=TODAY, actor=ROBOT)
        counts[-1] = 0
        look(w, TODAY)
    assert counts == [2, 2]


def test_a_hold_past_its_review_is_counted_and_not_named_to_airflow(w: World) -> None:
    number = hold(w, opened(w), confidential=True)
    seen = look(w, TODAY + 200 * DAY)
    assert seen.reviews == (number,)
    assert "1 holds past their review" in str(seen) and number not in str(seen)
