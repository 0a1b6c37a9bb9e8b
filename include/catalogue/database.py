"""The map held against a live PostgreSQL database: what is mapped must be there, and what is there must be mapped.

Read by the prover, over a connection that may not write. Values are looked at only to ask whether columns that are
declared to hold nothing personal look as if they did; what is said of them is a count and a kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from include.catalogue.looks import looking_personal
from include.catalogue.problems import Compared, Report
from include.model.catalogue import Catalogue
from include.model.errors import NotReachable
from include.model.estate import Dataset, NotPersonal
from include.model.words import DatasetKind

SAMPLE_PAGES = (
    50  # of each table, chosen by chance: the newest rows are as likely as the oldest, another night others
)
STATEMENT_SECONDS = 30

# Types that can hold words or long numbers, a domain as what it stands for. Numbers that the database counts up or that
# point at rows are no values. Bytes are not read: an image has no form that we know.
_RELATIONS: LiteralString = """
SELECT n.nspname || '.' || c.relname, n.nspname, c.relname, c.relkind::text,
       (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute AS a
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
       (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute AS a
          CROSS JOIN LATERAL (
            WITH RECURSIVE meant AS (
              SELECT t.typname, t.typcategory, t.typbasetype FROM pg_type AS t WHERE t.oid = a.atttypid
              UNION ALL
              SELECT t.typname, t.typcategory, t.typbasetype FROM meant JOIN pg_type AS t ON t.oid = meant.typbasetype
            ) SELECT typname, typcategory FROM meant WHERE typbasetype = 0) AS t
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
           AND CASE t.typcategory WHEN 'S' THEN true WHEN 'A' THEN true WHEN 'C' THEN true
               WHEN 'U' THEN t.typname NOT IN ('uuid', 'bytea')
               WHEN 'N' THEN t.typname IN ('int8', 'numeric', 'float8') AND a.attidentity = '' AND NOT EXISTS (
                 SELECT FROM pg_constraint AS k
                  WHERE k.conrelid = c.oid AND k.contype IN ('p', 'f') AND a.attnum = ANY (k.conkey))
               ELSE false END),
       (SELECT array_agg(a.attname::text ORDER BY k.at) FROM pg_index AS i
          CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, at)
          JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
         WHERE i.indrelid = c.oid AND i.indisprimary),
       (greatest(pg_relation_size(c.oid), (SELECT sum(pg_relation_size(relid)) FROM pg_partition_tree(c.oid)))
         / current_setting('block_size')::int)::bigint
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'm', 'f') AND NOT c.relispartition
   AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'quietus')
   AND coalesce(obj_description(n.oid, 'pg_namespace'), '') NOT LIKE 'Quietus step area%'
 ORDER BY 1
"""

_REFERENCES: LiteralString = """
SELECT cn.nspname || '.' || c.relname, pn.nspname || '.' || p.relname,
       (SELECT array_agg(a.attname::text ORDER BY k.at)
          FROM unnest(f.conkey) WITH ORDINALITY AS k (attnum, at)
          JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attnum),
       (SELECT array_agg(a.attname::text ORDER BY k.at)
          FROM unnest(f.confkey) WITH ORDINALITY AS k (attnum, at)
          JOIN pg_attribute AS a ON a.attrelid = p.oid AND a.attnum = k.attnum)
  FROM pg_constraint AS f
  JOIN pg_class AS c ON c.oid = f.conrelid JOIN pg_namespace AS cn ON cn.oid = c.relnamespace
  JOIN pg_class AS p ON p.oid = f.confrelid JOIN pg_namespace AS pn ON pn.oid = p.relnamespace
 WHERE f.contype = 'f' AND NOT c.relispartition AND NOT p.relispartition
 ORDER BY 1, 3
