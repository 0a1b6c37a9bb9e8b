"""A hold that comes, or goes, after the recipients were told to erase.

What an order keeps is evidence with a recipient too, and may be gone here already. So whoever was told to erase
something that the hold covers, and has not said that it is gone, is told to preserve it, in the transaction that opens
the hold; and to erase it again in the one that releases it. Such a notice takes the place of what is open with that
recipient, and gives no reason: a confidential hold reads like any other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date

from include.cases import book
from include.cases.book import Conn
from include.cases.notices import held, history, rounds
from include.cases.notices.history import Told
from include.cases.notices.rounds import Next
from include.cases.rooms import Desk
from include.cases.scopes import HoldOrder
from include.model.catalogue import Catalogue
from include.model.declared import CategoryId


def hold_opened(
    desk: Desk, conn: Conn, order: HoldOrder, case_nos: Collection[str], *, as_of: date, actor: str
) -> int:
    """Tell the recipients of these cases, which the hold reaches, in the caller's transaction; how many were told."""
    book.lock(conn, case_nos)
    kinds = order.scope.kinds(desk.catalogue)
    wanted = []
    for told in history.told(conn, desk.catalogue, case_nos):
        kept = frozenset(c for c in told.erase - told.gone if c in kinds)
        if kept:
            left = told.left_open - kept
            wanted.append(Next(told, left - told.preserve, kept | (left & told.preserve), "hold_opened"))
    return rounds.write(desk, conn, wanted, as_of=as_of, actor=actor)


def hold_released(desk: Desk, conn: Conn, case_nos: Collection[str], *, as_of: date, actor: str) -> int:
    """Whatever recipients of these cases preserve and no hold covers any more is to go now, in the caller's transaction;
    how many were told."""
    book.lock(conn, case_nos)
    now = {case.case_no: held.now(desk, conn, case) for case in book.some(conn, list(case_nos))}
    wanted = []
    for told in history.told(conn, desk.catalogue, case_nos):
        freed = frozenset(c for c in told.preserve - told.gone if c not in now[told.case_no])
        if freed:
            left = told.left_open - freed
            wanted.append(Next(told, freed | (left - told.preserve), left & told.preserve, "hold_released"))
    return rounds.write(desk, conn, wanted, as_of=as_of, actor=actor)


@dataclass(frozen=True)
class There:
    """What a hold comes to with one recipient of one case."""

    hold: str
    case_no: str
    recipient: str
    preserves: tuple[CategoryId, ...]
    gone: tuple[
        CategoryId, ...
    ]  # it said so, before the hold or since: nothing of that can be preserved there


def standing(conn: Conn, catalogue: Catalogue, order: HoldOrder) -> Iterator[There]:
    """Recipient by recipient, in every case that the hold reached when it was opened, or keeps something of."""
    kinds = order.scope.kinds(catalogue)
    for told in history.told(conn, catalogue, reached(conn, order.number)):
        yield from _there(order.number, told, (c for c in (told.erase | told.preserve) if c in kinds))


def gone_in(conn: Conn, catalogue: Catalogue, orders: Collection[HoldOrder], case_no: str) -> Iterator[There]:
    """What these holds cover of one case, and its recipients say is gone."""
    for order in orders:
        if case_no in reached(conn, order.number):
            yield from (t for t in standing(conn, catalogue, order) if t.case_no == case_no and t.gone)


def _there(hold: str, told: Told, covered: Iterator[CategoryId]) -> Iterator[There]:
    asked = frozenset(covered)
    if asked:
        yield There(
            hold, told.case_no, told.name, tuple(sorted((asked & told.preserve) - told.gone)),
            tuple(sorted(asked & told.gone)),
        )  # fmt: skip


def reached(conn: Conn, hold: str) -> tuple[str, ...]:
    """The cases that a hold names, reached when it was opened, or has held something of."""
    rows = conn.execute(
        "SELECT case_no FROM casebook.event WHERE what = 'hold opened' AND detail ->> 'hold' = %(hold)s"
        " UNION SELECT value FROM casebook.hold_scope WHERE hold = %(hold)s AND side = 'case'"
        " UNION SELECT case_no FROM casebook.unit WHERE hold = %(hold)s ORDER BY 1",
        {"hold": hold},
    ).fetchall()
    return tuple(str(r["case_no"]) for r in rows)
