"""What the files of a database are called: the table that a heap, an index or chunks belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from include.model.doors import Connections
from include.proofs.server import Reader

# Of a partition, its root: that is what the catalogue declares. What has no file of its own has no path.
_FILES = """
SELECT pg_catalog.pg_relation_filepath(c.oid),
       rn.nspname || '.' || r.relname,
       CASE WHEN c.oid = t.oid THEN CASE WHEN t.oid = r.oid THEN '' ELSE 'partition ' || t.relname END
            WHEN c.relkind = 'i' AND h.relkind = 't' THEN 'index of its chunks'
            WHEN c.relkind = 'i' THEN 'index ' || c.relname
            ELSE 'chunks' END
  FROM pg_catalog.pg_class AS c
  LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid
  JOIN pg_catalog.pg_class AS h ON h.oid = coalesce(i.indrelid, c.oid)
  JOIN pg_catalog.pg_class AS t
    ON t.oid = CASE WHEN h.relkind = 't' THEN (SELECT o.oid FROM pg_catalog.pg_class AS o WHERE o.reltoastrelid = h.oid)
                    ELSE h.oid END
  JOIN pg_catalog.pg_class AS r
    ON r.oid = CASE WHEN t.relispartition THEN pg_catalog.pg_partition_root(t.oid)::oid ELSE t.oid END
  JOIN pg_catalog.pg_namespace AS rn ON rn.oid = r.relnamespace
 WHERE pg_catalog.pg_relation_filepath(c.oid) IS NOT NULL
"""


@dataclass(frozen=True)
class Cluster:
    """What a server says of its files: its identifier, which its control file and its WAL bear, too; and what each is called."""

    system: int
    files: Mapping[str, str]


def of(connections: Connections, store: str, connection: str) -> Cluster:
    """File, as in a data directory (``base/5/16385``), to what it is: ``sales.customer``, ``sales.customer (index …)``.

    Asked as the prover. Right for the live files, and for a copy of them as long as no table was rewritten since.
    Raises NotReachable.
    """
    with Reader.of(connections, store, connection).connect() as conn:
        rows = conn.execute(_FILES).fetchall()
        (system,) = conn.execute("SELECT system_identifier FROM pg_catalog.pg_control_system()").fetchall()[0]
    called = {path: f"{table} ({part})" if part else table for path, table, part in rows}
    return Cluster(system % (1 << 64), called)


def table(name: str) -> str:
    """The table of what :func:`of` calls a file."""
    return name.partition(" (")[0]
