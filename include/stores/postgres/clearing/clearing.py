"""``Clearing``: what is due in one company database goes, whosever it is (PIPL 47 para. 1; policy 7.2).

A night works on items, not on people: what a row's own dates say is due is found by the question that ``quietus retention
due`` asks, kept by its key in a step area without subjects, and disposed of piece by piece, children before their parents.
Nobody is restricted first: the relation with the person goes on, and of what is due the only lawful use is to dispose of it.

The size of a piece is learned (``pieces``), and before each a standby that is behind and others' work are waited for
(``breathing``), so that nobody waits long for us. A table that stays locked is left for the next night, and named; all others go
on.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import BooksDoNotBalance, Drifted, NotReachable, QuietusError, Refused, Stopped
from include.model.estate import Dataset
from include.model.flow import Line, Located, Plan, Receipt, Step, Survey
from include.model.times import observed_now
from include.model.words import DatasetKind, Role
from include.stores.pieces import Size
from include.stores.postgres import receipts
from include.stores.postgres.afterwards import afterwards
from include.stores.postgres.area import Area, close_area, open_area
from include.stores.postgres.clearing import keys, packs, partitions
from include.stores.postgres.clearing.ahead import Part, ahead
from include.stores.postgres.clearing.breathing import LAG, PATIENCE, SHARE, Breath
from include.stores.postgres.clearing.dropping import told, with_its_files
from include.stores.postgres.clearing.keys import Fates, Looks
from include.stores.postgres.clearing.located import NONE, digests_of, relations, upto, with_items
from include.stores.postgres.clearing.oldest import Since, oldest_first
from include.stores.postgres.clearing.partitions import Whole
from include.stores.postgres.clearing.piece import NEEDED, NOT_DUE, Piece
from include.stores.postgres.clearing.renewing import renewing
from include.stores.postgres.install import PROVER
from include.stores.postgres.live import Live
from include.stores.postgres.retention.look import Look
from include.stores.postgres.server import Connection, Patience, Server, one
from include.stores.postgres.survey import digests
from include.stores.postgres.weigh import lines
from include.stores.shared import STAGED, come_to_again, everything, is_staged, nothing, nowhere

TRIES = 3  # to drop a partition that others have in use
LATER = "its rows say when those of {} began, which could not be finished: they go after these"
CAREFULLY = "whether a row that stays needs one of its rows is asked of each"

Led = Callable[[Server, Connection, Live, Area, Sequence[Dataset]], Mapping[str, sql.Composable]]
"""What outside of this database still needs rows: dataset -> a condition on its row ``pt``. Given the datasets with items."""


def _led_by_nothing(
    _server: Server, _connection: Connection, _live: Live, _area: Area, _located: Sequence[Dataset]
) -> dict[str, sql.Composable]:
    """The default for ``led``: nothing elsewhere needs a row."""
    return {}


def as_many_as_there_are(*_datasets: str) -> int | None:
    """The default for ``at_most``: no number binds these datasets."""
    return None


@dataclass
class Clearing:
    """Implements ``include.model.doors.Clearing``, as the eraser.

    ``looks``: what to ask about each dataset, with the holds of now in it; asked again whenever ``holds`` says something else.
    ``fates``: rule and law of what was found. ``may_go_on`` is called before each piece and raises Stopped; ``budget`` says how
    many of so many items of these datasets may still go tonight, and ``at_most`` how many in all: if that is not everything, what
    fell due first goes first, by ``since``. ``led``: which rows something outside of this database still
    needs, asked once when a disposal begins. ``unasked``: datasets that the looks left out, and why; ``left``: those that were
    not finished, too. ``by_rows``: those of which a whole partition was due and went row by row, and why. ``lag``: bytes that a
    standby may be behind, ``share``: which part of its sessions the server may have at work for others, and ``wait``: how long
    either is waited for, at most, before one piece.
    """

    catalogue: Catalogue
    id: str
    connections: Connections
    looks: Looks
    fates: Fates
    holds: Callable[[], object] = lambda: None
    may_go_on: Callable[[], None] = nothing
    budget: Callable[..., int] = everything
    led: Led = _led_by_nothing
    unasked: Mapping[str, str] = field(default_factory=dict)
    since: Since | None = None
    at_most: Callable[..., int | None] = as_many_as_there_are
    prover: str | None = PROVER
    patience: Patience | None = None
    page: int = keys.PAGE
    pack: int = packs.PACK
    size: Size = field(default_factory=Size)
    at: Callable[[str], None] = nowhere
    left: dict[str, str] = field(default_factory=dict)
    by_rows: dict[str, str] = field(default_factory=dict)
    lag: int = LAG
    share: float = SHARE
    wait: float = PATIENCE

    _asked: tuple[object, Mapping[str, Look]] | None = field(default=None, init=False, repr=False)

    _planned: Counter[str] = field(default_factory=Counter, init=False, repr=False)

    _careful: set[str] = field(default_factory=set, init=False, repr=False)  # datasets that do not go at once

    def __post_init__(self) -> None:
        connection = self.catalogue.store(self.id).connection
        self._server = Server(
            lambda: self.connections.postgres(connection, Role.ERASER), self.id, self.patience
        )
        self._breath = Breath(self._asleep, self.lag, self.share, self.wait)

    @property
    def waited(self) -> Mapping[str, Mapping[str, int]]:
        return self._breath.told

    def _asleep(self) -> None:
        self.at("clearing.asleep")
        self.may_go_on()

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
            for before in self._tried(connection, area):
                keys.drop(connection, area, before)
            none: list[Look] = []
            for dataset, look in looks.items():
                try:
                    with self._server.reaching(f"{self.id} {dataset}"):
                        if not keys.locate(
                            self._server, connection, area, look, self.fates, self.page, self.pack
                        ):
                            none.append(look)
                except BooksDoNotBalance:
                    raise
                except QuietusError as error:
                    self.left[dataset] = str(error)
            self._none_of(connection, area, none)
            for other in self._tables:
                if (other.id not in looks or other.id in self.left) and other.address in live.tables:
                    keys.drop(connection, area, other)  # of one that could not be asked to its end
                    keys.nothing(connection, area, other)
            there = self._there(connection, area)
            some = with_items(connection, area, there)
            for group in keys.in_order(self.catalogue, some, live):
                if within := keys.inner(group, live):
                    self._unpack(connection, area, group, 0)
                    with connection.transaction():
                        keys.tie(connection, area, group, within)
            in_packs = packs.packed(connection, area, some)
            of_packs = packs.digests(connection, area, [d for d in some if d.id in in_packs])
            for d in some:
                if d.id in in_packs:
                    packs.remember(connection, area, d, of_packs[d.id])
            found = of_packs | digests(connection, area, [d for d in some if d.id not in in_packs])
            found |= {d.id: NONE for d in there if d.id not in found}
        self.at("clearing.located")
        return self._survey(step, found)

    def _none_of(self, connection: Connection, area: Area, looks: Sequence[Look]) -> None:
        """Key tables of datasets of which nothing is due: all at once, or, if one of them is in somebody's hands, one by one."""
        try:
            with self._server.reaching():
                keys.none_of(connection, area, looks)
        except QuietusError:
            for look in looks:
                try:
                    with self._server.reaching(f"{self.id} {look.dataset.id}"):
                        keys.none_of(connection, area, [look])
                except QuietusError as error:
                    self.left[look.dataset.id] = str(error)

    def lines(self, step: Step) -> Sequence[Line]:
        area = Area.of(step.id)
        with self._server.connect() as connection, self._server.reaching(self._about(step)):
            there = with_items(connection, area, self._there(connection, area))
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
        come_to_again(self.left)
        with self._server.connect() as connection, self._server.reaching(self._about(step)):
            there = self._there(connection, area)
            if not there and any(d.id in {x.dataset for x in plan.located} for d in self._tables):
                raise Drifted("the step is not open", about=self._about(step), next_step="locate again")
            receipts.stamp(connection, step.id)
            live = Live.read(connection)
            self._planned = Counter({x.dataset: x.items for x in plan.located})
            if not receipts.read(connection, step.id, self.id):
                self._check(connection, area, there, plan)
            some = with_items(connection, area, there)
            led = self.led(self._server, connection, live, area, some)
            # On most nights nothing is due of most tables: where nothing was located, nothing is come to.
            located = {d.id for d in some}
            groups = [
                g for g in keys.in_order(self.catalogue, there, live) if any(d.id in located for d in g)
            ]
            in_files = {d.id for d in some if partitions.are_noted(connection, area, d)}
            with renewing(self._server, self._tables, in_files) as ahead_of_time:
                for n, group in enumerate(groups):
                    if why := self._reads_them(group):
                        self.left |= dict.fromkeys((d.id for d in group), why)
                        continue
                    try:
                        if self._group(connection, area, live, group, step, fingerprint, led):
                            ahead_of_time.begin(group, [d for later in groups[n + 1 :] for d in later])
                    except Stopped:
                        raise
                    except QuietusError as error:  # one dataset's; all others go on
                        if connection.closed:
                            raise
                        self.left |= dict.fromkeys((d.id for d in group), str(error))
                renewed = ahead_of_time.renewed()
            if not receipts.read(connection, step.id, self.id):
                # Nothing was come to: what was located is given up for tonight, and that is said.
                receipts.write(connection, step, "dispose", 0, fingerprint, {})
            counted = {d for r in receipts.read(connection, step.id, self.id) for d in r.counts}
            disposed = {self.catalogue.dataset(d).whole for d in counted}
            stale = {d for d in disposed if self.catalogue.dataset(d).address not in renewed}
            afterwards(connection, self.catalogue, self.id, disposed, stale, self.at)
            receipts.renewed(connection, step.id, fingerprint)
            mine = [r for r in receipts.read(connection, step.id, self.id) if r.plan == fingerprint]
        return receipts.total(step.id, self.id, fingerprint, mine)

    def _check(self, connection: Connection, area: Area, there: Sequence[Dataset], plan: Plan) -> None:
        planned = {x.dataset: (x.items, x.digest) for x in plan.located}
        for dataset, found in digests_of(connection, area, there, begun=False).items():
            if planned.get(dataset, found if not found[0] else None) != found:
                raise Drifted(
                    f"{planned.get(dataset, (0, ''))[0]} items were planned, and {found[0]}, or other ones, are located",
                    about=f"{self.id} {dataset}", next_step="plan again from what is located",
                )  # fmt: skip

    def _reads_them(self, group: Sequence[Dataset]) -> str | None:
        """Why a group waits; None: it may go. Rows that are left to the next night are due then only if what says when their
        clocks began is there still."""
        mine = {d.id for d in group}
        for dataset in self._tables:
            why = self.left.get(dataset.id)
            if why is not None and dataset.id not in mine and self.catalogue.clocks_from(dataset) & mine:
                return STAGED if is_staged(why, gone=1) else LATER.format(dataset.id)
        return None

    def _group(
        self, connection: Connection, area: Area, live: Live, group: Sequence[Dataset], step: Step, plan: str,
        led: Mapping[str, sql.Composable],
    ) -> bool:  # fmt: skip
        """Dispose of all that was located in a group, piece by piece; whether anything was come to, now or before."""
        after = max((upto(connection, step, d) for d in group), default=0)
        if len(group) > 1:
            self._unpack(connection, area, group, after)
        named = [d.id for d in group]
        noted = partitions.are_noted(connection, area, group[0])
        if noted and (why := partitions.why_not(connection, area, group[0])) is not None:
            self.by_rows[group[0].id] = why
        in_order = None if noted else after  # up to which place; None: all. Whole partitions keep their order
        while (found := self._next(connection, area, live, group, after, in_order, noted=noted)) is not None:
            part, in_order = found
            self.may_go_on()
            self._breath.take(connection)  # before the holds are asked for: one may come meanwhile
            piece = self._piece(connection, live, group, step, led)
            if not self._whole(piece) and self._unpack(connection, area, group, after):
                if noted:
                    self.by_rows.setdefault(group[0].id, CAREFULLY)
                noted = False
                continue
            if noted and (whole := partitions.next_(connection, area, group[0], after)) is not None:
                if self._dropped(connection, area, piece, whole, plan):
                    after = whole.upto
                continue
            if (may := self._that_may_go(connection, area, group, after, part)) is None:
                self.left |= dict.fromkeys((d.id for d in group), STAGED)
                return after > 0
            part, few = may
            began = time.monotonic()
            try:
                done = self._one(connection, area, piece, after, part, plan)
            except QuietusError as error:
                self.budget(-few, *named)
                if connection.closed or not isinstance(error, NotReachable) or not self.size.halve():
                    raise
                continue
            if done is None:  # something falls out of it: again, with care
                self.budget(-few, *named)
                continue
            self.size.took(time.monotonic() - began, part.items)
            self.budget(-(done[NOT_DUE] + done[NEEDED]), *named)  # what was passed over may be others'
            after = part.upto
        receipts.stamp(connection, step.id)
        return after > 0

    def _oldest_first(
        self, connection: Connection, area: Area, live: Live, group: Sequence[Dataset], after: int
    ) -> int | None:  # fmt: skip
        """Where not all of a group may go tonight, what fell due first comes next; up to which place. None: to the end."""
        most = self.at_most(*(d.id for d in group))
        if self.since is None or not most or (not after and most >= sum(self._planned[d.id] for d in group)):
            return None
        there, looks = with_items(connection, area, group), self._of_now(connection, live)
        if not there or any(d.id not in looks for d in there):
            return None
        return oldest_first(connection, area, there, looks, self.since, most, after)

    def _next(
        self, connection: Connection, area: Area, live: Live, group: Sequence[Dataset], after: int, in_order: int | None,
        *, noted: bool,
    ) -> tuple[Part, int | None] | None:  # fmt: skip
        """The next piece, and up to which place all are in order now. ``noted``: partitions of its dataset may go whole, and
        each begins one."""
        if in_order is not None and after >= in_order:
            in_order = self._oldest_first(connection, area, live, group, after)
        edge = partitions.begins(connection, area, group[0], after) if noted else in_order
        part = ahead(connection, area, group, after, self.size.items, edge)
        return None if part is None else (part, in_order)

    def _that_may_go(
        self, connection: Connection, area: Area, group: Sequence[Dataset], after: int, part: Part
    ) -> tuple[Part, int] | None:
        """As much of the next piece as may go tonight, and what it took of the budget; None: nothing may."""
        named = [d.id for d in group]
        if (few := self.budget(part.items or self.size.items, *named)) == 0:
            return None
        if few < part.items:
            part = ahead(connection, area, group, after, few) or part
            if 0 < part.items < few:  # whole packs; what else may go is the next piece's
                self.budget(part.items - few, *named)
                few = part.items
        if not part.items:  # of a pack that has more than may go now, or than a piece
            part = Part(*packs.part_in_two(connection, area, group[0], after, few))
        return part, few

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
        self, connection: Connection, area: Area, piece: Piece, after: int, part: Part, plan: str
    ) -> Counter[str] | None:
        """REPEATABLE READ: a row that somebody changes meanwhile ends in another try, never in a blind delete. In one statement
        until something falls out of a piece: None, and nothing was done; from then on with care."""
        as_it_was = psycopg.IsolationLevel.REPEATABLE_READ
        if self._whole(piece):
            done = self._server.retrying(
                lambda: self._committed(
                    connection, piece, as_it_was,
                    lambda n: piece.at_once(connection, area, after, part.upto, part.items, n, plan),
                )
            )  # fmt: skip
            if done is None:
                self._careful.add(piece.datasets[0].id)
            return done
        return self._server.retrying(
            lambda: self._committed(
                connection, piece, as_it_was, lambda n: piece.carry_out(connection, area, after, part.upto, n, plan)
            )
        )  # fmt: skip

    def _dropped(self, connection: Connection, area: Area, piece: Piece, whole: Whole, plan: str) -> bool:
        """Whether a partition went with its files. If not, its rows are the next pieces, and ``by_rows`` says why."""
        (dataset,) = piece.datasets
        few = self.budget(whole.items, dataset.id)
        why = STAGED
        if few == whole.items and dataset.effects:
            why = "what deleting its rows does elsewhere is declared"
        elif few == whole.items:
            try:
                self._server.retrying(
                    lambda: self._committed(
                        connection, piece, psycopg.IsolationLevel.READ_COMMITTED,
                        lambda n: with_its_files(connection, area, piece, whole, n, plan),
                    ),
                    TRIES,
                )  # fmt: skip
                return True
            except QuietusError as error:
                if connection.closed:
                    raise
                why = str(error)
        self.budget(-few, dataset.id)
        self.by_rows[dataset.id] = why
        partitions.forget(connection, area, dataset, whole.after)
        return False

    def _committed(
        self, connection: Connection, piece: Piece, isolation: psycopg.IsolationLevel,
        work: Callable[[int], Counter[str] | None],
    ) -> Counter[str] | None:  # fmt: skip
        """What ``work`` did in a transaction, given the number of its receipt; None: it was rolled back."""
        done: Counter[str] | None = None
        with self._server.reaching(piece.about):
            try:
                connection.isolation_level = isolation
                with connection.transaction() as transaction:
                    (chunk,) = one(connection.execute(
                        "SELECT coalesce(max(chunk) + 1, 0) FROM quietus.receipt WHERE step = %s AND verb = 'dispose'",
                        [piece.step.id],
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

    # --- after -------------------------------------------------------------------------------------

    def settled(self, step: Step) -> Survey:
        """The items of datasets that were begun and not finished are given up for this night: they leave the area too."""
        area = Area.of(step.id)
        with self._server.connect() as connection, self._server.reaching(self._about(step)):
            there = self._there(connection, area)
            begun = bool(receipts.read(connection, step.id, self.id))
            if begun:
                for dataset in with_items(connection, area, there):
                    self._give_up(connection, area, dataset, upto(connection, step, dataset))
            found = digests_of(connection, area, there, begun=begun)
        return self._survey(step, found)

    def _give_up(self, connection: Connection, area: Area, dataset: Dataset, after: int) -> None:
        """What lies after the last place that was dealt with leaves the area."""
        if packs.packed(connection, area, [dataset]):
            if packs.are_left(connection, area, dataset, after):
                with connection.transaction():
                    packs.give_up(connection, area, dataset, after)
                    (found,) = packs.digests(connection, area, [dataset]).values()
                    packs.remember(connection, area, dataset, found)
            return
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
            return told(connection, receipts.read(connection, step.id, self.id))

    def close(self, step: Step) -> None:
        with self._server.connect() as connection, self._server.reaching(self._about(step)):
            close_area(connection, step.id)

    # --- what is there -----------------------------------------------------------------------------

    @property
    def _tables(self) -> tuple[Dataset, ...]:
        return self.catalogue.of_store(self.id, DatasetKind.TABLE)

    def _there(self, connection: Connection, area: Area) -> tuple[Dataset, ...]:
        """The datasets that have a key table."""
        known = relations(connection, area)
        return tuple(d for d in self._tables if d.id in known)

    def _tried(self, connection: Connection, area: Area) -> tuple[Dataset, ...]:
        """The datasets of which a try before this one left anything in the area."""
        known = {table.partition("#")[0] for table in relations(connection, area)}
        return tuple(d for d in self._tables if d.id in known)

    def _about(self, step: Step) -> str:
        return f"step {step.id} of {step.case_no} in store {self.id}"
