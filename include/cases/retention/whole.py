"""A night from its beginning to its certificate, in one process: for the command line, and for playing many nights."""

from __future__ import annotations

from datetime import date, datetime

from include.cases import certifying
from include.cases.retention import night as nightly
from include.cases.retention import night_proofs as proofs
from include.cases.retention import nights
from include.cases.retention.nights import Night
from include.cases.rooms import Desk
from include.model.sessions import kept


def run(desk: Desk, *, as_of: date, at: datetime | None = None, actor: str) -> Night:
    """Go through a night, or go on with the one that is under way, and after one of an earlier day through this day's; then take
    up those before it that were not proved. One that waits for a person's word is left there. Its sessions with databases are
    kept for its length."""
    with kept():
        night = _run(desk, as_of, at, actor)
        if night.ended_at is not None and night.as_of < as_of:
            return _run(desk, as_of, at, actor)
        return night


def _run(desk: Desk, as_of: date, at: datetime | None, actor: str) -> Night:
    night = nightly.begin(desk, as_of=as_of, at=at, actor=actor)
    if night.waits_for_a_person:
        return night
    if (case_no := night.case_no) is not None:
        proofs.plan_and_prove(desk, case_no, as_of=as_of, actor=actor)
        with desk.book() as conn:
            night = nights.of_id(conn, night.night_id)
        if night.waits_for_a_person:  # more is to go than was seen when it began
            return night
        proofs.dispose(desk, case_no, as_of=as_of, actor=actor)
        proofs.prove(desk, case_no, as_of=as_of, actor=actor)
        proofs.finish(desk, case_no, as_of=as_of, actor=actor)
    rest, _ = proofs.take_up(desk, night.night_id, as_of=as_of, actor=actor)
    for case in rest:  # tonight's is one of them
        certifying.certify(desk, case, as_of=as_of, actor=actor)
    with desk.book() as conn:
        return nights.of_id(conn, night.night_id)
