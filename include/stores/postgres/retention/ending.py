"""What goes since a service ends (policy 5.6(3)): no floor of it runs, and no hold names it, whatever else its limits say.

Its question is that of everything, as of the day collection was closed. A clock that waits for the end of an account counts as
running, as it does if it starts on that day.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from include.stores.postgres.retention.look import Look
from include.stores.postgres.retention.paths import Paths


@dataclass(frozen=True, kw_only=True)
class Ending(Look):
    """A look at a table whose service ends."""

    def _early(self) -> sql.Composable:
        return sql.SQL("true")

    def _due(self) -> sql.Composed:
        return sql.SQL("(NOT ({}))").format(self._runs())

    def still(self, then: str, now: str) -> sql.Composed:
        """That no floor ran then makes no difference if one runs now."""
        it = sql.Identifier(now)
        return sql.SQL('NOT {it}."#held" AND {it}."#due"').format(it=it)


@dataclass(frozen=True, kw_only=True)
class Waiting(Ending):
    """A look at a table of which nothing goes yet."""

    def _due(self) -> sql.Composed:
        return sql.SQL("false").format()


@dataclass(frozen=True, kw_only=True)
class EndingPaths(Ending, Paths):
    """The same at the paths of objects."""


@dataclass(frozen=True, kw_only=True)
class AllPaths(Paths):
    """Every path, whatever its clocks say."""

    def _early(self) -> sql.Composable:
        return sql.SQL("true")

    def _due(self) -> sql.Composed:
        return sql.SQL("true").format()
