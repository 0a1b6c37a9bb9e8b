"""What a hold's account ids lead to now: how many of them anybody here bears, and in how many rows. Counts only.

A mistyped id is as opaque as a right one, and a hold on nobody would look like any other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from psycopg import sql

from include.cases import holds, sealing, subjects
from include.cases.accounts import home
from include.cases.keys import Purpose
from include.cases.rooms import Desk
from include.cases.scopes import Scope
from include.model.errors import CatalogueError, QuietusError
from include.model.estate import Dataset
from include.model.words import DatasetKind, Role, StoreKind
from include.stores.postgres.live import Live
from include.stores.postgres.retention.owners import Owners
from include.stores.postgres.server import Connection, Server, name, one


@dataclass
class Names:
    """``given``: account ids; ``there``: those of an account that is there; ``nobody``: those that no row of any table bears,
    and no open case is about. ``rows``: dataset -> rows that the hold covers. ``unseen``: what could not be asked, and why; of
    the ids nothing is known while the accounts are among it. Objects and record files are not counted."""

    given: int
    there: int = 0
    nobody: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    unseen: dict[str, str] = field(default_factory=dict)


def names(desk: Desk, account_ids: Sequence[str], scope: Scope) -> Names:
    """Look every id up, by the prover, in every table of the company's, whether the hold covers it or not."""
    found = Names(len(account_ids))
    if not account_ids:
        return found
    ids, bear = sorted(account_ids), dict.fromkeys(account_ids, False)
    try:
        accounts = home(desk.catalogue)
    except CatalogueError as error:
        found.unseen["accounts"] = str(error)
        return found
    for store in desk.catalogue.stores:
        if store.kind is not StoreKind.POSTGRES:
            continue
        tables = desk.catalogue.of_store(store.id, DatasetKind.TABLE)
        try:
            server = Server(
                lambda c=store.connection: desk.connections.postgres(c, Role.PROVER),  # type: ignore[misc]
                store.id,
            )
            with server.connect() as connection, server.reaching(f"store {store.id}"):
                connection.execute("SET default_transaction_read_only = on")
                live = Live.read(connection)
                for dataset in tables:
                    try:
                        counted = _of(server, connection, Owners(desk.catalogue, live), dataset, ids)
                    except QuietusError as error:
                        found.unseen[dataset.id] = str(error)
                        continue
                    for id_, rows in counted.items():
                        bear[id_] = bear[id_] or bool(rows)
                        found.there += int(dataset.id == accounts.id and bool(rows))
                        found.rows[dataset.id] += rows if scope.covers(dataset) else 0
        except QuietusError as error:
            found.unseen |= dict.fromkeys((d.id for d in tables), str(error))
    with desk.book() as conn:
        for id_ in ids:
            every = sealing.digests(desk.keys, Purpose.SUBJECT_TOKEN, subjects.KIND, id_).values()
            bear[id_] = bear[id_] or bool(holds.noticed(conn, (), list(every)))
    # Of accounts that could not be asked about nobody knows whether there are any.
    found.nobody = 0 if accounts.id in found.unseen else sum(not any_ for any_ in bear.values())
    return found


def _of(
    server: Server, connection: Connection, owners: Owners, dataset: Dataset, ids: Sequence[str]
) -> dict[str, int]:
    """Account id -> how many rows of a dataset are theirs, or may be seen by them."""
    found = {}
    for id_ in ids:
        with server.reaching(f"{server.store} {dataset.id}"):
            query = sql.SQL("SELECT count(*) FROM {} AS t WHERE {}").format(
                name(dataset.address), owners.among(dataset, "t", [id_])
            )
            (found[id_],) = one(connection.execute(query))
    return found
