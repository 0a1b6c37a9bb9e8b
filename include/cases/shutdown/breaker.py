"""How much may go when a service ends: what was located when its books were opened, and not an item more; and two people's word.

A night's breaker knows the nights before. This deed is done once, and its size is all that goes to nobody: so there is nothing to
hold it against but the opening, which is in the ledger and cannot be made to fit. Both approvers of the order let exactly those
figures go. What a hold kept then may go once it is lifted, and is in them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import date

from include.cases import book
from include.cases.book import Conn
from include.cases.rooms import Desk
from include.cases.shutdown import located, orders
from include.cases.shutdown.orders import Order
from include.cases.shutdown.questions import GOES
from include.model.errors import BooksDoNotBalance, Refused
from include.model.words import Disposition

APPROVED = "disposal approved"
"""Of the event."""
BEGUN = "disposal begun"
"""Of the event that says by which case something goes. What goes by others, a person's or a bag's, was never in these figures as
a whole: what was handed over, or kept by a law, may go by them too."""
MAY = (*GOES, Disposition.HOLD)
Figures = Mapping[str, int]


def figures(conn: Conn, number: str) -> dict[str, int]:
    """Dataset -> how many items of it may go at most: those that went to nobody, or were held, when its books were opened; and,
    once it is wholly packed, what was to go to the successor and is in no bag: a hold was lifted, or its owner objects."""
    bagged = _bagged(conn, number)
    found: dict[str, int] = {}
    for dataset, opening in located.openings(conn, number).items():
        found[dataset] = sum(opening.fates.get(x, 0) for x in MAY)
        if dataset in bagged:
            found[dataset] += max(0, opening.fates.get(Disposition.TRANSFER, 0) - bagged[dataset])
    return found


def approve(desk: Desk, number: str, *, as_of: date, actor: str) -> tuple[dict[str, int], tuple[str, ...]]:
    """One approver of the order lets what was located go; the figures, and who of them has not said so yet. Again changes
    nothing. Raises Refused for anybody else, or before the books are opened."""
    with orders.deed(desk, number) as (conn, of):
        who = book.person(book.checked_actor(actor))
        if who not in map(book.person, of.approvers):
            raise Refused(
                "only those who approved the order approve this", about=number,
                next_step=f"let {' and '.join(of.approvers)} do it, each as themselves",
            )  # fmt: skip
        found = figures(conn, number)
        if not found:
            raise Refused(
                "its books are not opened: nothing was located yet", about=number,
                next_step="use `quietus shutdown close-collection`, or `books`",
            )  # fmt: skip
        if who not in _said(conn, number, found):
            detail = {"figures": dict(sorted(found.items())), "items": sum(found.values())}
            orders.say(desk, conn, number, APPROVED, as_of, actor, detail)
        return found, _missing(of, _said(conn, number, found))


def may_go(conn: Conn, of: Order, going: Counter[str]) -> None:
    """That no more of a dataset goes than was located, less what went since, and that both approvers said so. ``going``: dataset
    -> items. Raises BooksDoNotBalance, Refused."""
    known, openings = figures(conn, of.number), located.openings(conn, of.number)
    would: dict[str, int] = {}
    for dataset, items in sorted((+going).items()):
        if dataset not in known:
            raise Refused(
                "it was not counted when the books were opened", about=f"{of.number} {dataset}",
                next_step="use `quietus shutdown books`, which counts it, and have the figures approved",
            )  # fmt: skip
        gone = _gone(conn, of.number, dataset, openings[dataset])
        would[dataset] = items + gone
        if items > known[dataset] - gone:
            raise BooksDoNotBalance(
                f"{items} items would go, and {known[dataset]} were located to go or held on T0, of which {gone} are gone",
                about=f"{of.number} {dataset}", next_step="nothing was deleted; see `quietus shutdown books`: find out why",
            )  # fmt: skip
    if missing := _missing(of, _said(conn, of.number, would)):
        raise Refused(
            f"{going.total()} items of {len(+going)} datasets would go, and {' and '.join(missing)} did not say so yet",
            about=of.number, next_step="let them look at `quietus shutdown preview`, then `quietus shutdown dispose … --approve`",
        )  # fmt: skip


def _said(conn: Conn, number: str, about: Figures) -> set[str]:
    """The people who approved figures that are at least these."""
    return {
        book.person(str(e["actor"])) for e in orders.history(conn, number)
        if e["what"] == APPROVED and all(n <= e["detail"]["figures"].get(d, -1) for d, n in about.items())
    }  # fmt: skip


def _bagged(conn: Conn, number: str) -> dict[str, int]:
    """Of the datasets that are wholly packed, how many items are in bags, as the last notices left them, or stay with who
    withdrew."""
    rows = conn.execute(
        "SELECT b.dataset, sum(coalesce(b.left_items, (SELECT n.items FROM casebook.handover_notice AS n"
        " WHERE n.order_no = b.order_no AND n.bag = b.bag ORDER BY n.notice DESC LIMIT 1),"
        " (convert_from(b.statement, 'UTF8')::jsonb ->> 'items')::int))::int AS items"
        " FROM casebook.handover_bag AS b WHERE b.order_no = %s GROUP BY b.dataset"
        " HAVING bool_or(b.last AND b.left_items IS NULL)",
        (number,),
    ).fetchall()
    return {str(r["dataset"]): int(r["items"]) for r in rows}


def _missing(of: Order, said: Collection[str]) -> tuple[str, ...]:
    return tuple(sorted(a for a in of.approvers if book.person(a) not in said))


def _gone(conn: Conn, number: str, dataset: str, opening: located.Opening) -> int:
    """What of a dataset's items went since, by cases of this deed."""
    ours = [e["detail"]["case"] for e in orders.history(conn, number) if e["what"] == BEGUN]
    done = located.disposed(conn, opening.since, only=ours).get(dataset, Counter())
    return sum(done[d] for d in GOES)
