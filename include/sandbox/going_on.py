"""After the end: the successor's own nights, by logical dates. The day before the first clock that came is over nothing goes;
on that day exactly what is due, with its proofs and its certificate, in its own stores, case book and ledger."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import psycopg

from include.cases.assembling import desk as make_desk
from include.cases.retention import ended, whole
from include.cases.retention import night as nightly
from include.cases.retention.nights import Night
from include.cases.rooms import Desk
from include.catalogue import load
from include.model.errors import NotProved
from include.model.words import Role
from include.sandbox.stack.successor import Successor

OPS = "ops/successor"
DAY = timedelta(days=1)
_FIRST = """
SELECT min(due), count(*) FROM quietus_handover.running
 WHERE holds IS NULL AND due = (SELECT min(due) FROM quietus_handover.running WHERE holds IS NULL AND due > %s)"""


def goes_on(of: Successor, t0: date, told_on: Callable[[date, str], None]) -> None:
    """Two nights of the successor's, before the first day on which something must have gone there and on it. Raises NotProved if
    anything else went, or a night did not come through."""
    desk = make_desk(of.environment(), load())
    with psycopg.connect(of.environment().postgres("company", Role.CUSTODIAN)) as conn:
        first, due = conn.execute(_FIRST, (t0,)).fetchone() or (None, 0)
    if first is None:
        told_on(t0, "nothing that came has a day yet on which it must have gone")
        return
    for day, wanted in ((first - DAY, 0), (first, due)):
        night = _night(desk, day)
        gone = night.gone or 0
        if gone != wanted or ended.nothing_is_left(desk, night.night_id):
            raise NotProved(
                f"the successor's night took {gone} items, and {wanted} were due by the clocks that came", about=f"{day}",
                next_step="read `quietus retention nights` as the successor",
            )  # fmt: skip
        what = f"{gone} items go and are proved gone, by {night.case_no}" if wanted else "nothing goes"
        told_on(day, f"a night of the successor's: {what}; {wanted} are due by the clocks that came")


def _night(desk: Desk, day: date) -> Night:
    """A whole one; a first night has no history to be in line with, so somebody lets it go."""
    night = whole.run(desk, as_of=day, actor=OPS)
    if night.waits_for_a_person and night.case_no is not None:
        nightly.approve(desk, night.case_no, as_of=day, actor=OPS)
        night = whole.run(desk, as_of=day, actor=OPS)
    return night
