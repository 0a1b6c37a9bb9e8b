"""The verbs after the deed: wait in data, answer, close, reopen; and the end of a case's secrets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

from include.cases import book, holds, outbox, papers, sealing, subjects, tracks, units
from include.cases.book import Case
from include.cases.guards import Facts
from include.cases.keys import Purpose
from include.cases.rooms import Desk
from include.cases.scopes import HoldBasis, Scope
from include.cases.situation import facts, roll_up
from include.cases.units import Unit
from include.model.errors import Refused
from include.model.times import observed_now
from include.model.words import CaseState, UnitState

ANSWERS: dict[str, UnitState] = {
    "DELETED": UnitState.TP_ACKED,
    "NOTHING_HELD": UnitState.TP_ACKED,
    "RETAINED_BY_LAW": UnitState.TP_RETAINED,
    "RETAINED_INDEPENDENT": UnitState.TP_RETAINED,
    "HELD_DISPUTE": UnitState.TP_RETAINED,
    "CANNOT_ERASE_IMMUTABLE": UnitState.TP_UNLINKED,
    "UNLINKED": UnitState.TP_UNLINKED,
    "PARTIAL": UnitState.TP_ESCALATED,
    "INCOMPLETE": UnitState.TP_ESCALATED,
    "REJECTED_IDENTITY": UnitState.TP_ESCALATED,
    "NO_REPLY": UnitState.TP_ESCALATED,
}
"""What each answer code of law.md section C makes of a recipient's track."""


def open_backup_track(desk: Desk, case_no: str, *, as_of: date, actor: str) -> int:
    """A track for every backup set of a store in which something was disposed; how many were new."""
    with desk.book() as conn, book.deed(conn, case_no):
        case = book.case(conn, case_no, lock=True)
        step = papers.current_step(conn, case, "live")
        disposed = {r.store for r in papers.receipts(conn, step.step_id, "dispose")} if step else set()
        sets = [b for b in desk.catalogue.backups if b.store in disposed]
        return tracks.open_backups(conn, case, sets, as_of, actor)


def tombstone(desk: Desk, case_no: str, *, as_of: date) -> int:
    """A tombstone per subject; ``dispose`` has done so for a cancellation. How many were new."""
    with desk.book() as conn, book.deed(conn, case_no):
        case = book.case(conn, case_no)
        return tracks.bury(conn, desk.keys, case, subjects.ids(conn, desk.keys, case), as_of)


def rest(desk: Desk, case_no: str, *, as_of: date, actor: str) -> Case:
    """Roll the case up: WAITING when live work is done and proved, HELD when only holds are left.

    Ends the step (its area in the stores is dropped; receipts and restriction stay) once nothing of it is
    left to do. A case that still has work or findings stays ACTING.
    """
    with desk.book() as conn:
        with book.deed(conn, case_no):
            case = roll_up(conn, case_no, as_of, actor)
        row = papers.current_step(conn, case, "live")
        if case.state in (CaseState.WAITING, CaseState.HELD) and row is not None and not row.closed:
            step = row.step(case, subjects.ids(conn, desk.keys, case))
            for store in desk.stores():
                store.close(step)
            with book.deed(conn, case_no):
                papers.close_step(conn, row.step_id)
        return case


def resume(desk: Desk, case_no: str, *, as_of: date, actor: str) -> Case:
    """Wake a waiting or held case whose date has come or whose hold was released: a new step begins.

    The person is restricted already; the new step is opened so that the verbs can go on from
    ``restrict`` (which finds its work done) to the end. Nothing due: nothing happens.
    """
    with desk.book() as conn, book.deed(conn, case_no):
        return roll_up(conn, case_no, as_of, actor)


