"""Which bags cannot go yet, since something that stays needs a row of theirs: known before anything is deleted, so that a bag
goes whole or not at all. By the prover, in sessions that cannot write.

A row is needed by rows that refer to it, or whose owner is known by it alone (``include.stores.postgres.clearing.needs``), unless
they go with the same case; by objects that lead through its table, while there is any; by clocks (``include.handover.hanging``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from psycopg import sql

from include.cases.retention.behind import leads
from include.cases.rooms import Desk
from include.handover.conservation import BagSeen
from include.handover.hanging import hanging
from include.handover.register import Bag
from include.handover.sources import Sources
from include.model.words import Role
from include.stores.postgres.area import same_key
from include.stores.postgres.clearing.needs import Need, needs
from include.stores.postgres.live import Live
from include.stores.postgres.retention.bagged import Bagged
from include.stores.postgres.server import Connection, Patience, Server, name, one
from include.stores.s3.inventory import Inventory
from include.stores.s3.server import reaching


def needed(desk: Desk, sources: Sources, bags: Sequence[Bag], seen: Sequence[BagSeen]) -> dict[str, str]:
    """Those of these bags that something needs which does not go with the others, and why. ``seen``: every bag of the order.
    Raises NotReachable."""
    out = _by_objects(desk, bags)
    while more := _more(desk, sources, [b for b in bags if b.name not in out], seen):
        out |= more  # what is left out stays, and may need rows of others
    return out


def _more(desk: Desk, sources: Sources, bags: Sequence[Bag], seen: Sequence[BagSeen]) -> dict[str, str]:
    going = {b.name: b.statement.dataset for b in bags}
    if found := hanging(desk.catalogue, sources.consigned, sources.packed, seen, going):
        return found
    for store in sorted({sources.store_of(d) for d in going.values()}):
        declared = desk.catalogue.store(store)
        server = Server(
            lambda c=declared.connection: desk.connections.postgres(c, Role.PROVER),  # type: ignore[misc]
            store, Patience(statement=3600.0),
        )  # fmt: skip
        with server.connect() as connection, server.reaching(store):
            connection.execute("SET default_transaction_read_only = on")
            found |= _by_rows(sources, bags, server, connection, Live.read(connection))
    return found


def _by_rows(
    sources: Sources, bags: Sequence[Bag], server: Server, connection: Connection, live: Live
) -> dict[str, str]:  # fmt: skip
    mine = [b for b in bags if sources.store_of(b.statement.dataset) == server.store]
    looks = sources.looks(mine, server, connection, live)
    of = {it.dataset.address: it for it in looks.values()}
    found: dict[str, str] = {}
    for bag in mine:
        look = looks[bag.statement.dataset]
        alone = sources.looks([bag], server, connection, live)[look.dataset.id]
        for need in needs(sources.catalogue, live, [look.dataset], looks):
            (n,) = one(connection.execute(_staying(alone, need, of.get(need.child))))
            if n:
                found[bag.name] = f"{n} rows of {need.child} that stay need rows of it"
                break
    return found


def _staying(parent: Bagged, need: Need, child: Bagged | None) -> sql.Composed:
    """How many rows ``ct`` need one of the bag's rows ``pt`` and do not go themselves."""
    true = sql.SQL("true")
    goes: sql.Composable = sql.SQL("false")
    if child is not None:
        goes = sql.SQL("EXISTS (SELECT FROM ({}) AS ck WHERE {})").format(
            child.due_rows(true), same_key("ck", "ct", child.dataset)
        )
    return sql.SQL(
        "SELECT count(*) FROM ({due}) AS k JOIN {parent} AS pt ON {same} JOIN {child} AS ct ON {refers} WHERE NOT {goes}"
    ).format(
        due=parent.due_rows(true), parent=name(parent.dataset.address), same=same_key("pt", "k", parent.dataset),
        child=name(need.child), refers=need.refers, goes=goes,
    )  # fmt: skip


def _by_objects(desk: Desk, bags: Sequence[Bag]) -> dict[str, str]:
    """Tables through which objects lead wait until the last of these is gone: whose it is would be known no more."""
    through: Mapping[str, frozenset[str]] = leads(desk.catalogue)
    wanted = {b.statement.dataset for b in bags}
    there = [o for o, tables in sorted(through.items()) if tables & wanted and _any(desk, o)]
    found: dict[str, str] = {}
    for bag in bags:
        if of := [o for o in there if bag.statement.dataset in through[o]]:
            found[bag.name] = f"objects that lead through it are still here: {', '.join(of)}"
    return found


def _any(desk: Desk, objects: str) -> bool:
    """Whether anything of it lies there: a version, a delete marker, an unfinished upload, or what its template does not know."""
    dataset = desk.catalogue.dataset(objects)
    store = desk.catalogue.store(dataset.store)
    with reaching(f"{store.id} {objects}"):
        inventory = Inventory(desk.connections.s3(store.connection, Role.PROVER), dataset)
        return next(inventory.tallies(1), None) is not None or inventory.elsewhere > 0
