"""Installing into the company's database: our schema, grants, triggers and row security. Idempotent."""

from __future__ import annotations

from importlib.resources import files

from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.errors import CatalogueError, Refused
from include.model.words import DatasetKind
from include.stores.postgres.live import Live
from include.stores.postgres.restriction import BASE, CAME, POLICY, Hiding
from include.stores.postgres.rights import grant, grant_to_maintainer, grant_to_policies
from include.stores.postgres.server import Connection, Server, name

ERASER = "eraser"
PROVER = "prover"
MAINTAINER = "maintainer"


def install(
    conninfo_owner: str,
    catalogue: Catalogue,
    store: str,
    *,
    eraser: str = ERASER,
    prover: str = PROVER,
    maintainer: str = MAINTAINER,
) -> None:
    """Make or renew everything in one transaction, as the owner of the company's tables or a superuser. Without a role
    ``maintainer`` no table can be written anew; all else can be done.

    Run it again after the catalogue, the schema or the set of partitions has changed. Raises Refused if the
    store is declared unmodifiable or a role does not exist, CatalogueError if the map does not fit.
    """
    declared = catalogue.store(store)
    if not declared.modifiable:
        raise Refused(
            "it is declared unmodifiable, so restriction there can only be detected",
            about=f"store {store}",
            next_step="leave it, or set modifiable",
        )
    server = Server(lambda: conninfo_owner, store)
    # An autovacuum worker that is at one of the tables can be in the way of its triggers.
    server.retrying(lambda: _install(server, catalogue, store, eraser, prover, maintainer))


def _install(
    server: Server, catalogue: Catalogue, store: str, eraser: str, prover: str, maintainer: str
) -> None:
    declared = catalogue.store(store)
    with server.connect() as connection, connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('quietus install', 0))")
        _roles(connection, store, (eraser, prover, *declared.business_roles))
        who = {"eraser": name(eraser), "prover": name(prover), "eraser_name": sql.Literal(eraser),
               "prover_name": sql.Literal(prover)}  # fmt: skip
        for file in ("schema.sql", "functions.sql", "quarantine.sql"):
            connection.execute(sql.SQL(_text(file)).format(**who))
        live = Live.read(connection)
        grant(connection, live, catalogue, store, eraser, prover)
        grant_to_maintainer(connection, live, catalogue, store, maintainer)
        hiding = Hiding(catalogue, live)
        for dataset in catalogue.of_store(store, DatasetKind.TABLE):
            if dataset.address not in live.tables:
                raise CatalogueError(
                    f"the table {dataset.address} is not in the database",
                    about=dataset.id,
                    next_step="correct the dataset's address",
                )
            for address in (dataset.address, *live.partitions(dataset.address)):
                base(connection, live, address)
            for statement in hiding.statements(dataset, declared.business_roles, eraser):
                connection.execute(statement)
        grant_to_policies(connection, declared.business_roles)
        connection.execute(
            sql.SQL("GRANT SELECT ON ALL SEQUENCES IN SCHEMA quietus TO {}, {}").format(
                name(eraser), name(prover)
            )
        )


def _text(file: str) -> str:
    return (files(__package__) / "sql" / file).read_text(encoding="utf-8")


def _roles(connection: Connection, store: str, roles: tuple[str, ...]) -> None:
    known = {
        r
        for (r,) in connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(roles)])
    }
    missing = [r for r in roles if r not in known]
    if missing:
        raise Refused(
            f"the database has no role {', '.join(missing)}",
            about=f"store {store}",
            next_step="create the roles with their own secrets, then install again",
        )


def base(connection: Connection, live: Live, address: str) -> None:
    """A permissive policy, without which a table with row security shows nothing at all. Only where the company
    has none of its own: permissive policies are ORed, so one more would open what theirs close. It goes again when
    they get one."""
    permissive, any_ = connection.execute(
        "SELECT coalesce(bool_or(polpermissive), false), count(*) > 0"
        " FROM pg_policy WHERE polrelid = %s AND polname <> ALL(%s)",
        [live.tables[address].oid, [BASE, POLICY, CAME]],
    ).fetchone() or (False, False)
    ours = _has(connection, live, address)
    drop = sql.SQL("DROP POLICY IF EXISTS {} ON {}").format(name(BASE), name(address))
    if permissive:
        connection.execute(drop)
        return
    if not ours and (any_ or live.tables[address].row_security):
        return
    connection.execute(drop)
    connection.execute(
        sql.SQL(
            "CREATE POLICY {} ON {} AS PERMISSIVE FOR ALL TO PUBLIC USING (true) WITH CHECK (true)"
        ).format(name(BASE), name(address))
    )


def _has(connection: Connection, live: Live, address: str) -> bool:
    """Whether row security on the table is our own doing."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_policy WHERE polrelid = %s AND polname = ANY(%s))",
        [live.tables[address].oid, [POLICY, CAME]],
    ).fetchone()
    return bool(row and row[0])
