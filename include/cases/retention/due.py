"""What is due on a day, per rule and dataset: found by the stores, judged by the interval of each group of items.

Read only. A store finds with the newest day that is over; the judge counts the days again, one group at a time. If the two do
not agree nothing is told but that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import partial

from include.cases.accounts import home
from include.cases.retention import objects, records
from include.cases.retention.accepted import Accepted, Asked
from include.cases.retention.held import HeldPeople
from include.cases.retention.limits import binds, bounded, question
from include.cases.retention.silent import why as in_words
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import BooksDoNotBalance, CatalogueError, NotReachable, QuietusError
from include.model.estate import Dataset
from include.model.flow import Finding
from include.model.interval import DECIDE, Interval, Standing, collided, interval
from include.model.retention import Clock, Group, Question
from include.model.words import DatasetKind, Role, StoreKind
from include.stores.postgres.live import Live
from include.stores.postgres.retention.begun import Begun, begun
from include.stores.postgres.retention.look import ROWS, Look, look
from include.stores.postgres.retention.needs import Held
from include.stores.postgres.retention.ownerless import ownerless
from include.stores.postgres.retention.paths import Paths
from include.stores.postgres.retention.shape import as_it_was, shape
from include.stores.postgres.retention.starts import kinds
from include.stores.postgres.retention.unreadable import unreadable
from include.stores.postgres.server import Connection, Server
from include.stores.s3.once import Once

DAY = timedelta(days=1)
LISTINGS = 2  # buckets that are listed at a time
UNREADABLE = (
    "{} rows have a date that is none, by which no clock can begin: infinite, or not of the years 2 to 8999. They are not due,"
    " and all others are judged. Next: put the right date into the column of the dataset that starts its period"
)
NEVER = (
    "{} rows have no date by which a clock could begin, or one of a far year, and nobody is left who would write it: whoever they"
    " belonged to left long ago. They are never due. Next: put the right date into the column that starts their period, or bind"
    " the dataset to the end of the account, too; `quietus retention starts` tells the columns"
)
UNCOUNTED = "how many of its clocks have not begun could not be counted ({}); the next night counts again"
OWNERLESS = (
    "{} rows of several owners are nobody's any more, so no clock of theirs can begin: the row of each party went before them. "
    "Bind them to a date of their own (`start`), by which they go"
)


Schemas = dict[str, tuple[Live, dict[str, str]]]
"""Store -> its schema and the types of its starting points, for several questions of one moment."""


@dataclass(frozen=True)
class Judged:
    """A group of items of one dataset, with the interval that its rules leave."""

    dataset: str
    interval: Interval
    held: bool
    items: int
    clocks: tuple[Clock, ...] = ()  # of its binds, in their order
    unfinished: bool = False  # uploads that were never finished
    objected: bool = False  # of people who object to the handover

    @property
    def rule(self) -> str:
        """The rule that says by when it must go."""
        return self.interval.ended_by.name if self.interval.ended_by else "none"


@dataclass
class Seen:
    """What was seen of an estate, and what was not: a dataset that could not be asked is no zero."""

    as_of: date
    judged: list[Judged] = field(default_factory=list)
    unverified: dict[str, str] = field(default_factory=dict)  # dataset -> why
    shapes: dict[str, dict[str, str]] = field(default_factory=dict)  # store -> place -> type
    starts: list[Begun] = field(default_factory=list)  # of clocks that have not begun, if it was asked
    schemas: Schemas = field(default_factory=dict)

    def findings(self) -> list[Finding]:
        """Conflicts between statutes, explained by the two that collide; a person decides."""
        found: Counter[tuple[str, str]] = Counter()
        for it in self.judged:
            if it.interval.conflict:
                found[it.dataset, collided(it.interval.conflict)] += it.items
        unruled: Counter[str] = Counter()
        for it in self.judged:
            if not it.interval.ruled:
                unruled[it.dataset] += it.items
        return [
            Finding(
                code="no_rule", dataset=dataset, place=dataset, items=items,
                what="no rule says anything of these items: none of the starting points returns them",
                next_step="bind a rule that reaches them, or let a starting point return them",
            )
            for dataset, items in sorted(unruled.items())
        ] + [
            Finding(
                code="empty_interval", dataset=dataset, place=dataset, items=items, what=what,
                next_step=DECIDE,
            )
            for (dataset, what), items in sorted(found.items())
        ]  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One line of the table that ops reads. ``oldest``: the first day on which one of them was due. ``late``: of periods under
    a day, the minutes since the first of them was over."""

    rule: str
    dataset: str
    due: int
    overdue: int
    oldest: date | None
    held: int
    basis: str  # law, or company period
    late: int | None = None

    def told(self) -> dict[str, object]:
        return {
            "rule": self.rule, "dataset": self.dataset, "due": self.due, "overdue": self.overdue,
            "oldest": self.oldest, "held": self.held, "basis": self.basis,
        }  # fmt: skip


