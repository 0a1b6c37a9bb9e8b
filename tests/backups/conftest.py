"""Each backup tool on a server of its own kind: the wheel's for what it brings along, Debian's for Debian's tools."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import psycopg
import pytest

from include.sandbox.stack.places import Places
from include.sandbox.stack.postgres import binaries_for
from tests.backups.making import Maker, OnServer, WithBarman, WithBaseBackups, WithDumps, WithPgBackRest
from tests.conftest import DEBIAN_15, PgServer, _postgres, missing

SETTINGS = {
    "wal_level": "replica",
    "archive_mode": "on",
    "unix_socket_directories": "/tmp",  # noqa: S108
    "full_page_writes": "on",
}
MAKERS: dict[str, tuple[Callable[[PgServer], OnServer], str]] = {
    "basebackup": (WithBaseBackups, "backed18"),
    "pgbackrest": (WithPgBackRest, "backed15"),
    "barman": (WithBarman, "backed15"),
    "dumps": (WithDumps, "backed18"),
}


def archiving(places: Places, name: str, version: int) -> Iterator[PgServer]:
    binaries = DEBIAN_15 if version == 15 else binaries_for(places)
    for server in _postgres(places, name, binaries, version):
        with psycopg.connect(server.superuser_conninfo, autocommit=True) as conn:
            for setting, value in SETTINGS.items():
                conn.execute(f"ALTER SYSTEM SET {setting} = '{value}'".encode())
            if version >= 17:
                conn.execute("ALTER SYSTEM SET summarize_wal = on")
        server.cluster.stop()
        server.cluster.start()
        server.cluster.wait()
        yield server


@pytest.fixture(scope="module")
def backed18(session_places: Places) -> Iterator[PgServer]:
    yield from archiving(session_places, "backed18", 18)


@pytest.fixture(scope="module")
def backed15(session_places: Places) -> Iterator[PgServer]:
    if not (DEBIAN_15 / "initdb").exists():
        missing("Debian's postgresql-15 is not installed")
    yield from archiving(session_places, "backed15", 15)


@pytest.fixture(params=MAKERS)
def maker(request: pytest.FixtureRequest) -> Iterator[Maker]:
    """Each tool in turn, with nothing made yet."""
    kind, server = MAKERS[request.param]
    if request.param in ("pgbackrest", "barman") and shutil.which(request.param) is None:
        missing(f"Debian's {request.param} is not installed")
    made = kind(request.getfixturevalue(server))
    try:
        yield made  # type: ignore[misc]
    finally:
        made.close()
