"""What a successor's receipt is worth on our side. Only one that verifies and names no difference marks a bag ``received``."""

from __future__ import annotations

from include.cases.book import Conn
from include.handover import addressed, exact, heard, register
from include.handover.register import Bag
from include.handover.room import Record, unrecorded
from include.handover.timely import timely
from include.ledger import attest
from include.model.errors import BooksDoNotBalance, Refused
from include.model.handover import BagReceipt, BagState, Consignment

SHOWN = "quietus-bag-receipt/1"


def opened(file: bytes, consignment: Consignment) -> BagReceipt:
    """The receipt, if the successor's key signed it, to the byte in the form that is signed. Raises LedgerError for a forged or
    damaged one."""
    payload = attest.opened(file, SHOWN, attest.public_key(consignment.successor.receipt_key))
    return exact.read(BagReceipt, payload, "receipt")


def verify(
    conn: Conn, consignment: Consignment, name: str, file: bytes, *, actor: str, record: Record = unrecorded
) -> Bag:
    """Verify a receipt for the bag of this name, record it, and mark the bag ``received``.

    The key that is believed is that of the consignment by which the bags were packed, whatever file is at hand.
    Raises LedgerError if it is forged, Refused if it is about another order, bag or statement, another company's, of another time
    or older than one that is recorded, or the bag was not sent. Raises BooksDoNotBalance if it names differences, or another root
    than was due: such a receipt is recorded too (``conn`` is in autocommit, else commit all the same), and the bag waits.
    """
    addressed.standing(conn, consignment, ended=True)
    said = opened(file, consignment)
    if said.order != consignment.order:
        raise Refused(
            f"the receipt is of another order ({said.order})", about=f"{consignment.order}/{name}",
            next_step="ask for this one's; nothing was marked",
        )  # fmt: skip
    if said.bag != name:
        raise Refused(
            f"the receipt is for another bag ({said.bag})", about=f"{consignment.order}/{name}",
            next_step="verify it for that bag; nothing was marked",
        )  # fmt: skip
    bag = register.bag(conn, consignment.order, name)
    if said.statement != attest.digest(bag.payload):
        raise Refused(
            "the receipt is for another statement than the one that we signed", about=name,
            next_step="ask the successor which file it received; nothing was marked",
        )  # fmt: skip
    if bag.state is BagState.PACKED:
        raise Refused("the bag was not sent yet", about=name, next_step="quietus handover send")
    if said.custodian != bag.statement.successor:
        raise Refused(
            "the receipt is another company's", about=name, next_step="ask the successor for its own; nothing was marked"
        )  # fmt: skip
    told, said = said, heard.judged(conn, said)
    differs = said.differences
    body = {"order": said.order, "bag": name, "statement": said.statement, "root": said.root, "items": said.items,
            "receipt": attest.digest(file), "missing": len(told.differences.missing), "changed": len(differs.changed),
            "extra": len(differs.extra), "stored_at": said.stored_at.isoformat(),
            **({"asked": len(said.asked)} if said.asked else {}),
            **({"not_asked": beyond} if (beyond := len(differs.missing) - len(told.differences.missing)) else {})}  # fmt: skip
    with conn.transaction():
        # Nobody begins to withdraw the order meanwhile: what the successor signed for, nothing takes back.
        addressed.standing(conn, consignment, ended=True)
        others = [r.stored_at for r in heard.receipts(conn, said.order, name).get(name, ())]
        timely(said.stored_at, since=bag.statement.packed_at, others=others, about=name)
        same = (said.items, said.root) in heard.due(conn, bag, said.stored_at)
        record(
            "handover.receipt", None, body, f"handover.receipt:{said.order}:{name}:{attest.digest(file)[:32]}"
        )
        register.receipt(conn, bag, said, file, reconciled=differs.none and same, actor=actor)
    if not differs.none:
        raise BooksDoNotBalance(
            f"the successor lacks {len(differs.missing)} items, has {len(differs.changed)} changed and"
            f" {len(differs.extra)} that were not sent{_first(said)}", about=name,
            next_step="nothing of this bag may be deleted here; have the successor store it again and sign anew"
            " (`quietus handover send --again` puts the sealed file there)",
        )  # fmt: skip
    if not same:
        raise BooksDoNotBalance(
            "the successor computed another root than the one that was due, and names no difference", about=name,
            next_step="nothing of this bag may be deleted here; have it receive again, or compare both versions of the software",
        )  # fmt: skip
    return bag


def _first(said: BagReceipt) -> str:
    """The first few by digest; they can be looked up in the bag by whoever has its salt."""
    d = said.differences
    digests = [*d.missing, *(before for before, _ in d.changed), *d.extra][:3]
    return f" ({', '.join(x[:16] + '…' for x in digests)})" if digests else ""
