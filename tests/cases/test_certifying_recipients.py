"""What certificates say of recipients, over the real book, ledger and signer: who deleted, keeps, is silent, was caught."""

# ruff: noqa: F811  fixtures of another file
from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from include.cases import watch
from include.cases.notices import answering, figures, outbox, synthetic, telling, truth
from include.cases.notices.outcomes import outcomes
from include.model.errors import NotProved
from include.model.notices import AnswerCode, Part
from tests.cases.notices.making import ACTOR, answer, rows
from tests.cases.notices.test_synthetic import Knowing
from tests.cases.small import LI, TODAY
from tests.cases.test_certifying import ORDER, House, house, new_house, opened  # noqa: F401
from tests.cases.test_verbs import on

pytestmark = pytest.mark.postgres
LATER = TODAY + timedelta(days=31)


@pytest.fixture
def body(house: House) -> Knowing:
    made = Knowing(people={"seed-1"})
    object.__setattr__(house.w.desk, "channel", lambda _: made)
    return made


def told(house: House, *recipients: str, hold: dict[str, Any] | None = None) -> str:
    """A cancellation of a synthetic person at sms, approved, its recipients told, the live work done."""
    synthetic.add(house.w.desk, LI, {"sms": ("seed-1",)}, as_of=TODAY, actor="ops/zhao")
    case_no = house.case(hold=hold)
    for one in recipients:
        telling.tell(house.w.desk, one, **on())
    house.work(case_no)
    return case_no


def says(house: House, case_no: str, recipient: str, *parts: Part, as_of: date = TODAY) -> None:
    row = [r for r in rows(house.w.desk, case_no) if r["recipient"] == recipient][-1]
    said = answer(row, *parts, message=str(row["request_id"]), to=recipient)
    answering.take(house.w.desk, said, as_of=as_of, actor=ACTOR)


def part(code: str, **more: Any) -> Part:
    return Part(code=AnswerCode(code), **more)


def lines(text: str) -> dict[str, dict[str, Any]]:
    return {f"{r['recipient']} {r['outcome']}": r for r in opened(text)["recipients"]}


def test_a_word_that_was_verified_one_that_is_kept_by_law_and_silence(house: House, body: Knowing) -> None:
    case_no = told(house, "sms", "vetting")
    says(house, case_no, "sms", part("DELETED"))
    body.people = set()
    truth.look_again(house.w.desk, "sms", **on())
    figures.to_ledger(house.w.desk, as_of=TODAY)
    first = house.certify(case_no)
    auditor = opened(first.auditor)
    assert lines(first.auditor).keys() == {"sms gone", "vetting open"}
    assert len(auditor["rechecks"]) == 1 and auditor["figures"] is not None
    assert lines(first.person) == {}
    assert house.certify(case_no).auditor == first.auditor
    figures.to_ledger(house.w.desk, as_of=TODAY + timedelta(days=1))
    assert house.certify(case_no).serial == first.serial, "another day's figures are no reason for a new one"

    watch.look(house.w.desk, as_of=LATER, actor="system/clocks")
    second = house.certify(case_no, LATER)
    silent = lines(second.person)["vetting escalated"]
    assert (silent["ended_on"], silent["stopped_on"]) == (LATER.isoformat(), LATER.isoformat())
    assert silent["told_on"] is not None and silent["code"] is None
    assert second.person_serial == first.person_serial + 1

    says(
        house,
        case_no,
        "vetting",
        part("RETAINED_BY_LAW", article="CSL 23(3)", until=date(2027, 4, 1)),
        as_of=LATER,
    )
    third = house.certify(case_no, LATER)
    kept = lines(third.person)["vetting retained"]
    assert (kept["law"], kept["until"], kept["categories"]) == ("CSL 23(3)", "2027-04-01", ["PI-028"])


def test_a_law_that_names_somebody_is_left_to_the_sealed_answer(house: House, body: Knowing) -> None:
    case_no = told(house, "vetting")
    says(
        house,
        case_no,
        "vetting",
        part("RETAINED_BY_LAW", article="as 13900004444 said", until=date(2027, 4, 1)),
    )
    issued = house.certify(case_no)
    assert lines(issued.person)["vetting retained"]["law"] == "a law, as its answer says"
    assert "13900004444" not in str(opened(issued.auditor))


def test_whoever_was_caught_has_it_on_the_certificate_once_it_may_be_made(
    house: House, body: Knowing
) -> None:
    case_no = told(house, "sms")
    says(house, case_no, "sms", part("DELETED"))
    truth.look_again(house.w.desk, "sms", **on())
    with pytest.raises(NotProved, match="still answers"):
        house.certify(case_no)
    truth.confronted(house.w.desk, case_no, "sms", reason="its cache was emptied", **on())
    issued = house.certify(case_no)
    assert {"sms caught", "sms open"} <= lines(issued.auditor).keys()
    assert lines(issued.auditor)["sms caught"]["round"] == 1 and "sms gone" not in lines(issued.auditor)
    (recheck,) = opened(issued.auditor)["rechecks"]
    telling.tell(house.w.desk, "sms", **on())
    body.people = set()
    says(house, case_no, "sms", part("DELETED"))
    truth.look_again(house.w.desk, "sms", **on())
    done = house.certify(case_no)
    assert lines(done.auditor)["sms gone"]["round"] == 2
    assert lines(done.auditor)["sms caught"]["round"] == 1, "whatever it did since"
    assert not {x for x in lines(done.person) if x.startswith("sms")}
    assert opened(done.auditor)["rechecks"][0] == recheck and len(opened(done.auditor)["rechecks"]) == 2


def test_what_a_recipient_keeps_for_a_confidential_hold_is_the_auditors_to_read(
    house: House, body: Knowing
) -> None:
    case_no = told(house, "vetting", hold={"datasets": frozenset({"ra.application"})})
    with house.w.desk.book() as conn:
        (row,) = [r for r in outbox.listing(conn, case_no) if r["recipient"] == "vetting"]
    assert row["preserve"] == ["PI-028"]
    says(house, case_no, "vetting", part("HELD_DISPUTE", dispute="as you said"))
    issued = house.certify(case_no)
    assert lines(issued.auditor)["vetting retained"]["preserved"] is True
    assert lines(issued.person) == {}


def test_what_was_retained_until_a_day_that_is_over_is_told_of_the_notice_that_asks_again(
    house: House, body: Knowing
) -> None:
    case_no = told(house, "vetting")
    until = TODAY + timedelta(days=60)
    says(house, case_no, "vetting", part("RETAINED_BY_LAW", article="CSL 23(3)", until=until))
    watch.look(house.w.desk, as_of=until + timedelta(days=1), actor="system/clocks")
    with house.w.desk.book() as conn:
        found = outcomes(conn, house.w.desk.catalogue, case_no)
    assert [(t.outcome, t.round) for t in found if t.recipient == "vetting"] == [("open", 2)]


def test_who_is_silent_past_its_target_and_not_escalated_yet_is_due_on_that_day(
    house: House, body: Knowing
) -> None:
    case_no = told(house, "sms", "vetting")
    with house.w.desk.book() as conn:
        (row,) = [r for r in outbox.listing(conn, case_no) if r["recipient"] == "vetting"]
    between = row["target_on"] + timedelta(days=1)
    assert between < row["escalate_on"]
    for day, due in ((TODAY, row["target_on"]), (between, row["escalate_on"])):
        pending = opened(house.certify(case_no, day).person)["pending"]
        assert {p["due"] for p in pending if p["name"] == "vetting"} == {due.isoformat()}
