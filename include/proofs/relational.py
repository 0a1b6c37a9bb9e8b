"""Proofs over PostgreSQL stores: of a restriction; before a disposal that the prover sees; after it that it is done."""

from __future__ import annotations

from collections.abc import Iterator

from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.estate import StoreDeclared
from include.model.flow import Evidence, Plan, Step
from include.model.words import DatasetKind, StoreKind
from include.proofs import suites
from include.proofs.asking import evidence
from include.proofs.restriction import hidden, views
from include.proofs.run import ask
from include.proofs.server import Reader
from include.proofs.standbys import replayed
from include.proofs.tables import Tables, packed_of, types_of


def baseline(catalogue: Catalogue, connections: Connections, step: Step, plan: Plan) -> list[Evidence]:
    """Before anything is disposed: the prover sees exactly the located items, by its own way and by their keys.

    Raises NotReachable if a store does not answer.
    """
    return [
        evidence("baseline", step, plan, reader.store, ask(suites.baseline(tables, plan), reader))
        for reader, tables in each_store(catalogue, connections, step)
    ]


def gone(catalogue: Catalogue, connections: Connections, step: Step, plan: Plan) -> list[Evidence]:
    """After the disposal: R0 and R2 per dataset, here and on standbys, and what is beyond a query's sight as UNVERIFIED.

    Raises NotReachable if a store does not answer.
    """
    found = []
    for reader, tables in each_store(catalogue, connections, step):
        with reader.connect() as connection, reader.reaching():
            alone = suites.staying_alone(tables, plan, connection)
        questionnaire = suites.gone(tables, plan, definitions(reader, tables), alone)
        checks = ask(questionnaire, reader) + replayed(reader, tables, plan) + suites.beyond(tables, plan)
        found.append(evidence("gone", step, plan, reader.store, checks))
    return found


def restricted(catalogue: Catalogue, connections: Connections, step: Step) -> list[Evidence]:
    """After the restriction: each business role reads nothing of the person and may write nothing for the person,
    and the catalogue's measures hold. A step that does not restrict anybody has nothing to prove.

    Raises NotReachable if a store does not answer.
    """
    if not step.restricting:
        return []
    found = []
    for reader, tables in each_store(catalogue, connections, step):
        roles = catalogue.store(reader.store).business_roles
        with reader.connect() as connection, reader.reaching():
            questionnaire, unproved = suites.measures(tables, connection)
        checks = hidden(reader, tables, roles) + views(reader, tables, roles)
        checks += ask(questionnaire, reader) + unproved
        found.append(evidence("restricted", step, None, reader.store, checks))
    return found


def each_store(catalogue: Catalogue, connections: Connections, step: Step) -> Iterator[tuple[Reader, Tables]]:
    """Every PostgreSQL store that holds datasets: its prover, and its tables."""
    for store in catalogue.stores:
        if store.kind is StoreKind.POSTGRES and catalogue.of_store(store.id, DatasetKind.TABLE):
            yield opened(catalogue, connections, step, store)


def opened(
    catalogue: Catalogue, connections: Connections, step: Step, store: StoreDeclared
) -> tuple[Reader, Tables]:
    """A store's prover, and its tables with the types of their columns."""
    reader = Reader.of(connections, store.id, store.connection, step.subjects)
    with reader.connect() as connection, reader.reaching():
        types = types_of(connection, catalogue.of_store(store.id, DatasetKind.TABLE))
        packed = packed_of(connection, step)
    return reader, Tables(catalogue, store.id, step, types, packed)


def definitions(reader: Reader, tables: Tables) -> dict[str, str]:
    """What each declared materialised view is defined as, by the database itself."""
    wanted = [d.address for d in tables.catalogue.derived if d.store == tables.store]
    if not wanted:
        return {}
    with reader.connect() as connection, reader.reaching():
        return dict(
            connection.execute(
                "SELECT schemaname || '.' || matviewname, definition FROM pg_catalog.pg_matviews"
                " WHERE schemaname || '.' || matviewname = ANY(%s)",
                [wanted],
            ).fetchall()
        )


__all__ = ["baseline", "each_store", "gone", "opened", "restricted"]
