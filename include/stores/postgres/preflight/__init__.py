"""What would make a step fail, or be unsafe, in this database: named before anything is asked of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from include.model.catalogue import Catalogue
from include.model.estate import StoreDeclared
from include.model.flow import Finding
from include.model.words import DatasetKind
from include.stores.postgres.live import Live
from include.stores.postgres.preflight import effects, roles, shape
from include.stores.postgres.preflight.look import Look
from include.stores.postgres.server import Connection
from include.stores.postgres.survey import parents_first

CHECKS: tuple[Callable[[Look], Iterator[Finding]], ...] = (
    shape.columns,
    shape.cuts,
    shape.keys,
    shape.link_indexes,
    effects.references,
    effects.triggers,
    effects.rules,
    effects.detached,
    roles.privileges,
    roles.prover,
    roles.restriction,
    roles.policies,
    roles.business_roles,
    roles.views,
    shape.measures,
    shape.starting_points,
)


def preflight(
    connection: Connection, catalogue: Catalogue, store: StoreDeclared, prover: str | None
) -> tuple[Finding, ...]:
    """Every finding, in order of dataset. An empty answer means that a step can be carried out."""
    datasets = catalogue.of_store(store.id, DatasetKind.TABLE)
    parents_first(datasets)
    live = Live.read(connection)
    there = tuple(d for d in datasets if d.address in live.tables)
    look = Look(connection, catalogue, store, live, there, prover)
    found: list[Finding] = list(shape.maps(datasets, live))
    for check in CHECKS:
        found += check(look)
    return tuple(found)


__all__ = ["preflight"]
