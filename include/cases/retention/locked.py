"""Whether all that is due is kept by locks: then a night would open a case to dispose of nothing.

Object Lock keeps a version until a day, and rows that lead to a locked object stay with it (``behind``). A night that finds
nothing else opens no case; it says what is locked, and until when. Whatever is not known to be locked is taken for something that
may go: the night that is opened then finds out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from psycopg import sql

from include.cases.retention.asking import Asking
from include.cases.retention.behind import ROW, leads, whose
from include.cases.retention.paths_due import PathsDue
from include.cases.retention.stayed import NEEDED, locked
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import QuietusError
from include.model.estate import Dataset
from include.model.template import Template
from include.model.times import prc_date
from include.model.words import DatasetKind, Role
from include.stores.postgres.area import same_key
from include.stores.postgres.live import Live
from include.stores.postgres.retention.look import Look
from include.stores.postgres.retention.needs import needs
from include.stores.postgres.retention.owners import Owners
from include.stores.postgres.server import Server, joined, name
from include.stores.s3.area import Area
from include.stores.s3.clearing.finding import due_items, path_of
from include.stores.s3.items import Item
from include.stores.s3.server import Patience
from include.stores.s3.site import AHEAD, Site
from include.stores.s3.wiring import no_keys

Kept = Mapping[str, tuple[int, str]]
"""Dataset -> how many items stay, and why, in words."""
WORK = "quietus-work"


@dataclass
class Locked:
    """One look, as the eraser, who will be refused."""

    catalogue: Catalogue
    connections: Connections
    about: Asking
    _until: dict[str, date] = field(default_factory=dict)

    def all_of(self, due: Mapping[str, int]) -> Kept | None:
        """What is due, by dataset, if locks keep all of it; None if something may go, or nobody can say."""
        objects = [d for d in self.catalogue.datasets if due.get(d.id) and d.kind is DatasetKind.OBJECTS]
        others = [d for d in self.catalogue.datasets if due.get(d.id) and d.kind is not DatasetKind.OBJECTS]
        reads = leads(self.catalogue)
        led = frozenset[str]().union(*(reads[d.id] for d in objects))
        if not objects or any(d.kind is not DatasetKind.TABLE for d in others):
            return None
        try:
            people: set[str] = set()
            for dataset in objects:
                if not self._locked(dataset, people):
                    return None
            for store in dict.fromkeys(d.store for d in others):
                if not self._needed(store, [d for d in others if d.store == store], led, people):
                    return None
        except QuietusError:
            return None
        return {
            **{d.id: (due[d.id], locked(due[d.id], self._until.get(d.id))) for d in objects},
            **{d.id: (due[d.id], NEEDED) for d in others},
        }

    def _locked(self, dataset: Dataset, people: set[str]) -> bool:
        """Whether every version that is due is locked. ``people``: whose they are, who are added."""
        client = self.connections.s3(self.catalogue.store(dataset.store).connection, Role.ERASER)
        site = Site(client, Area(client, WORK, dataset.store, Patience()), Patience(), no_keys)
        if not site.locking(dataset.address):
            return False
        paths: dict[tuple[str, ...], int] = {}
        template = Template(dataset.prefix)
        for items in _some(due_items(client, dataset, PathsDue(self.about, self.connections))):
            if any(item.kind == "upload" for item in items):
                return False
            versions = [item for item in items if item.kind == "version"]
            for end, legal_hold in site.locks(dataset.address, versions):
                if end is None and not legal_hold:
                    return False
                if end is not None:
                    self._until[dataset.id] = max(prc_date(end), self._until.get(dataset.id, date.min))
            # A marker without anything under it goes.
            if {i.key for i in items if i.kind == "marker"} - {i.key for i in versions}:
                return False
            paths |= dict.fromkeys((path_of(template, item) for item in items), 1)
        people |= whose(self.about, self.connections, dataset, paths) if paths else set()
        return bool(paths)

    def _needed(self, store: str, tables: list[Dataset], led: frozenset[str], people: set[str]) -> bool:
        """Whether every row that is due leads to an object of one of these people, or one that does refers to it."""
        declared = self.catalogue.store(store)
        server = Server(lambda: self.connections.postgres(declared.connection, Role.ERASER), store)
        with server.connect() as connection, server.reaching(store):
            connection.execute("SET default_transaction_read_only = on")
            live = Live.read(connection)
            looks = self.about.looks(server, connection, live)
            if any(table.id not in looks for table in tables):
                return False
            return not any(
                connection.execute(self._free(live, table, looks, led, sorted(people))).fetchone()
                for table in tables
            )

    def _free(
        self, live: Live, table: Dataset, looks: Mapping[str, Look], led: frozenset[str], people: list[str]
    ) -> sql.Composed:
        """SELECT of a row that is due and that nothing which stays is known to need."""
        owners = Owners(self.catalogue, live)
        leading = {
            d.address: d for d in self.catalogue.of_store(table.store, DatasetKind.TABLE) if d.id in led
        }
        ways: list[sql.Composable] = [owners.among(table, ROW, people)] if table.id in led else []
        ways += [
            sql.SQL("EXISTS (SELECT FROM {} AS ct WHERE {} AND {})").format(
                name(need.child), need.refers, owners.among(leading[need.child], "ct", people)
            )
            for need in needs(self.catalogue, live, [table], looks)
            if need.child in leading and need.child != table.address and table.cut is None  # else it is cut
        ]
        look = looks[table.id]
        return sql.SQL("SELECT 1 FROM ({due}) AS d JOIN {table} AS {row} ON {key} WHERE NOT ({kept}) LIMIT 1").format(
            due=look.due_rows(look.between(None, None)), table=name(table.address), row=sql.Identifier(ROW),
            key=same_key(ROW, "d", table), kept=joined(" OR ", ways) if ways else sql.SQL("false"),
        )  # fmt: skip


def _some(items: Iterator[Item]) -> Iterator[list[Item]]:
    """Whole keys, some hundred items at a time."""
    batch: list[Item] = []
    for item in items:
        if len(batch) >= AHEAD and item.key != batch[-1].key:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch
