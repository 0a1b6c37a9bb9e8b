"""A file goes at once: what was kept for others and stays lets one go, the same night, that was too large before."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.cases.retention.house import DAY
from tests.cases.retention.test_reads_of_logs import ANNA, LOG, YEAR, Logged, house

__all__ = ["house"]
pytestmark = pytest.mark.s3


def test_a_file_that_was_larger_than_its_part_is_come_to_again(house: Logged) -> None:
    """Of six, four are kept for tickets, which are older and stay, for notes need them; the file has five lines."""
    house.company.sql("UPDATE s.note SET written = '2026-11-23'; UPDATE a.account SET ended = NULL")
    house.company.sql("UPDATE u.visit SET at = '2026-11-23'; UPDATE u.click SET at = '2026-11-23'")
    house.company.sql("UPDATE s.ticket SET closed = '2010-01-01' WHERE closed < '2025-11-24'")
    house.put("whole", *[(ANNA, DAY - YEAR - timedelta(days=40))] * 5)
    night = house.night(budget=6)
    assert house.counts(night) == {LOG: {"erased": 5}, "s.ticket": {"needed": 4}}
