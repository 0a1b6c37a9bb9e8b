"""A receipt that names differences, and came after the service's certificate: what becomes of it.

The certificate stays what it is: by what was signed until then it is true. The difference is an entry of the ledger, like any
receipt, and the custodian's verifier names it. So the ledger is not handed over before the successor has signed anew without a
difference, or both approvers of the order answer for it by a document: nothing here brings back what the successor lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from include.cases import book
from include.cases.book import Conn
from include.cases.rooms import Desk
from include.cases.shutdown import both, orders
from include.cases.shutdown.both import Both
from include.cases.shutdown.told import Paper, checked_paper
from include.handover.service_certificate import kept
from include.ledger import attest
from include.ledger.verify_ledger import LATE
from include.model.errors import Refused


@dataclass(frozen=True)
class Late:
    """One receipt. ``number``: its place in the book; ``receipt``: SHA-256 of its file; ``answered``: by whom, or None."""

    number: int
    bag: str
    receipt: str
    what: str
    answered: Both | None


def differences(conn: Conn, number: str) -> list[Late]:
    """The receipts of an order after which the successor signed nothing without a difference, oldest first."""
    of = orders.order(conn, number)
    rows = conn.execute(
        "SELECT r.receipt_no, r.bag, r.envelope, r.missing, r.changed, r.extra FROM casebook.handover_receipt AS r"
        " WHERE r.order_no = %s AND NOT r.reconciled AND NOT EXISTS (SELECT FROM casebook.handover_bag AS b"
        " WHERE b.order_no = r.order_no AND b.bag = r.bag AND b.left_items = 0)"
        " AND NOT EXISTS (SELECT FROM casebook.handover_receipt AS n"
        " WHERE n.order_no = r.order_no AND n.bag = r.bag AND n.reconciled AND n.receipt_no > r.receipt_no) ORDER BY 1",
        (number,),
    ).fetchall()
    found = []
    for r in rows:
        digest = attest.digest(bytes(r["envelope"]))
        counts = f"{r['missing']} missing, {r['changed']} changed, {r['extra']} too many"
        what = counts if r["missing"] or r["changed"] or r["extra"] else "another root"
        said = both.answer(conn, of, LATE, lambda d, x=digest: x in d["receipts"])  # type: ignore[misc]
        found.append(Late(int(r["receipt_no"]), str(r["bag"]), digest, what, said))
    return found


def none_open(conn: Conn, number: str) -> None:
    """Raises Refused, naming each bag of which the successor's last word is a difference that nobody answers for."""
    if open_ := [x for x in differences(conn, number) if x.answered is None]:
        said = "; ".join(f"{x.bag}: {x.what}" for x in open_)
        raise Refused(
            f"receipts that came after the certificate name differences: {said}", about=number,
            next_step="have the successor store those bags again (`quietus handover send --again` puts the sealed file there) and"
            " sign anew; if it cannot, both approvers answer for it: `quietus shutdown accept-differences`",
        )  # fmt: skip


def accept(
    desk: Desk, number: str, *, newest: int, paper: Paper, as_of: date, actor: str
) -> tuple[list[Late], tuple[str, ...]]:
    """One approver answers for the differences that nobody answers for yet; those, and whose word is waited for. ``newest``: the
    last receipt that was shown. Raises Refused before the certificate, for anybody else, if there is none, or one came since."""
    checked_paper(paper, number)
    with desk.book() as conn, book.deed(conn, number):
        of = orders.order(conn, number, lock=True)
        if kept(conn, number) is None:
            raise Refused(
                "its service has no certificate yet: what differs before is settled with the successor", about=number,
                next_step="have it store the bag again and sign anew",
            )  # fmt: skip
        open_ = [x for x in differences(conn, number) if x.answered is None]
        if not open_:
            raise Refused(
                "no receipt names a difference that nobody answers for", about=number, next_step="nothing is to be done"
            )  # fmt: skip
        if open_[-1].number > newest:
            raise Refused(
                f"receipt {open_[-1].number} for bag {open_[-1].bag} came since: {open_[-1].what}", about=number,
                next_step=f"look at that, too; then answer for receipts up to {open_[-1].number}",
            )  # fmt: skip
        about = {"receipts": [x.receipt for x in open_], "bags": sorted({x.bag for x in open_})}
        return open_, both.say(desk, conn, of, LATE, paper, about, as_of=as_of, actor=actor)
