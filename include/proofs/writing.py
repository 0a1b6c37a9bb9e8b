"""Trying to write a person's rows as a business role: to add one, to change those there are, to delete them.

Each attempt is undone. A row is added for a few people only, since a refusal ends a statement: that the trigger asks
the restriction list is seen by trying, and that the list has everybody, by counting (``listed``). Changes and
deletions are tried on all rows that must be hidden, at once; where they are visible after all, on a few.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from psycopg import errors as pg
from psycopg import sql

from include.model.estate import Dataset
from include.model.words import Ownership
from include.proofs.acting import Rights, Tried, act, text
from include.proofs.hiding import Key, owning
from include.proofs.server import Connection
from include.proofs.tables import Tables, quoted

BATCH = 5000  # keys sent at once
TRIED = 5  # people for whom a row is added, and visible rows that are changed; a statement for each role and column
CONTROL = "quietus-nobody-"


@dataclass
class Attempts:
    """How often the roles tried to write, and who succeeded at what."""

    tried: int = 0
    by: list[str] = field(default_factory=list)
    got_through: list[str] = field(default_factory=list)

    def note(self, role: str, deed: str, *, through: bool) -> None:
        self.tried += 1
        self.by += [role] if role not in self.by else []
        self.got_through += [f"{role} {deed}"] if through else []


@dataclass(frozen=True)
class Writer:
    """One role before one table."""

    connection: Connection
    tables: Tables
    role: str
    dataset: Dataset
    may: Rights

    # --- adding a row -------------------------------------------------------------------------------

    def add(self, sample: dict[str, str], attempts: Attempts) -> None:
        """Insert a row for a person, and for nobody. Only if the second is not refused does the first one count."""
        for column, subject in self._own_columns():
            if self._refused(column, CONTROL + secrets.token_hex(8), sample) is not False:
                continue  # the company refuses this role any such row, or it has no place: nothing is learnt
            attempts.note(self.role, "adds", through=self._refused(column, subject, sample) is not True)

    def _own_columns(self) -> Iterator[tuple[str, str]]:
        """Columns that name a subject directly, each with a few of the people, drawn anew for each column."""
        subjects = self.tables.step.subjects
        for link in owning(self.dataset):
            if link.column in self.may.insert and link.column is not None:
                for subject in secrets.SystemRandom().sample(subjects, min(TRIED, len(subjects))):
                    yield link.column, subject

    def _refused(self, column: str, value: str, sample: dict[str, str]) -> bool | None:
        """Whether the server refuses the row for want of privilege, which is what a restriction answers.

        A partition must be found for the row before any trigger is asked. None: none was found.
        """
        types = self.tables.types.get(self.dataset.address, {})
        row = {c: v for c, v in sample.items() if c in self.may.insert} | {column: value}
        statement = sql.SQL("WITH w AS (INSERT INTO {} ({}) VALUES ({})) SELECT 1").format(
            quoted(self.dataset.address),
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(
                sql.SQL("($1)[{}]::{}").format(
                    sql.Literal(i + 1), sql.Identifier("pg_catalog", types.get(c, "text"))
                )
                for i, c in enumerate(row)
            ),
        )
        tried = act(self.connection, self.role, statement, list(row.values()), write=True)
        if tried.code == pg.CheckViolation.sqlstate:
            return False if tried.violated else None
        # Another constraint, or a type: the restriction itself let it pass.
        return tried.forbidden

    # --- changing and deleting ----------------------------------------------------------------------

    def change(self, keys: Sequence[Key], attempts: Attempts) -> str | None:
        """Update and delete the rows with these keys. Returns why that cannot be tried, if so."""
        deeds = {"changes": self._update(), "deletes": sql.SQL("DELETE FROM {} AS t USING k WHERE {}")}
        able = {"changes": bool(self.may.update), "deletes": self.may.delete}
        if not keys or not any(able.values()):
            return None
        aimed = self._aimed(keys)
        if aimed is None:
            return f"{self.role} may write here without reading whose a row is: that cannot be tried for one person"
        for deed, statement in deeds.items():
            if able[deed]:
                through = any(
                    self._write(statement, k, match, values).took_place() for k, match, values in aimed
                )
                attempts.note(self.role, deed, through=through)
        return None

    def _update(self) -> sql.Composable:
        """Of one column that neither names anybody nor is a key, if there is one: a row that is taken from the person
        is no longer the person's, so the trigger would have no reason to refuse it."""
        bound = {
            *self.dataset.key,
            *(c for x in self.dataset.links for c in ([x.column] if x.column else x.on)),
        }
        column = min(self.may.update, key=lambda c: (c in bound, c), default="")
        return sql.SQL("UPDATE {{}} AS t SET {} = NULL FROM k WHERE {{}}").format(sql.Identifier(column))

    def _write(
        self, statement: sql.Composable, keys: sql.Composable, match: sql.Composable, values: list[object]
    ) -> Tried:
        deed = sql.SQL(statement.as_string(self.connection)).format(quoted(self.dataset.address), match)
        # Only what the role sees of them is looked up, and of that a few: all is undone, but others wait meanwhile.
        whole = sql.SQL(
            "WITH k AS (SELECT k.* FROM ({}) AS k JOIN {} AS t ON {} LIMIT {}), w AS ({} RETURNING 1)"
            " SELECT count(*) FROM w"
        ).format(keys, quoted(self.dataset.address), match, sql.Literal(TRIED), deed)
        return act(self.connection, self.role, whole, values, write=True)

    def _aimed(self, keys: Sequence[Key]) -> list[tuple[sql.Composable, sql.Composable, list[object]]] | None:
        """The rows, by their keys or by whom they name, as far as the role may read these columns."""
        if self.may.read >= set(self.dataset.key):
            return [
                (keyed(self.dataset), matched(self.tables, self.dataset), list(values))
                for values in batches(keys)
            ]
        if column := named_by(self.dataset, self.may):
            match = sql.SQL("t.{}::text = k.k0").format(sql.Identifier(column))
            return [(sql.SQL("SELECT unnest($1) AS k0"), match, list(self.tables.step.subjects))]
        return None


