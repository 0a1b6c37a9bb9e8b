"""What is due of objects in a bucket, by what the database knows of the variables in their paths.

An object has no date of its own that a rule counts from: when it was written is not when a verification ended or a contract was
over. So the paths of a listing are put beside the rows, some thousands at a time, and judged as rows are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from psycopg import sql

from include.stores.postgres.retention.hours import Hours
from include.stores.postgres.retention.look import Key, Look
from include.stores.postgres.retention.owners import Owners
from include.stores.postgres.server import Connection, Server, joined, name

Values = tuple[str, ...]  # of a path's variables, in their order
Tallies = Callable[[int], Iterator[Mapping[Values, int]]]
COUNT = "#items"


@dataclass(frozen=True, kw_only=True)
class Paths(Look):
    """A look at a dataset of objects. ``tallies``: so many different paths at a time, and how many items lie under each.
    ``strays``: how many items were met whose path leads to nobody in the database. ``unfinished``: it is about uploads that were
    never finished, and nothing else."""

    variables: Sequence[str]
    tallies: Tallies
    strays: list[int] = field(default_factory=list)
    tally: Mapping[Values, int] = field(default_factory=dict, repr=False)
    unfinished: bool = False

    def parts(
        self, server: Server, connection: Connection, rows: int
    ) -> Iterator[tuple[Self, Key | None, Key | None]]:  # fmt: skip
        for tally in self.tallies(rows):
            part = replace(self, tally=tally)
            with server.reaching(f"{server.store} {self.dataset.id}"):
                row = connection.execute(part.unknown()).fetchone()
            self.strays.append(int(row[0]) if row else 0)
            yield part, None, None

    def of(self, tally: Mapping[Values, int]) -> Self:
        """The same look at these paths alone."""
        return replace(self, tally=tally)

    def owners(self) -> sql.Composed:
        """SELECT of the ids of whoever owns a path that is due."""
        return self._owners_of(self.due_rows(sql.SQL("true")))

    def everybody(self) -> sql.Composed:
        """The same of every path, due or not."""
        return self._owners_of(self._part(sql.SQL("true")))

    def _owners_of(self, paths: sql.Composable) -> sql.Composed:
        source = sql.SQL("({})").format(paths)
        return sql.SQL("SELECT DISTINCT o.id FROM ({}) AS o").format(
            Owners(self.catalogue, self.live).subjects(self.dataset, source)
        )

    def unknown(self) -> sql.Composed:
        """How many items lie under paths that lead to nobody. What was taken over has its clocks, whoever came."""
        known: sql.Composable = Owners(self.catalogue, self.live).known(self.dataset, "t")
        if self.came is not None:
            known = sql.SQL("{} OR {}").format(known, self.came.any_came())
        return sql.SQL("WITH part AS MATERIALIZED ({}) SELECT coalesce(sum({}), 0) FROM part AS t WHERE NOT ({})").format(
            self._part(sql.SQL("true")), name("t", COUNT), known
        )  # fmt: skip

    def _part(self, within: sql.Composable) -> sql.Composed:
        every = [list(column) for column in zip(*self.tally, strict=True)]
        arrays = [sql.SQL("{}::text[]").format(sql.Literal(column)) for column in every]
        arrays.append(sql.SQL("{}::bigint[]").format(sql.Literal(list(self.tally.values()))))
        return sql.SQL("SELECT t.* FROM unnest({}) AS t({})").format(
            joined(", ", arrays), joined(", ", (sql.Identifier(v) for v in (*self.variables, COUNT)))
        )

    def _columns(self, alias: str) -> sql.Composed:
        return joined(", ", (name(alias, c) for c in (*self.variables, COUNT)))

    def _range(self, after: Key | None, upto: Key | None) -> sql.Composed:
        return sql.SQL("true").format()

    def _unruled(self) -> sql.Composable:
        """Of a path that leads to nobody that is said anyway."""
        known = Owners(self.catalogue, self.live).known(self.dataset, "w")
        return sql.SQL("({} AND ({}))").format(super()._unruled(), known)

    def _count(self) -> sql.Composable:
        return sql.SQL("sum({})::bigint").format(name("w", COUNT))

    def _same(self, mine: sql.Composable, theirs: sql.Composable) -> sql.Composable:
        return sql.SQL("{} = {}::text").format(mine, theirs)


@dataclass(frozen=True, kw_only=True)
class PathHours(Hours, Paths):
    """The same at a moment, for periods of less than a day."""
