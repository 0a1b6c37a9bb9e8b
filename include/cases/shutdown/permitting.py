"""Our copy of what was handed over may go: a person says so by a document, before anything of it does."""

from __future__ import annotations

from datetime import date
from typing import Any

from include.cases.book import Conn
from include.cases.rooms import Desk
from include.cases.shutdown import orders
from include.cases.shutdown.begun import BEGUN
from include.cases.shutdown.consigning import CONSIGNED, last_consigned
from include.cases.shutdown.told import Paper, checked_paper
from include.model.errors import Refused

PERMITTED = "source deletion approved"
"""Of the event."""


def permit(
    desk: Desk, number: str, *, paper: Paper, as_of: date, actor: str, consignment: str | None = None
) -> None:  # fmt: skip
    """Whoever answers for it, by a document: of what goes by the consignment that was made last. ``consignment``: the fingerprint
    of the one that they were shown. Again changes nothing. Raises Refused without a document, before something was consigned, if
    another was consigned since they were asked, and if another document says so already."""
    checked_paper(paper, number)
    with orders.deed(desk, number) as (conn, _):
        made = last_consigned(conn, number)
        if made is None:
            raise Refused(
                "nothing was consigned to anybody", about=number, next_step="use `quietus shutdown consign` first"
            )  # fmt: skip
        if consignment not in (None, made):
            raise Refused(
                "it was consigned anew since that was asked, and nobody answered for what goes now", about=number,
                next_step="clear the task `source.consigned_as` with all that follows it, and answer the new question",
            )  # fmt: skip
        if (said := _said(conn, number, made)) is not None:
            if (said["detail"]["document"], said["detail"]["digest"]) != (paper.number, paper.digest):
                raise Refused(
                    f"it is approved by {said['detail']['document']} already, and one document answers for a consignment",
                    about=number, next_step="go on without a document: `quietus shutdown delete-source`",
                )  # fmt: skip
        else:
            detail = {"document": paper.number, "digest": paper.digest, "consignment": made}
            orders.say(desk, conn, number, PERMITTED, as_of, actor, detail)


def permitted(conn: Conn, number: str) -> str | None:
    """That it may go, in words; None: nobody said so of what was consigned last. What was begun before anybody was asked for a
    document goes on, by the consignment that it was begun under."""
    made = last_consigned(conn, number)
    said = _said(conn, number, made)
    if said is not None:
        return f"approved by {said['detail']['document']}"
    events = orders.history(conn, number)
    if any(e["what"] == PERMITTED for e in events):
        return None
    under: str | None = None
    for e in events:
        if e["what"] == CONSIGNED:
            under = e["detail"]["consignment"]
        elif e["what"] == BEGUN and under == made:
            return BEGUN
    return None


def shown(conn: Conn, number: str) -> str:
    """The fingerprint of the consignment that a question is about; empty: none was made."""
    return last_consigned(conn, number) or ""


def may_begin(conn: Conn, number: str) -> str | None:
    """The consignment that somebody let go by a document; None: it was begun before anybody was asked for one. Raises Refused
    while nobody answers for it."""
    if permitted(conn, number) is None:
        raise Refused(
            "nobody approved by a document that our copy goes", about=number,
            next_step="answer the question `source.ask`, or use `quietus shutdown delete-source` with --document and --file",
        )  # fmt: skip
    made = last_consigned(conn, number)
    return made if _said(conn, number, made) is not None else None


def _said(conn: Conn, number: str, consignment: str | None) -> dict[str, Any] | None:
    """The event that names this consignment."""
    return next(
        (
            e for e in reversed(orders.history(conn, number))
            if e["what"] == PERMITTED and e["detail"]["consignment"] == consignment
        ),
        None,
    )  # fmt: skip
