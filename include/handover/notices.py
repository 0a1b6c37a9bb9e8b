"""Notices about bags in the case book: made, signed, sent, followed; and what the successor signed of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from include.cases.book import Conn
from include.model.errors import Refused
from include.model.handover import BagNotice

_COLUMNS = "bag, notice, payload, envelope, sent_at IS NOT NULL AS sent, followed_at IS NOT NULL AS followed"


@dataclass(frozen=True)
class Notice:
    """One row of ``casebook.handover_notice``."""

    said: BagNotice
    payload: bytes
    envelope: bytes | None
    sent: bool
    followed: bool

    @property
    def name(self) -> str:
        return name(self.said.bag, self.said.notice)

    @classmethod
    def of(cls, row: dict[str, Any]) -> Notice:
        payload = bytes(row["payload"])
        envelope = bytes(row["envelope"]) if row["envelope"] is not None else None
        return cls(
            BagNotice.model_validate(json.loads(payload)), payload, envelope, row["sent"], row["followed"]
        )


def name(bag: str, notice: int) -> str:
    """How it is called in the successor's bucket: in the order in which they are to be followed."""
    return f"{bag}-{notice:04d}"


def of_order(conn: Conn, order: str) -> list[Notice]:
    """Every notice of an order, by bag and number."""
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM casebook.handover_notice WHERE order_no = %s ORDER BY bag, notice",  # noqa: S608
        (order,),
    ).fetchall()
    return [Notice.of(r) for r in rows]


def one(conn: Conn, order: str, bag: str, notice: int) -> Notice:
    """Raises Refused if there is none."""
    for found in of_order(conn, order):
        if (found.said.bag, found.said.notice) == (bag, notice):
            return found
    raise Refused(
        "there is no such notice of this order", about=f"{order}/{name(bag, notice)}",
        next_step="quietus handover notices list",
    )  # fmt: skip


def made(conn: Conn, said: BagNotice, sealed: bytes | None, leaves: bytes) -> None:
    """``leaves``: the digests of the bag's items from then on, in their order."""
    conn.execute(
        "INSERT INTO casebook.handover_notice (order_no, bag, notice, payload, sealed, removed, added, items, root, leaves)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (said.order, said.bag, said.notice, said.canonical(), sealed, len(said.removed), said.added, said.items,
         said.root, leaves),
    )  # fmt: skip


def sealed(conn: Conn, of: Notice) -> bytes | None:
    """What it brings, sealed to the successor."""
    row = conn.execute(
        "SELECT sealed FROM casebook.handover_notice WHERE order_no = %s AND bag = %s AND notice = %s",
        _key(of),
    ).fetchone()
    return bytes(row["sealed"]) if row is not None and row["sealed"] is not None else None


def signed(conn: Conn, of: Notice, envelope: bytes) -> None:
    conn.execute(
        "UPDATE casebook.handover_notice SET envelope = %s"
        " WHERE order_no = %s AND bag = %s AND notice = %s AND envelope IS NULL",
        (envelope, *_key(of)),
    )


def sent(conn: Conn, of: Notice) -> None:
    conn.execute(
        "UPDATE casebook.handover_notice SET sent_at = clock_timestamp()"
        " WHERE order_no = %s AND bag = %s AND notice = %s AND sent_at IS NULL",
        _key(of),
    )


def answered(conn: Conn, of: Notice, envelope: bytes, *, kept: int, reconciled: bool, actor: str) -> None:
    """A verified answer; the same file is recorded once. One without a difference ends the notice, and those before it about the
    same bag: it could not have been followed without them."""
    there = conn.execute(
        "SELECT 1 AS found FROM casebook.handover_notice_receipt"
        " WHERE order_no = %s AND bag = %s AND notice = %s AND envelope = %s",
        (*_key(of), envelope),
    ).fetchone()
    if there is None:
        conn.execute(
            "INSERT INTO casebook.handover_notice_receipt (order_no, bag, notice, envelope, kept, reconciled, recorded_by)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            (*_key(of), envelope, kept, reconciled, actor),
        )
    if reconciled:
        conn.execute(
            "UPDATE casebook.handover_notice SET followed_at = clock_timestamp()"
            " WHERE order_no = %s AND bag = %s AND notice <= %s AND followed_at IS NULL",
            _key(of),
        )


def _key(of: Notice) -> tuple[str, str, int]:
    return of.said.order, of.said.bag, of.said.notice
