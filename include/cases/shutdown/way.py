"""What the cases of an order have in common on their way, of bags or of what goes to nobody: their step, their plan in force."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from include.cases import book, papers
from include.cases.book import Case, Conn
from include.cases.rooms import Desk
from include.model.doors import Clearing
from include.model.errors import Refused
from include.model.flow import Plan, Step
from include.model.words import CaseState


def under_way(conn: Conn, case_no: str) -> bool:
    """Whether a case has not come to its end."""
    return book.case(conn, case_no).state in (CaseState.ASSESSING, CaseState.ACTING)


def live(desk: Desk, conn: Conn, case_no: str, as_of: date) -> tuple[Case, Step]:
    """The case and its step, begun if it was not. Raises Refused if the case has ended."""
    desk.are_ours()
    case = book.case(conn, case_no)
    if not under_way(conn, case_no):
        raise Refused(
            f"its case is {case.state.value}", about=case_no, next_step="begin anew with what is left"
        )
    with book.deed(conn, case_no):
        row = papers.open_step(conn, case, "live", as_of, restricting=False)
    return case, row.step(case, ())


def in_force(conn: Conn, case: Case) -> list[Plan]:
    """Its plans, the one in force last. Raises Refused if there is none."""
    plans = papers.plans(conn, case, "live")
    if not plans:
        raise Refused("there is no plan in force", about=case.case_no, next_step="run it from its beginning")
    return list(plans)


def carried_out(conn: Conn, case: Case) -> tuple[Step, Plan]:
    """Its step, and the plan as it was carried out. Raises Refused before there is one."""
    row = papers.current_step(conn, case, "live")
    plans: Sequence[Plan] = papers.plans(conn, case, "live")
    if row is None or not plans:
        raise Refused("nothing was located yet", about=case.case_no, next_step="run it from its beginning")
    return row.step(case, ()), plans[-1]


def to_its_end(number: str, room: Clearing, next_step: str) -> None:
    """Raises Refused if a store did not come to the end of a dataset."""
    if room.left:
        dataset, why = next(iter(room.left.items()))
        raise Refused(f"{dataset}: {why}", about=number, next_step=next_step)
