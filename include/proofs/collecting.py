"""Reading the person's own identifiers, as the prover, before anything is disposed."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.estate import Dataset
from include.model.flow import Step
from include.proofs.relational import each_store
from include.proofs.server import Connection
from include.proofs.tables import Tables, equal, quoted
from include.proofs.values import LEAST, LONGEST_VALUE, Values, strong, weak


def collect_values(catalogue: Catalogue, connections: Connections, step: Step) -> Values:
    """The strong identifiers in mapped columns of rows that are the cohort's alone, and the account ids; and of the
    other texts there those that nobody else has in that column.

    For the caller to seal. Raises NotReachable if a store does not answer, Refused or CatalogueError if a table
    cannot be read: what is not known cannot be looked for, and that must not pass for nothing found.
    """
    found = {s for s in step.subjects if len(s) >= LEAST}
    distinctive: set[str] = set()
    for reader, tables in each_store(catalogue, connections, step):
        with reader.connect() as connection, reader.reaching():
            for dataset in tables.datasets:
                found.update(v for v in _values(connection, tables, dataset) if strong(v))
                distinctive.update(v for v in _distinctive(connection, tables, dataset) if weak(v))
    return Values(frozenset(v.strip() for v in found), frozenset(distinctive - found))


def _values(connection: Connection, tables: Tables, dataset: Dataset) -> Iterator[str]:
    """Every short value of every column that is mapped to a category, of the cohort's own rows."""
    there = tables.types.get(dataset.address, {})
    columns = [c for c, m in dataset.columns.items() if m.all_categories and c in there]
    if not columns:
        return
    statement = sql.SQL(
        "SELECT DISTINCT v.text FROM {} AS k JOIN {} AS t ON {} CROSS JOIN LATERAL (VALUES {}) AS v(text)"
        " WHERE k.ownership = 'sole' AND length(v.text) BETWEEN %s AND %s"
    ).format(
        tables.items(dataset.id),
        quoted(dataset.address),
        equal("t", "k", dataset.key),
        sql.SQL(", ").join(sql.SQL("(t.{}::text)").format(sql.Identifier(c)) for c in columns),
    )
    for (value,) in connection.execute(statement, [LEAST, LONGEST_VALUE]):
        yield str(value)


def _distinctive(connection: Connection, tables: Tables, dataset: Dataset) -> Iterator[str]:
    """Texts of the cohort's own rows, in columns of one category, that no row of anybody else has there."""
    there = tables.types.get(dataset.address, {})
    for column, mapped in dataset.columns.items():
        if mapped.category is None or there.get(column) not in ("text", "varchar", "bpchar"):
            continue
        statement = sql.SQL(
            "SELECT DISTINCT trim(t.{c}) FROM {items} AS k JOIN {table} AS t ON {mine} WHERE k.ownership = 'sole'"
            " AND length(t.{c}) BETWEEN 2 AND {longest} AND NOT EXISTS (SELECT FROM {table} AS o WHERE o.{c} = t.{c}"
            " AND NOT EXISTS (SELECT FROM {items} AS i WHERE {theirs}))"
        ).format(
            c=sql.Identifier(column),
            items=tables.items(dataset.id),
            table=quoted(dataset.address),
            mine=equal("t", "k", dataset.key),
            theirs=equal("i", "o", dataset.key),
            longest=sql.Literal(LONGEST_VALUE),
        )
        for (value,) in connection.execute(statement):
            yield str(value)
