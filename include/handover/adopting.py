"""At a successor: the tombstones that came with an order, beside those of its own case book, so that its own suppression check
(``quietus suppression check``) holds back whom the authority deleted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Any

from include.cases import adopted, book
from include.cases.adopted import Adopted
from include.cases.rooms import Desk
from include.cases.yearly.ended import Periods
from include.handover import tombstone_keys
from include.handover.book import TOMBSTONE_KEY
from include.handover.custody import Custody
from include.model.errors import Refused
from include.model.handover import BagKind

TOMBSTONE = "book.tombstone"
_BODIES = (
    "SELECT i.body FROM quietus_handover.item AS i JOIN quietus_handover.bag AS b USING (order_no, bag)"
    " WHERE i.order_no = %s AND i.dataset = %s AND b.stored_at IS NOT NULL ORDER BY i.bag, i.no"
)


def adopt(desk: Desk, custody: Custody, order: str, *, as_of: date) -> tuple[int, int]:
    """How many came, and how many of them were new here. Again changes nothing. Raises Refused if the bags of tombstones and of
    their keys were not stored, or a key is not in our key store."""
    periods = Periods.of(desk.catalogue, desk.connections)
    came = Counter[str]()

    def counted() -> Iterator[Adopted]:
        for stone in _came(custody, order, periods):
            came["all"] += 1
            yield stone

    with desk.book() as conn, book.deed(conn, order):
        new = adopted.adopt(conn, desk.keys, order, counted(), as_of)
    return came.total(), new


def _came(custody: Custody, order: str, periods: Periods) -> Iterator[Adopted]:
    with custody.connect(BagKind.BOOK, TOMBSTONE) as connection:
        stored = {
            str(d)
            for (d,) in connection.execute(
                "SELECT dataset FROM quietus_handover.bag WHERE order_no = %s AND stored_at IS NOT NULL",
                [order],
            )
        }
        if missing := sorted({TOMBSTONE, TOMBSTONE_KEY} - stored):
            raise Refused(
                f"{' and '.join(missing)} of it is not stored here", about=order, next_step="quietus handover receive"
            )  # fmt: skip
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
