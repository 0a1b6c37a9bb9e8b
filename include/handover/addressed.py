"""To whom bags of an order go: as the order and the book say it now, whatever file of a consignment is at hand.

A consignment stands if its order is in force, it is the one that `consigned` said last, its successor is the order's, and no
bag was packed by another. Whoever packs, sends, tells or believes asks here, under the order's lock: nobody names another
successor, or withdraws the order, until the transaction that asked has ended.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from include.cases.book import Conn
from include.cases.shutdown import leaving, orders
from include.cases.shutdown.consigning import last_consigned, packed_by
from include.cases.shutdown.orders import Order
from include.handover.register import Bag
from include.model.errors import Refused
from include.model.handover import BagStatement, Consignment

ANEW = (
    "name who takes over (`quietus shutdown successor`), then consign to it; if bags were packed for the one before: withdraw the"
    " order, if nothing went here by it, else `quietus shutdown leave-with-former` (docs/shutdown.md)"
)


def standing(conn: Conn, consignment: Consignment, *, ended: bool = False) -> Order:
    """The order of a consignment that stands, locked until the transaction ends. ``ended``: also of an order that has come to its
    end. Raises Refused, naming what is another."""
    of = orders.order(conn, consignment.order, lock=True)
    if not (of.in_force or (ended and of.ended_on is not None)):
        raise Refused(f"the order is {of.state}", about=of.number, next_step=orders.SEE)
    if of.waits_for:
        raise Refused("it waits for an approval", about=of.number, next_step=orders.SEE)
    orders.not_withdrawing(conn, of.number)
    theirs = consignment.successor
    if why := _another(of, theirs.name, _certificate(theirs.certificate)):
        raise Refused(why, about=of.number, next_step=ANEW)
    _one_of_all_bags(conn, consignment)
    if last_consigned(conn, of.number) != consignment.fingerprint():
        raise Refused(
            "this consignment is another consignment than the one that was made last", about=of.number,
            next_step="use that one; if it is lost, `quietus shutdown consign` makes it anew",
        )  # fmt: skip
    return of


def stands(conn: Conn, consignment: Consignment) -> bool:
    """Whether it does."""
    try:
        standing(conn, consignment)
    except Refused:
        return False
    return True


def stranger(of: Order, bag: Bag) -> str:
    """Why a bag is not the order's successor's; nothing: it is."""
    return _another(of, bag.statement.successor, bag.statement.recipient)


def still_theirs(conn: Conn, number: str, said: BagStatement) -> None:
    """Raises Refused if the order's successor is by now another than the one that this bag was packed for, or none; unless both
    approvers said that who withdrew keeps what it has: then the case that is at it comes to its end, and nothing more goes."""
    of = orders.order(conn, number)
    if _another(of, said.successor, said.recipient) and leaving.answered(conn, of) is not None:
        return
    if why := _another(orders.order(conn, number), said.successor, said.recipient):
        raise Refused(
            why, about=number, next_step="nothing more is deleted on its receipts; see `quietus shutdown books`"
        )  # fmt: skip


def _another(of: Order, successor: str, certificate: str) -> str:
    if of.successor is None:
        return f"{successor} takes over no more: it withdrew"
    if (successor, certificate) != (of.successor, of.successor_certificate):
        return f"it is for {successor}, and {of.successor} takes over, or by another certificate"
    return ""


def _certificate(pem: str) -> str:
    try:
        return x509.load_pem_x509_certificate(pem.encode()).fingerprint(SHA256()).hex()
    except ValueError:
        return ""


def _one_of_all_bags(conn: Conn, consignment: Consignment) -> None:
    if packed_by(conn, consignment.order) - {consignment.fingerprint()}:
        raise Refused(
            "bags of this order were packed by another consignment (another successor, day or list of datasets)",
            about=consignment.order, next_step="go on with that one; a changed order needs a number of its own",
        )  # fmt: skip
