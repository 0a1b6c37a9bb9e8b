"""Proof of a restriction, by trying: as each business role, read the person's rows, and write one of them anew.

A flag in a column restricts nothing. So the prover becomes each business role in turn (``SET ROLE``), which must
see none of the rows that the prover sees by itself, and whose writes for the person must be refused while the
same write for somebody who does not exist is not. Whatever is tried is rolled back. Values are sent as
parameters of the protocol, so that the server's log has none of them.

Only rows that are the person's alone, or whose every owner is restricted, must be hidden: a contract stays open to
its other party.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import errors as pg
from psycopg import sql

from include.model.catalogue import Dataset
from include.model.flow import Check
from include.model.words import Ownership, Rung, Verdict
from include.proofs.server import Connection, Reader, meaning
from include.proofs.tables import Tables, equal, quoted

BATCH = 5000  # keys sent at once
CONTROL = "quietus-nobody-"

Key = tuple[str, ...]


@dataclass
class _Seen:
    """What was tried on one dataset, by all roles together."""

    keys: list[Key] = field(default_factory=list)
    sample: dict[str, str] = field(default_factory=dict)
    visible: int = 0
    to: list[str] = field(default_factory=list)
    attempts: int = 0
    refused: int = 0
    by: list[str] = field(default_factory=list)
    unable: list[str] = field(default_factory=list)


def hidden(reader: Reader, tables: Tables, roles: Sequence[str]) -> tuple[Check, ...]:
    """``hidden.<dataset>`` (R1) and ``refused.<dataset>`` (R0), over all business roles of the store."""
    if not roles:
        return ()
    seen = {d.id: _Seen() for d in tables.datasets}
    with reader.connect() as connection, reader.reaching():
        for dataset in tables.datasets:
            try:
                seen[dataset.id].keys = _keys(connection, tables, dataset)
                seen[dataset.id].sample = _sample(connection, dataset)
            except psycopg.Error as error:
                seen[dataset.id].unable.append(meaning(error, reader.about).what)
        connection.cursor_factory = psycopg.Cursor  # values apart from statements from here on
        connection.execute("SELECT set_config('row_security', 'on', false)")
        for role in roles:
            _as_role(connection, tables, role, seen, reader.about)
    return tuple(check for d in tables.datasets for check in _checks(d, seen[d.id], roles))


def views(reader: Reader, tables: Tables, roles: Sequence[str]) -> tuple[Check, ...]:
    """``hidden.<view>`` (R1): row security does not reach into a materialised view, nor always through a view.

    Looked at in every view that some business role may read: no text in it names the person.
    """
    found: list[Check] = []
    with reader.connect() as connection, reader.reaching():
        connection.cursor_factory = psycopg.Cursor
        every = connection.execute(_READABLE_VIEWS, [list(roles)]).fetchall()
        connection.execute("SELECT set_config('row_security', 'on', false)")
        for address, role, columns in every:
            name = f"hidden.{address}.{role}"
            count = sql.SQL("SELECT count(*) FROM {} AS v WHERE {}").format(
                quoted(address),
                sql.SQL(" OR ").join(
                    sql.SQL("v.{}::text = ANY(%(subjects)s)").format(sql.Identifier(c)) for c in columns
                ),
            )
            try:
                with connection.transaction(force_rollback=True):
                    connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
                    row = connection.execute(count, {"subjects": list(tables.step.subjects)}).fetchone()
            except psycopg.Error as error:
                found.append(_unverified(name, None, Rung.R1, meaning(error, reader.about).what))
                continue
            n = int(row[0]) if row else 0
            found.append(
                _check(name, None, Rung.R1, 0, n, f"{role} still reads the person through this view")
            )
    return tuple(found)


_READABLE_VIEWS = """
SELECT n.nspname || '.' || c.relname, r.rolname, array_agg(a.attname::text ORDER BY a.attnum)
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_catalog.pg_type t ON t.oid = a.atttypid AND t.typname IN ('text', 'varchar', 'bpchar', 'uuid')
  JOIN pg_catalog.pg_roles r ON r.rolname = ANY(%s)
 WHERE c.relkind IN ('v', 'm') AND n.nspname !~ '^(pg_|information_schema$|quietus$|q_)'
   AND has_schema_privilege(r.oid, n.oid, 'USAGE') AND has_column_privilege(r.oid, c.oid, a.attnum, 'SELECT')
 GROUP BY 1, 2 ORDER BY 1, 2
