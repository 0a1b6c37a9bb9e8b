"""The map held against a live PostgreSQL database: what is mapped must be there, and what is there must be mapped.

Read by the prover, over a connection that may not write. Values are looked at only to ask whether columns that are
declared to hold nothing personal look as if they did; what is said of them is a count and a kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from include.catalogue.problems import Problem, Report
from include.model.catalogue import Catalogue, Dataset
from include.model.errors import NotReachable
from include.model.screening import kind_of_identifier
from include.model.words import DatasetKind

SAMPLE_ROWS = 200  # of each table
LOOKS_PERSONAL = 0.2  # share of the values seen that have the form of an identifier
STATEMENT_SECONDS = 30

_RELATIONS: LiteralString = """
SELECT n.nspname || '.' || c.relname, n.nspname, c.relname, c.relkind::text,
       (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute AS a
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
       (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute AS a
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
           AND a.atttypid IN ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype, 'json'::regtype,
                              'jsonb'::regtype, 'text[]'::regtype)),
       (SELECT array_agg(a.attname::text ORDER BY k.at) FROM pg_index AS i
          CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, at)
          JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
         WHERE i.indrelid = c.oid AND i.indisprimary)
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'm', 'f') AND NOT c.relispartition
   AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'quietus')
   AND coalesce(obj_description(n.oid, 'pg_namespace'), '') NOT LIKE 'Quietus step area%'
 ORDER BY 1
"""

_REFERENCES: LiteralString = """
SELECT cn.nspname || '.' || c.relname, ca.attname::text, pn.nspname || '.' || p.relname, pa.attname::text
  FROM pg_constraint AS k
  JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_namespace AS cn ON cn.oid = c.relnamespace
  JOIN pg_class AS p ON p.oid = k.confrelid JOIN pg_namespace AS pn ON pn.oid = p.relnamespace
  JOIN pg_attribute AS ca ON ca.attrelid = c.oid AND ca.attnum = k.conkey[1]
  JOIN pg_attribute AS pa ON pa.attrelid = p.oid AND pa.attnum = k.confkey[1]
 WHERE k.contype = 'f' AND cardinality(k.conkey) = 1 AND NOT c.relispartition AND NOT p.relispartition
 ORDER BY 1, 2
