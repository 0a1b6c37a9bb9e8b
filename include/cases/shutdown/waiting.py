"""What waits when a service ends, though it goes to nobody: what is handed over, or stays, would lose owner or clock by it.

    whole datasets    something of it still goes to the successor; or clocks of what stays start by its rows: a contract's party
                      by whom a chain's anchor counts
    single rows       an object that is still there leads through it; a row of a dataset that waits, or that the order is not
                      about, needs it, also through others

A row that the law keeps here needs its parents, too: as on a night they are cut to a bare key, or stay whole where nothing says
how to cut them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from include.cases.retention.behind import Needed
from include.cases.retention.limits import binds
from include.cases.shutdown.questions import GOES, Ends
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.estate import Dataset
from include.model.words import DatasetKind, Disposition
from include.stores.postgres.area import Area
from include.stores.postgres.live import Live
from include.stores.postgres.retention.needs import Need, needs
from include.stores.postgres.server import Connection, Server, joined, name

STAYING = (Disposition.TRANSFER, Disposition.RETAIN, Disposition.HOLD)


def waiting(
    catalogue: Catalogue, ours: Collection[str], here: Mapping[str, Counter[Disposition]]
) -> dict[str, str]:  # fmt: skip
    """Datasets of the order that wait as a whole, and why. ``ours``: what the order is about; ``here``: by dataset and fate what
    is there now; of one that could not be asked nobody knows. What stays as a whole waits for nothing, whatever hangs on its
    rows: what those need is cut, and does not wait either."""
    found = {
        d: "it could not be asked" if d not in here else f"{here[d][Disposition.TRANSFER]} of it go to the successor first"
        for d in sorted(ours) if d not in here or here[d][Disposition.TRANSFER]
    }  # fmt: skip
    going = {d for d in ours if d in here and any(here[d][x] for x in GOES)}
    for dataset in catalogue.datasets:
        if dataset.id in here and not any(here[dataset.id][d] for d in STAYING):
            continue
        for bind in binds(catalogue, dataset):
            if (
                not bind.period.restrains_deletion
                or bind.bound.start is None
                or bind.bound.start.query is None
            ):
                continue
            for table in set(catalogue.read_by(bind.bound.start.query)) & going - {dataset.id}:
                found.setdefault(
                    table, f"clocks of {dataset.id} start by its rows, and that is not gone here"
                )
    return found


@dataclass
class Led:
    """Which rows wait (``include.stores.postgres.clearing.Led``). ``stays``: datasets that wait, and those that the order is not
    about."""

    ends: Ends
    connections: Connections
    stays: frozenset[str]

    def __call__(
        self, server: Server, connection: Connection, live: Live, area: Area, located: Sequence[Dataset]
    ) -> Mapping[str, sql.Composable]:
        objects = Needed(self.ends, self.connections, self.ends.whose)
        found = {d: [way] for d, way in objects(server, connection, live, area, located).items()}
        for dataset in located:
            for need in self._needed(server, connection, live).get(dataset.address, ()):
                found.setdefault(dataset.id, []).append(
                    sql.SQL("EXISTS (SELECT FROM {} AS ct WHERE {})").format(name(need.child), need.refers)
                )
        return {d: joined(" OR ", ways) for d, ways in found.items()}

    def _needed(self, server: Server, connection: Connection, live: Live) -> dict[str, list[Need]]:
        """Address of a table -> in which ways rows that wait need its rows; of those that wait for that, too."""
        catalogue = self.ends.catalogue
        tables = [d for d in catalogue.of_store(server.store, DatasetKind.TABLE) if d.address in live.tables]
        every = needs(catalogue, live, tables, self.ends.looks(server, connection, live))
        waits = {d.address for d in tables if d.id in self.stays}
        while more := {n.parent for n in every if n.child in waits} - waits:
            waits |= more
        found: dict[str, list[Need]] = {}
        for need in every:
            if need.child in waits:
                found.setdefault(need.parent, []).append(need)
        return found
