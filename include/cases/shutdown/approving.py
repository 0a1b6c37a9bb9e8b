"""Each of the two who approve a shutdown does so as the user that is logged in. Until both have, the order is not in force."""

from __future__ import annotations

from datetime import date

from include.cases import book
from include.cases.rooms import Desk
from include.cases.shutdown import orders
from include.cases.shutdown.orders import Order
from include.model.errors import Refused

APPROVED = "approved"
"""Of the event."""


def approve(desk: Desk, number: str, *, as_of: date, actor: str) -> Order:
    """Record the approval of whoever does this. Again changes nothing. Raises Refused for anybody whom the order does not name,
    or one that is withdrawn or ended."""
    who = book.person(book.checked_actor(actor))
    with orders.deed(desk, number, approved=False) as (conn, of):
        named = next((a for a in of.approvers if book.person(a) == who), None)
        if named is None:
            raise Refused(
                "you are not one of the two who approve it", about=number,
                next_step="have each of them run it, under a log-in of their own (`quietus shutdown show` names their roles)",
            )  # fmt: skip
        if named not in of.waits_for:
            return of
        orders.approved(conn, number, named, as_of)
        left = [a.partition("/")[0] for a in of.waits_for if a != named]
        orders.say(
            desk, conn, number, APPROVED, as_of, actor, {"as": named.partition("/")[0], "waits_for": left}
        )
        return orders.order(conn, number)
