"""The deed: what happens inside one chunk's transaction, from the last look to the receipt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.errors import Drifted
from include.model.estate import Cut, Dataset
from include.model.flow import Step
from include.model.words import Disposition
from include.stores.postgres import books, receipts, rest
from include.stores.postgres.area import TEMP, Area, same_key
from include.stores.postgres.changes import changes
from include.stores.postgres.live import Live
from include.stores.postgres.order import groups
from include.stores.postgres.scope import locate, weigh_all
from include.stores.postgres.server import Connection, name
from include.stores.postgres.survey import digests, survey_dataset
from include.stores.postgres.weigh import Judging, lines


@dataclass(frozen=True)
class Deed:
    """What every chunk of one plan is carried out with."""

    catalogue: Catalogue
    datasets: Sequence[Dataset]  # parents first
    step: Step
    live: Live
    judging: Judging
    about: str
    at: Callable[[str], None]

    def carry_out(self, connection: Connection, area: Area, chunk: int, fingerprint: str) -> None:
        """Everything between the chunk's snapshot and its commit."""
        rest.make_cohort(connection, area, sql.SQL("c.chunk = {}").format(sql.Literal(chunk)))
        locate(connection, TEMP, self.catalogue, self.live, self.datasets)
        weigh_all(connection, TEMP, self.catalogue, self.live, self.datasets, self.judging)
        self._check_same(connection, area, chunk)
        self.at("dispose.weighed")

        before = books.written(connection)
        connection.execute("SET CONSTRAINTS ALL DEFERRED")
        counts, updates, deletes = self._tally(connection)
        for dataset in self.datasets:
            if updates.get(dataset.id):
                cut_rows(connection, dataset, self.judging.provisions[dataset.id].cut)
        for group in groups(self.datasets, self.live.foreign_keys):
            erase_rows(connection, [d for d in group if deletes.get(d.id)])
        self._sweep(connection, counts, deletes)
        # What is deferred happens now, before the books are compared.
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        books.compare(
            f"{self.about}, chunk {chunk}",
            before,
            books.written(connection),
            books.planned(self.datasets, updates, deletes),
        )
        if self.step.restricting and not self.judging.partial:
            self._depart(connection)
        receipts.write(connection, self.step, "dispose", chunk, fingerprint, counts)

    def _check_same(self, connection: Connection, area: Area, chunk: int) -> None:
        planned_ = digests(connection, area, self.datasets, fates=True, chunk=chunk)
        now = digests(connection, TEMP, self.datasets, fates=True)
        moved = [d for d in now if now[d] != planned_[d]]
        if moved:
            what = "; ".join(f"{d}: {planned_[d][0]} planned, {now[d][0]} there now" for d in moved)
            raise Drifted(
                f"since the plan was made, items or their fates changed ({what})",
                about=self.about,
                next_step="survey, weigh and plan again",
            )

    def _tally(
        self, connection: Connection
    ) -> tuple[dict[str, dict[str, int]], dict[str, int], dict[str, int]]:
        """Per dataset: what the receipt will say, how many rows will really be updated, how many deleted.

        A row that was cut by an earlier step counts as de-identified but needs no update.
        """
        counts: dict[str, dict[str, int]] = {}
        deletes: dict[str, int] = {}
        for line in lines(
            connection, TEMP, [d for d in self.datasets if d.id not in self.judging.idle], self.about
        ):
            if line.disposition.changes_data:
                of = counts.setdefault(line.dataset, {})
                of[line.disposition.past] = of.get(line.disposition.past, 0) + line.items
            if line.disposition is Disposition.ERASE:
                deletes[line.dataset] = deletes.get(line.dataset, 0) + line.items
        cut = [
            (dataset, self.judging.provisions[dataset.id].cut)
            for dataset in self.datasets
            if {Disposition.DEIDENTIFY.past, Disposition.UNLINK.past} & counts.get(dataset.id, {}).keys()
        ]
        updates = differing(connection, cut)
        return counts, updates, deletes

    def _sweep(
        self,
        connection: Connection,
        counts: dict[str, dict[str, int]],
        deletes: dict[str, int],
    ) -> None:
        """Erase what our own deletes wrote: a history table's trigger copies the row that it sees go.

        Only where that is a declared effect on a mapped table whose rows may simply go.
        """
        fed = {
            e.table for d in self.datasets for e in d.effects if e.operation == "insert" and d.id in counts
        }
        for dataset in self.datasets:
            provision = self.judging.provisions[dataset.id]
            if (
                dataset.address not in fed
                or provision.disposition is not Disposition.ERASE
                or provision.floors
            ):
                continue
            if provision.holds or any(link.via for link in dataset.links):
                continue
            first = f"{dataset.id} first"
            connection.execute(
                sql.SQL("ALTER TABLE {} RENAME TO {}").format(TEMP.table(dataset.id), sql.Identifier(first))
            )
            survey_dataset(connection, TEMP, self.catalogue, self.live, dataset)
            swept = connection.execute(
                sql.SQL(
                    "DELETE FROM {} AS t USING {} AS k WHERE {} AND NOT EXISTS (SELECT FROM {} AS f WHERE {})"
                ).format(
                    name(dataset.address),
                    TEMP.table(dataset.id),
                    same_key("t", "k", dataset),
                    sql.Identifier("pg_temp", first),
                    same_key("f", "k", dataset),
                )
            ).rowcount
            connection.execute(sql.SQL("DROP TABLE {}").format(TEMP.table(dataset.id)))
            connection.execute(
                sql.SQL("ALTER TABLE {} RENAME TO {}").format(
                    sql.Identifier("pg_temp", first), sql.Identifier(dataset.id)
                )
            )
            deletes[dataset.id] = deletes.get(dataset.id, 0) + swept
            if swept:
                counts.setdefault(dataset.id, {})["swept"] = swept

    def _depart(self, connection: Connection) -> None:
        """Mark the chunk's subjects departed: from now on a shared item need not wait for them. Not those of
        whom something is held: their interest in it lives on."""
        held = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT unnest(k.subject_nos) FROM {} AS k WHERE k.disposition = 'hold'").format(
                TEMP.table(d.id)
            )
            for d in self.datasets
        )
        connection.execute(
            sql.SQL(
                "UPDATE quietus.restriction AS r SET departed_at = clock_timestamp() FROM {} AS c"
                " WHERE r.subject_id = c.subject_id AND r.lifted_at IS NULL AND r.departed_at IS NULL"
                " AND c.subject_no NOT IN ({})"
            ).format(TEMP.cohort, held)
        )


