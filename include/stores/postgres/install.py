"""Installing into the company's database: our schema, grants, triggers and row security. Idempotent."""

from __future__ import annotations

from importlib.resources import files

from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.errors import CatalogueError, Refused
from include.model.words import DatasetKind
from include.stores.postgres.live import Live
from include.stores.postgres.restriction import BASE, POLICY, Hiding
from include.stores.postgres.server import Connection, Server, name

ERASER = "eraser"
PROVER = "prover"


def install(
    conninfo_owner: str, catalogue: Catalogue, store: str, *, eraser: str = ERASER, prover: str = PROVER
) -> None:
    """Make or renew everything in one transaction, as the owner of the company's tables or a superuser.

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
    with server.connect() as connection, connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('quietus install', 0))")
        _roles(connection, store, (eraser, prover, *declared.business_roles))
        who = {"eraser": name(eraser), "prover": name(prover)}
        for file in ("schema.sql", "functions.sql"):
            connection.execute(sql.SQL(_text(file)).format(**who))
        live = Live.read(connection)
        _grant(connection, live, catalogue, store, eraser, prover)
        hiding = Hiding(catalogue, live)
        for dataset in catalogue.of_store(store, DatasetKind.TABLE):
            if dataset.address not in live.tables:
                raise CatalogueError(
                    f"the table {dataset.address} is not in the database",
                    about=dataset.id,
                    next_step="correct the dataset's address",
                )
            for address in (dataset.address, *live.partitions(dataset.address)):
                _base(connection, live, address)
            for statement in hiding.statements(dataset, declared.business_roles, eraser):
                connection.execute(statement)
        # A function that says who is restricted is nobody's business but the policies' and ours.
        connection.execute("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA quietus FROM PUBLIC")
        for role in declared.business_roles:
            # A policy is checked with the rights of whoever queries.
            connection.execute(
                sql.SQL(
                    "GRANT USAGE ON SCHEMA quietus TO {r};"
                    " GRANT SELECT (subject_id, lifted_at) ON quietus.restriction TO {r};"
                    " GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA quietus TO {r};"
                    " REVOKE EXECUTE ON FUNCTION quietus.open_since(timestamptz), quietus.refresh(regclass),"
                    " quietus.renew_statistics(regclass[]) FROM {r}"
                ).format(r=name(role))
            )
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


def _grant(
    connection: Connection, live: Live, catalogue: Catalogue, store: str, eraser: str, prover: str
) -> None:
    """The eraser works in the schemas that hold mapped tables; the prover reads everything, past row security."""
    work = sorted({d.address.split(".")[0] for d in catalogue.of_store(store, DatasetKind.TABLE)})
    every = sorted({t.address.split(".")[0] for t in live.tables.values()} | set(work))
    (database,) = connection.execute("SELECT current_database()").fetchone() or ("",)
    connection.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(name(database), name(eraser)))
    for schema in every:
        connection.execute(
            sql.SQL(
                "GRANT USAGE ON SCHEMA {s} TO {e}, {p}; GRANT SELECT ON ALL TABLES IN SCHEMA {s} TO {e}, {p}"
            ).format(s=name(schema), e=name(eraser), p=name(prover))
        )
    for schema in work:
        connection.execute(
            sql.SQL(
                "GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {s} TO {e};"
                " GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {s} TO {e}"
            ).format(s=name(schema), e=name(eraser))
        )
    (mighty,) = connection.execute(
        "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
    ).fetchone() or (False,)
    if mighty:  # else preflight names what is missing and what to ask the administrator for
        connection.execute(
            sql.SQL("ALTER ROLE {} BYPASSRLS; ALTER ROLE {} BYPASSRLS").format(name(eraser), name(prover))
        )
        _may_act_as(connection, prover, catalogue.store(store).business_roles)
        _may_read_what_comes(connection, live, prover)


def _may_act_as(connection: Connection, prover: str, roles: tuple[str, ...]) -> None:
    """The prover tries out a restriction by becoming each business role. It inherits nothing from them: what it
    reads as itself, it reads as itself."""
    if connection.info.server_version < 160000:  # before, inheriting is an attribute of the role
        connection.execute(sql.SQL("ALTER ROLE {} NOINHERIT").format(name(prover)))
    how = "WITH INHERIT FALSE, SET TRUE" if connection.info.server_version >= 160000 else ""
    for role in roles:
        connection.execute(sql.SQL("GRANT {} TO {} {}").format(name(role), name(prover), sql.SQL(how)))


def _may_read_what_comes(connection: Connection, live: Live, prover: str) -> None:
    """Tables that nobody declared are made after us, and are where a dragnet must be able to look."""
    owners = {t.owner for t in live.tables.values()}
    for owner in sorted(owners):
        connection.execute(
            sql.SQL(
                "ALTER DEFAULT PRIVILEGES FOR ROLE {o} GRANT SELECT ON TABLES TO {p};"
                " ALTER DEFAULT PRIVILEGES FOR ROLE {o} GRANT USAGE ON SCHEMAS TO {p}"
            ).format(o=name(owner), p=name(prover))
        )
    if connection.info.server_version >= 160000:  # before, a role that inherits nothing gets nothing from it
        connection.execute(
            sql.SQL("GRANT pg_read_all_data TO {} WITH INHERIT TRUE, SET FALSE").format(name(prover))
        )


def _base(connection: Connection, live: Live, address: str) -> None:
    """A permissive policy, without which a table with row security shows nothing at all. Only where the company
    has no policies of its own: there one more permissive policy would open what they close."""
    theirs = connection.execute(
        "SELECT count(*) FROM pg_policy WHERE polrelid = %s AND polname NOT IN (%s, %s)",
        [live.tables[address].oid, BASE, POLICY],
    ).fetchone() or (0,)
    if theirs[0] or (live.tables[address].row_security and not _has(connection, live, address)):
        return
    connection.execute(sql.SQL("DROP POLICY IF EXISTS {} ON {}").format(name(BASE), name(address)))
    connection.execute(
        sql.SQL(
            "CREATE POLICY {} ON {} AS PERMISSIVE FOR ALL TO PUBLIC USING (true) WITH CHECK (true)"
        ).format(name(BASE), name(address))
    )


def _has(connection: Connection, live: Live, address: str) -> bool:
    """Whether row security on the table is our own doing."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_policy WHERE polrelid = %s AND polname = %s)",
        [live.tables[address].oid, POLICY],
    ).fetchone()
    return bool(row and row[0])
