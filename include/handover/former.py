"""What becomes of the bags of a successor that withdrew, once both approvers said that it stays custodian of what it alone has.

Of each bag it is read what is here still. What a deletion of our copy took is *left* with that company, by its receipt; all else
of its bags counts no more, and is packed anew for whoever takes over: nothing is in neither place. That company destroys its copy
of what was not left with it: the document says so, for no notice of ours reaches it any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from include.cases.book import Conn
from include.cases.rooms import Desk
from include.cases.shutdown import begun, leaving, orders, way
from include.handover import register
from include.handover.items import Leaves
from include.handover.places import Again, Key, Reading, each
from include.handover.register import Bag
from include.handover.shards import At
from include.model import ranges
from include.model.errors import NotReachable, Refused
from include.stores.shared import nowhere


@dataclass(frozen=True)
class Settled:
    """``left``: bag -> items that are with ``company`` alone; ``anew``: bags that count no more, and are packed anew."""

    company: str
    left: Mapping[str, int]
    anew: tuple[str, ...]


@dataclass(frozen=True)
class _Read:
    gone: int = 0
    here: int = 0
    why: str = ""


def settle(desk: Desk, number: str, *, as_of: date, actor: str, at: At = nowhere) -> Settled | None:
    """Say of each bag of who withdrew how it ends; None: it was said, or both approvers have not given their word yet.

    Raises Refused while a case is at its bags: that comes to its end first, and deletes nothing more. NotReachable if a store
    does not answer, or something was disposed of while it was read: run it again.
    """
    with desk.book() as conn:
        of = orders.order(conn, number)
        who = leaving.former(conn, number)
        if who is None or leaving.answered(conn, of) is None:
            return None
        _none_under_way(conn, number)
        bags = [b for b in register.bags(conn, number) if b.statement.recipient == who.certificate]
        went, stood = begun.deleted_in(conn, number), _receipts(conn)
    read = each(Reading.of(desk, of, bags[0].statement.as_of), _left_of, lambda why: _Read(why=why))
    at("former.read")
    ends = {}
    for bag in bags:
        it = read.get(bag.name, _Read(here=bag.items))  # of the case book: it is here
        if it.why:
            raise NotReachable(it.why, about=bag.name, next_step="see to that store, then run it again")
        ends[bag.name] = (it.gone if bag.name in went else 0, it.here)
    left = {name: gone for name, (gone, _) in ends.items() if gone}
    part = {b.name: left[b.name] for b in bags if b.name in left and left[b.name] != b.items}
    anew = tuple(name for name in ends if name not in left)
    with orders.deed(desk, number) as (conn, _):
        if leaving.former(conn, number) != who:
            return None
        _none_under_way(conn, number)
        if _receipts(conn) != stood:
            raise NotReachable(
                "something was disposed of while the bags were read", about=number, next_step="run it again"
            )
        for name, (gone, here) in ends.items():
            register.ended(conn, number, name, left=gone, here=here)
        detail = {
            "withdrew": who.event, "company": who.company, "left": ranges.short(left), "items": sum(left.values()),
            "part": part, "counts_no_more": ranges.short(anew),
        }  # fmt: skip
        orders.say(desk, conn, number, leaving.SETTLED, as_of, actor, detail)
        at("former.before_commit")
    return Settled(who.company, left, anew)


def _left_of(again: Again, bag: Bag, salt: bytes, after: Key | None) -> _Read:
    """How many of its items are not here any more, and how many of its range go by now."""
    known, here = again.known(bag), 0
    leaves = Leaves(salt)
    for stored, said in again.lines(after, bag.upto, salt):
        if said.stays is None:
            here += 1
            leaf = leaves.of(stored, said.clocks, said.holds)
            if known[leaf] > 0:
                known[leaf] -= 1
    return _Read((+known).total(), here)


def _receipts(conn: Conn) -> object:
    """What is another once a store disposed of anything."""
    row = conn.execute("SELECT count(*) AS n FROM casebook.receipt WHERE verb = 'dispose'").fetchone()
    return row["n"] if row else 0


def _none_under_way(conn: Conn, number: str) -> None:
    for case_no in begun.bags_of(conn, number):
        if way.under_way(conn, case_no):
            raise Refused(
                f"{case_no} is at its bags", about=number,
                next_step="run `quietus shutdown delete-source`: it ends the case, and deletes nothing more by it",
            )  # fmt: skip
