"""The last day on which something is passed on of an order that has ended, if its ledger never goes to the custodian.

Whose the items of its bags are, and who asked, is kept as keyed tokens so that people's requests reach the successor. With the
ledger they go; without it they would stay for ever. So they go with the day until which the ledger itself is kept (RS-24, from
the order's end): from then on people turn to the successor themselves. What is open by then keeps them, and is named.
"""

from __future__ import annotations

from datetime import date

from include.cases import book
from include.cases.book import Conn
from include.cases.periods import last_day
from include.cases.rooms import Desk
from include.cases.shutdown import orders, who_asked
from include.cases.shutdown.orders import Order
from include.cases.shutdown.whereabouts import LAST_DAY
from include.handover import register, unpassed
from include.model.catalogue import Catalogue
from include.model.doors import in_sandbox
from include.model.errors import Refused

RULE = "RS-24"


def last_day_of(catalogue: Catalogue, of: Order) -> date | None:
    """Until when its ledger is kept, and something is passed on at the latest; None before the order has ended, or if the
    catalogue has no such rule."""
    rule = next((r for r in catalogue.rules if r.id == RULE), None)
    return last_day(of.ended_on, rule.periods[0].duration) if rule and of.ended_on else None


def due(catalogue: Catalogue, conn: Conn, as_of: date) -> list[str]:
    """Orders whose last day is over, of which something was handed over, or tokens of people are here, and something is passed on
    still; the oldest first."""
    return [
        o.number
        for o in reversed(orders.orders(conn))
        if (until := last_day_of(catalogue, o)) is not None
        and as_of > until
        and who_asked.may_be_passed_on(conn, o)
        and (register.bags(conn, o.number) or who_asked.held(conn, o.number))
    ]


def end(desk: Desk, number: str, *, as_of: date, actor: str) -> int:
    """Nothing is passed on any more: that is said in the ledger, and the tokens go in the same deed; how many. Again changes
    nothing. Raises Refused, with nothing changed, until the last day is over, while something is open that nobody answers for,
    and for a period that nobody owns outside a sandbox; Stopped while disposing is stopped."""
    desk.may_go_on()
    with desk.book() as conn, book.deed(conn, number):
        of = orders.order(conn, number, lock=True)
        if not who_asked.may_be_passed_on(conn, of):
            return 0
        until = last_day_of(desk.catalogue, of)
        if until is None or as_of <= until:
            raise Refused(
                f"it is passed on until {until or 'the order has ended'}", about=number, next_step="nothing is to be done before"
            )  # fmt: skip
        _owned(desk)
        unpassed.none_open(desk, conn, number)
        detail = {"last_day": until.isoformat(), "rule": RULE, "tokens": who_asked.held(conn, number)}
        orders.say(desk, conn, number, LAST_DAY, as_of, actor, detail)
        return who_asked.forget(conn, number)


def _owned(desk: Desk) -> None:
    period = desk.catalogue.rule(RULE).periods[0]
    nobodys = period.proposal and not (period.proposal.owner and period.proposal.approved_on)
    if nobodys and not in_sandbox(desk.connections):
        raise Refused(
            f"a company period has no owner or no day of approval: {RULE}/{period.name}", about=RULE,
            next_step="give its `proposal` its `owner` and `approved_on`; without them it holds in a sandbox only",
        )  # fmt: skip
