"""A night of planted controls that found, or missed, one thing: as the case book keeps it."""

from __future__ import annotations

from datetime import timedelta

from include.cases import book
from include.cases.controls import doubt, nights
from include.cases.controls.results import Judged, Outcome, Result
from include.cases.rooms import Desk
from include.model.times import observed_now, prc_date
from include.planting.note import draw


def night(desk: Desk, outcome: Outcome, *, store: str, proof: str, days_ago: int = 0) -> int:
    """In how many cases it left a finding."""
    day = prc_date(observed_now()) - timedelta(days=days_ago)
    judged = Judged((Result(store, "page_hole", proof, 1, int(outcome is Outcome.FOUND), outcome),))
    with desk.book() as conn:
        begun = nights.begin(conn, desk.keys, day, draw("0" * 32, desk.catalogue))
        with book.deed(conn, "test"):
            nights.end(conn, begun, judged, "key")
            told = doubt.tell_cases(conn, day, judged)
        nights.removed(conn, begun)
    return told