"""


def _keys(connection: Connection, tables: Tables, dataset: Dataset) -> list[Key]:
    """The rows that must be hidden now, as the prover sees them: their keys as text, in memory only."""
    columns = sql.SQL(", ").join(sql.SQL("t.{}::text").format(sql.Identifier(c)) for c in dataset.key)
    rows = connection.execute(
        sql.SQL(
            "SELECT {} FROM {} AS k JOIN {} AS t ON {}"
            " WHERE k.ownership = 'sole' OR (k.ownership = 'shared' AND NOT k.outsiders)"
        ).format(columns, tables.items(dataset.id), quoted(dataset.address), equal("t", "k", dataset.key))
    ).fetchall()
    return [tuple(str(v) for v in row) for row in rows]


def _as_role(connection: Connection, tables: Tables, role: str, seen: dict[str, _Seen], about: str) -> None:
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
    except psycopg.Error:
        for of in seen.values():
            of.unable.append(f"the prover may not act as {role}: run the store's install again")
        return
    for dataset in tables.datasets:
        of = seen[dataset.id]
        try:
            if _may(connection, role, dataset, "SELECT"):
                n = _visible(connection, tables, role, dataset, of.keys)
                of.visible += n
                of.to += [role] if n else []
            for column, value in _own_columns(tables, dataset):
                if _may(connection, role, dataset, "INSERT", column):
                    _try_to_write(connection, tables, role, dataset, column, value, of)
        except psycopg.Error as error:
            of.unable.append(f"as {role}: {meaning(error, about).what}")


def _may(connection: Connection, role: str, dataset: Dataset, privilege: str, column: str = "") -> bool:
    """Whether the role holds the privilege at all: what it may not touch anyway is no proof of a restriction."""
    columns = (column,) if column else dataset.key
    row = connection.execute(
        "SELECT has_schema_privilege(%s, %s, 'USAGE') AND"
        " (SELECT bool_and(has_column_privilege(%s, %s, c, %s)) FROM unnest(%s::text[]) AS u(c))",
        [role, dataset.address.split(".")[0], role, _text(dataset.address), privilege, list(columns)],
    ).fetchone()
    return bool(row and row[0])


def _text(address: str) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in address.split("."))


def _visible(connection: Connection, tables: Tables, role: str, dataset: Dataset, keys: Sequence[Key]) -> int:
    """How many of these rows the role sees."""
    types = tables.types.get(dataset.address, {})
    columns = sql.SQL(", ").join(sql.Identifier(f"k{i}") for i, _ in enumerate(dataset.key))
    match = sql.SQL(" AND ").join(
        sql.SQL("t.{} = k.{}::{}").format(
            sql.Identifier(c), sql.Identifier(f"k{i}"), sql.Identifier(types.get(c, "text"))
        )
        for i, c in enumerate(dataset.key)
    )
    statement = sql.SQL("SELECT count(*) FROM unnest({}) AS k({}) JOIN {} AS t ON {}").format(
        sql.SQL(", ").join(sql.SQL("%s::text[]") for _ in dataset.key),
        columns,
        quoted(dataset.address),
        match,
    )
    total = 0
    for start in range(0, len(keys), BATCH):
        some = keys[start : start + BATCH]
        with connection.transaction(force_rollback=True):
            connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
            row = connection.execute(statement, [list(v) for v in zip(*some, strict=True)]).fetchone()
        total += int(row[0]) if row else 0
    return total


def _own_columns(tables: Tables, dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Columns that name a subject directly, with the first subject of the cohort."""
    for link in dataset.links:
        if link.column and link.ownership is not Ownership.ACCESS_ONLY and tables.step.subjects:
            yield link.column, tables.step.subjects[0]


