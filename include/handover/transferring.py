"""Units of cases whose items the successor has: restricted here until a day, they end as transferred (law.md E, transition 18).

The guard ``receipt_reconciled`` is what the register says of the order: every bag of everything that was consigned is received,
with a receipt that names no difference. Until then no unit moves. What a hold names stays held: the hold went along.
"""

from __future__ import annotations

from datetime import date

from include.cases import book, units
from include.cases.book import Conn
from include.cases.guards import Facts
from include.cases.rooms import Desk
from include.cases.shutdown import orders
from include.cases.shutdown.consigning import consigned
from include.cases.situation import facts, roll_up
from include.handover import register
from include.model.words import CaseState, Ground, UnitState


def transfer(desk: Desk, number: str, *, as_of: date, actor: str) -> int:
    """Move them, case by case; how many. Again moves what is left. Raises Refused, moving none of that case, while the receipts
    are not reconciled."""
    with desk.book() as conn:
        of = orders.order(conn, number)
        datasets = frozenset(d.dataset for d in consigned(desk.catalogue, of))
        moved = 0
        for case_no in _waiting(conn, sorted(datasets)):
            with book.deed(conn, case_no):
                case = book.case(conn, case_no, lock=True)
                known = register.reconciled(conn, number, datasets)
                # The case is another's, but that its items go to the successor rests on the shutdown (ESL 23; PIPL 22).
                base = facts(conn, case, as_of, receipt_reconciled=known, ground=Ground.SHUTDOWN)
                going = [
                    u for u in units.of_case(conn, case_no)
                    if u.state is UnitState.RESTRICTED and u.dataset in datasets and u.hold is None
                ]  # fmt: skip
                moved += _moved(conn, going, base, actor)
                if case.state in (CaseState.WAITING, CaseState.HELD):
                    roll_up(conn, case_no, as_of, actor)
    return moved


def _moved(conn: Conn, going: list[units.Unit], base: Facts, actor: str) -> int:
    return units.move(conn, going, UnitState.TRANSFERRED, lambda u: u.facts(base), actor)


def _waiting(conn: Conn, datasets: list[str]) -> list[str]:
    rows = conn.execute(
        "SELECT DISTINCT u.case_no FROM casebook.unit u JOIN casebook.case_ c USING (case_no)"
        " WHERE c.closed_at IS NULL AND u.state = 'restricted' AND u.hold IS NULL AND u.dataset = ANY(%s) ORDER BY 1",
        (datasets,),
    ).fetchall()
    return [str(r["case_no"]) for r in rows]
