"""Classes, counted: of the rows that are to be released (``cells``) together with those that were before (``standing``).

Both are temporary tables of counts, a row for each combination of values, so that a node of the lattice costs a pass over the
combinations and not over the rows. Standing rows are at their final labels and are only added to, never suppressed.
"""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from include.model.releases import Release
from include.stores.postgres.anonymise.labels import Labels
from include.stores.postgres.anonymise.lattice import Counted, Node
from include.stores.postgres.server import Connection, one

CELLS = sql.Identifier("pg_temp", "cells")
STANDING = sql.Identifier("pg_temp", "standing")
ROUNDING = 1e-9


def names(prefix: str, count: int) -> list[sql.Identifier]:
    """Columns of our own temporary tables; the company's have no spaces in theirs."""
    return [sql.Identifier(f"{prefix} {n}") for n in range(count)]


def listed(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)


def class_of(labels: Iterable[sql.Composable]) -> sql.Composed:
    """The class of a row as one text, unambiguously: two nulls are alike, and a null is not an empty text."""
    return sql.SQL("ROW({})::text").format(listed(labels))


class Classes:
    """What a node of the lattice comes to. ``standing``: whether anything was released before."""

    def __init__(self, connection: Connection, labels: Labels, standing: bool) -> None:
        self._connection, self._labels, self.standing = connection, labels, standing
        self.release: Release = labels.release
        self._q = names("q", len(self.release.known))
        self._s = names("s", len(self.release.sensitive))

    def count(self, node: Node) -> Counted:
        """Rows that a node would suppress, rows that it would keep, and classes of these."""
        suppressed, kept, classes = one(
            self._connection.execute(
                sql.SQL(
                    "WITH {with_} SELECT coalesce(sum(mine) FILTER (WHERE bad), 0),"
                    " coalesce(sum(mine) FILTER (WHERE NOT bad), 0), count(*) FILTER (WHERE NOT bad) FROM c"
                ).format(with_=self.judged(node))
            )
        )
        return Counted(int(suppressed), int(kept), int(classes))

    def judged(self, node: Node) -> sql.Composed:
        """Common table expressions ``g`` (class, sensitive values, counts) and ``c`` (class, whether it is ``bad``)."""
        diverse = [
            sql.SQL(" OR count(DISTINCT {}) < {}").format(s, sql.Literal(wanted.l))
            for s, wanted in zip(self._s, self.release.sensitive.values(), strict=True)
        ]
        return sql.SQL(
            "g AS (SELECT {mine} AS class{s}, sum(w.n) AS n, false AS there FROM {cells} AS w GROUP BY {places}"
            " UNION ALL SELECT {theirs}{s}, n, true FROM {standing}),"
            " c AS (SELECT class, coalesce(sum(n) FILTER (WHERE NOT there), 0) AS mine,"
            " (sum(n) < {k}{diverse}) AND bool_or(NOT there) AS bad FROM g GROUP BY class)"
        ).format(
            mine=class_of(self._labels.at(node, "w")),
            theirs=class_of(self._q),
            s=sql.SQL("").join(sql.SQL(", {}").format(s) for s in self._s),
            cells=CELLS,
            standing=STANDING,
            places=sql.SQL(", ").join(
                sql.SQL("{}").format(sql.Literal(n + 1)) for n in range(1 + len(self._s))
            ),
            k=sql.Literal(self.release.k),
            diverse=sql.SQL("").join(diverse),
        )

    def is_close(self, node: Node) -> bool:
        """Whether every class that a node keeps is within ``t`` of the whole, for each sensitive column."""
        for s, wanted in zip(self._s, self.release.sensitive.values(), strict=True):
            if wanted.t is None:
                continue
            kept = sql.SQL(
                "SELECT g.class, g.{s} AS v, sum(g.n) AS n FROM g JOIN c USING (class)"
                " WHERE NOT c.bad AND g.{s} IS NOT NULL GROUP BY 1, 2"
            ).format(s=s)
            (far,) = one(
                self._connection.execute(
                    sql.SQL("WITH {}, kept AS ({}) {}").format(
                        self.judged(node), kept, farthest(wanted.ordered)
                    )
                )
            )
            if far is not None and float(far) > wanted.t + ROUNDING:
                return False
        return True

    def rare(self, node: Node) -> int:
        """Take rows out of the cells whose sensitive value fewer than k kept rows share: a rare value points at one person by
        itself. Returns how many."""
        taken = 0
        for s in self._s:
            taken += int(
                one(
                    self._connection.execute(
                        sql.SQL(
                            "WITH {judged}, few AS (SELECT g.{s} AS v FROM g JOIN c USING (class)"
                            " WHERE NOT c.bad AND g.{s} IS NOT NULL GROUP BY 1 HAVING sum(g.n) < {k}), gone AS"
                            " (DELETE FROM {cells} AS w WHERE w.{s} IN (SELECT v FROM few) RETURNING w.n)"
                            " SELECT coalesce(sum(n), 0) FROM gone"
                        ).format(judged=self.judged(node), s=s, k=sql.Literal(self.release.k), cells=CELLS)
                    )
                )[0]
            )
        return taken


def farthest(ordered: bool) -> sql.Composable:
    """The greatest earth mover's distance of a class from the whole, of ``kept (class, v, n)``: ordered values are as far apart
    as their ranks, over the greatest such distance; others are all at distance one."""
    return (_BY_RANK if ordered else _EQUAL).format(_GRID)


_GRID = sql.SQL("""
SELECT k.class, k.size, v.v, v.p, coalesce(x.n, 0) / k.size AS q, v.rank, v.many
  FROM (SELECT class, sum(n) AS size FROM kept GROUP BY class) AS k
 CROSS JOIN (SELECT v, sum(n) / sum(sum(n)) OVER () AS p, row_number() OVER (ORDER BY v) AS rank,
                    count(*) OVER () AS many
               FROM kept GROUP BY v) AS v
  LEFT JOIN kept AS x ON x.class = k.class AND x.v = v.v
""")
_EQUAL = sql.SQL(
    ", grid AS ({}) SELECT max(d) FROM (SELECT sum(abs(q - p)) / 2 AS d FROM grid GROUP BY class) AS b"
)
_BY_RANK = sql.SQL(
    ", grid AS ({}), moved AS"
    " (SELECT class, many, sum(q - p) OVER (PARTITION BY class ORDER BY rank) AS earth FROM grid)"
    " SELECT max(d) FROM (SELECT sum(abs(earth)) / nullif(max(many) - 1, 0) AS d FROM moved GROUP BY class) AS b"
)
