"""Which bags go here, or went, by which case: from the order's own events, the cases' states and the stores' receipts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from include.cases.book import Conn
from include.cases.shutdown import way
from include.model import ranges

BEGUN = "source deletion begun"
"""Of the event that names a case and its bags. The newest of a case counts: one that was given up has none."""


REASONS = 100  # that an event names bags by


def few(left: Mapping[str, str]) -> dict[str, list[str]]:
    """Bags with what is said of each, as an event has room for it: by what is said of them, and of many reasons the first."""
    said = ranges.grouped(left)
    found = dict(list(said.items())[:REASONS])
    if others := [bag for why, bags in said.items() if why not in found for bag in ranges.long(bags)]:
        found["others, see `quietus shutdown books`"] = ranges.short(others)
    return found


def bags_of(conn: Conn, number: str) -> dict[str, list[str]]:
    """Each case of a source deletion with its bags."""
    rows = conn.execute(
        "SELECT detail ->> 'case' AS case_no, detail -> 'bags' AS bags FROM casebook.shutdown_event"
        " WHERE number = %s AND what = %s ORDER BY event_id",
        (number, BEGUN),
    ).fetchall()
    return {str(r["case_no"]): list(ranges.long(r["bags"])) for r in rows}


def deleted_in(conn: Conn, number: str) -> dict[str, str]:
    """Bags of which something went by a source deletion: bag -> case. One that has deleted nothing yet stops none."""
    return {bag: no for no, bags in bags_of(conn, number).items() if has_receipts(conn, no) for bag in bags}


def going_by(conn: Conn, number: str) -> dict[str, str]:
    """Bags that are with a source deletion, or went by one: bag -> case. Receipts come into the book when a whole store is done,
    hours after its first row went, or never if it is killed: so a case that is under way has its bags, receipts or not."""
    return {
        bag: no
        for no, bags in bags_of(conn, number).items() if way.under_way(conn, no) or has_receipts(conn, no)
        for bag in bags
    }  # fmt: skip


def with_the_successor(conn: Conn, number: str) -> dict[str, object]:
    """What its receipts did: bags that it signed for, bags of which something went here by them, and the case that is at it."""
    rows = conn.execute(
        "SELECT bag FROM casebook.handover_bag WHERE order_no = %s AND state = 'received' AND left_items IS NULL",
        (number,),
    ).fetchall()
    cases = sorted({no for no in going_by(conn, number).values() if way.under_way(conn, no)})
    return {
        "signed_for": ranges.short(str(r["bag"]) for r in rows), "went_here": ranges.short(deleted_in(conn, number)),
        "under_way": cases,
    }  # fmt: skip


@dataclass(frozen=True)
class Elsewhere:
    """What went here on receipts of a company that is the order's successor no more: it alone has that. ``items``: of the bags of
    which something went; at most, until it is ``settled``: both approvers said that it stays custodian of that."""

    company: str
    dataset: str
    bags: int
    items: int
    settled: bool = False


def elsewhere(conn: Conn, number: str, certificate: str | None) -> tuple[Elsewhere, ...]:
    """By company and dataset. ``certificate``: the SHA-256 of that of the successor of now; None: there is none."""
    rows = conn.execute(
        "SELECT s.said ->> 'successor' AS company, b.dataset, count(*) AS bags, sum(coalesce(b.left_items, b.items))::bigint"
        " AS items, bool_and(b.left_items IS NOT NULL) AS settled"
        " FROM casebook.handover_bag AS b CROSS JOIN LATERAL (SELECT convert_from(b.statement, 'UTF8')::jsonb AS said) AS s"
        " WHERE b.order_no = %s AND b.bag = ANY(%s) AND s.said ->> 'recipient' IS DISTINCT FROM %s"
        " GROUP BY 1, 2 ORDER BY 1, 2",
        (number, list(deleted_in(conn, number)), certificate),
    ).fetchall()
    return tuple(Elsewhere(r["company"], r["dataset"], r["bags"], r["items"], r["settled"]) for r in rows)


def has_receipts(conn: Conn, case_no: str) -> bool:
    """Whether a case disposed of anything, as far as the book has its receipts."""
    row = conn.execute(
        "SELECT count(*) AS n FROM casebook.receipt WHERE case_no = %s AND verb = 'dispose'", (case_no,)
    ).fetchone()
    return bool(row and row["n"])