Known = Callable[[str], None]


def see(
    catalogue: Catalogue, connections: Connections, as_of: date, *, held: HeldPeople | None = None,
    everything: bool = False, bare: bool = False, rows: int = ROWS, say: Known = lambda _: None, once: Once | None = None,
    accepted: Accepted | None = None, only: Collection[str] | None = None,
    starts: bool = False, strays: bool = True, schemas: Schemas | None = None,
) -> Seen:  # fmt: skip
    """Ask every store about every dataset. ``everything``: how all items stand, not only what is due; ``bare``: also rows that
    were cut. ``once``: what buckets were seen to hold, for several questions of one moment with the same holds. ``accepted``: of
    records in files, whose owner accepted what; None: as the accounts say it now. ``only``: these datasets; None: all.
    ``starts``: also which clocks have not begun, by the statements that look for dates that are none. ``strays``: whether rows
    are counted whose date is none, or that nobody owns any more; they are the same on any day. ``schemas``: what was read of the
    same moment before."""
    catalogue, once = catalogue.in_parts, once or Once()
    seen = Seen(as_of, schemas=schemas if schemas is not None else {})

    def one(server: Server, connection: Connection, it: Look) -> str | None:
        groups = look(server, connection, it, rows)
        judged = judge(catalogue, it.dataset, as_of, groups, everything=everything)
        seen.judged += (replace(x, unfinished=isinstance(it, Paths) and it.unfinished) for x in judged)
        if it.dataset.kind is not DatasetKind.TABLE or not (strays or starts):
            return None
        why, found = [], None
        if starts:
            try:
                found = begun(server, connection, it, rows)
                seen.starts += found
            except NotReachable as error:  # it was judged all the same
                why.append(UNCOUNTED.format(error.what))
        many = {
            OWNERLESS: ownerless(server, connection, it, rows),
            UNREADABLE: unreadable(server, connection, it, rows)
            if found is None
            else sum(x.odd for x in found),
            NEVER: sum(x.never for x in found or ()),
        }
        why += [said.format(n) for said, n in many.items() if n]
        return objects.Partly("; ".join(why)) if why else None

    def questions(dataset: Dataset) -> Question | None:
        if only is not None and dataset.id not in only:
            return None
        return question(catalogue, dataset, as_of, everything=everything, bare=bare)

    people, accepted = held or HeldPeople(), accepted or Asked(catalogue, connections)
    with ThreadPoolExecutor(LISTINGS) as pool:
        for dataset in catalogue.datasets if not everything else ():
            if dataset.kind is DatasetKind.OBJECTS and (only is None or dataset.id in only):
                _begin_listing(catalogue, connections, dataset, once, pool, rows)
        seen.unverified = ask(
            catalogue, connections, questions, people, one, say, once, seen.shapes, seen.schemas
        )
    for dataset in catalogue.datasets:
        wanted = only is None or dataset.id in only
        if wanted and dataset.kind is DatasetKind.RECORDS and dataset.id not in seen.unverified:
            say(dataset.id)
            if why := _records(
                catalogue, connections, dataset, seen, people, accepted, once, everything=everything
            ):
                seen.unverified[dataset.id] = why
    return seen


