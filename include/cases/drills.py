"""Drills as the ledger and the book have them: one entry each, in counts."""

from __future__ import annotations

from datetime import date
from typing import Any

from psycopg.types.json import Jsonb

from include.cases import book
from include.cases.book import Conn
from include.cases.rooms import Desk

KIND = "drill"
"""Of ledger entries: one drill of one backup set."""


def say(desk: Desk, body: dict[str, Any], key: str) -> None:
    """One drill into the ledger, then into the book for whoever asks. ``body``: :meth:`include.cases.drilling.Drilled.body`.
    Again changes nothing."""
    desk.record(KIND, None, body, key)
    with desk.book() as conn, book.deed(conn, f"backup set {body['set']}"):
        conn.execute(
            "INSERT INTO casebook.drill (backup_set, copy, as_of, verdict, body, ledger_key) VALUES (%s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (ledger_key) DO NOTHING",
            (body["set"], body["copy"], body["as_of"], body["verdict"], Jsonb(body), key),
        )


def last(conn: Conn) -> dict[str, dict[str, Any]]:
    """The last drill of each set."""
    rows = conn.execute(
        "SELECT DISTINCT ON (backup_set) * FROM casebook.drill ORDER BY backup_set, drilled_at DESC"
    ).fetchall()
    return {str(row["backup_set"]): row for row in rows}


def restorable(conn: Conn, *, since: date) -> dict[str, list[str]]:
    """Copies that a drill restored since that day, by set: whatever was found in them, they would help in a disaster."""
    rows = conn.execute(
        "SELECT backup_set, array_agg(DISTINCT copy ORDER BY copy) AS copies FROM casebook.drill"
        " WHERE as_of >= %s AND copy IS NOT NULL AND body->>'position' IS NOT NULL GROUP BY 1",
        (since,),
    ).fetchall()
    return {str(row["backup_set"]): row["copies"] for row in rows}
