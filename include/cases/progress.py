"""How far a case has come, for a run that is started again: nothing is asked, decided or done twice."""

from __future__ import annotations

from include.cases import book, decisions, papers
from include.cases.deciding import further
from include.cases.rooms import Desk
from include.model.errors import Refused
from include.model.flow import Plan
from include.model.words import CaseState

ACTED_ON = frozenset({CaseState.ACTING, CaseState.HELD, CaseState.WAITING, CaseState.CLOSED})


def taken_up(desk: Desk, case_no: str | None) -> str:
    """The number of a case that is in the book and open. Raises Refused for anything else."""
    if not case_no:
        raise Refused(
            "the run names no case", about="account_cancellation",
            next_step="trigger it with an opaque account id, through the form or the REST API of this Airflow",
        )  # fmt: skip
    with desk.book() as conn:
        case = book.case(conn, case_no)
    if not case.open:
        raise Refused("the case is closed", about=case_no, next_step="reopen it if data resurfaced")
    return case.case_no


def identified(desk: Desk, case_no: str) -> str | None:
    """Why nobody needs to be asked who the person is; None if somebody does."""
    with desk.book() as conn:
        case = book.case(conn, case_no)
        if case.own_initiative:
            return f"we opened this case ourselves ({case.ground.value}): there is nobody to verify"
        if decisions.matched(conn, case):
            return "the person is verified"
    return None


def decided(desk: Desk, case_no: str) -> str | None:
    """Why nobody needs to decide; None if somebody does: no approval yet, a newer rehearsal than it, or a plan in
    force that goes beyond it."""
    with desk.book() as conn:
        case = book.case(conn, case_no)
        if case.state is CaseState.ACTING and further(conn, case_no):
            return None
        if case.own_initiative:
            return f"we opened this case ourselves ({case.ground.value}): it is approved with its rule"
        if case.state in ACTED_ON:
            return "the plan is approved and being carried out"
        rehearsed = papers.plans(conn, case, "rehearsal")
        if rehearsed and case.approved_plan == rehearsed[-1].fingerprint():
            return "the plan is approved"
    return None


def acted_on(desk: Desk, case_no: str) -> Plan | None:
    """The plan in force of a case that is past its rehearsal; None before."""
    with desk.book() as conn:
        case = book.case(conn, case_no)
        return papers.latest_plan(conn, case) if case.state in ACTED_ON else None
