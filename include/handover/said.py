"""What an order's own events say, each with its place in the ledger; and the cases by which something of it went."""

from __future__ import annotations

from typing import Any

from include.cases.book import Conn
from include.cases.shutdown import orders, told_recipients


def events(conn: Conn, number: str) -> list[dict[str, Any]]:
    """Of an order, oldest first, each with the key of its entry in the ledger."""
    rows = conn.execute(
        "SELECT event_id, as_of, what, detail FROM casebook.shutdown_event WHERE number = %s ORDER BY event_id",
        (number,),
    ).fetchall()
    return [{**r, "key": f"{orders.KIND}:{r['event_id']}"} for r in rows]


def begun(conn: Conn, number: str) -> dict[str, dict[str, Any]]:
    """The cases by which something of the order was disposed of, each with the event that says that it was begun."""
    found: dict[str, dict[str, Any]] = {}
    for e in events(conn, number):
        if "case" in e["detail"] and e["what"] != told_recipients.TOLD:
            found.setdefault(str(e["detail"]["case"]), e)
    return found
