"""The residue scan over what backup tools write: directories, compressed archives, incrementals, dumps, halves."""

from __future__ import annotations

import gzip
import random
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.proofs.residue.files import Kind, Source, Unread, sources
from include.sandbox.stack.places import Places, give, unprivileged
from include.sandbox.stack.postgres import ADMIN, binaries_for
from tests.conftest import PgServer, _postgres
from tests.proofs.residue.making import OTHER, PEOPLE, PERSON, database, how, looked, prose


@pytest.fixture(scope="module")
def server(session_places: Places) -> Iterator[PgServer]:
    for found in _postgres(session_places, "backed", binaries_for(session_places), 18):
        with psycopg.connect(found.superuser_conninfo, autocommit=True) as conn:
            conn.execute("ALTER SYSTEM SET summarize_wal = on")
            conn.execute("ALTER SYSTEM SET full_page_writes = on")
            conn.execute("ALTER SYSTEM SET autovacuum = off")
            conn.execute("SELECT pg_reload_conf()")
        yield found


@pytest.fixture
def conn(server: PgServer) -> Iterator[psycopg.Connection[Any]]:
    with database(server, "backed") as conn:
        conn.execute("CREATE TABLE t (id int, v text)")
        conn.execute("INSERT INTO t SELECT n, 'nobody ' || n FROM generate_series(1, 3000) n")
        conn.execute("INSERT INTO t VALUES (0, %s)", [prose(3, 20_000, holding=PEOPLE[PERSON].document)])
        conn.execute("INSERT INTO t VALUES (-1, %s)", [PEOPLE[OTHER].phone])
        yield conn


@pytest.fixture
def place(server: PgServer) -> Path:
    """Where the server's own account may write."""
    place = server.cluster.home / "backups"
    subprocess.run(["rm", "-rf", place], check=True)
    place.mkdir()
    give(place)
    return place


def backup(server: PgServer, to: Path, *more: str) -> Path:
    done = subprocess.run(
        [server.cluster.binaries / "pg_basebackup", "-D", to, "-d", server.cluster.conninfo(ADMIN, "postgres"),
         "--checkpoint=fast", "--no-sync", *more],
        cwd=server.cluster.home, capture_output=True, text=True, timeout=120, check=False,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, stdin=subprocess.DEVNULL, **unprivileged(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return to


@pytest.mark.parametrize("form", ["plain", "tar", "tar-gzip"])
def test_a_backup_is_read_in_every_format(
    server: PgServer, conn: psycopg.Connection[Any], place: Path, form: str
) -> None:
    more = {"plain": [], "tar": ["-Ft", "-X", "fetch"], "tar-gzip": ["-Ft", "-z", "-X", "stream"]}[form]
    kept = backup(server, place / "full", *more)
    conn.execute("DELETE FROM t WHERE id <= 0")
    conn.execute("VACUUM FULL t")
    residue = looked(kept)
    assert residue.unread == []
    assert "in chunks" in how(residue, PERSON) and "as it is" in how(residue, OTHER)


def test_an_incremental_holds_what_changed_and_leans_on_a_full_that_holds_the_rest(
    server: PgServer, conn: psycopg.Connection[Any], place: Path
) -> None:
    full = backup(server, place / "full")
    conn.execute("INSERT INTO t VALUES (-2, %s)", [PEOPLE[OTHER].document])
    conn.execute("DELETE FROM t WHERE id = 0")
    conn.execute("VACUUM t")
    later = backup(server, place / "later", f"--incremental={full / 'backup_manifest'}")
    assert any(p.name.startswith("INCREMENTAL.") for p in later.rglob("*"))
    assert OTHER in looked(later / "base").found
    assert PERSON in looked(full).found


def test_what_is_cut_off_is_told_apart(place: Path, tmp_path: Path) -> None:
    (tmp_path / "half.gz").write_bytes(gzip.compress(random.Random(1).randbytes(10_000))[:300])
    (tmp_path / "dump.custom").write_bytes(b"PGDMP\x01\x0e")
    (tmp_path / "locked").write_bytes(b"Salted__12345678")
    with tarfile.open(tmp_path / "base.tar", "w") as archive:
        archive.add(tmp_path / "half.gz", "base/1/1259")
    whole = (tmp_path / "base.tar").read_bytes()
    (tmp_path / "base.tar").write_bytes(whole[:600])
    residue = looked(tmp_path)
    assert {u.name: u.why.split(":")[0] for u in residue.unread} == {
        "half.gz": "it is compressed, and not whole",
        "dump.custom": "it is a dump in pg_dump's own format",
        "locked": "it is encrypted",
        "base.tar": "it is no whole archive",
    }
    assert not residue.clean


def test_files_are_told_by_their_names(tmp_path: Path) -> None:
    for name in (
        "base/5/16385", "base/5/16385.1", "base/5/16385.10", "base/5/16385.2", "base/5/16385_fsm", "global/1262",
        "pg_wal/000000010000000000000002", "pg_wal/000000010000000000000001", "pg_wal/000000010000000000000003.partial",
        "pg_tblspc/16400/PG_18_202506291/5/16401", "PG_VERSION", "archive/000000010000000000000001-" + "0" * 40,
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"\0")
    found = {s.name: s for s in sources(tmp_path) if isinstance(s, Source)}
    assert {name: s.kind for name, s in found.items()} == {
        "base/5/16385": Kind.RELATION, "base/5/16385_fsm": Kind.RELATION, "global/1262": Kind.RELATION,
        "pg_tblspc/16400/PG_18_202506291/5/16401": Kind.RELATION, "pg_wal": Kind.WAL, "archive": Kind.WAL,
        "PG_VERSION": Kind.OTHER,
    }  # fmt: skip
    assert [p.name for p in found["base/5/16385"].parts] == [
        f"base/5/16385{n}" for n in ("", ".1", ".2", ".10")
    ]
    assert [p.name[-1] for p in found["pg_wal"].parts] == ["1", "2", "l"]


def test_a_part_of_a_cluster_is_named_as_in_the_whole(tmp_path: Path) -> None:
    for name in ("global/pg_control", "base/5/16385"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"\0")
    for root in ("base", "base/5", "base/5/16385"):
        (found,) = sources(tmp_path / root)
        assert isinstance(found, Source) and (found.name, found.kind) == ("base/5/16385", Kind.RELATION)


def test_links_are_followed_once_and_what_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert list(sources(tmp_path)) == []
    (missing,) = sources(tmp_path / "nothing")
    assert isinstance(missing, Unread) and "No such file" in missing.why


def test_an_archive_in_an_archive_is_read(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(gzip.compress(b"said " + PEOPLE[PERSON].phone.encode()))
    with tarfile.open(tmp_path / "inner.tar", "w") as archive:
        archive.add(tmp_path / "log", "log")
    with tarfile.open(tmp_path / "outer.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "inner.tar", "inner.tar")
    residue = looked(tmp_path)
    assert residue.unread == []
    assert residue.places(PERSON) == {"log": 1, "inner.tar/log": 1, "outer.tar.gz/inner.tar/log": 1}
