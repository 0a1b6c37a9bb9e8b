"""Somebody leaves whose certificate is on a published revocation list: the list stays as it was signed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from include.cases.periods import last_day
from include.model.words import CaseState, Disposition, UnitState
from tests.cases.conftest import ROLES, build
from tests.conftest import PgServer, S3Server
from tests.sandbox.leaving import TODAY, House

pytestmark = pytest.mark.slow
LISTS, LISTED = "cert.crl", "cert.crl_listed"
WHO = (
    "SELECT account_id FROM account.account JOIN cert.certificate USING (account_id) JOIN cert.crl_listed USING (serial)"
    " WHERE cancelled_at IS NULL ORDER BY 1 LIMIT 1"
)
ON_THEM = (
    "SELECT crl_number, l.last_expiry FROM cert.crl JOIN cert.crl_listed AS l USING (crl_number)"
    " JOIN cert.certificate USING (serial) WHERE account_id = %s ORDER BY 1"
)


@pytest.fixture
def house(pg18: PgServer, empty_moto: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    for login in ROLES:
        pg18.add_role(login)
    made = House.made(
        pg18, pg18.fresh_database("case_book", build), empty_moto, tmp_path_factory.mktemp("keys"), 60
    )
    yield made
    pg18.drop_database(made.places.company)
    pg18.drop_database(made.places.records)


def test_a_list_outlives_whoever_is_on_it(house: House) -> None:
    with house.company() as conn:
        ((account,),) = conn.execute(WHO).fetchall()
        on = conn.execute(ON_THEM, [account]).fetchall()
    assert on
    house.names["listed"] = account
    left = house.leave("listed", by_the_book=True)
    until = {last_day(day, "P5Y") for _, day in on}
    for dataset in (LISTS, LISTED):
        assert {x.disposition for x in left.plan.lines_of(dataset)} == {Disposition.RETAIN}
        assert left.items(dataset, Disposition.RETAIN) == len(on)
        assert left.until(dataset) == until and min(until) > TODAY + timedelta(days=4 * 365)
        assert {x.law for x in left.plan.lines_of(dataset)} == {"ESL 24"}
    assert not [i for i in left.changed if i[0] in (LISTS, LISTED)], "to the byte"
    case, units = house.rest(left)
    assert case.state is CaseState.WAITING
    waiting = [u for u in units if u.dataset in (LISTS, LISTED)]
    assert {u.state for u in waiting} == {UnitState.RESTRICTED} and {u.until for u in waiting} == until
