"""The live schema, read from the system catalogues: columns, unique keys, indexes, foreign keys, partitions.

Everything is addressed as ``schema.table``; a partition's foreign keys and counters belong to its root.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import takewhile

from include.stores.postgres.server import Connection

EXPRESSION = 0  # in place of the number of an index's column
CASCADING = {"c": "ON DELETE CASCADE", "n": "ON DELETE SET NULL", "d": "ON DELETE SET DEFAULT"}


@dataclass(frozen=True)
class LiveColumn:
    name: str
    base: str  # type name with domains resolved and without length: casting to it never cuts a value
    kind: str  # pg_type.typname of that base type
    not_null: bool


@dataclass(frozen=True)
class LiveIndex:
    columns: tuple[str, ...]  # plain leading columns, up to the first expression
    unique: bool
    whole: bool  # covers every row (no predicate, or only IS NOT NULL of its own first column)
    all_plain: bool


@dataclass(frozen=True)
class ForeignKey:
    name: str
    child: str
    child_columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    on_delete: str  # a no action, r restrict, c cascade, n set null, d set default
    deferrable: bool


@dataclass(frozen=True)
class LiveTrigger:
    table: str
    name: str
    function: str
    on_delete: bool
    on_update: bool
    instead: bool


@dataclass
class LiveTable:
    oid: int
    address: str
    kind: str  # r, p, v, m, f
    root: str
    row_security: bool
    owner: str
    at_most: int | None = None  # rows, by what the server knew of it last; None: nobody knows
    columns: dict[str, LiveColumn] = field(default_factory=dict)
    indexes: list[LiveIndex] = field(default_factory=list)

    def led_by(self, *columns: str) -> bool:
        """Whether some whole index begins with one of these columns."""
        return any(i.whole and i.columns and i.columns[0] in columns for i in self.indexes)

    def within(self, rows: int) -> bool:
        """Whether it has rows, and surely no more than so many, as far as the server was told."""
        return self.at_most is not None and 0 < self.at_most <= rows

    def unique_within(self, columns: Iterable[str]) -> bool:
        """Whether a whole unique index over not-null columns lies within these columns."""
        mine = set(columns)
        return any(
            i.unique
            and i.whole
            and i.all_plain
            and i.columns
            and set(i.columns) <= mine
            and all(self.columns[c].not_null for c in i.columns)
            for i in self.indexes
        )


@dataclass(frozen=True)
class Live:
    tables: dict[str, LiveTable]
    foreign_keys: tuple[ForeignKey, ...]
    triggers: tuple[LiveTrigger, ...]

    @classmethod
    def read(cls, connection: Connection) -> Live:
        """Read everything but system schemas and our own; six statements whatever the size."""
        tables: dict[str, LiveTable] = {}
        for oid, address, kind, root, secured, owner, at_most in connection.execute(_TABLES):
            tables[address] = LiveTable(oid, address, kind, root, secured, owner, at_most)
        for parted in (t for t in tables.values() if t.kind == "p"):
            leaves = [t.at_most for t in tables.values() if t.root == parted.root and t.kind != "p"]
            if parted.root == parted.address and None not in leaves:
                parted.at_most = sum(n for n in leaves if n is not None)
        numbered: dict[str, dict[int, str]] = {address: {} for address in tables}
        for address, column, base, kind, not_null, number in connection.execute(_COLUMNS):
            if address in tables:
                tables[address].columns[column] = LiveColumn(column, base, kind, not_null)
                numbered[address][number] = column
        for address, numbers, unique, predicate, width in connection.execute(_INDEXES):
            if address in tables:
                plain = tuple(
                    numbered[address][n] for n in takewhile(lambda n: n != EXPRESSION, numbers[:width])
                )
                whole = predicate is None or (
                    bool(plain) and predicate in (f"({plain[0]} IS NOT NULL)", f'("{plain[0]}" IS NOT NULL)')
                )
                tables[address].indexes.append(
                    LiveIndex(plain, unique and predicate is None, whole, len(plain) == width)
                )
        keys = []
        for fk, child, child_columns, parent, parent_columns, action, deferrable in connection.execute(_KEYS):
            if child in tables and parent in tables:
                keys.append(
                    ForeignKey(
                        fk,
                        tables[child].root,
                        tuple(numbered[child][n] for n in child_columns),
                        tables[parent].root,
                        tuple(numbered[parent][n] for n in parent_columns),
                        action,
                        deferrable,
                    )
                )
        triggers = tuple(LiveTrigger(*row) for row in connection.execute(_TRIGGERS) if row[0] in tables)
        # One key may be declared again on each partition: the same edge once is enough.
        return cls(tables, tuple(dict.fromkeys(keys)), triggers)

    def partitions(self, root: str) -> tuple[str, ...]:
        """Every partition of a root, at any depth, in order of address."""
        return tuple(sorted(t.address for t in self.tables.values() if t.root == root and t.address != root))


# Looked for once a statement, and not at each row of it: a step area has a table for each dataset.
_OURS = """n.oid = ANY (ARRAY(SELECT s.oid FROM pg_namespace s
  WHERE s.nspname !~ '^pg_' AND s.nspname NOT IN ('information_schema', 'quietus')
    AND NOT (s.nspname ~ '^q_' AND obj_description(s.oid, 'pg_namespace') LIKE 'Quietus step area%')))"""

# No page has more rows than fit with their headers alone (28 bytes each). What was written since the pages were counted the
# statistics know; a table of which the server knows nothing is not told of.
_TABLES = f"""
SELECT c.oid, n.nspname || '.' || c.relname, c.relkind::text,
       CASE WHEN c.relispartition THEN rn.nspname || '.' || rc.relname
            ELSE n.nspname || '.' || c.relname END,
       c.relrowsecurity, pg_get_userbyid(c.relowner),
       CASE WHEN c.relkind = 'r' AND (c.relpages > 0 OR c.reltuples >= 0)
            THEN greatest(c.relpages::bigint * (current_setting('block_size')::int / 28), pg_stat_get_live_tuples(c.oid)) END
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_class rc ON c.relispartition AND rc.oid = pg_partition_root(c.oid)
  LEFT JOIN pg_namespace rn ON rn.oid = rc.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {_OURS}
