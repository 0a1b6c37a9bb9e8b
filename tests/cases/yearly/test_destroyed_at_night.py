"""The list of a year in which there were nights: what they passed over stands in no line, and who let a backlog go is named."""

from __future__ import annotations

import pytest

from include.cases import book
from include.cases.retention import backlog
from include.cases.yearly.destroyed import Line, Year, lines
from include.ledger import log
from include.model.times import PRC, observed_now
from tests.cases.retention.conftest import house, pg_server
from tests.cases.retention.house import DAY, GONE, House
from tests.cases.retention.test_breaker import visits
from tests.stores.postgres.conftest import new_company

pytestmark = pytest.mark.postgres
__all__ = ["house", "new_company", "pg_server"]  # fixtures


def data(house: House, database: str) -> list[Line]:
    log.install(database)
    reader = house.records("reader")
    with book.connect(reader) as conn, log.connect(reader) as ledger:
        return [x for x in lines(conn, ledger, Year(observed_now().astimezone(PRC).year)) if x.what == "data"]


def test_what_a_night_passed_over_is_in_no_line_and_what_it_took_has_its_rule(
    house: House, database: str
) -> None:
    """Its receipts count how far it came, that ticket 3 is needed by its note, and that clicks are not due any more."""
    click = "UPDATE u.click SET at = '2026-11-23' WHERE id = (SELECT min(id) FROM u.click WHERE at < '2025-11-24')"
    house.night(before=lambda: house.company.sql(click))
    words = {w for (counts,) in house.sql("SELECT body -> 'counts' FROM casebook.receipt WHERE verb = 'dispose'")
             for said in counts.values() for w in said}  # fmt: skip
    assert words >= {"upto", "needed", "not_due", "erased"}
    found = data(house, database)
    assert {(x.name, x.how): x.items for x in found} == {
        (d, "erased"): n - (d == "u.click") for d, n in GONE.items()
    }
    assert {x.rule for x in found if x.name != "a.account"} == {"RS-12"} and all(
        x.rule and x.law for x in found
    )
    assert {x.approved_by for x in found} == {""}, "it was in line: nobody was asked"


def test_who_approved_a_plan_of_stages_is_named_by_its_number(house: House, database: str) -> None:
    visits(house, 600)
    house.begin()
    made = backlog.propose(house.desk, rate=700, as_of=DAY, actor="ops/li")
    backlog.approve(house.desk, made.number, as_of=DAY, actor="legal/wang")
    house.night()
    approved = {x.name: x.approved_by for x in data(house, database)}
    assert approved["u.visit"] == f"legal/wang ({made.number})"
