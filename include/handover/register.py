"""What the case book knows of bags: packed, sent, received; and the receipts. A bag's row is what makes it finished."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from include.cases.book import Conn
from include.handover import whose
from include.handover.book import BAGS
from include.handover.items import split
from include.handover.shards import Packed
from include.model.errors import Refused
from include.model.handover import BagReceipt, BagState, BagStatement, Consignment

_BAGS = """
SELECT b.order_no, b.bag, b.dataset, b.shard, b.upto, b.last, b.stays, b.statement, b.envelope, b.upload_id, b.state,
       coalesce(b.read_at, b.packed_at) AS read_at, b.left_items, b.here_items, n.notices, n.items, n.root, n.unanswered
  FROM casebook.handover_bag AS b
  LEFT JOIN LATERAL (
       SELECT max(notice) AS notices, (array_agg(items ORDER BY notice DESC))[1] AS items,
              (array_agg(root ORDER BY notice DESC))[1] AS root, count(*) FILTER (WHERE followed_at IS NULL) AS unanswered
         FROM casebook.handover_notice WHERE order_no = b.order_no AND bag = b.bag) AS n ON true
 WHERE b.order_no = %(order)s AND (%(dataset)s::text IS NULL OR b.dataset = %(dataset)s)
   AND (b.left_items IS NULL) <> %(former)s
 ORDER BY b.dataset, b.shard"""


@dataclass(frozen=True)
class Bag:
    """One row of ``casebook.handover_bag``. ``items``, ``root``: as the bag was signed, or as the last notice left it;
    ``notices``: how many there are, of which so many are ``unanswered``; ``read_at``: since when its items are those. Of a bag
    whose successor withdrew, ``left``: so many of its items stay with that company; ``here``: so many were here then."""

    statement: BagStatement
    payload: bytes  # the statement, as it is signed
    shard: int
    upto: tuple[str, ...] | None
    last: bool
    stays: dict[str, int]
    envelope: bytes | None
    upload_id: str | None
    state: BagState
    items: int
    root: str
    read_at: datetime
    notices: int = 0
    unanswered: int = 0
    left: int | None = None
    here: int | None = None

    @property
    def name(self) -> str:
        return self.statement.bag

    @classmethod
    def of(cls, row: dict[str, Any]) -> Bag:
        payload = bytes(row["statement"])
        said = BagStatement.model_validate(json.loads(payload))
        notices = row["notices"] or 0
        return cls(
            said, payload, row["shard"],
            tuple(row["upto"]) if row["upto"] is not None else None, row["last"], row["stays"],
            bytes(row["envelope"]) if row["envelope"] is not None else None, row["upload_id"], BagState(row["state"]),
            row["items"] if notices else said.items, row["root"] if notices else said.root, row["read_at"], notices,
            row["unanswered"], row["left_items"], row["here_items"],
        )  # fmt: skip


def bags(conn: Conn, order: str, dataset: str | None = None) -> list[Bag]:
    """The finished bags of an order, by dataset and shard; without those of a successor that withdrew, once the order went on."""
    rows = conn.execute(_BAGS, {"order": order, "dataset": dataset, "former": False}).fetchall()
    return [Bag.of(row) for row in rows]


def former(conn: Conn, order: str) -> list[Bag]:
    """Those: of each some items are with that company alone, or none."""
    rows = conn.execute(_BAGS, {"order": order, "dataset": None, "former": True}).fetchall()
    return [Bag.of(row) for row in rows]


def ended(conn: Conn, order: str, name: str, *, left: int, here: int) -> None:
    """A bag whose successor withdrew is of the past: so many items stay there, and so many are here."""
    conn.execute(
        "UPDATE casebook.handover_bag SET left_items = %s, here_items = %s"
        " WHERE order_no = %s AND bag = %s AND left_items IS NULL",
        (left, here, order, name),
    )


def next_shard(conn: Conn, order: str, dataset: str) -> int:
    """The number of the next bag of a dataset: none is given twice."""
    row = conn.execute(
        "SELECT coalesce(max(shard), 0) + 1 AS n FROM casebook.handover_bag WHERE order_no = %s AND dataset = %s",
        (order, dataset),
    ).fetchone()
    return int(row["n"]) if row else 1


def bag(conn: Conn, order: str, name: str) -> Bag:
    """Raises Refused if there is no such bag."""
    found = [b for b in bags(conn, order) if b.name == name]
    if not found:
        raise Refused(
            "there is no such bag of this order", about=f"{order}/{name}", next_step="quietus handover status"
        )  # fmt: skip
    return found[0]


def leaves(conn: Conn, of: Bag) -> list[bytes] | None:
    """The digests of a bag's items, as the last notice about it left them; None: they were not kept."""
    row = conn.execute(
        "SELECT coalesce((SELECT leaves FROM casebook.handover_notice WHERE order_no = %(o)s AND bag = %(b)s"
        " ORDER BY notice DESC LIMIT 1), (SELECT leaves FROM casebook.handover_leaves WHERE order_no = %(o)s"
        " AND bag = %(b)s)) AS leaves",
        {"o": of.statement.order, "b": of.name},
    ).fetchone()
    if row is None or row["leaves"] is None:
        return None
    return split(bytes(row["leaves"]))


