"""What the successor said of each bag, as it is recorded: receipts, and answers to notices; and which root was due when.

A receipt names the root that its bag had at the successor when it was signed: as it was packed until a notice was followed, and
as that left it from then on. Between the sending of a notice and its answer it may be either.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from include.cases.book import Conn
from include.handover import requests
from include.handover.register import Bag
from include.handover.timely import SKEW
from include.ledger.verify import said_in
from include.model.handover import BagReceipt, NoticeReceipt


@dataclass(frozen=True)
class Answer:
    """The successor's last word on a bag: the root it says, and how many items it names as different, in its newest receipt and
    in its newest answer to a notice."""

    root: str
    missing: int
    changed: int
    extra: int

    @property
    def refused(self) -> str:
        """The differences in words; nothing: there are none."""
        if not (self.missing or self.changed or self.extra):
            return ""
        return f"{self.missing} missing, {self.changed} changed, {self.extra} too many"


def receipts(conn: Conn, order: str, bag: str | None = None) -> dict[str, list[BagReceipt]]:
    """Every verified receipt, by bag, the oldest first by the time at which it was signed."""
    rows = conn.execute(
        "SELECT bag, envelope FROM casebook.handover_receipt WHERE order_no = %(order)s"
        " AND (%(bag)s::text IS NULL OR bag = %(bag)s) ORDER BY receipt_no",
        {"order": order, "bag": bag},
    ).fetchall()
    found: dict[str, list[BagReceipt]] = {}
    for r in rows:
        found.setdefault(str(r["bag"]), []).append(
            judged(conn, BagReceipt.model_validate(said_in(bytes(r["envelope"]))))
        )
    return {name: sorted(said, key=lambda x: x.stored_at) for name, said in found.items()}


def judged(conn: Conn, said: BagReceipt) -> BagReceipt:
    """A receipt as it counts: what it says was deleted at our request, and nobody asked for, is missing."""
    if not said.asked:
        return said
    beyond = sorted(set(said.asked) - requests.asked(conn, said.order, said.bag, sent=True))
    missing = (*said.differences.missing, *beyond)
    return said.model_copy(update={"differences": said.differences.model_copy(update={"missing": missing})})


def answered(conn: Conn, order: str, bag: str | None = None) -> dict[str, list[tuple[NoticeReceipt, bool]]]:
    """Every verified answer to a notice, by bag, the oldest first, and whether it was without a difference."""
    rows = conn.execute(
        "SELECT bag, envelope, reconciled FROM casebook.handover_notice_receipt WHERE order_no = %(order)s"
        " AND (%(bag)s::text IS NULL OR bag = %(bag)s) ORDER BY receipt_no",
        {"order": order, "bag": bag},
    ).fetchall()
    found: dict[str, list[tuple[NoticeReceipt, bool]]] = {}
    for r in rows:
        found.setdefault(str(r["bag"]), []).append(
            (NoticeReceipt.model_validate(said_in(bytes(r["envelope"]))), r["reconciled"])
        )
    return {name: sorted(said, key=lambda x: x[0].done_at) for name, said in found.items()}


def is_known(conn: Conn, order: str, bag: str, file: bytes, notice: int | None = None) -> bool:
    """Whether this very file is recorded, and names no difference. ``notice``: the answer to that one; None: a receipt."""
    table = "handover_receipt" if notice is None else "handover_notice_receipt"
    row = conn.execute(
        f"SELECT FROM casebook.{table} WHERE order_no = %s AND bag = %s AND envelope = %s AND reconciled",
        (order, bag, file),
    ).fetchone()
    return row is not None


def due(conn: Conn, of: Bag, at: datetime) -> set[tuple[int, str]]:
    """Items and root that a receipt of this bag may name which was signed at that time."""
    notices = conn.execute(
        "SELECT notice, items, root, sent_at FROM casebook.handover_notice WHERE order_no = %s AND bag = %s ORDER BY notice",
        (of.statement.order, of.name),
    ).fetchall()
    done = answered(conn, of.statement.order, of.name).get(of.name, [])
    last = max((a.notice for a, fine in done if fine and a.done_at <= at), default=0)
    stood = {(of.statement.items, of.statement.root)} if not last else set()
    return stood | {
        (n["items"], n["root"])
        for n in notices
        if n["notice"] == last
        or (n["notice"] > last and n["sent_at"] is not None and n["sent_at"] - SKEW <= at)
    }  # fmt: skip


def answers(conn: Conn, order: str) -> dict[str, Answer]:
    """What the successor said last of each bag that it signed for, by the times at which it signed. An answer to a notice says
    how it has the whole bag, too: so until it signs anew for the bag that is its word. What either names as different stands
    until a newer one of its kind does not."""
    signed, followed = receipts(conn, order), answered(conn, order)
    return {bag: _answer(said, [a for a, _ in followed.get(bag, ())]) for bag, said in signed.items()}


def _answer(signed: Iterable[BagReceipt], followed: Iterable[NoticeReceipt]) -> Answer:
    receipt, answer = [*signed][-1], next(reversed([*followed]), None)
    words = [receipt.differences, *([answer.differences] if answer else [])]
    root = answer.root if answer is not None and answer.done_at >= receipt.stored_at else receipt.root
    return Answer(
        root, *(sum(len(getattr(w, kind)) for w in words) for kind in ("missing", "changed", "extra"))
    )
