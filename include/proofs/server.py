"""The prover's connection: read only, past row security, with time-outs; and errors without values.

``row_security=off`` makes the server raise an error, rather than hide rows, if a policy would apply to the
prover: a look that sees less than everything is worse than none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import psycopg
from psycopg import errors as pg
from psycopg.rows import TupleRow

from include.model.doors import Connections
from include.model.errors import CatalogueError, NotReachable, QuietusError, Refused
from include.model.sessions import AS_WRITTEN, session
from include.model.words import Role

Connection: TypeAlias = "psycopg.Connection[TupleRow]"

CONNECT = 10  # seconds
STATEMENT = 600.0  # seconds; a scan of a big table takes its time
LOCK = 10.0  # seconds
COHORT = "quietus.cohort"  # the session's setting that names the people whom its statements are about


class Listening(psycopg.ClientCursor[TupleRow]):
    """A cursor that tells its connection what the server refused, whoever swallows the exception above it."""

    def execute(self, *args: Any, **more: Any) -> Listening:
        try:
            super().execute(*args, **more)
        except psycopg.Error as error:
            getattr(self.connection, "refusals", []).append(error)
            raise
        return self


class _Telling(psycopg.Connection[TupleRow]):
    """A connection with a list of refusals."""

    refusals: list[psycopg.Error]


@dataclass(frozen=True)
class Reader:
    """One store's server as the prover sees it."""

    conninfo: Callable[[], str]
    store: str
    subjects: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def of(
        cls, connections: Connections, store: str, connection: str, subjects: tuple[str, ...] = ()
    ) -> Reader:
        """The prover of a store, who asks about these people. The secret is asked for when a connection is made."""
        return cls(lambda: connections.postgres(connection, Role.PROVER), store, subjects)

    @property
    def about(self) -> str:
        return f"the prover of store {self.store}"

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection in autocommit mode in which nothing can be written."""
        with self.reaching(), session(self.conninfo(), "prover", self._connected) as connection:
            self._set(connection)
            yield connection

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Turn what the driver raises into our own errors, without a value in them."""
        try:
            yield
        except psycopg.Error as error:
            raise meaning(error, self.about) from None

    def creator(self, refusals: list[psycopg.Error]) -> Callable[[], Connection]:
        """What SQLAlchemy calls for a connection. Errors of its statements are added to ``refusals``."""

        def create() -> Connection:
            try:
                connection = self._open(_Telling)
            except psycopg.Error as error:
                refusals.append(error)
                raise
            connection.refusals = refusals  # type: ignore[attr-defined]
            connection.autocommit = False
            return connection

        return create

    def _open(self, kind: type[psycopg.Connection[TupleRow]]) -> Connection:
        connection = self._connected(kind)
        try:
            self._set(connection)
        except psycopg.Error:
            connection.close()
            raise
        return connection

    def _connected(self, kind: type[psycopg.Connection[TupleRow]] = psycopg.Connection) -> Connection:
        return kind.connect(
            self.conninfo(), autocommit=True, connect_timeout=CONNECT, cursor_factory=Listening
        )

    def _set(self, connection: Connection) -> None:
        settings = {
            "default_transaction_read_only": "on",
            "row_security": "off",
            "statement_timeout": f"{int(STATEMENT * 1000)}",
            "lock_timeout": f"{int(LOCK * 1000)}",
            "idle_in_transaction_session_timeout": "120000",
            "search_path": "",
            **AS_WRITTEN,  # a plan's digest is made of those of keys
            "jit": "off",
            # As the stores have it: keyed questions go by the index and take no worker of the company's.
            "random_page_cost": "1.1",
            "max_parallel_workers_per_gather": "0",
            "client_min_messages": "error",
        }
        connection.execute(
            "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS s(name, value)",
            [list(settings), list(settings.values())],
        )
        # Apart from its statement, as every value of a person: statements are what logs quote.
        psycopg.Cursor(connection).execute(
            "SELECT set_config(%s, %s::text[]::text, false)", [COHORT, list(self.subjects)]
        )


@dataclass(frozen=True)
class Standing(Reader):
    """The same, on one connection that is there already: all that is asked is asked in its transaction."""

    there: Connection | None = field(default=None, repr=False)

    @classmethod
    def on(cls, reader: Reader, connection: Connection) -> Standing:
        return cls(reader.conninfo, reader.store, reader.subjects, connection)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        assert self.there is not None  # noqa: S101  made by `on`
        yield self.there


def meaning(error: psycopg.Error, about: str) -> QuietusError:
    """Our error for the driver's. Names of tables and columns at most, and the SQLSTATE."""
    table = ".".join(part for part in (error.diag.schema_name, error.diag.table_name) if part)
    place = f" ({table})" if table else ""
    code = error.sqlstate or "no SQLSTATE"
    match error:
        case pg.InsufficientPrivilege():
            return Refused(
                f"the prover may not read it all, or row security hides rows from it{place} [{code}]",
                about=about,
                next_step="run the store's install again; the prover needs SELECT on every table, and BYPASSRLS",
            )
        case pg.UndefinedTable() | pg.UndefinedColumn() | pg.InvalidSchemaName():
            # The message of these quotes names only: of the map, or of the step area.
            return CatalogueError(
                f"the map does not fit the database, or the step area is gone: {error.diag.message_primary}",
                about=about,
                next_step="correct the dataset's YAML, or survey the step again",
            )
        case pg.QueryCanceled():
            return Refused(
                "the look ran into its time-out", about=about, next_step="look again in a quieter hour"
            )
        case pg.LockNotAvailable():
            return Refused("a table was locked against readers", about=about, next_step="look again")
        case _ if error.sqlstate and error.sqlstate[:2] not in ("08", "57", "53"):
            return Refused(f"the server refused the question{place} [{code}]", about=about)
        case _:
            return NotReachable(
                f"the server cannot be reached or ended the session [{code}]",
                about=about,
                next_step="check the server, then look again",
            )
