"""Where the sandbox keeps its state, and as whom its database servers run.

PostgreSQL refuses to run as root. Then its processes run as ``nobody``, who may not enter the checkout
(it may be inside ``/root``), so its files live under ``/var/tmp``; those of a home in memory stay in
memory. Without root everything is in ``.quietus/`` of the checkout.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from include.model.errors import Refused

CHECKOUT = Path(__file__).resolve().parents[3]
FOR_NOBODY, IN_MEMORY = Path("/var/tmp"), Path("/dev/shm")  # noqa: S108
SOCKET_PATH_LIMIT = 100  # bytes; Linux allows 107 and a terminating zero (unix(7))


class Account(TypedDict, total=False):
    """What ``subprocess`` needs to run a process as somebody else; empty: as we are."""

    user: int
    group: int
    extra_groups: list[int]


def unprivileged() -> Account:
    """Nobody, if we are root; else nothing, for then we are unprivileged already."""
    if os.geteuid() != 0:
        return Account()
    nobody = pwd.getpwnam("nobody")
    return Account(user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[])


def give(path: Path) -> None:
    """Make ``path`` belong to the account that the database servers run as."""
    account = unprivileged()
    if account:
        os.chown(path, account["user"], account["group"])


@dataclass(frozen=True)
class Places:
    """The directories of one sandbox. ``mark`` tells its processes from those of another checkout."""

    home: Path  # secrets, state, logs, what runs as ourselves
    servers: Path  # what the database servers own
    mark: str

    @classmethod
    def of(cls, home: Path | None = None) -> Places:
        home = (home or CHECKOUT / ".quietus").resolve()
        mark = hashlib.sha256(str(home).encode()).hexdigest()[:12]
        shared = IN_MEMORY if home.is_relative_to(IN_MEMORY) else FOR_NOBODY
        servers = shared / f"quietus-{mark}" if os.geteuid() == 0 else home / "servers"
        return cls(home, servers, mark)

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def run(self) -> Path:
        return self.home / "run"

    def make(self) -> None:
        """Make the directories. Raises Refused if another account got hold of ours first."""
        for path in (self.home, self.logs, self.run):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self.servers.mkdir(mode=0o711, parents=True)
        except FileExistsError:
            found = self.servers.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                raise Refused(
                    "the directory for the database servers belongs to somebody else",
                    about=str(self.servers),
                    next_step="find out who made it, then remove it",
                ) from None
        self.servers.chmod(0o711)

    def room_for(self, name: str) -> Path:
        """A directory that belongs to the account of the database servers."""
        path = self.servers / name
        if not path.exists():
            path.mkdir(mode=0o700)
            give(path)
        return path

    def socket(self, name: str) -> Path:
        """A path for a Unix socket, short enough for the kernel, that nobody else may reach."""
        path = self.run / f"{name}.sock"
        if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
            return path
        # Too deep a checkout. The link keeps the short directory findable and the same at every start.
        link = self.run / "sockets"
        if not link.is_dir():
            link.unlink(missing_ok=True)
            link.symlink_to(tempfile.mkdtemp(prefix="quietus-", dir="/tmp"))
        return link.resolve() / f"{name}.sock"

    def purge(self, *, keep: frozenset[str] = frozenset()) -> None:
        """Remove the sandbox's state, its secrets included. ``keep``: names in ``home`` that stay."""
        link = self.run / "sockets"
        if link.is_symlink():
            shutil.rmtree(link.resolve(), ignore_errors=True)
        if self.servers.is_dir() and not self.servers.is_symlink():
            shutil.rmtree(self.servers)
        if self.home.is_dir():
            for child in self.home.iterdir():
                if child.name in keep:
                    continue
                if child.is_dir() and not child.is_symlink():
                    shutil.rmtree(child)
                else:
                    child.unlink()
