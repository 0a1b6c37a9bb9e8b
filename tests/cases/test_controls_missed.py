"""Evidence of a day on which the same proof missed what was planted does not count for a new certificate."""

from __future__ import annotations

import psycopg
import pytest

from include.cases import certificates, papers, verbs
from include.cases.controls import doubt
from include.cases.controls.results import Outcome
from include.model.errors import NotProved
from include.model.words import Role
from tests.cases import blinded
from tests.cases.test_certifying import House, house, new_house, on

__all__ = ["house", "new_house"]
pytestmark = pytest.mark.postgres


def night(house: House, *, store: str, proof: str, outcome: Outcome, days_ago: int = 0) -> int:
    return blinded.night(house.w.desk, outcome, store=store, proof=proof, days_ago=days_ago)


def findings(house: House, case_no: str) -> list[str]:
    with house.w.desk.book() as conn:
        return [f["place"] for f in papers.open_findings(conn, case_no) if f["code"] == doubt.FINDING]


def test_what_was_proved_on_a_red_day_must_be_proved_again(house: House) -> None:
    case_no = house.case()
    house.work(case_no)
    assert night(house, store="main", proof="dragnet", outcome=Outcome.MISSED) == 1
    assert findings(house, case_no) == ["dragnet main"]
    with pytest.raises(NotProved, match=r"controls_missed.*does not count"):
        house.certify(case_no)
    # The same day's next look by a proof that nobody saw mended does not count either, and no finding says so.
    house.prove(case_no)
    assert findings(house, case_no) == ["dragnet main"]
    assert night(house, store="main", proof="dragnet", outcome=Outcome.FOUND) == 0
    with pytest.raises(NotProved):
        house.certify(case_no)
    house.prove(case_no)
    assert findings(house, case_no) == []
    house.certify(case_no)


def test_evidence_made_after_the_red_night_is_refused_without_a_finding(house: House) -> None:
    night(house, store="files", proof="gone", outcome=Outcome.MISSED)
    case_no = house.case()
    house.work(case_no)
    assert findings(house, case_no) == []
    with pytest.raises(NotProved, match=r"'gone' of files.*must be made again.*page_hole"):
        house.certify(case_no)


@pytest.mark.parametrize(
    ("store", "proof", "days_ago"),
    [("main", "residue", 0), ("elsewhere", "dragnet", 0), ("main", "dragnet", 1)],
)
def test_other_proofs_stores_and_days_are_in_no_doubt(
    house: House, store: str, proof: str, days_ago: int
) -> None:
    case_no = house.case()
    house.work(case_no)
    assert night(house, store=store, proof=proof, outcome=Outcome.MISSED, days_ago=days_ago) == 0
    house.certify(case_no)


def test_a_certificate_that_was_issued_stays_as_it_is(house: House) -> None:
    case_no = house.case()
    house.work(case_no)
    issued = house.certify(case_no)
    night(house, store="main", proof="dragnet", outcome=Outcome.MISSED)
    with house.w.desk.book() as conn:
        assert certificates.issued(conn, case_no, issued.serial) == issued
    with pytest.raises(NotProved):
        verbs.certify(house.w.desk, case_no, **on())


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE casebook.control_result SET outcome = 'found'",
        "DELETE FROM casebook.control_result",
        "UPDATE casebook.control_night SET verdict = 'passed'",
        "UPDATE casebook.control_night SET day = day - 1",
        "DELETE FROM casebook.control_night",
    ],
)
def test_nobody_takes_a_red_night_back(house: House, tampering: str) -> None:
    """Neither the case writer, who may not, nor the book's owner, whom a trigger stops."""
    night(house, store="main", proof="dragnet", outcome=Outcome.MISSED)
    records = house.w.desk.connections
    for conninfo in (records.postgres("records", Role.CASE_WRITER), records.pg.conninfo(records.name)):  # type: ignore[attr-defined]
        with psycopg.connect(conninfo) as conn, pytest.raises(psycopg.Error) as refused:
            conn.execute(tampering.encode())
        assert refused.value.sqlstate in ("42501", "QC001", "23503")
