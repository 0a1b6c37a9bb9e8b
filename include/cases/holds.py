"""Holds in the book: opened by a document, reviewed every six months, released by one, never widened."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import psycopg

from include.cases import clocks
from include.cases.book import Conn, Rows, checked_actor
from include.cases.periods import add_months
from include.cases.scopes import HoldBasis, HoldOrder, Scope, narrowed
from include.model.errors import NotReachable, Refused
from include.model.screening import kind_of_identifier


def open_hold(
    conn: Conn, *, basis: HoldBasis, document_no: str, issuing_body: str, law: str, scope: Scope,
    as_of: date, actor: str, confidential: bool = False, review_due: date | None = None,
) -> str:  # fmt: skip
    """Open a hold, in the caller's transaction; its number. ``review_due``: of one that came along, as it was.
    Raises Refused if it lacks document or scope."""
    for name, given in (("document number", document_no), ("issuing body", issuing_body), ("law", law)):
        if not given.strip():
            raise Refused(
                f"a hold without {name} is not valid (policy 5.2)", about="hold", next_step=f"give the {name}"
            )
        if kind := kind_of_identifier(given, account_ids=True):
            raise Refused(
                f"the {name} holds {kind}", about="hold", next_step="keep people out of it: use the scope"
            )
    if scope.empty:
        raise Refused(
            "a hold must name whose items it covers, or which", about="hold",
            next_step="give cases, accounts, categories or datasets",
        )  # fmt: skip
    row = conn.execute("SELECT nextval('casebook.hold_number') AS n").fetchone()
    assert row is not None  # noqa: S101  a SELECT without FROM returns one row
    number = f"HOLD-{row['n']:06d}"
    conn.execute(
        "INSERT INTO casebook.hold (hold, basis, document_no, issuing_body, law, confidential,"
        " opened_on, opened_by,"
        " review_due) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (number, basis, document_no.strip(), issuing_body.strip(), law.strip(), confidential, as_of,
         checked_actor(actor), review_due or add_months(as_of, clocks.HOLD_REVIEW_MONTHS)),
    )  # fmt: skip
    rows: list[tuple[str, str, str | None, bytes | None]] = []
    for side, values in (
        ("case", scope.cases), ("category", scope.categories), ("dataset", scope.datasets), ("came", scope.came),
    ):  # fmt: skip
        rows += [(number, side, value, None) for value in sorted(values)]
    rows += [(number, "subject", None, bytes.fromhex(token)) for token in sorted(scope.subjects)]
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO casebook.hold_scope (hold, side, value, token) VALUES (%s, %s, %s, %s)", rows
        )
    return number


@contextmanager
def none_unnoticed(conn: Conn, case_no: str) -> Iterator[None]:
    """Something is being disposed of: inside, no hold on this case is opened without its opener being told.

    The holds are to be read inside: any that was opened before is seen, any other is noticed by
    :func:`noticed`. One disposal of a case at a time. Raises NotReachable if another is under way.
    """
    try:
        conn.execute("SELECT pg_advisory_lock(hashtextextended('casebook.deed ' || %s, 0))", (case_no,))
    except psycopg.OperationalError:
        raise NotReachable(
            "the case is being disposed of by somebody else", about=case_no, next_step="try again"
        ) from None
    try:
        yield
    finally:
        if not (conn.closed or conn.broken):
            conn.execute("SELECT pg_advisory_unlock(hashtextextended('casebook.deed ' || %s, 0))", (case_no,))


def noticed(conn: Conn, cases: Collection[str], tokens: Collection[bytes]) -> dict[str, bool]:
    """The open cases that a hold on these cases and people (their tokens, under every version of the key)
    reaches, and of each whether something of it is being disposed of right now.

    To be asked in the transaction that opens the hold, before it: until that ends no other disposal begins. A
    hold is never kept waiting for a disposal, since the next store must see it.
    """
    rows = conn.execute(
        "SELECT DISTINCT c.case_no FROM casebook.case_ c JOIN casebook.case_subject s USING (case_no)"
        " WHERE c.closed_at IS NULL AND (c.case_no = ANY(%s) OR s.token = ANY(%s)) ORDER BY c.case_no",
        (list(cases), list(tokens)),
    ).fetchall()
    return {str(r["case_no"]): not _kept_out(conn, str(r["case_no"])) for r in rows}


def noticed_by_all(conn: Conn, datasets: Collection[str]) -> dict[str, bool]:
    """The same of a hold on everybody's items: the open cases that have items of these datasets."""
    rows = conn.execute(
        "SELECT case_no FROM casebook.case_ c WHERE c.closed_at IS NULL AND EXISTS (SELECT FROM casebook.unit u"
        " WHERE u.case_no = c.case_no AND u.dataset = ANY(%s)) ORDER BY case_no",
        (list(datasets),),
    ).fetchall()
    return {str(r["case_no"]): not _kept_out(conn, str(r["case_no"])) for r in rows}


