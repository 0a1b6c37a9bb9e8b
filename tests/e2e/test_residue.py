"""A case that ran through the real scheduler, looked for in the bytes of every file of both clusters."""

from __future__ import annotations

import pytest

from include.cases import residue
from include.model.errors import Refused
from include.model.words import Verdict
from include.proofs.residue.names import table
from tests.e2e.conftest import House, Run


@pytest.fixture(scope="module")
def run(house: House) -> Run:
    # Nobody whose number also stands in an enterprise's own record: that stays, and bytes do not say whose it is.
    alone = (
        "NOT EXISTS (SELECT FROM ent.representative r JOIN account.person p ON p.account_id = a.account_id"
        " WHERE r.account_id = p.account_id OR r.document_no = p.document_no OR r.mobile = p.mobile)"
    )
    run = house.trigger(house.somebody(alone)).approved()
    assert run.ended() == "success", run.why()
    return run


def left(looked: residue.Looked) -> set[str]:
    return {table(f.place) for f in looked.found if f.sure and not f.kept}


def test_our_own_cluster_never_had_anything_of_the_person(house: House, run: Run) -> None:
    """Case book, ledger and Airflow's own database: their tables, indexes, WAL and server log."""
    with house.records() as conn:
        conn.execute("CHECKPOINT")
    looked = residue.look(house.desk, [run.case_no], [house.stack.records.data])
    assert looked.found == () and looked.unread == ()
    assert looked.files > 1000 and looked.verdict is Verdict.PASSED


def test_what_rows_leave_in_files_is_found_and_goes_when_they_are_rewritten(house: House, run: Run) -> None:
    data = house.stack.company.data
    with house.company() as conn:
        conn.execute("CHECKPOINT")
    looked = residue.look(house.desk, [run.case_no], [data], "company")
    assert looked.verdict is Verdict.FAILED
    assert {"account.person", "account.session", "pg_catalog.pg_statistic"} <= left(looked)
    kept = {table(f.place) for f in looked.found if f.kept}
    assert {"cert.certificate", "quietus.restriction"} <= kept

    with house.company() as conn:
        conn.execute("VACUUM (FULL, ANALYZE)")
        for _ in range(2):
            conn.execute("VACUUM FULL pg_catalog.pg_statistic")
        conn.execute("CHECKPOINT")
    looked = residue.look(
        house.desk, [run.case_no], [data / "base", data / "global" / "pg_control"], "company"
    )
    # What tables that keep something of the person say of it in statistics is not told apart here.
    assert left(looked) <= {"pg_catalog.pg_statistic"}
    assert {table(f.place) for f in looked.found if f.kept} >= kept


def test_the_files_of_another_cluster_are_refused(house: House, run: Run) -> None:
    """They would be clean, and prove nothing."""
    with pytest.raises(Refused, match="another cluster"):
        residue.look(house.desk, [run.case_no], [house.stack.records.data], "company")
    looked = residue.look(house.desk, [run.case_no], [house.stack.records.data / "base"], "company")
    assert looked.verdict is Verdict.UNVERIFIED
    with pytest.raises(Refused, match="no such database"):
        residue.look(house.desk, [run.case_no], [house.stack.records.data], "objects")
