"""The tables of everybody: what a look at a whole database looks at."""

from __future__ import annotations

from collections.abc import Collection

from include.proofs.server import Connection

# Not our own schema, nor step areas, nor views. A partition is read with its root, a detached one by itself.
_TABLES = """
SELECT n.nspname || '.' || c.relname, c.relkind::text,
       coalesce(json_object_agg(a.attname, t.typname ORDER BY a.attnum) FILTER (WHERE a.attnum > 0), '{}'::json)
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
 WHERE c.relkind::text = ANY(%s) AND NOT c.relispartition
   AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'quietus')
   AND NOT (n.nspname ~ '^q_' AND coalesce(obj_description(n.oid, 'pg_namespace'), '') LIKE 'Quietus step area%%')
 GROUP BY 1, 2 ORDER BY 1
"""
TABLES = ("r", "p", "f")
COPIES = ("m",)


def everybodys(connection: Connection, *, copies: bool = False) -> list[tuple[str, str, dict[str, str]]]:
    """(address, kind as in ``relkind``, column -> type) of every table; ``copies``: of materialised views, too."""
    kinds = [*TABLES, *(COPIES if copies else ())]
    return [
        (str(address), str(kind), dict(columns))
        for address, kind, columns in connection.execute(_TABLES, [kinds]).fetchall()
    ]


def still_there(connection: Connection, addresses: Collection[str]) -> set[str]:
    """Those of the tables that there still are: what nobody declared may be dropped while it is looked at."""
    return {
        str(address)
        for (address,) in connection.execute(
            "SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_class AS c"
            " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
            " WHERE n.nspname || '.' || c.relname = ANY(%s)",
            [list(addresses)],
        ).fetchall()
    }


__all__ = ["everybodys", "still_there"]
