"""The plan of a case that we opened ourselves, a night's or a shutdown's, is kept, and its units follow: in the caller's deed."""

from __future__ import annotations

from datetime import date

from include.cases import book, papers, units
from include.cases.book import Conn
from include.cases.disposing import GOING
from include.cases.guards import Facts
from include.cases.rooms import Desk
from include.cases.situation import facts
from include.model.catalogue import Catalogue
from include.model.flow import Line, Plan
from include.model.words import Disposition, UnitState


def planned(
    desk: Desk, conn: Conn, case_no: str, made: Plan, *, units_of: Plan | None = None, as_of: date, actor: str
) -> tuple[str, Facts]:
    """A plan comes into force before anything goes: its units are restricted. Its fingerprint, and the facts that the case moves
    by. ``units_of``: the plan that says of which units, if it is not this."""
    fingerprint, base = _kept(desk, conn, case_no, made, units_of or made, as_of)
    fresh = [u for u in units.of_case(conn, case_no) if u.state is UnitState.ACTIVE]
    units.move(conn, fresh, UnitState.RESTRICTED, lambda u: u.facts(base), actor)
    return fingerprint, base


def of_none(made: Plan, catalogue: Catalogue, law: str) -> Plan:
    """A plan of no items with a line for each of its datasets, so that the case has something that ends."""
    of = {x.dataset: Disposition(catalogue.dataset(x.dataset).action) for x in made.located}
    lines = [Line(dataset=d, disposition=x, items=0, rule="", law=law) for d, x in of.items()]
    return made.model_copy(update={"lines": tuple(lines)})


def carried_out(desk: Desk, conn: Conn, case_no: str, made: Plan, *, as_of: date, actor: str) -> None:
    """The plan as it was carried out, without what was passed over: the units of what went are being deleted."""
    _, base = _kept(desk, conn, case_no, made, made, as_of)
    # What was planned as one and ended in two ways (a part of a set was suppressed) has a unit that is new.
    fresh = [u for u in units.of_case(conn, case_no) if u.state is UnitState.ACTIVE]
    units.move(conn, fresh, UnitState.RESTRICTED, lambda u: u.facts(base), actor)
    going = [u for u in units.of_case(conn, case_no)
             if u.state is UnitState.RESTRICTED and u.disposition in GOING]  # fmt: skip
    units.move(conn, going, UnitState.DELETING_LIVE, lambda u: u.facts(base), actor)


def _kept(desk: Desk, conn: Conn, case_no: str, made: Plan, units_of: Plan, as_of: date) -> tuple[str, Facts]:
    case = book.case(conn, case_no, lock=True)
    fingerprint = papers.keep_plan(conn, made, ())
    units.sync(conn, case, desk.catalogue, units_of, 0)
    return fingerprint, facts(conn, case, as_of)
