"""Which rows of bags objects that stay lead through: by these it is known whose they are, and when their clocks began. So such a
row stays while an object of one of its owners does, due or not. An object whose path leads to nobody needs no row; the books
name it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice

from psycopg import sql

from include.cases.retention.behind import ROW, leads
from include.cases.retention.held import HeldPeople
from include.cases.retention.paths_due import PathsDue, asking
from include.cases.rooms import Desk
from include.handover.sources import Sources
from include.model.estate import Dataset
from include.model.words import Role
from include.stores.postgres.area import Area
from include.stores.postgres.live import Live
from include.stores.postgres.retention.owners import Owners
from include.stores.postgres.server import Connection, Server, joined
from include.stores.s3.inventory import Inventory, Values
from include.stores.s3.server import reaching

PATHS = 20_000  # keys that are asked about at a time


@dataclass
class Lying:
    """What lies of a dataset of objects. By the bag with which it goes (None: it stays, whatever goes): how many items, and whose
    they are. ``through``: the tables that it leads through."""

    dataset: str
    through: frozenset[str]
    items: Counter[str | None] = field(default_factory=Counter)
    people: dict[str | None, set[str]] = field(default_factory=dict, repr=False)

    def staying(self, going: Iterable[str]) -> tuple[int, set[str]]:
        """How many items stay if these bags go, and whose."""
        left = self.items.keys() - set(going)
        return sum(self.items[b] for b in left), set[str]().union(*(self.people.get(b, ()) for b in left))


def lying(
    desk: Desk, sources: Sources, tables: Iterable[str], role: Role, held: HeldPeople | None
) -> list[Lying]:  # fmt: skip
    """All objects that lead through one of these tables. ``held``: whom holds name, by which it is told what goes with a bag;
    None: nothing goes any more, all that lies there stays. Raises NotReachable, Refused."""
    wanted = set(tables)
    found = []
    for objects, through in sorted(leads(desk.catalogue).items()):
        if through & wanted:
            found.append(_lying(desk, sources, Lying(objects, through), role, held))
    return found


def _lying(desk: Desk, sources: Sources, of: Lying, role: Role, held: HeldPeople | None) -> Lying:
    dataset = desk.catalogue.dataset(of.dataset)
    store = desk.catalogue.store(dataset.store)
    goes = None
    if held is not None and sources.has_bags(of.dataset):
        goes = PathsDue(sources.paths(held), desk.connections, role=role)
    with reaching(f"{store.id} {of.dataset}"):
        inventory = Inventory(desk.connections.s3(store.connection, role), dataset)
        for batch in _batches(inventory):
            going = goes(dataset, sorted({path for _, path, _ in batch})) if goes else {}
            paths: dict[str | None, set[Values]] = {}
            for key, path, items in batch:
                bag = sources.bag_at(of.dataset, key) if path in going else None
                of.items[bag] += items
                paths.setdefault(bag, set()).add(path)
            with _whose(desk, sources, dataset, role) as owners:
                for bag, those in paths.items():
                    of.people.setdefault(bag, set()).update(owners(those))
    return of


def _batches(inventory: Inventory) -> Iterator[list[tuple[str, Values, int]]]:
    """Keys with their paths and items, some thousands at a time; what is of no path leads nowhere."""
    keys = inventory.keys()
    while some := list(islice(keys, PATHS)):
        matched = ((key, inventory.template.match(key), n) for key, n in some)
        yield [(k, tuple(v[x] for x in inventory.variables), n) for k, v, n in matched if v is not None]


@contextmanager
def _whose(
    desk: Desk, sources: Sources, dataset: Dataset, role: Role
) -> Iterator[Callable[[Iterable[Values]], set[str]]]:
    """Says who owns paths."""
    with asking(desk.catalogue, desk.connections, dataset, role) as (server, connection):
        look = sources.by_days().paths(server, connection, Live.read(connection), dataset, HeldPeople())

        def owners(paths: Iterable[Values]) -> set[str]:
            rows = connection.execute(look.of(dict.fromkeys(paths, 1)).everybody()).fetchall()
            return {str(id_) for (id_,) in rows}

        yield owners


@dataclass
class LedThrough:
    """Which rows objects need that lie there now, as conditions (``include.stores.postgres.clearing.Led``); asked as the eraser,
    once the objects of the case are gone. What cannot be asked stops the case: a bag goes whole or not at all."""

    desk: Desk
    sources: Sources

    def __call__(
        self, server: Server, connection: Connection, live: Live, area: Area, located: Sequence[Dataset]
    ) -> Mapping[str, sql.Composable]:
        owners, ways = Owners(self.desk.catalogue, live), dict[str, list[sql.Composable]]()
        for of in lying(self.desk, self.sources, (d.id for d in located), Role.ERASER, None):
            _, people = of.staying(())
            for table in located if people else ():
                if table.id in of.through:
                    ways.setdefault(table.id, []).append(owners.among(table, ROW, sorted(people)))
        return {table: joined(" OR ", them) for table, them in ways.items()}
