"""Rows of a table in a form that loses nothing, read range by range under one snapshot: the text that COPY writes.

PostgreSQL's own type output, read back by its own type input, is exact where the session's settings are fixed: ISO dates in UTC,
shortest exact floats, ``bytea`` in hex, UTF-8 (https://www.postgresql.org/docs/current/sql-copy.html, "Text Format"). ``\\N`` is
NULL and an empty field the empty text, a tab in a value is written ``\\t``, so that a line can be cut at tabs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

from psycopg import sql

from include.handover.marks import Marks
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import CatalogueError
from include.model.retention import Clock
from include.model.sessions import AS_WRITTEN
from include.model.words import Role
from include.stores.postgres.live import Live
from include.stores.postgres.retention.look import Key, Look
from include.stores.postgres.retention.owners import Owners
from include.stores.postgres.server import Connection, Patience, Server, joined, name

EXACT = {
    **AS_WRITTEN,
    "client_encoding": "UTF8",
    "lc_monetary": "C",
    "xmloption": "content",
}
"""Settings that both ends use; without them the same value may be written in two ways."""


def exact(connection: Connection) -> None:
    """Fix how values are written in this session."""
    connection.execute(
        "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS s(name, value)",
        [list(EXACT), list(EXACT.values())],
    )


@contextmanager
def reading(
    catalogue: Catalogue, connections: Connections, store: str
) -> Iterator[tuple[Server, Connection, Live]]:
    """A database as its prover reads it for bags, in one snapshot, with what is live there. Raises NotReachable."""
    declared = catalogue.store(store)
    server = Server(
        lambda: connections.postgres(declared.connection, Role.PROVER), store, Patience(statement=3600.0)
    )
    with server.connect() as connection, snapshot(connection):
        yield server, connection, Live.read(connection)


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """One repeatable-read snapshot, in which nothing can be written, however long a shard takes to be sealed."""
    exact(connection)
    connection.execute("SET idle_in_transaction_session_timeout = '30min'")
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("ROLLBACK")


@dataclass(frozen=True)
class Shape:
    """The columns of a table that are handed over, in order, with their types as the server names them."""

    address: str
    key: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c for c, _ in self.columns)

    def key_of(self, line: bytes) -> list[str]:
        """A row's key, as text, from its line."""
        fields = line.split(b"\t")
        return [unescaped(fields[self.names.index(k)]) for k in self.key]

    @classmethod
    def read(cls, connection: Connection, address: str, key: tuple[str, ...]) -> Shape:
        """Without generated columns: the successor's server makes them itself."""
        rows = connection.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute"
            " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped AND attgenerated = ''"
            " ORDER BY attnum",
            [address],
        ).fetchall()
        if not rows:
            raise CatalogueError("there is no such table", about=address, next_step="correct the catalogue")
        return cls(address, key, tuple((str(c), str(t)) for c, t in rows))


class Consigning(Look):
    """Every row of a range with its clocks, due or not, whole."""

    def lines(
        self, shape: Shape, after: Key | None, upto: Key | None, holds: Sequence[tuple[bool, Sequence[str]]],
        marks: Marks, *, owners: bool = False,
    ) -> sql.Composed:  # fmt: skip
        """COPY of the rows in order of their key; before a row's own columns its clocks, whether each of ``holds`` (of
        everybody, or of these people) names its owner, its mark, and (``owners``) whose it is: a line is cut there at once,
        however many columns it has."""
        clocks, source = self._clocks()
        whose = Owners(self.catalogue, self.live)
        flags = [
            sql.SQL("true") if everybody else whose.among(self.dataset, "t", list(people))
            for everybody, people in holds
        ]
        flags.append(marks.field(whose, self.dataset, "t"))
        if owners:
            flags.append(whose.listed(self.dataset, "t"))
        return sql.SQL(
            "COPY (WITH {ctes} SELECT {all} FROM {source} ORDER BY {key}) TO STDOUT"
        ).format(
            ctes=self._ctes(self._part(self._range(after, upto))), source=source, key=self._columns("t"),
            all=joined(", ", [clocks, *flags, *(name("t", c) for c in shape.names)]),
        )  # fmt: skip

    def until(self, upto: Key) -> sql.Composed:
        """How many rows there are up to a key."""
        return sql.SQL("SELECT count(*) FROM ({}) AS p").format(self._part(self._range(None, upto)))


def consigning(look: Look) -> Consigning:
    return Consigning(**look.asked())


def clocks_of(fields: Sequence[bytes], limits: int) -> tuple[Clock, ...]:
    """Clocks from the fields before a row's own columns."""
    return tuple(Clock(applies=fields[2 * i] == b"t", day=_day(fields[2 * i + 1])) for i in range(limits))


def _day(text: bytes) -> date | None:
    return None if text == b"\\N" else date.fromisoformat(text.decode())


_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}


def unescaped(text: bytes) -> str:
    """One field of COPY's text form as text; NULL is no key and does not come."""
    if b"\\" not in text:
        return text.decode()
    parts = iter(text.decode())
    return "".join(_ESCAPES.get(n := next(parts), n) if c == "\\" else c for c in parts)


def copied(connection: Connection, statement: sql.Composed) -> Iterator[bytes]:
    """The lines of a COPY, without their ends, as they come."""
    with connection.cursor().copy(statement) as copy:
        for data in copy:
            block: Any = bytes(data)
            yield from block[:-1].split(b"\n")
