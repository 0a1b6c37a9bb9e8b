"""What was given to a recipient though the policy does not list it: shown until somebody answers for it, in nobody's way."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.cases import papers, watch
from include.cases.keys import FileKeyStore
from include.cases.notices import beyond
from include.cases.notices.composing import Given
from include.model.errors import Refused
from include.model.words import CaseState
from tests.cases.small import TODAY, Transfers, world
from tests.cases.test_verbs import approved, rested

pytestmark = pytest.mark.postgres


@pytest.fixture
def keys(tmp_path: Path) -> FileKeyStore:
    return FileKeyStore(tmp_path / "keys", b"k" * 32)


def test_what_no_category_tells_is_no_field_of_the_table_either(writer, keys) -> None:
    class Unread(Transfers):
        def given(self, subjects):
            return {"sms": Given("sms", 1, ("txn-1",), ("PI-001", "户籍所在地"))}

    w = world(writer, keys, company=Unread())
    case_no = approved(w)
    with w.desk.book() as conn:
        (found,) = papers.open_findings(conn, case_no)
    assert found["items"] == 1 and "no category" in found["what"] and "户籍" not in found["what"]


def test_what_was_given_beyond_the_policy_stands_in_no_ones_way_and_is_answered_for_once(
    writer, keys
) -> None:
    class Beyond(Transfers):
        def given(self, subjects):
            return {"sms": Given("sms", 1, ("txn-1",), ("PI-001", "PI-060"))}

    w = world(writer, keys, company=Beyond())
    case_no = approved(w)
    assert rested(w, case_no) is CaseState.WAITING, "the person's deletion goes on"
    seen = watch.look(w.desk, as_of=TODAY, actor="system/clocks")
    assert seen.beyond == (f"{case_no}: recipient sms",) and set(seen.beyond) <= set(seen.alarms)
    for reason in (" ", "see 13800138000"):
        with pytest.raises(Refused):
            beyond.explained(w.desk, case_no, "sms", reason=reason, as_of=TODAY, actor="ops/li")
    beyond.explained(
        w.desk, case_no, "sms", reason="stopped; the row is corrected", as_of=TODAY, actor="ops/li"
    )
    seen = watch.look(w.desk, as_of=TODAY, actor="system/clocks")
    assert seen.beyond == () and seen.alarms == ()
    with pytest.raises(Refused, match="no open finding"):
        beyond.explained(w.desk, case_no, "sms", reason="again", as_of=TODAY, actor="ops/li")
