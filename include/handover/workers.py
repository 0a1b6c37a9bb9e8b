"""The stores of a source deletion, as the machinery of the nights works on them: objects first, for they lead through rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from include.cases import holds
from include.cases.book import Conn
from include.cases.retention.paths_due import PathsDue
from include.cases.retention.stopping import may_go_on
from include.cases.rooms import Desk
from include.cases.shutdown.orders import Order
from include.handover import addressed
from include.handover.leading import LedThrough
from include.handover.register import Bag
from include.handover.sources import LAW, RULE, Sources
from include.model.errors import Refused
from include.model.estate import Dataset
from include.model.handover import BagKind
from include.stores.postgres.clearing import Clearing as Tables
from include.stores.postgres.live import Live
from include.stores.postgres.retention.look import Look
from include.stores.postgres.server import Connection, Server
from include.stores.s3.aged import Aging
from include.stores.s3.clearing import Clearing as Objects
from include.stores.shared import nowhere

Aside = Callable[[], Collection[str]]


def none_aside() -> Collection[str]:
    """The default for ``aside``."""
    return ()


def rooms(
    desk: Desk, of: Order, bags: Sequence[Bag], conn: Conn, at: Callable[[str], None] = nowhere, *, none: bool = False,
    aside: Aside = none_aside,
) -> list[Objects | Tables]:  # fmt: skip
    """The stores of these bags. ``conn``: of the book, asked before each piece for stops and holds, and whether the
    successor still takes over. ``none``: nothing of them is located, for they were given up. ``aside``: those of which, as of
    now, nothing more goes."""
    sources = Sources(desk, conn, of)

    def looks(server: Server, connection: Connection, live: Live) -> Mapping[str, Look]:
        return {} if none else sources.looks(bags, server, connection, live, aside())

    now: set[str] = set()

    def changes() -> object:
        if bags and not none:
            addressed.still_theirs(conn, of.number, bags[0].statement)
        now.clear()
        now.update(aside())
        return holds.changes(conn), sorted(now)

    def within(
        dataset: Dataset, key: str
    ) -> bool:  # asked of each key, after its paths were: so ``now`` is of this chunk
        bag = sources.bag_at(dataset.id, key)
        return bag in mine and bag not in now

    def stops() -> None:
        may_go_on(conn)

    mine = {b.name for b in bags}
    datasets: dict[BagKind, dict[str, Dataset]] = {BagKind.OBJECTS: {}, BagKind.ROWS: {}}
    for bag in bags:
        dataset = bag.statement.dataset
        datasets[bag.statement.kind][dataset] = sources.catalogue.dataset(dataset)
    objects = [
        Objects(
            sources.catalogue, store, desk.connections,
            [d for d in datasets[BagKind.OBJECTS].values() if d.store == store and not none],
            PathsDue(sources.paths(), desk.connections, changes), _no_records, stops, at=at,
            within=within,
        )
        for store in sorted({d.store for d in datasets[BagKind.OBJECTS].values()})
    ]  # fmt: skip
    tables = [
        Tables(
            sources.catalogue, store, desk.connections, looks, _fates, changes, stops, led=LedThrough(desk, sources), at=at,
        )
        for store in sorted({sources.store_of(d) for d in datasets[BagKind.ROWS]})
    ]  # fmt: skip
    return [*objects, *tables]


def _fates(_: Look, groups: Sequence[tuple[Any, ...]]) -> Sequence[tuple[str, str] | None]:
    return [(RULE, LAW) for _ in groups]


def _no_records(dataset: Dataset) -> Aging:
    raise Refused("records in shared files are in no bag", about=dataset.id)
