"""Nights on a whole company, by their logical dates: what falls due goes, nothing else does, and the book balances.

The whole year, each night of it, is `quietus sandbox year`. Here are the days on which clocks differ: the eve and the first days
of a fiscal year, night after night, the ends of months short and long, and the days around 29 February.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from include.cases import papers
from include.cases.retention import night as nightly
from include.cases.retention import night_proofs, nights
from include.cases.retention.nights import Night
from include.cases.rooms import Desk
from include.model.sessions import kept
from include.model.words import CaseState, Disposition
from include.sandbox.days.year import Year
from include.sandbox.legal import hold_open_disputes
from tests.cases.conftest import ROLES, build
from tests.conftest import PgServer, S3Server
from tests.sandbox.leaving import TODAY, House

pytestmark = pytest.mark.slow
PEOPLE = 60
DAY = timedelta(days=1)
ENDS = (
    date(2026, 11, 30), date(2026, 12, 1),
    *(date(2026, 12, 29) + n * DAY for n in range(6)),  # night after night, over a fiscal year's end
    date(2027, 2, 28), date(2027, 3, 1), date(2027, 4, 30), date(2027, 8, 31), date(2027, 11, 24),
    date(2028, 2, 28), date(2028, 2, 29), date(2028, 3, 1),
)  # fmt: skip
LAST = ENDS[-1]


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


def through(desk: Desk, **on: Any) -> Night:
    """A night without its certificate, as its run goes through it."""
    night = nightly.begin(desk, **on)
    if night.case_no is not None and not night.waits_for_a_person:
        night_proofs.plan_and_prove(desk, night.case_no, **on)
        with desk.book() as conn:
            night = nights.of_id(conn, night.night_id)
        if night.waits_for_a_person:
            return night
        night_proofs.dispose(desk, night.case_no, **on)
        night_proofs.prove(desk, night.case_no, **on)
        night_proofs.finish(desk, night.case_no, **on)
    with desk.book() as conn:
        return nights.of_id(conn, night.night_id)


@pytest.mark.timeout(900)
def test_nights_over_a_year_end_with_nothing_overdue_and_a_balanced_book(house: House) -> None:
    ends = nightly.look(house.desk, LAST)
    due = sum(r.due for r in ends.rows)
    year = Year(house.desk, through=through)
    with kept():
        months = list(year.play((TODAY, *ENDS)))

    assert [m.first for m in months] == sorted({d.replace(day=1) for d in (TODAY, *ENDS)})
    (word,) = months[0].words
    assert word[0] == TODAY, "the first night has a backlog, and a person's word for it"
    assert sum(m.nights for m in months) >= len(ENDS) + 1
    assert sum(m.cases for m in months) > len(ENDS) // 2, "things fall due all the year round"
    gone = sum(m.accounted for m in months)
    assert gone == sum(m.located for m in months) > 0, "the book balances"
    assert {d for m in months for d in m.done} >= {Disposition.ERASE, Disposition.DEIDENTIFY}
    assert [m.overdue for m in months] == [0] * len(months)

    last = nightly.look(house.desk, LAST)
    assert sum(r.overdue for r in last.rows) == 0
    assert gone + sum(r.due for r in last.rows) == due, "what was to fall due, and nothing else"
    with house.desk.book() as conn:
        cases = conn.execute(
            "SELECT case_no, state FROM casebook.case_ WHERE ground = 'limit_reached'"
        ).fetchall()
        assert all(papers.open_findings(conn, str(c["case_no"])) == [] for c in cases)
    assert {c["state"] for c in cases} <= {CaseState.WAITING.value, CaseState.CLOSED.value}


def test_a_year_that_left_something_overdue_says_so(house: House) -> None:
    """A purchase without a voucher is over with the tax law's ten fiscal years; one whose invoice was issued later is needed."""
    with house.company() as conn:
        conn.execute(
            "WITH p AS (INSERT INTO billing.purchase (account_id, item, amount, bought_at) VALUES (%s, 'x', 1, '2015-06-01')"
            " RETURNING purchase_id) INSERT INTO billing.invoice SELECT 'later', purchase_id, 'x', '2027-06-01' FROM p",
            (house.names["ordinary"],),
        )
    year = Year(house.desk, through=through)
    list(year.play([LAST + DAY]))
    assert f"1 items are overdue on {LAST + DAY}" in year.ended()
    with house.company() as conn:
        conn.execute("DELETE FROM billing.invoice WHERE invoice_no = 'later'")
    year = Year(house.desk, through=through)
    list(year.play([LAST + 2 * DAY]))
    assert not [said for said in year.ended() if "overdue" in said]


def test_a_purchase_stays_as_long_as_what_is_booked_about_it(house: House) -> None:
    """Booked in a later fiscal year than bought: till then the purchase is not due, and no night is red over it."""
    with house.company() as conn:
        conn.execute(
            "WITH p AS (INSERT INTO billing.purchase (account_id, item, amount, bought_at) VALUES (%s, 'y', 1, '1998-12-31')"
            " RETURNING purchase_id) INSERT INTO billing.voucher (purchase_id, payer, booked_at)"
            " SELECT purchase_id, 'y', '1999-01-01' FROM p",
            (house.names["ordinary"],),
        )

    def due(day: date) -> set[tuple[str, int]]:
        found = nightly.look(house.desk, day, only={"billing.purchase", "billing.voucher"})
        return {(r.dataset, r.due) for r in found.rows}

    assert due(date(2029, 12, 31)) == set(), "thirty fiscal years from the voucher's"
    assert due(date(2030, 1, 1)) == {("billing.purchase", 1), ("billing.voucher", 1)}
