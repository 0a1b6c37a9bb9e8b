"""The declared directory in which scratches lie. What is in them is personal, so none may be left behind.

A worker holds a lock on its scratch for as long as it lives: the kernel lets go of it however the worker ends. What is there
without a holder was left behind, and the next who comes destroys it.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from include.backups.restoring.room import Account, Room, end_marked
from include.backups.restoring.server import end_server
from include.model.errors import NotReachable, Refused

_PLAIN = re.compile(r"/[A-Za-z0-9/._-]+")
_PREFIX, _LOCK = "scratch-", "lock"
_LONGEST = 60  # bytes: a socket's path has at most 107, and the scratch's own part is added
SPARE = 512 << 20  # bytes that stay free whatever is restored


@dataclass(frozen=True)
class Place:
    """A directory that belongs to the account that the scratches' servers run as."""

    directory: Path
    account: Account

    @classmethod
    def at(cls, path: str) -> Place:
        """Raises Refused for a directory that will not do, NotReachable if it is not there."""
        directory = Path(path)
        if not _PLAIN.fullmatch(path) or len(os.fsencode(path)) > _LONGEST:
            raise Refused(
                f"its path must be absolute, plain, and of {_LONGEST} characters at most", about="scratch",
                next_step="point the connection `scratch` elsewhere",
            )  # fmt: skip
        if not directory.is_dir():
            raise NotReachable(
                "there is no such directory", about="scratch", next_step=f"make {path}, or mount it"
            )
        account = Account.owning(directory)
        if account.uid == 0:
            raise Refused(
                "it belongs to root, as whom PostgreSQL does not run", about="scratch",
                next_step=f"give {path} to the account that is to run the scratch's server",
            )  # fmt: skip
        if os.geteuid() not in (0, account.uid):
            raise Refused(
                f"it belongs to {account.name}",
                about="scratch",
                next_step="run this as that account, or as root",
            )
        return cls(directory, account)

    @contextmanager
    def room(self, about: str, need: int) -> Iterator[Room]:
        """A new scratch with head-room for ``need`` bytes; destroyed at the end, with whatever still runs in it.

        Raises Refused without head-room; NotReachable if it cannot be destroyed: that it holds personal data is then said.
        """
        self.sweep()
        free = shutil.disk_usage(self.directory).free
        if free < need + SPARE:
            raise Refused(
                f"the restore needs {_mb(need + SPARE)} MB where scratches lie, and {_mb(free)} MB are free", about=about,
                next_step="make room there, or point the connection `scratch` elsewhere",
            )  # fmt: skip
        with self._alone():
            home = self.directory / f"{_PREFIX}{secrets.token_hex(4)}"
            home.mkdir(mode=0o700)
            lock = _try(home)
        if lock is None:
            raise AssertionError("nobody else can hold what was made under the lock")
        try:
            room = Room(home, self.account, about)
            room.furnish()
            yield room
        finally:
            try:
                destroy(home)
            finally:
                os.close(lock)

    def sweep(self) -> int:
        """Destroy what was left behind by workers that are no more; how many scratches that were. Raises NotReachable."""
        with self._alone():
            left = [
                (home, lock)
                for home in sorted(self.directory.glob(f"{_PREFIX}*"))
                if (lock := _try(home)) is not None
            ]
        try:
            for home, _ in left:
                destroy(home)
        finally:
            for _, lock in left:
                os.close(lock)
        return len(left)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One at a time makes a scratch or looks for lost ones, or a new one would pass for a lost one."""
        lock = os.open(self.directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _try(home: Path) -> int | None:
    """The scratch's lock, if nobody holds it. The file stands beside the scratch's own, and goes with it."""
    try:
        lock = os.open(home / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None  # gone meanwhile
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def destroy(home: Path, seconds: float = 60.0) -> None:
    """End what runs in a scratch and remove it. Raises NotReachable if something of it stays."""
    end_marked(home)
    end_server(home / "data")
    until = time.monotonic() + seconds
    while home.exists():
        shutil.rmtree(home, ignore_errors=True)
        if home.exists():
            if time.monotonic() > until:
                raise NotReachable(
                    "a scratch cannot be removed, and holds personal data", about=str(home), next_step="remove it by hand"
                )  # fmt: skip
            time.sleep(0.2)


def _mb(size: int) -> str:
    return f"{size / 2**20:,.0f}"
