"""Notices about bags on our side: into the successor's bucket, and what its answers are worth."""

from __future__ import annotations

from include.cases.book import Conn
from include.handover import addressed, exact, heard, notices, register
from include.handover.notices import Notice
from include.handover.room import Record, unrecorded
from include.handover.sending import Way, delivering, lying, notice_key, notice_receipt_key, notice_sealed_key
from include.handover.timely import timely
from include.ledger import attest
from include.model.errors import BooksDoNotBalance, Refused
from include.model.handover import BagState, Consignment, NoticeReceipt

SHOWN = "quietus-bag-notice-receipt/1"


def send(way: Way, consignment: Consignment) -> list[str]:
    """Put every signed notice that was not sent beside its bag, if that was sent; their names. Again sends what is left."""
    with way.book() as conn:
        addressed.standing(conn, consignment)
        state = {b.name: b.state for b in register.bags(conn, consignment.order)}
        waiting = [
            n for n in notices.of_order(conn, consignment.order) if not n.sent and n.envelope is not None
        ]
    done = []
    for n in waiting:
        if state[n.said.bag] is BagState.PACKED:
            continue  # it goes when its bag has gone: nobody follows a notice about what he does not have
        with way.book() as conn:
            sealed = notices.sealed(conn, n)
        with delivering(f"notice {n.name}"):
            if sealed is not None:
                way.client.put_object(
                    Bucket=way.bucket, Key=notice_sealed_key(consignment.order, n.name), Body=sealed,
                    ContentType="application/cms", ChecksumAlgorithm="SHA256",
                )  # fmt: skip
                way.at("notices.brought")
        with way.book() as conn, conn.transaction():
            addressed.standing(conn, consignment)
            with delivering(f"notice {n.name}"):
                way.client.put_object(
                    Bucket=way.bucket, Key=notice_key(consignment.order, n.name), Body=n.envelope or b"",
                    ContentType="application/json", ChecksumAlgorithm="SHA256",
                )  # fmt: skip
            way.at("notices.put")
            notices.sent(conn, n)
        done.append(n.name)
    return done


def answer_of(way: Way, order: str, name: str) -> bytes | None:
    """The answer that lies beside a notice; None: there is none yet."""
    return lying(way.client, way.bucket, notice_receipt_key(order, name), f"notice {name}")


def verify(
    conn: Conn, consignment: Consignment, name: str, file: bytes, *, actor: str, record: Record = unrecorded
) -> Notice:
    """Verify the answer to the notice of this name, record it, and end the notice if the bag is now the same on both sides.

    Raises LedgerError if it is forged, Refused if it is about another order, bag or notice, or this was not sent;
    BooksDoNotBalance if it names a difference or another root: recorded too, and the notice waits.
    """
    addressed.standing(conn, consignment, ended=True)
    payload = attest.opened(file, SHOWN, attest.public_key(consignment.successor.receipt_key))
    said = exact.read(NoticeReceipt, payload, name)
    if said.order != consignment.order or notices.name(said.bag, said.notice) != name:
        raise Refused(
            "the answer is about another notice", about=f"{consignment.order}/{name}",
            next_step="verify it for that one; nothing was marked",
        )  # fmt: skip
    of = notices.one(conn, consignment.order, said.bag, said.notice)
    if said.digest != attest.digest(of.payload):
        raise Refused(
            "the answer is to another notice than the one that we signed", about=name,
            next_step="ask the successor what it followed; nothing was marked",
        )  # fmt: skip
    if not of.sent:
        raise Refused("the notice was not sent yet", about=name, next_step="quietus handover notices send")
    if said.custodian != register.bag(conn, said.order, said.bag).statement.successor:
        raise Refused(
            "the answer is another company's", about=name, next_step="ask the successor for its own"
        )
    differs = said.differences
    same = (said.items, said.root) == (of.said.items, of.said.root)
    body = {
        "order": said.order, "bag": said.bag, "notice": said.notice, "digest": said.digest, "deleted": said.deleted,
        "kept": len(said.kept), "items": said.items, "root": said.root, "missing": len(differs.missing),
        "changed": len(differs.changed), "extra": len(differs.extra), "done_at": said.done_at.isoformat(),
        "receipt": attest.digest(file),
    }  # fmt: skip
    with conn.transaction():
        addressed.standing(conn, consignment, ended=True)
        others = [a.done_at for a, _ in heard.answered(conn, said.order, said.bag).get(said.bag, ())]
        timely(said.done_at, since=of.said.made_at, others=others, about=name)
        record(
            "handover.notice_receipt",
            None,
            body,
            f"handover.notice_receipt:{name}:{attest.digest(file)[:32]}",
        )
        notices.answered(conn, of, file, kept=len(said.kept), reconciled=differs.none and same, actor=actor)
    if not (differs.none and same):
        raise BooksDoNotBalance(
            f"the successor lacks {len(differs.missing)} items, has {len(differs.changed)} changed and"
            f" {len(differs.extra)} that were not sent{'' if same else ', and another root'}", about=name,
            next_step="nothing of this bag may be deleted here; have the successor follow it again and sign anew",
        )  # fmt: skip
    return of
