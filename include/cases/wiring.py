"""Makes one store of a catalogue, with what only another room can answer handed in.

Objects and records in a bucket often belong to a row in a database (``Link.via``), and their clocks start at
what a starting-point query says. The S3 room may not import the PostgreSQL room, so the database store's
answers are handed to it here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from include.cases.periods import last_day
from include.model.catalogue import Catalogue, StoreDeclared
from include.model.doors import Connections, Store
from include.model.flow import Floor
from include.model.words import StoreKind


def until(floor: Floor, start: date) -> date:
    """The last day of a floor: the oracle's own count, working days and fiscal years included."""
    return last_day(start, floor.duration, floor.counting)


def make(
    catalogue: Catalogue, declared: StoreDeclared, connections: Connections, made: Sequence[Store]
) -> Store:
    """The store; ``made`` are the stores made before it, databases first."""
    if declared.kind is StoreKind.POSTGRES:
        from include.stores.postgres import PostgresStore

        store: Store = PostgresStore(catalogue, declared.id, connections)
        return store
    from include.stores.s3 import S3Store

    wired: dict[str, Any] = {"until_of": until}
    for store in made:
        for name in ("keys_of", "starts_of"):
            if name not in wired and (answer := getattr(store, name, None)) is not None:
                wired[name] = answer
    return S3Store(catalogue, declared.id, connections, **wired)
