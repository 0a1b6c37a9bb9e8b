"""``PostgresStore``: the five verbs over one company database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from psycopg import sql

from include.model.carried import Came
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import CatalogueError, Drifted
from include.model.estate import Dataset
from include.model.flow import Finding, Line, Located, Plan, Provision, Receipt, Step, Survey
from include.model.history import History
from include.model.times import observed_now
from include.model.words import DatasetKind, Role
from include.stores.postgres import history, receipts, rest
from include.stores.postgres.answers import Key, came_of, keep_starts, keys_of, starts_of
from include.stores.postgres.area import TEMP, Area, close_area, keep_provisions, open_area, sweep_areas
from include.stores.postgres.chunks import CHUNK_SUBJECTS
from include.stores.postgres.dispose import Disposing
from include.stores.postgres.install import PROVER
from include.stores.postgres.live import Live
from include.stores.postgres.preflight import preflight
from include.stores.postgres.restrict import restrict, settle
from include.stores.postgres.scope import judging_of, locate, needed, weigh_all
from include.stores.postgres.server import Connection, Patience, Server
from include.stores.postgres.survey import digests, finish, parents_first
from include.stores.postgres.weigh import lines
from include.stores.shared import SHARED_LAW, nothing


def _nowhere(_point: str) -> None:
    """The default for ``at``: nothing happens at the named points."""


class PostgresStore:
    """Implements ``include.model.doors.Store``. Each verb opens its own connection as the eraser.

    ``chunk_subjects``: how many subjects one disposing transaction takes (None: all); those who own
    something together stay together.
    ``may_go_on`` is called before each of them and raises Stopped.
    ``at`` is called with the name of each point of no return, so that tests can kill the process there.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        id: str,
        connections: Connections,
        *,
        prover: str | None = PROVER,
        chunk_subjects: int | None = CHUNK_SUBJECTS,
        patience: Patience | None = None,
        shared_law: str = SHARED_LAW,
        may_go_on: Callable[[], None] = nothing,
        at: Callable[[str], None] = _nowhere,
    ) -> None:
        self.id = id
        self._catalogue = catalogue
        self._declared = catalogue.store(id)
        self._prover = prover
        self._chunk_subjects = chunk_subjects
        self._shared_law = shared_law
        self._may_go_on = may_go_on
        self._at = at
        connection = self._declared.connection
        self._server = Server(lambda: connections.postgres(connection, Role.ERASER), id, patience)

    @property
    def datasets(self) -> tuple[Dataset, ...]:
        return self._catalogue.of_store(self.id, DatasetKind.TABLE)

    def preflight(self) -> Sequence[Finding]:
        """What would make a step fail or be unsafe."""
        with self._server.connect() as connection, self._server.reaching():
            return preflight(connection, self._catalogue, self._declared, self._prover)

    def open(self, step: Step) -> None:
        """Make ``q_<step>`` with the cohort. Raises Refused if the step is open with another one."""
        with self._server.connect() as connection, self._server.reaching():
            open_area(connection, step, self._prover)

    def survey(self, step: Step) -> Survey:
        """Locate every dataset's items in one transaction with one snapshot. Again replaces the earlier survey, but
        for what is done already: its rows stay what they were, and are counted."""
        area = Area.of(step.id)
        with self._server.connect() as connection, self._server.reaching(self._about(step)):
            self._opened(connection, step)
            datasets = parents_first(self.datasets)
            with connection.transaction():
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                live = Live.read(connection)
                if rest.begun(connection, area, step.id, self._about(step)):
                    rest.take(connection, area, step.id)
                    locate(connection, TEMP, self._catalogue, live, datasets)
                    for dataset in datasets:
                        rest.replace(connection, area, dataset, self._about(step))
                else:
                    locate(connection, area, self._catalogue, live, datasets)
                    for dataset in datasets:
                        finish(connection, area, dataset)
                connection.execute(sql.SQL("UPDATE {} SET provisions = NULL, plan = NULL").format(area.step))
                found = digests(connection, area, datasets)
        self._at("survey.after_commit")
        return Survey(
            step=step.id,
            store=self.id,
            located=tuple(
                Located(dataset=d.id, items=found[d.id][0], digest=found[d.id][1]) for d in self.datasets
            ),
            observed_at=observed_now(),
        )

    def weigh(self, step: Step, provisions: Sequence[Provision]) -> Sequence[Line]:
        """Give each surveyed item one disposition. ``provisions``: one for each of this store's tables.

        A night that works on some datasets only gives provisions for these; the rest are not in the lines.
        """
        area = Area.of(step.id)
        ours = {d.id for d in self.datasets}
        mine = [p for p in provisions if p.dataset in ours]
        if len({p.dataset for p in mine}) != len(mine):
            raise CatalogueError(
                "a dataset is provided for twice",
                about=self._about(step),
                next_step="give one provision each",
            )
        with (
            self._server.connect(search_path=f'"{area.schema}"') as connection,
            self._server.reaching(self._about(step)),
        ):
            self._opened(connection, step)
            with connection.transaction():
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                live = Live.read(connection)
                datasets = parents_first(needed(self.datasets, {p.dataset for p in mine}, live))
                self._surveyed(connection, area, datasets, step)
                judging = judging_of(step, mine, datasets, self.datasets, self._shared_law)
                begun = rest.begun(connection, area, step.id, self._about(step))
                if begun:
                    rest.take(connection, area, step.id)
                    rest.copy_surveyed(connection, area, datasets)
                    _, asked = weigh_all(connection, TEMP, self._catalogue, live, datasets, judging)
                    for dataset in datasets:
                        rest.replace(connection, area, dataset, self._about(step), weighed=True)
                else:
                    rewritten, asked = weigh_all(connection, area, self._catalogue, live, datasets, judging)
                    for dataset in datasets:
                        if dataset.id in rewritten:
                            finish(connection, area, dataset)
                weighed = [d for d in datasets if d.id not in judging.idle]
                keep_provisions(connection, area, mine)
                keep_starts(connection, area, self._catalogue, self.id, step, asked, begun=begun)
                found = lines(connection, area, weighed, self._about(step))
        self._at("weigh.after_commit")
        return found

    def restrict(self, step: Step) -> Receipt:
        """Onto the restriction list, and the catalogue's measures; one transaction with its receipt."""
        with self._server.connect(search_path=f'"{Area.of(step.id).schema}"') as connection:
            with self._server.reaching(self._about(step)):
                self._opened(connection, step)
            return restrict(self._server, connection, self._catalogue, step, self._at)

    def settle(self, step: Step) -> None:
        """Return when every transaction older than the restriction has ended; NotReachable after a while."""
        with self._server.connect() as connection, self._server.reaching(self._about(step)):
            settle(self._server, connection, step)

    def dispose(self, step: Step, plan: Plan) -> Receipt:
        """Carry out the plan, chunk by chunk. Chunks that have their receipt are passed over."""
        with (
            self._server.connect(search_path=f'"{Area.of(step.id).schema}"') as connection,
            self._server.reaching(self._about(step)),
        ):
            self._opened(connection, step)
            return Disposing(
                self._server,
                self._catalogue,
                self.datasets,
                step,
                plan,
                self._shared_law,
                self._at,
                self._chunk_subjects,
                self._may_go_on,
            ).run(connection)

    def receipts(self, step: Step) -> Sequence[Receipt]:
        """What was done for this step so far, by the store's own account."""
        with self._server.connect() as connection, self._server.reaching(self._about(step)):
            receipts.stamp(connection, step.id)
            return receipts.read(connection, step.id, self.id)

    def begun_under(self, step: Step) -> str | None:
        """The plan of the last disposing transaction that committed, once there is none to come: what is left of
        a cohort may be planned anew."""
        last = next((r.plan for r in reversed(self.receipts(step)) if r.verb == "dispose"), None)
        if last is None:
            return None
        with self._server.connect() as connection, self._server.reaching(self._about(step)):
            is_open = self._is_open(connection, step)
            return None if is_open and rest.left(connection, Area.of(step.id), step.id) else last

    def close(self, step: Step) -> None:
        """Drop the step area. Receipts and restriction stay."""
        with self._server.connect() as connection, self._server.reaching(self._about(step)):
            close_area(connection, step.id)

    def sweep(self, open_steps: Collection[str]) -> tuple[str, ...]:
        """Drop the areas of all steps but these; returns the steps dropped."""
        with self._server.connect() as connection, self._server.reaching():
            return sweep_areas(connection, open_steps)

    # --- where its log stands ------------------------------------------------------------------------

    def history(self) -> History:
        """Where the log stands now, and of which history that is."""
        with self._server.connect() as connection, self._server.reaching():
            return history.now(connection)

    def has_receipts(self, steps: tuple[str, ...]) -> bool:
        """Whether all these steps' disposals are still in the database, by its own receipts."""
        with self._server.connect() as connection, self._server.reaching():
            return history.disposed(connection, steps)

    # --- what other stores ask ---------------------------------------------------------------------

    def keys_of(self, step: Step, dataset: Dataset) -> Sequence[Key]:
        """Whose items of another store's dataset are, by its ``via`` links into this database."""
        with self._server.connect() as connection, self._server.reaching(self._about(step)):
            self._opened(connection, step)
            return tuple(
                keys_of(connection, Area.of(step.id), self._catalogue, lambda: Live.read(connection), dataset)
            )

    def starts_of(self, step: Step, query: str) -> Sequence[Mapping[str, object]]:
        """The rows of a starting point as they were when this database was weighed in this step."""
        with self._server.connect() as connection, self._server.reaching(self._about(step)):
            return starts_of(connection, Area.of(step.id), step, query)

    def came_of(self, step: Step, dataset: Dataset) -> Mapping[tuple[str, ...], Came]:
        """With which clocks and holds the cohort's objects of another store's dataset came, if they were taken over."""
        with self._server.connect() as connection, self._server.reaching(self._about(step)):
            self._opened(connection, step)
            return came_of(connection, Area.of(step.id), dataset)

    # --- guards ---------------------------------------------------------------------------------

    def _about(self, step: Step) -> str:
        return f"step {step.id} of {step.case_no} in store {self.id}"

    def _opened(self, connection: Connection, step: Step) -> None:
        if not self._is_open(connection, step):
            raise Drifted("the step is not open", about=self._about(step), next_step="open it first")

    @staticmethod
    def _is_open(connection: Connection, step: Step) -> bool:
        row = connection.execute("SELECT to_regclass(%s)", [f'"{Area.of(step.id).schema}".cohort']).fetchone()
        return row is not None and row[0] is not None

    def _surveyed(self, connection: Connection, area: Area, datasets: Sequence[Dataset], step: Step) -> None:
        rows = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s", [area.schema]
        ).fetchall()
        missing = [d.id for d in datasets if (d.id,) not in rows]
        if missing:
            raise Drifted(f"{missing[0]} was not surveyed", about=self._about(step), next_step="survey first")