def reached_by_all(conn: Conn, datasets: Collection[str]) -> tuple[str, ...]:
    """The cases that have items of these datasets, or were told to recipients, also those that are closed."""
    rows = conn.execute(
        "SELECT case_no FROM casebook.unit WHERE dataset = ANY(%s) UNION SELECT case_no FROM casebook.outbox ORDER BY case_no",
        (list(datasets),),
    ).fetchall()
    return tuple(str(r["case_no"]) for r in rows)


def nights_at_work(conn: Conn) -> tuple[str, ...]:
    """The open cases about nobody, of nights and the like, that are disposing of something right now: any hold may be about some
    of it. To be asked as :func:`noticed` is."""
    rows = conn.execute(
        "SELECT case_no FROM casebook.case_ c WHERE c.closed_at IS NULL AND c.kind = 'nightly' AND c.state = 'acting'"
        " AND NOT EXISTS (SELECT FROM casebook.case_subject s WHERE s.case_no = c.case_no) ORDER BY case_no"
    ).fetchall()
    return tuple(n for n in (str(r["case_no"]) for r in rows) if not _kept_out(conn, n))


WENT = "went before the hold"
"""On the timeline of a night that was at work: what it had disposed of, of what the hold covers."""


def went(conn: Conn, number: str) -> Rows:
    """The nights that were at work when this hold was opened, with what of it they had disposed of by then, in counts."""
    return conn.execute(
        "SELECT case_no, detail FROM casebook.event WHERE what = %s AND detail ->> 'hold' = %s ORDER BY case_no",
        (WENT, number),
    ).fetchall()


def changes(conn: Conn) -> object:
    """What is another after any hold was opened, narrowed or released."""
    return conn.execute(
        "SELECT (SELECT count(*) FROM casebook.hold) AS opened, (SELECT count(released_on) FROM casebook.hold) AS released,"
        " (SELECT count(removed_on) FROM casebook.hold_scope) AS narrowed"
    ).fetchone()


def reached(conn: Conn, cases: Collection[str], tokens: Collection[bytes]) -> tuple[str, ...]:
    """Every case of these numbers and people, also one that is closed: its recipients may still have what we do not."""
    rows = conn.execute(
        "SELECT case_no FROM casebook.case_ WHERE case_no = ANY(%(cases)s) UNION SELECT case_no FROM"
        " casebook.case_subject WHERE token = ANY(%(tokens)s) ORDER BY case_no",
        {"cases": list(cases), "tokens": list(tokens)},
    ).fetchall()
    return tuple(str(r["case_no"]) for r in rows)


def of_people(conn: Conn, number: str) -> tuple[str, ...]:
    """The cases whose people a hold names by token, or that it names."""
    rows = conn.execute(
        "SELECT s.case_no FROM casebook.case_subject s JOIN casebook.hold_scope h USING (token) WHERE h.hold = %(hold)s"
        " UNION SELECT value FROM casebook.hold_scope WHERE hold = %(hold)s AND side = 'case' ORDER BY 1",
        {"hold": number},
    ).fetchall()
    return tuple(str(r["case_no"]) for r in rows)


def _kept_out(conn: Conn, case_no: str) -> bool:
    row = conn.execute(
        "SELECT pg_try_advisory_xact_lock_shared(hashtextextended('casebook.deed ' || %s, 0)) AS got",
        (case_no,),
    ).fetchone()
    return bool(row and row["got"])


