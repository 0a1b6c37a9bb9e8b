"""Both approvers of an order answer for something that nobody can mend, by one document, each as the user that is logged in.

Each word is an event of its own, which says what it answers for, by which document, and which of the two it is: the ledger has
nobody's name. Only both together, by the same document, are an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from include.cases import book
from include.cases.book import Conn
from include.cases.rooms import Desk
from include.cases.shutdown import orders
from include.cases.shutdown.orders import Order
from include.cases.shutdown.told import Paper
from include.model.errors import Refused

Detail = Mapping[str, Any]


@dataclass(frozen=True)
class Both:
    """Who answers by what. ``events``: of each of the two; ``answered_on``: when the second did."""

    document: str
    digest: str
    answered_on: date
    events: tuple[int, ...]


def say(
    desk: Desk, conn: Conn, of: Order, what: str, paper: Paper, about: Detail, *, as_of: date, actor: str
) -> tuple[str, ...]:  # fmt: skip
    """The word of one of them, in the caller's deed; the roles of those whose word is waited for. ``about``: what is answered
    for, and nothing personal. Again changes nothing. Raises Refused for anybody else."""
    who = book.person(book.checked_actor(actor))
    mine = next((n for n, a in enumerate(of.approvers, 1) if book.person(a) == who), None)
    if mine is None:
        raise Refused(
            "you are not one of the two who approved the order", about=of.number,
            next_step="have each of them do it, under a log-in of their own (`quietus shutdown show` names their roles)",
        )  # fmt: skip
    detail = {**about, "document": paper.number, "digest": paper.digest}
    said = {e["detail"]["approver"] for e in words_of(conn, of.number, what) if _same(e["detail"], detail)}
    if mine not in said:
        orders.say(desk, conn, of.number, what, as_of, actor, {**detail, "approver": mine})
    left = set(range(1, len(of.approvers) + 1)) - said - {mine}
    return tuple(of.approvers[n - 1].partition("/")[0] for n in sorted(left))


def answer(conn: Conn, of: Order, what: str, covers: Callable[[Detail], bool]) -> Both | None:
    """The newest answer that ``covers`` says is about this; None: not both have said so."""
    found: dict[tuple[str, str], dict[int, Any]] = {}
    for e in words_of(conn, of.number, what):
        if covers(e["detail"]):
            found.setdefault((e["detail"]["document"], e["detail"]["digest"]), {}).setdefault(
                e["detail"]["approver"], e
            )
    whole = [(paper, words) for paper, words in found.items() if len(words) == len(of.approvers)]
    if not whole:
        return None
    paper, words = max(whole, key=lambda x: max(e["event_id"] for e in x[1].values()))
    ids = tuple(sorted(int(e["event_id"]) for e in words.values()))
    return Both(*paper, max(e["as_of"] for e in words.values()), ids)


def words_of(conn: Conn, number: str, what: str) -> Iterable[Mapping[str, Any]]:
    """Each word of one of them, oldest first: ``event_id``, ``as_of``, ``detail``."""
    return conn.execute(
        "SELECT event_id, as_of, detail FROM casebook.shutdown_event WHERE number = %s AND what = %s ORDER BY event_id",
        (number, what),
    ).fetchall()


def _same(said: Detail, detail: Detail) -> bool:
    return {k: v for k, v in said.items() if k != "approver"} == detail
