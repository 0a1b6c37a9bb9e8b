"""Which rows a restriction must hide, read by the prover itself: from the people of the step down the links.

A row that is a person's alone must be hidden, and one that is shared, if all its owners are of the step: a contract
stays open to its other party. Nothing of the step area is read, so that a survey that located somebody else's
rows, or none, cannot make a restriction look complete.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from psycopg import sql

from include.model.estate import Dataset, Link
from include.model.words import Ownership
from include.proofs.server import Connection
from include.proofs.tables import Tables, quoted

Key = tuple[str, ...]


@dataclass
class MustHide:
    """The rows of one dataset that nobody of the company may see: their keys as text, in memory only, and how many of
    them lie in each table (a partition is a table)."""

    keys: list[Key] = field(default_factory=list)
    places: Counter[int] = field(default_factory=Counter)


def must_hide(connection: Connection, tables: Tables, dataset: Dataset) -> MustHide:
    """As the prover sees them now, whoever else does."""
    key = sql.SQL(", ").join(sql.SQL("h.{}::text").format(sql.Identifier(c)) for c in dataset.key)
    found = MustHide()
    for place, *values in connection.execute(
        sql.SQL("SELECT h.place, {} FROM {} AS h").format(key, _Reach(tables).hidden(dataset))
    ):
        found.keys.append(tuple(str(v) for v in values))
        found.places[place] += 1
    return found


def open_to_others(connection: Connection, tables: Tables, dataset: Dataset, hidden: int) -> int:
    """How many rows the links lead to that need not be ``hidden``: they are somebody else's, too, or somebody else's
    whom the person only joins."""
    row = connection.execute(
        sql.SQL("SELECT count(*) FROM {} AS h").format(_Reach(tables).reached(dataset))
    ).fetchone()
    return (int(row[0]) if row else 0) - hidden


def owning(dataset: Dataset) -> tuple[Link, ...]:
    """The links by which a row is somebody's; what one may merely look at is somebody else's."""
    return tuple(x for x in dataset.links if x.ownership is not Ownership.ACCESS_ONLY)


@dataclass(frozen=True)
class _Reach:
    """Composes, as sub-selects, the rows that the links lead to. A chain of links is as deep as the catalogue's."""

    tables: Tables

    def hidden(self, dataset: Dataset) -> sql.Composed:
        """Rows with a sole owner among the people, and rows all whose owners are."""
        ways = [
            self._by(dataset, x, self.hidden(self._parent(x)) if x.via else None)
            for x in dataset.links
            if x.ownership is Ownership.SOLE
        ]
        ways += [
            sql.SQL("{} WHERE NOT ({})").format(
                self._by(dataset, x, self._owned(self._parent(x)) if x.via else None),
                self._somebody_else(dataset, "t"),
            )
            for x in dataset.links
            if x.ownership is Ownership.SHARED
        ]
        return self._union(dataset, ways)

    def reached(self, dataset: Dataset) -> sql.Composed:
        """Every row that a link leads to, whatever it makes the person of it."""
        return self._union(
            dataset,
            [self._by(dataset, x, self.reached(self._parent(x)) if x.via else None) for x in dataset.links],
        )

    def _owned(self, dataset: Dataset) -> sql.Composed:
        """Rows with an owner among the people, whoever owns them besides."""
        return self._union(
            dataset,
            [self._by(dataset, x, self._owned(self._parent(x)) if x.via else None) for x in owning(dataset)],
        )

    def _union(self, dataset: Dataset, ways: list[sql.Composed]) -> sql.Composed:
        if not ways:
            ways = [sql.SQL("SELECT {} FROM {} AS t WHERE false").format(*self._from(dataset))]
        return sql.SQL("({})").format(sql.SQL(" UNION ").join(ways))

    def _from(self, dataset: Dataset) -> tuple[sql.Composed, sql.Identifier]:
        columns = [sql.Identifier("t", c) for c in self.tables.columns_needed(dataset)]
        mine = sql.SQL("t.tableoid AS place, {}").format(sql.SQL(", ").join(columns))
        return mine, quoted(dataset.address)

    def _by(self, dataset: Dataset, link: Link, parents: sql.Composed | None) -> sql.Composed:
        """The rows that one link leads to, from the people or from rows of its parent."""
        mine, table = self._from(dataset)
        if link.column is not None:
            return sql.SQL("SELECT DISTINCT {} FROM {} AS c JOIN {} AS t ON {}").format(
                mine, self.tables.cohort, table,
                self.tables.of_subject(dataset, "t", link.column, sql.Identifier("c", "subject_id")),
            )  # fmt: skip
        assert parents is not None  # noqa: S101 - a link is by a column or through a parent
        return sql.SQL("SELECT DISTINCT {} FROM {} AS p JOIN {} AS t ON {}").format(
            mine, parents, table, _joined(link, "p")
        )

    def _somebody_else(self, dataset: Dataset, alias: str, depth: int = 0) -> sql.Composed:
        """Whether a row has an owner who is not of the step."""
        ways: list[sql.Composable] = []
        for link in owning(dataset):
            if link.column is not None:
                mine = sql.Identifier(alias, link.column)
                ways.append(
                    sql.SQL("({} IS NOT NULL AND {}::text NOT IN (SELECT c.subject_id FROM {} AS c))").format(
                        mine, mine, self.tables.cohort
                    )
                )
                continue
            parent, up = self._parent(link), f"o{depth}"
            theirs = self._somebody_else(parent, up, depth + 1)
            ways.append(
                sql.SQL("EXISTS (SELECT FROM {} AS {} WHERE {} AND ({}))").format(
                    quoted(parent.address), sql.Identifier(up), _joined(link, up, alias), theirs
                )
            )
        return sql.SQL(" OR ").join(ways) if ways else sql.SQL("false").format()

    def _parent(self, link: Link) -> Dataset:
        return self.tables.catalogue.dataset(link.via or "")


def _joined(link: Link, parent: str, mine: str = "t") -> sql.Composed:
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier(mine, a), sql.Identifier(parent, b))
        for a, b in link.on.items()
    )


__all__ = ["Key", "MustHide", "must_hide", "open_to_others", "owning"]