def _try_to_write(
    connection: Connection, tables: Tables, role: str, dataset: Dataset, column: str, value: str, of: _Seen
) -> None:
    """Insert a row for the person, and for nobody. Only if the second is not refused does the first one count."""
    if (
        _refused(connection, tables, role, dataset, column, CONTROL + secrets.token_hex(8), of.sample)
        is not False
    ):
        return  # the company refuses this role any such row, or it has no place: nothing is learnt here
    of.attempts += 1
    of.by.append(role)
    of.refused += _refused(connection, tables, role, dataset, column, value, of.sample) is True


def _refused(
    connection: Connection,
    tables: Tables,
    role: str,
    dataset: Dataset,
    column: str,
    value: str,
    sample: dict[str, str],
) -> bool | None:
    """Whether the server refuses the row for want of privilege, which is what a restriction answers.

    A partition must be found for the row before any trigger is asked. None: none was found.
    """
    types = tables.types.get(dataset.address, {})
    row = {c: v for c, v in sample.items() if _may(connection, role, dataset, "INSERT", c)} | {column: value}
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        quoted(dataset.address),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(
            sql.SQL("%s::text::{}").format(sql.Identifier("pg_catalog", types.get(c, "text"))) for c in row
        ),
    )
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("SET TRANSACTION READ WRITE")
            connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
            connection.execute(statement, list(row.values()))
    except pg.InsufficientPrivilege:
        return True
    except pg.CheckViolation as error:
        return None if error.diag.constraint_name is None else False
    except psycopg.Error:
        return False  # a constraint or a type: the restriction itself let it pass
    return False


_PARTITIONED_BY = """
SELECT DISTINCT a.attname
  FROM pg_catalog.pg_partition_tree(%s::text::regclass) AS p
  JOIN pg_catalog.pg_partitioned_table AS t ON t.partrelid = p.relid
 CROSS JOIN LATERAL unnest(t.partattrs::int2[]) AS k(no)
  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.partrelid AND a.attnum = k.no
"""


def _sample(connection: Connection, dataset: Dataset) -> dict[str, str]:
    """Of some row of the table, what it is partitioned by. Nothing more: a refusal may quote a row in the log."""
    columns = [c for (c,) in connection.execute(_PARTITIONED_BY, [_text(dataset.address)])]
    if not columns:
        return {}
    row = connection.execute(
        sql.SQL("SELECT {} FROM {} AS t LIMIT 1").format(
            sql.SQL(", ").join(sql.SQL("t.{}::text").format(sql.Identifier(c)) for c in columns),
            quoted(dataset.address),
        )
    ).fetchone()
    return {c: v for c, v in zip(columns, row or (), strict=False) if v is not None}


def _checks(dataset: Dataset, seen: _Seen, roles: Sequence[str]) -> Iterator[Check]:
    if seen.unable:
        yield _unverified(f"hidden.{dataset.id}", dataset.id, Rung.R1, "; ".join(dict.fromkeys(seen.unable)))
        return
    yield _check(
        f"hidden.{dataset.id}", dataset.id, Rung.R1, 0, seen.visible,
        f"business roles still read rows of the person: {', '.join(seen.to)}",
    )  # fmt: skip
    if seen.attempts:
        yield _check(
            f"refused.{dataset.id}", dataset.id, Rung.R0, seen.attempts, seen.refused,
            f"business roles can still write rows for the person (tried as {', '.join(sorted(set(seen.by)))})",
        )  # fmt: skip


def _check(name: str, dataset: str | None, rung: Rung, expected: int, observed: int, otherwise: str) -> Check:
    right = expected == observed
    return Check(
        name=name, dataset=dataset, rung=rung, verdict=Verdict.PASSED if right else Verdict.FAILED,
        expected=expected, observed=observed, why="" if right else otherwise,
    )  # fmt: skip


def _unverified(name: str, dataset: str | None, rung: Rung, why: str) -> Check:
    return Check(name=name, dataset=dataset, rung=rung, verdict=Verdict.UNVERIFIED, why=why)
