"""Both sides, made once a module where nothing changes them, and else a copy for each test."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from moto.server import ThreadedMotoServer

from include.handover.custody import prepare
from include.sandbox.loading import derive, make_partitions
from include.sandbox.loading import load as load_rows
from include.sandbox.people.everybody import all_rows
from include.sandbox.stack.lightly import lightly
from tests.cases.conftest import case_book
from tests.conftest import PgServer, S3Server
from tests.handover.both import INBOX, Both, Side, certificate
from tests.room import ROOM
from tests.stores.postgres.dated import AS_OF, CATALOGUE, SCHEMA

__all__ = ["case_book"]


def _schema(conn: psycopg.Connection) -> None:
    for file in sorted(SCHEMA.glob("*.sql")):
        conn.execute(file.read_text("utf-8").encode())
    make_partitions(conn, AS_OF)


def _company(conninfo: str) -> None:
    with psycopg.connect(conninfo) as conn:
        _schema(conn)
        load_rows(conn, all_rows(60, 5, AS_OF))
        derive(conn, AS_OF)
        conn.execute("GRANT USAGE ON SCHEMA account, cert, ra, sign TO prover")
        conn.execute("GRANT SELECT ON ALL TABLES IN SCHEMA account, cert, ra, sign TO prover")


def _successor(conninfo: str) -> None:
    with psycopg.connect(conninfo) as conn:
        _schema(conn)
    prepare(conninfo, CATALOGUE, "company")


@pytest.fixture(scope="session")
def successors_s3() -> Iterator[S3Server]:
    """Another S3 server, with other buckets of the same names."""
    lightly()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield S3Server("successor", f"http://{host}:{port}", "successor", "successor-secret")
    server.stop()


@pytest.fixture(scope="session")
def successors_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def both(
    pg18: PgServer, pg15: PgServer, moto: S3Server, successors_s3: S3Server, successors_key: rsa.RSAPrivateKey,
    case_book: str, tmp_path: Path,
) -> Iterator[Both]:  # fmt: skip
    """60 people of 18 hand over to an empty 15."""
    pg15.add_role("custodian", "BYPASSRLS")
    ours = Side(pg18, pg18.fresh_database("handover_company", _company), moto, case_book)
    theirs = Side(pg15, pg15.fresh_database("handover_successor", _successor), successors_s3)
    ours.stands_in["inbox"] = successors_s3.client()
    _empty(successors_s3, INBOX)
    yield Both(ours, theirs, tmp_path, successors_key, certificate(successors_key, "successor"))
    pg18.drop_database(ours.database)
    pg15.drop_database(theirs.database)


@pytest.fixture
def open_home() -> Iterator[Path]:
    """A directory into which another user may go."""
    home = Path(tempfile.mkdtemp(prefix="quietus-handover-", dir=ROOM))
    home.chmod(0o711)
    yield home
    shutil.rmtree(home)


@pytest.fixture
def small_disk() -> Callable[[Path, int], AbstractContextManager[Path]]:
    """``with small_disk(path, bytes)``: a file system of that size at the path. Only root can mount one."""
    if os.getuid() != 0:
        pytest.skip("nobody but root can mount a small disk")

    @contextmanager
    def small(path: Path, size: int) -> Iterator[Path]:
        path.mkdir(parents=True, exist_ok=True)
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=False, capture_output=True, timeout=30
        )  # fmt: skip
        if mounted.returncode:
            pytest.skip("a small disk cannot be mounted in this container")
        try:
            yield path
        finally:
            subprocess.run(["umount", "-l", path], check=True, timeout=30)

    return small


def _empty(server: S3Server, bucket: str) -> None:
    client = server.client()
    if bucket in {b["Name"] for b in client.list_buckets()["Buckets"]}:
        for object_ in client.list_objects_v2(Bucket=bucket).get("Contents", []):
            client.delete_object(Bucket=bucket, Key=object_["Key"])
    else:
        client.create_bucket(Bucket=bucket)
