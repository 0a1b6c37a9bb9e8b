"""Which bags cannot go yet, since something that stays needs a row of theirs: known before anything is deleted, so that a bag
goes whole or not at all. By the prover, in sessions that cannot write.

A row is needed by rows that refer to it, or whose owner is known by it alone (``include.stores.postgres.retention.needs``); by
objects that lead through it (``include.handover.leading``); by clocks (``include.handover.hanging``); keys by what they open:
unless these go with the same case.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from include.cases.retention.held import held_people
from include.cases.rooms import Desk
from include.handover.conservation import BagSeen
from include.handover.hanging import hanging
from include.handover.leading import Lying, lying
from include.handover.register import Bag
from include.handover.sources import Sources
from include.model.handover import BagKind
from include.model.words import Role
from include.stores.postgres.area import same_key
from include.stores.postgres.live import Live
from include.stores.postgres.retention.bagged import Bagged
from include.stores.postgres.retention.needs import Need, needs
from include.stores.postgres.retention.owners import Owners
from include.stores.postgres.server import Connection, Patience, Server, name, one
from include.stores.s3.inventory import Inventory
from include.stores.s3.server import reaching


def needed(desk: Desk, sources: Sources, bags: Sequence[Bag], seen: Sequence[BagSeen]) -> dict[str, str]:
    """Those of these bags that something needs which does not go with the others, and why. ``seen``: every bag of the order.
    Raises NotReachable."""
    tables = {b.statement.dataset for b in bags if b.statement.kind is BagKind.ROWS}
    objects = lying(desk, sources, tables, Role.PROVER, held_people(desk))
    out = by_sealed(desk, sources, bags, seen)
    while more := _more(desk, sources, [b for b in bags if b.name not in out], seen, objects):
        out |= more  # what is left out stays, and may need rows of others
    return out


def _more(
    desk: Desk, sources: Sources, bags: Sequence[Bag], seen: Sequence[BagSeen], objects: Sequence[Lying]
) -> dict[str, str]:  # fmt: skip
    going = {b.name: b.statement.dataset for b in bags}
    if found := hanging(desk.catalogue, sources.consigned, sources.packed, seen, going):
        return found
    staying = [(of, *of.staying(going)) for of in objects]
    rows = [b for b in bags if b.statement.kind is BagKind.ROWS]
    for store in sorted({sources.store_of(b.statement.dataset) for b in rows}):
        declared = desk.catalogue.store(store)
        server = Server(
            lambda c=declared.connection: desk.connections.postgres(c, Role.PROVER),  # type: ignore[misc]
            store, Patience(statement=3600.0),
        )  # fmt: skip
        with server.connect() as connection, server.reaching(store):
            connection.execute("SET default_transaction_read_only = on")
            found |= _by_rows(sources, rows, staying, server, connection, Live.read(connection))
    return found


def _by_rows(
    sources: Sources, bags: Sequence[Bag], staying: Sequence[tuple[Lying, int, set[str]]], server: Server,
    connection: Connection, live: Live,
) -> dict[str, str]:  # fmt: skip
    mine = [b for b in bags if sources.store_of(b.statement.dataset) == server.store]
    looks = sources.looks(mine, server, connection, live)
    of = {it.dataset.address: it for it in looks.values()}
    found: dict[str, str] = {}
    for bag in mine:
        look = looks[bag.statement.dataset]
        alone = sources.looks([bag], server, connection, live)[look.dataset.id]
        if why := _by_objects(sources, alone, staying, connection, live):
            found[bag.name] = why
            continue
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


def _by_objects(
    sources: Sources, bag: Bagged, staying: Sequence[tuple[Lying, int, set[str]]], connection: Connection, live: Live
) -> str:  # fmt: skip
    """Which objects that stay lead through rows of a bag, in words; or nothing."""
    of = []
    for objects, items, people in staying:
        if not people or bag.dataset.id not in objects.through:
            continue
        led = Owners(sources.catalogue, live).among(bag.dataset, "pt", sorted(people))
        (n,) = one(connection.execute(_rows_of(bag, led)))
        if n:
            of.append(f"{n} of its rows ({items} objects of {objects.dataset} stay)")
    return f"objects that stay here lead through {', '.join(of)}" if of else ""


def by_sealed(desk: Desk, sources: Sources, bags: Sequence[Bag], seen: Sequence[BagSeen]) -> dict[str, str]:
    """Keys wait until the successor has signed for all that they open, or it is gone: until then nothing else opens it. After
    that they may go before it: what a lock keeps here is noise then."""
    found: dict[str, str] = {}
    for bag in bags:
        for opened in desk.catalogue.opened_by(bag.statement.dataset):
            over = opened.id in sources.packed and all(b.arrived for b in seen if b.dataset == opened.id)
            if not (over if opened.id in sources.consigned else not _any(desk, opened.id)):
                found[bag.name] = f"{opened.id}, which its keys open, was not signed for yet, nor is it gone"
    return found


def _any(desk: Desk, objects: str) -> bool:
    """Whether anything of it lies there: a version, a delete marker, an unfinished upload, or what its template does not know."""
    dataset = desk.catalogue.dataset(objects)
    store = desk.catalogue.store(dataset.store)
    with reaching(f"{store.id} {objects}"):
        inventory = Inventory(desk.connections.s3(store.connection, Role.PROVER), dataset)
        return next(inventory.tallies(1), None) is not None or inventory.elsewhere > 0


def _rows_of(bag: Bagged, condition: sql.Composable) -> sql.Composed:
    return sql.SQL("SELECT count(*) FROM ({due}) AS k JOIN {parent} AS pt ON {same} WHERE {condition}").format(
        due=bag.due_rows(sql.SQL("true")), parent=name(bag.dataset.address), same=same_key("pt", "k", bag.dataset),
        condition=condition,
    )  # fmt: skip
