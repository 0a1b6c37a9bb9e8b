"""The stores as a shutdown works on them, with the questions that it asks: objects first, for they lead through rows."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

from include.cases import holds
from include.cases.book import Conn
from include.cases.retention.held import held_people
from include.cases.retention.paths_due import PathsDue
from include.cases.retention.readings import Readings
from include.cases.retention.stopping import may_go_on
from include.cases.retention.taken import with_taken
from include.cases.rooms import Desk
from include.cases.shutdown.orders import COMPANY, Order
from include.cases.shutdown.questions import Ends, whole
from include.cases.shutdown.waiting import Led
from include.model.doors import Clearing
from include.model.words import DatasetKind, Role, StoreKind
from include.stores.shared import nowhere


def ends(desk: Desk, of: Order, waits: Collection[str]) -> Ends:
    """The questions about an order's datasets, with the holds of now and the clocks that came with what was taken over.
    ``waits``: those of which nothing goes yet."""
    assert of.closed_on is not None  # noqa: S101 (nothing is disposed of before)
    return Ends(
        with_taken(desk.catalogue, desk.connections), of.closed_on, partial(held_people, desk),
        about=frozenset(d.id for d in of.datasets(desk.catalogue)), waits=frozenset(waits), ends=of.scope == COMPANY,
    )  # fmt: skip


def clearings(
    desk: Desk, about: Ends, conn: Conn, at: Callable[[str], None] = nowhere
) -> list[Clearing]:  # fmt: skip
    """The stores that the order is about. ``conn``: of the book, asked before each piece for stops and holds."""
    from include.stores.postgres.clearing import Clearing as Tables
    from include.stores.s3.clearing import Clearing as Objects

    def changes() -> object:
        return holds.changes(conn)

    def stops() -> None:
        may_go_on(conn)

    stays = frozenset(d.id for d in desk.catalogue.datasets if d.id in about.waits or d.id not in about.about)
    objects: list[Clearing] = []
    tables: list[Clearing] = []
    for store in desk.catalogue.stores:
        if store.kind is StoreKind.S3:
            asked = (*about.objects(store.id), *about.records(store.id))
            due = PathsDue(about, desk.connections, changes)
            if asked:
                objects.append(
                    Objects(
                        about.catalogue, store.id, desk.connections, asked, due, about.aging, stops,
                        unasked=about.unasked, memory=Readings(desk, Role.ERASER), at=at,
                    )
                )  # fmt: skip
        elif any(d.id in about.about for d in desk.catalogue.of_store(store.id, DatasetKind.TABLE)):
            tables.append(
                Tables(
                    whole(about.catalogue), store.id, desk.connections, about.looks, about.fates, changes, stops,
                    led=Led(about, desk.connections, stays), unasked=about.unasked, at=at,
                )
            )  # fmt: skip
    return objects + tables
