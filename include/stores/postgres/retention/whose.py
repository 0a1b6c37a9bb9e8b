"""How the rows of one person stand, or one row: the same question as of a whole table, of nothing but these.

A row is found by its key, and a person's by the links that say whose it is, as a hold finds them; so the whole is one statement.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID

from psycopg import sql

from include.model.errors import Refused
from include.stores.postgres.retention.look import Key, Look
from include.stores.postgres.retention.owners import Owners
from include.stores.postgres.retention.paths import Paths
from include.stores.postgres.server import Connection, Server, joined, name
from include.stores.postgres.survey import column_of

_NUMBERS = ("smallint", "integer", "bigint")


@dataclass(frozen=True, kw_only=True)
class Whose(Look):
    """A look at the rows of ``people``; or, of a table, at the row with a ``key``."""

    people: Sequence[str] = field(default=(), repr=False)
    key: Key | None = field(default=None, repr=False)

    def parts(
        self, server: Server, connection: Connection, rows: int
    ) -> Iterator[tuple[Self, Key | None, Key | None]]:  # fmt: skip
        yield self, None, None

    def _part(self, within: sql.Composable) -> sql.Composed:
        return super()._part(sql.SQL("{} AND {}").format(within, self._theirs()))

    def _theirs(self) -> sql.Composable:
        if self.key is None:
            return Owners(self.catalogue, self.live).among(self.dataset, "t", self.people)
        return joined(
            " AND ", [self._is(column, said) for column, said in zip(self.dataset.key, self.key, strict=True)]
        )

    def _is(self, column: str, said: str) -> sql.Composable:
        """Whether a column of the key has a value. Raises Refused for one that it cannot have: the server is never sent what it
        would reject, for it writes the statement into its log."""
        base = column_of(self.live, self.dataset, column).base
        if not is_possible(base, said):
            raise Refused(
                "its key cannot be that", about=f"{self.dataset.id} {column}",
                next_step=f"give a value of type {base}",
            )  # fmt: skip
        exact = base in _NUMBERS or base in ("text", "uuid")
        template = "{c} = {v}::{t}" if exact else "{c}::text = {v}"
        return sql.SQL(template).format(c=name("t", column), v=sql.Literal(said), t=sql.SQL(base))


@dataclass(frozen=True, kw_only=True)
class WhosePaths(Paths):
    """A look at the objects of ``people``."""

    people: Sequence[str] = field(default=(), repr=False)

    def _part(self, within: sql.Composable) -> sql.Composed:
        return sql.SQL("SELECT t.* FROM ({}) AS t WHERE {}").format(
            super()._part(within), Owners(self.catalogue, self.live).among(self.dataset, "t", self.people)
        )


def whose(it: Look, people: Sequence[str], key: Key | None) -> Look:
    """The same look, at nothing but these."""
    more: dict[str, Any] = it.asked()
    if isinstance(it, Paths):
        return WhosePaths(**more, people=people)
    return Whose(**more, people=people, key=key)


def is_possible(base: str, said: str) -> bool:
    """Whether a value can be of a type, as far as the server would reject it."""
    if base in _NUMBERS:
        return said.removeprefix("-").isascii() and said.removeprefix("-").isdecimal() and len(said) < 19
    if base == "uuid":
        try:
            UUID(said)
        except ValueError:
            return False
    return "\0" not in said
