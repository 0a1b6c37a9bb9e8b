"""Every tool lets go what is due and nothing else, on the real tool: rehearsed first, seen afterwards."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from include.backups.expiring.carrying_out import Expired, expire
from include.model.errors import Drifted, Refused
from include.model.times import observed_now, prc_date
from tests.backups.making import Maker, OnServer, WithBarman, WithBaseBackups, WithDumps, WithPgBackRest

CHAINS = ["basebackup", "pgbackrest"]
TOMORROW = timedelta(days=1)


def expired(
    maker: Maker, *, days: int = 1, yes: bool = True, dry_run: bool = False, **more: object
) -> Expired:
    """What goes of a set that keeps its copies for the day on which they were made, so many days later."""
    return expire(
        "set", maker.reader, maker.expirer, last=lambda made: made, today=prc_date(observed_now()) + days * TOMORROW,
        yes=yes, dry_run=dry_run, **more,  # type: ignore[arg-type]
    )  # fmt: skip


def there(maker: Maker) -> list[str]:
    return [copy.name for copy in maker.reader.look().copies]


def two_chains(maker: Maker) -> tuple[list[str], list[str]]:
    """The names of an old chain and of a new one; of a tool without increments each is one copy."""
    chains = []
    for _ in range(2):
        before = there(maker)
        maker.full()
        if isinstance(maker, WithBaseBackups | WithPgBackRest):
            maker.incremental()
        chains.append([name for name in there(maker) if name not in before])
    return chains[0], chains[1]


def test_what_is_due_goes_and_the_last_one_stays(maker: Maker) -> None:
    old, new = two_chains(maker)
    before = maker.reader.look()
    said = expired(maker, dry_run=True)
    assert set(said.plan.go) == set(old) and maker.reader.look() == before, "a dry run changes nothing"
    done = expired(maker)
    assert set(done.gone) == set(done.plan.go) == set(old) and done.as_planned
    assert there(maker) == new and set(done.plan.late) == set(new)
    assert done.checked == new[-1] and done.not_restorable == ()
    if maker.archives:
        first, last = done.archive
        newest = maker.reader.look().copies[0]
        assert first is not None and last is not None and newest.start is not None
        assert first.oldest < last.oldest <= newest.start < last.newest, "and the WAL from before it, no more"
    assert maker.expirer.check(maker.reader.look().copies[-1]) is None, (
        "what stays can be restored all the same"
    )


def test_what_is_not_due_stays(maker: Maker) -> None:
    old, new = two_chains(maker)
    done = expired(maker, days=0)
    assert done.plan.go == done.gone == () and there(maker) == [*old, *new]


def test_nothing_of_a_set_under_hold_goes(maker: Maker) -> None:
    old, new = two_chains(maker)
    done = expired(maker, holds=["HOLD-000001"])
    assert done.plan.stopped == ("HOLD-000001",) and not done.as_planned and there(maker) == [*old, *new]


def test_too_many_at_one_time_are_not_let_go_unasked(maker: Maker) -> None:
    maker.full()
    two_chains(maker)
    before = there(maker)
    assert (
        expired(maker, yes=False, dry_run=True).breaker == "2 of 3 chains would go at one time, more than 50%"
    )
    with pytest.raises(Refused, match="2 of 3 chains"):
        expired(maker, yes=False)
    assert there(maker) == before
    assert len(expired(maker, yes=False, share=0.7).gone) == len(before) - len(there(maker)) > 0


@pytest.mark.parametrize("maker", CHAINS, indirect=True)
def test_an_increment_that_is_not_due_keeps_its_full(maker: Maker) -> None:
    old, new = two_chains(maker)
    assert maker.expirer.rehearse(old[:1]) == set(old), "the tool itself says that it would go with it"
    if isinstance(maker, WithBaseBackups):
        with pytest.raises(Drifted, match=f"{old[1]} leans by now"):
            maker.expirer.let_go(old[:1])
    assert there(maker) == [*old, *new]


@pytest.mark.parametrize("maker", ["barman"], indirect=True)
def test_what_barman_pins_stays(maker: WithBarman) -> None:
    for _ in range(3):
        maker.full()
    first, second, third = there(maker)
    maker.pin(first)
    done = expired(maker)
    assert done.plan.stay[first] == "it is pinned (barman keep (standalone))"
    assert (done.gone == (second, third) and there(maker) == [first]) or there(maker) == [first, third]
    assert maker.expirer.rehearse([first]) == frozenset(), "nor would it go if it were planned"


@pytest.mark.parametrize("maker", ["basebackup", "barman", "dumps", "pgbackrest"], indirect=True)
def test_nothing_goes_while_what_would_stay_is_damaged(maker: Maker) -> None:
    assert isinstance(maker, OnServer)
    maker.sql("CREATE TABLE IF NOT EXISTS held AS SELECT md5(n::text) FROM generate_series(1, 5000) AS s (n)")
    old, new = two_chains(maker)
    damage(maker, new[0])
    done = expired(maker)
    assert done.gone == () and there(maker) == [*old, *new]
    assert done.checked is None and done.not_restorable and set(done.plan.late) == {*old, *new}


def damage(maker: OnServer, name: str) -> None:
    """A byte of it is another, and its time is not."""
    if isinstance(maker, WithDumps):
        file = maker.home / name  # its rows lie at its end
    elif isinstance(maker, WithBaseBackups):
        file = maker.home / name / "global" / "pg_control"
    elif isinstance(maker, WithBarman):
        file = maker.place / "main" / "base" / name / "data" / "global" / "pg_control"
    else:
        file = next((maker.home / "repo" / "backup" / "main" / name).rglob("pg_control*"))
    held = bytearray(file.read_bytes())
    held[len(held) * 9 // 10] ^= 0xFF
    times = file.stat()
    file.write_bytes(held)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("maker", ["dumps"], indirect=True)
@pytest.mark.parametrize("form", [["-Fd"], ["-Fp", "--verbose"], ["-Ft"]], ids="".join)
def test_dumps_of_every_form(maker: WithDumps, form: list[str]) -> None:
    maker.full(*form)
    maker.full(*form)
    first, second = there(maker)
    done = expired(maker)
    assert done.gone == (first,) and there(maker) == [second] and done.checked == second


@pytest.mark.parametrize("maker", ["dumps"], indirect=True)
def test_a_text_dump_without_its_end_is_not_one_to_rely_on(maker: WithDumps) -> None:
    maker.full("-Fp", "--verbose")
    (copy,) = maker.reader.look().copies
    path = Path(copy.location)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert maker.expirer.check(copy) == "it does not say that it is complete"


@pytest.mark.parametrize("maker", ["basebackup"], indirect=True)
def test_compressed_wal_goes_too(maker: WithBaseBackups) -> None:
    maker.full()
    for path in list((maker.home / "archive").iterdir()):
        if len(path.name) == 24:
            maker.run("gzip", path)
    two_chains(maker)
    assert expired(maker).as_planned
    left = sorted(
        p.name for p in (maker.home / "archive").iterdir() if p.suffix == ".gz" and len(p.name) == 27
    )
    assert left == [], "all of it was from before what stays"
    shutil.rmtree(maker.home / "archive")


@pytest.mark.parametrize("maker", ["basebackup"], indirect=True)
def test_a_backup_of_which_a_part_lies_elsewhere_is_left_to_a_person(maker: WithBaseBackups) -> None:
    """Removing the link would look as if all of it were gone; and what it leads to may be a running server's."""
    old, new = two_chains(maker)
    elsewhere = maker.home.with_name("elsewhere")
    (elsewhere / "PG_18").mkdir(parents=True, exist_ok=True)
    link = maker.home / old[0] / "pg_tblspc" / "16400"
    link.symlink_to(elsewhere)
    with pytest.raises(Refused, match="its tablespaces"):
        expired(maker)
    link.unlink()
    (maker.home / old[0]).rename(elsewhere / old[0])
    (maker.home / old[0]).symlink_to(elsewhere / old[0])
    with pytest.raises(Refused, match="is a link"):
        expired(maker)
    assert there(maker) == [*old, *new] and (elsewhere / old[0]).is_dir()
    shutil.rmtree(elsewhere)
