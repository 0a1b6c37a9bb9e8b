"""Bags that are set aside though something of their case was disposed of: what came since on the successor's side, a difference
or another root, stops its bag alone. Nothing more of it goes; by the machinery of the nights its items fall out of the plan, as
those do that a hold names, and a later case takes what is left once the successor signed anew.

With it are set aside the bags that would take from it what it cannot do without afterwards: rows by which its clocks start, and
keys that open it. Rows that it refers to, or leads through, are known one by one when their piece comes, and stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from include.cases.book import Conn
from include.cases.rooms import Desk
from include.cases.shutdown import orders
from include.cases.shutdown.begun import few
from include.cases.shutdown.orders import Order
from include.handover import books, heard, register
from include.handover.conservation import BagSeen, Place, over_there
from include.handover.hanging import hanging
from include.handover.needing import by_sealed
from include.handover.places import Here
from include.handover.register import Bag
from include.handover.sources import Sources
from include.model import ranges
from include.model.errors import Refused

ASIDE = "source deletion goes on without"
"""Of the event: bags of a case that were stopped after something of it went."""


@dataclass
class Aside:
    """Asked before each piece: bag -> why nothing more of it goes, as of now. ``bags``: of the case. What the book says is read
    each time; our own side only when that became another, and names a bag. Then it is said in the order's history, before any
    piece heeds it: what falls out of the plan is owned up to, whatever is heard later, or whenever it is killed."""

    desk: Desk
    conn: Conn
    of: Order
    case_no: str
    bags: Sequence[Bag]
    as_of: date
    actor: str
    _known: tuple[object, Mapping[str, str]] | None = field(default=None, init=False, repr=False)

    def __call__(self) -> Mapping[str, str]:
        """Raises Refused if a bag cannot be set aside, for what its clocks started by went with the case: then all wait."""
        now = _heard(self.conn, self.of.number)
        if self._known is None or self._known[0] != now:
            stopped = self._stopped()
            found = self._with_others(stopped) if stopped else {}
            self._say(found)
            self._known = now, found
        return self._known[1]

    def _stopped(self) -> dict[str, str]:
        said, mine = heard.answers(self.conn, self.of.number), {b.name for b in self.bags}
        found = {}
        for bag in register.bags(self.conn, self.of.number):
            if bag.name in mine:
                seen = books.bag_seen(self.of, bag, said.get(bag.name), Here(Place.WHOLE))
                if why := next(iter(over_there(seen)), ""):
                    found[bag.name] = why
        return found

    def _with_others(self, stopped: Mapping[str, str]) -> dict[str, str]:
        """The stopped bags of which something is here, and those that they cannot do without."""
        seen = books.seen(self.desk, self.of, by=dict.fromkeys((b.name for b in self.bags), self.case_no))
        here = {b.bag for b in seen if b.place is not Place.GONE}
        aside = {b: why for b, why in stopped.items() if b in here}
        sources = Sources(self.desk, self.conn, self.of)
        while aside:
            going = [b for b in self.bags if b.name in here and b.name not in aside]
            names = {b.name: b.statement.dataset for b in going}
            more = hanging(self.desk.catalogue, sources.consigned, sources.packed, seen, names)
            more |= by_sealed(self.desk, sources, going, seen)
            if not more:
                break
            aside |= more
        _may_stay(b for b in seen if b.bag in aside)
        return aside

    def _say(self, bags: Mapping[str, str]) -> None:
        """Once."""
        if not bags:
            return
        detail = {"case": self.case_no, "bags": ranges.short(bags), "left": few(bags)}
        with orders.deed(self.desk, self.of.number) as (conn, _):
            history = orders.history(conn, self.of.number)
            if not any(e["what"] == ASIDE and e["detail"] == detail for e in history):
                orders.say(self.desk, conn, self.of.number, ASIDE, self.as_of, self.actor, detail)


def _may_stay(aside: Iterable[BagSeen]) -> None:
    """Raises Refused for one whose items that are here are not as they were packed: left so, no later case could take them."""
    for bag in aside:
        if bag.place is not Place.WHOLE and not bag.rest:
            raise Refused(
                "something of it would stay with other clocks than it was packed with, for what they start by went with the"
                " same case, or it cannot be read", about=bag.bag,
                next_step="nothing more of this case is deleted until the successor has signed for it anew",
            )  # fmt: skip


def _heard(conn: Conn, number: str) -> object:
    """What is another after anything was heard of a bag, or told."""
    return conn.execute(
        "SELECT (SELECT max(receipt_no) FROM casebook.handover_receipt WHERE order_no = %(n)s) AS receipts,"
        " (SELECT count(*) FROM casebook.handover_notice WHERE order_no = %(n)s) AS notices,"
        " (SELECT count(*) FROM casebook.handover_notice_receipt WHERE order_no = %(n)s) AS answers,"
        " (SELECT count(followed_at) FROM casebook.handover_notice WHERE order_no = %(n)s) AS followed",
        {"n": number},
    ).fetchone()


def said_aside(conn: Conn, number: str, case_no: str) -> dict[str, str]:
    """The bags of a case that were set aside since something of it went: bag -> why, if the event had room for that."""
    found: dict[str, str] = {}
    for e in orders.history(conn, number):
        if e["what"] == ASIDE and e["detail"]["case"] == case_no:
            found |= dict.fromkeys(ranges.long(e["detail"]["bags"]), "it was set aside")
            found |= {bag: why for why, of in e["detail"]["left"].items() for bag in ranges.long(of)}
    return found
