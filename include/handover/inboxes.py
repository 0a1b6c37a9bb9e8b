"""Whose bucket is whose: an order's bags, and all that is told of them later, go to one successor's inbox and no other's.

There is one connection for the inbox of whoever takes over now (``successor_inbox``). An order that has ended is followed until
its ledger is with the custodian, beside a newer one to another company. So the book keeps where each order's bags were sent, and
an order may have a connection of its own, ``successor_inbox_so_000001``, which ops declare once the other points elsewhere: that
is their word, and is taken for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.cases.book import Conn
from include.connections import SUCCESSOR_INBOX
from include.model.doors import Connections
from include.model.errors import Refused
from include.model.handover import Consignment
from include.model.words import Role

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Inbox:
    """A bucket on a server."""

    endpoint: str
    bucket: str

    @classmethod
    def at(cls, client: S3Client, bucket: str) -> Inbox:
        return cls(str(client.meta.endpoint_url), bucket)

    def __str__(self) -> str:
        return f"bucket {self.bucket} at {self.endpoint}"


def own(number: str) -> str:
    """The connection of one order's own inbox, without its role."""
    return f"{SUCCESSOR_INBOX}_{number.lower().replace('-', '_')}"


def connection(connections: Connections, number: str) -> str:
    """The connection to the inbox of an order's successor: its own, if it is declared, else the one of all."""
    try:
        connections.s3(own(number), Role.COURIER)
    except Refused:
        return SUCCESSOR_INBOX
    return own(number)


def bucket(connections: Connections, number: str) -> str:
    """The bucket that this connection names. Raises Refused if it is not declared, or names none."""
    return connections.text(f"{connection(connections, number)}_{Role.COURIER}")


def known(conn: Conn, consignment: Consignment) -> Inbox | None:
    """Where an order's bags were sent to this successor; None: nowhere yet, or before this was kept."""
    row = conn.execute(
        "SELECT endpoint, bucket FROM casebook.handover_inbox WHERE order_no = %s AND successor = %s"
        " ORDER BY inbox DESC LIMIT 1",
        (consignment.order, consignment.successor.name),
    ).fetchone()
    return None if row is None else Inbox(str(row["endpoint"]), str(row["bucket"]))


def keep(conn: Conn, consignment: Consignment, inbox: Inbox) -> None:
    """From now on what is told of an order goes there."""
    if known(conn, consignment) != inbox:
        conn.execute(
            "INSERT INTO casebook.handover_inbox (order_no, successor, endpoint, bucket) VALUES (%s, %s, %s, %s)",
            (consignment.order, consignment.successor.name, inbox.endpoint, inbox.bucket),
        )


def of_another(conn: Conn, consignment: Consignment, inbox: Inbox) -> tuple[str, str] | None:
    """The order, and its successor, another company, whose inbox this is by the last that is known of it; None: nobody's."""
    row = conn.execute(
        "SELECT order_no, successor FROM (SELECT DISTINCT ON (order_no, successor) * FROM casebook.handover_inbox"
        " ORDER BY order_no, successor, inbox DESC) AS last WHERE endpoint = %s AND bucket = %s AND successor <> %s LIMIT 1",
        (inbox.endpoint, inbox.bucket, consignment.successor.name),
    ).fetchone()
    return None if row is None else (str(row["order_no"]), str(row["successor"]))


def another(number: str, why: str, where: str) -> Refused:
    """What to say where the common connection is no way to an order's successor."""
    return Refused(
        f"the connection {SUCCESSOR_INBOX}_{Role.COURIER} points to another inbox than this order's: {why}; nothing was put"
        " there or read", about=number,
        next_step=f"declare {own(number)}_{Role.COURIER} with {where} and its key; the other connection stays as it is",
    )  # fmt: skip
