"""The case itself on its own dates: it wakes, goes on as its DAG would, and is closed when every track has ended."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from include.cases import book, epochs, papers, provers, units, verbs
from include.cases.book import Conn
from include.cases.guards import terminal
from include.cases.notices import outbox
from include.cases.rooms import Desk
from include.cases.situation import facts
from include.cases.units import Unit
from include.model.words import CaseState, UnitState
from include.sandbox import story
from include.sandbox.days.company import SUPPORT, Company
from include.sandbox.days.quietus import ROBOT, certified

DAY = timedelta(days=1)
GOES_ON = (
    verbs.restrict, provers.prove_restricted, verbs.settle_and_plan, provers.prove_baseline, provers.carry_out,
    provers.prove_gone, provers.prove_undeclared, verbs.balance, verbs.open_backup_track, verbs.rest,
)  # fmt: skip
"""The tasks of *account_cancellation* from its restriction on, in their order."""


def wake(company: Company, case_no: str, day: date) -> Iterator[str]:
    """Do what is due of a case on this day. A day that was cut off in the midst of it goes on."""
    desk = company.desk
    with desk.book() as conn:
        case = book.case(conn, case_no)
        due = [u for u in units.of_case(conn, case_no) if u.due(day)]
        uncertified = _uncertified(conn, case_no)
    if case.state is not CaseState.ACTING and not due:
        if (
            uncertified and case.state is not CaseState.CLOSED
        ):  # a play was cut off between the deed and its certificate
            yield certified(company, case_no, day)
        return
    if ended := company.shorten(day):
        yield f"{ended} Object Locks are over by this day, and are made to end for real"
    if case.state is not CaseState.ACTING:
        verbs.resume(desk, case_no, as_of=day, actor=ROBOT)
        yield f"the case wakes: of {_places(due)} the date is over"
    for verb in GOES_ON:
        verb(desk, case_no, as_of=day, actor=ROBOT)
    with desk.book() as conn:
        yield story.summary(papers.latest_plan(conn, book.case(conn, case_no)))
    yield certified(company, case_no, day)


def _uncertified(conn: Conn, case_no: str) -> bool:
    """Whether the last step was begun after the last certificate."""
    row = conn.execute(
        "SELECT coalesce(max(s.opened_at) > (SELECT max(f.issued_at) FROM casebook.certificate f WHERE f.case_no = %(no)s), true)"
        " AS so FROM casebook.step s WHERE s.case_no = %(no)s AND s.kind = 'live'",
        {"no": case_no},
    ).fetchone()
    return bool(row and row["so"])


def end(company: Company, case_no: str, day: date) -> Iterator[str]:
    """Certify for the last time and close, once nothing is left to wait for."""
    desk = company.desk
    with desk.book() as conn:
        case = book.case(conn, case_no)
        known = facts(conn, case, day)
    if case.state is not CaseState.WAITING or not terminal(known.units):
        return
    yield certified(company, case_no, day)
    verbs.close(desk, case_no, as_of=day, actor=SUPPORT)
    yield "the case is closed: every item, copy and recipient has come to its end"


def next_day(desk: Desk, case_no: str, after: date) -> date | None:
    """The next day on which something can come about: tomorrow while a backup or a recipient is waited for, else the day after a
    statutory date; None if nothing that is left has a date."""
    with desk.book() as conn:
        if _by_the_day(conn, case_no):
            return after + DAY
        dates = [u.until for u in units.of_case(conn, case_no) if _has_a_date(u)]
    known = [d for d in dates if d is not None]
    return max(after, min(known)) + DAY if known else None


def _by_the_day(conn: Conn, case_no: str) -> bool:
    """Who waits for our own side (what stands on a chain) answers nothing more: our dates end that."""
    notices = outbox.listing(conn, case_no)
    open_ = [n for n in notices if n["state"] == UnitState.TP_NOTIFIED and n["answer_code"] != outbox.OURS]
    return UnitState.BACKUP_PENDING in epochs.states(conn, case_no) or bool(open_)


def _has_a_date(unit: Unit) -> bool:
    return unit.state is UnitState.RESTRICTED and unit.hold is None and unit.until is not None


def _places(due: list[Unit]) -> str:
    names = sorted({u.dataset for u in due})
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