def overtaken(conn: Conn, number: str) -> tuple[str, ...]:
    """The cases of which something was being disposed of at the moment when this hold was opened."""
    rows = conn.execute(
        "SELECT case_no FROM casebook.event WHERE what = 'hold opened' AND detail ->> 'hold' = %s"
        " AND (detail ->> 'while_disposing')::boolean ORDER BY case_no",
        (number,),
    ).fetchall()
    return tuple(str(r["case_no"]) for r in rows)


_ITEMS = (
    "SELECT hold, side, value, token FROM casebook.hold_scope WHERE removed_on IS NULL AND hold = ANY(%s)"
)
_WITHOUT_PEOPLE = (
    "SELECT hold, side, value, NULL::bytea AS token FROM casebook.hold_scope"
    " WHERE removed_on IS NULL AND side <> 'subject' AND hold = ANY(%s)"
)


def orders(conn: Conn, *, people: bool = True) -> tuple[HoldOrder, ...]:
    """Every open hold with its scope, oldest first, in two statements. Without ``people``, whose tokens the book's
    reader does not see, it says what they cover and not of whom."""
    found = conn.execute(
        "SELECT hold, basis, law, confidential FROM casebook.hold WHERE released_on IS NULL ORDER BY hold"
    ).fetchall()
    sides: dict[str, Rows] = {str(row["hold"]): [] for row in found}
    for row in conn.execute(_ITEMS if people else _WITHOUT_PEOPLE, (list(sides),)).fetchall():
        sides[row["hold"]].append(row)
    return tuple(
        HoldOrder(r["hold"], HoldBasis(r["basis"]), r["law"], _scope(sides[r["hold"]]), r["confidential"])
        for r in found
    )


def order(conn: Conn, number: str, *, people: bool = True) -> HoldOrder:
    for found in orders(conn, people=people):
        if found.number == number:
            return found
    raise none_such()


def none_such() -> Refused:
    """Also said of a hold of which somebody may not know."""
    return Refused("there is no such open hold", about="hold", next_step="see `quietus case hold list`")


def release(conn: Conn, number: str, *, document: str, as_of: date, actor: str) -> None:
    """Release a hold by its own document. Releasing it again changes nothing."""
    paper = _paper(number, document)
    row = conn.execute(
        "SELECT released_on FROM casebook.hold WHERE hold = %s FOR UPDATE", (number,)
    ).fetchone()
    if row is None:
        raise Refused("there is no such hold", about="hold", next_step="see `quietus case hold list`")
    if row["released_on"] is None:
        conn.execute(
            "UPDATE casebook.hold SET released_on = %s, released_by = %s, release_document = %s"
            " WHERE hold = %s",
            (as_of, checked_actor(actor), paper, number),
        )


def narrow(conn: Conn, number: str, to: Scope, *, as_of: date) -> None:
    """Drop items from an open hold. Raises Refused if ``to`` covers anything new."""
    narrowed(order(conn, number), to)
    kept = {("case", v) for v in to.cases} | {("category", v) for v in to.categories}
    kept |= {("dataset", v) for v in to.datasets} | {("subject", v) for v in to.subjects}
    kept |= {("came", v) for v in to.came}
    for row in _rows(conn, number):
        value = row["value"] if row["token"] is None else bytes(row["token"]).hex()
        if (row["side"], value) not in kept:
            conn.execute(
                "UPDATE casebook.hold_scope SET removed_on = %s WHERE hold = %s AND side = %s"
                " AND value IS NOT DISTINCT FROM %s AND token IS NOT DISTINCT FROM %s",
                (as_of, number, row["side"], row["value"], row["token"]),
            )


def narrow_by(conn: Conn, number: str, without: Scope, *, document: str, as_of: date, actor: str) -> None:
    """Take these items out of an open hold, by a document. Its review stays due when it was."""
    paper = _paper(number, document)
    row = _open(conn, number)
    now = order(conn, number).scope
    if not (without.whom <= now.whom and without.what <= now.what) or without.empty:
        raise Refused(
            "these are not items of the hold",
            about=number,
            next_step="see its items with `quietus case hold list`",
        )
    to = Scope(
        now.cases - without.cases, now.subjects - without.subjects, now.categories - without.categories,
        now.datasets - without.datasets, now.came - without.came,
    )  # fmt: skip
    narrow(conn, number, to, as_of=as_of)
    _reviewed(conn, number, "narrowed", paper, row["review_due"], as_of, actor)


