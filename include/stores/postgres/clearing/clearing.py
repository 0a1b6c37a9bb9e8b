"""``Clearing``: what is due in one company database goes, whosever it is (PIPL 47 para. 1; policy 7.2).

A night works on items, not on people: what a row's own dates say is due is found by the question that ``quietus retention
due`` asks, kept by its key in a step area without subjects, and disposed of piece by piece, children before their parents.
Nobody is restricted first: the relation with the person goes on, and of what is due the only lawful use is to dispose of it.

The size of a piece is learned: it grows while a piece is quick and is halved when one meets a lock or a time-out, so that nobody
waits long for us. A table that stays locked is left for the next night, and named; all others go on.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import psycopg
from psycopg import sql

from include.model.catalogue import Catalogue, Dataset
from include.model.doors import Connections
from include.model.errors import BooksDoNotBalance, Drifted, NotReachable, QuietusError, Refused, Stopped
from include.model.flow import Line, Located, Plan, Receipt, Step, Survey
from include.model.times import observed_now
from include.model.words import DatasetKind, Role
from include.stores.postgres import receipts
from include.stores.postgres.afterwards import afterwards
from include.stores.postgres.area import Area, close_area, open_area
from include.stores.postgres.clearing import keys, packs
from include.stores.postgres.clearing.keys import Fates, Looks
from include.stores.postgres.clearing.piece import NEEDED, NOT_DUE, UPTO, Piece
from include.stores.postgres.install import PROVER
from include.stores.postgres.live import Live
from include.stores.postgres.retention.look import Look
from include.stores.postgres.server import Connection, Patience, Server, one
from include.stores.postgres.survey import digests
from include.stores.postgres.weigh import lines
from include.stores.shared import STAGED, everything, nothing, nowhere

FIRST, LEAST, MOST = 2_000, 100, 50_000  # items of a piece
QUICK = 1.0  # seconds that a piece is to take
LAG = 64 << 20  # bytes that a standby may be behind before we wait for it
REST, PATIENCE = 0.5, 300.0  # seconds between looks at a standby; and of all waiting for one, per piece


Led = Callable[[Server, Connection, Live, Area, Sequence[Dataset]], Mapping[str, sql.Composable]]
"""What outside of this database still needs rows: dataset -> a condition on its row ``pt``. Given the datasets with items."""


class Part(NamedTuple):
    """Up to which place a piece goes, and how many items it has."""

    upto: int
    items: int


@dataclass
class Size:
    """How many items a piece takes: learned from how long the last ones took."""

    items: int = FIRST

    def took(self, seconds: float) -> None:
        factor = min(2.0, max(0.5, QUICK / max(seconds, 0.001)))
        self.items = int(min(MOST, max(LEAST, self.items * factor)))

    def halve(self) -> bool:
        """Whether it could be made smaller."""
        before, self.items = self.items, max(LEAST, self.items // 2)
        return self.items < before


def _led_by_nothing(
    _server: Server, _connection: Connection, _live: Live, _area: Area, _located: Sequence[Dataset]
) -> dict[str, sql.Composable]:
    """The default for ``led``: nothing elsewhere needs a row."""
    return {}


@dataclass
class Clearing:
    """Implements ``include.model.doors.Clearing``, as the eraser.

    ``looks``: what to ask about each dataset, with the holds of now in it; asked again whenever ``holds`` says something else.
    ``fates``: rule and law of what was found. ``may_go_on`` is called before each piece and raises Stopped; ``budget`` says how
    many of so many items may still go tonight. ``led``: which rows something outside of this database still needs, asked once
    when a disposal begins. ``unasked``: datasets that the looks left out, and why; ``left``: those that were not finished, too.
    """

    catalogue: Catalogue
    id: str
    connections: Connections
    looks: Looks
    fates: Fates
    holds: Callable[[], object] = lambda: None
    may_go_on: Callable[[], None] = nothing
    budget: Callable[[int], int] = everything
    led: Led = _led_by_nothing
    unasked: Mapping[str, str] = field(default_factory=dict)
    prover: str | None = PROVER
    patience: Patience | None = None
    page: int = keys.PAGE
    pack: int = packs.PACK
    size: Size = field(default_factory=Size)
    at: Callable[[str], None] = nowhere
    left: dict[str, str] = field(default_factory=dict)

    _asked: tuple[object, Mapping[str, Look]] | None = field(default=None, init=False, repr=False)

    _careful: set[str] = field(default_factory=set, init=False, repr=False)  # datasets that do not go at once

    def __post_init__(self) -> None:
        connection = self.catalogue.store(self.id).connection
        self._server = Server(
            lambda: self.connections.postgres(connection, Role.ERASER), self.id, self.patience
        )

    # --- before ------------------------------------------------------------------------------------

    def locate(self, step: Step) -> Survey:
        """A dataset that cannot be asked (a column was renamed since yesterday) is ``left``; the rest goes on. Raises Refused
        once something of the step was disposed of: then it goes on with what it located."""
        area = Area.of(step.id)
        with self._server.connect() as connection, self._server.reaching(self._about(step)):
            if receipts.read(connection, step.id, self.id):
                raise Refused(
                    "something of this step is disposed of already", about=self._about(step),
                    next_step="go on with what was located; what fell due since is the next night's",
                )  # fmt: skip
            open_area(connection, step, self.prover)
            live = Live.read(connection)
            looks = self.looks(self._server, connection, live)
            self.left |= {d.id: self.unasked[d.id] for d in self._tables if d.id in self.unasked}
            for dataset, look in looks.items():
                try:
                    with self._server.reaching(f"{self.id} {dataset}"):
                        keys.locate(self._server, connection, area, look, self.fates, self.page, self.pack)
                except BooksDoNotBalance:
                    raise
                except QuietusError as error:
                    self.left[dataset] = str(error)
            for other in self._tables:
                if (other.id not in looks or other.id in self.left) and other.address in live.tables:
                    keys.nothing(connection, area, other)
            there = self._there(connection, area)
            for group in keys.in_order(self.catalogue, there, live):
                if within := keys.inner(group, live):
                    self._unpack(connection, area, group, 0)
                    with connection.transaction():
                        keys.tie(connection, area, group, within)
            found = digests(connection, area, there)
            in_packs = packs.packed(connection, area, there)
            for d in there:
                if d.id in in_packs:
                    packs.remember(connection, area, d, found[d.id])
        self.at("clearing.located")
        return self._survey(step, found)

    def lines(self, step: Step) -> Sequence[Line]:
        area = Area.of(step.id)
        with self._server.connect() as connection, self._server.reaching(self._about(step)):
            there = self._there(connection, area)
            return lines(
                connection, area, there, self._about(step), packed=packs.packed(connection, area, there)
            )

    # --- the deed ----------------------------------------------------------------------------------

    def dispose(self, step: Step, plan: Plan) -> Receipt:
        """Again, or after being killed, it goes on after the last receipt."""
        area = Area.of(step.id)
        fingerprint = plan.fingerprint()
        if plan.step != step.id:
            raise Refused(
                "the plan is another step's", about=self._about(step), next_step="give the step's own"
            )
        with self._server.connect() as connection, self._server.reaching(self._about(step)):
            there = self._there(connection, area)
            if not there and any(d.id in {x.dataset for x in plan.located} for d in self._tables):
                raise Drifted("the step is not open", about=self._about(step), next_step="locate again")
            receipts.stamp(connection, step.id)
            live = Live.read(connection)
            if not receipts.read(connection, step.id, self.id):
                self._check(connection, area, there, plan)
            led = self.led(self._server, connection, live, area, self._with_items(connection, area, there))
            for group in keys.in_order(self.catalogue, there, live):
                try:
                    self._group(connection, area, live, group, step, fingerprint, led)
                except Stopped:
                    raise
                except QuietusError as error:  # one dataset's; all others go on
                    if connection.closed:
                        raise
                    self.left |= dict.fromkeys((d.id for d in group), str(error))
            if not receipts.read(connection, step.id, self.id):
                # Nothing was come to: what was located is given up for tonight, and that is said.
                receipts.write(connection, step, "dispose", 0, fingerprint, {})
            disposed = {d for r in receipts.read(connection, step.id, self.id) for d in r.counts}
            afterwards(connection, self.catalogue, self.id, disposed, disposed, self.at)
            receipts.renewed(connection, step.id, fingerprint)
            mine = [r for r in receipts.read(connection, step.id, self.id) if r.plan == fingerprint]
        return receipts.total(step.id, self.id, fingerprint, mine)

    def _check(self, connection: Connection, area: Area, there: Sequence[Dataset], plan: Plan) -> None:
        planned = {x.dataset: (x.items, x.digest) for x in plan.located}
        for dataset, found in _digests(connection, area, there).items():
            if planned.get(dataset, found if not found[0] else None) != found:
                raise Drifted(
                    f"{planned.get(dataset, (0, ''))[0]} items were planned, and {found[0]}, or other ones, are located",
                    about=f"{self.id} {dataset}", next_step="plan again from what is located",
                )  # fmt: skip

    def _group(
        self, connection: Connection, area: Area, live: Live, group: Sequence[Dataset], step: Step, plan: str,
        led: Mapping[str, sql.Composable],
    ) -> None:  # fmt: skip
        after = max((_upto(connection, step, d) for d in group), default=0)
        if len(group) > 1:
            self._unpack(connection, area, group, after)
        while (part := self._ahead(connection, area, group, after, self.size.items)) is not None:
            self.may_go_on()
            piece = self._piece(connection, live, group, step, led)
            if not self._whole(piece) and self._unpack(connection, area, group, after):
                continue
            if (few := self.budget(part.items)) == 0 and part.items:
                self.left |= dict.fromkeys((d.id for d in group), STAGED)
                return
            if few < part.items:
                part = self._ahead(connection, area, group, after, few) or part
                if 0 < part.items < few:  # whole packs; what else may go is the next piece's
                    self.budget(part.items - few)
                    few = part.items
            if not part.items:  # of a pack that has more than may go now
                self.budget(-few)
                self._unpack(connection, area, group, after)
                continue
            self._breathe(connection)
            began = time.monotonic()
            try:
                done = self._one(connection, area, piece, after, part, step, plan)
            except QuietusError as error:
                self.budget(-few)
                if connection.closed or not isinstance(error, NotReachable) or not self.size.halve():
                    raise
                continue
            if done is None:  # something falls out of it: again, with care
                self.budget(-few)
                continue
            self.size.took(time.monotonic() - began)
            self.budget(-(done[NOT_DUE] + done[NEEDED]))  # what was passed over may be others'
            after = part.upto
        receipts.stamp(connection, step.id)

    def _piece(
        self, connection: Connection, live: Live, group: Sequence[Dataset], step: Step,
        led: Mapping[str, sql.Composable],
    ) -> Piece:  # fmt: skip
        looks = self._of_now(connection, live)
        if missing := [d.id for d in group if d.id not in looks]:
            raise Refused(
                "it cannot be asked any more", about=f"{self.id} {missing[0]}",
                next_step="see the other errors of this night",
            )  # fmt: skip
        return Piece(self.catalogue, live, group, step, looks, self._about(step), led)

    def _whole(self, piece: Piece) -> bool:
        """Whether it may go in one statement; nothing fell out of one of its kind before."""
        return piece.whole and piece.datasets[0].id not in self._careful

    def _unpack(self, connection: Connection, area: Area, group: Sequence[Dataset], after: int) -> bool:
        """Give those of a group that are in packs key tables; whether there were any."""
        of = packs.packed(connection, area, group)
        for dataset in group:
            if dataset.id in of:
                keys.unpack(connection, area, dataset, after)
        return bool(of)

    def _of_now(self, connection: Connection, live: Live) -> Mapping[str, Look]:
        """The looks, asked for again when a hold came, went or was narrowed."""
        held = self.holds()
        if self._asked is None or self._asked[0] != held:
            self._asked = held, self.looks(self._server, connection, live)
        return self._asked[1]

    def _one(
        self, connection: Connection, area: Area, piece: Piece, after: int, part: Part, step: Step, plan: str
    ) -> Counter[str] | None:
        """REPEATABLE READ: a row that somebody changes meanwhile ends in another try, never in a blind delete. In one statement
        until something falls out of a piece: None, and nothing was done; from then on with care."""

        def once(work: Callable[[int], Counter[str] | None]) -> Counter[str] | None:
            done: Counter[str] | None = None
            with self._server.reaching(piece.about):
                try:
                    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                    with connection.transaction() as transaction:
                        (chunk,) = one(connection.execute(
                            "SELECT coalesce(max(chunk) + 1, 0) FROM quietus.receipt WHERE step = %s AND verb = 'dispose'",
                            [step.id],
                        ))  # fmt: skip
                        done = work(int(chunk))
                        if done is None:
                            raise psycopg.Rollback(transaction)
                        self.at("clearing.before_commit")
                    if done is None:
                        return None
                    self.at("clearing.after_commit")
                finally:
                    if not connection.closed and not connection.broken:
                        connection.isolation_level = None
            return done

        if self._whole(piece):
            done = self._server.retrying(
                lambda: once(lambda n: piece.at_once(connection, area, after, part.upto, part.items, n, plan))
            )
            if done is None:
                self._careful.add(piece.datasets[0].id)
            return done
        return self._server.retrying(
            lambda: once(lambda n: piece.carry_out(connection, area, after, part.upto, n, plan))
        )

    def _ahead(
        self, connection: Connection, area: Area, group: Sequence[Dataset], after: int, items: int
    ) -> Part | None:
        """The next piece: so many items, and the rest of those that share the last place. Of packs, as many as have no more than
        that; zero items, if the next alone has."""
        if packs.packed(connection, area, group):
            found = packs.ahead(connection, area, group[0], after, items)
            return None if found is None else Part(*found)
        every = sql.SQL(" UNION ALL ").join(
            sql.SQL("(SELECT item FROM {} WHERE item > {} ORDER BY item LIMIT {})").format(
                area.table(d.id), sql.Literal(after), sql.Literal(items)
            )
            for d in group
        )
        upto, n = one(
            connection.execute(
                sql.SQL(
                    "SELECT max(item), count(*) FROM (SELECT item FROM ({}) AS x ORDER BY item LIMIT {}) AS y"
                ).format(every, sql.Literal(items))
            )
        )
        if upto is None:
            return None
        return Part(
            int(upto), self._between(connection, area, group, after, upto) if len(group) > 1 else int(n)
        )

    def _between(
        self, connection: Connection, area: Area, group: Sequence[Dataset], after: int, upto: int
    ) -> int:
        """How many items lie between two places."""
        every = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT count(*) AS n FROM {} WHERE item > {} AND item <= {}").format(
                area.table(d.id), sql.Literal(after), sql.Literal(upto)
            )
            for d in group
        )
        (n,) = one(connection.execute(sql.SQL("SELECT sum(n)::bigint FROM ({}) AS x").format(every)))
        return int(n)

    def _breathe(self, connection: Connection) -> None:
        """Wait while a standby is too far behind; not for ever, for what is due must go."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            (lag,) = one(connection.execute(
                "SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)) FROM pg_stat_replication"
            ))  # fmt: skip
            if lag is None or lag < LAG:
                return
            time.sleep(REST)

    # --- after -------------------------------------------------------------------------------------

    def settled(self, step: Step) -> Survey:
        """The items of datasets that were begun and not finished are given up for this night: they leave the area too."""
        area = Area.of(step.id)
        with self._server.connect() as connection, self._server.reaching(self._about(step)):
            there = self._there(connection, area)
            if receipts.read(connection, step.id, self.id):
                for dataset in there:
                    self._give_up(connection, area, dataset, _upto(connection, step, dataset))
            found = _digests(connection, area, there)
        return self._survey(step, found)

    def _give_up(self, connection: Connection, area: Area, dataset: Dataset, after: int) -> None:
        """What lies after the last place that was dealt with leaves the area."""
        if packs.packed(connection, area, [dataset]):
            if not packs.are_left(connection, area, dataset, after):
                return
            keys.unpack(connection, area, dataset, after)
        connection.execute(
            sql.SQL("DELETE FROM {} WHERE item > {}").format(area.table(dataset.id), sql.Literal(after))
        )

    def _survey(self, step: Step, found: Mapping[str, tuple[int, str]]) -> Survey:
        return Survey(
            step=step.id, store=self.id, observed_at=observed_now(),
            located=tuple(Located(dataset=d, items=n, digest=digest) for d, (n, digest) in found.items()),
        )  # fmt: skip

    def begun_under(self, step: Step) -> str | None:
        return next((r.plan for r in reversed(self.receipts(step)) if r.verb == "dispose"), None)

    def receipts(self, step: Step) -> Sequence[Receipt]:
        with self._server.connect() as connection, self._server.reaching(self._about(step)):
            receipts.stamp(connection, step.id)
            return receipts.read(connection, step.id, self.id)

    def close(self, step: Step) -> None:
        with self._server.connect() as connection, self._server.reaching(self._about(step)):
            close_area(connection, step.id)

    # --- what is there -----------------------------------------------------------------------------

    @property
    def _tables(self) -> tuple[Dataset, ...]:
        return self.catalogue.of_store(self.id, DatasetKind.TABLE)

    def _with_items(
        self, connection: Connection, area: Area, there: Sequence[Dataset]
    ) -> tuple[Dataset, ...]:
        """Those of which something is located."""
        return tuple(
            d for d in there
            if one(connection.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(area.table(d.id))))[0]
        )  # fmt: skip

    def _there(self, connection: Connection, area: Area) -> tuple[Dataset, ...]:
        """The datasets that have a key table."""
        rows = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind IN ('r', 'v')",
            [f'"{area.schema}"'],
        )
        known = {str(table) for (table,) in rows}
        return tuple(d for d in self._tables if d.id in known)

    def _about(self, step: Step) -> str:
        return f"step {step.id} of {step.case_no} in store {self.id}"


def _digests(
    connection: Connection, area: Area, datasets: Sequence[Dataset]
) -> dict[str, tuple[int, str]]:  # fmt: skip
    """Of packs, which do not change, as it was written down when they were located."""
    known = packs.remembered(connection, area, datasets)
    return {**known, **digests(connection, area, [d for d in datasets if d.id not in known])}


def _upto(connection: Connection, step: Step, dataset: Dataset) -> int:
    """The last place in the order of a dataset that was dealt with; 0: none."""
    (upto,) = one(
        connection.execute(
            "SELECT max((counts -> %s ->> %s)::bigint) FROM quietus.receipt WHERE step = %s AND verb = 'dispose'",
            [dataset.id, UPTO, step.id],
        )
    )
    return 0 if upto is None else int(upto)
