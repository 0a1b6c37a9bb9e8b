"""Somebody leaves whose certificate is on a published revocation list: the list stays as it was signed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from include import proofs
from include.cases import book, papers, verbs
from include.cases.periods import last_day
from include.cases.units import of_case
from include.model.flow import Plan
from include.model.words import CaseState, Disposition, UnitState
from tests.cases.conftest import ROLES, build
from tests.conftest import PgServer, S3Server
from tests.sandbox.leaving import CATALOGUE, TODAY, House, Left

pytestmark = pytest.mark.slow
LISTS, LISTED = "cert.crl", "cert.crl_listed"
SHOWN = "SELECT crl_number, encode(sha256(der), 'hex') FROM cert.crl ORDER BY 1"
WHO = (
    "SELECT account_id FROM account.account JOIN cert.certificate USING (account_id) JOIN cert.crl_listed USING (serial)"
    " WHERE cancelled_at IS NULL ORDER BY 1 LIMIT 1"
)
ON_THEM = (
    "SELECT crl_number, last_expiry FROM cert.crl JOIN cert.crl_listed USING (crl_number)"
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
        before = conn.execute(SHOWN).fetchall()
    assert on
    house.names["listed"] = account
    left = house.leave("listed", by_the_book=True)
    until = {last_day(day, "P5Y") for _, day in on}
    ended = {x.until for x in left.plan.lines_of("cert.certificate")}
    for dataset, days in ((LISTS, until), (LISTED, ended)):
        assert {x.disposition for x in left.plan.lines_of(dataset)} == {Disposition.RETAIN}
        assert left.items(dataset, Disposition.RETAIN) == len(on)
        assert left.until(dataset) == days and {x.law for x in left.plan.lines_of(dataset)} == {"ESL 24"}
    assert not [i for i in left.changed if i[0] in (LISTS, LISTED)], "to the byte"
    case, units = house.rest(left)
    assert case.state is CaseState.WAITING
    waiting = [u for u in units if u.dataset == LISTS]
    assert {u.state for u in waiting} == {UnitState.RESTRICTED} and {u.until for u in waiting} == until

    # Five years after her certificate nothing leads from the list to her any more; the case has its end by the list's day.
    (over,) = ended
    assert over is not None and TODAY < over < min(until)
    on_its_day(house, left, over + timedelta(days=1))
    assert {x.disposition for x in latest(house, left).lines_of("cert.certificate")} == {
        Disposition.DEIDENTIFY
    }
    assert {x.disposition for x in latest(house, left).lines_of(LISTED)} == {Disposition.ERASE}
    assert {x.until for x in latest(house, left).lines_of(LISTS)} == until
    on_its_day(house, left, max(until) + timedelta(days=1))
    assert not latest(house, left).lines_of(LISTS)
    with house.desk.book() as conn:
        still = {u.state for u in of_case(conn, left.case_no) if u.dataset in (LISTS, LISTED)}
    assert still and UnitState.RESTRICTED not in still, "nothing of it is waited for but backups"
    with house.company() as conn:
        assert conn.execute(SHOWN).fetchall() == before, "the nights take it, whole"


def latest(house: House, left: Left) -> Plan:
    with house.desk.book() as conn:
        return papers.latest_plan(conn, book.case(conn, left.case_no))


def on_its_day(house: House, left: Left, day: date) -> None:
    """The case is woken, goes as far as that day's law lets it, and comes to rest."""
    on: dict[str, Any] = {"as_of": day, "actor": "system/dag"}
    verbs.restrict(house.desk, left.case_no, **on)
    plan = verbs.settle_and_plan(house.desk, left.case_no, **on)
    verbs.dispose(house.desk, left.case_no, **on)
    with house.desk.book() as conn:
        case = book.case(conn, left.case_no)
        row = papers.current_step(conn, case, "live")
    assert row is not None
    step = row.step(case, (left.account,))
    for look in (proofs.gone, proofs.objects_gone):
        for evidence in look(CATALOGUE, house.places, step, plan):
            verbs.record_evidence(house.desk, evidence, **on)
    verbs.balance(house.desk, left.case_no, **on)
    verbs.open_backup_track(house.desk, left.case_no, **on)
    verbs.rest(house.desk, left.case_no, **on)
