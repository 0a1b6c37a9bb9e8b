"""The way to an order's successor, checked before anything goes or is heard by it."""

from __future__ import annotations

from pathlib import Path

from include.cases.book import Conn
from include.cases.rooms import Desk
from include.cases.shutdown import orders
from include.handover import inboxes, register
from include.handover.inboxes import Inbox
from include.handover.sending import Way, lying, statement_key
from include.handover.shards import At
from include.model.handover import BagState, Consignment
from include.model.words import Role
from include.stores.shared import nowhere


def way(
    desk: Desk, consignment: Consignment, home: Path = Path(), bucket: str | None = None, *, at: At = nowhere
) -> Way:
    """By the order's own connection, or by that of all if it leads to this order's successor. ``bucket``: another than the
    connection names. Raises Refused if it leads to somebody else, saying what to declare; NotReachable."""
    connection = inboxes.connection(desk.connections, consignment.order)
    client = desk.connections.s3(connection, Role.COURIER)
    found = Way(client, bucket or inboxes.bucket(desk.connections, consignment.order), home, desk.book, at=at)
    if connection != inboxes.own(consignment.order):
        with desk.book() as conn:
            _checked(conn, consignment, found)
    return found


def _checked(conn: Conn, consignment: Consignment, way: Way) -> None:
    """An inbox is an order's if its bags were sent there; or if one that was sent lies there, for a server that moved, and for
    orders from before it was kept. Of those the common connection is theirs, too, while there is no newer order."""
    number, here = consignment.order, Inbox.at(way.client, way.bucket)
    known = inboxes.known(conn, consignment)
    if known == here:
        return
    who = consignment.successor.name
    sent = [
        b for b in register.bags(conn, number)
        if b.state is not BagState.PACKED and b.statement.successor == who
    ]  # fmt: skip
    if sent and any(
        b.envelope is not None
        and lying(way.client, way.bucket, statement_key(number, b.name), f"bag {b.name}") == b.envelope
        for b in (sent[0], sent[-1])
    ):
        inboxes.keep(conn, consignment, here)  # so that no other order takes it for its own
        return
    if sent and known is not None:
        raise inboxes.another(number, f"its bags are with {who} in {known}, and it names {here}", str(known))
    if sent and orders.orders(conn)[0].number != number:
        raise inboxes.another(number, f"none of its bags lies in {here}", f"the bucket of {who}")
    if other := inboxes.of_another(conn, consignment, here):
        raise inboxes.another(
            number, f"{here} is that of {other[1]}, which has bags of {other[0]}", f"the bucket of {who}"
        )
