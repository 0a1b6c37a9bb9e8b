"""Acting as a business role without its secret and without leaving anything behind.

The prover runs one statement through a function that the role owns, which undoes whatever it did: the prover is a
member of no business role, and cannot write as one. Values are sent as parameters of the protocol, so that the
server's log has none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import errors as pg
from psycopg import sql

from include.model.estate import Dataset
from include.proofs.server import Connection, meaning

# A lock, a time-out, a deadlock or a busy server: nothing is learnt of the restriction.
_NOT_NOW = ("55P03", "57014", "40P01", "40001")


class Unable(Exception):
    """The server did not answer the role. Carries a SQLSTATE only."""


@dataclass(frozen=True)
class Tried:
    """What became of a statement that was run as a role and undone."""

    n: int | None
    code: str | None = None
    violated: str | None = None

    def counted(self) -> int:
        """The number that a query returned. Raises Unable if it was refused."""
        if self.code:
            raise Unable(self.code)
        return self.n or 0

    @property
    def forbidden(self) -> bool:
        """Whether the server refused it for want of privilege, which is what a restriction answers."""
        return self.code == pg.InsufficientPrivilege.sqlstate

    def took_place(self) -> bool:
        """Whether it changed rows, or would have but for another constraint. Raises Unable if nobody can say."""
        if self.code is None:
            return bool(self.n)
        if self.code in _NOT_NOW or (self.code[:2] == "42" and not self.forbidden):
            raise Unable(self.code)
        return not self.forbidden


def act(
    connection: Connection,
    role: str,
    statement: sql.Composable,
    arguments: Sequence[object],
    *,
    write: bool = False,
) -> Tried:
    """Run a statement that returns a number, over its one parameter, as the role; nothing of it stays."""
    with connection.transaction(force_rollback=True):
        if write:
            connection.execute("SET TRANSACTION READ WRITE")
        row = connection.execute(
            sql.SQL("SELECT t.n, t.code, t.violated FROM {}(%s, %s::text[]) AS t").format(
                sql.Identifier("quietus", f"as {role}")
            ),
            [statement.as_string(connection), list(arguments)],
        ).fetchone()
    return Tried(*row) if row else Tried(None)


def not_acting(connection: Connection, role: str) -> str | None:
    """Why the prover cannot act as the role, if so: a function that does not run as the role proves nothing."""
    row = connection.execute(
        "SELECT p.prosecdef AND r.rolname = %s AND p.proconfig = ARRAY['search_path=pg_catalog, pg_temp']"
        " AND has_function_privilege(p.oid, 'EXECUTE')"
        " FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_roles r ON r.oid = p.proowner"
        " WHERE p.pronamespace = to_regnamespace('quietus') AND p.proname = %s",
        [role, f"as {role}"],
    ).fetchone()
    return None if row and row[0] else f"the prover may not act as {role}: run the store's install again"


def told(error: psycopg.Error | Unable, about: str) -> str:
    """Why nothing was learnt, without a value."""
    if isinstance(error, Unable):
        return f"the server refused to answer [{error}]"
    return meaning(error, about).what


@dataclass(frozen=True)
class Rights:
    """What a role may do to one table, by its columns: what it may not touch anyway is no proof of a restriction."""

    read: frozenset[str]
    insert: frozenset[str]
    update: frozenset[str]
    delete: bool


def rights(connection: Connection, role: str, dataset: Dataset) -> Rights:
    """As the server sees them, through every membership and PUBLIC."""
    found: dict[str, set[str]] = {"SELECT": set(), "INSERT": set(), "UPDATE": set()}
    delete = False
    for column, may, deletes in connection.execute(_RIGHTS, {"role": role, "table": text(dataset.address)}):
        delete = deletes
        for privilege in may:
            found[privilege].add(column)
    read, insert, update = (frozenset(found[p]) for p in ("SELECT", "INSERT", "UPDATE"))
    return Rights(read, insert, update, delete)


# A generated column cannot be set by anybody.
_RIGHTS = """
SELECT a.attname,
       ARRAY(SELECT p FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) AS p
              WHERE has_column_privilege(%(role)s::name, c.oid, a.attnum, p)
                AND (p = 'SELECT' OR (a.attgenerated = '' AND a.attidentity <> 'a'))),
       has_table_privilege(%(role)s::name, c.oid, 'DELETE')
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE c.oid = %(table)s::text::regclass AND has_schema_privilege(%(role)s::name, c.relnamespace, 'USAGE')
 ORDER BY a.attnum
"""


def text(address: str) -> str:
    """``schema.table`` quoted, for ``regclass``."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in address.split("."))


__all__ = ["Rights", "Tried", "Unable", "act", "not_acting", "rights", "text", "told"]