def packed(conn: Conn, consignment: Consignment, of: Packed) -> None:
    """A sealed bag is finished: from here on it is never written again."""
    said = of.statement
    conn.execute(
        "INSERT INTO casebook.handover_bag (order_no, bag, consignment, dataset, kind, shard, upto, last, items, stays,"
        " root, salt, bytes, sha256, statement, read_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (said.order, said.bag, consignment.fingerprint(), said.dataset, said.kind.value, of.shard,
         list(of.upto) if of.upto is not None else None, of.last, said.items, Jsonb(of.stays), said.root, of.salt,
         said.bytes, said.sha256, said.canonical(), of.read_at),
    )  # fmt: skip
    conn.execute(
        "INSERT INTO casebook.handover_leaves (order_no, bag, leaves) VALUES (%s, %s, %s)",
        (said.order, said.bag, of.leaves),
    )
    whose.keep(conn, said.order, said.bag, of.owners)


def signed(conn: Conn, of: Bag, envelope: bytes) -> None:
    conn.execute(
        "UPDATE casebook.handover_bag SET envelope = %s WHERE order_no = %s AND bag = %s",
        (envelope, of.statement.order, of.name),
    )


def uploading(conn: Conn, of: Bag, upload_id: str | None) -> None:
    """Under which number its parts lie in the successor's bucket."""
    conn.execute(
        "UPDATE casebook.handover_bag SET upload_id = %s WHERE order_no = %s AND bag = %s",
        (upload_id, of.statement.order, of.name),
    )


def sent(conn: Conn, of: Bag) -> None:
    conn.execute(
        "UPDATE casebook.handover_bag SET state = 'sent', sent_at = clock_timestamp(), upload_id = NULL"
        " WHERE order_no = %s AND bag = %s AND state = 'packed'",
        (of.statement.order, of.name),
    )


def receipt(conn: Conn, of: Bag, said: BagReceipt, envelope: bytes, *, reconciled: bool, actor: str) -> None:
    """A verified receipt. The same file again is recorded once; one without difference marks the bag ``received``."""
    there = conn.execute(
        "SELECT 1 AS found FROM casebook.handover_receipt WHERE order_no = %s AND bag = %s AND envelope = %s",
        (said.order, said.bag, envelope),
    ).fetchone()
    if there is None:
        d = said.differences
        conn.execute(
            "INSERT INTO casebook.handover_receipt (order_no, bag, envelope, missing, changed, extra, reconciled, recorded_by)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            (said.order, said.bag, envelope, len(d.missing), len(d.changed), len(d.extra), reconciled, actor),
        )
    if reconciled and of.state is BagState.SENT:
        conn.execute(
            "UPDATE casebook.handover_bag SET state = 'received', received_at = clock_timestamp()"
            " WHERE order_no = %s AND bag = %s AND state = 'sent'",
            (said.order, said.bag),
        )


def _consigned(conn: Conn, order: str) -> set[str]:
    """What the consignment names by which this order's bags were packed, as `quietus shutdown consign` said it."""
    rows = conn.execute(
        "SELECT jsonb_array_elements_text(detail -> 'datasets') AS dataset FROM casebook.shutdown_event WHERE what = 'consigned'"
        " AND detail ->> 'consignment' IN (SELECT consignment FROM casebook.handover_bag WHERE order_no = %s"
        " AND left_items IS NULL)",
        (order,),
    ).fetchall()
    return {str(r["dataset"]) for r in rows}


def reconciled(conn: Conn, order: str, datasets: Iterable[str] = ()) -> bool:
    """Whether these datasets, any other of which the order has bags, whatever the book says was consigned with them, and the
    book's own parts are wholly packed and each bag of them ``received``: the fact behind the guard ``receipt_reconciled`` (law.md
    E, transition 18). A dataset of which no bag was ever made is not received. Of an order without bags: no."""
    found = bags(conn, order)
    whole = {b.statement.dataset for b in found if b.last}
    wanted = {b.statement.dataset for b in found} | {*datasets, *BAGS, *_consigned(conn, order)}
    return bool(found) and wanted <= whole and all(b.state is BagState.RECEIVED for b in found)


def salts(conn: Conn, order: str) -> dict[str, bytes]:
    """The salt of each bag, by which its items can be counted again on our side. Never told to anybody."""
    rows = conn.execute(
        "SELECT bag, salt FROM casebook.handover_bag WHERE order_no = %s", (order,)
    ).fetchall()
    return {str(r["bag"]): bytes(r["salt"]) for r in rows}
