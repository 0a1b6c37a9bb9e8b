"""What the planner keeps of a table's columns until it is analysed again: their most common values, as they were.

Also of an expression that is indexed, and of columns together (``CREATE STATISTICS``). A server shows the latter to the
table's owner only, so our install makes a function that shows them to the prover.
"""

from __future__ import annotations

from collections.abc import Iterator

from include.proofs.server import Connection

# Of an index: its table. Of a partition: the table that it is of.
_PLAIN = """
SELECT coalesce(rn.nspname || '.' || rc.relname, n.nspname || '.' || t.relname), kept.said
  FROM (SELECT coalesce(i.indrelid, c.oid) AS relation,
               concat_ws(E'\\n', s.most_common_vals::text, s.histogram_bounds::text, s.most_common_elems::text) AS said
          FROM pg_catalog.pg_stats AS s
          JOIN pg_catalog.pg_namespace AS sn ON sn.nspname = s.schemaname
          JOIN pg_catalog.pg_class AS c ON c.relnamespace = sn.oid AND c.relname = s.tablename
          LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid) AS kept
  JOIN pg_catalog.pg_class AS t ON t.oid = kept.relation
  JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
  LEFT JOIN pg_catalog.pg_class AS rc ON t.relispartition AND rc.oid = pg_catalog.pg_partition_root(t.oid)
  LEFT JOIN pg_catalog.pg_namespace AS rn ON rn.oid = rc.relnamespace
"""

_SHOWN = "SELECT pg_catalog.to_regprocedure('quietus.extended_statistics()') IS NOT NULL"
_EXTENDED = "SELECT address, said FROM quietus.extended_statistics()"
_HIDDEN = """
SELECT DISTINCT n.nspname || '.' || t.relname, NULL::text
  FROM pg_catalog.pg_statistic_ext AS e JOIN pg_catalog.pg_class AS t ON t.oid = e.stxrelid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
"""


def statistics(connection: Connection) -> Iterator[tuple[str, str | None]]:
    """The table (``schema.table``, the root of its partitions), and what is kept of some column of it, as text; None: there
    is something that this role is not shown."""
    yield from connection.execute(_PLAIN)
    shown = connection.execute(_SHOWN).fetchone()
    yield from connection.execute(_EXTENDED if shown and shown[0] else _HIDDEN)
