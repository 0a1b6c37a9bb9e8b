"""What recipients are to preserve of a case by now: what open holds cover, wherever it is, and what stays with us only
because something under a hold needs it. Which hold, and why, is told to nobody."""

from __future__ import annotations

from include.cases import holds, papers, subjects
from include.cases.book import Case, Conn
from include.cases.notices import composing
from include.cases.rooms import Desk
from include.cases.scopes import HoldOrder, Kinds
from include.model.errors import Refused


def now(desk: Desk, conn: Conn, case: Case) -> Kinds:
    """The kinds of data of this case that no recipient may be told to erase."""
    orders = reaching(desk, conn, case, holds.orders(conn))
    if not orders:
        return Kinds()
    try:
        beside = composing.held(desk.catalogue, papers.latest_plan(conn, case), orders)
    except Refused:  # nothing of it was ever planned
        beside = frozenset()
    kinds = Kinds(beside)
    for order in orders:
        kinds |= order.scope.kinds(desk.catalogue)
    return kinds


def reaching(desk: Desk, conn: Conn, case: Case, orders: tuple[HoldOrder, ...]) -> tuple[HoldOrder, ...]:
    """Those of the orders that cover something of the case's people."""
    named = frozenset[str]().union(*(o.scope.subjects for o in orders))
    try:
        tokens = subjects.tokens_among(conn, desk.keys, case, named)
    except Refused:  # the case's key is destroyed: who it was about is known by the stored tokens alone
        tokens = subjects.tokens(conn, case)
    return tuple(o for o in orders if o.scope.subject_nos(case.case_no, tokens))
