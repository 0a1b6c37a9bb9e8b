"""Holds in the book: opened by a document, reviewed every six months, released by one, never widened."""

from __future__ import annotations

from datetime import date

from include.cases import clocks
from include.cases.book import Conn, Rows, checked_actor
from include.cases.periods import add_months
from include.cases.scopes import HoldBasis, HoldOrder, Scope, narrowed
from include.model.errors import Refused
from include.model.screening import kind_of_identifier


def open_hold(
    conn: Conn, *, basis: HoldBasis, document_no: str, issuing_body: str, law: str, scope: Scope,
    as_of: date, actor: str, confidential: bool = False,
) -> str:  # fmt: skip
    """Open a hold, in the caller's transaction; its number. Raises Refused if it lacks document or scope."""
    for name, given in (("document number", document_no), ("issuing body", issuing_body), ("law", law)):
        if not given.strip():
            raise Refused(
                f"a hold without {name} is not valid (policy 5.2)", about="hold", next_step=f"give the {name}"
            )
        if kind := kind_of_identifier(given, account_ids=True):
            raise Refused(
                f"the {name} holds {kind}", about="hold", next_step="keep people out of it: use the scope"
            )
    if not (scope.cases or scope.subjects):
        raise Refused(
            "a hold must name whose items it covers", about="hold", next_step="give cases or accounts"
        )
    row = conn.execute("SELECT nextval('casebook.hold_number') AS n").fetchone()
    assert row is not None  # noqa: S101  a SELECT without FROM returns one row
    number = f"HOLD-{row['n']:06d}"
    conn.execute(
        "INSERT INTO casebook.hold (hold, basis, document_no, issuing_body, law, confidential,"
        " opened_on, opened_by,"
        " review_due) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (number, basis, document_no.strip(), issuing_body.strip(), law.strip(), confidential, as_of,
         checked_actor(actor), add_months(as_of, clocks.HOLD_REVIEW_MONTHS)),
    )  # fmt: skip
    rows: list[tuple[str, str, str | None, bytes | None]] = []
    for side, values in (("case", scope.cases), ("category", scope.categories), ("dataset", scope.datasets)):
        rows += [(number, side, value, None) for value in sorted(values)]
    rows += [(number, "subject", None, bytes.fromhex(token)) for token in sorted(scope.subjects)]
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO casebook.hold_scope (hold, side, value, token) VALUES (%s, %s, %s, %s)", rows
        )
    return number


def orders(conn: Conn) -> tuple[HoldOrder, ...]:
    """Every open hold with its scope, oldest first."""
    found = []
    for row in conn.execute(
        "SELECT hold, basis, law, confidential FROM casebook.hold WHERE released_on IS NULL ORDER BY hold"
    ).fetchall():
        scope = _scope(conn, row["hold"])
        found.append(HoldOrder(row["hold"], HoldBasis(row["basis"]), row["law"], scope, row["confidential"]))
    return tuple(found)


def order(conn: Conn, number: str) -> HoldOrder:
    for found in orders(conn):
        if found.number == number:
            return found
    raise Refused("there is no such open hold", about="hold", next_step="see `quietus case hold list`")


def release(conn: Conn, number: str, *, document: str, as_of: date, actor: str) -> None:
    """Release a hold by its own document. Releasing it again changes nothing."""
    if not document.strip():
        raise Refused("a release without a document is not valid", about=number, next_step="give its number")
    if kind := kind_of_identifier(document, account_ids=True):
        raise Refused(
            f"the document number holds {kind}", about=number, next_step="give the document's number only"
        )
    row = conn.execute(
        "SELECT released_on FROM casebook.hold WHERE hold = %s FOR UPDATE", (number,)
    ).fetchone()
    if row is None:
        raise Refused("there is no such hold", about="hold", next_step="see `quietus case hold list`")
    if row["released_on"] is None:
        conn.execute(
            "UPDATE casebook.hold SET released_on = %s, released_by = %s, release_document = %s"
            " WHERE hold = %s",
            (as_of, checked_actor(actor), document.strip(), number),
        )


def narrow(conn: Conn, number: str, to: Scope, *, as_of: date) -> None:
    """Drop items from an open hold. Raises Refused if ``to`` covers anything new."""
    narrowed(order(conn, number), to)
    kept = {("case", v) for v in to.cases} | {("category", v) for v in to.categories}
    kept |= {("dataset", v) for v in to.datasets} | {("subject", v) for v in to.subjects}
    for row in _rows(conn, number):
        value = row["value"] if row["token"] is None else bytes(row["token"]).hex()
        if (row["side"], value) not in kept:
            conn.execute(
                "UPDATE casebook.hold_scope SET removed_on = %s WHERE hold = %s AND side = %s"
                " AND value IS NOT DISTINCT FROM %s AND token IS NOT DISTINCT FROM %s",
                (as_of, number, row["side"], row["value"], row["token"]),
            )


def reviewed(conn: Conn, number: str, *, as_of: date) -> date:
    """A review found the hold still needed; the next review's date."""
    due = add_months(as_of, clocks.HOLD_REVIEW_MONTHS)
    conn.execute(
        "UPDATE casebook.hold SET review_due = %s WHERE hold = %s AND released_on IS NULL", (due, number)
    )
    return due


def listing(conn: Conn, *, released: bool = False) -> Rows:
    """Holds with their items (people counted, not named)."""
    return conn.execute(
        "SELECT h.hold, h.basis, h.document_no, h.issuing_body, h.law, h.confidential,"
        " h.opened_on, h.review_due,"
        " h.released_on, count(*) FILTER (WHERE s.side = 'subject') AS people,"
        " array_remove(array_agg(s.side || ' ' || s.value ORDER BY s.side, s.value), NULL) AS items"
        " FROM casebook.hold h LEFT JOIN casebook.hold_scope s ON s.hold = h.hold AND s.removed_on IS NULL"
        " WHERE %s OR h.released_on IS NULL GROUP BY h.hold ORDER BY h.hold",
        (released,),
    ).fetchall()


def overdue_reviews(conn: Conn, as_of: date) -> tuple[str, ...]:
    rows = conn.execute(
        "SELECT hold FROM casebook.hold WHERE released_on IS NULL AND review_due < %s ORDER BY hold", (as_of,)
    ).fetchall()
    return tuple(str(r["hold"]) for r in rows)


def _rows(conn: Conn, number: str) -> Rows:
    return conn.execute(
        "SELECT side, value, token FROM casebook.hold_scope WHERE hold = %s AND removed_on IS NULL", (number,)
    ).fetchall()


def _scope(conn: Conn, number: str) -> Scope:
    sides: dict[str, set[str]] = {"case": set(), "subject": set(), "category": set(), "dataset": set()}
    for row in _rows(conn, number):
        sides[row["side"]].add(row["value"] if row["token"] is None else bytes(row["token"]).hex())
    return Scope(
        frozenset(sides["case"]),
        frozenset(sides["subject"]),
        frozenset(sides["category"]),
        frozenset(sides["dataset"]),
    )
