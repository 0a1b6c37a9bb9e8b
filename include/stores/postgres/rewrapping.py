"""Wrapping data keys anew with a newer key-encryption key (KEK). No object is touched: it does not know the KEK.

Each transaction leaves a receipt of how many rows it wrote, so that after T0 of a shutdown they are not taken for collection.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from uuid import UUID

from psycopg import sql

from include.model.errors import Refused, Unopened
from include.model.estate import Dataset
from include.model.keks import Keks
from include.stores.postgres.server import Connection, Server

BATCH = 500  # rows a transaction: a lock is short

_AT_WORK = """
SELECT count(*) FROM pg_catalog.pg_namespace AS n JOIN quietus.receipt AS r ON n.nspname = 'q_' || r.step
 WHERE r.verb = 'restrict'
"""
# The receipt, in the same transaction: a row of a partition counts for the partition. Of nothing there is none.
_RECEIPT = """
INSERT INTO quietus.rewrapped (relation, kek, keys)
SELECT n.nspname || '.' || c.relname, %s, count(*) FROM {table} AS t
  JOIN pg_catalog.pg_class AS c ON c.oid = t.tableoid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE t.{number} = ANY(%s) GROUP BY 1
"""


@dataclass(frozen=True)
class Rewrapped:
    """How many keys were wrapped anew, and how many were left because they do not open."""

    done: int
    unopened: int


def by_kek(server: Server, keys: Dataset) -> Counter[str]:
    """How many keys each KEK wraps: one that wraps none any more may end. Raises NotReachable."""
    kek, _, _, table = _names(keys)
    with server.connect() as connection, server.reaching(keys.id):
        rows = connection.execute(sql.SQL("SELECT {k}, count(*) FROM {t} GROUP BY 1").format(k=kek, t=table))
        return Counter({str(name): int(n) for name, n in rows})


def rewrap(server: Server, keys: Dataset, keks: Keks) -> Rewrapped:
    """Wrap every key with the newest KEK that another one wraps. May be stopped anywhere, and run again.

    Raises Refused while cases are at work in the store, whose proofs hold that what stays was not written; NotReachable.
    """
    done, unopened, after = 0, 0, UUID(int=0)
    with server.connect() as connection, server.reaching(keys.id):
        ((at_work,),) = connection.execute(_AT_WORK).fetchall()
        if at_work:
            raise Refused(
                f"{at_work} steps are at work in this store, and what they keep must not be written",
                about=keys.id,
                next_step="wait until their cases rest (`quietus case list`), then run it again",
            )
        while batch := _batch(connection, keys, keks, after):
            changed, last = batch
            done, unopened, after = done + changed[0], unopened + changed[1], last
    return Rewrapped(done, unopened)


def _batch(
    connection: Connection, keys: Dataset, keks: Keks, after: UUID
) -> tuple[tuple[int, int], UUID] | None:
    """One transaction. How many were done and left, and the last number that was looked at; None at the end."""
    kek, number, wrapped, table = _names(keys)
    with connection.transaction():
        rows = connection.execute(
            sql.SQL(
                "SELECT {i}, {k}, {w} FROM {t} WHERE {k} <> %s AND {i} > %s ORDER BY {i} LIMIT %s FOR UPDATE"
            ).format(i=number, k=kek, w=wrapped, t=table),
            [keks.newest, after, BATCH],
        ).fetchall()
        if not rows:
            return None
        fresh = []
        for id_, name, body in rows:
            try:
                fresh.append((keks.newest, keks.wrap(id_, keks.unwrap(name, id_, bytes(body))), id_))
            except Unopened:
                continue
        with connection.cursor() as cursor:
            cursor.executemany(
                sql.SQL("UPDATE {t} SET {k} = %s, {w} = %s WHERE {i} = %s").format(
                    i=number, k=kek, w=wrapped, t=table
                ),
                fresh,
            )
        connection.execute(
            sql.SQL(_RECEIPT).format(table=table, number=number), [keks.newest, [id_ for _, _, id_ in fresh]]
        )
    return (len(fresh), len(rows) - len(fresh)), rows[-1][0]


def _names(keys: Dataset) -> tuple[sql.Identifier, sql.Identifier, sql.Identifier, sql.Identifier]:
    """Columns of the KEK's name, the number and the wrapped key; and the table."""
    if keys.keys is None:
        raise Refused("it holds no keys", about=keys.id, next_step="declare its `keys` in the catalogue")
    of = keys.keys
    return (
        sql.Identifier(of.kek), sql.Identifier(of.id), sql.Identifier(of.wrapped),
        sql.Identifier(*keys.address.split(".")),
    )  # fmt: skip
