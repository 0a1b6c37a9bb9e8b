"""Where a person's rows are, as the prover reads the catalogue: straight down the links, over live tables.

This is not the survey's SQL. The survey walks key tables that it made itself; the prover starts from the cohort
each time and joins the tables as they are now, so that it finds what was written since. That both agree before
anything is disposed is the proof that neither is blind (``baseline``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import TopologicalSorter

from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.estate import Dataset, Link
from include.model.flow import Step
from include.model.words import DatasetKind, Ownership
from include.proofs.asking import Part
from include.proofs.server import COHORT, Connection

_COLUMN_TYPES = """
SELECT n.nspname || '.' || c.relname, a.attname, coalesce(bt.typname, t.typname)
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_catalog.pg_type bt ON bt.oid = t.typbasetype AND t.typtype = 'd'
 WHERE a.attnum > 0 AND NOT a.attisdropped AND n.nspname || '.' || c.relname = ANY(%s)
"""


def quoted(address: str) -> sql.Identifier:
    """``schema.table`` as an identifier."""
    return sql.Identifier(*address.split("."))


def equal(left: str, right: str, columns: Iterable[str]) -> sql.Composed:
    """``left.c = right.c`` for every column."""
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier(left, c), sql.Identifier(right, c)) for c in columns
    )


def types_of(connection: Connection, datasets: Sequence[Dataset]) -> dict[str, dict[str, str]]:
    """Address -> column -> type name, of the tables that exist."""
    found: dict[str, dict[str, str]] = {}
    for address, column, kind in connection.execute(_COLUMN_TYPES, [[d.address for d in datasets]]):
        found.setdefault(address, {})[column] = kind
    return found


def packed_of(connection: Connection, step: Step) -> frozenset[str]:
    """The datasets whose keys the step area keeps in packs (``clearing.packs``): each has a table named by it and ``#``."""
    rows = connection.execute(
        "SELECT c.relname FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relkind = 'r' AND c.relname LIKE %s",
        [f"q_{step.id}", "%#"],
    )
    return frozenset(str(relname)[:-1] for (relname,) in rows)


