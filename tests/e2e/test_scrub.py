"""The night's scrub through the real scheduler: a case's biometrics are at R4 afterwards, and it is certified anew."""

from __future__ import annotations

import pytest

from include.cases import papers, remains
from include.model.words import Rung, Verdict
from tests.e2e.conftest import House, Run


@pytest.fixture(scope="module")
def run(house: House) -> Run:
    run = house.trigger(
        house.somebody("EXISTS (SELECT FROM ra.biometric b WHERE b.account_id = a.account_id)")
    ).approved()
    assert run.ended() == "success", run.why()
    return run


def test_the_files_are_rid_of_a_person_overnight_and_the_certificate_says_so(house: House, run: Run) -> None:
    def serials() -> int:
        with house.records() as conn:
            row = conn.execute(
                "SELECT count(*) FROM casebook.certificate WHERE case_no = %s AND issued_at IS NOT NULL",
                [run.case_no],
            ).fetchone()
        assert row is not None
        return int(row[0])

    before = serials()
    house.passes("table_scrub")
    assert serials() == before + 1
    with house.desk.book() as conn:
        (*_, last) = [e for _, e in papers.evidence(conn, run.case_no) if e.kind == remains.KIND]
    assert last.verdict is Verdict.PASSED and {c.rung for c in last.checks} == {Rung.R3, Rung.R4}
    house.passes("table_scrub")
    assert serials() == before + 1, "nobody is certified anew for nothing"
