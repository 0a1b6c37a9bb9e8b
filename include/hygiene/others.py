"""Rows that belong to no run, by their own age: audit log, jobs, events, versions that nothing uses. And archives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import sql

from include.hygiene import runs
from include.hygiene.installing import SCHEMA
from include.hygiene.opening import Conn
from include.hygiene.runs import Fate
from include.hygiene.tables import Swept


def fates(conn: Conn, table: Swept, before: datetime) -> tuple[Fate, ...]:
    """Of every row of a table. Changes nothing."""
    asked = sql.SQL(
        "WITH {live} SELECT why, count(*) AS n, min(clock) AS oldest"
        " FROM (SELECT {why} AS why, {clock} AS clock FROM {table} t) f"
        " GROUP BY why ORDER BY why NULLS FIRST"
    ).format(live=runs.LIVE, why=_why(table), clock=sql.SQL(table.clock), table=sql.Identifier(table.table))
    return tuple(
        Fate(table.table, row["why"], row["n"], row["oldest"])
        for row in conn.execute(asked, {"before": before, **runs.over()}).fetchall()
    )


_ALL = sql.SQL("TRUE")
_DUE = sql.SQL(
    "SELECT {key} FROM {table} t WHERE {clock} < %(before)s AND {why} IS NULL AND {chosen} ORDER BY {clock}, {key} LIMIT %(many)s"
)


def due(conn: Conn, table: Swept, before: datetime, many: int) -> tuple[int, ...]:
    """The keys of the next rows that go, the oldest first. Of a table whose key is one number."""
    asked = sql.SQL("WITH {live} {due}").format(live=runs.LIVE, due=_due(table))
    rows = conn.execute(asked, {"before": before, "many": many, **runs.over()}).fetchall()
    return tuple(int(row[table.key[0]]) for row in rows)


def delete(
    conn: Conn, table: Swept, before: datetime, many: int, chosen: Sequence[int] | None = None
) -> Counter[str]:  # fmt: skip
    """Delete at most so many rows that are past their limit, the oldest first, in the caller's transaction; rows by table.
    ``chosen``: only of these, those that still may go.

    Raises ValueError if anything went with them that is not declared: roll back.
    """
    asked = sql.SQL(
        "WITH {live}, due AS MATERIALIZED ({due}) DELETE FROM {table} t WHERE ({key}) IN (SELECT {key} FROM due)"
    ).format(
        live=runs.LIVE, key=_key(table), table=sql.Identifier(table.table),
        due=_due(table, _ALL if chosen is None else sql.SQL("({}) = ANY(%(chosen)s)").format(_key(table))),
    )  # fmt: skip
    earlier = runs.deleted(conn)
    conn.execute(asked, {"before": before, "many": many, "chosen": list(chosen or ()), **runs.over()})
    went = runs.deleted(conn) - earlier
    runs.expect(went, {table.table, *table.takes})
    return went


def _key(table: Swept) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(k) for k in table.key)


def _due(table: Swept, chosen: sql.Composable = _ALL) -> sql.Composed:
    return _DUE.format(
        key=_key(table), table=sql.Identifier(table.table), clock=sql.SQL(table.clock), why=_why(table), chosen=chosen
    )  # fmt: skip


def _why(table: Swept) -> sql.Composed:
    """The reason for which a row stays; NULL: it goes. A row without a time stays, and that is said."""
    cases: list[sql.Composable] = [
        sql.SQL("WHEN {} THEN {}").format(sql.SQL(condition), sql.Literal(reason))
        for reason, condition in table.stays
    ]
    clock = sql.SQL(table.clock)
    cases.append(sql.SQL("WHEN {} IS NULL THEN 'it has no time'").format(clock))
    cases.append(sql.SQL("WHEN {} >= %(before)s THEN 'its limit has not come'").format(clock))
    return sql.SQL("CASE {} END").format(sql.SQL(" ").join(cases))


def archives(conn: Conn, patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Copies of deleted rows that are there."""
    rows: list[dict[str, Any]] = conn.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE ANY(%s) ORDER BY relname",
        (list(patterns),),
    ).fetchall()
    return tuple(str(r["relname"]) for r in rows)


def drop_archives(conn: Conn) -> tuple[str, ...]:
    """Drop them, by the owner's function; their names."""
    rows = conn.execute(
        sql.SQL("SELECT {}.drop_archives() AS name").format(sql.Identifier(SCHEMA))
    ).fetchall()
    return tuple(str(r["name"]) for r in rows)
