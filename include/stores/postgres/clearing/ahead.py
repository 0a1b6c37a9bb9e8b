"""How large the next piece is, and up to which place of the order it goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from psycopg import sql

from include.model.estate import Dataset
from include.stores.postgres.area import Area
from include.stores.postgres.clearing import packs
from include.stores.postgres.server import Connection, one

FIRST, LEAST, MOST = 2_000, 100, 50_000  # items of a piece
QUICK = 1.0  # seconds that a piece is to take


class Part(NamedTuple):
    """Up to which place a piece goes, and how many items it has."""

    upto: int
    items: int


@dataclass
class Size:
    """How many items a piece takes: learned from how long the last ones took."""

    items: int = FIRST

    def took(self, seconds: float) -> None:
        factor = min(2.0, max(0.5, QUICK / max(seconds, 0.001)))
        self.items = int(min(MOST, max(LEAST, self.items * factor)))

    def halve(self) -> bool:
        """Whether it could be made smaller."""
        before, self.items = self.items, max(LEAST, self.items // 2)
        return self.items < before


def ahead(
    connection: Connection, area: Area, group: Sequence[Dataset], after: int, items: int, edge: int | None = None
) -> Part | None:  # fmt: skip
    """The next piece: so many items, and the rest of those that share the last place. Of packs, as many as have no more than
    that, up to ``edge``; zero items, if the next alone has. None: nothing is left."""
    if packs.packed(connection, area, group):
        found = packs.ahead(connection, area, group[0], after, items, edge)
        return None if found is None else Part(*found)
    every = sql.SQL(" UNION ALL ").join(
        sql.SQL("(SELECT item FROM {} WHERE item > {} ORDER BY item LIMIT {})").format(
            area.table(d.id), sql.Literal(after), sql.Literal(items)
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
