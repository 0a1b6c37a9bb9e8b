"""What came along with items that were taken over from an authority that stopped: read from the stores, before each question.

A store of a company that took nothing over has no such schema, and says nothing. One that does not answer, or may not be asked,
stops its datasets: without their clocks nobody could say what is due.
"""

from __future__ import annotations

from include.cases.retention.due import answering
from include.model.carried import Carried, Side, Taken
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import QuietusError
from include.model.words import Role, StoreKind
from include.stores.postgres.server import Connection, Server

_THERE = "SELECT to_regclass('quietus_handover.carried') IS NOT NULL"
_CARRIED = (
    "SELECT dataset, side, rule, period, law, company FROM quietus_handover.carried ORDER BY 1, 2, 3, 4, 5"
)


def with_taken(catalogue: Catalogue, connections: Connections) -> Catalogue:
    """The catalogue with the clocks that came. Raises nothing: a store that could not say it is named."""
    limits: dict[str, list[Carried]] = {}
    unread: dict[str, str] = {}
    for store in catalogue.stores:
        if store.kind is not StoreKind.POSTGRES:
            continue
        server = Server(lambda c=store.connection: connections.postgres(c, Role.PROVER), store.id)  # type: ignore[misc]
        try:
            with server.connect() as connection, server.reaching("what was taken over"):
                for dataset, limit in _read(connection):
                    limits.setdefault(dataset, []).append(limit)
        except QuietusError as error:
            unread |= {d.id: str(error) for d in catalogue.datasets if answering(catalogue, d) == store.id}
    return catalogue.model_copy(
        update={"taken": Taken(limits={d: tuple(of) for d, of in limits.items()}, unread=unread)}
    )


def _read(connection: Connection) -> list[tuple[str, Carried]]:
    row = connection.execute(_THERE).fetchone()
    if row is None or not row[0]:
        return []
    return [
        (str(dataset), Carried(rule=rule, period=period, law=law, side=Side(side), company=company))
        for dataset, side, rule, period, law, company in connection.execute(_CARRIED).fetchall()
    ]
