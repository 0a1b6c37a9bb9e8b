"""Whatever a value is, its text goes from one PostgreSQL to another and back with no bit lost; the root grows as it should."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from include.handover.items import Growing, Leaves
from include.handover.rows import Shape, copied, exact, unescaped
from include.ledger.merkle import leaf_hash, root_of
from tests.conftest import PgServer

TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=30)
TABLE = """
CREATE TABLE t (k text PRIMARY KEY, n numeric, f float8, r real, at timestamptz, plain timestamp, d date, i interval, b bytea,
                j jsonb, ts text[], ns int[], u uuid, v varchar(40), o boolean, big bigint)"""
COLUMNS = ["k", "n", "f", "r", "at", "plain", "d", "i", "b", "j", "ts", "ns", "u", "v", "o", "big"]


def null(of: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | of


MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))  # noqa: DTZ001 - both kinds are made of it
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda x: st.lists(x, max_size=3) | st.dictionaries(TEXT, x, max_size=3),
    max_leaves=6,
)
ROW = st.tuples(
    TEXT,
    null(
        st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30)
        | st.just(Decimal("NaN"))
    ),
    null(st.floats()),
    null(st.floats(width=32)),
    null(MOMENTS.map(lambda m: m.replace(tzinfo=UTC))),
    null(MOMENTS),
    null(st.dates(date(1, 1, 1))),
    null(st.timedeltas(timedelta(days=-90_000), timedelta(days=90_000))),
    null(st.binary(max_size=40)),
    null(JSON.map(Jsonb)),
    null(st.lists(null(TEXT), max_size=4)),
    null(st.lists(null(st.integers(-(2**31), 2**31 - 1)), max_size=4)),
    null(st.uuids()),
    null(TEXT),
    null(st.booleans()),
    null(st.integers(-(2**63), 2**63 - 1)),
)


@pytest.fixture(scope="module")
def two(pg18: PgServer, pg15: PgServer) -> Iterator[tuple[psycopg.Connection[Any], psycopg.Connection[Any]]]:
    """A table on each, in sessions that would write the same value in other ways."""
    names = [(pg, pg.fresh_database()) for pg in (pg18, pg15)]
    made = [psycopg.connect(pg.conninfo(name), autocommit=True) for pg, name in names]
    for conn, odd in zip(made, ("SET datestyle = 'SQL, DMY'", "SET intervalstyle = 'iso_8601'"), strict=True):
        conn.execute(TABLE.encode())
        conn.execute(odd.encode())
        conn.execute(
            "SET timezone = 'Asia/Kolkata'; SET extra_float_digits = -10; SET bytea_output = 'escape'"
        )
    yield made[0], made[1]
    for conn, (pg, name) in zip(made, names, strict=True):
        conn.close()
        pg.drop_database(name)


def _lines(conn: psycopg.Connection[Any]) -> list[bytes]:
    return list(
        copied(conn, psycopg.sql.SQL('COPY (SELECT * FROM t ORDER BY k COLLATE "C") TO STDOUT').format())
    )  # type: ignore[arg-type]


@settings(max_examples=60)
@given(rows=st.lists(ROW, max_size=4, unique_by=lambda r: r[0]))
def test_a_row_is_the_same_there_and_back(two: tuple[Any, Any], rows: list[tuple[Any, ...]]) -> None:
    here, there = two
    here.execute("TRUNCATE t")
    there.execute("TRUNCATE t")
    into = f"INSERT INTO t VALUES ({', '.join(['%s'] * len(COLUMNS))})".encode()
    for row in rows:
        here.execute(into, row)
    exact(here)
    lines = _lines(here)
    assert len(lines) == len(rows)
    exact(there)
    with there.cursor().copy("COPY t FROM STDIN") as copy:
        copy.write(b"".join(line + b"\n" for line in lines))
    assert _lines(there) == lines
    ask = f'SELECT {", ".join(COLUMNS)} FROM t ORDER BY k COLLATE "C"'.encode()
    binary = [c.cursor(binary=True).execute(ask).fetchall() for c in two]
    assert repr(binary[0]) == repr(binary[1]), "as the wire has it, NULL apart from '' and NaN from nothing"
    shape = Shape("t", ("k",), tuple((c, "") for c in COLUMNS))
    assert {shape.key_of(line)[0] for line in lines} == {row[0] for row in rows}


@given(st.lists(st.binary(max_size=8), max_size=40))
def test_the_root_that_grows_is_the_ledgers(items: list[bytes]) -> None:
    leaves = [leaf_hash(x) for x in items]
    assert Growing(leaves).root() == root_of(leaves).hex()


def test_no_two_items_have_one_digest_and_the_salt_hides_them() -> None:
    leaves = Leaves(b"s" * 32)
    seen = {
        leaves.of(b"a", b"{}", b""),
        leaves.of(b"a", b"{}", b"H"),
        leaves.of(b"a", b"null", b""),
        leaves.of(b"b", b"{}", b""),
    }
    assert len(seen) == 4
    assert leaves.of(b"a", b"{}", b"") == hashlib.sha256(b"\x00" + b"s" * 32 + b"a\n{}\n").digest(), (
        "as docs/handover.md says"
    )
    assert Leaves(b"t" * 32).of(b"a", b"{}", b"") not in seen


def test_a_key_is_read_as_it_was_written() -> None:
    assert unescaped(rb"a\tb\\n\n") == "a\tb\\n\n"
