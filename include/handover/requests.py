"""Requests about bags in the case book: what a successor is asked to delete, or hears an objection to, once our copy went; made,
signed, sent, answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from include.cases.book import Conn
from include.ledger.verify import said_in
from include.model.errors import Refused
from include.model.handover import OBJECTION, BagRequest, RequestReceipt

_COLUMNS = "bag, request, payload, envelope, answer_by, sent_at IS NOT NULL AS sent, answered_at IS NOT NULL AS answered"


@dataclass(frozen=True)
class Request:
    """One row of ``casebook.handover_request``."""

    said: BagRequest
    payload: bytes
    envelope: bytes | None
    sent: bool
    answered: bool

    @property
    def name(self) -> str:
        return name(self.said.bag, self.said.request)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Request:
        payload = bytes(row["payload"])
        envelope = bytes(row["envelope"]) if row["envelope"] is not None else None
        return cls(
            BagRequest.model_validate(json.loads(payload)), payload, envelope, row["sent"], row["answered"]
        )


@dataclass(frozen=True)
class Stand:
    """How far the requests of an order have come. ``objections``: how many of them are such; ``late``: of those that are not
    answered, how many were due before a day; ``deleted``, ``kept``: items, by the answers."""

    made: int = 0
    asked: int = 0
    answered: int = 0
    late: int = 0
    deleted: int = 0
    kept: int = 0
    objections: int = 0


@dataclass(frozen=True)
class Named:
    """Digests of the items of a bag that requests name already. ``asked``: to be deleted; ``objected``: of who objects; ``gone``:
    of these, what the successor says that it deleted."""

    asked: frozenset[str] = frozenset()
    objected: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()

    def lacks(self, item: str, *, objected: bool) -> bool:
        """Whether an item is to be named yet. Who asked for its deletion asked for more than who objects, not the other way."""
        return item not in self.asked and item not in (self.objected if objected else self.gone)


def name(bag: str, request: int) -> str:
    """How it is called in the successor's bucket."""
    return f"{bag}-{request:04d}"


def of_order(conn: Conn, order: str) -> list[Request]:
    """Every request of an order, by bag and number."""
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM casebook.handover_request WHERE order_no = %s ORDER BY bag, request",  # noqa: S608
        (order,),
    ).fetchall()
    return [Request.of(r) for r in rows]


def one(conn: Conn, order: str, bag: str, request: int) -> Request:
    """Raises Refused if there is none."""
    for found in of_order(conn, order):
        if (found.said.bag, found.said.request) == (bag, request):
            return found
    raise Refused(
        "there is no such request of this order", about=f"{order}/{name(bag, request)}",
        next_step="quietus handover requests list",
    )  # fmt: skip


def stand(conn: Conn, order: str, as_of: date) -> Stand:
    row = conn.execute(
        "SELECT count(*) AS made, coalesce(sum(asked), 0)::bigint AS asked, count(answered_at) AS answered,"
        " count(*) FILTER (WHERE answered_at IS NULL AND answer_by < %(on)s) AS late,"
        " count(*) FILTER (WHERE convert_from(payload, 'UTF8')::jsonb ->> 'format' = %(objection)s) AS objections,"
        " coalesce(sum(r.deleted), 0)::bigint AS deleted, coalesce(sum(r.kept), 0)::bigint AS kept"
        " FROM casebook.handover_request AS q LEFT JOIN LATERAL ("
        "   SELECT deleted, kept FROM casebook.handover_request_receipt AS x WHERE q.answered_at IS NOT NULL"
        "    AND (x.order_no, x.bag, x.request) = (q.order_no, q.bag, q.request) ORDER BY receipt_no DESC LIMIT 1) AS r ON true"
        " WHERE order_no = %(order)s",
        {"order": order, "on": as_of, "objection": OBJECTION},
    ).fetchone()
    return Stand(**row) if row is not None else Stand()


