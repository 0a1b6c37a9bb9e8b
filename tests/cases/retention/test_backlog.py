"""A backlog that goes in stages: by a plan that one proposed and another approved, which later nights obey by themselves."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest
from typer.testing import CliRunner

from include.cases import book
from include.cases.retention import backlog
from include.cases.retention import night as nightly
from include.cases.retention.backlog import Backlog
from include.cases.retention.breaker import FEW
from include.commands import _common as common
from include.commands import build
from include.model.errors import Refused
from tests.cases.retention.house import DAY, DUE, House
from tests.cases.retention.test_breaker import said, visits

OLD, RATE = 600, 200
BACKLOG = sum(DUE.values()) + 1 + OLD


@pytest.fixture(autouse=True)
def none_is_needed(house: House) -> None:
    """The note goes that would keep its ticket."""
    house.company.sql("UPDATE s.note SET written = '2025-01-01'")


def day(n: int) -> date:
    return DAY + timedelta(days=n)


def approved(house: House, rate: int = RATE, until: date | None = None) -> Backlog:
    made = backlog.propose(house.desk, rate=rate, until=until, as_of=DAY, actor="ops/li")
    return backlog.approve(house.desk, made.number, as_of=DAY, actor="legal/wang")


def plan_of(house: House, number: str) -> Backlog:
    with house.desk.book() as conn:
        return backlog.of_number(conn, number)


def test_a_plan_is_obeyed_by_later_nights_until_it_is_burnt_down_and_nobody_is_asked(house: House) -> None:
    visits(house, OLD)
    waits = house.begin()
    assert waits.waits_for_a_person
    plan = approved(house)
    assert (sum(plan.counted.values()), plan.until) == (BACKLOG, day(4)), "653 items at 200 a night"
    first = house.night()  # the night that waited obeys it
    assert first.approved_by is None and first.backlog == plan.number
    # No item of the shop is due that day for the first time: all of it is backlog.
    assert first.gone == RATE and first.remaining == BACKLOG - RATE
    assert (first.overdue, first.planned, first.unplanned) == (BACKLOG - RATE,) * 2 + (0,)
    assert house.left(first) == [] and "night goes by a plan of stages" in said(house, first.case_no)
    # What falls due since goes besides, the same night, and makes nothing of the backlog stay longer.
    visits(house, 30, at=str(day(1) - timedelta(days=366)), first=5000)
    second = house.night(day(1))
    assert not second.waits_for_a_person and second.gone == RATE + 30
    assert (second.unplanned, sum(plan_of(house, plan.number).remaining.values())) == (0, BACKLOG - 2 * RATE)
    # A night that finds more than that, and than the plan counted, asks: the plan speaks of what was shown.
    visits(house, FEW + 1, first=10_000)
    third = house.night(day(2))
    assert third.waits_for_a_person and str(FEW + 1) in str(third.needs_word)
    nightly.approve(house.desk, str(third.case_no), as_of=day(2), actor="ops/li")
    third = house.night(day(2))
    assert third.gone == RATE + FEW + 1 and third.unplanned == 0
    last = house.night(day(3))
    ended = plan_of(house, plan.number)
    assert (ended.ended, last.remaining, sum(ended.remaining.values())) == ("burnt down", 0, 0)
    assert [k for k, _, _ in house.ledger if k == backlog.KIND] == [backlog.KIND] * 2
    # What went by the plan, or by a word, is not what is usual.
    visits(house, 3 * FEW, first=20_000)
    assert house.begin(day(4)).waits_for_a_person


def test_once_withdrawn_or_over_a_plan_covers_nothing_and_the_night_asks_again(house: House) -> None:
    visits(house, OLD)
    plan = approved(house)
    assert house.night().unplanned == 0
    backlog.withdraw(house.desk, plan.number, "a freeze of the quarter", actor="ops/li")
    night = house.night(day(1))
    assert night.waits_for_a_person and night.backlog is None
    with pytest.raises(Refused, match="withdrawn"):
        backlog.approve(house.desk, plan.number, as_of=DAY, actor="legal/wang")
    again = backlog.propose(house.desk, rate=RATE, as_of=DAY, actor="ops/li")
    backlog.approve(house.desk, again.number, as_of=DAY, actor="legal/wang")
    with house.desk.book() as conn:
        assert backlog.in_force(conn, again.until) is not None
        assert backlog.in_force(conn, again.until + timedelta(days=1)) is None


def test_two_persons_one_plan_and_time_enough(house: House) -> None:
    visits(house, OLD)
    with pytest.raises(Refused, match="653 items at 200 a night take 4 nights"):
        backlog.propose(house.desk, rate=RATE, until=day(3), as_of=DAY, actor="ops/li")
    made = backlog.propose(house.desk, rate=RATE, until=day(9), as_of=DAY, actor="ops/li")
    assert house.begin().waits_for_a_person, "a proposal lets nothing go"
    with pytest.raises(Refused, match="one at a time"):
        backlog.propose(house.desk, rate=5, as_of=DAY, actor="ops/li")
    with pytest.raises(Refused, match="does not approve"):
        backlog.approve(house.desk, made.number, as_of=DAY, actor="legal/li")
    with pytest.raises(Refused, match="until"):
        backlog.approve(house.desk, made.number, as_of=day(10), actor="legal/wang")
    backlog.approve(house.desk, made.number, as_of=DAY, actor="legal/wang")
    assert backlog.approve(house.desk, made.number, as_of=DAY, actor="legal/wang").approved_by == "legal/wang"
    with pytest.raises(Refused, match="legal/wang approved it already"):
        backlog.approve(house.desk, made.number, as_of=DAY, actor="board/zhao")
    with pytest.raises(Refused, match="reason"):
        backlog.withdraw(house.desk, made.number, " ", actor="ops/li")
    with house.desk.book() as conn, pytest.raises(Refused, match="no such plan"):
        backlog.of_number(conn, "BP-999999")


def test_a_night_by_a_plan_that_was_stopped_takes_no_more_than_its_rate_when_it_goes_on(house: House) -> None:
    visits(house, OLD)
    approved(house)
    night = house.night(tries=2)
    assert night.gone == RATE
    with house.desk.book() as conn:
        assert len([e for e in book.timeline(conn, str(night.case_no)) if e["what"] == "disposed"]) == 2


def test_what_stays_for_another_reason_than_its_stage_is_overdue_without_a_plan(house: House) -> None:
    visits(house, OLD)
    house.company.sql("UPDATE s.note SET written = '2026-11-23' WHERE id = 3")
    plan = approved(house, rate=BACKLOG)
    night = house.night()
    assert (night.gone, night.remaining, night.unplanned) == (BACKLOG - 2, 1, 1), "a ticket is needed"
    assert plan_of(house, plan.number).ended == "burnt down" and "s.ticket" in house.left(night)[-1]


def test_by_the_command_line_what_a_plan_covers_is_told_apart(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common, "desk", lambda: house.desk)
    monkeypatch.setattr(common, "today", lambda: DAY)

    def quietus(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(build(), ["retention", *arguments], env={"COLUMNS": "200"})
        return done.exit_code, done.output

    visits(house, OLD)
    status, told = quietus("assess", "--rate", str(RATE))
    assert status == 0 and f"the night of {day(1)} to that of {day(4)}, which takes the last 53" in told
    assert quietus("due")[0] == 1
    status, told = quietus("backlog", "propose", "--rate", str(RATE), "--actor", "ops/li")
    assert status == 0 and "backlog approve BP-000001" in told
    assert quietus("due")[0] == 1, "a proposal covers nothing"
    assert quietus("backlog", "approve", "BP-000001", "--actor", "legal/wang")[0] == 0
    status, told = quietus("due")
    assert status == 0 and f"BP-000001 covers {BACKLOG}" in told and "0 are overdue without a plan" in told
    assert json.loads(quietus("due", "--json")[1])["under_plan"] == BACKLOG
    status, told = quietus("backlog", "show")
    assert status == 0 and "in force" in told and "u.visit" in told
    assert json.loads(quietus("backlog", "show", "--json")[1])["plans"][0]["remaining"]["u.visit"] == 30 + OLD
    assert quietus("backlog", "withdraw", "BP-000001", "a freeze", "--actor", "ops/li")[0] == 0
    assert quietus("due")[0] == 1 and "withdrawn" in quietus("backlog", "show")[1]
