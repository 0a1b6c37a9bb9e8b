"""Holds that end, in whole or in part, and their reviews: what they kept is due again at once, and weighed anew.

A release is committed before the cases are moved, one by one. Killed in between, :func:`finish_releases` does the rest, and
until a freed case goes on :func:`not_resumed` counts it: within a working day the clock is to run again (law.md E, row 9).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date

from include.cases import book, hold_people, holds, units
from include.cases.book import Conn
from include.cases.guards import Facts
from include.cases.notices import preserving
from include.cases.rooms import Desk
from include.cases.scopes import Scope
from include.cases.situation import facts, roll_up
from include.cases.units import Unit
from include.cases.workdays import DEFAULT, Workdays
from include.model.words import UnitState

RELEASED, NARROWED = "hold released", "hold narrowed"  # events of a case
RESUME_WORKING_DAYS = 1  # [proposal] of law.md E row 9


def release_hold(desk: Desk, number: str, *, document: str, as_of: date, actor: str) -> tuple[str, ...]:
    """Release a hold; the cases that may go on now. Their units are restricted again (row 9). Recipients that were told
    to preserve something for it are told to erase it, in the transaction of the release."""
    with desk.book() as conn:
        with book.deed(conn, number):
            holds.release(conn, number, document=document, as_of=as_of, actor=actor)
            _tell(desk, conn, number, as_of, actor)
        freed = _free(conn, number, RELEASED, as_of, actor)
        with book.deed(conn, number):
            hold_people.forget(conn, desk.keys, number)
        return freed


def narrow_hold(
    desk: Desk, number: str, *, without: Scope, document: str, as_of: date, actor: str
) -> tuple[str, ...]:  # fmt: skip
    """Take items out of an open hold, by a document; the cases in which something is weighed anew. It never widens.

    All that it kept in these cases is weighed anew: what it still covers is held again. Raises Refused if nothing of it is
    named, or if nothing or everybody would be left.
    """
    with desk.book() as conn:
        with book.deed(conn, number):
            holds.narrow_by(conn, number, without, document=document, as_of=as_of, actor=actor)
            _tell(desk, conn, number, as_of, actor)
        return _free(conn, number, NARROWED, as_of, actor)


def review_hold(desk: Desk, number: str, *, document: str, as_of: date, actor: str) -> date:
    """Record that somebody looked and the hold is still needed; the day of the next review."""
    with desk.book() as conn, book.deed(conn, number):
        return holds.reviewed(conn, number, document=document, as_of=as_of, actor=actor)


def finish_releases(desk: Desk, *, as_of: date, actor: str) -> tuple[str, ...]:
    """Move the cases of releases that were killed half-way; those that were moved."""
    with desk.book() as conn:
        rows = conn.execute(
            "SELECT DISTINCT h.hold FROM casebook.hold h JOIN casebook.unit u USING (hold)"
            " WHERE h.released_on IS NOT NULL AND u.state = 'held' ORDER BY h.hold"
        ).fetchall()
        for number in hold_people.of_released(conn):
            with book.deed(conn, number):
                hold_people.forget(conn, desk.keys, number)
        return tuple(
            case for row in rows for case in _free(conn, str(row["hold"]), RELEASED, as_of, actor)
        )  # fmt: skip


@dataclass(frozen=True)
class Reviews:
    """What the working day's look found. ``late``: holds past their review; ``waiting``: freed cases that did not go on."""

    late: tuple[str, ...]
    waiting: tuple[str, ...]
    freed: tuple[str, ...]

    def __str__(self) -> str:
        """Counts: which holds and cases they are is for auditors and legal."""
        return (
            f"{len(self.late)} past their review; {len(self.waiting)} cases freed and not gone on with for more than"
            f" {RESUME_WORKING_DAYS} working day; {len(self.freed)} releases finished that were interrupted"
        )


def look(desk: Desk, *, as_of: date, actor: str) -> Reviews:
    """Finish what was interrupted, and say what is late."""
    freed = finish_releases(desk, as_of=as_of, actor=actor)
    with desk.book() as conn:
        return Reviews(holds.overdue_reviews(conn, as_of), not_resumed(conn, as_of), freed)


def not_resumed(conn: Conn, as_of: date, workdays: Workdays = DEFAULT) -> tuple[str, ...]:
    """Open cases whose freed items nobody has weighed again within a working day of the release."""
    rows = conn.execute(
        "SELECT e.case_no, min(e.as_of) AS since FROM casebook.event e JOIN casebook.case_ c USING (case_no)"
        " WHERE e.what = ANY(%s) AND c.closed_at IS NULL AND EXISTS (SELECT FROM casebook.unit u WHERE u.case_no = e.case_no"
        " AND u.state = 'restricted' AND u.hold IS NULL AND u.disposition IS NULL)"
        " AND NOT EXISTS (SELECT FROM casebook.event later WHERE later.case_no = e.case_no AND later.what = ANY(%s)"
        " AND later.event_id > e.event_id) GROUP BY e.case_no ORDER BY e.case_no",
        ([RELEASED, NARROWED], [RELEASED, NARROWED]),
    ).fetchall()
    return tuple(
        str(r["case_no"]) for r in rows if workdays.after(r["since"], RESUME_WORKING_DAYS).day < as_of
    )  # fmt: skip


def _tell(desk: Desk, conn: Conn, number: str, as_of: date, actor: str) -> None:
    told = {*preserving.reached(conn, number), *holds.of_people(conn, number)}
    preserving.hold_released(desk, conn, told, as_of=as_of, actor=actor)


def _free(conn: Conn, number: str, what: str, as_of: date, actor: str) -> tuple[str, ...]:
    rows = conn.execute(
        "SELECT DISTINCT case_no FROM casebook.unit WHERE hold = %s AND state = 'held' ORDER BY case_no",
        (number,),
    ).fetchall()
    freed = []
    for row in rows:
        case_no = str(row["case_no"])
        with book.deed(conn, case_no):
            case = book.case(conn, case_no, lock=True)
            base = facts(conn, case, as_of)
            held = [u for u in units.of_case(conn, case_no) if u.state is UnitState.HELD]
            ours = [u for u in held if u.hold == number]
            if not ours:  # somebody else was quicker
                continue
            # The hold is released: the unit's own note of it no longer counts.
            known = {u.unit_id: replace(u.facts(base), hold=None) for u in ours}
            units.move(conn, ours, UnitState.RESTRICTED, _from(known), actor)
            # What becomes of them is weighed anew: until then they are due, and the case is at work.
            conn.execute(
                "UPDATE casebook.unit SET hold = NULL, disposition = NULL WHERE unit_id = ANY(%s)",
                ([u.unit_id for u in ours],),
            )
            book.note(conn, case_no, as_of, actor, what, law_row=9, detail={"hold": number})
            roll_up(conn, case_no, as_of, actor)
            freed.append(case_no)
    return tuple(freed)


def _from(known: dict[int, Facts]) -> Callable[[Unit], Facts]:
    return lambda unit: known[unit.unit_id]