def _begin_listing(
    catalogue: Catalogue, connections: Connections, dataset: Dataset, once: Once, pool: ThreadPoolExecutor, paths: int
) -> None:  # fmt: skip
    """A bucket is listed while the tables are asked. What cannot be is told when its turn comes."""
    try:
        client = connections.s3(catalogue.store(dataset.store).connection, Role.PROVER)
    except QuietusError:
        return
    once.begin_listing(client, dataset, pool, paths)


def _records(
    catalogue: Catalogue, connections: Connections, dataset: Dataset, seen: Seen, held: HeldPeople, accepted: Accepted,
    once: Once, *,
    everything: bool,
) -> str | None:  # fmt: skip
    """Judge the records of shared files, which say by themselves when they are due. Why not all of them could be judged."""
    try:
        asked = records.aging(catalogue, dataset, seen.as_of, held, accepted)
        groups, said = records.groups(records.logs(catalogue, connections, asked, once))
        found = list(judge(catalogue, dataset, seen.as_of, groups, everything=True))
    except QuietusError as error:
        return in_words(error)
    told = (Standing.DUE, Standing.CONFLICT)
    seen.judged += [it for it in found if everything or it.interval.stands(seen.as_of) in told]
    return said[0] if said else None


def ask(
    catalogue: Catalogue, connections: Connections, questions: Callable[[Dataset], Question | None], held: HeldPeople,
    one: Callable[[Server, Connection, Look], str | None], say: Known = lambda _: None, once: Once | None = None,
    shapes: MutableMapping[str, dict[str, str]] | None = None, schemas: Schemas | None = None,
) -> dict[str, str]:  # fmt: skip
    """Put a question about each table, and about the paths of objects, to its database, in sessions that cannot write.
    What could not be asked, and why; a store that does not answer leaves all of its datasets so. ``questions``: None for a
    dataset that is not asked about; ``one``: says why a part of a table could not be judged, or nothing; ``shapes``: where
    to write down, by store, what was judged by; ``schemas``: what was read of the same moment before, kept there."""
    once, seen = once or Once(), shapes if shapes is not None else {}
    schemas = schemas if schemas is not None else {}
    unverified: dict[str, str] = {}
    asked: dict[str, Question] = {}
    for dataset in catalogue.datasets:
        try:
            if (about := questions(dataset)) is not None:
                asked[dataset.id] = about
        except CatalogueError as error:
            unverified[dataset.id] = str(error)
    for store in catalogue.stores:
        if store.kind is not StoreKind.POSTGRES:
            continue
        known = [d for d in catalogue.datasets if d.id in asked or d.id in unverified]
        of_it = [
            d for d in known if d.kind is not DatasetKind.RECORDS and answering(catalogue, d) == store.id
        ]
        ours = [d for d in of_it if d.id in asked]
        server = Server(lambda c=store.connection: connections.postgres(c, Role.PROVER), store.id)  # type: ignore[misc]
        try:
            with server.connect() as connection:
                connection.execute("SET default_transaction_read_only = on")
                live, types = _schema(schemas, connection, store.id)
                for dataset in ours:
                    say(dataset.id)
                    try:
                        it = look_at(catalogue, server, connection, live, asked[dataset.id], held, types)
                        seen.setdefault(store.id, {}).update(shape(catalogue, live, dataset))
                        if dataset.kind is DatasetKind.TABLE:
                            why = one(server, connection, it)
                        else:
                            why = objects.ask(it, connections, partial(one, server, connection), once)
                        if why:
                            unverified[dataset.id] = why
                    except BooksDoNotBalance:
                        raise
                    except QuietusError as error:
                        unverified[dataset.id] = in_words(error)
        except NotReachable as error:
            unverified |= dict.fromkeys((d.id for d in of_it), in_words(error))
    return unverified


def _schema(schemas: Schemas, connection: Connection, store: str) -> tuple[Live, dict[str, str]]:
    if store not in schemas:
        schemas[store] = Live.read(connection), {}
    return schemas[store]


def answering(catalogue: Catalogue, dataset: Dataset) -> str:
    """The database that knows when the clocks of a dataset started: its own, or that of the accounts."""
    of = catalogue.store(dataset.store)
    return of.id if of.kind is StoreKind.POSTGRES else home(catalogue).store


