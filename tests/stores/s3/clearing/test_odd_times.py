"""A line of a log with a time that cannot be, or with none."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Sequence
from datetime import date, timedelta

import pytest

from include.cases.retention import records
from include.cases.retention.held import HeldPeople
from include.cases.retention.objects import Partly
from include.model.times import observed_now, prc_date
from include.stores.s3.aged import Logs as Read
from include.stores.s3.files import WRITTEN, Files
from include.stores.s3.once import Once
from include.stores.s3.site import Owned, Owners
from tests.stores.s3.clearing.test_logs import LOG, OLD, Logs, Row, entry, here
from tests.stores.s3.test_once import Kept
from tests.stores.s3.world import jsonl

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


LONG_AGO = date(2026, 4, 1)
"""Eight months before the night: its six months are over, its year is not."""


def copied(here: Logs, key: str, rows: Sequence[Row], of: Sequence[Row] | None = None) -> None:
    """As if a night had made it of one that was written long ago; ``of``: that was another content than it has by now."""
    content = hashlib.sha256(gzip.compress(jsonl(of or rows), mtime=0)).hexdigest()
    here.put(key, rows, Metadata={WRITTEN: f"{LONG_AGO.isoformat()} {content}", "line": "7"})


def due(here: Logs, on: date) -> int:
    """By somebody who remembers nothing."""
    asked = records.aging(here.catalogue, here.dataset, on, HeldPeople())
    return sum(k.due for k in Read(here.world.s3, asked, Once()).listed())


@pytest.mark.parametrize("at", ["2999-01-01T00:00:00+08:00", None])
def test_a_rewritten_file_is_no_younger_than_what_it_was_made_of(here: Logs, at: str | None) -> None:
    """Else a line with a wrong date, or none, would grow younger with each night that rewrites its file, and all others with it;
    and whoever wrote the file would count it by another day than whoever reads it."""
    copied(here, "access/1", [entry("a"), entry("b", at)])
    memory = Kept()
    here.dispose(here.plan(), memory=memory)
    asked = records.aging(here.catalogue, here.dataset, LONG_AGO, HeldPeople())
    assert memory.rows, "the eraser remembers what it wrote"
    for once in (Once(memory), Once()):
        (group,) = Read(here.world.s3, asked, once).groups()
        assert {clock.day for clock in group.clocks} == {LONG_AGO}
    assert len(here.current("access/1")) == 1
    assert due(here, date(2027, 4, 1)) == 0 and due(here, date(2027, 4, 2)) == 1
    kept = here.world.s3.head_object(Bucket=here.bucket, Key="access/1")["Metadata"]
    assert kept["line"] == "7", "what the company noted is there still"


def test_what_somebody_made_of_a_copy_of_ours_is_as_young_as_that(here: Logs) -> None:
    copied(here, "access/1", [entry("a"), entry("b", None)], of=[entry("a")])
    written = prc_date(observed_now())
    assert due(here, date(2027, 4, 2)) == 0
    assert due(here, written + timedelta(days=190)) == 1 and due(here, written + timedelta(days=370)) == 2


def test_nothing_is_younger_than_its_file_whatever_its_file_says(here: Logs) -> None:
    rows = [entry("a"), entry("b", "2999-01-01T00:00:00+08:00")]
    content = hashlib.sha256(gzip.compress(jsonl(rows), mtime=0)).hexdigest()
    here.put("access/1", rows, Metadata={WRITTEN: f"2999-01-01 {content}"})
    written = prc_date(observed_now())
    assert due(here, written + timedelta(days=190)) == 1 and due(here, written + timedelta(days=370)) == 2
    assert "records without a time" in here.seen().unverified[LOG]


def test_a_rewritten_file_of_one_person_reads_to_its_end(here: Logs) -> None:
    """More than is read ahead at once."""
    rows = [entry("a", None if n == 7 else OLD, n) for n in range(60_000)]
    copied(here, "access/1", rows)
    files = Files(here.world.s3, here.dataset)
    (version,) = files.versions("access/1")
    file = files.fetch(version)
    assert file is not None
    with file.body:
        known: Owners = {("a",): Owned((1,), link_only=False)}
        found, unreadable = files.records(file, "account_id", frozenset({"a"}), known)
        files.describe(file, found)
    assert (len(found), unreadable, version.mixed) == (60_000, 0, False)
    assert version.youngest == {"at": LONG_AGO.isoformat()}
