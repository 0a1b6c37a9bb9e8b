"""Our copy of what was handed over may go: a person says so by a document, before anything of it does."""

from __future__ import annotations

from datetime import date
from typing import Any

from include.cases.book import Conn
from include.cases.rooms import Desk
from include.cases.shutdown import orders
from include.cases.shutdown.begun import BEGUN
from include.cases.shutdown.consigning import last_consigned
from include.cases.shutdown.told import Paper, checked_paper
from include.model.errors import Refused

PERMITTED = "source deletion approved"
"""Of the event."""


def permit(desk: Desk, number: str, *, paper: Paper, as_of: date, actor: str) -> None:
    """Whoever answers for it, by a document: of what goes by the consignment that was made last. Again changes nothing. Raises
    Refused without a document, or before something was consigned."""
    checked_paper(paper, number)
    with orders.deed(desk, number) as (conn, _):
        made = last_consigned(conn, number)
        if made is None:
            raise Refused(
                "nothing was consigned to anybody", about=number, next_step="use `quietus shutdown consign` first"
            )  # fmt: skip
        if _said(conn, number, made) is None:
            detail = {"document": paper.number, "digest": paper.digest, "consignment": made}
            orders.say(desk, conn, number, PERMITTED, as_of, actor, detail)


def permitted(conn: Conn, number: str) -> str | None:
    """That it may go, in words; None: nobody said so of what was consigned last. What was begun before anybody was asked for a
    document goes on."""
    said = _said(conn, number, last_consigned(conn, number))
    if said is not None:
        return f"approved by {said['detail']['document']}"
    whats = {e["what"] for e in orders.history(conn, number)}
    return BEGUN if BEGUN in whats and PERMITTED not in whats else None


def may_begin(conn: Conn, number: str) -> None:
    """Raises Refused while nobody answers for it."""
    if permitted(conn, number) is None:
        raise Refused(
            "nobody approved by a document that our copy goes", about=number,
            next_step="answer the question `source.ask`, or use `quietus shutdown delete-source` with --document and --file",
        )  # fmt: skip


def _said(conn: Conn, number: str, consignment: str | None) -> dict[str, Any] | None:
    """The event that names this consignment."""
    return next(
        (
            e for e in reversed(orders.history(conn, number))
            if e["what"] == PERMITTED and e["detail"]["consignment"] == consignment
        ),
        None,
    )  # fmt: skip
