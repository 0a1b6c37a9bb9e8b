"""The rows that are to be released, copied aside for as long as the transaction takes."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from include.model.errors import Refused
from include.model.estate import Dataset
from include.model.flow import Step
from include.model.releases import Release
from include.stores.postgres.anonymise.classes import CELLS, Classes, class_of, listed, names
from include.stores.postgres.anonymise.labels import Labels
from include.stores.postgres.anonymise.lattice import Node
from include.stores.postgres.area import Area
from include.stores.postgres.server import Connection, name, one

BATCH = sql.Identifier("pg_temp", "batch")
WORK = sql.Identifier("pg_temp", "work")
LABELLED = sql.Identifier("pg_temp", "labelled")


@dataclass(frozen=True)
class Aside:
    """The temporary tables of one release. They hold originals, and end with the transaction."""

    connection: Connection
    dataset: Dataset
    release: Release
    about: str

    def types(self) -> dict[str, str]:
        return {
            column: str(kind)
            for column, kind in self.connection.execute(
                "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
                " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
                [name(self.dataset.address).as_string(self.connection)],
            )
        }

    def copy(self, step: Step, keys: sql.Composable | None) -> int:
        """The rows aside: ``batch`` has the keys of all, ``work`` one row a person, with the raw values. Returns how many go."""
        of = self.release
        if keys is None:
            keys = sql.SQL("SELECT {} FROM {} WHERE disposition = 'anonymise'").format(
                listed([name(k) for k in self.dataset.key]), Area.of(step.id).table(self.dataset.id)
            )
        same = sql.SQL(" AND ").join(
            sql.SQL("t.{0} = k.{0}").format(name(c)) for c in self.dataset.key
        )  # fmt: skip
        needed = dict.fromkeys((*self.dataset.key, of.person, *of.published, *self._pseudonymous()))
        if of.latest:
            needed[of.latest] = None
        self.connection.execute(
            sql.SQL(
                "CREATE TEMP TABLE batch ON COMMIT DROP AS SELECT {} FROM {} AS t"
                " JOIN (SELECT DISTINCT * FROM ({}) AS k) AS k ON {}{}"
            ).format(
                listed([name("t", c) for c in needed]), name(self.dataset.address), keys, same,
                sql.SQL(" WHERE t.{} IS NOT NULL").format(name(of.marker)) if of.marker else sql.SQL(""),
            )
        )  # fmt: skip
        rows, people, nobody = one(
            self.connection.execute(
                sql.SQL(
                    "SELECT count(*), count(DISTINCT {p}), count(*) FILTER (WHERE {p} IS NULL) FROM {b}"
                ).format(p=name(of.person), b=BATCH)
            )
        )
        if nobody or (rows > people and not of.latest):
            raise Refused(
                f"{rows} rows are of {people} people, so rows would be counted as people"
                if not nobody else f"of {nobody} rows it is not known whose they are",
                about=self.about,
                next_step="say in `latest` which row of a person counts, or name the column that tells people apart",
            )  # fmt: skip
        order = sql.SQL(", {} DESC NULLS LAST").format(name(of.latest)) if of.latest else sql.SQL("")
        keys_too = sql.SQL("").join(sql.SQL(", {}").format(name(k)) for k in self.dataset.key)
        self.connection.execute(
            sql.SQL(
                "CREATE TEMP TABLE work ON COMMIT DROP AS SELECT DISTINCT ON ({p}) * FROM {b}"
                " ORDER BY {p}{order}{keys}"
            ).format(p=name(of.person), b=BATCH, order=order, keys=keys_too)
        )
        self.connection.execute(sql.SQL("ANALYZE {}, {}").format(BATCH, WORK))
        return int(rows)

    def _pseudonymous(self) -> tuple[str, ...]:
        """The dataset's columns that lead into pseudonym tables."""
        return tuple(
            mine for link in self.dataset.links if link.via in self.release.pseudonyms for mine in link.on
        )

    def count(self) -> bool:
        """Make the counts: ``cells`` of the batch, ``standing`` of what was released before; whether there is any."""
        of = self.release
        self.connection.execute(
            sql.SQL(
                "CREATE TEMP TABLE cells ON COMMIT DROP AS SELECT {}{}, count(*) AS n FROM {} GROUP BY {}"
            ).format(
                listed([name(c) for c in of.known]),
                sql.SQL("").join(
                    sql.SQL(", {} AS {}").format(name(c), s)
                    for c, s in zip(of.sensitive, names("s", len(of.sensitive)), strict=True)
                ),
                WORK,
                listed([name(c) for c in of.published]),
            )
        )
        source = sql.SQL("{} AS t").format(name(of.into or self.dataset.address))
        if of.marker:
            source = sql.SQL("{} WHERE t.{} IS NULL").format(source, name(of.marker))
        aliases = [*names("q", len(of.known)), *names("s", len(of.sensitive))]
        made = self.connection.execute(
            sql.SQL(
                "CREATE TEMP TABLE standing ON COMMIT DROP AS SELECT {}, count(*) AS n FROM {} GROUP BY {}"
            ).format(
                sql.SQL(", ").join(
                    sql.SQL("{} AS {}").format(name("t", c), a)
                    for c, a in zip(of.published, aliases, strict=True)
                ),
                source,
                listed([name("t", c) for c in of.published]),
            )
        )
        return made.rowcount > 0

    def mark(self, classes: Classes, labels: Labels, node: Node) -> None:
        """``labelled``: each row with its labels, and whether it is suppressed: its class is bad, or its value is rare."""
        of = self.release
        q = names("q", len(of.known))
        label = [sql.SQL("{} AS {}").format(x, n) for x, n in zip(labels.at(node, "w"), q, strict=True)]
        rare = [
            sql.SQL(
                " OR (l.{c} IS NOT NULL AND l.{c} NOT IN (SELECT {s} FROM {cells} WHERE {s} IS NOT NULL))"
            ).format(c=name(c), s=s, cells=CELLS)
            for c, s in zip(of.sensitive, names("s", len(of.sensitive)), strict=True)
        ]
        self.connection.execute(
            sql.SQL(
                "CREATE TEMP TABLE labelled ON COMMIT DROP AS WITH {judged} SELECT l.*, c.class IS NULL{rare} AS bad,"
                " false AS starred FROM (SELECT w.*, {label}, {class_} AS class FROM {work} AS w) AS l"
                " LEFT JOIN c ON c.class = l.class AND NOT c.bad"
            ).format(
                judged=classes.judged(node), rare=sql.SQL("").join(rare), label=listed(label),
                class_=class_of(labels.at(node, "w")), work=WORK,
            )
        )  # fmt: skip
        self.connection.execute(sql.SQL("ANALYZE {}").format(LABELLED))
        if of.small == "generalise":
            self._star()

    def _star(self) -> None:
        """Suppressed rows stay, at the top of every hierarchy, where that makes classes that are big and mixed enough, but for
        those with a rare value. Not where a distance is declared: the class of all the rest may be far from the whole."""
        of = self.release
        if any(s.t is not None for s in of.sensitive.values()):
            return
        diverse = [
            sql.SQL(" AND count(DISTINCT {}) >= {}").format(name(c), sql.Literal(s.l))
            for c, s in of.sensitive.items()
        ]
        common = [
            sql.SQL(" AND (w.{c} IS NULL OR w.{c} IN"
                " (SELECT {c} FROM {l} WHERE NOT bad GROUP BY 1 HAVING count(*) >= {k}))").format(
                c=name(c), l=LABELLED, k=sql.Literal(of.k)
            )
            for c in of.sensitive
        ]  # fmt: skip
        self.connection.execute(
            sql.SQL(
                "WITH w AS MATERIALIZED (SELECT w.*, {class_} AS rest FROM {l} AS w WHERE bad{common}), x AS (SELECT rest FROM w"
                " GROUP BY rest HAVING count(*) >= {k}{diverse}) UPDATE {l} AS l SET starred = true, bad = false FROM w"
                " WHERE w.{person} = l.{person} AND w.rest IN (SELECT rest FROM x)"
            ).format(
                class_=class_of(sql.Identifier("w", c) for c in of.plain), l=LABELLED, common=sql.SQL("").join(common),
                k=sql.Literal(of.k), diverse=sql.SQL("").join(diverse), person=name(of.person),
            )
        )  # fmt: skip