def open_hold(
    desk: Desk, *, basis: str, document_no: str, issuing_body: str, law: str, as_of: date, actor: str,
    case_nos: frozenset[str] = frozenset(), account_ids: frozenset[str] = frozenset(),
    categories: frozenset[str] = frozenset(), datasets: frozenset[str] = frozenset(),
    confidential: bool = False,
) -> str:  # fmt: skip
    """Open a hold on people's items; its number. Accounts are screened and kept as keyed tokens only."""
    try:
        kind = HoldBasis(basis)
    except ValueError:
        raise Refused(
            "a hold needs a basis",
            about="hold",
            next_step="give one of " + ", ".join(b.value for b in HoldBasis),
        ) from None
    _known(desk, categories, datasets)
    accounts = [subjects.screened(i) for i in sorted(account_ids)]
    ref = sealing.current(desk.keys, Purpose.SUBJECT_TOKEN)
    tokens = frozenset(sealing.digest(desk.keys, ref, subjects.KIND, i).hex() for i in accounts)
    scope = Scope(case_nos, tokens, categories, datasets)
    with desk.book() as conn, book.deed(conn, "hold"):
        for case_no in case_nos:
            book.case(conn, case_no)
        number = holds.open_hold(
            conn, basis=kind, document_no=document_no, issuing_body=issuing_body, law=law, scope=scope,
            as_of=as_of, actor=actor, confidential=confidential,
        )  # fmt: skip
        for case_no in sorted(case_nos):
            book.note(conn, case_no, as_of, actor, "hold opened", law_row=8, detail={"hold": number})
        return number


def _known(desk: Desk, categories: frozenset[str], datasets: frozenset[str]) -> None:
    unknown = (categories - {c.id for c in desk.catalogue.categories}) | (
        datasets - {d.id for d in desk.catalogue.datasets}
    )
    if unknown:
        raise Refused(
            f"{len(unknown)} names of the scope are neither category nor dataset", about="hold",
            next_step="see `quietus catalogue explain`",
        )  # fmt: skip


