"""How a table is gone through again and again: what is new since the last look, a batch at a time.

A row that was looked at once is not read by the next look. So what was found in it is kept in the deed that notes how far the
look came (:meth:`Looks.note`): a look that ends early, at a later store or killed, takes nothing that it found with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg
from psycopg import sql

from include.cases import book
from include.cases.book import Conn
from include.model.estate import Dataset

FETCH = 5_000
_SNAPSHOT = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint"


@dataclass(frozen=True)
class Walk:
    """One look through a table ``t``. ``oldest``: no transaction before it is open, the next look goes on from there; ``new``:
    that a row is new since the last one."""

    store: psycopg.Connection[Any]
    oldest: int
    new: sql.Composable

    def batches(self, query: sql.Composed) -> Iterator[list[tuple[Any, ...]]]:
        """What it answers, up to 5,000 rows at once."""
        with self.store.cursor("walk") as cursor:
            cursor.itersize = FETCH
            cursor.execute(query)
            while rows := cursor.fetchmany(FETCH):
                yield rows


@contextmanager
def walk(store: psycopg.Connection[Any], since: int | None) -> Iterator[Walk]:
    """All of it as of one moment. ``since``: the ``oldest`` of the look before; None: everything is new."""
    with store.transaction():
        store.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        oldest, following = (int(x) for x in store.execute(_SNAPSHOT).fetchone() or (0, 0))
        new: sql.Composable = sql.SQL("true")
        if since is not None:
            new = sql.SQL("age(t.xmin) <= {}").format(sql.Literal(min(following - since, 2**31 - 1)))
        yield Walk(store, oldest, new)


@dataclass(frozen=True)
class Looks:
    """A table of the case book that says how far each dataset was looked through: ``xid``, on which ``day``, and ``more``."""

    table: str
    more: tuple[str, ...] = ()

    def seen(self, conn: Conn, dataset: Dataset) -> dict[str, Any] | None:
        """The last look; None: there was none."""
        query = sql.SQL("SELECT {} FROM {} WHERE store = %s AND dataset = %s").format(
            sql.SQL(", ").join(map(sql.Identifier, ("xid", "day", *self.more))), self._name()
        )
        row = conn.execute(query, (dataset.store, dataset.id)).fetchone()
        return None if row is None else dict(row)

    def note(
        self, conn: Conn, dataset: Dataset, keep: Callable[[], None], *, xid: int, day: date, **more: Any
    ) -> None:
        """Note a look, and ``keep`` what it found, in one deed. ``xid``: of the walk; 0 where nothing is told by it."""
        names = ("store", "dataset", "xid", "day", *self.more)
        query = sql.SQL(
            "INSERT INTO {} ({}) VALUES ({}) ON CONFLICT (store, dataset) DO UPDATE SET {}"
        ).format(
            self._name(),
            sql.SQL(", ").join(map(sql.Identifier, names)),
            sql.SQL(", ").join(sql.Placeholder() * len(names)),
            sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(n)) for n in names[2:]),
        )
        with book.deed(conn, dataset.id):
            keep()
            conn.execute(query, (dataset.store, dataset.id, xid, day, *(more[n] for n in self.more)))

    def _name(self) -> sql.Identifier:
        return sql.Identifier("casebook", self.table)
