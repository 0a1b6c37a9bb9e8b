"""A restored data directory, started for us alone: on a socket in a directory that only its owner enters.

Unlike a scratch it is the database that will serve: its own configuration holds, recovery included, but for how it can be
reached. Two roles are admitted, by their own secrets.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from include.backups import lockfile
from include.backups.serving import ENVIRONMENT, PORT, START_SECONDS, await_ready, stop
from include.model.errors import NotReachable, Refused


@contextmanager
def started(
    data: Path, binaries: Path, roles: Collection[str], seconds: float = START_SECONDS
) -> Iterator[Path]:
    """The directory of its socket, while it runs. It is stopped in order at the end, so that its files are whole.

    Raises Refused if it runs already or is no data directory, NotReachable if it does not come to serve.
    """
    if not (data / "PG_VERSION").is_file():
        raise Refused(
            "this is no data directory", about=str(data), next_step="give the directory with PG_VERSION"
        )
    if (data / "standby.signal").exists():
        raise Refused(
            "it is a standby, which cannot be written to", about=str(data),
            next_step="restore a primary: recovery.signal, and no standby.signal",
        )  # fmt: skip
    if lockfile.postmaster(data) is not None:
        raise Refused(
            "a server runs there already, and may serve others", about=str(data),
            next_step="stop it; if it has served, `restore_replay` closes it",
        )  # fmt: skip
    owner = data.stat()
    room = Path(tempfile.mkdtemp(prefix="quietus-"))  # short: a socket's path has 107 bytes at most
    try:
        hba = room / "pg_hba.conf"
        lines = "".join(f'local all "{role}" scram-sha-256\n' for role in roles)
        hba.write_text(f"{lines}local all all reject\nhost all all all reject\n", "utf-8")
        for path in (room, hba):
            if os.geteuid() == 0:
                os.chown(path, owner.st_uid, owner.st_gid)
        child = _start(data, binaries, room, hba, owner)
        try:
            await_ready(
                child, data, seconds, about=str(data), ended=lambda: _ended(data), late="try again: it goes on where it was"
            )  # fmt: skip
            yield room
        finally:
            stop(child)
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _start(
    data: Path, binaries: Path, room: Path, hba: Path, owner: os.stat_result
) -> subprocess.Popen[bytes]:
    settings = {
        "listen_addresses": "", "unix_socket_directories": str(room), "unix_socket_permissions": "0700",
        "port": str(PORT), "hba_file": str(hba), "ssl": "off", "max_logical_replication_workers": "0",
    }  # fmt: skip
    account: dict[str, Any] = {}
    if os.geteuid() == 0:
        account = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
    arguments = [x for name, value in settings.items() for x in ("-c", f"{name}={value}")]
    try:
        return subprocess.Popen(
            [binaries / "postgres", "-D", data, *arguments], cwd=data, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            env=ENVIRONMENT, **account,
        )  # fmt: skip
    except OSError as error:
        raise Refused(
            f"the server cannot be started ({error.strerror})", about=str(binaries),
            next_step="give the directory of this PostgreSQL's programs, and run as the data directory's owner",
        ) from None  # fmt: skip


def _ended(data: Path) -> NotReachable:
    return NotReachable(
        "the restored server ended while starting", about=str(data),
        next_step="start it by hand on a private socket and see its log, then stop it and try again",
    )  # fmt: skip
