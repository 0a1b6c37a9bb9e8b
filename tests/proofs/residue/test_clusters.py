"""The residue scan on real clusters: every form in which a deleted row stays, found; and gone when it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.proofs.residue.scan import Residue
from tests.conftest import PgServer
from tests.proofs.residue.making import OTHER, PEOPLE, PERSON, Human, database, how, looked, prose

WRITTEN = {
    "plain": ("text", lambda h, n: h.phone),
    "in_json": ("jsonb", lambda h, n: f'{{"n": {h.number}}}'),
    "as_uuid": ("uuid", lambda h, n: h.uuid),
    "as_number": ("bigint", lambda h, n: h.number),
    "as_numeric": ("numeric", lambda h, n: h.number),
    "as_bytes": ("bytea", lambda h, n: h.account.encode()),
    "compressed": ("text", lambda h, n: prose(n, 600, holding=h.document)),
    "chunks": ("text", lambda h, n: prose(n, 20_000, holding=h.document)),
    "chunks_plain": ("text", lambda h, n: prose(n, 2_000, holding=h.document)),
}  # fmt: skip
"""A table of one column each: its type, and what a person's row says."""


@pytest.fixture(params=["pg18-pglz", "pg15-lz4"])  # the wheel's server is built without LZ4
def built(request: pytest.FixtureRequest) -> tuple[PgServer, str]:
    """A server, and the compression that its values are to have."""
    name, _, method = request.param.partition("-")
    return request.getfixturevalue(name), method


@pytest.fixture
def conn(built: tuple[PgServer, str]) -> Iterator[psycopg.Connection[Any]]:
    server, method = built
    with database(server, "residue") as conn:
        conn.execute(f"SET default_toast_compression = {method}".encode())
        yield conn


@pytest.fixture
def look(conn: psycopg.Connection[Any], tmp_path: Path) -> Callable[[], Residue]:
    """A scan of the files of this one database, as they are after a checkpoint."""
    row = conn.execute(
        "SELECT current_setting('data_directory') || '/base/' || oid FROM pg_database WHERE datname = current_database()"
    ).fetchone()
    assert row is not None
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / Path(row[0]).name).symlink_to(row[0])

    def scanned() -> Residue:
        conn.execute("CHECKPOINT")
        residue = looked(tmp_path)
        assert residue.unread == [] and residue.files > 200
        return residue

    return scanned


@pytest.mark.parametrize("form", WRITTEN)
def test_a_deleted_row_is_found_until_its_table_is_rewritten(
    conn: psycopg.Connection[Any], look: Callable[[], Residue], form: str
) -> None:
    kind, written = WRITTEN[form]
    conn.execute(f"CREATE TABLE t (id int, v {kind})".encode())
    if form == "chunks_plain":
        conn.execute("ALTER TABLE t ALTER v SET STORAGE EXTERNAL")
    conn.execute("ALTER TABLE t SET (autovacuum_enabled = false)")
    # The person's row is the last: VACUUM moves the rows of a page together, over what went before them.
    last = 20 if form.startswith("chunks") else 299
    people = [(n, {7: PEOPLE[OTHER], last: PEOPLE[PERSON]}.get(n)) for n in range(last + 1)]
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO t VALUES (%s, %s)",
            [(n, written(who or Human.made(1000 + n), n)) for n, who in people],
        )
    assert {PERSON, OTHER} <= look().found.keys()
    conn.execute("DELETE FROM t WHERE id = %s", [last])
    conn.execute("VACUUM t")
    assert PERSON in look().found, "what VACUUM leaves is found"
    expected = {"compressed": "compressed", "chunks": "in chunks", "chunks_plain": "in chunks"}
    if form in expected:
        assert expected[form] in how(look(), PERSON)
    conn.execute("VACUUM FULL t")
    conn.execute("VACUUM FULL pg_catalog.pg_statistic")
    after = look()
    assert PERSON not in after.found and PERSON not in after.doubtful
    assert OTHER in after.found, "the same look still sees who stays"


INDEXED = {"btree": "btree (v)", "gin": "gin ((ARRAY[v]))", "brin": "brin (v)", "hash": "hash (v)"}


@pytest.mark.parametrize("method", INDEXED)
def test_an_index_keeps_what_it_indexes(
    conn: psycopg.Connection[Any], look: Callable[[], Residue], method: str
) -> None:
    """Until it is made anew; one of hashes keeps no value, and is rightly clean."""
    conn.execute("CREATE TABLE t (v text)")
    conn.execute("INSERT INTO t VALUES (%s)", [PEOPLE[PERSON].document])
    conn.execute(f"CREATE INDEX ix ON t USING {INDEXED[method]}".encode())
    conn.execute("DELETE FROM t")
    row = conn.execute("SELECT pg_relation_filepath('ix')").fetchone()
    assert row is not None
    assert (row[0] in look().places(PERSON)) is (method != "hash")
    conn.execute("VACUUM FULL t")
    assert not look().found


def test_statistics_are_read(conn: psycopg.Connection[Any], look: Callable[[], Residue]) -> None:
    """``pg_statistic`` keeps what was common, after the rows are gone and their table is rewritten."""
    conn.execute("CREATE TABLE t (v text)")
    conn.execute("INSERT INTO t SELECT %s FROM generate_series(1, 50)", [PEOPLE[PERSON].document])
    conn.execute("ANALYZE t")
    conn.execute("DELETE FROM t")
    conn.execute("VACUUM FULL t")
    row = conn.execute("SELECT pg_relation_filepath('pg_statistic')").fetchone()
    assert row is not None
    assert set(look().places(PERSON)) == {row[0]}
    conn.execute("INSERT INTO t VALUES ('nobody')")  # of an empty table ANALYZE leaves what it knew
    conn.execute("ANALYZE t")
    conn.execute("VACUUM FULL pg_statistic")
    conn.execute("VACUUM FULL t")
    assert not look().found
