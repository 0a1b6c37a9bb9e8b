"""Rows whose own date is none: infinite, before our era, or of a year that no calendar counts on. No clock starts by such a date,
so they are never due by it, and stay; so they are told."""

from __future__ import annotations

from dataclasses import replace

from psycopg import sql

from include.stores.postgres.periods import EARLIEST, LATEST
from include.stores.postgres.retention.look import ROWS, Key, Look, of_parts
from include.stores.postgres.server import Connection, Server, joined, name, one
from include.stores.postgres.survey import column_of


def unreadable(server: Server, connection: Connection, it: Look, rows: int = ROWS) -> int:
    """How many rows of a dataset have a date that cannot be read in a column that starts a clock, each column's by itself: by its
    index, where one leads by it, and else part by part. Of a table of one part all columns are asked about at once."""
    columns, table = started_by(it), it.live.tables.get(it.dataset.address)
    if table is not None and table.within(rows) and columns:
        many = joined(" + ", (sql.SQL("count(*) FILTER (WHERE {})").format(odd(it, c)) for c in columns))
        asked = sql.SQL("SELECT {} FROM {} AS t WHERE {}").format(many, name(it.dataset.address), it.whole())
        with server.reaching(f"{server.store} {it.dataset.id}"):
            return int(one(connection.execute(asked))[0])
    return sum(_of_column(server, connection, it, column, rows) for column in columns)


def started_by(it: Look) -> list[str]:
    """The columns of its own that start clocks of a dataset; of the accounts also the one that says when each ended."""
    columns = {x.start.column for x in it.question.limits if x.start and x.start.column}
    if it.dataset.accounts is not None and it.dataset.accounts.ended is not None:
        columns.add(it.dataset.accounts.ended)
    return sorted(columns)


def odd(it: Look, column: str) -> sql.Composed:
    """Whether row ``t`` has a date in a column that cannot be read."""
    kind = sql.SQL(column_of(it.live, it.dataset, column).base)
    return sql.SQL("({c} < {low}::{kind} OR {c} >= {high}::{kind})").format(
        c=name("t", column), low=sql.Literal(EARLIEST), high=sql.Literal(LATEST), kind=kind
    )


def _of_column(server: Server, connection: Connection, it: Look, column: str, rows: int) -> int:
    def asked(part: Look, after: Key | None, upto: Key | None) -> sql.Composed:
        return sql.SQL("SELECT count(*) FROM {} AS t WHERE {} AND {} AND {}").format(
            name(part.dataset.address), odd(it, column), part.between(after, upto), part.whole()
        )

    table = it.live.tables.get(it.dataset.address)
    if table is not None and table.led_by(column):
        with server.reaching(f"{server.store} {it.dataset.id}"):
            return sum(int(row[0]) for row in connection.execute(asked(it, None, None)).fetchall())
    every = replace(
        it, question=it.question.model_copy(update={"everything": True})
    )  # by its key, from end to end
    return sum(int(row[0]) for row in of_parts(server, connection, every, asked, rows))
