"""Who may do what in the company's database: as little as the verbs need.

The eraser changes the tables that the catalogue maps, and what its declared effects and measures write besides.
The prover reads everything and writes nothing. A business role may ask whether one subject is restricted, which
its policies do for every row; it may not list them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files

from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.words import DatasetKind
from include.stores.postgres.live import Live
from include.stores.postgres.server import Connection, name

_WRITES = re.compile(r"\b(INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+(?:ONLY\s+)?([\w$]+\.[\w$]+)", re.IGNORECASE)
_COMMENT = re.compile(r"--[^\n]*")


def grant(
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
                "REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA {s} FROM {e};"
                " GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {s} TO {e}"
            ).format(s=name(schema), e=name(eraser))
        )
    for address, operation in sorted(set(_written(catalogue, store))):
        if address in live.tables:
            connection.execute(
                sql.SQL("GRANT {} ON {} TO {}").format(sql.SQL(operation), name(address), name(eraser))
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


def grant_to_maintainer(
    connection: Connection, live: Live, catalogue: Catalogue, store: str, maintainer: str
) -> None:
    """May write anew what a disposal reaches, and no more where the server has such a right (PostgreSQL 17). Before, only a
    table's owner may, so the maintainer acts as the owner, and can do whatever the owner can."""
    if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [maintainer]).rowcount:
        return
    m = name(maintainer)
    connection.execute(
        sql.SQL(
            "GRANT USAGE ON SCHEMA quietus TO {m}; GRANT SELECT ON quietus.receipt, quietus.dropped TO {m};"
            " GRANT SELECT, INSERT, UPDATE ON quietus.rewritten TO {m};"
            " GRANT EXECUTE ON FUNCTION quietus.holding_back() TO {m}"
        ).format(m=m)
    )
    reached = sorted(
        t.address for t in live.tables.values() if t.root in rewritable(catalogue, store) and t.kind in "rpm"
    )
    (mighty,) = connection.execute(
        "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
    ).fetchone() or (False,)
    if connection.info.server_version >= 170000:
        for address in reached:
            connection.execute(sql.SQL("GRANT MAINTAIN ON {} TO {}").format(name(address), m))
        if mighty:
            for catalog in STATISTICS:
                connection.execute(sql.SQL("GRANT MAINTAIN ON {} TO {}").format(name(catalog), m))
    else:
        for owner in sorted({live.tables[a].owner for a in reached}):
            if not _is_super(connection, owner):
                connection.execute(sql.SQL("GRANT {} TO {}").format(name(owner), m))
    for schema in sorted({a.split(".")[0] for a in reached}):
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(name(schema), m))
    if mighty:
        if connection.info.server_version >= 150000:
            connection.execute(sql.SQL("GRANT pg_checkpoint TO {}").format(m))
        _may_forget_statements(connection, m)


STATISTICS = ("pg_catalog.pg_statistic", "pg_catalog.pg_statistic_ext_data")
"""Where the planner's statistics hold values of every table."""


def rewritable(catalogue: Catalogue, store: str) -> frozenset[str]:
    """Every table, or root of partitions, in which a disposal may leave dead rows: what is mapped, what declared effects
    write besides, and the views that are copies."""
    datasets = catalogue.of_store(store, DatasetKind.TABLE)
    return frozenset(
        [d.address for d in datasets]
        + [e.table for d in datasets for e in d.effects if e.operation != "insert"]
        + [v.address for v in catalogue.derived if v.store == store]
    )


def _is_super(connection: Connection, role: str) -> bool:
    return connection.execute(
        "SELECT FROM pg_roles WHERE rolname = %s AND rolsuper", [role]
    ).rowcount == 1  # fmt: skip


def _may_forget_statements(connection: Connection, maintainer: sql.Identifier) -> None:
    """``pg_stat_statements`` keeps texts of statements, and of those that it cannot normalise their values."""
    for (signature,) in connection.execute(
        "SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.deptype = 'e'"
        " JOIN pg_extension e ON e.oid = d.refobjid WHERE e.extname = 'pg_stat_statements'"
        " AND p.proname = 'pg_stat_statements_reset'"
    ).fetchall():
        connection.execute(
            sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(sql.SQL(signature), maintainer)
        )


def _text(file: str) -> str:
    return (files(__package__) / "sql" / file).read_text(encoding="utf-8")


def _written(catalogue: Catalogue, store: str) -> Iterator[tuple[str, str]]:
    """(table, operation) of all that disposing and restricting write. Triggers of the company run with the rights of
    whoever deletes, so what they write, and is declared as an effect, is the eraser's to write."""
    for dataset in catalogue.of_store(store, DatasetKind.TABLE):
        yield dataset.address, "UPDATE"
        yield dataset.address, "DELETE"
        for effect in dataset.effects:
            yield effect.table, effect.operation.upper()
    for release in catalogue.releases:
        if release.into and catalogue.dataset(release.dataset).store == store:
            yield release.into, "INSERT"
    for measure in catalogue.measures:
        if measure.store == store:
            text = _COMMENT.sub("", catalogue.measure_sql.get(measure.id, ""))
            for deed, address in _WRITES.findall(text):
                yield address, deed.split()[0].upper()


def grant_to_policies(connection: Connection, roles: tuple[str, ...]) -> None:
    """A policy is checked with the rights of whoever queries. Again also takes back what older versions gave."""
    connection.execute("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA quietus FROM PUBLIC")
    asked = sql.SQL(", ").join(
        sql.SQL(signature)
        for (signature,) in connection.execute(
            "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.pronamespace = 'quietus'::regnamespace"
            " AND (p.proname IN ('actor', 'deny', 'is_restricted') OR starts_with(p.proname, 'hidden '))"
        )
    )
    for role in roles:
        connection.execute(
            sql.SQL(
                "REVOKE ALL ON ALL TABLES IN SCHEMA quietus FROM {r};"
                " GRANT USAGE ON SCHEMA quietus TO {r};"
                " GRANT SELECT (slot) ON quietus.restriction TO {r};"
                " REVOKE ALL ON ALL FUNCTIONS IN SCHEMA quietus FROM {r};"
                " GRANT EXECUTE ON FUNCTION {f} TO {r}"
            ).format(r=name(role), f=asked)
        )


def _may_act_as(connection: Connection, prover: str, roles: tuple[str, ...]) -> None:
    """The prover tries out a restriction as each business role, through a function that this role owns and that
    undoes whatever it did. A member of the role could write as it, whatever a read-only setting says."""
    for role in roles:
        connection.execute(
            sql.SQL(_text("acting.sql")).format(
                function=sql.Identifier("quietus", f"as {role}"), role=name(role), prover=name(prover)
            )
        )


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
    how = "WITH INHERIT TRUE, SET FALSE" if connection.info.server_version >= 160000 else ""
    connection.execute(
        sql.SQL("ALTER ROLE {p} INHERIT; GRANT pg_read_all_data TO {p} {how}").format(
            p=name(prover), how=sql.SQL(how)
        )
    )
