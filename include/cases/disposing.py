"""The deed: carry out the plan in force, store by store.

It may be killed at any instant and run again. The stores commit receipts with the deed itself; the book copies
them and advances only from them, so a resumed run does nothing twice and forgets nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from include.cases import book, holds, machine, papers, planner, subjects, tombstones, units
from include.cases.acting import ACCEPT, begun_with, keep_to_consents, keep_to_holds, live, stop_at_holds
from include.cases.book import Case, Conn
from include.cases.came_back import bury_identifiers
from include.cases.deciding import further, provisions
from include.cases.retention import stopping
from include.cases.rooms import Desk, reachable
from include.cases.situation import facts
from include.cases.units import Unit
from include.model.doors import Store
from include.model.errors import BooksDoNotBalance, Refused
from include.model.flow import Finding, Plan, Receipt, Step
from include.model.words import Disposition, UnitState


def dispose(desk: Desk, case_no: str, *, as_of: date, actor: str) -> tuple[Receipt, ...]:
    """Carry out the plan in force. A second run finds nothing to do.

    Tombstones are written first, so that no restore can fall between. Raises Drifted if the items or the holds
    are no longer those that were weighed (then what is left of that store was not touched: settle and plan again); Stopped
    before anything, before the next store or its next chunk, while disposing is stopped: what is restricted stays so.
    """
    with desk.book() as conn:
        case = book.case(conn, case_no)
        step, row = live(desk, conn, case)
        plans = papers.plans(conn, case, "live")
        if not plans:
            raise Refused("there is no plan in force", about=case_no, next_step="settle and plan first")
        _accepted(conn, case)
        stopping.may_go_on(conn)
        with book.deed(conn, case_no):
            kind = subjects.KIND if planner.restricting(case.ground) else tombstones.PART
            tombstones.bury(conn, desk.keys, case, step.subjects, as_of, kind)
            if kind == subjects.KIND:
                bury_identifiers(desk, conn, case_no, step.subjects, as_of)
        done: list[Receipt] = []
        for store in reachable(desk.stores()):
            stopping.may_go_on(conn)
            with holds.none_unnoticed(conn, case_no):
                begun = begun_with(store, step, plans)
                provided = provisions(desk, conn, case, step.as_of)
                (keep_to_holds if begun is None else stop_at_holds)(desk, conn, case, row, store, provided)
                if begun is None:
                    keep_to_consents(desk, conn, case, store, plans[-1])
                done += _dispose_store(desk, conn, case, store, step, begun or plans[-1], as_of, actor)
        with book.deed(conn, case_no):
            counts: dict[str, int] = {}
            for receipt in done:
                for what in receipt.counts.values():
                    for word, items in what.items():
                        counts[word] = counts.get(word, 0) + items
            book.note(conn, case_no, as_of, actor, "disposed", detail={"step": row.step_id, **counts})
    return tuple(done)


def _accepted(conn: Conn, case: Case) -> None:
    if open_ := further(conn, case.case_no):
        raise Refused(
            f"the plan goes beyond what was approved: {open_[0]['what']}",
            about=f"{case.case_no} {open_[0]['place']}",
            next_step=ACCEPT,
        )


def _dispose_store(
    desk: Desk, conn: Conn, case: Case, store: Store, step: Step, plan: Plan, as_of: date, actor: str
) -> Sequence[Receipt]:
    """Dispose in one store. The machine is asked before; the units move after, with the receipts: a deed
    that did not happen leaves them restricted, to be planned again."""
    ours = {d.id for d in desk.catalogue.of_store(store.id)}
    ask(conn, case, ours, as_of)
    if any(x.disposition.changes_data for x in plan.lines if x.dataset in ours):
        _carry_out(conn, case, store, step, plan, actor)
    receipts = [r for r in store.receipts(step) if r.verb == "dispose"]
    with book.deed(conn, case.case_no):
        case = book.case(conn, case.case_no, lock=True)
        papers.keep_receipts(conn, case, receipts)
        _begin_units(conn, case, ours, as_of, actor)
    return receipts


DISOBEYED = "books_do_not_balance"
"""A store did something else than was planned, and was rolled back: a trigger, a rule or a cascade that nobody declared."""


def _carry_out(conn: Conn, case: Case, store: Store, step: Step, plan: Plan, actor: str) -> None:
    try:
        store.dispose(step, plan)
    except BooksDoNotBalance as wrong:
        with book.deed(conn, case.case_no):
            found = Finding(code=DISOBEYED, dataset=None, place=store.id, items=None, what=wrong.what,
                            next_step=wrong.next_step or "find out what keeps or changes the rows")  # fmt: skip
            # The same store may disobey in another table than before: what it did last is what is told.
            papers.settle_findings(
                conn, case.case_no, DISOBEYED, [store.id], actor=actor, settlement="tried again"
            )
            papers.keep_findings(conn, case.case_no, [found])
        raise
    with book.deed(conn, case.case_no):
        papers.settle_findings(
            conn, case.case_no, DISOBEYED, [store.id], actor=actor, settlement="carried out since"
        )


def ask(conn: Conn, case: Case, datasets: set[str], as_of: date) -> None:
    """Raises Refused if the machine would not let every item go that the plan in force lets go."""
    base = facts(conn, case, as_of)
    for unit in _of(conn, case, datasets, GOING):
        machine.move(
            unit.state, UnitState.DELETING_LIVE, unit.facts(base), about=f"{case.case_no} {unit.dataset}"
        )


GOING = frozenset({Disposition.ERASE, Disposition.UNLINK})


def _begin_units(conn: Conn, case: Case, datasets: set[str], as_of: date, actor: str) -> None:
    """Rows 8, 10 and 11: what is held parks, what is kept is told its date, what goes has begun to go."""
    base = facts(conn, case, as_of)
    held = _of(conn, case, datasets, {Disposition.HOLD})
    units.move(conn, held, UnitState.HELD, lambda u: u.facts(base), actor)
    told = units.told_dates(conn, case.case_no)  # by a try before this one
    kept = [
        u
        for u in _of(conn, case, datasets, {Disposition.RETAIN})
        if u.state is UnitState.RESTRICTED and (u.unit_id, u.until) not in told
    ]
    units.move(conn, kept, UnitState.RESTRICTED, lambda u: u.facts(base), actor)
    units.move(
        conn, _of(conn, case, datasets, GOING), UnitState.DELETING_LIVE, lambda u: u.facts(base), actor
    )


def _of(
    conn: Conn, case: Case, datasets: set[str], dispositions: frozenset[Disposition] | set[Disposition]
) -> list[Unit]:
    return [
        u
        for u in units.of_case(conn, case.case_no)
        if u.state in (UnitState.RESTRICTED, UnitState.DELETE_FAILED)
        and u.dataset in datasets
        and u.disposition in dispositions
    ]
