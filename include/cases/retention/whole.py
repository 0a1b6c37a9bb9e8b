"""A night from its beginning to its certificate, in one process: for the command line, and for playing many nights."""

from __future__ import annotations

from datetime import date, datetime

from include.cases import certifying
from include.cases.retention import night as nightly
from include.cases.retention import night_proofs as proofs
from include.cases.retention import nights
from include.cases.retention.nights import Night
from include.cases.retention.unproved import unproved
from include.cases.rooms import Desk
from include.model.errors import QuietusError
from include.model.sessions import kept


def run(desk: Desk, *, as_of: date, at: datetime | None = None, actor: str) -> Night:
    """Go through a night, or go on with the one that is under way, and after one of an earlier day through this day's; then take
    up those before it that were not proved. One that waits for a person's word is left there. Its sessions with databases are
    kept for its length. Raises what a night raised; of an earlier day's that ended and is not proved only once this day's is
    through, which may prove it."""
    with kept():
        night = nightly.begin(desk, as_of=as_of, at=at, actor=actor)
        wrong: QuietusError | None = None
        try:
            night = _through(desk, night, as_of, actor)
        except QuietusError as error:
            with desk.book() as conn:
                night = nights.of_id(conn, night.night_id)
            wrong = error
        if night.ended_at is not None and night.as_of < as_of:
            todays = nightly.begin(desk, as_of=as_of, at=at, actor=actor)
            todays = _through(desk, todays, as_of, actor)
            if wrong is None or _is_proved(desk, night):
                return todays
        if wrong is not None:
            raise wrong
        return night


def _is_proved(desk: Desk, night: Night) -> bool:
    with desk.book() as conn:
        return all(x.night_id != night.night_id for x in unproved(conn, night.schedule, night.night_id))


def _through(desk: Desk, night: Night, as_of: date, actor: str) -> Night:
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