"""


@dataclass(frozen=True)
class Relation:
    """A table, partitioned table, materialised view or foreign table, as the database has it."""

    address: str
    schema: str
    name: str
    kind: str  # r, p, m, f
    columns: tuple[str, ...]
    texts: tuple[str, ...]  # columns that can hold words
    key: tuple[str, ...]


@dataclass(frozen=True)
class Reference:
    """A foreign key over one column."""

    child: str
    column: str
    parent: str
    parent_column: str


def differences(root: Path, catalogue: Catalogue, store: str, conninfo: str) -> tuple[Problem, ...]:
    """Where the map and the database of ``store`` differ; ``conninfo`` is the prover's.

    Raises NotReachable if the database does not answer or does not let the prover read its schema.
    """
    about = f"store {store}"
    try:
        with psycopg.connect(conninfo, autocommit=True) as conn:
            conn.execute(sql.SQL("SET statement_timeout = {}").format(sql.Literal(f"{STATEMENT_SECONDS}s")))
            conn.execute("SET default_transaction_read_only = on")
            live = {
                r[0]: Relation(*r[:4], *(tuple(x or ()) for x in r[4:])) for r in conn.execute(_RELATIONS)
            }
            references = [Reference(*row) for row in conn.execute(_REFERENCES)]
            compared = _Compared(Report(root, catalogue), store, live, references)
            compared.mapped()
            compared.unmapped()
            compared.links()
            compared.values(conn)
    except psycopg.Error as error:
        raise NotReachable(
            f"the database did not answer ({type(error).__name__})", about=about,
            next_step="check that it is up and that the prover may read its schema",
        ) from None  # fmt: skip
    return tuple(sorted(set(compared.report.problems)))


@dataclass
class _Compared:
    report: Report
    store: str
    live: dict[str, Relation]
    references: list[Reference]

    def _tables(self) -> Iterator[tuple[int, Dataset]]:
        for index, dataset in enumerate(self.report.catalogue.datasets):
            if dataset.store == self.store and dataset.kind is DatasetKind.TABLE:
                yield index, dataset

    def mapped(self) -> None:
        """What is mapped must be there, with the key that is declared."""
        add = self.report.add
        for index, dataset in self._tables():
            there = self.live.get(dataset.address)
            if there is None:
                add("datasets", index, ("address",), f"there is no table {dataset.address} in the database",
                    "was it renamed or dropped? correct the address, or drop the dataset")  # fmt: skip
                continue
            if there.kind not in "rp":
                add("datasets", index, ("address",), f"{dataset.address} is a view or a foreign table",
                    "map the table itself; a materialised view belongs in derived.yaml")  # fmt: skip
            for name in dataset.columns:
                if name not in there.columns:
                    add("datasets", index, ("columns", name), f"{dataset.address} has no such column",
                        "was it renamed or dropped? correct the map")  # fmt: skip
            if dataset.key != there.key:
                is_ = ", ".join(there.key) or "missing"
                add(
                    "datasets",
                    index,
                    ("key",),
                    f"the primary key is {is_}",
                    "declare the key that the table has",
                )
        for index, place in enumerate(self.report.catalogue.not_personal):
            if place.store == self.store and place.address not in self.live:
                add("not_personal", index, ("address",), f"there is no table {place.address} in the database",
                    "drop the entry")  # fmt: skip
        for index, copy in enumerate(self.report.catalogue.derived):
            there = self.live.get(copy.address)
            if copy.store == self.store and (there is None or there.kind != "m"):
                add("derived", index, ("address",), f"there is no materialised view {copy.address}",
                    "correct the address, or drop the entry")  # fmt: skip

    def unmapped(self) -> None:
        """What is there must be mapped, or declared to lead to nobody."""
        catalogue = self.report.catalogue
        known = {d.address for _, d in self._tables()}
        known |= {p.address for p in catalogue.not_personal if p.store == self.store}
        known |= {d.address for d in catalogue.derived if d.store == self.store}
        for address, there in self.live.items():
            if address not in known:
                kind = {"m": "a materialised view", "f": "a foreign table"}.get(there.kind, "a table")
                self._nowhere(there, f"{address} is {kind} that nobody mapped",
                              "map it as a dataset or in derived.yaml, or say in not_personal.yaml why not")  # fmt: skip
        for index, dataset in self._tables():
            columns = self.live[dataset.address].columns if dataset.address in self.live else ()
            for name in columns:
                if name not in dataset.columns:
                    self.report.add("datasets", index, ("columns",), f"{dataset.address}.{name} is not mapped",
                                    "map it, with its category if it holds personal data")  # fmt: skip

    def _nowhere(self, there: Relation, what: str, next_step: str) -> None:
        """Report it at the file where its neighbours are mapped."""
        near = [i for i, d in self._tables() if d.address.startswith(there.schema + ".")]
        if near:
            self.report.add("datasets", near[0], (), what, next_step)
        else:
            self.report.add_file("not_personal.yaml", what, next_step)

    def links(self) -> None:
        """A foreign key to a table that says whose a row is must be a declared link."""
        names = {link.column for _, d in self._tables() for link in d.links if link.column}
        owners = {(d.address, link.column) for _, d in self._tables() for link in d.links if link.column}
        mapped = {d.address: (i, d) for i, d in self._tables()}
        for index, place in enumerate(self.report.catalogue.not_personal):
            there = self.live.get(place.address) if place.store == self.store else None
            for name in there.columns if there else ():
                if name in names:
                    self.report.add("not_personal", index, ("address",), f"it has a column '{name}', as people have",
                                    "map it as a dataset, or drop the column")  # fmt: skip
        for reference in self.references:
            if (reference.parent, reference.parent_column) not in owners or reference.child not in mapped:
                continue
            index, dataset = mapped[reference.child]
            if reference.column not in {c for link in dataset.links for c in (link.column, *link.on)}:
                self.report.add(
                    "datasets", index, ("links",),
                    f"{reference.column} points at {reference.parent}, and no link says whose such a row is",
                    "declare the link and its ownership",
                )  # fmt: skip

    def values(self, conn: psycopg.Connection[Any]) -> None:
        """Columns that are declared to hold nothing personal must not look as if they did."""
        for index, dataset in self._tables():
            there = self.live.get(dataset.address)
            quiet = {n for n, c in dataset.columns.items() if not c.all_categories}
            for name, what in _looking_personal(conn, there, quiet) if there else ():
                self.report.add("datasets", index, ("columns", name), what, "give it its category")
        for index, place in enumerate(self.report.catalogue.not_personal):
            there = self.live.get(place.address) if place.store == self.store else None
            for name, what in _looking_personal(conn, there, set(there.texts)) if there else ():
                self.report.add("not_personal", index, ("address",), f"{name}: {what}", "map it as a dataset")


def _looking_personal(
    conn: psycopg.Connection[Any], there: Relation, columns: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """Columns and what their values look like, from the first rows. Never a value."""
    names = [name for name in there.texts if name in set(columns)]
    if not names:
        return
    query = sql.SQL("SELECT {} FROM {} LIMIT {}").format(
        sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in names),
        sql.Identifier(there.schema, there.name),
        sql.Literal(SAMPLE_ROWS),
    )
    try:
        rows = conn.execute(query).fetchall()
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.QueryCanceled):
        yield names[0], "nobody could look at its values: the prover may not read it, or not in time"
        return
    for at, name in enumerate(names):
        seen = [row[at] for row in rows if row[at]]
        kinds = Counter(kind for value in seen if (kind := kind_of_identifier(value)))
        for kind, count in kinds.items():
            if count >= LOOKS_PERSONAL * len(seen):
                yield name, f"{count} of {len(seen)} values look like {kind}"