"""  # noqa: S608 (constants)

_COLUMNS = f"""
SELECT n.nspname || '.' || c.relname, a.attname,
       format_type(CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END, -1),
       CASE WHEN t.typtype = 'd' THEN bt.typname ELSE t.typname END, a.attnotnull, a.attnum
  FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_type bt ON bt.oid = t.typbasetype
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped AND {_OURS}
 ORDER BY c.oid, a.attnum
"""  # noqa: S608

_INDEXES = f"""
SELECT n.nspname || '.' || c.relname,
       i.indkey::int2[],
       i.indisunique AND i.indimmediate, pg_get_expr(i.indpred, i.indrelid), i.indnkeyatts
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indrelid
  JOIN pg_class x ON x.oid = i.indexrelid
  JOIN pg_am m ON m.oid = x.relam
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE i.indisvalid AND i.indisready AND m.amname IN ('btree', 'hash') AND {_OURS}
"""  # noqa: S608

_KEYS = f"""
SELECT k.conname, n.nspname || '.' || c.relname,
       k.conkey,
       fn.nspname || '.' || fc.relname,
       k.confkey,
       k.confdeltype::text, k.condeferrable
  FROM pg_constraint k
  JOIN pg_class c ON c.oid = k.conrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_class fc ON fc.oid = k.confrelid
  JOIN pg_namespace fn ON fn.oid = fc.relnamespace
 WHERE k.contype = 'f' AND k.conparentid = 0 AND {_OURS}
 ORDER BY 2, 1
"""  # noqa: S608

_TRIGGERS = f"""
SELECT n.nspname || '.' || c.relname, t.tgname, fn.nspname || '.' || f.proname,
       t.tgtype & 8 = 8, t.tgtype & 16 = 16, t.tgtype & 64 = 64
  FROM pg_trigger t
  JOIN pg_class c ON c.oid = t.tgrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_proc f ON f.oid = t.tgfoid
  JOIN pg_namespace fn ON fn.oid = f.pronamespace
 WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgenabled <> 'D' AND fn.nspname <> 'quietus' AND {_OURS}
"""  # noqa: S608
