"""One release of some rows: chosen, generalised, moved or changed in place, and measured, in one transaction with its receipt.

The order inside is: the rows are copied aside, they and what leads from them to people (pseudonyms) go, and only then is
anything released. Whoever reads the release never sees it beside its pseudonyms. A second call for the same step and chunk
finds its record and does nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.errors import Drifted, Refused
from include.model.estate import Dataset
from include.model.flow import Step
from include.model.releases import Release
from include.stores.postgres import books, receipts
from include.stores.postgres.afterwards import afterwards
from include.stores.postgres.anonymise.aside import BATCH, LABELLED, WORK, Aside
from include.stores.postgres.anonymise.classes import Classes, listed, names
from include.stores.postgres.anonymise.labels import Labels
from include.stores.postgres.anonymise.lattice import Lattice, Node, least
from include.stores.postgres.area import Area, same_key
from include.stores.postgres.server import Connection, Server, name, one

BOUND = 5000
"""Nodes of a lattice that are looked at, at most."""


class Unhidden(Refused):
    """No declared level hides everybody. Nothing was changed, and no other refusal means that."""


@dataclass(frozen=True)
class Released:
    """What came of it. ``rows``: the dataset's that were to go; ``released``: those that stay without their people;
    ``levels``: how coarse each quasi-identifier became."""

    release: str
    rows: int
    released: int
    levels: dict[str, int]

    @property
    def suppressed(self) -> int:
        return self.rows - self.released


class Anonymiser:
    """Releases rows of one dataset as the catalogue declares, by the eraser. ``at`` is called with the name of each point of
    no return."""

    def __init__(
        self,
        server: Server,
        catalogue: Catalogue,
        release: Release,
        at: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._server, self._catalogue, self._release, self._at = server, catalogue, release, at
        self._dataset: Dataset = catalogue.dataset(release.dataset)
        self.about = f"release {release.id} of {release.dataset}"

    def run(
        self, step: Step, chunk: int = 0, keys: sql.Composable | None = None, plan: str | None = None,
        still: Callable[[Connection], None] = lambda _: None,
    ) -> Released:  # fmt: skip
        """Release the rows whose keys ``keys`` selects; without it those that the step's area says are to be anonymised. The area
        then says which of them were, and which were erased. ``plan``: the fingerprint that the receipt bears.
        ``still`` is asked in the transaction of the release before anything is copied, and raises what stands against it.

        Raises Drifted if a located row is not there any more, or a pseudonym leads to another one. Raises Refused, and changes
        nothing, if the release claims no more than de-identification or if rows of one person would
        count as several; Unhidden, if no declared level makes every class big and mixed enough; BooksDoNotBalance, NotReachable.
        """
        if self._release.claims != "anonymised":
            raise Refused(
                "what it keeps is de-identified and stays personal, so there is nothing to release (PIPL 73(3))",
                about=self.about, next_step="dispose of it by its cut, as a case does",
            )  # fmt: skip
        if self._release.nodes > BOUND:
            raise Refused(f"it has {self._release.nodes} ways to generalise, more than {BOUND}", about=self.about,
                          next_step="declare fewer levels")  # fmt: skip
        with self._server.connect() as connection:
            done = self._server.retrying(lambda: self._once(connection, step, chunk, keys, plan, still))
            receipts.stamp(connection, step.id)
            self._at("release.after_commit")
            changed = {self._release.dataset, *self._release.pseudonyms}
            afterwards(connection, self._catalogue, self._server.store, changed, changed)
        return done

    def _once(
        self, connection: Connection, step: Step, chunk: int, keys: sql.Composable | None, plan: str | None,
        still: Callable[[Connection], None],
    ) -> Released:  # fmt: skip
        with self._server.reaching(self.about), self._alone(connection):
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            try:
                with connection.transaction():
                    if (before := self._before(connection, step, chunk)) is not None:
                        return before
                    still(connection)
                    return self._do(connection, step, chunk, keys, plan)
            finally:
                if not connection.closed and not connection.broken:
                    connection.isolation_level = None

    @contextmanager
    def _alone(self, connection: Connection) -> Iterator[None]:
        """No other release of it, and no gate, meanwhile. Locked before the transaction: its snapshot is of after the wait."""
        which = [f"quietus release {self._release.id}"]
        connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", which)
        try:
            yield
        finally:
            if not connection.closed and not connection.broken:
                connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", which)

    def _before(self, connection: Connection, step: Step, chunk: int) -> Released | None:
        row = connection.execute(
            "SELECT rows, released, levels FROM quietus.released WHERE step = %s AND chunk = %s AND release = %s",
            [step.id, chunk, self._release.id],
        ).fetchone()
        return Released(self._release.id, row[0], row[1], row[2]) if row else None

    def _do(
        self, connection: Connection, step: Step, chunk: int, keys: sql.Composable | None, plan: str | None
    ) -> Released:  # fmt: skip
        before = books.written(connection)
        aside = Aside(connection, self._dataset, self._release, self.about)
        labels = Labels(self._release, aside.types())
        rows = aside.copy(step, keys)
        if rows == 0:
            return self._receipt(connection, step, chunk, Released(self._release.id, 0, 0, {}), {}, plan)
        classes = Classes(connection, labels, aside.count())
        node = self._choose(connection, classes, labels)
        self._at("release.chosen")
        aside.mark(classes, labels, node)
        area = Area.of(step.id) if keys is None else None
        released, expected, forgotten = self._carry_out(connection, labels, area)
        self._at("release.written")
        books.compare(self.about, before, books.written(connection), expected)
        if area is not None:
            self._say(connection, area, forgotten)
        levels = dict(zip(self._release.quasi, node, strict=False))
        done = Released(self._release.id, rows, released, levels)
        self._at("release.before_commit")
        return self._receipt(connection, step, chunk, done, forgotten, plan)

    # --- choosing ---------------------------------------------------------------------------------

    def _choose(self, connection: Connection, classes: Classes, labels: Labels) -> Node:
        """The least general node, with rare sensitive values taken out until none is left."""
        lattice = Lattice(labels.bounds())
        (people,) = one(connection.execute(sql.SQL("SELECT count(*) FROM {}").format(WORK)))
        budget = int(self._release.suppress_at_most * int(people))
        while budget >= 0:
            node = least(lattice, classes.count, budget, classes.is_close, halving=not classes.standing)
            if node is None:
                break
            if (taken := classes.rare(node)) == 0:
                return node
            budget -= taken
        raise Unhidden(
            f"of {people} people, no declared level leaves every class with {self._release.k} of them and enough different"
            f" sensitive values while at most {self._release.suppress_at_most:.0%} are suppressed; nothing was changed",
            about=self.about,
            next_step="erase the rows, wait until more of them are due, or declare coarser levels",
        )

    # --- carrying out -----------------------------------------------------------------------------

    def _carry_out(
        self, connection: Connection, labels: Labels, area: Area | None
    ) -> tuple[int, Counter[books.Entry], dict[str, int]]:  # fmt: skip
        """Write it. Returns how many rows stay, what the books must say, and how many pseudonyms went of each dataset."""
        if self._release.into is None:
            return self._in_place(connection, labels, area)
        deletes = {self._dataset.id: self._delete(connection, sql.SQL("true"))}
        forgotten = {
            p: self._forget(connection, self._catalogue.dataset(p), area) for p in self._release.pseudonyms
        }
        deletes |= forgotten
        self._at("release.pseudonyms_gone")
        of = self._release
        inserted = connection.execute(
            # In an order that says nothing of the one in which the rows were written.
            sql.SQL("INSERT INTO {} ({}) SELECT {}{} FROM {} AS l WHERE NOT l.bad ORDER BY random()").format(
                name(of.into or ""), listed([name(c) for c in of.published]), listed(self._values(labels)),
                sql.SQL("").join(sql.SQL(", l.{}").format(name(c)) for c in of.sensitive), LABELLED,
            )
        ).rowcount  # fmt: skip
        touched = [self._dataset, *(self._catalogue.dataset(p) for p in of.pseudonyms)]
        expected = books.planned(touched, {}, deletes)
        expected[of.into or "", "insert"] += inserted
        return inserted, expected, forgotten

    def _values(self, labels: Labels) -> list[sql.Composable]:
        """What each known column becomes: its label, or the top if the row is starred."""
        tops = [*labels.top(), *(None for _ in self._release.plain)]
        columns = [sql.SQL("l.{}").format(q) for q in names("q", len(tops))]
        return [
            column if top is None else sql.SQL("CASE WHEN l.starred THEN {} ELSE {} END").format(top, column)
            for column, top in zip(columns, tops, strict=True)
        ]

    def _in_place(
        self, connection: Connection, labels: Labels, area: Area | None
    ) -> tuple[int, Counter[books.Entry], dict[str, int]]:  # fmt: skip
        of = self._release
        cut = self._dataset.cut.set if self._dataset.cut else {}
        sets = [sql.SQL("{} = {}").format(name(c), sql.Literal(cut.get(c))) for c in of.drop]
        sets += [
            sql.SQL("{} = {}").format(name(c), value)
            for c, value in zip(of.quasi, self._values(labels), strict=False)
        ]
        same = sql.SQL(" AND ").join(sql.SQL("t.{0} = l.{0}").format(name(k)) for k in self._dataset.key)
        deleted = self._delete(
            connection,
            sql.SQL("NOT EXISTS (SELECT FROM {} AS l WHERE NOT l.bad AND {})").format(LABELLED, same),
        )
        changed = connection.execute(
            sql.SQL("UPDATE {} AS t SET {} FROM {} AS l WHERE NOT l.bad AND {}").format(
                name(self._dataset.address), listed(sets), LABELLED, same
            )
        ).rowcount
        of_dataset = self._dataset.id
        expected = books.planned([self._dataset], {of_dataset: changed}, {of_dataset: deleted})
        forgotten = {p: self._forget(connection, self._catalogue.dataset(p), area) for p in of.pseudonyms}
        for pseudonyms, gone in forgotten.items():
            expected += books.planned([self._catalogue.dataset(pseudonyms)], {}, {pseudonyms: gone})
        return changed, expected, forgotten

    def _delete(self, connection: Connection, where: sql.Composable) -> int:
        same = sql.SQL(" AND ").join(sql.SQL("t.{0} = k.{0}").format(name(k)) for k in self._dataset.key)
        return connection.execute(
            sql.SQL("DELETE FROM {} AS t USING {} AS k WHERE {} AND {}").format(
                name(self._dataset.address), BATCH, same, where
            )
        ).rowcount

    def _forget(self, connection: Connection, pseudonyms: Dataset, area: Area | None) -> int:
        """Destroy the pseudonyms of the batch, or those that the area names, to which no row leads any more."""
        (link,) = [x for x in self._dataset.links if x.via == pseudonyms.id]
        mine = sql.SQL(" AND ").join(
            sql.SQL("b.{} = p.{}").format(name(a), name(b)) for a, b in link.on.items()
        )
        source: sql.Composable = BATCH
        if area is not None:
            mine, source = same_key("b", "p", pseudonyms), area.table(pseudonyms.id)
        left = sql.SQL(" AND ").join(
            sql.SQL("t.{} = p.{}").format(name(a), name(b)) for a, b in link.on.items()
        )
        return connection.execute(
            sql.SQL(
                "DELETE FROM {} AS p WHERE EXISTS (SELECT FROM {} AS b WHERE {}) AND NOT EXISTS (SELECT FROM {} AS t WHERE {})"
            ).format(name(pseudonyms.address), source, mine, name(self._dataset.address), left)
        ).rowcount

    def _say(self, connection: Connection, area: Area, forgotten: Mapping[str, int]) -> None:
        """The step's area says of each row whether it was released, and every pseudonym that it names is gone."""
        table, of = area.table(self._dataset.id), self._dataset
        connection.execute(
            sql.SQL(
                "UPDATE {} AS k SET disposition = 'erase' WHERE NOT EXISTS (SELECT FROM {} AS l WHERE NOT l.bad AND {})"
            ).format(table, LABELLED, same_key("k", "l", of))
        )
        (located,) = one(connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table)))
        (batch,) = one(connection.execute(sql.SQL("SELECT count(*) FROM {}").format(BATCH)))
        if located != batch:
            raise self._drifted(f"{located} rows were located, and {batch} of them are there")
        for pseudonyms, gone in forgotten.items():
            (known,) = one(
                connection.execute(sql.SQL("SELECT count(*) FROM {}").format(area.table(pseudonyms)))
            )
            if known != gone:
                raise self._drifted(f"{known} of {pseudonyms} were to go, and {gone} are without rows")

    def _drifted(self, what: str) -> Drifted:
        return Drifted(what, about=self.about, next_step="locate again; nothing was changed")

    def _receipt(
        self, connection: Connection, step: Step, chunk: int, done: Released, forgotten: Mapping[str, int],
        plan: str | None,
    ) -> Released:  # fmt: skip
        """The record of the release, and a receipt among the step's others, by which its old rows are written anew at night."""
        connection.execute(
            "INSERT INTO quietus.released (step, chunk, release, dataset, levels, rows, released)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [
                step.id,
                chunk,
                done.release,
                self._dataset.id,
                json.dumps(done.levels),
                done.rows,
                done.released,
            ],
        )
        (no,) = one(
            connection.execute(
                "SELECT coalesce(max(chunk) + 1, 0) FROM quietus.receipt WHERE step = %s AND verb = 'dispose'",
                [step.id],
            )
        )
        counts: dict[str, dict[str, int]] = {}
        if done.rows:
            counts[self._dataset.id] = {"anonymised": done.released, "erased": done.suppressed}
            counts |= {pseudonyms: {"erased": gone} for pseudonyms, gone in forgotten.items()}
        receipts.write(connection, step, "dispose", int(no), plan or f"release {done.release}", counts)
        return done


__all__ = ["Anonymiser", "Released", "Unhidden"]
