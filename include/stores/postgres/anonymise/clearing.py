"""``Releasing``: the rows of one release are located, released in one transaction, and settled, as a night works on what is due.

Everything of the dataset is taken that nobody holds and that no case has restricted: those rows are another's to dispose of. The
key tables are those of a night, so that whoever proves a night proves this as well. If no declared level hides everybody, nothing
is released, the keys leave the area, and the rows stay as they were.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as field_

from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.errors import Drifted, Refused
from include.model.estate import Dataset
from include.model.flow import Plan, Receipt, Step, Survey
from include.model.releases import Release
from include.stores.postgres import receipts
from include.stores.postgres.anonymise.run import Anonymiser, Unhidden
from include.stores.postgres.area import Area, same_key
from include.stores.postgres.clearing import Clearing
from include.stores.postgres.live import Live
from include.stores.postgres.retention.look import Look
from include.stores.postgres.server import Connection, joined, name, one
from include.stores.postgres.survey import digests


@dataclass(frozen=True)
class Everybody(Look):
    """Every row that nobody holds, whenever it is due: a release is of a set, and the sooner the better for whoever is in it."""

    @property
    def plain(self) -> bool:
        """Never in packs: single items leave the key table."""
        return False

    def _due(self) -> sql.Composed:
        return sql.SQL("true").format()

    def _early(self) -> sql.Composable:
        return sql.SQL("true")

    def _alone(self) -> str | None:
        return None

    def free(self) -> sql.Composed:
        """The keys of the rows that nobody holds."""
        return sql.SQL("SELECT {} FROM ({}) AS f").format(
            joined(", ", (name("f", k) for k in self.dataset.key)), self.due_rows(sql.SQL("true"))
        )


def everybody(look: Look, restricted: frozenset[str]) -> Everybody:
    """The look at a dataset of a release, without people whom an open case has restricted."""
    asked = look.asked()
    return Everybody(**{**asked, "held": tuple(sorted({*look.held, *restricted}))})


def restricted(connection: Connection) -> frozenset[str]:
    """Whom open cases have restricted: their rows go by their own case."""
    rows = connection.execute("SELECT subject_id FROM quietus.restriction WHERE lifted_at IS NULL")
    return frozenset(str(subject) for (subject,) in rows)


@dataclass(frozen=True)
class Free:
    """What one release could take now: ``items`` by dataset; of how many people its rows are."""

    items: Mapping[str, int]
    people: int


def count(connection: Connection, catalogue: Catalogue, release: Release, looks: Mapping[str, Look]) -> Free:
    """Counted by whoever asks: the prover does before anything goes. ``looks``: at the dataset and its pseudonyms."""
    of = catalogue.dataset(release.dataset)
    rows = _free(looks, of)
    (items, people) = one(
        connection.execute(
            sql.SQL(
                "SELECT count(*), count(DISTINCT t.{}) FROM ({}) AS f JOIN {} AS t ON {}"
            ).format(name(release.person), rows, name(of.address), same_key("f", "t", of))
        )
    )  # fmt: skip
    found = {of.id: int(items)}
    for pseudonyms in (catalogue.dataset(p) for p in release.pseudonyms):
        (n,) = one(
            connection.execute(
                sql.SQL(
                    "WITH f AS MATERIALIZED ({rows}) SELECT count(*) FROM ({theirs}) AS k JOIN {table} AS p ON {same}"
                    " WHERE NOT EXISTS (SELECT FROM {of} AS t WHERE {leads} AND NOT EXISTS (SELECT FROM f WHERE {mine}))"
                ).format(
                    rows=rows, theirs=_free(looks, pseudonyms), table=name(pseudonyms.address),
                    same=same_key("k", "p", pseudonyms), of=name(of.address), leads=_leads(of, pseudonyms),
                    mine=same_key("f", "t", of),
                )
            )
        )  # fmt: skip
        found[pseudonyms.id] = int(n)
    return Free(found, int(people))


def _free(looks: Mapping[str, Look], dataset: Dataset) -> sql.Composed:
    look = looks[dataset.id]
    assert isinstance(look, Everybody)  # noqa: S101 - whoever releases asks for nothing else
    return look.free()


def _leads(of: Dataset, pseudonyms: Dataset) -> sql.Composed:
    """Whether row ``t`` leads to pseudonym ``p``."""
    (link,) = [x for x in of.links if x.via == pseudonyms.id]
    return joined(" AND ", (sql.SQL("t.{} = p.{}").format(name(a), name(b)) for a, b in link.on.items()))


GIVEN_UP = "no declared level hid everybody; nothing was changed"
"""Why, if who found it out was killed before the book had it in more words."""


@dataclass
class Releasing(Clearing):
    """The deed of one release. ``looks`` gives those at the release's dataset and its pseudonyms, and no other."""

    release: Release = field_(kw_only=True)
    unhidden: str | None = None
    """Why nothing was released, if so."""

    # --- before ------------------------------------------------------------------------------------

    def locate(self, step: Step) -> Survey:
        """Raises what could not be asked: a release is of all its tables or of none."""
        super().locate(step)
        for dataset in self._ours:
            if dataset.id in self.left:
                raise Refused(
                    f"it could not be asked: {self.left[dataset.id]}", about=f"release {self.release.id}",
                    next_step="mend what is named; nothing was released",
                )  # fmt: skip
        area = Area.of(step.id)
        of = self._dataset
        with self._server.connect() as connection, self._server.reaching(self._about(step)):
            with connection.transaction():
                connection.execute(
                    sql.SQL("UPDATE {} SET disposition = 'anonymise'").format(area.table(of.id))
                )
                for pseudonyms in self._pseudonyms:
                    self._only_theirs(connection, area, pseudonyms)
            found = digests(connection, area, self._there(connection, area))
        return self._survey(step, found)

    def _only_theirs(self, connection: Connection, area: Area, pseudonyms: Dataset) -> None:
        """A pseudonym goes if every row that it leads to is released. One without rows is of no use, and goes too."""
        of = self._dataset
        connection.execute(
            sql.SQL(
                "DELETE FROM {keys} AS k USING {table} AS p WHERE {same} AND EXISTS (SELECT FROM {rows} AS t WHERE {leads}"
                " AND NOT EXISTS (SELECT FROM {mine} AS m WHERE {known}))"
            ).format(
                keys=area.table(pseudonyms.id), table=name(pseudonyms.address), same=same_key("k", "p", pseudonyms),
                rows=name(of.address), leads=_leads(of, pseudonyms), mine=area.table(of.id), known=same_key("m", "t", of),
            )
        )  # fmt: skip

    # --- the deed ----------------------------------------------------------------------------------

    def dispose(self, step: Step, plan: Plan) -> Receipt:
        """Released, or given up with why in ``unhidden``; again it changes nothing. Raises Drifted if other rows are there than
        were located, and whatever else refuses it: only that no level hides everybody ends a release with nothing."""
        fingerprint = plan.fingerprint()
        area = Area.of(step.id)
        with self._server.connect() as connection, self._server.reaching(self._about(step)):
            there = self._there(connection, area)
            begun = bool(receipts.read(connection, step.id, self.id))
            if not begun:
                if not there:
                    raise Drifted("the step is not open", about=self._about(step), next_step="locate again")
                self._check(connection, area, there, plan)
                self.may_go_on()
            elif not self._was_released(connection, step):
                self.unhidden = GIVEN_UP
        if self.unhidden is None:
            try:
                Anonymiser(self._server, self.catalogue, self.release, self.at).run(
                    step, plan=fingerprint, still=lambda connection: self._still_free(connection, area)
                )
            except Unhidden as error:
                self.unhidden = error.what
                self._nothing(step, fingerprint)
                self.at("release.given_up")
        with self._server.connect() as connection, self._server.reaching(self._about(step)):
            receipts.stamp(connection, step.id)
            receipts.renewed(connection, step.id, fingerprint)
            mine = [r for r in receipts.read(connection, step.id, self.id) if r.plan == fingerprint]
        return receipts.total(step.id, self.id, fingerprint, mine)

    def _was_released(self, connection: Connection, step: Step) -> bool:
        """Whether the step's receipt is of a release, and not of one that was given up."""
        (found,) = one(connection.execute("SELECT count(*) FROM quietus.released WHERE step = %s", [step.id]))
        return bool(found)

    def _still_free(self, connection: Connection, area: Area) -> None:
        """Raises Drifted if a hold names, or a case has restricted, somebody of whom a row was located."""
        looks = self.looks(self._server, connection, Live.read(connection))
        for dataset in self._ours:
            (lost,) = one(
                connection.execute(
                    sql.SQL(
                        "SELECT count(*) FROM {} AS k WHERE NOT EXISTS (SELECT FROM ({}) AS f WHERE {})"
                    ).format(area.table(dataset.id), _free(looks, dataset), same_key("f", "k", dataset))
                )
            )
            if lost:
                raise Drifted(
                    f"{lost} of its rows are held, restricted or gone since they were located", about=dataset.id,
                    next_step="locate again; nothing was changed",
                )  # fmt: skip

    def _nothing(self, step: Step, plan: str) -> None:
        """Nothing was released: no key is the step's any more, and its receipt says so."""
        area = Area.of(step.id)
        with (
            self._server.connect() as connection,
            self._server.reaching(self._about(step)),
            connection.transaction(),
        ):
            for dataset in self._ours:
                connection.execute(sql.SQL("DELETE FROM {}").format(area.table(dataset.id)))
            receipts.write(connection, step, "dispose", 0, plan, {})

    def settled(self, step: Step) -> Survey:
        """What the step is about by now."""
        area = Area.of(step.id)
        with self._server.connect() as connection, self._server.reaching(self._about(step)):
            return self._survey(step, digests(connection, area, self._there(connection, area)))

    @property
    def _dataset(self) -> Dataset:
        return self.catalogue.dataset(self.release.dataset)

    @property
    def _pseudonyms(self) -> tuple[Dataset, ...]:
        return tuple(self.catalogue.dataset(p) for p in self.release.pseudonyms)

    @property
    def _ours(self) -> tuple[Dataset, ...]:
        return (self._dataset, *self._pseudonyms)


__all__ = ["Everybody", "Releasing", "everybody", "restricted"]