def look_at(
    catalogue: Catalogue,
    server: Server,
    connection: Connection,
    live: Live,
    asked: Question,
    held: HeldPeople,
    types: MutableMapping[str, str] | None = None,
) -> Look:
    """The question about one dataset as a look of its store, with whom the holds name in it. ``types``: what the store said of
    its starting points already. Raises CatalogueError if the table is not of the shape that nights knew."""
    dataset = catalogue.dataset(asked.dataset)
    as_it_was(catalogue, live, dataset, server.store)
    queries = sorted({x.start.query for x in asked.limits if x.start and x.start.query})
    with server.reaching(f"{server.store} {asked.dataset}"):
        of = kinds(connection, catalogue, queries, asked.as_of, types)
    everybody, people = named(catalogue, held, dataset)
    others = {d.id: Held(*named(catalogue, held, d)) for d in leading_through(catalogue, dataset)}
    return Look(catalogue, live, dataset, asked, of, people, everybody, others, held.released)


def leading_through(catalogue: Catalogue, dataset: Dataset) -> tuple[Dataset, ...]:
    """The tables of its store whose rows are known by its rows, also through others."""
    tables = catalogue.of_store(dataset.store, DatasetKind.TABLE)
    below: dict[str, set[str]] = {}
    for d in tables:
        for link in d.links:
            if link.via is not None:
                below.setdefault(link.via, set()).add(d.id)
    found, new = {dataset.id}, {dataset.id}
    while new := set[str]().union(*(below.get(id, ()) for id in new)) - found:
        found |= new
    return tuple(d for d in tables if d.id in found and d.id != dataset.id)


def named(catalogue: Catalogue, held: HeldPeople, dataset: Dataset) -> tuple[bool, tuple[str, ...]]:
    """Whether the holds name everybody in a dataset, and else whom; with what its keys open. A row is the least that can be held:
    whatever covers it covers its columns that end by themselves."""
    row = catalogue.dataset(dataset.whole)
    return held.of(dataset, row, *catalogue.opened_by(row.id))


def judge(
    catalogue: Catalogue, dataset: Dataset, as_of: date, groups: Iterable[Group], *, everything: bool = False
) -> Iterator[Judged]:
    """The groups with their intervals. Raises BooksDoNotBalance if a store calls due what the calendar does not."""
    of = tuple(binds(catalogue, dataset))
    merged: Counter[Group] = Counter()
    for group in groups:
        merged[group.model_copy(update={"items": 0})] += group.items
    for group, items in merged.items():
        it = interval(bounded(of, group))
        stands = it.stands(as_of)
        if not everything and stands not in (Standing.DUE, Standing.CONFLICT, Standing.NO_RULE):
            raise BooksDoNotBalance(
                f"the store calls {items} items due that are {stands.value}", about=dataset.id,
                next_step="this is a fault of the query; report it, and dispose of nothing by it",
            )  # fmt: skip
        yield Judged(dataset.id, it, group.held, items, group.clocks)


def table(seen: Seen) -> list[Row]:
    """Per rule and dataset, what is due; overdue is what last night should have taken, and nothing holds."""
    found: dict[tuple[str, str], list[Judged]] = {}
    for it in seen.judged:
        if it.interval.stands(seen.as_of) is Standing.DUE:
            found.setdefault((it.rule, it.dataset), []).append(it)
    return [_row(key, of, seen.as_of) for key, of in sorted(found.items())]


def _row(key: tuple[str, str], of: Sequence[Judged], as_of: date) -> Row:
    free = [x for x in of if not x.held]
    oldest = min((x.interval.latest for x in free if x.interval.latest), default=None)
    ended_by = of[0].interval.ended_by
    return Row(
        *key,
        due=sum(x.items for x in free),
        overdue=sum(x.items for x in free if x.interval.latest and x.interval.latest < as_of - DAY),
        oldest=oldest + DAY if oldest else None,
        held=sum(x.items for x in of if x.held),
        basis="company period" if ended_by and ended_by.company else ended_by.law if ended_by else "",
    )
