"""Reading the person's own identifiers, as the prover, before anything is disposed."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from include.model.catalogue import Catalogue, Dataset
from include.model.doors import Connections
from include.model.flow import Step
from include.proofs.relational import each_store
from include.proofs.server import Connection
from include.proofs.tables import Tables, equal, quoted
from include.proofs.values import LEAST, LONGEST_VALUE, Values, strong


def collect_values(catalogue: Catalogue, connections: Connections, step: Step) -> Values:
    """The strong identifiers in mapped columns of rows that are the cohort's alone, and the account ids.

    For the caller to seal. Raises NotReachable if a store does not answer, Refused or CatalogueError if a table
    cannot be read: what is not known cannot be looked for, and that must not pass for nothing found.
    """
    found = {s for s in step.subjects if len(s) >= LEAST}
    for reader, tables in each_store(catalogue, connections, step):
        with reader.connect() as connection, reader.reaching():
            for dataset in tables.datasets:
                found.update(v for v in _values(connection, tables, dataset) if strong(v))
    return Values(frozenset(v.strip() for v in found))


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
