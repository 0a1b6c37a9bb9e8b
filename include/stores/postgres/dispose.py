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

from include.model.catalogue import Catalogue
from include.model.errors import Drifted, Refused
from include.model.estate import Dataset
from include.model.flow import Line, Plan, Receipt, Step
from include.stores.postgres import chunks, receipts
from include.stores.postgres.afterwards import afterwards
from include.stores.postgres.area import Area, kept_provisions
from include.stores.postgres.deed import Deed
from include.stores.postgres.live import Live
from include.stores.postgres.locks import lock_shared
from include.stores.postgres.scope import judging_of, needed
from include.stores.postgres.server import Connection, Server, one
from include.stores.postgres.survey import digests, parents_first
from include.stores.postgres.weigh import Judging, lines
from include.stores.shared import nothing


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
    may_go_on: Callable[[], None] = nothing

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
            if not self._is_done(connection, chunk):
                self.may_go_on()
                self._chunk(connection, area, live, datasets, judging, chunk, fingerprint)
        self._after(connection, datasets)
        receipts.renewed(connection, self.step.id, fingerprint)
        mine = [
            r
            for r in receipts.read(connection, self.step.id, self.server.store)
            if r.verb == "dispose" and r.plan == fingerprint
        ]
        return receipts.total(self.step.id, self.server.store, fingerprint, mine)

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
        """Number the chunks for this plan. One that replaces another numbers on, so receipts never collide, and
        leaves what is done its numbers."""
        (under_way,) = one(connection.execute(sql.SQL("SELECT plan FROM {} FOR UPDATE").format(area.step)))
        if under_way == fingerprint:
            return
        (first,) = one(
            connection.execute(
                "SELECT coalesce(max(chunk) + 1, 0) FROM quietus.receipt WHERE step = %s AND verb = 'dispose'",
                [self.step.id],
            )
        )
        chunks.assign(connection, area, self.step.id, live, datasets, int(first), self.chunk_subjects)
        connection.execute(sql.SQL("UPDATE {} SET plan = %s").format(area.step), [fingerprint])

    def _is_done(self, connection: Connection, chunk: int) -> bool:
        """Under this plan or one that it replaced: the books count both."""
        row = connection.execute(
            "SELECT FROM quietus.receipt WHERE step = %s AND verb = 'dispose' AND chunk = %s",
            [self.step.id, chunk],
        ).fetchone()
        return row is not None

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
        deed = Deed(self.catalogue, datasets, self.step, live, judging, self.about, self.at)

        def once() -> None:
            with self.server.reaching(self.about):
                try:
                    lock_shared(connection, area, datasets, chunk)
                    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                    with connection.transaction():
                        if not self._is_done(connection, chunk):
                            deed.carry_out(connection, area, chunk, fingerprint)
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

    def _after(self, connection: Connection, datasets: Sequence[Dataset]) -> None:
        changed = {
            d.id for d in datasets if any(x.disposition.changes_data for x in self.plan.lines_of(d.id))
        }
        theirs = changed | {x.dataset for x in self.plan.located if x.items}
        afterwards(
            connection, self.catalogue, self.server.store, changed, theirs & {d.id for d in datasets}, self.at
        )


def _sorted(lines_: Iterable[Line]) -> list[Mapping[str, object]]:
    return sorted((line.model_dump(mode="json") for line in lines_), key=str)
