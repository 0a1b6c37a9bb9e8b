"""Whose items may only be stored and protected, as SQL about one row: those who object to the handover, and those whose relation
with us has ended by a case, as the store's own list of restrictions says (PIPL 47 para. 2; law.md E, 11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from include.model.estate import Dataset
from include.model.handover import Restricted
from include.stores.postgres.retention.owners import Owners
from include.stores.postgres.server import Connection

WORDS = {b"o": Restricted.OBJECTION, b"c": Restricted.CASE, b"f": None}
"""What the field says."""


@dataclass(frozen=True)
class Marks:
    """``objectors``: account ids, in memory only; ``listed``: whether this database has a list of restrictions."""

    objectors: Sequence[str] = ()
    listed: bool = False

    @classmethod
    def of(cls, connection: Connection, objectors: frozenset[str]) -> Marks:
        row = connection.execute(
            "SELECT coalesce(has_table_privilege(to_regclass('quietus.restriction'), 'SELECT'), false)"
        ).fetchone()
        return cls(tuple(sorted(objectors)), bool(row and row[0]))

    def field(self, owners: Owners, dataset: Dataset, alias: str) -> sql.Composable:
        """``o``, ``c`` or ``f`` of the row: a field behind its clocks and its holds, before its own."""
        objects: sql.Composable = sql.SQL("false")
        if self.objectors:
            objects = owners.whose(dataset, alias, self._objects)
        listed = owners.whose(dataset, alias, _listed) if self.listed else sql.SQL("false")
        return sql.SQL("CASE WHEN {} THEN 'o' WHEN {} THEN 'c' ELSE 'f' END").format(objects, listed)

    def _objects(self, value: sql.Composable) -> sql.Composable:
        return sql.SQL("{}::text = ANY({})").format(value, sql.Literal(list(self.objectors)))


def _listed(value: sql.Composable) -> sql.Composable:
    return sql.SQL(
        "EXISTS (SELECT FROM quietus.restriction AS qr WHERE qr.subject_id = {}::text AND qr.lifted_at IS NULL)"
    ).format(value)
