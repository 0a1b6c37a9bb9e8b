"""The proofs of a night, and what follows for its case: looked at by the prover, logged, and followed by the book."""

from __future__ import annotations

from datetime import date

from include.cases import book, papers, units
from include.cases.closing import open_backup_track, rest
from include.cases.provers import record
from include.cases.proving import balance
from include.cases.retention import counted, nights
from include.cases.retention import night as nightly
from include.cases.retention.kept_once import kept_once
from include.cases.retention.late import judged
from include.cases.retention.night import Night, Seen
from include.cases.retention.objects import Partly
from include.cases.retention.unproved import unproved
from include.cases.retention.workers import asking, clearings, worked_on
from include.cases.rooms import Desk
from include.cases.situation import facts
from include.model.errors import NotProved, QuietusError, Refused
from include.model.flow import Evidence, Plan, Step
from include.model.words import CaseState, UnitState

LOOKS = 3  # times that a night is located, at most, before a person looks into it


def plan_and_prove(desk: Desk, case_no: str, *, as_of: date, actor: str) -> str:
    """Locate what is due, and have the prover see the same. If rows came or went in between, locate again."""
    from include.proofs import limits

    for attempt in range(LOOKS):
        plan = nightly.plan(desk, case_no, as_of=as_of, actor=actor)
        night, step = _night(desk, case_no)
        if _begun(desk, night, step):
            return "goes on with what was located before"
        due = nightly.look(desk, night.as_of, night.at)
        found = limits.baseline(
            desk.catalogue, desk.connections, step, plan, {x.dataset: due.of(x.dataset) for x in plan.located}
        )
        try:
            return record(desk, found, as_of=as_of, actor=actor)
        except NotProved:
            if attempt == LOOKS - 1:
                raise
    raise AssertionError("the loop returns or raises")


def prove(desk: Desk, case_no: str, *, as_of: date, actor: str) -> str:
    """What went is gone; no row but these was written; and no more is due than the night says that it left."""
    _, step = _night(desk, case_no)
    night, seen, stayed = nightly.end(desk, step)
    return record(desk, _looked(desk, night, step, seen, stayed), as_of=as_of, actor=actor)


def _looked(desk: Desk, night: Night, step: Step, seen: Seen, stayed: dict[str, int]) -> list[Evidence]:
    from include import proofs
    from include.proofs import limits

    plan = _plan(desk, step.case_no)
    due = {d.id: seen.of(d.id) for d in desk.catalogue.datasets}
    owned_up = _owned_up(desk, night, seen, stayed)
    partly = frozenset(d for d, why in seen.unverified.items() if isinstance(why, Partly))
    return [
        *limits.gone(desk.catalogue, desk.connections, step, plan),
        *proofs.touched(desk.catalogue, desk.connections, step, plan),
        *limits.left(
            desk.catalogue, step, plan, due, owned_up, seen.unverified, partly,
            asked=judged(desk.catalogue, night.at) if night.at is not None else None,
        ),
    ]  # fmt: skip


def _owned_up(desk: Desk, night: Night, seen: Seen, stayed: dict[str, int]) -> dict[str, int]:
    """How much of each dataset the night itself says is due: needed, locked, refused, or what it could not finish."""
    with desk.book() as conn:
        rows = conn.execute(
            "SELECT dataset FROM casebook.night_line WHERE night_id = %s AND rule = %s AND why_left IS NOT NULL",
            (night.night_id, nights.UNFINISHED),
        ).fetchall()
    unfinished = {row["dataset"] for row in rows}
    ours = worked_on(desk, asking(desk, night.as_of, night.at))
    return {
        d.id: seen.of(d.id) if d.id in unfinished or d.id not in ours else stayed.get(d.id, 0)
        for d in desk.catalogue.datasets
    }


