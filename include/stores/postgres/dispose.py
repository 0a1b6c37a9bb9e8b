"""Disposing: one transaction per chunk, with survey, weighing, deed, books and receipt in it.

The transaction is REPEATABLE READ: a row that somebody changes between our survey and our delete ends in a
serialization failure and another try, never in a blind delete. Before its snapshot is taken, shared items are
locked (session advisory locks, in order), so that the cases of two owners of one contract come one after the
other, and the second sees what the first did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from include.model.catalogue import Catalogue, Dataset
from include.model.errors import BooksDoNotBalance, Drifted, Refused
from include.model.flow import Line, Plan, Provision, Receipt, Step
from include.model.words import Disposition
from include.stores.postgres import books, chunks, receipts
from include.stores.postgres.area import TEMP, Area, kept_provisions, key_text, same_key
from include.stores.postgres.changes import changes
from include.stores.postgres.closure import close_over_references
from include.stores.postgres.live import Live
from include.stores.postgres.order import groups
from include.stores.postgres.server import Connection, Server, name, one
from include.stores.postgres.survey import digests, parents_first, survey_dataset
from include.stores.postgres.weigh import Judging, lines, run_starting_points, weigh_dataset

# Advisory locks of shared items share this many slots: a night's cohort must not fill the lock table.
SLOTS = 256
LOCK_SPACE = 0x51_55_49  # "QUI"
ANALYZE_FROM = 500  # rows; below, the planner's guess from the table's size will do


@dataclass(frozen=True)
class Disposing:
    """One plan being carried out in one store."""

    server: Server
    catalogue: Catalogue
    datasets: tuple[Dataset, ...]  # the store's tables
    step: Step
    plan: Plan
    shared_law: str
    at: Callable[[str], None]
    chunk_subjects: int | None = None

    @property
    def about(self) -> str:
        return f"step {self.step.id} of {self.plan.case_no} in store {self.server.store}"

    def run(self, connection: Connection) -> Receipt:
        """Carry out every chunk that has no receipt yet."""
        area = Area.of(self.step.id)
        fingerprint = self.plan.fingerprint()
        if self.plan.step != self.step.id:
            raise Refused(
                "the plan is another step's", about=self.about, next_step="give the step's own plan"
            )
        receipts.stamp(connection, self.step.id)
        live = Live.read(connection)
        provisions = kept_provisions(connection, area, self.about)
        provided = {p.dataset for p in provisions}
        datasets = parents_first(needed(self.datasets, provided, live))
        self._check_area(connection, area, [d for d in datasets if d.id in provided])
        with connection.transaction():
            self._assign(connection, area, live, datasets, fingerprint)
        judging = judging_of(self.step, provisions, datasets, self.datasets, self.shared_law)
        for (chunk,) in connection.execute(
            sql.SQL("SELECT DISTINCT chunk FROM {} ORDER BY 1").format(area.cohort)
        ).fetchall():
            done = self._receipt(connection, chunk)
            if done is None:
                self._chunk(connection, area, live, datasets, judging, chunk, fingerprint)
        self._after(connection, datasets)
        mine = [
            r
            for r in receipts.read(connection, self.step.id, self.server.store)
            if r.verb == "dispose" and r.plan == fingerprint
        ]
        return receipts.total(self.server.store, fingerprint, mine)

    # --- before ---------------------------------------------------------------------------------

    def _check_area(self, connection: Connection, area: Area, datasets: Sequence[Dataset]) -> None:
        """The plan must be the one that this step area was weighed into, item for item. Else Drifted."""
        ours = {d.id for d in datasets}
        planned = {x.dataset: (x.items, x.digest) for x in self.plan.located if x.dataset in ours}
        for dataset, there in digests(connection, area, datasets).items():
            if planned.get(dataset) != there:
                raise Drifted(
                    f"{planned.get(dataset, (0, ''))[0]} items were planned,"
                    f" but the last survey located {there[0]}, or other ones",
                    about=f"{self.about}, {dataset}",
                    next_step="plan again from the last survey",
                )
        weighed = lines(connection, area, datasets, self.about)
        if _sorted(weighed) != _sorted(line for line in self.plan.lines if line.dataset in ours):
            raise Drifted(
                "the plan's lines are not those that were weighed last",
                about=self.about,
                next_step="plan again from the last weighing",
            )

    def _assign(
        self, connection: Connection, area: Area, live: Live, datasets: Sequence[Dataset], fingerprint: str
    ) -> None:
        """Number the chunks for this plan; a plan that replaces another numbers on, so receipts never collide."""
        (under_way,) = one(connection.execute(sql.SQL("SELECT plan FROM {} FOR UPDATE").format(area.step)))
        if under_way == fingerprint:
            return
        (first,) = one(
            connection.execute(
                "SELECT coalesce(max(chunk) + 1, 0) FROM quietus.receipt WHERE step = %s AND verb = 'dispose'",
                [self.step.id],
            )
        )
        done = connection.execute(
            "SELECT chunk FROM quietus.receipt WHERE step = %s AND verb = 'dispose' AND plan = %s",
            [self.step.id, fingerprint],
        ).fetchall()
        if done:
            # The same plan was weighed anew after it was carried out: its chunks are the numbers it had.
            first = min(chunk for (chunk,) in done)
        chunks.assign(connection, area, live, datasets, int(first), self.chunk_subjects)
        connection.execute(sql.SQL("UPDATE {} SET plan = %s").format(area.step), [fingerprint])

    def _receipt(self, connection: Connection, chunk: int) -> str | None:
        row = connection.execute(
            "SELECT plan FROM quietus.receipt WHERE step = %s AND verb = 'dispose' AND chunk = %s",
            [self.step.id, chunk],
        ).fetchone()
        if row is None:
            return None
        if row[0] != self.plan.fingerprint():
            raise BooksDoNotBalance(
                f"chunk {chunk} has a receipt for another plan",
                about=self.about,
                next_step="survey and plan again",
            )
        return str(row[0])

    # --- one chunk ------------------------------------------------------------------------------

    def _chunk(
        self,
        connection: Connection,
        area: Area,
        live: Live,
        datasets: Sequence[Dataset],
        judging: Judging,
        chunk: int,
        fingerprint: str,
    ) -> None:
        def once() -> None:
            with self.server.reaching(self.about):
                try:
                    self._lock_shared(connection, area, datasets, chunk)
                    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                    with connection.transaction():
                        if self._receipt(connection, chunk) is None:
                            self._deed(connection, area, live, datasets, judging, chunk, fingerprint)
                            self.at("dispose.before_commit")
                    self.at("dispose.after_commit")
                finally:
                    if not connection.closed and not connection.broken:
                        connection.isolation_level = None
                        connection.execute("SELECT pg_advisory_unlock_all()")
                        # The next chunk makes the same key tables, and this one's name people.
                        connection.execute("DISCARD TEMP")
            receipts.stamp(connection, self.step.id)

        self.server.retrying(once)

    def _lock_shared(
        self, connection: Connection, area: Area, datasets: Sequence[Dataset], chunk: int
    ) -> None:
        parts = [
            sql.SQL(
                "SELECT hashtextextended({id} || ' ' || {text}, 0) & {mask} AS slot FROM {table} AS k"
                " JOIN {cohort} AS c ON c.subject_no = k.subject_no AND c.chunk = {chunk} WHERE k.ownership = 'shared'"
            ).format(
                id=sql.Literal(d.id),
                text=key_text("k", d),
                mask=sql.Literal(SLOTS - 1),
                table=area.table(d.id),
                cohort=area.cohort,
                chunk=sql.Literal(chunk),
            )
            for d in datasets
        ]
        if parts:
            # OFFSET 0 keeps the order below the locking: everybody takes the slots in the same order.
            connection.execute(
                sql.SQL(
                    "SELECT count(pg_advisory_lock({}, x.slot::int)) FROM"
                    " (SELECT DISTINCT slot FROM ({}) AS s ORDER BY slot OFFSET 0) AS x"
                ).format(sql.Literal(LOCK_SPACE), sql.SQL(" UNION ALL ").join(parts))
            )

    def _deed(
        self,
        connection: Connection,
        area: Area,
        live: Live,
        datasets: Sequence[Dataset],
        judging: Judging,
        chunk: int,
        fingerprint: str,
    ) -> None:
        connection.execute(
            sql.SQL(
                "CREATE TABLE {} AS SELECT subject_no, subject_id, chunk FROM {} WHERE chunk = {}"
            ).format(TEMP.cohort, area.cohort, sql.Literal(chunk))
        )
        connection.execute(sql.SQL("ALTER TABLE {} ADD UNIQUE (subject_id)").format(TEMP.cohort))
        connection.execute(sql.SQL("ANALYZE {}").format(TEMP.cohort))
        locate(connection, TEMP, self.catalogue, live, datasets)
        weigh_all(connection, TEMP, self.catalogue, live, datasets, judging)
        self._check_same(connection, area, datasets, chunk)
        self.at("dispose.weighed")

        before = books.written(connection)
        connection.execute("SET CONSTRAINTS ALL DEFERRED")
        counts, updates, deletes = self._tally(connection, datasets, judging)
        for dataset in datasets:
            if updates.get(dataset.id):
                _update(connection, dataset, judging.provisions[dataset.id])
        for group in groups(datasets, live.foreign_keys):
            _delete(connection, [d for d in group if deletes.get(d.id)])
        self._sweep(connection, live, datasets, judging, counts, deletes)
        # What is deferred happens now, before the books are compared.
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        books.compare(
            f"{self.about}, chunk {chunk}",
            before,
            books.written(connection),
            books.planned(datasets, updates, deletes),
        )
        if self.step.restricting and not judging.partial:
            self._depart(connection, datasets)
        receipts.write(connection, self.step, "dispose", chunk, fingerprint, counts)

    def _check_same(
        self, connection: Connection, area: Area, datasets: Sequence[Dataset], chunk: int
    ) -> None:
        planned_ = digests(connection, area, datasets, fates=True, chunk=chunk)
        now = digests(connection, TEMP, datasets, fates=True)
        moved = [d for d in now if now[d] != planned_[d]]
        if moved:
            what = "; ".join(f"{d}: {planned_[d][0]} planned, {now[d][0]} there now" for d in moved)
            raise Drifted(
                f"since the plan was made, items or their fates changed ({what})",
                about=self.about,
                next_step="survey, weigh and plan again",
            )

    def _tally(
        self, connection: Connection, datasets: Sequence[Dataset], judging: Judging
    ) -> tuple[dict[str, dict[str, int]], dict[str, int], dict[str, int]]:
        """Per dataset: what the receipt will say, how many rows will really be updated, how many deleted.

        A row that was anonymised by an earlier step counts as anonymised but needs no update.
        """
        counts: dict[str, dict[str, int]] = {}
        deletes: dict[str, int] = {}
        for line in lines(connection, TEMP, [d for d in datasets if d.id not in judging.idle], self.about):
            if line.disposition.changes_data:
                of = counts.setdefault(line.dataset, {})
                of[line.disposition.past] = of.get(line.disposition.past, 0) + line.items
            if line.disposition is Disposition.ERASE:
                deletes[line.dataset] = deletes.get(line.dataset, 0) + line.items
        parts = []
        for dataset in datasets:
            words = counts.get(dataset.id, {})
            if not ({Disposition.ANONYMISE.past, Disposition.UNLINK.past} & words.keys()):
                continue
            for change in changes(TEMP, dataset, judging.provisions[dataset.id].cut):
                if change.set:
                    parts.append(
                        sql.SQL(
                            "SELECT {}, count(*) FROM {} AS k JOIN {} AS t ON {} WHERE ({}) AND {}"
                        ).format(
                            sql.Literal(dataset.id),
                            TEMP.table(dataset.id),
                            name(dataset.address),
                            same_key("t", "k", dataset),
                            change.where,
                            change.differs(),
                        )
                    )
        updates: dict[str, int] = {}
        if parts:
            for dataset_id, n in connection.execute(sql.SQL(" UNION ALL ").join(parts)):
                updates[dataset_id] = updates.get(dataset_id, 0) + n
        return counts, updates, deletes

    def _sweep(
        self,
        connection: Connection,
        live: Live,
        datasets: Sequence[Dataset],
        judging: Judging,
        counts: dict[str, dict[str, int]],
        deletes: dict[str, int],
    ) -> None:
        """Erase what our own deletes wrote: a history table's trigger copies the row that it sees go.

        Only where that is a declared effect on a mapped table whose rows may simply go.
        """
        fed = {e.table for d in datasets for e in d.effects if e.operation == "insert" and d.id in counts}
        for dataset in datasets:
            provision = judging.provisions[dataset.id]
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
            survey_dataset(connection, TEMP, self.catalogue, live, dataset)
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

    def _depart(self, connection: Connection, datasets: Sequence[Dataset]) -> None:
        """Mark the chunk's subjects departed: from now on a shared item need not wait for them. Not those of
        whom something is held: their interest in it lives on."""
        held = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT unnest(k.subject_nos) FROM {} AS k WHERE k.disposition = 'hold'").format(
                TEMP.table(d.id)
            )
            for d in datasets
        )
        connection.execute(
            sql.SQL(
                "UPDATE quietus.restriction AS r SET departed_at = clock_timestamp() FROM {} AS c"
                " WHERE r.subject_id = c.subject_id AND r.lifted_at IS NULL AND r.departed_at IS NULL"
                " AND c.subject_no NOT IN ({})"
            ).format(TEMP.cohort, held)
        )

    def _after(self, connection: Connection, datasets: Sequence[Dataset]) -> None:
        """A materialised view keeps rows that are gone until it is refreshed, and statistics (``pg_stats``) keep
        their most common values until they are renewed. Outside the chunks' transactions: both lock, and both can
        be done again."""
        changed = {
            d.id for d in datasets if any(x.disposition.changes_data for x in self.plan.lines_of(d.id))
        }
        views = [
            x.address
            for x in self.catalogue.derived
            if x.store == self.server.store and not changed.isdisjoint(x.of)
        ]
        for view in views:
            connection.execute("SELECT quietus.refresh(to_regclass(%s)::regclass)", [_quoted(view)])
            self.at("dispose.after_refresh")
        touched = [*(d.address for d in datasets if d.id in changed), *views]
        if touched:
            connection.execute(
                "SELECT quietus.renew_statistics(array_agg(to_regclass(t)::regclass)) FROM unnest(%s::text[]) AS u(t)",
                [[_quoted(t) for t in touched]],
            )


# --- what survey, weigh and dispose share ---------------------------------------------------------


def needed(datasets: Sequence[Dataset], provided: set[str], live: Live) -> tuple[Dataset, ...]:
    """The datasets provided for, those that refer to them by a foreign key, and all that links lead through."""
    by_id = {d.id: d for d in datasets}
    by_address = {d.address: d for d in datasets}
    todo = [d.id for d in datasets if d.id in provided]
    for key in live.foreign_keys:
        parent, child = by_address.get(key.parent), by_address.get(key.child)
        if parent and child and parent.id in provided:
            todo.append(child.id)
    found: set[str] = set()
    while todo:
        here = todo.pop()
        if here not in found and here in by_id:
            found.add(here)
            todo += [link.via for link in by_id[here].links if link.via]
    return tuple(d for d in datasets if d.id in found)


def judging_of(
    step: Step,
    provisions: Sequence[Provision],
    datasets: Sequence[Dataset],
    all_datasets: Sequence[Dataset],
    shared_law: str,
) -> Judging:
    """What is weighed by. A dataset that is there only for its links or foreign keys stays as it is: idle."""
    of = {p.dataset: p for p in provisions}
    idle = {
        d.id: Provision(
            dataset=d.id,
            disposition=Disposition.RETAIN,
            rule=d.binds[0].rule if d.binds else "none",
            law="not in this step",
        )
        for d in datasets
        if d.id not in of
    }
    return Judging(
        step.case_no,
        step.as_of,
        step.restricting,
        {**of, **idle},
        shared_law,
        frozenset(idle),
        partial=any(d.id not in of for d in all_datasets),
    )


def locate(
    connection: Connection, area: Area, catalogue: Catalogue, live: Live, datasets: Sequence[Dataset]
) -> None:
    """Survey every dataset, parents first."""
    for dataset in datasets:
        n = survey_dataset(connection, area, catalogue, live, dataset)
        if n >= ANALYZE_FROM:
            connection.execute(sql.SQL("ANALYZE {}").format(area.table(dataset.id)))


def weigh_all(
    connection: Connection,
    area: Area,
    catalogue: Catalogue,
    live: Live,
    datasets: Sequence[Dataset],
    judging: Judging,
) -> set[str]:
    """Starting points, then each dataset, then referential closure. Returns whose key tables are new ones."""
    starts = run_starting_points(connection, catalogue, judging)
    rewritten = set()
    for dataset in datasets:
        n = weigh_dataset(connection, area, live, dataset, judging, starts)
        if n is None:
            continue
        rewritten.add(dataset.id)
        if n >= ANALYZE_FROM:
            connection.execute(sql.SQL("ANALYZE {}").format(area.table(dataset.id)))
    close_over_references(connection, area, live, datasets, judging)
    return rewritten


def _update(connection: Connection, dataset: Dataset, provision: Provision) -> None:
    for change in changes(TEMP, dataset, provision.cut):
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


def _delete(connection: Connection, group: Sequence[Dataset]) -> None:
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


def _sorted(lines_: Iterable[Line]) -> list[Mapping[str, object]]:
    return sorted((line.model_dump(mode="json") for line in lines_), key=str)


def _quoted(address: str) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in address.split("."))
