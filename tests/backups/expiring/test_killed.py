"""Killed while a backup is being removed: no half of it looks whole, and the next run ends it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from include.backups.aside import INTERRUPTED
from include.model.backups import Copies
from tests.backups.expiring.test_contract import expired, there, two_chains
from tests.backups.making import Maker, WithBaseBackups, WithDumps

KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from include.backups import aside
where, home, last = sys.argv[1:4]
def die(*a, **k):
    os.kill(os.getpid(), signal.SIGKILL)
if where == "renamed":
    aside.sync_directory = die
elif where == "half":
    real = shutil.rmtree
    def rmtree(path):
        real(path)
        if not any(p.is_dir() for p in path.parent.iterdir()): die()
    shutil.rmtree = rmtree
elif where == "label":
    real = Path.unlink
    def unlink(self, *a):
        real(self, *a)
        if self.name == last: die()
    Path.unlink = unlink
from tests.backups.expiring.test_killed import expirer
expirer(home, sys.argv[4]).let_go(sys.argv[5:])
"""


def expirer(home: str, kind: str):  # type: ignore[no-untyped-def]
    from include.backups.expiring.directories import ExpireDirectories
    from include.backups.expiring.dumps import ExpireDumps
    from include.backups.restoring.binaries import Binaries

    return {"directories": ExpireDirectories, "dumps": ExpireDumps}[kind](kind, home, Binaries())


def killed(where: str, home: Path, last: str, kind: str, names: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, where, str(home), last, kind, *names],
        capture_output=True, text=True, timeout=120, check=False, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("maker", ["basebackup"], indirect=True)
@pytest.mark.parametrize("where", ["renamed", "half", "label"])
def test_a_backup_half_removed_says_so_and_goes_next(maker: WithBaseBackups, where: str) -> None:
    old, new = two_chains(maker)
    before = {c.name: c for c in maker.reader.look().copies}
    killed(where, maker.home, "backup_label", "directories", [old[1], old[0]])
    seen = maker.reader.look()
    left = [c for c in seen.copies if c.broken]
    assert [c.broken for c in left] == [INTERRUPTED] and left[0].name == f".expiring-{old[1]}"
    assert left[0].start == before[old[1]].start, "what it holds, it still says"
    assert seen.problems == () and whole(seen) == [old[0], *new]
    done = expired(maker)
    assert done.as_planned and set(done.gone) == {left[0].name, old[0]} and there(maker) == new
    assert sorted(p.name for p in maker.home.iterdir() if p.is_dir()) == sorted([*new, "archive"])


def whole(seen: Copies) -> list[str]:
    return [c.name for c in seen.copies if c.broken is None]


@pytest.mark.parametrize("maker", ["dumps"], indirect=True)
@pytest.mark.parametrize(("where", "last"), [("renamed", ""), ("label", "restore.sql")])
def test_a_dump_half_removed_too(maker: WithDumps, where: str, last: str) -> None:
    maker.full("-Fd")
    maker.full("-Fd")
    old, new = there(maker)
    (maker.home / old / "restore.sql").touch()
    killed(where, maker.home, last, "dumps", [old])
    (left,) = [c for c in maker.reader.look().copies if c.broken]
    assert (left.name, left.broken) == (f".expiring-{old}", INTERRUPTED)
    assert left.started_at is not None
    assert expired(maker).as_planned and there(maker) == [new]


@pytest.mark.parametrize("maker", ["basebackup"], indirect=True)
def test_a_hold_keeps_what_was_about_to_go(maker: Maker) -> None:
    """It was renamed, and a hold came before it was removed: nothing of it goes."""
    assert isinstance(maker, WithBaseBackups)
    old, _ = two_chains(maker)
    killed("renamed", maker.home, "", "directories", [old[1]])
    before = there(maker)
    assert expired(maker, holds=["HOLD-000001"]).gone == () and there(maker) == before
