"""What people asked for of what the successor alone has, and no answer is here for; and tombstones that it did not sign for. The
ledger does not go to its custodian before that is settled, since from then on nobody is here who could sign, and whose the items
are is known no more.

Settled is what the successor answered. For the rest (it does not answer; an open hold covers it; nobody knows whose a bag's items
are) both approvers of the order answer by a document: then these people turn to the successor themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from include.cases import book
from include.cases.book import Conn
from include.cases.rooms import Desk
from include.cases.shutdown import both, orders, who_asked
from include.cases.shutdown.told import Paper, checked_paper
from include.handover import buried, passing_on, register, requests
from include.model.errors import Refused

LEFT = "requests left unanswered"
"""Of the event."""


@dataclass(frozen=True)
class Unpassed:
    """``unanswered``: requests that were made, each with its items; ``bags``: bags with so many items that are asked for and are
    in no request, or of tombstones that the successor does not know; ``whys``: of each bag, why."""

    unanswered: dict[str, int] = field(default_factory=dict)
    bags: dict[str, int] = field(default_factory=dict)
    whys: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.unanswered or self.bags)

    @property
    def items(self) -> int:
        return sum(self.unanswered.values()) + sum(self.bags.values())

    def lines(self) -> list[str]:
        """Bags and requests in words, and nobody's name."""
        return [f"{name}: {n:,} items asked for, not answered" for name, n in self.unanswered.items()] + [
            f"{bag}: {n:,} items, {self.whys[bag]}" for bag, n in self.bags.items()
        ]

    def within(self, answered: Mapping[str, Any]) -> bool:
        """Whether an answer for what was open then is one for all of this."""
        return all(
            n <= answered[kind].get(name, 0)
            for kind, of in (("requests", self.unanswered), ("bags", self.bags)) for name, n in of.items()
        )  # fmt: skip


def unpassed(desk: Desk, conn: Conn, number: str) -> Unpassed:
    """What is open now, whoever answers for it. Raises NotReachable."""
    found = Unpassed({r.name: len(r.said.asked) for r in requests.of_order(conn, number) if not r.answered})
    if not who_asked.may_be_passed_on(conn, orders.order(conn, number)):
        return found  # by then all else was answered for, and nobody knows any more whose it is
    for name, (items, why) in buried.open_(conn, number).items():
        found.bags[name], found.whys[name] = items, why
    left: dict[str, str] = {}
    for wanted in passing_on.wanting(desk, conn, number, left):
        if wanted.items or wanted.held:
            found.bags[wanted.bag.name] = wanted.items + wanted.held
            found.whys[wanted.bag.name] = "not asked for yet" if wanted.items else "which an open hold covers"
    for bag in register.bags(conn, number) if left else ():
        if bag.name in left:
            found.bags[bag.name], found.whys[bag.name] = bag.items or 0, left[bag.name]
    return found


def none_open(desk: Desk, conn: Conn, number: str) -> None:
    """Raises Refused, naming each request and bag, unless everything is answered or answered for."""
    open_ = unpassed(desk, conn, number)
    if open_ and both.answer(conn, orders.order(conn, number), LEFT, open_.within) is None:
        raise Refused(
            f"the successor was asked, or is to be, and did not answer: {'; '.join(open_.lines())}", about=number,
            next_step="pass it on and hear the answers (`quietus handover requests send`, `verify`; of tombstones `tombstones`,"
            " `verify-receipt`); if that cannot be, both approvers answer for it: `quietus shutdown accept-unanswered`",
        )  # fmt: skip


def accept(
    desk: Desk, number: str, *, items: int, paper: Paper, as_of: date, actor: str
) -> tuple[Unpassed, tuple[str, ...]]:
    """One approver answers for what is open; that, and whose word is waited for. ``items``: how many were shown. Raises Refused
    for anybody else, if nothing is open, or if it is another number by now."""
    checked_paper(paper, number)
    with desk.book() as conn, book.deed(conn, number):
        of = orders.order(conn, number, lock=True)
        open_ = unpassed(desk, conn, number)
        if not open_:
            raise Refused("no request is open", about=number, next_step="nothing is to be done")
        if open_.items != items:
            raise Refused(
                f"{open_.items:,} items are open by now", about=number,
                next_step=f"look at them, too; then answer for {open_.items}",
            )  # fmt: skip
        about = {"requests": open_.unanswered, "bags": open_.bags}
        return open_, both.say(desk, conn, of, LEFT, paper, about, as_of=as_of, actor=actor)
