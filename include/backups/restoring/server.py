"""The scratch's server: started in quarantine, asked over its socket as its owner, stopped at once."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from include.backups import lockfile
from include.backups.restoring import quarantine
from include.backups.restoring.apart import apart
from include.backups.restoring.quarantine import MAINTENANCE
from include.backups.restoring.room import Room, disk_full
from include.backups.serving import ENVIRONMENT, PORT, START_SECONDS, STOP_SECONDS, await_ready, stop
from include.model.errors import NotReachable

SINGLE = 600.0  # seconds of a single-user session
STATEMENT = 600.0  # seconds


class ScratchServer:
    """A server on ``room.data``."""

    def __init__(self, room: Room, binaries: Path) -> None:
        self._room, self._binaries = room, binaries
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, seconds: float = START_SECONDS) -> None:
        """Start it and wait until it serves. Raises NotReachable if it ends before, or takes longer."""
        alone = apart(self._room.account)
        with self._room.log.open("ab") as log:
            self._child = subprocess.Popen(
                [*alone, *self._argv("-D", str(self._room.data))], cwd=self._room.home, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True, env=ENVIRONMENT,
                **({} if alone else self._room.account.arguments()),
            )  # fmt: skip
        await_ready(
            self._child, self._room.data, seconds, about=self._room.about, ended=self._ended,
            late="restore to an earlier point, or see how much log there is",
        )  # fmt: skip

    def stop(self, how: signal.Signals = signal.SIGINT, seconds: float = STOP_SECONDS) -> None:
        """Stop it in order (its files are then whole), or at once."""
        if self._child is not None:
            stop(self._child, how, seconds)
            self._child = None

    def single(self, database: str, statements: str) -> None:
        """Statements by a single-user session, of which nobody else has any: one a line. Errors do not end it."""
        self._room.run(
            *self._argv("--single", "-D", str(self._room.data)), database, as_account=True, seconds=SINGLE, said=statements
        )  # fmt: skip

    def reload(self) -> None:
        if self._child is not None:
            self._child.send_signal(signal.SIGHUP)

    def conninfo(self, database: str, role: str = MAINTENANCE) -> str:
        return psycopg.conninfo.make_conninfo(
            host=str(self._room.sockets), port=PORT, user=role, dbname=database, connect_timeout=10,
            application_name="quietus scratch", options=f"-c statement_timeout={int(STATEMENT * 1000)}",
        )  # fmt: skip

    @contextmanager
    def connect(self, database: str, role: str = MAINTENANCE) -> Iterator[psycopg.Connection[Any]]:
        """A connection in autocommit mode. Raises NotReachable, and never what the server quotes."""
        try:
            with psycopg.connect(self.conninfo(database, role), autocommit=True) as conn:
                yield conn
        except psycopg.Error as error:
            raise NotReachable(
                f"the restored server refuses ({error.sqlstate or 'no answer'})", about=self._room.about,
                next_step="try again; if it does so again, the copy is not what its tool says",
            ) from None  # fmt: skip

    def control(self) -> dict[str, str]:
        """What the control file says."""
        return control(self._room, self._binaries)

    def _argv(self, first: str, *more: str) -> list[str]:
        return [
            str(self._binaries / "postgres"),
            first,
            *more,
            "-c",
            f"config_file={quarantine.conf(self._room)}",
        ]

    def _ended(self) -> NotReachable:
        said = self._room.log.read_text("utf-8", "replace")
        if "No space left on device" in said:
            return disk_full(self._room.about)
        why = next((ours for theirs, ours in _FATAL if re.search(theirs, said)), "it does not start")
        return NotReachable(
            f"the restored server ended while starting: {why}", about=self._room.about,
            next_step="restore another copy; of this one nothing is proved",
        )  # fmt: skip


# The server's own words to ours: its own may quote.
_FATAL = (
    ("recovery ended before configured recovery target", "the log ends before the wanted point"),
    ("WAL ends before end of online backup|WAL ends before consistent", "the log from while the copy was made is not all there"),
    ("could not locate required checkpoint record|invalid checkpoint", "the log from the copy's beginning is not there"),
    ("incompatible with server", "the copy is of another version of PostgreSQL"),
    ("recovery target|recovery aborted", "it cannot be recovered to the wanted point"),
    ("resource manager .* not registered", "its log was written by an extension that is not here"),
)  # fmt: skip


def control(room: Room, binaries: Path) -> dict[str, str]:
    """What the control file of the restored files says, by pg_controldata's names. Raises NotReachable."""
    said = room.run(binaries / "pg_controldata", room.data, as_account=True, seconds=60)
    return dict(re.findall(r"^([^:\n]+):\s+(.*)$", said, re.MULTILINE))


def end_server(data: Path, seconds: float = 30.0) -> None:
    """End the server that runs on a data directory, if one does, whoever started it. Raises NotReachable."""
    pid = lockfile.postmaster(data)
    if pid is None:
        return
    children = _children(pid)
    for what in (signal.SIGQUIT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(pid, what)
        if _gone({pid}, seconds):
            break
    if not _gone({pid, *children}, seconds):
        raise NotReachable(
            f"the server {pid} of a scratch does not end", about=str(data), next_step="look at it"
        )


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                    found.append(int(entry.name))
    return found


def _gone(pids: Collection[int], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while any(_runs(pid) for pid in pids):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
