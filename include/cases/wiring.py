"""Makes the stores of a catalogue, with what only another room can answer handed in.

Objects and records in a bucket often belong to a row in a database (``Link.via``), and their clocks start at
what a starting-point query says. The S3 room may not import the PostgreSQL room, so the database store's
answers are handed to it here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from include.cases.periods import last_day
from include.model.catalogue import Catalogue
from include.model.doors import Connections, Store
from include.model.estate import StoreDeclared
from include.model.flow import Floor
from include.model.words import StoreKind
from include.stores.shared import nothing

if TYPE_CHECKING:
    from include.stores.postgres.past import Past


def until(floor: Floor, start: date) -> date:
    """The last day of a floor: the oracle's own count, working days and fiscal years included."""
    return last_day(start, floor.duration, floor.counting)


def make(
    catalogue: Catalogue, declared: StoreDeclared, connections: Connections, made: Sequence[Store],
    may_go_on: Callable[[], None] = nothing,
) -> Store:  # fmt: skip
    """The store; ``made`` are the stores made before it, databases first. ``may_go_on``: it asks before each chunk that it
    disposes of."""
    if declared.kind is StoreKind.POSTGRES:
        from include.stores.postgres import PostgresStore

        store: Store = PostgresStore(catalogue, declared.id, connections, may_go_on=may_go_on)
        return store
    from include.stores.s3 import S3Store

    wired: dict[str, Any] = {"until_of": until, "may_go_on": may_go_on}
    for store in made:
        for name in ("keys_of", "starts_of", "came_of"):
            if name not in wired and (answer := getattr(store, name, None)) is not None:
                wired[name] = answer
    return S3Store(catalogue, declared.id, connections, **wired)


def stores(
    catalogue: Catalogue, connections: Connections, may_go_on: Callable[[], None] = nothing
) -> Sequence[Store]:  # fmt: skip
    """The stores of a catalogue, databases first: they answer for the objects' owners."""
    order = sorted(catalogue.stores, key=lambda s: s.kind is not StoreKind.POSTGRES)
    made: list[Store] = []
    for declared in order:
        made.append(make(catalogue, declared, connections, made, may_go_on))
    return tuple(made)


def pasts(catalogue: Catalogue, connections: Connections) -> Sequence[Past]:
    """The databases whose history is watched: all that hold tables of ours."""
    from include.stores.postgres.past import Past

    return tuple(
        Past(catalogue, s.id, connections)
        for s in catalogue.stores
        if s.kind is StoreKind.POSTGRES and catalogue.of_store(s.id)
    )
