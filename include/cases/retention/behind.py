"""Rows that an object in a bucket leads through: they say whose it is, and when its period began. Objects go first, in the same
night; a row stays while an object stays that needs it. Without it the object would lie there and nothing would call it due.

A row of such a table is needed
- while an object of one of its owners is due and still there: locked, held, refused, or in a bucket that could not be asked;
- while any object is there that is found by it, and by no row that stays (a signed document, by its last parties).

An object that is not due yet needs no row that is due: its own clock, which starts by the latest of them, has not run out either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from include.cases.accounts import home
from include.cases.retention.asking import Asking
from include.cases.retention.held import HeldPeople
from include.cases.retention.paths_due import asking
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import NotReachable, QuietusError
from include.model.estate import Dataset, Link
from include.model.words import DatasetKind, Role, StoreKind
from include.stores.postgres.area import Area, same_key
from include.stores.postgres.live import Live
from include.stores.postgres.retention.owners import Owners
from include.stores.postgres.server import Connection, Server, joined, name
from include.stores.s3.inventory import Inventory

PATHS = 20_000  # that are asked about at a time
ROW = "pt"  # the row that a condition is about

Values = tuple[str, ...]


def leads(catalogue: Catalogue) -> dict[str, frozenset[str]]:
    """Dataset of objects -> the tables that its link or starting point reads, and the accounts."""
    found: dict[str, frozenset[str]] = {}
    for dataset in catalogue.datasets:
        if (
            catalogue.store(dataset.store).kind is StoreKind.POSTGRES
            or dataset.kind is not DatasetKind.OBJECTS
        ):
            continue
        above = {home(catalogue).id, *_above(catalogue, dataset)}
        found[dataset.id] = catalogue.clocks_from(dataset) | above
    return found


@dataclass
class Needed:
    """What still lies in the buckets, as conditions on rows (``include.stores.postgres.clearing.Led``); asked as the eraser.
    ``whose``: whose of some paths need their rows; without it, of those that are due."""

    about: Asking
    connections: Connections
    whose: Callable[[Connections, Dataset, Mapping[Values, int]], set[str]] | None = None

    def __call__(
        self, server: Server, connection: Connection, live: Live, area: Area, located: Sequence[Dataset]
    ) -> Mapping[str, sql.Composable]:
        tables = {d.id: d for d in located}
        ways: dict[str, list[sql.Composable]] = {}
        for objects, read in leads(self.about.catalogue).items():
            here = [tables[t] for t in sorted(read & tables.keys())]
            if not here:
                continue
            dataset = self.about.catalogue.dataset(objects)
            try:
                found = self._of(dataset, server, connection, live, area, here)
            except NotReachable:
                if connection.closed:
                    raise
                found = {d.id: sql.SQL("true") for d in here}
            except QuietusError:  # nobody can say what is there
                found = {d.id: sql.SQL("true") for d in here}
            for table, way in found.items():
                ways.setdefault(table, []).append(way)
        return {table: joined(" OR ", them) for table, them in ways.items()}

    def _of(
        self, dataset: Dataset, server: Server, connection: Connection, live: Live, area: Area,
        here: Sequence[Dataset],
    ) -> dict[str, sql.Composable]:  # fmt: skip
        """The conditions that one dataset of objects makes on tables."""
        risks = {link.via: _last_rows(connection, area, parent, link)
                 for link in dataset.links for parent in here if link.via == parent.id}  # fmt: skip
        people: set[str] = set()
        kept: dict[str, set[Values]] = {table: set() for table in risks if table}
        store = self.about.catalogue.store(dataset.store)
        inventory = Inventory(self.connections.s3(store.connection, Role.ERASER), dataset)
        for tally in inventory.tallies(PATHS):
            people |= self._whose(dataset, tally)
            for link in dataset.links:
                if link.via in kept:
                    at = [inventory.variables.index(mine) for mine in link.on]
                    kept[link.via] |= risks[link.via] & {tuple(path[i] for i in at) for path in tally}
        owners = Owners(self.about.catalogue, live)
        found: dict[str, sql.Composable] = {}
        for table in here:
            ways = [owners.among(table, ROW, sorted(people))] if people else []
            ways += [
                _found_by(link, kept[link.via])
                for link in dataset.links
                if link.via == table.id and kept[table.id]
            ]
            if ways:
                found[table.id] = sql.SQL("({})").format(joined(" OR ", ways))
        return found

    def _whose(self, dataset: Dataset, tally: Mapping[Values, int]) -> set[str]:
        if self.whose is not None:
            return self.whose(self.connections, dataset, tally)
        return whose(self.about, self.connections, dataset, tally)


def whose(about: Asking, connections: Connections, dataset: Dataset, tally: Mapping[Values, int]) -> set[str]:
    """Whose of these paths are due, held or not, by days and, on a run by the minute, by that."""
    found: set[str] = set()
    with asking(about.catalogue, connections, dataset) as (server, connection):
        live = Live.read(connection)
        by_days = Asking(about.catalogue, about.as_of, HeldPeople)
        looks = [by_days.paths(server, connection, live, dataset, HeldPeople())]
        if about.at is not None and dataset in about.objects(dataset.store):
            looks.append(about.paths(server, connection, live, dataset, HeldPeople()))
        for look in looks:
            found |= {str(id_) for (id_,) in connection.execute(look.of(tally).owners())}
    return found


def _last_rows(connection: Connection, area: Area, parent: Dataset, link: Link) -> set[Values]:
    """What rows of a table that are to go have in the columns of a link, where no row that stays has the same."""
    theirs = list(link.on.values())
    rows = connection.execute(
        sql.SQL(
            "SELECT DISTINCT {columns} FROM {keys} AS k JOIN {table} AS t ON {key} WHERE NOT EXISTS"
            " (SELECT FROM {table} AS u WHERE {same} AND NOT EXISTS (SELECT FROM {keys} AS o WHERE {other}))"
        ).format(
            columns=joined(", ", (sql.SQL("{}::text").format(name("t", c)) for c in theirs)),
            keys=area.table(parent.id), table=name(parent.address), key=same_key("t", "k", parent),
            same=joined(" AND ", (sql.SQL("{} = {}").format(name("u", c), name("t", c)) for c in theirs)),
            other=same_key("u", "o", parent),
        )
    ).fetchall()  # fmt: skip
    return {tuple(map(str, row)) for row in rows}


def _found_by(link: Link, values: set[Values]) -> sql.Composable:
    """Whether the row has one of these in the columns of a link."""
    columns = joined(", ", (sql.SQL("{}::text").format(name(ROW, c)) for c in link.on.values()))
    arrays = joined(
        ", ",
        (sql.SQL("{}::text[]").format(sql.Literal(list(of))) for of in zip(*sorted(values), strict=True)),
    )
    return sql.SQL("({}) IN (SELECT * FROM unnest({}))").format(columns, arrays)


def _above(catalogue: Catalogue, dataset: Dataset) -> Iterator[str]:
    for link in dataset.links:
        if link.via is not None:
            yield link.via
            yield from _above(catalogue, catalogue.dataset(link.via))
