"""The successor's own stores: where what is handed over is put, and read back from. The same catalogue, an estate of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from psycopg import errors as pg
from psycopg import sql

from include.cases.accounts import home
from include.cases.keys import KeyStore
from include.cases.retention.due import answering
from include.cases.retention.held import HeldPeople
from include.handover import restricting
from include.handover.rows import exact
from include.handover.shards import At
from include.model.carried import DELETED_BY_ITS_SENDER
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import NoRoom, Refused
from include.model.handover import BagKind
from include.model.times import observed_now, prc_date
from include.model.words import DatasetKind, Role
from include.stores.postgres.server import Connection, Patience, Server, name
from include.stores.shared import nowhere

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Custody:
    """What storing and counting again work with. ``keys``: the successor's own key store; ``today``: the day by which what is
    gone may have gone by its own clock; ``released``: holds that came along, each with its order, and hold nothing any more;
    ``held``: whom the successor's own open holds name, asked before anything is deleted at somebody's word."""

    catalogue: Catalogue
    connections: Connections
    at: At = nowhere
    keys: KeyStore | None = None
    today: Callable[[], date] = lambda: prc_date(observed_now())
    released: Callable[[], Collection[str]] = tuple
    held: Callable[[], HeldPeople] = HeldPeople

    def at_arrival(self) -> Custody:
        """The same for what was stored a moment ago: nothing of it can have gone by its own clock."""
        return replace(self, today=lambda: date.min)

    def key_store(self) -> KeyStore:
        """Where keys of tombstones are kept. Raises Refused if there is none."""
        if self.keys is None:
            raise Refused(
                "the bag has keys of tombstones, and we have no key store", about="key store",
                next_step="give the connection key_store (`quietus keys begin`), then receive again",
            )  # fmt: skip
        return self.keys

    def server(self, kind: BagKind, dataset: str) -> Server:
        """The database that knows of a bag: its table's; of objects and the case book's records, that of the accounts."""
        store = home(self.catalogue).store
        if kind is not BagKind.BOOK:
            store = answering(self.catalogue, self.catalogue.dataset(dataset))
        declared = self.catalogue.store(store)
        return Server(
            lambda: self.connections.postgres(declared.connection, Role.CUSTODIAN),
            store,
            Patience(statement=3600.0),
        )

    @contextmanager
    def connect(self, kind: BagKind, dataset: str) -> Iterator[Connection]:
        """A session in which values are written as the sender wrote them. Raises NoRoom where its disk is full."""
        server = self.server(kind, dataset)
        with server.connect() as connection, server.reaching(dataset), full_disk(dataset):
            exact(connection)
            connection.execute("SET idle_in_transaction_session_timeout = '30min'")
            yield connection

    def client(self, dataset: str) -> S3Client:
        declared = self.catalogue.store(self.catalogue.dataset(dataset).store)
        return self.connections.s3(declared.connection, Role.CUSTODIAN)


@contextmanager
def full_disk(about: str) -> Iterator[None]:
    """A database without room says so; the bag's transaction is undone."""
    try:
        yield
    except pg.DiskFull:
        raise NoRoom(
            "the successor's database has no room left", about=about,
            next_step="make room, then receive again: nothing of this bag was stored",
        ) from None  # fmt: skip


def prepare(conninfo_owner: str, catalogue: Catalogue, store: str, *, custodian: str = "custodian") -> None:
    """Make or renew what a successor's database needs, as its owner or a superuser. Foreign keys and triggers are not fired while
    bags are stored, for what they refer to may not be handed over: the custodian may say so (PostgreSQL 15 and later). It deletes
    only what a signed notice names."""
    server = Server(lambda: conninfo_owner, store)
    text = files("include.handover").joinpath("storing.sql").read_text("utf-8")
    with server.connect() as connection, connection.transaction():
        who = name(custodian)
        connection.execute(sql.SQL(text).format(custodian=who, deleted=sql.Literal(DELETED_BY_ITS_SENDER)))
        _let_read(connection)
        restricting.hide(connection, catalogue, store)
        connection.execute(sql.SQL("GRANT SET ON PARAMETER session_replication_role TO {}").format(who))
        for dataset in catalogue.of_store(store, DatasetKind.TABLE):
            schema, _ = dataset.address.split(".")
            connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), who))
            connection.execute(
                sql.SQL("GRANT SELECT, INSERT, DELETE ON {} TO {}").format(name(dataset.address), who)
            )


def _let_read(connection: Connection) -> None:
    """Whoever deletes and proves at the successor judges by the clocks that came along."""
    for role in (Role.ERASER.value, Role.PROVER.value):
        if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).rowcount:
            connection.execute(
                sql.SQL(
                    "GRANT USAGE ON SCHEMA quietus_handover TO {r};"
                    " GRANT SELECT ON quietus_handover.clock, quietus_handover.carried TO {r}"
                ).format(r=name(role))
            )


@dataclass(frozen=True)
class Known:
    """One row of ``quietus_handover.bag``."""

    order: str
    bag: str
    kind: BagKind
    dataset: str
    statement: str
    salt: bytes
    clocks: list[str]
    described: dict[str, Any]
    stored: bool


def known(connection: Connection, order: str, bag: str) -> Known | None:
    """What this database knows of a bag; None: nothing."""
    row = connection.execute(
        "SELECT order_no, bag, kind, dataset, statement, salt, clocks, described, stored_at IS NOT NULL"
        " FROM quietus_handover.bag WHERE order_no = %s AND bag = %s",
        [order, bag],
    ).fetchone()
    if row is None:
        return None
    described = row[7] if isinstance(row[7], dict) else json.loads(row[7])
    return Known(row[0], row[1], BagKind(row[2]), row[3], row[4], bytes(row[5]), row[6], described, row[8])


@dataclass(frozen=True)
class Stored:
    """A bag that some database of ours says it has stored, whatever lies in the inbox."""

    name: str
    dataset: str
    sender: str


def stored(custody: Custody, order: str) -> list[Stored]:
    """Those of an order, of every authority that gave it this number, by all databases that bags are stored in. Raises
    NotReachable; a database that was not prepared has none."""
    found: list[Stored] = []
    for store in custody.catalogue.stores:
        tables = custody.catalogue.of_store(store.id, DatasetKind.TABLE)
        if not tables:
            continue
        with custody.connect(BagKind.ROWS, tables[0].id) as connection:
            row = connection.execute("SELECT to_regclass('quietus_handover.bag')").fetchone()
            rows = connection.execute(_STORED, [order]).fetchall() if row and row[0] else []
            found += (Stored(str(b), str(d), str(s)) for b, d, s in rows)
    return found


_STORED = (
    "SELECT bag, dataset, sender FROM quietus_handover.bag WHERE stored_at IS NOT NULL"
    " AND order_no = sender || '/' || %s ORDER BY bag"
)
