"""What came along with items that were taken over from an authority that stopped: read from the stores, before each question.

A store of a company that took nothing over has no such schema, and says nothing. One that does not answer, or may not be asked,
stops its datasets: without their clocks nobody could say what is due.
"""

from __future__ import annotations

from include.cases.retention.due import answering
from include.model.carried import Carried, Taken
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import QuietusError
from include.model.words import DatasetKind, Role, StoreKind
from include.stores.postgres.retention.carried import carried
from include.stores.postgres.server import Server


def with_taken(catalogue: Catalogue, connections: Connections) -> Catalogue:
    """The catalogue with the clocks that came. Raises nothing: a store that could not say it is named."""
    limits: dict[str, tuple[Carried, ...]] = {}
    unread: dict[str, str] = {}
    for store in catalogue.stores:
        if store.kind is not StoreKind.POSTGRES:
            continue
        server = Server(lambda c=store.connection: connections.postgres(c, Role.PROVER), store.id)  # type: ignore[misc]
        try:
            with server.connect() as connection, server.reaching("what was taken over"):
                limits |= carried(connection)
        except QuietusError as error:
            unread |= {
                d.id: str(error)
                for d in catalogue.datasets
                if d.kind is not DatasetKind.RECORDS and answering(catalogue, d) == store.id
            }
    return catalogue.model_copy(update={"taken": Taken(limits=limits, unread=unread)})