@dataclass(frozen=True)
class Tables:
    """The tables of one store, the people of the step, and the step area that names their items."""

    catalogue: Catalogue
    store: str
    step: Step
    types: dict[str, dict[str, str]] = field(default_factory=dict)
    packed: frozenset[str] = frozenset()  # datasets whose keys a night keeps by the thousand

    @cached_property
    def datasets(self) -> tuple[Dataset, ...]:
        """Parents before the datasets that lead through them."""
        mine = {d.id: d for d in self.catalogue.of_store(self.store, DatasetKind.TABLE)}
        order = TopologicalSorter({d.id: {x.via for x in d.links if x.via in mine} for d in mine.values()})
        return tuple(mine[id] for id in order.static_order())

    @property
    def cohort(self) -> sql.Composed:
        """``(subject_no, subject_id)`` of the step, as the prover's session was told (:class:`Reader`): whom the
        deleter keeps in the step area is what is to be proved, not what to prove it by."""
        return sql.SQL(
            "(SELECT (u.no - 1)::int AS subject_no, u.id AS subject_id"
            " FROM unnest(current_setting({})::text[]) WITH ORDINALITY AS u(id, no))"
        ).format(sql.Literal(COHORT))

    @property
    def cohort_of_the_area(self) -> sql.Identifier:
        """Whom the step area says that it is about."""
        return sql.Identifier(f"q_{self.step.id}", "cohort")

    def items(self, dataset: str) -> sql.Identifier:
        """The dataset's item keys as they were surveyed, with what was to become of each."""
        return sql.Identifier(f"q_{self.step.id}", dataset)

    def there(self, dataset: Dataset) -> sql.Composed:
        """The items ``k`` and the rows ``t`` of the table that have their keys now. Keys by the thousand are looked up by the
        thousand; were one named twice in a pack, its row is found once, and the count falls short."""
        if dataset.id not in self.packed or len(dataset.key) != 1:
            return sql.SQL("{} AS k JOIN {} AS t ON {}").format(
                self.items(dataset.id), quoted(dataset.address), equal("t", "k", dataset.key)
            )
        return sql.SQL("{} AS k JOIN {} AS t ON {} = ANY({})").format(
            sql.Identifier(f"q_{self.step.id}", f"{dataset.id}#"), quoted(dataset.address),
            sql.Identifier("t", dataset.key[0]), sql.Identifier("k", dataset.key[0]),
        )  # fmt: skip

    def of_subject(self, dataset: Dataset, alias: str, column: str, subject: sql.Composable) -> sql.Composed:
        """Whether ``alias.column`` names the subject; such that an index on the column serves."""
        mine = sql.Identifier(alias, column)
        match self.types.get(dataset.address, {}).get(column):
            case "text" | "varchar" | None:
                return sql.SQL("{} = {}").format(mine, subject)
            case "int2" | "int4" | "int8":
                return sql.SQL("{} = CASE WHEN {} ~ '^-?[0-9]{{1,18}}$' THEN {}::bigint END").format(
                    mine, subject, subject
                )
            case "uuid":
                return sql.SQL(
                    "{} = CASE WHEN {} ~* '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$' THEN {}::uuid END"
                ).format(mine, subject, subject)
            case _:
                return sql.SQL("{}::text = {}").format(mine, subject)

    # --- reaching rows down the links ---------------------------------------------------------------

    def reached(self, *, since: bool) -> tuple[Part, ...]:
        """One part per dataset, ``reached <id>``: the rows that the cohort's links lead to now.

        ``since``: as it must be looked for after a disposal. Then rows that refer to an item that may be gone
        count too, and a way that leads through a row in which somebody else has a lawful interest is not
        followed: what others add to a contract that stays theirs is no residue.
        """
        return tuple(self._reached(d, since=since) for d in self.datasets)

    def _reached(self, dataset: Dataset, *, since: bool) -> Part:
        ways: list[sql.Composable] = []
        reads: list[str] = []
        columns = self.columns_needed(dataset)
        mine = sql.SQL(", ").join(sql.Identifier("t", c) for c in columns)
        for link in dataset.links:
            if link.column is not None:
                ways.append(
                    sql.SQL("SELECT {} FROM {} AS c JOIN {} AS t ON {}").format(
                        mine,
                        self.cohort,
                        quoted(dataset.address),
                        self.of_subject(dataset, "t", link.column, sql.Identifier("c", "subject_id")),
                    )
                )
                continue
            if link.via is None or (since and link.ownership is Ownership.ACCESS_ONLY):
                continue
            parent = self.catalogue.dataset(link.via)
            join = sql.SQL(" AND ").join(
                sql.SQL("{} = {}").format(sql.Identifier("t", a), sql.Identifier("p", b))
                for a, b in link.on.items()
            )
            reads.append(part_name(parent))
            through = sql.SQL("SELECT {} FROM {} AS p JOIN {} AS t ON {}").format(
                mine, sql.Identifier(part_name(parent)), quoted(dataset.address), join
            )
            if since:
                through = sql.SQL(
                    "{} WHERE NOT EXISTS (SELECT FROM {} AS k WHERE {} AND (k.outsiders OR k.ownership = 'access_only'))"
                ).format(through, self.items(parent.id), equal("k", "p", parent.key))
            ways.append(through)
            if since and set(link.on.values()) <= set(parent.key):
                ways.append(self._left_behind(dataset, parent, link, mine))
        # Beside a way that leads nowhere, UNION makes one row of what two of the cohort share, also where there is one way.
        body = sql.SQL(" UNION ").join([*ways, self._nothing(dataset, columns)])
        return Part(part_name(dataset), body, tuple(reads))

    def _left_behind(
        self, dataset: Dataset, parent: Dataset, link: Link, mine: sql.Composable
    ) -> sql.Composed:
        """Rows that refer to an item of the survey, whether the item is still there or not."""
        return sql.SQL(
            "SELECT {} FROM {} AS k JOIN {} AS t ON {} WHERE NOT (k.outsiders OR k.ownership = 'access_only')"
        ).format(
            mine,
            self.items(parent.id),
            quoted(dataset.address),
            sql.SQL(" AND ").join(
                sql.SQL("{} = {}").format(sql.Identifier("t", a), sql.Identifier("k", b))
                for a, b in link.on.items()
            ),
        )

    def columns_needed(self, dataset: Dataset) -> tuple[str, ...]:
        """The key, and the columns that other datasets' links join on."""
        wanted = dict.fromkeys(dataset.key)
        for other in self.datasets:
            for link in other.links:
                if link.via == dataset.id:
                    wanted.update(dict.fromkeys(link.on.values()))
        return tuple(wanted)

    def _nothing(self, dataset: Dataset, columns: Sequence[str]) -> sql.Composed:
        return sql.SQL("SELECT {} FROM {} AS t WHERE false").format(
            sql.SQL(", ").join(sql.Identifier("t", c) for c in columns), quoted(dataset.address)
        )


def part_name(dataset: Dataset) -> str:
    """A common table expression's name; identifiers end at 63 bytes."""
    return f"r {dataset.id}"[:63]