def release_hold(desk: Desk, number: str, *, document: str, as_of: date, actor: str) -> tuple[str, ...]:
    """Release a hold; the cases that may go on now. Their units are restricted again (row 9)."""
    with desk.book() as conn:
        with book.deed(conn, number):
            holds.release(conn, number, document=document, as_of=as_of, actor=actor)
            rows = conn.execute(
                "SELECT DISTINCT case_no FROM casebook.unit WHERE hold = %s AND state = 'held'"
                " ORDER BY case_no",
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
                # The hold is released: the unit's own note of it no longer counts.
                known = {u.unit_id: replace(u.facts(base), hold=None) for u in ours}
                units.move(conn, ours, UnitState.RESTRICTED, _from(known), actor)
                # What becomes of them is weighed anew: until then they are due, and the case is at work.
                conn.execute(
                    "UPDATE casebook.unit SET hold = NULL, disposition = NULL WHERE unit_id = ANY(%s)",
                    ([u.unit_id for u in ours],),
                )
                book.note(conn, case_no, as_of, actor, "hold released", law_row=9, detail={"hold": number})
                roll_up(conn, case_no, as_of, actor)
                freed.append(case_no)
        return tuple(freed)


def _from(known: dict[int, Facts]) -> Callable[[Unit], Facts]:
    return lambda unit: known[unit.unit_id]


def record_answer(
    desk: Desk, case_no: str, recipient: str, *, code: str, proof_digest: str | None, as_of: date, actor: str
) -> UnitState:
    """Record what a recipient answered. An answer without its proof is no answer: it is escalated.

    ``proof_digest``: SHA-256 of the answer's proof, article or authorisation, kept by whoever received it.
    """
    state = ANSWERS.get(code)
    if state is None:
        raise Refused(
            "this is no answer code", about=f"{case_no} {recipient}", next_step="give " + ", ".join(ANSWERS)
        )
    proved = proof_digest is not None and state is not UnitState.TP_ESCALATED
    to = state if proved else UnitState.TP_ESCALATED
    with desk.book() as conn, book.deed(conn, case_no):
        case = book.case(conn, case_no, lock=True)
        known = facts(conn, case, as_of, answer_proved=proved, answer_insufficient=not proved)
        outbox.move(conn, case, recipient, to=to, facts=known, actor=actor, code=code, digest=proof_digest)
    return to


def escalate_silent(desk: Desk, case_no: str, *, as_of: date, actor: str) -> tuple[str, ...]:
    """Escalate the recipients that are silent past their date; their ids."""
    with desk.book() as conn, book.deed(conn, case_no):
        case = book.case(conn, case_no, lock=True)
        silent = [
            str(n["recipient"])
            for n in outbox.listing(conn, case_no)
            if n["state"] == UnitState.TP_NOTIFIED.value and n["escalate_on"] <= as_of
        ]
        known = facts(conn, case, as_of, answer_insufficient=True)
        for recipient in silent:
            outbox.move(
                conn, case, recipient, to=UnitState.TP_ESCALATED, facts=known, actor=actor, code="NO_REPLY"
            )
        return tuple(silent)


def backup_purged(desk: Desk, case_no: str, backup_set: str, *, as_of: date, actor: str) -> None:
    """The backups' room established that a set no longer holds the person."""
    with desk.book() as conn, book.deed(conn, case_no):
        case = book.case(conn, case_no, lock=True)
        tracks.purge(conn, case, backup_set, facts(conn, case, as_of, backup_gone=True), actor)


def told(desk: Desk, case_no: str, *, as_of: date, actor: str) -> Case:
    """The letter went out: what is gone, what stays, on which law, until when."""
    with desk.book() as conn, book.deed(conn, case_no):
        case = book.case(conn, case_no, lock=True)
        if case.told_at is None:
            conn.execute(
                "UPDATE casebook.case_ SET told_at = %s WHERE case_no = %s", (observed_now(), case_no)
            )
            late = case.reply_due is not None and as_of > case.reply_due
            book.note(conn, case_no, as_of, actor, "told", detail={"late": late})
        return book.case(conn, case_no)


def close(desk: Desk, case_no: str, *, as_of: date, actor: str) -> Case:
    """Close a case whose every track has ended. Raises Refused naming what has not."""
    with desk.book() as conn, book.deed(conn, case_no):
        case = book.case(conn, case_no, lock=True)
        failed = case.state is CaseState.ID_FAILED
        return book.move(
            conn, case_no, CaseState.CLOSED, facts(conn, case, as_of, identity_failed=failed), actor
        )


def reopen(desk: Desk, case_no: str, *, because: str, as_of: date, actor: str) -> Case:
    """Reopen a closed case: data resurfaced, a restore, a late "not deleted". ``because`` is a code."""
    with desk.book() as conn, book.deed(conn, case_no):
        case = book.case(conn, case_no, lock=True)
        book.move(
            conn,
            case_no,
            CaseState.REOPENED,
            facts(conn, case, as_of, resurfaced=True),
            actor,
            because=because,
        )
        case = book.case(conn, case_no)
        conn.execute("UPDATE casebook.case_ SET told_at = NULL WHERE case_no = %s", (case_no,))
        return book.move(conn, case_no, CaseState.ASSESSING, facts(conn, case, as_of), actor)


def destroy_key(desk: Desk, case_no: str, *, as_of: date, actor: str) -> None:
    """Destroy a closed case's key: from then on nobody can read whom it was about (rung R9).

    Only after the last scan that a category requires: sealed values are what the scans look for.
    """
    with desk.book() as conn, book.deed(conn, case_no):
        case = book.case(conn, case_no, lock=True)
        if case.open:
            raise Refused(
                "the case is open", about=case_no, next_step="close it first: scans need its values"
            )
        gone = desk.keys.destroy(case.key_id)
        book.note(
            conn, case_no, as_of, actor, "key destroyed", detail={"key": gone.id, "method": gone.method}
        )