def differing(
    connection: Connection, cut: Sequence[tuple[Dataset, Cut | None]], *, people: bool = True
) -> dict[str, int]:
    """How many rows of each dataset a cut will really change, by the key tables in ``pg_temp``. ``people``: see ``changes``."""
    parts = [
        sql.SQL("SELECT {}, count(*) FROM {} AS k JOIN {} AS t ON {} WHERE ({}) AND {}").format(
            sql.Literal(dataset.id),
            TEMP.table(dataset.id),
            name(dataset.address),
            same_key("t", "k", dataset),
            change.where,
            change.differs(),
        )
        for dataset, with_ in cut
        for change in changes(TEMP, dataset, with_, people=people)
        if change.set
    ]
    found: dict[str, int] = {}
    if parts:
        for dataset_id, n in connection.execute(sql.SQL(" UNION ALL ").join(parts)):
            found[dataset_id] = found.get(dataset_id, 0) + n
    return found


def cut_rows(connection: Connection, dataset: Dataset, cut: Cut | None, *, people: bool = True) -> None:
    """Set the constants of a cut in the rows whose key table in ``pg_temp`` says so. ``people``: see ``changes``."""
    for change in changes(TEMP, dataset, cut, people=people):
        if change.set:
            connection.execute(
                sql.SQL("UPDATE {} AS t SET {} FROM {} AS k WHERE {} AND ({}) AND {}").format(
                    name(dataset.address),
                    sql.SQL(", ").join(sql.SQL("{} = {}").format(name(c), v) for c, v in change.set.items()),
                    TEMP.table(dataset.id),
                    same_key("t", "k", dataset),
                    change.where,
                    change.differs(),
                )
            )


def erase_rows(connection: Connection, group: Sequence[Dataset]) -> None:
    """One statement for the whole group: constraints within it are checked when all of it is gone."""
    if not group:
        return
    deletes = [
        sql.SQL("DELETE FROM {} AS t USING {} AS k WHERE {} AND k.disposition = 'erase'").format(
            name(d.address), TEMP.table(d.id), same_key("t", "k", d)
        )
        for d in group
    ]
    if len(deletes) == 1:
        connection.execute(deletes[0])
        return
    connection.execute(
        sql.SQL("WITH {} {}").format(
            sql.SQL(", ").join(
                sql.SQL("{} AS ({})").format(name(f"d{i}"), d) for i, d in enumerate(deletes[:-1])
            ),
            deletes[-1],
        )
    )
