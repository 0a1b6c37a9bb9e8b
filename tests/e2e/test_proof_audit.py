"""The night of planted controls through the real scheduler: green as the house stands, red when the prover goes blind."""

from __future__ import annotations

import pytest

from include.cases.controls import again, doubt, nights
from include.cases.handing_out import hand_out
from include.cases.shelf import Shelf
from include.model.errors import NotProved
from include.model.times import observed_now, prc_date
from tests.e2e.conftest import House
from tests.e2e.test_clocks import ran

AUDIT, TASK = "proof_audit", "audit_the_proofs"


def test_the_proofs_find_what_is_planted_and_a_blind_one_turns_the_run_red(house: House) -> None:
    run = house.trigger(house.somebody()).approved()
    assert run.ended() == "success", run.why()
    state, said = ran(house, AUDIT, TASK)
    assert state == "success", said
    with house.desk.book() as conn:
        (green, *_) = nights.listing(conn)
    assert green["verdict"] == "passed" and green["removed_at"] and green["found"] == green["planted"] > 20

    with house.company() as conn:
        conn.execute("REVOKE pg_read_all_data FROM prover")
        try:
            state, said = ran(house, AUDIT, TASK)
        finally:
            conn.execute("GRANT pg_read_all_data TO prover")
    assert state == "failed"
    assert "undeclared_table in company was missed by 'dragnet': it could not be looked at" in said
    assert "evidence of that day by these proofs does not count" in said
    with house.desk.book() as conn:
        (red, *_) = nights.listing(conn)
    assert red["verdict"] == "failed" and "company undeclared_table" in red["missed"]
    assert [f["code"] for f in run.findings()] == [doubt.FINDING]
    with pytest.raises(NotProved, match="does not count"):
        hand_out(
            house.desk,
            run.case_no,
            Shelf(house.stack.certificates),
            as_of=prc_date(observed_now()),
            actor="ops/test",
        )

    before = run.certificates()
    state, said = ran(house, AUDIT, TASK)  # the day's later looks count again, and are made
    assert state == "success", said
    assert run.findings() == [] and len(run.certificates()) > len(before)
    with house.desk.book() as conn:
        assert again.in_doubt(conn) == ()
    with house.company() as conn:
        left = conn.execute("SELECT nspname FROM pg_namespace WHERE nspowner = 'planter'::regrole").fetchall()
    assert left == []