def reviewed(conn: Conn, number: str, *, document: str, as_of: date, actor: str) -> date:
    """A review found the hold still needed, and a document says so; the next review's date, six months on."""
    paper = _paper(number, document)
    _open(conn, number)
    due = add_months(as_of, clocks.HOLD_REVIEW_MONTHS)
    conn.execute("UPDATE casebook.hold SET review_due = %s WHERE hold = %s", (due, number))
    _reviewed(conn, number, "reviewed", paper, due, as_of, actor)
    return due


def reviews(conn: Conn, number: str) -> Rows:
    """Every review of a hold and every narrowing, oldest first."""
    return conn.execute(
        "SELECT reviewed_on, what, document, reviewed_by, review_due FROM casebook.hold_review WHERE hold = %s"
        " ORDER BY observed_at",
        (number,),
    ).fetchall()


def _open(conn: Conn, number: str) -> dict[str, Any]:
    row = conn.execute(
        "SELECT review_due FROM casebook.hold WHERE hold = %s AND released_on IS NULL FOR UPDATE", (number,)
    ).fetchone()
    if row is None:
        raise none_such()
    return dict(row)


def _paper(number: str, document: str) -> str:
    if not document.strip():
        raise Refused("it rests on no document", about=number, next_step="give the document's number")
    if kind := kind_of_identifier(document, account_ids=True):
        raise Refused(
            f"the document number holds {kind}", about=number, next_step="give the document's number only"
        )
    return document.strip()


def _reviewed(
    conn: Conn, number: str, what: str, document: str, due: date, as_of: date, actor: str
) -> None:  # fmt: skip
    conn.execute(
        "INSERT INTO casebook.hold_review (hold, reviewed_on, what, document, reviewed_by, review_due)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (number, as_of, what, document, checked_actor(actor), due),
    )


def listing(conn: Conn, *, released: bool = False) -> Rows:
    """Holds with their items (people counted, not named; ``everybody``: it covers them whosever they are)."""
    return conn.execute(
        "SELECT h.hold, h.basis, h.document_no, h.issuing_body, h.law, h.confidential,"
        " h.opened_on, h.review_due,"
        " h.released_on, count(*) FILTER (WHERE s.side = 'subject') AS people,"
        " count(*) FILTER (WHERE s.side IN ('subject', 'case', 'came')) = 0 AS everybody,"
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


def came_already(conn: Conn, number: str) -> bool:
    """Whether a hold that came along, with its order, is in the book."""
    return (
        conn.execute("SELECT FROM casebook.hold_scope WHERE side = 'came' AND value = %s", (number,)).rowcount
        > 0
    )


def released_of_those_that_came(conn: Conn) -> tuple[str, ...]:
    """Numbers of holds that came along, each with its order, and that hold nothing any more: released here, or taken out. One
    that nobody adopted yet holds still."""
    rows = conn.execute(
        "SELECT s.value FROM casebook.hold_scope s JOIN casebook.hold h USING (hold) WHERE s.side = 'came'"
        " AND (h.released_on IS NOT NULL OR s.removed_on IS NOT NULL) ORDER BY s.value"
    ).fetchall()
    return tuple(str(r["value"]) for r in rows)


def _rows(conn: Conn, number: str) -> Rows:
    return conn.execute(
        "SELECT side, value, token FROM casebook.hold_scope WHERE hold = %s AND removed_on IS NULL", (number,)
    ).fetchall()


def _scope(rows: Iterable[dict[str, Any]]) -> Scope:
    sides: dict[str, set[str]] = {side: set() for side in ("case", "subject", "category", "dataset", "came")}
    for row in rows:
        sides[row["side"]].add(row["value"] if row["token"] is None else bytes(row["token"]).hex())
    return Scope(
        frozenset(sides["case"]),
        frozenset(sides["subject"]),
        frozenset(sides["category"]),
        frozenset(sides["dataset"]),
        frozenset(sides["came"]),
    )