def finish(desk: Desk, case_no: str, *, as_of: date, actor: str) -> str:
    """Balance the books, and let the case wait for backups. Where it stands then."""
    balance(desk, case_no, as_of=as_of, actor=actor)
    open_backup_track(desk, case_no, as_of=as_of, actor=actor)
    return rest(desk, case_no, as_of=as_of, actor=actor).state.value


def take_up(desk: Desk, night_id: int, *, as_of: date, actor: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Nights of the same schedule up to this one that ended and were not proved, or have no certificate yet: what they said is
    looked at again, since a later night took what was still due. The cases that may be certified now; and what the others say,
    which stand as they are."""
    with desk.book() as conn:
        now = nights.of_id(conn, night_id)
        before = unproved(conn, now.schedule, now.night_id)
    rest_, failed = [], []
    for night in before:
        try:
            if _again(desk, night.case_no, as_of=as_of, actor=actor) is CaseState.WAITING:
                rest_.append(night.case_no)
        except QuietusError as error:
            failed.append(str(error))
    return tuple(rest_), tuple(failed)


def _again(desk: Desk, case_no: str, *, as_of: date, actor: str) -> CaseState:
    with desk.book() as conn:
        case = book.case(conn, case_no)
    if case.state is CaseState.ACTING:
        night, step = _night(desk, case_no)
        with desk.book() as conn:
            stayed = nightly.stayed_of(counted.words(conn, step.id))
        seen = nightly.look(desk, night.as_of, night.at)
        _tried_again(desk, case_no, as_of, actor)
        found = _looked(desk, night, step, seen, stayed)
        with desk.book() as conn:
            found = kept_once(conn, step, found)
        record(desk, found, as_of=as_of, actor=actor)
        return CaseState(finish(desk, case_no, as_of=as_of, actor=actor))
    return case.state


def _tried_again(desk: Desk, case_no: str, as_of: date, actor: str) -> None:
    """Row 13: what was not proved gone goes again. A later night's deed was the other try."""
    with desk.book() as conn, book.deed(conn, case_no):
        base = facts(conn, book.case(conn, case_no, lock=True), as_of)
        failed = [u for u in units.of_case(conn, case_no) if u.state is UnitState.DELETE_FAILED]
        units.move(conn, failed, UnitState.DELETING_LIVE, lambda u: u.facts(base), actor)


def close_finished(desk: Desk, *, as_of: date, actor: str) -> tuple[str, ...]:
    """Close the nights whose last certificate is final: nothing of them waits, and there is nobody to tell."""
    from include.cases import closing

    with desk.book() as conn:
        rows = conn.execute(
            "SELECT n.case_no FROM casebook.night n JOIN casebook.case_ c USING (case_no) WHERE c.state = 'waiting'"
            " AND (SELECT f.kind FROM casebook.certificate f WHERE f.case_no = n.case_no ORDER BY f.serial DESC LIMIT 1)"
            " = 'final' ORDER BY 1"
        ).fetchall()
    closed = []
    for row in rows:
        if closing.close(desk, row["case_no"], as_of=as_of, actor=actor).state is CaseState.CLOSED:
            closed.append(row["case_no"])
    return tuple(closed)


def _night(desk: Desk, case_no: str) -> tuple[Night, Step]:
    with desk.book() as conn:
        case, night = book.case(conn, case_no), nightly.night_of(conn, case_no)
        row = papers.current_step(conn, case, "live")
    if row is None:
        raise Refused("nothing was located yet", about=case_no, next_step="plan the night first")
    return night, row.step(case, ())


def _plan(desk: Desk, case_no: str) -> Plan:
    with desk.book() as conn:
        plans = papers.plans(conn, book.case(conn, case_no), "live")
    if not plans:
        raise Refused("there is no plan in force", about=case_no, next_step="plan the night first")
    return plans[-1]


def _begun(desk: Desk, night: Night, step: Step) -> bool:
    """Whether something went, or may have: the stores know it before the book does."""
    rooms = clearings(desk, asking(desk, night.as_of, night.at))
    return any(room.begun_under(step) for room in rooms)
