"""The residue scan over write-ahead logs: records across pages, pages in records, segments that were recycled."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.proofs.residue.scan import Residue
from include.sandbox.stack.places import Places
from include.sandbox.stack.postgres import binaries_for
from tests.conftest import DEBIAN_15, PgServer, _postgres, missing
from tests.proofs.residue.making import PERSON, Human, database, how, looked, prose

IMAGES = ["pg18-off", "pg18-pglz", "pg15-off", "pg15-pglz", "pg15-lz4", "pg15-zstd"]


@pytest.fixture(scope="module")
def servers(session_places: Places) -> Iterator[Callable[[str], PgServer]]:
    """Servers whose WAL is a server's own: with whole pages in it, and archived."""
    made: dict[str, Iterator[PgServer]] = {}
    running: dict[str, PgServer] = {}

    def server(name: str) -> PgServer:
        if name not in running:
            if name == "pg15" and not (DEBIAN_15 / "initdb").exists():
                missing("Debian's postgresql-15 is not installed")
            binaries = DEBIAN_15 if name == "pg15" else binaries_for(session_places)
            made[name] = _postgres(session_places, f"wal-{name}", binaries, int(name[2:]))
            running[name] = next(made[name])
            with psycopg.connect(running[name].superuser_conninfo, autocommit=True) as conn:
                conn.execute("ALTER SYSTEM SET full_page_writes = on")
                conn.execute("ALTER SYSTEM SET autovacuum = off")
                conn.execute(
                    "ALTER SYSTEM SET min_wal_size = '160MB'"
                )  # so many segments are recycled, not removed
                conn.execute("SELECT pg_reload_conf()")
        return running[name]

    yield server
    for each in made.values():
        next(each, None)


@pytest.fixture(params=IMAGES)
def conn(
    request: pytest.FixtureRequest, servers: Callable[[str], PgServer]
) -> Iterator[psycopg.Connection[Any]]:
    name, _, compression = request.param.partition("-")
    with database(servers(name), "wal") as conn:
        conn.execute(f"SET wal_compression = {compression}".encode())
        yield conn


def directory(conn: psycopg.Connection[Any]) -> Path:
    row = conn.execute("SELECT current_setting('data_directory')").fetchone()
    assert row is not None
    return Path(row[0]) / "pg_wal"


@pytest.fixture
def person(request: pytest.FixtureRequest) -> Human:
    """Of this test alone, since the log of a server still speaks of the last one."""
    return Human.made(zlib.crc32(request.node.name.encode()))


@pytest.fixture
def seen(conn: psycopg.Connection[Any], tmp_path: Path, person: Human) -> Callable[[], Residue]:
    """A scan of ``pg_wal`` alone, as it is now."""
    root = tmp_path / "pg_wal"
    root.symlink_to(directory(conn))

    def scanned() -> Residue:
        residue = looked(root, {PERSON: person})
        assert residue.unread == []
        return residue

    return scanned


def test_a_page_in_the_log_is_found(
    conn: psycopg.Connection[Any], seen: Callable[[], Residue], person: Human
) -> None:
    """Another row's change puts the whole page into the log, compressed as the server is told to."""
    conn.execute("CREATE TABLE t (id int, v text)")
    conn.execute("INSERT INTO t SELECT n, 'nobody ' || mod(n, 7) FROM generate_series(1, 40) n")
    conn.execute("INSERT INTO t VALUES (0, %s)", [person.document])
    conn.execute("CHECKPOINT")
    assert "in a page within a record" not in how(seen(), PERSON)
    conn.execute("UPDATE t SET v = 'somebody' WHERE id = 3")
    conn.execute("SELECT pg_switch_wal()")
    assert "in a page within a record" in how(seen(), PERSON)


def test_a_recycled_segment_keeps_what_it_said_until_it_is_written_over(
    conn: psycopg.Connection[Any], seen: Callable[[], Residue], person: Human
) -> None:
    conn.execute("CREATE TABLE t (v text)")
    conn.execute("INSERT INTO t VALUES (%s)", [person.account])
    conn.execute("DROP TABLE t")
    said = conn.execute("SELECT pg_walfile_name(pg_current_wal_lsn())").fetchone()
    assert said is not None
    _next(conn)
    assert said[0] not in {path.name for path in directory(conn).iterdir()}, "its file has another name"
    assert PERSON in seen().found
    _next(conn)
    _next(conn)
    assert PERSON not in seen().found


def _next(conn: psycopg.Connection[Any]) -> None:
    """Begin the next segment, and recycle the last. What a switch leaves of a segment is filled with empty pages."""
    conn.execute("SELECT pg_switch_wal()")
    conn.execute("SELECT pg_logical_emit_message(false, 'quietus', 'on')")
    conn.execute("CHECKPOINT")


def test_a_record_is_found_wherever_pages_cut_it(
    conn: psycopg.Connection[Any], seen: Callable[[], Residue], person: Human
) -> None:
    """Every second page's border falls into some value: none may be lost to the header that stands in it."""
    conn.execute("CREATE TABLE t (id int, v text)")
    before = _lsn(conn)
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO t VALUES (%s, %s)", [(n, f"{'x' * (n % 60)}{person.document}") for n in range(900)]
        )
    assert _pages(before, _lsn(conn)) > 10
    conn.execute("SELECT pg_switch_wal()")
    residue = seen()
    told = sum(n for place, n in residue.found[PERSON].items() if place.how == "in a record")
    assert told >= 900, "as many as there are records"


def test_a_compressed_value_in_a_record_is_found(
    conn: psycopg.Connection[Any], seen: Callable[[], Residue], person: Human
) -> None:
    conn.execute("CREATE TABLE t (v text)")
    conn.execute("INSERT INTO t VALUES (%s)", [prose(5, 600, holding=person.document)])
    conn.execute("SELECT pg_switch_wal()")
    assert "in a record" in how(seen(), PERSON)


def _lsn(conn: psycopg.Connection[Any]) -> int:
    row = conn.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone()
    assert row is not None
    return int(row[0])


def _pages(begin: int, end: int) -> int:
    return end // 8192 - begin // 8192