def asked(conn: Conn, order: str, bag: str, *, sent: bool = False) -> set[str]:
    """Digests of the items of a bag that were asked for. ``sent``: by requests that the successor can have seen."""
    rows = conn.execute(
        "SELECT payload FROM casebook.handover_request WHERE order_no = %s AND bag = %s AND (NOT %s OR envelope IS NOT NULL)",
        (order, bag, sent),
    ).fetchall()
    return {leaf for r in rows for leaf in json.loads(bytes(r["payload"]))["asked"]}


def named(conn: Conn, order: str, bag: str) -> Named:
    """What is asked for of a bag already, sent or not."""
    asked, objected, gone = set[str](), set[str](), set[str]()
    for r in of_order(conn, order):
        if r.said.bag != bag:
            continue
        if not r.said.objects:
            asked.update(r.said.asked)
            continue
        objected.update(r.said.asked)
        if r.answered:
            gone |= set(r.said.asked) - {k.item for k in _answer(conn, r).kept}
    return Named(frozenset(asked), frozenset(objected), frozenset(gone))


def _answer(conn: Conn, of: Request) -> RequestReceipt:
    """The answer that ended a request."""
    row = conn.execute(
        "SELECT envelope FROM casebook.handover_request_receipt WHERE order_no = %s AND bag = %s AND request = %s"
        " ORDER BY receipt_no DESC LIMIT 1",
        _key(of),
    ).fetchone()
    assert row is not None  # noqa: S101  what is answered has its answer
    return RequestReceipt.model_validate(said_in(bytes(row["envelope"])))


def made(conn: Conn, said: BagRequest) -> None:
    conn.execute(
        "INSERT INTO casebook.handover_request (order_no, bag, request, payload, asked, answer_by)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (said.order, said.bag, said.request, said.canonical(), len(said.asked), said.answer_by),
    )


def signed(conn: Conn, of: Request, envelope: bytes) -> None:
    conn.execute(
        "UPDATE casebook.handover_request SET envelope = %s"
        " WHERE order_no = %s AND bag = %s AND request = %s AND envelope IS NULL",
        (envelope, *_key(of)),
    )


def sent(conn: Conn, of: Request) -> None:
    conn.execute(
        "UPDATE casebook.handover_request SET sent_at = clock_timestamp()"
        " WHERE order_no = %s AND bag = %s AND request = %s AND sent_at IS NULL",
        _key(of),
    )


def times(conn: Conn, order: str, bag: str) -> list[datetime]:
    """When each answer about a bag was signed that was recorded."""
    rows = conn.execute(
        "SELECT convert_from(decode(convert_from(envelope, 'UTF8')::jsonb ->> 'payload', 'base64'), 'UTF8')::jsonb"
        " ->> 'done_at' AS done_at FROM casebook.handover_request_receipt WHERE order_no = %s AND bag = %s",
        (order, bag),
    ).fetchall()
    return [datetime.fromisoformat(r["done_at"]) for r in rows]


def answered(
    conn: Conn, of: Request, envelope: bytes, *, deleted: int, kept: int, good: bool, actor: str
) -> None:
    """A verified answer; the same file is recorded once. ``good``: it names no difference, and ends the request."""
    there = conn.execute(
        "SELECT 1 AS found FROM casebook.handover_request_receipt"
        " WHERE order_no = %s AND bag = %s AND request = %s AND envelope = %s",
        (*_key(of), envelope),
    ).fetchone()
    if there is None:
        conn.execute(
            "INSERT INTO casebook.handover_request_receipt (order_no, bag, request, envelope, deleted, kept, recorded_by)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            (*_key(of), envelope, deleted, kept, actor),
        )
    if good:
        conn.execute(
            "UPDATE casebook.handover_request SET answered_at = clock_timestamp()"
            " WHERE order_no = %s AND bag = %s AND request = %s AND answered_at IS NULL",
            _key(of),
        )


def _key(of: Request) -> tuple[str, str, int]:
    return of.said.order, of.said.bag, of.said.request
