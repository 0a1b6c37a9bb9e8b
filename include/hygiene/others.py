"""Rows that belong to no run, by their own age: audit log, jobs, events, versions that nothing uses. And archives."""

from __future__ import annotations

from collections import Counter
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


def delete(conn: Conn, table: Swept, before: datetime, many: int) -> Counter[str]:
    """Delete at most so many rows that are past their limit, the oldest first, in the caller's transaction; rows by table.

    Raises ValueError if anything went with them that is not declared: roll back.
    """
    key = sql.SQL(", ").join(sql.Identifier(k) for k in table.key)
    asked = sql.SQL(
        "WITH {live}, due AS MATERIALIZED (SELECT {key} FROM {table} t WHERE {clock} < %(before)s AND {why} IS NULL"
        " ORDER BY {clock}, {key} LIMIT %(many)s) DELETE FROM {table} t WHERE ({key}) IN (SELECT {key} FROM due)"
    ).format(
        live=runs.LIVE, key=key, table=sql.Identifier(table.table), clock=sql.SQL(table.clock), why=_why(table)
    )  # fmt: skip
    earlier = runs.deleted(conn)
    conn.execute(asked, {"before": before, "many": many, **runs.over()})
    went = runs.deleted(conn) - earlier
    runs.expect(went, {table.table, *table.takes})
    return went


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
