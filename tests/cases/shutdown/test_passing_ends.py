"""An order that has ended, whose ledger nobody hands to the custodian: its tokens of people have a last day all the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from quietus_console import following_up, work
from typer.testing import CliRunner

from include.cases.shutdown import orders, whereabouts, who_asked
from include.commands import _common as common
from include.commands import shutdown as command
from include.handover import passing_ends, unpassed
from include.model.errors import Refused
from include.model.policy import Proposal
from include.model.words import LegalRank
from tests.cases.shutdown.handing import Handing
from tests.cases.shutdown.test_books import stopped
from tests.cases.shutdown.test_closing import PAPER, T0, gatekeeper
from tests.cases.shutdown.test_notices_follow import LI, OVER, Connected, handing, leave
from tests.cases.shutdown.test_orders import TOLD
from tests.cases.shutdown.test_requests_after import gone, take, without_account
from tests.cases.small import rule

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "gone", "handing", "stopped"]  # fixtures
LAST = T0.replace(year=T0.year + 3)
AFTER = LAST + timedelta(days=1)


@pytest.fixture
def over(gone: Handing) -> Handing:
    """Certified on T0; ledgers are kept for three years."""
    house = gone.stopped.house
    kept = rule("RS-24", "P3Y", "floor", LegalRank.LAW, "PIPL 54")
    told = house.company.catalogue.model_copy(update={"rules": (*house.company.catalogue.rules, kept)})
    house.company = replace(house.company, catalogue=told)
    with gone.stopped.house.desk.book() as conn:
        conn.execute("UPDATE casebook.shutdown_order SET ended_on = %s WHERE number = %s", (T0, gone.number))
        conn.commit()
    return gone


def held(handing: Handing) -> int:
    with handing.stopped.house.desk.book() as conn:
        return who_asked.held(conn, handing.number)


def end(handing: Handing, as_of: date = AFTER, desk: Any = None) -> int:
    return passing_ends.end(
        desk or handing.stopped.house.desk, handing.number, as_of=as_of, actor="system/airflow"
    )


def due(handing: Handing, as_of: date) -> list[str]:
    desk = handing.stopped.house.desk
    with desk.book() as conn:
        return passing_ends.due(desk.catalogue, conn, as_of)


def tokens_in_the_book(handing: Handing) -> int:
    with handing.stopped.house.desk.book() as conn:
        row = conn.execute(
            "SELECT (SELECT count(*) FROM casebook.handover_owner) + (SELECT count(*) FROM casebook.shutdown_request_token) AS n"
        ).fetchone()
        return int(row["n"]) if row else -1


def test_on_the_last_day_it_is_passed_on_and_the_day_after_nobody_is_known(over: Handing) -> None:
    without_account(over)
    assert take(over) and over.ask(OVER).made
    before = held(over)
    assert before > 8, "of whose the items are, and of who asked"
    assert due(over, LAST) == [] and due(over, AFTER) == [over.number]
    with pytest.raises(Refused, match=f"it is passed on until {LAST}"):
        end(over, LAST)
    with over.stopped.house.desk.book() as conn, pytest.raises(psycopg.Error, match="append-only"):
        who_asked.forget(conn, over.number)
    assert end(over) == before and held(over) == tokens_in_the_book(over) == 0
    assert due(over, AFTER) == [] and end(over) == 0, "again nothing happens"
    desk = over.stopped.house.desk
    with desk.book() as conn:
        (said,) = [e for e in orders.history(conn, over.number) if e["what"] == whereabouts.LAST_DAY]
        assert "如有请求，请向其提出" in whereabouts.sentence(conn)
        assert not unpassed.unpassed(desk, conn, over.number), "the ledger may still be handed over"
    assert said["detail"] == {"last_day": LAST.isoformat(), "rule": "RS-24", "tokens": before}
    assert [b for k, b, _ in over.stopped.house.ledger if k == "shutdown"][-1]["tokens"] == before
    with pytest.raises(Refused, match="its last day is over"):
        over.ask(AFTER)


def answer_for_what_is_open(handing: Handing) -> None:
    desk = handing.stopped.house.desk
    with desk.book() as conn:
        items = unpassed.unpassed(desk, conn, handing.number).items
    for who in TOLD.approvers:
        unpassed.accept(desk, handing.number, items=items, paper=PAPER, as_of=AFTER, actor=who)


def test_what_is_open_keeps_them_until_both_approvers_answer_for_it(over: Handing) -> None:
    leave(over, OVER)
    with pytest.raises(Refused, match="the successor was asked, or is to be, and did not answer"):
        end(over)
    assert held(over) > 8, "nothing went"
    answer_for_what_is_open(over)
    assert end(over) > 8 and tokens_in_the_book(over) == 0


def test_a_period_that_nobody_owns_ends_nothing_in_earnest(over: Handing) -> None:
    desk = over.stopped.house.desk
    own = desk.catalogue.rule("RS-24")
    period = own.periods[0].model_copy(update={"proposal": Proposal(until_then="sandbox only")})
    others = [r for r in desk.catalogue.rules if r.id != "RS-24"]
    told = desk.catalogue.model_copy(
        update={"rules": (*others, own.model_copy(update={"periods": (period,)}))}
    )
    with pytest.raises(Refused, match="no owner or no day of approval: RS-24/main"):
        end(over, desk=replace(desk, catalogue=told))
    assert held(over) > 8


def test_an_order_that_has_not_ended_has_no_last_day(gone: Handing) -> None:
    assert due(gone, AFTER) == []
    with pytest.raises(Refused, match="it is passed on until the order has ended"):
        end(gone)
    with gone.stopped.house.desk.book() as conn:
        assert "将转告该公司" in whereabouts.sentence(conn)


def test_the_run_of_every_morning_does_it_and_is_red_over_what_is_open(
    over: Handing, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = [LAST]
    desk = replace(over.stopped.house.desk, connections=Connected(over))
    monkeypatch.setattr(following_up, "desk", lambda: desk)
    monkeypatch.setattr(following_up, "now", lambda: {"as_of": day[0], "actor": "system/airflow"})
    context = {"params": {}, "ti": SimpleNamespace(max_tries=0, try_number=1)}
    monkeypatch.setattr(work, "get_current_context", lambda: context)
    which, ends = following_up.past_their_day.function, following_up.end_passing_on.function
    with pytest.raises(AirflowSkipException):
        which()
    day[0] = AFTER
    assert which() == [over.number]
    leave(over, OVER)
    with pytest.raises(AirflowFailException, match="accept-unanswered"):
        ends(over.number)
    answer_for_what_is_open(over)
    many = held(over)
    assert ends(over.number) == f"{over.number}: passing on has ended; {many} tokens of people are gone"


def test_the_command_line_counts_them_and_says_until_when(
    over: Handing, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = over.stopped.house.desk
    monkeypatch.setattr(common, "today", lambda: OVER)
    monkeypatch.setattr(common, "reader", desk.book)
    shown = CliRunner().invoke(command.app, ["show", over.number], catch_exceptions=False).output
    said = f"{held(over)} keyed tokens of people are kept to pass on their requests; they go with the ledger, at the latest after"
    assert f"{said} {LAST}" in shown and LI not in shown
    end(over)
    shown = CliRunner().invoke(command.app, ["show", over.number], catch_exceptions=False).output
    assert "keyed tokens" not in shown and "passing on ended" in shown
