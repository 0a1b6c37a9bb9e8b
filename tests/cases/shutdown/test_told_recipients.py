"""Every recipient is told once that the service stopped, without a person's data; silence escalates; then the case ends."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from include.cases import book
from include.cases.notices import errands, outbox
from include.cases.shutdown import orders, told_recipients
from include.model.errors import Refused
from include.model.notices import AnswerCode, Part
from include.model.policy import Recipient, RecipientRole
from include.model.words import CaseState
from include.recipients.forms import request
from tests.cases.restoring import killed_at
from tests.cases.retention.house import House
from tests.cases.shutdown.test_books import Stopped, stopped
from tests.cases.shutdown.test_closing import T0, gatekeeper
from tests.cases.shutdown.test_orders import NEXT

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "stopped"]  # fixtures

EVERY = ("DELETED", "NOTHING_HELD", "RETAINED_BY_LAW")
THREE = tuple(
    Recipient(
        id=i, row=str(n), name=f"{i} Ltd", phone=None, service="s", region="CN", fields="f", categories=categories, purpose="p",
        role=RecipientRole.ENTRUSTED, channel="manual", notice="n", expected=EVERY, says="请留意。",
    )
    for n, (i, categories) in enumerate(
        [("sms", ("PI-001",)), ("vetting", ("PI-001", "PI-002")), ("bank", ("PI-002",)), ("stranger", ("PI-099",))], 1
    )
)  # fmt: skip


def with_recipients(house: House) -> House:
    catalogue = house.company.catalogue.model_copy(update={"recipients": THREE})
    house.company = replace(house.company, catalogue=catalogue)
    return house


@pytest.fixture
def told(stopped: Stopped) -> Stopped:
    with_recipients(stopped.house)
    return stopped


def tell(of: Stopped, **more: object) -> told_recipients.Standing:
    return told_recipients.tell(of.house.desk, of.number, as_of=T0, actor="ops/wu", **more)  # type: ignore[arg-type]


def rows(of: Stopped) -> dict[str, UUID]:
    found: list[Any] = of.house.sql("SELECT recipient, request_id FROM casebook.outbox ORDER BY 1")
    return dict(found)


def test_everybody_who_is_given_something_is_told_once_and_nobody_is_named(told: Stopped) -> None:
    assert told_recipients.standing(told.house.desk, told.number).untold == ("sms", "vetting", "bank")
    there = tell(told, serving=("vetting",))
    assert there.open == ("sms", "vetting", "bank") and there.untold == ()
    found = rows(told)
    tell(told, serving=("vetting",))
    assert rows(told) == found, "again writes nothing anew"
    letters = {r: errands.what_to_say(told.house.desk, i).letter for r, i in found.items()}
    for name, text in letters.items():
        assert (
            "停止运营" in text
            and "不针对某一个人" in text
            and "acct_" not in text
            and "含有个人信息" not in text
        ), name
        assert told.number in text and "请留意。" in text
    assert (
        "返还" in letters["bank"] and "NOTHING_HELD" in letters["vetting"] and NEXT.name in letters["vetting"]
    )
    with told.house.desk.book() as conn:
        case = book.case(conn, str(there.case_no))
        row = outbox.latest(conn, case.case_no, "bank")
        notice = outbox.unsealed(row, case, told.house.desk.seal(case), THREE[2])
    said = json.loads(request(notice, "bank.example", None))
    assert said["extensions"]["bank.example"]["everybody"] is True and "subject_identities" not in said
    with pytest.raises(Refused, match="told to delete already"):
        tell(told, serving=("bank",))
    kind, body, _ = told.house.ledger[-1]
    assert (kind, body["what"], body["recipients"]) == (
        orders.KIND,
        told_recipients.TOLD,
        ["sms", "vetting", "bank"],
    )


def test_silence_escalates_and_the_case_ends_with_the_last_of_them(told: Stopped) -> None:
    desk = told.house.desk
    case_no = str(tell(told).case_no)
    found = rows(told)
    for request_id in found.values():
        errands.carried(desk, request_id, proof=b"signed", as_of=T0, actor="ops/wu")
    gone = Part(code=AnswerCode.NOTHING_HELD)
    errands.answered(desk, found["sms"], [gone], b"letter", as_of=T0, actor="ops/wu")
    errands.answered(desk, found["bank"], [gone], b"letter", as_of=T0, actor="ops/wu")
    assert told_recipients.close(desk, told.number, as_of=T0, actor="ops/wu") is CaseState.WAITING
    assert told_recipients.standing(desk, told.number).open == ("vetting",)
    late = T0 + timedelta(days=60)
    with desk.book() as conn:
        assert outbox.escalate_silent(conn, late, "system/clocks") == ((case_no, "vetting"),)
        conn.commit()
    standing = told_recipients.standing(desk, told.number)
    assert {t.recipient: t.outcome for t in standing.told} == {
        "sms": "gone",
        "vetting": "escalated",
        "bank": "gone",
    }
    assert told_recipients.close(desk, told.number, as_of=late, actor="ops/wu") is CaseState.CLOSED


def test_nobody_is_told_before_t0_nor_somebody_who_is_given_nothing(told: Stopped) -> None:
    with pytest.raises(Refused, match="stranger is given nothing"):
        tell(told, serving=("stranger",))
    told.house.sql("UPDATE casebook.shutdown_order SET closed_on = NULL, closing_at = NULL")
    with pytest.raises(Refused, match="collection is not closed"):
        tell(told)


@pytest.mark.parametrize("point", ["recipients.opened", "recipients.written"])
def test_killed_anywhere_it_is_told_once(told: Stopped, point: str) -> None:
    assert killed_at(point, lambda at: tell(told, at=at))
    assert tell(told).open == ("sms", "vetting", "bank")
    assert told.house.sql("SELECT count(*) FROM casebook.case_ WHERE ground = 'shutdown'") == [(1,)]
