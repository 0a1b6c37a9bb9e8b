"""A year of nights on a whole company, by their logical dates: what falls due goes, nothing else does, and the book balances."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

import pytest

from include.cases import papers
from include.cases.retention import night as nightly
from include.cases.retention import night_proofs, nights
from include.cases.retention.nights import Night
from include.model.words import CaseState
from include.sandbox.legal import hold_open_disputes
from tests.cases.conftest import ROLES, build
from tests.conftest import PgServer, S3Server
from tests.sandbox.leaving import TODAY, House

pytestmark = pytest.mark.slow
PEOPLE, OPS = 60, "ops/wu"
YEAR = timedelta(days=365)
EVES = {
    date(2026, 12, 31),
    date(2027, 1, 1),
    date(2027, 2, 28),
    date(2027, 3, 1),
}  # fiscal year's end, February's
DAYS = sorted({TODAY + timedelta(days=n) for n in range(0, 366, 60)} | EVES | {TODAY + YEAR})


@pytest.fixture(scope="module")
def house(pg18: PgServer, empty_moto: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    for login in ROLES:
        pg18.add_role(login)
    made = House.made(
        pg18, pg18.fresh_database("case_book", build), empty_moto, tmp_path_factory.mktemp("keys"), PEOPLE
    )
    made.desk = replace(made.desk, record=lambda *_said: None)  # the ledger has tests of its own
    hold_open_disputes(made.desk, as_of=TODAY)
    yield made
    pg18.drop_database(made.places.company)
    pg18.drop_database(made.places.records)


def played(house: House, day: date) -> Night:
    """A night as its run does it; a person says yes to whatever it asks."""
    on = {"as_of": day, "actor": OPS}
    night = nightly.begin(house.desk, **on)
    if night.case_no is not None:
        if night.waits_for_a_person:
            nightly.approve(house.desk, night.case_no, **on)
        night_proofs.plan_and_prove(house.desk, night.case_no, **on)
        nightly.dispose(house.desk, night.case_no, **on)
        night_proofs.prove(house.desk, night.case_no, **on)
        night_proofs.finish(house.desk, night.case_no, **on)
    with house.desk.book() as conn:
        return nights.of_id(conn, night.night_id)


@pytest.mark.timeout(900)
def test_a_year_of_nights_ends_with_nothing_overdue_and_a_balanced_book(house: House) -> None:
    ends = nightly.look(house.desk, TODAY + YEAR)
    year = {r.dataset: 0 for r in ends.rows}
    for row in ends.rows:
        year[row.dataset] += row.due
    done = [played(house, day) for day in DAYS]
    assert sum(n.gone > 0 for n in done if n.gone is not None) > len(DAYS) // 2, (
        "things fall due all the year round"
    )

    last = nightly.look(house.desk, TODAY + YEAR)
    assert sum(r.overdue for r in last.rows) == 0
    gone = sum(n.gone or 0 for n in done)
    assert gone + sum(r.due for r in last.rows) == sum(year.values()), (
        "what was to fall due, and nothing else"
    )
    with house.desk.book() as conn:
        for n in done:
            if n.case_no is not None:
                assert papers.open_findings(conn, n.case_no) == []
        states = conn.execute(
            "SELECT DISTINCT state FROM casebook.case_ WHERE ground = 'limit_reached'"
        ).fetchall()
    assert {s["state"] for s in states} <= {CaseState.WAITING.value, CaseState.CLOSED.value}
