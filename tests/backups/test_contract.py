"""Every reader of backups against the real tool: what it says is what there is, and what keeps it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from include.model.backups import CopyOf
from tests.backups.making import Maker, OnServer, WithBarman, wait_for


def test_nothing_yet(maker: Maker) -> None:
    seen = maker.reader.look()
    assert seen.copies == ()
    # Of a directory with nothing at all in it nobody knows whether it is mounted.
    assert all("as if not mounted" in problem for problem in seen.problems)


def test_a_copy_says_since_when_it_holds_what_it_holds(maker: Maker) -> None:
    assert isinstance(maker, OnServer)
    before, begun = maker.position(), datetime.now(UTC)
    maker.full()
    (copy,) = maker.reader.look().copies
    assert copy.broken is None and copy.pinned is None and copy.leans_on == ()
    assert copy.kind is (CopyOf.FULL if maker.positions else CopyOf.DUMP)
    assert copy.started_at is not None
    assert begun - timedelta(hours=14, seconds=2) <= copy.started_at <= datetime.now(UTC)
    if maker.positions:
        assert copy.start is not None and copy.stop is not None
        assert before <= copy.start <= copy.stop <= maker.position()
        assert copy.timeline == 1
    else:
        assert copy.start is None and copy.started_at <= begun, "never later than it was begun"


def test_whose_backups_they_are(maker: Maker) -> None:
    assert isinstance(maker, OnServer)
    maker.full()
    system = maker.reader.look().system
    assert system in (None, maker.sql("SELECT system_identifier FROM pg_control_system()"))
    assert (system is None) is (type(maker).__name__ in ("WithBarman", "WithDumps")), "these do not say"


@pytest.mark.parametrize("maker", ["basebackup", "pgbackrest"], indirect=True)
def test_a_copy_leans_on_what_it_cannot_be_restored_without(maker: Maker) -> None:
    maker.full()
    maker.incremental()
    maker.incremental()
    first, second, third = maker.reader.look().copies
    assert (first.leans_on, second.leans_on) == ((), (first.name,))
    assert set(third.leans_on) == {first.name, second.name}
    assert third.kind is CopyOf.INCREMENTAL
    assert first.start is not None and second.start is not None and first.start < second.start
    assert maker.reader.look().oldest_start() == first.start, "the chain reaches back to its full"


def test_what_is_gone_is_beyond_reach_when_the_copies_from_before_are_expired(maker: Maker) -> None:
    """The deed lies between two copies: the first keeps it within reach until the tool itself lets it go."""
    assert isinstance(maker, OnServer)
    maker.full()
    maker.sql("CREATE TABLE IF NOT EXISTS gone ()")
    maker.sql("DROP TABLE gone")
    deed = maker.position()
    maker.full()
    oldest, newest = maker.reader.look().copies
    if maker.positions:
        reach = maker.reader.look().oldest_start()
        assert reach is not None and reach == oldest.start and reach < deed
    maker.expire_oldest()
    seen = maker.reader.look()
    assert [c.name for c in seen.copies] == [newest.name]
    if maker.positions:
        after = seen.oldest_start()
        assert after is not None and after > deed
    if maker.archives:
        assert seen.archive is not None
        assert newest.start is not None and seen.archive.oldest <= newest.start < seen.archive.newest


@pytest.mark.parametrize("maker", ["basebackup", "pgbackrest", "barman"], indirect=True)
def test_the_archive_says_what_can_be_replayed(maker: Maker) -> None:
    maker.full()
    first = maker.reader.look().archive
    assert first is not None and first.segments >= 1
    assert isinstance(maker, OnServer)
    maker.sql("SELECT pg_logical_emit_message(true, 'quietus', 'on')")
    maker.sql("SELECT pg_switch_wal()")

    def further() -> bool:
        if isinstance(maker, WithBarman):
            maker.archive()
        now = maker.reader.look().archive
        return now is not None and now.newest > first.newest

    wait_for(further)


@pytest.mark.parametrize("maker", ["barman"], indirect=True)
def test_a_pin_is_told_with_its_name(maker: WithBarman) -> None:
    maker.full()
    maker.full()
    maker.pin("oldest")
    oldest, newest = maker.reader.look().copies
    assert (oldest.pinned, newest.pinned) == ("barman keep (standalone)", None)