"""


@dataclass(frozen=True)
class Relation:
    """A table, partitioned table, materialised view or foreign table, as the database has it."""

    address: str
    schema: str
    name: str
    kind: str  # r, p, m, f
    columns: tuple[str, ...]
    telling: tuple[str, ...]  # columns whose values can be told by their form
    key: tuple[str, ...]
    pages: int  # with those of its partitions


@dataclass(frozen=True)
class Reference:
    """A foreign key."""

    child: str
    parent: str
    columns: tuple[str, ...]
    parent_columns: tuple[str, ...]  # each beside its own


def differences(root: Path, catalogue: Catalogue, store: str, conninfo: str) -> Compared:
    """Where the map and the database of ``store`` differ; ``conninfo`` is the prover's.

    Raises NotReachable if the database does not answer or does not let the prover read its schema.
    """
    about = f"store {store}"
    try:
        with psycopg.connect(conninfo, autocommit=True) as conn:
            conn.execute(sql.SQL("SET statement_timeout = {}").format(sql.Literal(f"{STATEMENT_SECONDS}s")))
            conn.execute("SET default_transaction_read_only = on")
            live = {
                address: Relation(
                    address,
                    schema,
                    name,
                    kind,
                    tuple(columns or ()),
                    tuple(telling or ()),
                    tuple(key or ()),
                    pages,
                )
                for address, schema, name, kind, columns, telling, key, pages in conn.execute(_RELATIONS)
            }
            references = [
                Reference(child, parent, tuple(mine), tuple(theirs))
                for child, parent, mine, theirs in conn.execute(_REFERENCES)
            ]
            compared = _Comparing(Report(root, catalogue), store, live, references)
            compared.mapped()
            compared.unmapped()
            compared.links()
            compared.values(conn)
    except psycopg.Error as error:
        raise NotReachable(
            f"the database did not answer ({type(error).__name__})", about=about,
            next_step="check that it is up and that the prover may read its schema",
        ) from None  # fmt: skip
    return Compared.of(compared.report, compared.unverified)


@dataclass
class _Comparing:
    report: Report
    store: str
    live: dict[str, Relation]
    references: list[Reference]
    unverified: list[str] = field(default_factory=list)

    def _tables(self) -> Iterator[tuple[int, Dataset]]:
        for index, dataset in enumerate(self.report.catalogue.datasets):
            if dataset.store == self.store and dataset.kind is DatasetKind.TABLE:
                yield index, dataset

    def _passed_over(self) -> Iterator[tuple[int, NotPersonal]]:
        for index, place in enumerate(self.report.catalogue.not_personal):
            if place.store == self.store:
                yield index, place

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
        for index, place in self._passed_over():
            there = self.live.get(place.address)
            if there is None:
                add("not_personal", index, ("address",), f"there is no table {place.address} in the database",
                    "drop the entry")  # fmt: skip
                continue
            for n, name in enumerate(place.columns):
                if name not in there.columns:
                    add("not_personal", index, ("columns", n), f"{place.address} has no column '{name}'",
                        "was it renamed or dropped? correct the entry")  # fmt: skip
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
        for index, place in self._passed_over():
            for name in self.live[place.address].columns if place.address in self.live else ():
                if name not in place.columns:
                    self.report.add("not_personal", index, ("columns",), f"nobody said what '{name}' is",
                                    "name it here if it leads to nobody, else map the table as a dataset")  # fmt: skip

    def _nowhere(self, there: Relation, what: str, next_step: str) -> None:
        """Report it at the file where its neighbours are mapped."""
        near = [i for i, d in self._tables() if d.address.startswith(there.schema + ".")]
        if near:
            self.report.add("datasets", near[0], (), what, next_step)
        else:
            self.report.add_file("not_personal.yaml", what, next_step)

    def links(self) -> None:
        """A foreign key to a table that says whose a row is must be a declared link; and nothing that a survey passes
        over may point at people's data at all."""
        names = {link.column for _, d in self._tables() for link in d.links if link.column}
        owners = {(d.address, link.column) for _, d in self._tables() for link in d.links if link.column}
        mapped = {d.address: (i, d) for i, d in self._tables()}
        passed = {place.address: index for index, place in self._passed_over()}
        for address, index in passed.items():
            for name in self.live[address].columns if address in self.live else ():
                if name in names:
                    self.report.add("not_personal", index, ("address",), f"it has a column '{name}', as people have",
                                    "map it as a dataset, or drop the column")  # fmt: skip
        for reference in self.references:
            if reference.child in passed and reference.parent in mapped:
                self.report.add(
                    "not_personal", passed[reference.child], ("address",),
                    f"{', '.join(reference.columns)} points at {reference.parent}, which leads to people",
                    "map it as a dataset, with its link",
                )  # fmt: skip
            if reference.child not in mapped:
                continue
            index, dataset = mapped[reference.child]
            linked = {c for link in dataset.links for c in (link.column, *link.on)}
            for mine, theirs in zip(reference.columns, reference.parent_columns, strict=True):
                if (reference.parent, theirs) in owners and mine not in linked:
                    self.report.add(
                        "datasets", index, ("links",),
                        f"{mine} points at {reference.parent}, and no link says whose such a row is",
                        "declare the link and its ownership",
                    )  # fmt: skip

    def values(self, conn: psycopg.Connection[Any]) -> None:
        """Columns that are declared to hold nothing personal must not look as if they did."""
        for index, dataset in self._tables():
            quiet = {n for n, c in dataset.columns.items() if not c.all_categories}
            for name, what in self._looking_personal(conn, dataset.address, quiet):
                self.report.add("datasets", index, ("columns", name), what, "give it its category")
        for index, place in self._passed_over():
            for name, what in self._looking_personal(conn, place.address, None):
                self.report.add("not_personal", index, ("address",), f"{name}: {what}", "map it as a dataset")
        large = sorted(r.address for r in self.live.values() if r.pages > SAMPLE_PAGES)
        if large:
            self.unverified.append(
                f"of the values in {len(large)} tables only those of {SAMPLE_PAGES} pages each were looked at, "
                f"chosen by chance: {', '.join(large)}"
            )

    def _looking_personal(
        self, conn: psycopg.Connection[Any], address: str, quiet: set[str] | None
    ) -> Iterator[tuple[str, str]]:
        """Columns (of ``quiet``, or any) and what their values look like. Never a value."""
        there = self.live.get(address)
        if there is None or there.kind == "f":  # both are reported elsewhere
            return
        names = [name for name in there.telling if quiet is None or name in quiet]
        if not names:
            return
        share = min(100.0, 100.0 * SAMPLE_PAGES / max(there.pages, 1))
        query = sql.SQL("SELECT {} FROM {} TABLESAMPLE SYSTEM ({})").format(
            sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in names),
            sql.Identifier(there.schema, there.name),
            sql.Literal(share),
        )
        try:
            rows = conn.execute(query).fetchall()
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.QueryCanceled):
            yield names[0], "nobody could look at its values: the prover may not read it, or not in time"
            return
        for at, name in enumerate(names):
            for what in looking_personal(row[at] for row in rows):
                yield name, what
