"""Whose the items of an order's bags are, and who asked for them or objects: keyed tokens, kept until nothing of it is passed on
any more.

Then its ledger is with the custodian, it was withdrawn, or its last day is over (:mod:`include.handover.passing_ends`), and
nobody here needs to know: they go in that very deed. The yearly
run (:mod:`include.cases.yearly.ledger_keys`) drops what is there still, of orders that were over before this was so.
"""

from __future__ import annotations

from include.cases.book import Conn
from include.cases.shutdown import orders
from include.cases.shutdown.orders import Order
from include.cases.shutdown.whereabouts import OVER
from include.model.errors import Refused

_OVER = (
    "SELECT o.number FROM casebook.shutdown_order AS o WHERE o.withdrawn_on IS NOT NULL"
    " OR EXISTS (SELECT FROM casebook.shutdown_event AS e WHERE e.number = o.number AND e.what = ANY(%s)) ORDER BY 1"
)


def may_be_passed_on(conn: Conn, of: Order) -> bool:
    """Whether requests still are: until the order is withdrawn, its ledger is with the custodian, or its last day is over."""
    return of.withdrawn_on is None and not any(e["what"] in OVER for e in orders.history(conn, of.number))


def still_here(conn: Conn, of: Order) -> None:
    """Raises Refused unless they are."""
    if not may_be_passed_on(conn, of):
        raise Refused(
            "its ledger is with the custodian, its last day is over, or it was withdrawn: nothing is passed on any more",
            about=of.number,
            next_step=f"the person turns to {of.successor or 'whoever has taken over'} itself",
        )  # fmt: skip


def forget(conn: Conn, number: str) -> int:
    """The tokens of an order go, of bags, requests and objections; how many. In the caller's deed, once its history says that
    nothing is passed on any more, or the order that it was withdrawn: before, the book refuses it while somebody asks."""
    gone = conn.execute(
        "WITH o AS (DELETE FROM casebook.handover_owner WHERE order_no = %(n)s RETURNING token),"
        " r AS (DELETE FROM casebook.shutdown_request_token WHERE number = %(n)s RETURNING token),"
        " x AS (DELETE FROM casebook.shutdown_objection_token WHERE number = %(n)s RETURNING token)"
        " SELECT count(*) FILTER (WHERE token <> '') AS n"
        " FROM (SELECT token FROM o UNION ALL SELECT token FROM r UNION ALL SELECT token FROM x) AS gone",
        {"n": number},
    ).fetchone()
    return int(gone["n"]) if gone else 0


def forget_over(conn: Conn) -> int:
    """Those of every order of which nothing is passed on any more; how many."""
    rows = conn.execute(_OVER, ([*OVER],)).fetchall()
    return sum(forget(conn, str(r["number"])) for r in rows)


def left(conn: Conn) -> list[str]:
    """What is there and should be gone, by order."""
    over = [str(r["number"]) for r in conn.execute(_OVER, ([*OVER],)).fetchall()]
    rows = conn.execute(
        "SELECT number, count(*) AS n FROM (SELECT order_no AS number, token FROM casebook.handover_owner UNION ALL"
        " SELECT number, token FROM casebook.shutdown_request_token UNION ALL"
        " SELECT number, token FROM casebook.shutdown_objection_token) AS t WHERE number = ANY(%s) AND token <> ''"
        " GROUP BY 1 ORDER BY 1",
        (over,),
    ).fetchall()
    return [
        f"{r['number']}: {r['n']} tokens of people are there, and nothing of it is passed on any more"
        for r in rows
    ]


def held(conn: Conn, number: str) -> int:
    """How many tokens of people an order still has. What notes that a bag's owners were kept is nobody's."""
    row = conn.execute(
        "SELECT (SELECT count(*) - count(DISTINCT bag) FROM casebook.handover_owner WHERE order_no = %(n)s)"
        " + (SELECT count(*) FROM casebook.shutdown_request_token WHERE number = %(n)s)"
        " + (SELECT count(*) FROM casebook.shutdown_objection_token WHERE number = %(n)s) AS n",
        {"n": number},
    ).fetchone()
    return int(row["n"]) if row else 0
