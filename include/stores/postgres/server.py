"""Talking to the server: one connection per piece of work, time-outs on every statement, errors without values.

A driver's exception quotes rows (``Key (phone)=(…)``). Here each becomes one of our own errors, made only of
names that the schema itself uses and of the SQLSTATE; the original is cut off with ``from None``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import LiteralString, TypeAlias, TypeVar

import psycopg
from psycopg import errors as pg
from psycopg import sql
from psycopg.rows import TupleRow
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from include.model.errors import BooksDoNotBalance, CatalogueError, NotReachable, QuietusError, Refused
from include.model.sessions import AS_WRITTEN, session

Connection: TypeAlias = "psycopg.Connection[TupleRow]"
_T = TypeVar("_T")


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds, and how often to try again."""

    connect: int = 10
    statement: float = 600.0
    lock: float = 5.0
    settle: float = 60.0
    attempts: int = 6


class Busy(NotReachable):
    """A lock, a deadlock or a serialization failure: the same transaction again will most likely succeed."""


class Server:
    """One store's server as one role sees it."""

    def __init__(self, conninfo: Callable[[], str], store: str, patience: Patience | None = None) -> None:
        self._conninfo = conninfo
        self.store = store
        self.patience = patience or Patience()
        self.about = f"store {store}"

    @contextmanager
    def connect(self, *, search_path: str = "") -> Iterator[Connection]:
        """A connection in autocommit mode; use ``connection.transaction()`` for more than one statement.

        ``row_security=off`` makes the server raise an error, rather than hide rows, if a policy would apply
        to us: a survey that sees less than everything is worse than none. Values are bound on the client
        (``ClientCursor``), because CREATE TABLE AS takes no server-side parameters.
        """
        with self.reaching():
            conninfo = self._conninfo()

            def opened() -> Connection:
                return psycopg.connect(
                    conninfo, autocommit=True, connect_timeout=self.patience.connect,
                    cursor_factory=psycopg.ClientCursor,
                )  # fmt: skip

            with session(conninfo, "store", opened) as connection:
                settings = {
                    "statement_timeout": f"{int(self.patience.statement * 1000)}",
                    "lock_timeout": f"{int(self.patience.lock * 1000)}",
                    "idle_in_transaction_session_timeout": "60000",
                    "row_security": "off",
                    "search_path": search_path,
                    **AS_WRITTEN,
                    # Hundreds of short statements: compiling them costs more than it saves.
                    "jit": "off",
                    # A few people among many: by the index, and no worker of the company's taken.
                    "random_page_cost": "1.1",
                    "max_parallel_workers_per_gather": "0",
                    "temp_buffers": "65536kB",
                    "client_min_messages": "warning",
                }
                connection.execute(
                    "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS s(name, value)",
                    [list(settings), list(settings.values())],
                )
                yield connection

    @contextmanager
    def reaching(self, about: str = "") -> Iterator[None]:
        """Turn what the driver raises into our own errors, without a value in them."""
        try:
            yield
        except psycopg.Error as error:
            raise meaning(error, about or self.about) from None

    def retrying(self, work: Callable[[], _T], attempts: int | None = None) -> _T:
        """Call ``work`` again after a deadlock, lock time-out or serialization failure, a bounded number of times."""
        for attempt in Retrying(
            retry=retry_if_exception_type(Busy),
            stop=stop_after_attempt(attempts or self.patience.attempts),
            wait=wait_random_exponential(multiplier=0.1, max=5),
            reraise=True,
        ):
            with attempt:
                return work()
        raise AssertionError("tenacity ends with a result or an error")


def meaning(error: psycopg.Error, about: str) -> QuietusError:  # noqa: PLR0911 - a table of meanings
    """Our error for the driver's. Quotes names of tables, columns and constraints, never a value."""
    d = error.diag
    table = ".".join(name for name in (d.schema_name, d.table_name) if name)
    place = f" ({d.constraint_name} on {table})" if d.constraint_name else f" ({table})" if table else ""
    code = error.sqlstate or "no SQLSTATE"
    match error:
        case pg.DeadlockDetected() | pg.SerializationFailure() | pg.LockNotAvailable():
            return Busy(
                f"another transaction was in the way{place} [{code}]", about=about, next_step="try again"
            )
        case pg.QueryCanceled():
            return NotReachable(
                "a statement ran into its time-out",
                about=about,
                next_step="try again when the server is less busy, or raise the time-out",
            )
        case pg.IntegrityError():
            return BooksDoNotBalance(
                f"a constraint forbids it{place} [{code}]; nothing was changed",
                about=about,
                next_step="map the table that holds the constraint, or correct the cut",
            )
        case pg.InsufficientPrivilege():
            return Refused(
                f"the role lacks a privilege, or row security hides rows from it{place} [{code}]",
                about=about,
                next_step="run the store's install again, then preflight",
            )
        case pg.UndefinedTable() | pg.UndefinedColumn() | pg.UndefinedFunction() | pg.InvalidSchemaName():
            return CatalogueError(
                f"the map or a statement of the catalogue does not fit the database: {d.message_primary}",
                about=about,
                next_step="run preflight, and correct the dataset's YAML or SQL",
            )
        case psycopg.InterfaceError() | pg.OperationalError() if not _is_data(error):
            return NotReachable(
                f"the server cannot be reached or ended the session [{code}]",
                about=about,
                next_step="check the server, then try again; receipts tell what is done",
            )
        case pg.DataError():
            return Refused(
                f"a value cannot be read, or does not fit what is done with it{place} [{code}]; nothing was changed",
                about=about,
                next_step="look for dates of no calendar, numbers out of range, and text that is none of its type, and mend them",
            )
        case _:
            return Refused(
                f"the server refused a statement{place} [{code}]; nothing was changed",
                about=about,
                next_step="look up the SQLSTATE; a trigger of the company may have raised it",
            )


def _is_data(error: psycopg.Error) -> bool:
    return (
        bool(error.sqlstate) and error.sqlstate is not None and error.sqlstate[:2] in ("22", "42", "P0", "XX")
    )


def name(*parts: str) -> sql.Identifier:
    """A quoted identifier; a dotted address of the catalogue is split."""
    return (
        sql.Identifier(*(p for part in parts for p in part.split(".")))
        if len(parts) == 1
        else sql.Identifier(*parts)
    )


def one(cursor: psycopg.Cursor[TupleRow]) -> TupleRow:
    """The single row of a statement that always has one."""
    row = cursor.fetchone()
    if row is None:
        raise AssertionError("a statement that always returns a row returned none")
    return row


def joined(glue: LiteralString, parts: Iterable[sql.Composable]) -> sql.Composed:
    """The parts with ``glue`` between them."""
    return sql.SQL(glue).join(parts)
