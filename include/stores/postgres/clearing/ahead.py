"""Up to which place of the order the next piece goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from psycopg import sql

from include.model.estate import Dataset
from include.stores.postgres.area import Area
from include.stores.postgres.clearing import packs
from include.stores.postgres.server import Connection, one


class Part(NamedTuple):
    """Up to which place a piece goes, and how many items it has."""

    upto: int
    items: int


def ahead(
    connection: Connection, area: Area, group: Sequence[Dataset], after: int, items: int, edge: int | None = None
) -> Part | None:  # fmt: skip
    """The next piece, up to the place ``edge``: so many items, and the rest of those that share the last place. Of packs, as
    many as have no more than that; zero items, if the next alone has. None: nothing is left."""
    if packs.packed(connection, area, group):
        found = packs.ahead(connection, area, group[0], after, items, edge)
        return None if found is None else Part(*found)
    here = sql.SQL("true") if edge is None else sql.SQL("item <= {}").format(sql.Literal(edge))
    every = sql.SQL(" UNION ALL ").join(
        sql.SQL("(SELECT item FROM {} WHERE item > {} AND {} ORDER BY item LIMIT {})").format(
            area.table(d.id), sql.Literal(after), here, sql.Literal(items)
        )
        for d in group
    )
    upto, n = one(
        connection.execute(
            sql.SQL(
                "SELECT max(item), count(*) FROM (SELECT item FROM ({}) AS x ORDER BY item LIMIT {}) AS y"
            ).format(every, sql.Literal(items))
        )
    )
    if upto is None:
        return None
    return Part(int(upto), _between(connection, area, group, after, upto) if len(group) > 1 else int(n))


def _between(connection: Connection, area: Area, group: Sequence[Dataset], after: int, upto: int) -> int:
    """How many items lie between two places."""
    every = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT count(*) AS n FROM {} WHERE item > {} AND item <= {}").format(
            area.table(d.id), sql.Literal(after), sql.Literal(upto)
        )
        for d in group
    )
    (n,) = one(connection.execute(sql.SQL("SELECT sum(n)::bigint FROM ({}) AS x").format(every)))
    return int(n)
