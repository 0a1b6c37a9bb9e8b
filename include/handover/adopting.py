"""At a successor: what of the authority's case book goes on in its own. Tombstones, so that its own suppression check
(``quietus suppression check``) holds back whom the authority deleted; and holds, which are listed, reviewed and released as its
own are. A hold covers the items that came along under its number, and nothing else: what it named people by is not known here.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Any

from include.cases import adopted, book, holds
from include.cases.adopted import Adopted
from include.cases.rooms import Desk
from include.cases.scopes import HoldBasis, Scope
from include.cases.yearly.ended import Periods
from include.handover import tombstone_keys
from include.handover.book import TOMBSTONE_KEY
from include.handover.custody import Custody
from include.model.errors import Refused
from include.model.handover import BagKind, held_as
from include.stores.postgres.server import Connection

TOMBSTONE, HOLD = "book.tombstone", "book.hold"
_BODIES = (
    "SELECT i.body FROM quietus_handover.item AS i JOIN quietus_handover.bag AS b USING (order_no, bag)"
    " WHERE i.order_no = %s AND i.dataset = %s AND b.stored_at IS NOT NULL ORDER BY i.bag, i.no"
)


def adopt(
    desk: Desk, custody: Custody, order: str, *, as_of: date, sender: str | None = None
) -> tuple[int, int]:
    """How many came, and how many of them were new here. Again changes nothing. ``sender``: whose order it is, where two gave it
    this number. Raises Refused if the bags of tombstones and of their keys were not stored, or a key is not in our key store."""
    order, periods = whose(custody, order, sender), Periods.of(desk.catalogue, desk.connections)
    came = Counter[str]()

    def counted() -> Iterator[Adopted]:
        for stone in _came(custody, order, periods):
            came["all"] += 1
            yield stone

    with desk.book() as conn, book.deed(conn, order):
        new = adopted.adopt(conn, desk.keys, order, counted(), as_of)
    return came.total(), new


def adopt_holds(
    desk: Desk, custody: Custody, order: str, *, actor: str, sender: str | None = None
) -> dict[str, str]:
    """Have the holds that came in our book: the number of each there -> here, of those that are new. Each keeps the day on which
    it was opened, and that of its next review. Again changes nothing. Raises Refused if their bag was not stored.

    Until this is done what came under a hold is held all the same; only nobody can release it.
    """
    order = whose(custody, order, sender)
    with custody.connect(BagKind.BOOK, HOLD) as connection:
        _stored(connection, order, {HOLD})
        bodies: list[Any] = [json.loads(b) for (b,) in connection.execute(_BODIES, [order, HOLD]).fetchall()]
    new: dict[str, str] = {}
    with desk.book() as conn, book.deed(conn, "hold"):
        for said in bodies:
            came = f"{order}/{said['id']}"
            if holds.came_already(conn, came):
                continue
            new[said["id"]] = holds.open_hold(
                conn, basis=HoldBasis(said["basis"]), document_no=said["document_no"], issuing_body=said["issuing_body"],
                law=said["law"], scope=Scope(came=frozenset({came})), as_of=date.fromisoformat(said["opened_on"]), actor=actor,
                confidential=said["confidential"], review_due=date.fromisoformat(said["review_due"]),
            )  # fmt: skip
    return new


def whose(custody: Custody, order: str, sender: str | None = None) -> str:
    """An order as it is held here, by its number. Raises Refused if nothing came with it, or two authorities gave it that number
    and nobody says which is meant."""
    with custody.connect(BagKind.BOOK, HOLD) as connection:
        there = [
            str(o)
            for (o,) in connection.execute(
                "SELECT DISTINCT order_no FROM quietus_handover.bag ORDER BY 1"
            ).fetchall()
        ]
    found = (
        [o for o in there if o == held_as(sender, order)]
        if sender
        else [o for o in there if o.endswith(f"/{order}")]
    )
    if not found:
        raise Refused("nothing of it is stored here", about=order, next_step="quietus handover receive")
    if len(found) > 1:
        raise Refused(
            f"{len(found)} authorities handed over under this number: {'; '.join(o.rpartition('/')[0] for o in found)}",
            about=order, next_step="say whose is meant: --sender NAME",
        )  # fmt: skip
    return found[0]


def _stored(connection: Connection, order: str, wanted: set[str]) -> None:
    there = connection.execute(
        "SELECT dataset FROM quietus_handover.bag WHERE order_no = %s AND stored_at IS NOT NULL", [order]
    )
    if missing := sorted(wanted - {str(d) for (d,) in there}):
        raise Refused(
            f"{' and '.join(missing)} of it is not stored here", about=order, next_step="quietus handover receive"
        )  # fmt: skip


def _came(custody: Custody, order: str, periods: Periods) -> Iterator[Adopted]:
    with custody.connect(BagKind.BOOK, TOMBSTONE) as connection:
        _stored(connection, order, {TOMBSTONE, TOMBSTONE_KEY})
        connection.execute("BEGIN READ ONLY")
        bodies = connection.cursor("bodies")  # by a cursor of the server, however many there are
        bodies.execute(_BODIES, [order, TOMBSTONE])
        for (body,) in bodies:
            said: Any = json.loads(body)
            made = date.fromisoformat(said["made_on"])
            # Of a tombstone without a last day the period of closed cases decides, from the day it was made: never from today.
            last = (
                date.fromisoformat(said["expires_on"]) if said["expires_on"] else periods.last_day(made, None)
            )
            yield Adopted(
                said["kind"], bytes.fromhex(said["token"]), tombstone_keys.name_of(order, int(said["token_version"])),
                said["case_no"], made, last,
            )  # fmt: skip
