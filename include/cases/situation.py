"""What the book knows of a case, gathered into the machine's facts; and the roll-up that follows a deed."""

from __future__ import annotations

from datetime import date
from typing import Any

from include.cases import book, decisions, epochs, machine, papers, subjects, units
from include.cases.book import Case, Conn
from include.cases.guards import Facts
from include.cases.notices import outbox
from include.model.words import CaseState, UnitState, Verdict


def facts(conn: Conn, case: Case, as_of: date, **more: Any) -> Facts:
    """Everything that guards may ask of a case on ``as_of``. ``more`` is what only the caller knows."""
    ours = units.of_case(conn, case.case_no)
    step = papers.current_step(conn, case, "live")
    verdict = papers.latest_verdict(conn, case.case_no, "balance", step.step_id) if step else None
    holds = {u.hold for u in ours if u.state is UnitState.HELD and u.hold}
    known: dict[str, Any] = {
        "as_of": as_of,
        "ground": case.ground,
        "own_initiative": case.own_initiative,
        "identity_matched": decisions.matched(conn, case),
        "approved": case.approved_plan is not None,
        "refusal_complete": decisions.refused(conn, case),
        "units": (
            *(u.state for u in ours),
            *outbox.states(conn, case.case_no),
            *epochs.states(conn, case.case_no),
        ),
        "due": any(u.due(as_of) for u in ours),
        "findings_open": bool(papers.in_the_way(conn, case.case_no)),
        "books_balance": verdict is Verdict.PASSED,
        "letter_sent": case.told_at is not None or subjects.nobody(conn, case.case_no),
        "hold_checked": True,
        "hold": min(holds, default=None),
    }
    return Facts(**(known | more))


def roll_up(conn: Conn, case_no: str, as_of: date, actor: str) -> Case:
    """Move an acting, held or waiting case to where its units put it, and say why it is parked."""
    case = book.case(conn, case_no, lock=True)
    known = facts(conn, case, as_of)
    target = machine.roll_up(case.state, known)
    for state in machine.path(case.state, target):
        # Going back to work passes RELEASED: a released hold, or a due item beside one that is held.
        step = facts(conn, case, as_of, hold=None) if state is CaseState.ACTING else known
        case = book.move(conn, case_no, state, step, actor)
    because = _because(conn, case_no) if target is CaseState.HELD else None
    if because != case.parked_because:
        conn.execute("UPDATE casebook.case_ SET parked_because = %s WHERE case_no = %s", (because, case_no))
        if because:
            book.note(conn, case_no, as_of, actor, "parked", detail={"because": because})
        case = book.case(conn, case_no)
    return case


def _because(conn: Conn, case_no: str) -> str:
    """Why a case is parked: the holds by number, what they cover in items, and on which law."""
    held: dict[tuple[str, str], int] = {}
    seen: set[tuple[str, str, int]] = set()
    for unit in units.of_case(conn, case_no):
        place = (unit.dataset, unit.copy_kind.value, unit.part)  # one row per category: count items once
        if unit.state is UnitState.HELD and unit.hold and place not in seen:
            seen.add(place)
            key = (unit.hold, unit.law or "")
            held[key] = held.get(key, 0) + unit.items
    parts = [f"{hold} holds {items} items ({law})" for (hold, law), items in sorted(held.items())]
    return "everything that is left is under a hold: " + "; ".join(parts)
