"""The proofs of a night, and what follows for its case: looked at by the prover, logged, and followed by the book."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from include.cases import book, ciphertexts, papers, units
from include.cases.closing import open_backup_track, rest
from include.cases.provers import record, seal_pieces
from include.cases.proving import balance
from include.cases.retention import counted, ended, nights
from include.cases.retention import night as nightly
from include.cases.retention.kept_once import kept_once
from include.cases.retention.late import judged
from include.cases.retention.nights import Night
from include.cases.retention.objects import Partly
from include.cases.retention.readings import remembering
from include.cases.retention.seen import Seen
from include.cases.retention.set_free import set_free
from include.cases.retention.unproved import unproved
from include.cases.retention.workers import asking, clearings, worked_on
from include.cases.rooms import Desk
from include.cases.situation import facts
from include.model.errors import NotProved, QuietusError, Refused
from include.model.estate import Dataset
from include.model.flow import Evidence, Plan, Step
from include.model.words import CaseState, UnitState
from include.stores.s3.once import Once, name_of

if TYPE_CHECKING:
    from include.proofs.bucket import Thing
    from include.proofs.limits_records import Before

LOOKS = 3  # times that a night is located, at most, before a person looks into it


def plan_and_prove(desk: Desk, case_no: str, *, as_of: date, actor: str) -> str:
    """Locate what is due, and have the prover see the same. If rows came or went in between, locate again."""
    from include.proofs import Ciphertexts, limits

    for attempt in range(LOOKS):
        plan = nightly.plan(desk, case_no, as_of=as_of, actor=actor)
        night, step = _night(desk, case_no)
        if _begun(desk, night, step):
            return "goes on with what was located before"
        seal_pieces(desk, step, desk.catalogue.in_parts)
        once, kept = remembering(desk), Ciphertexts()
        # Of what was located it counts by itself; what was not is looked at once more when the night has ended.
        located = {x.dataset for x in plan.located}
        due = nightly.look(desk, night.as_of, night.at, once=once, only=located, strays=False)
        counted_due = {dataset: due.of(dataset) for dataset in located}
        found = limits.baseline(
            desk.catalogue.in_parts, desk.connections, step, plan, counted_due, kept, _before(once)
        )
        ciphertexts.keep(desk, case_no, kept)
        try:
            return record(desk, found, as_of=as_of, actor=actor)
        except NotProved:
            if attempt == LOOKS - 1:
                raise
    raise AssertionError("the loop returns or raises")


def dispose(desk: Desk, case_no: str, *, as_of: date, actor: str) -> Plan:
    """Carry out the plan; one that another catalogue made, and of which nothing went yet, is made and seen again first. Raises
    Refused if by that the night is out of line, and as :func:`include.cases.retention.night.dispose` does."""
    if nightly.outdated(desk, case_no):
        plan_and_prove(desk, case_no, as_of=as_of, actor=actor)
    return nightly.dispose(desk, case_no, as_of=as_of, actor=actor)


def prove(desk: Desk, case_no: str, *, as_of: date, actor: str) -> str:
    """What went is gone; no row but these was written; and no more is due than the night says that it left."""
    _, step = _night(desk, case_no)
    once = remembering(desk)
    night, seen, stayed = ended.end(desk, step, once)
    return record(desk, _looked(desk, night, step, seen, stayed, once), as_of=as_of, actor=actor)


def _before(once: Once) -> Before:
    """What the prover itself made of a version when it read it to say what is due."""

    def before(dataset: Dataset, thing: Thing) -> tuple[int, int] | None:
        return once.summed(
            dataset.id, name_of(dataset.address, thing.key, thing.version, thing.etag, thing.size)
        )

    return before


def _looked(
    desk: Desk, night: Night, step: Step, seen: Seen, stayed: dict[str, int], once: Once
) -> list[Evidence]:
    from include import proofs
    from include.proofs import limits

    plan, catalogue = _plan(desk, step.case_no), desk.catalogue.in_parts
    due = {d.id: seen.of(d.id) for d in catalogue.datasets}
    owned_up = _owned_up(desk, night, step, seen, stayed)
    partly = frozenset(d for d, why in seen.unverified.items() if isinstance(why, Partly))
    kept = ciphertexts.kept(desk, step.case_no)
    return [
        # Every table of a company is read for keys once a night, and not every ten minutes.
        *limits.gone(catalogue, desk.connections, step, plan, kept, _before(once), everywhere=night.at is None),
        *proofs.touched(catalogue, desk.connections, step, plan),
        *limits.left(
            catalogue, step, plan, due, owned_up, seen.unverified, partly,
            asked=judged(desk.catalogue, night.at) if night.at is not None else None,
        ),
    ]  # fmt: skip


def _owned_up(desk: Desk, night: Night, step: Step, seen: Seen, stayed: dict[str, int]) -> dict[str, int]:
    """How much of each dataset the night itself says is due: needed, locked, refused, what it could not finish, or set free."""
    with desk.book() as conn:
        took = counted.words(conn, step.id)
        rows = conn.execute(
            "SELECT dataset FROM casebook.night_line WHERE night_id = %s AND rule = %s AND why_left IS NOT NULL",
            (night.night_id, nights.UNFINISHED),
        ).fetchall()
    unfinished = {row["dataset"] for row in rows}
    about = asking(desk, night.as_of, night.at)
    ours = worked_on(desk, about)
    due = {d.id: seen.of(d.id) for d in desk.catalogue.in_parts.datasets}
    more = [d for d in desk.catalogue.in_parts.datasets if due[d.id] > stayed.get(d.id, 0)]
    freed = set_free(desk, about, [d for d in more if d.id in ours and d.id not in unfinished], due, took)
    return {
        d.id: due[d.id] if d.id in unfinished or d.id not in ours
        else stayed.get(d.id, 0) + freed.get(d.id, 0)
        for d in desk.catalogue.in_parts.datasets
    }  # fmt: skip


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
            stayed = ended.stayed_of(counted.words(conn, step.id))
        once = remembering(desk)
        seen = nightly.look(desk, night.as_of, night.at, once=once)
        _tried_again(desk, case_no, as_of, actor)
        found = _looked(desk, night, step, seen, stayed, once)
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
    """Close the nights, and releases, whose last certificate is final: nothing of them waits, and there is nobody to tell."""
    from include.cases import closing

    with desk.book() as conn:
        rows = conn.execute(
            "SELECT n.case_no FROM (SELECT case_no FROM casebook.night UNION ALL SELECT case_no FROM casebook.release_run) n"
            " JOIN casebook.case_ c USING (case_no) WHERE c.state = 'waiting'"
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
        case, night = book.case(conn, case_no), nights.night_of(conn, case_no)
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
