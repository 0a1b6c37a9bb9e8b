"""A line of a log with a time that cannot be, or with none."""

from __future__ import annotations

from datetime import timedelta

import pytest

from include.cases.retention import records
from include.cases.retention.held import HeldPeople
from include.cases.retention.objects import Partly
from include.model.times import observed_now, prc_date
from include.stores.s3.aged import Logs as Read
from include.stores.s3.once import Once
from tests.stores.s3.clearing.test_logs import LOG, Logs, entry, here

pytestmark = pytest.mark.s3
__all__ = ["here"]  # a fixture


@pytest.mark.parametrize("at", ["2999-01-01T00:00:00+08:00", None])
def test_one_line_with_a_wrong_date_or_none_keeps_no_file_longer_than_from_the_day_it_was_written(
    here: Logs, at: str | None
) -> None:
    """And no file goes sooner: the law's six months begin on that day, and the year of the line itself, too."""
    here.put("access/1", [entry("a"), entry("b", at)])
    here.put("access/2", [entry("a")])
    written = prc_date(observed_now())

    def due(days: int) -> dict[str, int]:
        asked = records.aging(here.catalogue, here.dataset, written + timedelta(days=days), HeldPeople())
        read = Read(here.world.s3, asked, Once())
        found = {k.entries[0].key: k.due for k in read.listed()}
        assert read.odd == 1
        return found

    assert due(170) == {"access/1": 0, "access/2": 1}
    assert due(190) == {"access/1": 1, "access/2": 1}, "all others of it, once six months are over"
    assert due(370) == {"access/1": 2, "access/2": 1}
    why = here.seen().unverified[LOG]
    assert "1 versions of its files have records without a time" in why and isinstance(why, Partly)
