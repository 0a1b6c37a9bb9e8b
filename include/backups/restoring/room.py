"""One scratch: its directories, the account that owns them, and how tools are run for it.

What a tool prints goes to nobody's log: it may hold passwords. Each tool bears the scratch's mark in its environment, so that
what outlived a killed worker is found and ended before the scratch is removed.
"""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.model.errors import NotReachable, QuietusError

MARK = "QUIETUS_SCRATCH"
RESTORE = 6 * 3600.0  # seconds that a tool may take to restore a copy
FULL = 32 << 20  # bytes: a file system with less left is full


@dataclass(frozen=True)
class Account:
    """Who owns a scratch and runs its server."""

    name: str
    uid: int
    gid: int

    @classmethod
    def owning(cls, path: Path) -> Account:
        found = path.stat()
        try:
            name = pwd.getpwuid(found.st_uid).pw_name
        except KeyError:
            name = str(found.st_uid)
        return cls(name, found.st_uid, found.st_gid)

    def arguments(self) -> dict[str, Any]:
        """What ``subprocess`` needs to run as this account; nothing, if that is who we are."""
        if os.geteuid() == self.uid:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


@dataclass(frozen=True)
class Room:
    """The directories of one scratch. ``about``: the backup set and copy, for errors."""

    home: Path
    account: Account
    about: str

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def wal(self) -> Path:
        """Segments fetched from the archive, plain."""
        return self.home / "wal"

    @property
    def tablespaces(self) -> Path:
        return self.home / "tablespaces"

    @property
    def staging(self) -> Path:
        """What is unpacked on the way."""
        return self.home / "staging"

    @property
    def sockets(self) -> Path:
        return self.home / "s"

    @property
    def settings(self) -> Path:
        return self.home / "settings"

    @property
    def log(self) -> Path:
        return self.home / "log"

    def furnish(self) -> None:
        for path in (self.wal, self.tablespaces, self.staging, self.sockets, self.settings):
            path.mkdir(mode=0o700)
        self.give()

    def give(self) -> None:
        """Make everything in it belong to the account, and to nobody else."""
        self._give(self.home)
        self.home.chmod(0o700)
        if self.data.is_dir():
            self.data.chmod(0o700)

    def write(self, path: Path, text: str = "") -> None:
        """A file of the account's."""
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(text, "utf-8")
        self._give(path)

    def _give(self, root: Path) -> None:
        if os.geteuid() == self.account.uid:
            return
        os.chown(root, self.account.uid, self.account.gid, follow_symlinks=False)
        for directory, below, files in os.walk(root):
            for path in (Path(directory, name) for name in (*below, *files)):
                os.chown(path, self.account.uid, self.account.gid, follow_symlinks=False)

    def run(
        self, *arguments: object, as_account: bool = False, seconds: float = RESTORE, said: str | None = None
    ) -> str:
        """What a tool prints. ``said``: its standard input. Raises NotReachable if it is not there, fails or takes too long."""
        argv = [str(a) for a in arguments]
        tool = Path(argv[0]).name
        try:
            child: subprocess.Popen[str] = subprocess.Popen(
                argv, env=self._environment(), cwd=self.home if as_account else "/", text=True, start_new_session=True,
                stdin=subprocess.DEVNULL if said is None else subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, **(self.account.arguments() if as_account else {}),
            )  # fmt: skip
        except FileNotFoundError:
            raise NotReachable(
                f"{tool} is not installed here",
                about=self.about,
                next_step="install it, or restore where it is",
            ) from None
        except OSError as error:
            raise trouble(error, self.about) from None
        try:
            out, _ = child.communicate(said, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise NotReachable(
                f"{tool} took longer than {seconds:.0f} s, and was ended", about=self.about,
                next_step="see why the repository is slow, then try again",
            ) from None  # fmt: skip
        finally:
            if child.poll() is None:
                _end_group(child)
        if child.returncode != 0:
            raise self._failed(tool, child.returncode)
        return out

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "HOME": str(self.home),
            MARK: str(self.home),
        }  # fmt: skip

    def _failed(self, tool: str, status: int) -> QuietusError:
        if shutil.disk_usage(self.home).free < FULL:
            return disk_full(self.about)
        return NotReachable(
            f"{tool} fails with status {status}, and the restore stops half-way", about=self.about,
            next_step=f"see whether the repository is there and whole: run {tool} by hand into a directory of your own",
        )  # fmt: skip


def trouble(error: OSError, about: str) -> QuietusError:
    """Our error for the operating system's."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return disk_full(about)
    return NotReachable(
        f"the copy cannot be read or restored ({error.strerror})", about=about,
        next_step="see that the repository is mounted and that whoever runs this may read it",
    )  # fmt: skip


def disk_full(about: str) -> NotReachable:
    return NotReachable(
        "the disk of the scratch is full", about=about,
        next_step="make room where the connection `scratch` points, or point it elsewhere",
    )  # fmt: skip


def _end_group(child: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait(30)


def end_marked(home: Path, seconds: float = 20.0) -> None:
    """End every process that bears a scratch's mark. Raises NotReachable if one does not end."""
    until = time.monotonic() + seconds
    while left := marked(home):
        if time.monotonic() > until:
            raise NotReachable(
                f"process {left[0]} does not end, not even killed", about=str(home), next_step="look at it"
            )
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def marked(home: Path) -> Sequence[int]:
    """The processes that bear a scratch's mark."""
    wanted = f"{MARK}={home}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0") and not _dead(entry):
                found.append(int(entry.name))
        except OSError:
            continue  # gone meanwhile, or not ours
    return found


def _dead(entry: Path) -> bool:
    return (entry / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
