"""Log lines of whoever accepted a longer period, on the night on which the account goes: it says no more what was accepted."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from include.model.errors import NotProved
from include.model.estate import Accounts
from include.model.versions import PolicyVersion
from include.model.words import LegalRank
from tests.cases.retention.house import DAY
from tests.cases.retention.test_reads_of_logs import LOG, Logged, due, house
from tests.cases.small import rule

__all__ = ["house"]
pytestmark = pytest.mark.s3
GOES, STAYS = "acct_000000000010", "acct_000000000001"
YOUNG, LONG_AGO, OVER = date(2026, 7, 1), date(2025, 8, 1), date(2024, 1, 1)
"""Under the law's six months; past the year of before, and not past two; past both."""


@pytest.fixture
def promised(house: Logged) -> Logged:
    """A year became two; both accounts accepted it, and one of them goes tonight."""
    house.company.sql("ALTER TABLE a.account ADD COLUMN version text DEFAULT '2'")
    of = house.company.catalogue
    longer = rule("RS-13", "P6M", "floor", LegalRank.LAW, "CSL 23(3)", register="P24M")
    home = of.dataset("a.account").model_copy(
        update={"accounts": Accounts(ended="ended", accepted="version")}
    )
    house.company.catalogue = of.model_copy(
        update={
            "rules": tuple(longer if r.id == "RS-13" else r for r in of.rules),
            "datasets": tuple(home if d.id == home.id else d for d in of.datasets),
            "versions": tuple(
                PolicyVersion(id=n, says={"RS-13/register": p}) for n, p in (("1", "P12M"), ("2", "P24M"))
            ),
        }
    )  # fmt: skip
    return house


def account(house: Logged) -> int:
    return len(house.company.sql("SELECT 1 FROM a.account WHERE id = %s", GOES))


def test_they_go_the_next_night_and_none_before_the_law_lets_it(promised: Logged) -> None:
    promised.put("old", (GOES, LONG_AGO), (STAYS, LONG_AGO))
    promised.put("young", (GOES, YOUNG))
    promised.put("over", (STAYS, OVER))  # whoever accepted what
    first = promised.night()
    assert (account(promised), promised.lines("old"), promised.lines("young")) == (0, 2, 1)
    assert promised.certified == [first.case_no], (
        "that they are nobody's since it took the account is no fault of it"
    )
    second = promised.night(DAY + timedelta(days=1))
    assert promised.counts(second)[LOG] == {"erased": 1}
    assert (promised.lines("old"), promised.lines("young")) == (1, 1)
    assert (
        promised.certified == [first.case_no, second.case_no] and due(promised, DAY + timedelta(days=1)) == 0
    )


def test_a_line_that_was_due_before_is_not_taken_for_one(promised: Logged) -> None:
    """It came while the night was at work, and is due whoever accepted what."""

    promised.put("over", (STAYS, OVER))

    def planted() -> None:
        promised.put("since", (STAYS, OVER))

    with pytest.raises(NotProved, match="more is due than the night says that it left"):
        promised.night(then=planted)
