"""Pieces of what goes: which are worth looking for, which a row has now, and when nothing can be said."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from psycopg import sql

from include.model.estate import Column, Cut, Dataset
from include.model.words import DatasetKind
from include.proofs import pieces
from include.proofs.tables import quoted
from include.proofs.values import Piece, Values
from tests.conftest import PgServer
from tests.stores.postgres.making import own

DICE = random.Random(5)
FACE, OTHER = DICE.randbytes(300), DICE.randbytes(300)
STROKES = [[DICE.randrange(400), DICE.randrange(900)] for _ in range(12)]
SAID = "The customer wrote by hand: " + " ".join(str(DICE.randrange(10**6)) for _ in range(30))


@pytest.fixture
def conn(pg_server: PgServer) -> Iterator[psycopg.Connection[Any]]:
    name = pg_server.fresh_database()
    with psycopg.connect(
        pg_server.conninfo(name), autocommit=True, cursor_factory=psycopg.ClientCursor
    ) as conn:
        conn.execute("CREATE SCHEMA ra; CREATE SCHEMA q_s")
        conn.execute(
            "CREATE TABLE ra.face (id int PRIMARY KEY, account_id text, face bytea, trace jsonb, said text)"
        )
        conn.execute("CREATE TABLE q_s.face (id int, disposition text)")
        yield conn
    pg_server.drop_database(name)


def dataset(cut: Cut | None = None) -> Dataset:
    return Dataset(
        id="face", store="company", kind=DatasetKind.TABLE, title="faces", address="ra.face", key=("id",),
        links=(own("account_id"),), binds=(), columns={c: Column(category="PI-019") for c in ("face", "trace", "said")}, cut=cut,
    )  # fmt: skip


def tables(missing: str = "") -> Any:
    types = {"id": "int4", "account_id": "text", "face": "bytea", "trace": "jsonb", "said": "text"}
    types.pop(missing, None)
    there = sql.SQL("q_s.face AS k JOIN {} AS t ON t.id = k.id").format(quoted("ra.face"))
    return SimpleNamespace(types={"ra.face": types}, there=lambda _: there)


def put(conn: Any, id: int, disposition: str | None = "erase", **values: Any) -> None:
    names = sql.SQL(", ").join(map(sql.Identifier, ("id", *values)))
    marks = sql.SQL(", ").join([sql.SQL("%s")] * (len(values) + 1))
    conn.execute(sql.SQL("INSERT INTO ra.face ({}) VALUES ({})").format(names, marks), [id, *values.values()])
    if disposition:
        conn.execute("INSERT INTO q_s.face VALUES (%s, %s)", [id, disposition])


def of(conn: Any, column: str, it: Dataset | None = None) -> set[bytes]:
    return {p.content for p in pieces._of(conn, tables(), it or dataset(), column)}


def test_the_middle_of_what_goes_is_taken_and_nothing_of_what_stays(conn: psycopg.Connection[Any]) -> None:
    put(
        conn,
        1,
        face=FACE,
        trace=json.dumps({"device": "iPad Pro 12.9-inch (6th generation)", "strokes": STROKES}),
        said=SAID,
    )
    put(conn, 2, "retain", face=OTHER)
    put(conn, 3, "deidentify", face=OTHER)
    (face,), (trace,), (said,) = (of(conn, c) for c in ("face", "trace", "said"))
    assert face in FACE and len(face) == pieces.MOST and said in SAID.encode()
    assert b"iPad" not in trace and len(trace) >= pieces.LEAST
    cut = dataset(Cut(set={"face": None}))
    assert len(of(conn, "face", cut)) == 2, "what a cut clears goes, too"


@pytest.mark.parametrize("filling", [b"\x28\xa2\x8a\x00" * 100, b"\0" * 500, b"short"])
def test_what_fills_is_no_piece_and_the_column_is_not_empty(
    conn: psycopg.Connection[Any], filling: bytes
) -> None:
    put(conn, 1, face=filling, trace='{"a": "a string alone, of which many have the same"}')
    assert not of(conn, "face") and not of(conn, "trace")
    assert pieces._any(conn, tables(), dataset(), ["face"])


def test_empty_is_only_what_has_nothing_there(conn: psycopg.Connection[Any]) -> None:
    put(conn, 1, account_id="x")
    put(conn, 2, None, face=FACE)  # of nobody's item
    assert not pieces._any(conn, tables(), dataset(), ["face", "trace", "said"])
    assert pieces._any(conn, tables("said"), dataset(), ["face", "said"]), (
        "a column that is missing is not seen"
    )
    put(conn, 3, "hold", said="x")
    assert pieces._any(conn, tables(), dataset(), ["face", "said"])


def test_a_row_that_has_a_piece_anywhere_in_its_value_is_found(conn: psycopg.Connection[Any]) -> None:
    put(conn, 1, face=FACE, trace=json.dumps({"strokes": STROKES}), said=SAID)
    kinds = {"face": "bytea", "trace": "jsonb", "said": "text"}
    mine = {c: Piece("face", c, content) for c in kinds for content in of(conn, c)}

    def has() -> dict[str, bool]:
        return {c: pieces._has(conn, "ra.face", p, kinds[c]) for c, p in mine.items()}

    assert has() == dict.fromkeys(kinds, True)
    conn.execute("DELETE FROM ra.face")
    assert has() == dict.fromkeys(kinds, False)
    put(
        conn,
        2,
        None,
        face=b"head" + FACE,
        trace=json.dumps({"x": [1], "again": STROKES}),
        said=f"fwd: {SAID}",
    )
    assert has() == dict.fromkeys(kinds, True), "another whole value, and the same in it"


def test_what_was_sealed_comes_back_and_shows_nothing() -> None:
    values = Values(
        frozenset({"13912345678"}),
        pieces=frozenset({Piece("d", "c", b"\x00secret\xff")}),
        empty=frozenset({"e"}),
    )
    assert Values.from_text(values.to_text()) == values
    assert "secret" not in repr(values) and "secret" not in repr(values.pieces)