def named_by(dataset: Dataset, may: Rights) -> str | None:
    """A column that says whose alone a row is and that the role may read."""
    return next(
        (x.column for x in dataset.links if x.column in may.read and x.ownership is Ownership.SOLE), None
    )


def batches(keys: Sequence[Key]) -> Iterator[list[list[str]]]:
    """The keys column by column, so many at a time."""
    for start in range(0, len(keys), BATCH):
        yield [list(v) for v in zip(*keys[start : start + BATCH], strict=True)]


def keyed(dataset: Dataset) -> sql.Composed:
    """``k0, k1 …`` of a statement's one parameter, an array for each column of the key."""
    return sql.SQL("SELECT * FROM unnest({}) AS u({})").format(
        sql.SQL(", ").join(
            sql.SQL("($1)[{i}:{i}][:]").format(i=sql.Literal(i + 1)) for i, _ in enumerate(dataset.key)
        ),
        sql.SQL(", ").join(sql.Identifier(f"k{i}") for i, _ in enumerate(dataset.key)),
    )


def matched(tables: Tables, dataset: Dataset) -> sql.Composed:
    """``t`` is the row of key ``k``."""
    types = tables.types.get(dataset.address, {})
    return sql.SQL(" AND ").join(
        sql.SQL("t.{} = k.{}::{}").format(
            sql.Identifier(c), sql.Identifier(f"k{i}"), sql.Identifier(types.get(c, "text"))
        )
        for i, c in enumerate(dataset.key)
    )


_PARTITIONED_BY = """
SELECT DISTINCT a.attname
  FROM pg_catalog.pg_partition_tree(%s::text::regclass) AS p
  JOIN pg_catalog.pg_partitioned_table AS t ON t.partrelid = p.relid
 CROSS JOIN LATERAL unnest(t.partattrs::int2[]) AS k(no)
  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.partrelid AND a.attnum = k.no
"""


def sample_row(connection: Connection, dataset: Dataset) -> dict[str, str]:
    """Of some row of the table, what it is partitioned by. Nothing more: a refusal may quote a row in the log."""
    columns = [c for (c,) in connection.execute(_PARTITIONED_BY, [text(dataset.address)])]
    if not columns:
        return {}
    row = connection.execute(
        sql.SQL("SELECT {} FROM {} AS t LIMIT 1").format(
            sql.SQL(", ").join(sql.SQL("t.{}::text").format(sql.Identifier(c)) for c in columns),
            quoted(dataset.address),
        )
    ).fetchone()
    return {c: v for c, v in zip(columns, row or (), strict=False) if v is not None}


__all__ = ["Attempts", "Writer", "batches", "keyed", "matched", "named_by", "sample_row"]
