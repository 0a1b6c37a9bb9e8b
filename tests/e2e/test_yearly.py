"""The yearly duties through the real scheduler: green as the house stands, red once somebody stands alone in a set."""

from __future__ import annotations

from tests.e2e.conftest import House
from tests.e2e.test_clocks import ran

DUTIES, SETS, KEYS = "yearly_duties", "try_anonymised_sets_again", "destroy_keys_whose_time_has_come"


def test_the_duties_are_done_and_a_set_that_leads_to_somebody_turns_the_run_red(house: House) -> None:
    state, said = ran(house, DUTIES, SETS)
    assert state == "success", said
    with house.records() as conn:
        kinds = {r[0] for r in conn.execute("SELECT DISTINCT kind FROM ledger.queue WHERE case_no IS NULL")}
    assert {"retest", "ledger_keys", "destruction_list"} <= kinds

    with house.company() as conn:
        conn.execute("INSERT INTO stat.research_release VALUES ('1920-1939', '东北', 7)")
        try:
            state, said = ran(house, DUTIES, SETS)
        finally:
            conn.execute("DELETE FROM stat.research_release")
    assert state == "failed"
    assert "research failed: k.research" in said and "personal data again" in said
    assert "东北" not in said and "1920" not in said

    state, said = ran(house, DUTIES, KEYS)
    assert state == "success", "said once, the list is the same again"
