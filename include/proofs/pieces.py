"""Pieces of the very content whose bytes are to go, read before the disposal: a face's template, a signature's strokes.

Items that no person leads to have no identifiers by which a scan could know them, and a template bears nobody's name. So of a
sample of what is located some bytes are kept as the server stores them, from the middle, for beginnings are alike. What a row
has now says nothing: whoever finds a piece in a file asks :func:`alive`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import psycopg
from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import Refused
from include.model.estate import Dataset
from include.model.flow import Step
from include.model.words import Disposition, StoreKind
from include.proofs.relational import each_store
from include.proofs.residue.jsonb import stretches
from include.proofs.server import Connection, Reader
from include.proofs.suites import QUERY_CAN_SEE
from include.proofs.tables import Tables, quoted, types_of
from include.proofs.values import Piece, Values

SAMPLE = 32  # values of a column
LEAST, MOST = 16, 64  # bytes of a piece
VARIED = 10  # different bytes in one: what fills a picture or a form is in many
LONGEST = 1 << 20  # bytes of a value of which the middle is known only once it is read whole
_TEXT = ("text", "varchar", "bpchar", "json", "citext", "xml")


def collect(catalogue: Catalogue, connections: Connections, step: Step) -> Values:
    """Of every table that holds a category whose bytes are to go, pieces of a sample of what goes; and the tables of which
    nothing that is located has such content. A table that takes too long gives none, and nothing is claimed of it. For the caller
    to seal. Raises NotReachable, CatalogueError."""
    found: set[Piece] = set()
    empty: set[str] = set()
    for reader, tables in each_store(catalogue, connections, step):
        with reader.connect() as connection, reader.reaching():
            there = _located(connection, step)
            for dataset in tables.datasets:
                if dataset.id not in there or not (columns := _columns(catalogue, dataset)):
                    continue
                try:
                    with reader.reaching():
                        pieces = {p for c in columns for p in _of(connection, tables, dataset, c)}
                        if not pieces and not _any(connection, tables, dataset, columns):
                            empty.add(dataset.id)
                        found |= pieces
                except Refused:
                    continue
    return Values(pieces=frozenset(found), empty=frozenset(empty))


def alive(
    catalogue: Catalogue, connections: Connections, store: str, pieces: Collection[Piece]
) -> frozenset[Piece]:
    """Those that a row has in their column now, wherever in its value. Every row is read: for what was found only. Raises
    NotReachable, Refused."""
    declared = catalogue.store(store)
    known = {d.id: d for d in catalogue.of_store(store)}
    mine = [p for p in pieces if p.dataset in known]
    if not mine or declared.kind is not StoreKind.POSTGRES:
        return frozenset()
    found: set[Piece] = set()
    reader = Reader.of(connections, store, declared.connection)
    with reader.connect() as connection, reader.reaching():
        types = types_of(connection, [known[p.dataset] for p in mine])
        for piece in mine:
            address = known[piece.dataset].address
            kind = types.get(address, {}).get(piece.column)
            if kind is not None and _has(connection, address, piece, kind):
                found.add(piece)
    return frozenset(found)


def _located(connection: Connection, step: Step) -> frozenset[str]:
    """The datasets that the step area names items of, one by one or in packs."""
    rows = connection.execute(
        "SELECT DISTINCT rtrim(c.relname, '#') FROM pg_catalog.pg_class AS c"
        " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = %s",
        [f"q_{step.id}"],
    )
    return frozenset(str(name) for (name,) in rows)


def _columns(catalogue: Catalogue, dataset: Dataset) -> list[str]:
    """Those that hold a category whose bytes are to go."""
    return [
        name
        for name, column in dataset.columns.items()
        if any(catalogue.category(c).rung > QUERY_CAN_SEE for c in column.all_categories)
    ]


def _any(connection: Connection, tables: Tables, dataset: Dataset, columns: Iterable[str]) -> bool:
    """Whether a located item has anything there; also where nobody can say, for a column is missing."""
    there = tables.types.get(dataset.address, {})
    if any(c not in there for c in columns):
        return True
    has = sql.SQL(" OR ").join(sql.SQL("t.{} IS NOT NULL").format(sql.Identifier(c)) for c in columns)
    rows = connection.execute(sql.SQL("SELECT FROM {} WHERE {} LIMIT 1").format(tables.there(dataset), has))
    return bool(rows.rowcount)


def _of(connection: Connection, tables: Tables, dataset: Dataset, column: str) -> Iterator[Piece]:
    """Pieces of a sample of what goes from a column, of values whose form in a file is known."""
    kind = tables.types.get(dataset.address, {}).get(column)
    if kind is None:
        return
    going = [Disposition.ERASE.value]
    if dataset.cut is not None and column in dataset.cut.set:
        going += [Disposition.DEIDENTIFY.value, Disposition.UNLINK.value]
    value = sql.Identifier("x", "value")
    rows = connection.execute(
        sql.SQL(
            "SELECT {content} FROM (SELECT t.{column} AS value FROM {there} WHERE k.disposition IN ({going})"
            " AND t.{column} IS NOT NULL ORDER BY random() LIMIT {sample}) AS x"
        ).format(
            content=_content(value, kind), column=sql.Identifier(column), there=tables.there(dataset),
            going=sql.SQL(", ").join(map(sql.Literal, going)), sample=sql.Literal(SAMPLE),
        )
    )  # fmt: skip
    for (said,) in rows.fetchall():
        if (content := _stored(said, kind)) is not None:
            yield Piece(dataset.id, column, content)


def _content(value: sql.Composable, kind: str) -> sql.Composed:
    """The middle of a value; of one that must be read whole to know its form, all of it, or nothing."""
    if kind == "bytea":
        length = sql.SQL("pg_catalog.octet_length({})").format(value)
    elif kind in _TEXT:
        value = sql.SQL("{}::text").format(value)
        length = sql.SQL("pg_catalog.length({})").format(value)
    else:
        return sql.SQL("CASE WHEN pg_catalog.pg_column_size({v}) <= {longest} THEN {v}::text END").format(
            v=value, longest=sql.Literal(LONGEST)
        )
    return sql.SQL("pg_catalog.substring({v}, greatest(1, ({n} - {most}) / 2 + 1), {most})").format(
        v=value, n=length, most=sql.Literal(MOST)
    )


def _stored(said: Any, kind: str) -> bytes | None:
    """As it lies in a file; None for a type whose form is not known, for what is too short to be found, and for what fills."""
    if said is None:
        return None
    if kind == "bytea":
        content = bytes(said)
    elif kind in _TEXT:
        content = str(said).encode()
    elif kind == "jsonb":
        content = max(stretches(str(said)), key=len, default=b"")
    else:
        return None
    begin = max(0, (len(content) - MOST) // 2)
    piece = content[begin : begin + MOST]
    return piece if len(piece) >= LEAST and len(set(piece)) >= VARIED else None


def _has(connection: Connection, address: str, piece: Piece, kind: str) -> bool:
    # Bound on the server: a statement is what logs quote.
    cursor, column = psycopg.Cursor(connection), sql.Identifier("t", piece.column)
    if kind == "jsonb":
        every = sql.SQL("SELECT {}::text FROM {} AS t WHERE {} IS NOT NULL").format(
            column, quoted(address), column
        )
        return any(
            piece.content in stretch for (said,) in cursor.stream(every) for stretch in stretches(said)
        )
    text = column if kind == "bytea" else sql.SQL("pg_catalog.convert_to({}::text, 'UTF8')").format(column)
    cursor.execute(
        sql.SQL("SELECT FROM {} AS t WHERE position(%s::bytea IN {}) > 0 LIMIT 1").format(
            quoted(address), text
        ),
        [piece.content],
    )
    return bool(cursor.rowcount)


__all__ = ["alive", "collect"]
