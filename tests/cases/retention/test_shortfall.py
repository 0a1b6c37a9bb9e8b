"""A night of which far less is due than the one before forecast names the datasets; what is known to explain it is no finding."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from include.cases import book, papers
from include.cases.closing import open_hold
from include.cases.opening import open_night
from include.cases.retention import shortfall
from include.cases.retention.breaker import FEW
from include.model.flow import Receipt
from include.model.times import observed_now
from tests.cases.retention.house import DAY, ROBOT, House

NEXT = DAY + timedelta(days=1)
MANY = 2000
WIPE = "UPDATE u.visit SET at = NULL WHERE id >= 1000"


@pytest.fixture
def forecast(house: House) -> House:
    """A night has ended, and forecast that so many visits fall due the next."""
    coming(house, MANY)
    house.night()
    return house


def coming(house: House, many: int) -> None:
    house.company.sql(
        "INSERT INTO u.visit SELECT 1000 + i, 'acct_000000000001', date '2025-11-24', '/' FROM generate_series(1, %s) i", many
    )  # fmt: skip


def said(house: House) -> list[str]:
    return [x for x in house.left(house.of_last()) if "fewer are due than the night before forecast" in x]


def test_a_clock_that_was_wiped_is_named_what_is_due_goes_and_it_is_said_once(forecast: House) -> None:
    forecast.company.sql(WIPE)
    forecast.company.sql("INSERT INTO u.click VALUES (900, 'acct_000000000001', '2020-01-01')")
    night = forecast.night(NEXT)
    assert (night.gone, night.waits_for_a_person) == (1, False)
    (line,) = said(forecast)
    assert line.startswith(
        f"u.visit: {MANY} items fewer are due than the night before forecast: of {MANY} 0 came"
    )
    assert forecast.sql("SELECT detail FROM casebook.event WHERE what = %s", shortfall.NOTED) == [
        ({"dataset": "u.visit", "forecast": MANY, "came": 0, "explained": 0},)
    ]
    with forecast.desk.book() as conn:
        assert [x[:2] for x in shortfall.of_nights(conn, [night])] == [(NEXT, "u.visit")]
    forecast.company.sql("UPDATE u.visit SET at = '2026-06-01' WHERE id >= 1000")
    forecast.night(NEXT + timedelta(days=1))
    assert said(forecast) == [], "of the next night nothing was forecast any more"


def test_a_night_that_finds_nothing_and_opens_no_case_names_it_too(forecast: House) -> None:
    forecast.company.sql(WIPE)
    forecast.company.sql("DELETE FROM s.note WHERE id = 3; DELETE FROM s.ticket WHERE id = 3")
    assert forecast.night(NEXT).case_no is None
    assert len(said(forecast)) == 1


def test_nights_that_were_missed_hide_nothing(forecast: House) -> None:
    forecast.company.sql(WIPE)
    forecast.night(DAY + timedelta(days=9))
    assert len(said(forecast)) == 1


def test_a_forecast_that_comes_true_is_no_finding(forecast: House) -> None:
    assert forecast.night(NEXT).gone == MANY
    assert said(forecast) == []


def erased(house: House) -> None:
    """By somebody's case, with its receipt in the book."""
    house.company.sql("DELETE FROM u.visit WHERE id >= 1000")
    with house.desk.book() as conn, book.deed(conn, "test"):
        case = book.case(conn, open_night(house.desk, conn, NEXT, ROBOT))
        step = papers.open_step(conn, case, "live", NEXT, restricting=False).step_id
        papers.keep_receipts(
            conn, case,
            [Receipt(step=step, store="company", verb="dispose", plan="p", counts={"u.visit": {"erased": MANY, "upto": 9}},
                     position={}, done_at=observed_now())],
        )  # fmt: skip


def held(house: House) -> None:
    open_hold(
        house.desk, basis="court", document_no="7", issuing_body="court", law="law", as_of=NEXT, actor="ops/li",
        account_ids=frozenset({"acct_000000000001"}),
    )  # fmt: skip


def another_catalogue(house: House) -> None:
    house.company.sql(WIPE)
    house.company.catalogue = house.company.catalogue.model_copy(update={"digest": "e" * 64})


def half_of_it(house: House) -> None:
    house.company.sql("UPDATE u.visit SET at = NULL WHERE id >= 1000 AND id % 2 = 0")


def not_asked(house: House) -> None:
    house.company.sql("ALTER TABLE u.visit RENAME COLUMN at TO seen_at")


@pytest.mark.parametrize("what", [erased, held, another_catalogue, half_of_it, not_asked])
def test_what_is_known_to_explain_it_is_no_finding(forecast: House, what: Callable[[House], None]) -> None:
    what(forecast)
    forecast.begin(NEXT)
    assert said(forecast) == []


def test_a_few_less_are_no_finding(house: House) -> None:
    coming(house, FEW)
    house.night()
    house.company.sql(WIPE)
    house.begin(NEXT)
    assert said(house) == []
