"""The verbs after the deed: wait in data, answer, close, reopen; and the end of a case's secrets."""

from __future__ import annotations

import hashlib
from datetime import date, datetime
from typing import Any

from pydantic import ValidationError

from include.cases import (
    backups,
    book,
    epochs,
    hold_people,
    holds,
    naming,
    papers,
    sealing,
    subjects,
    tombstones,
)
from include.cases.book import Case, Conn
from include.cases.keys import Purpose
from include.cases.notices import answering, keeping, outbox, preserving
from include.cases.papers import StepRow
from include.cases.retention import before_hold, stopping
from include.cases.rooms import Desk
from include.cases.scopes import HoldBasis, Scope
from include.cases.situation import facts, roll_up
from include.model.errors import Refused
from include.model.history import Historied, History
from include.model.notices import Answer, AnswerCode, Part
from include.model.times import observed_now
from include.model.words import CaseState, DatasetKind, Rung, UnitState


def open_backup_track(desk: Desk, case_no: str, *, as_of: date, actor: str) -> int:
    """Let the case wait for every backup set of a store in which something was disposed, each for its own period until somebody
    looks; for how many more than before. ``rest`` reads the position once more."""
    with desk.book() as conn:
        case = book.case(conn, case_no)
        step = papers.current_step(conn, case, "live")
        receipts = papers.receipts(conn, step.step_id, "dispose") if step else ()
        last = {r.store: max(x.done_at for x in receipts if x.store == r.store) for r in receipts}
        new = 0
        for store in desk.stores():
            if step is not None and store.id in last:
                history = store.history() if isinstance(store, Historied) else None
                new += _enter(desk, conn, case, step, store.id, history, last[store.id], as_of, actor)
    return new


def _enter(
    desk: Desk, conn: Conn, case: Case, step: StepRow, store: str, history: History | None, last_deed: datetime,
    as_of: date, actor: str,
) -> int:  # fmt: skip
    with book.deed(conn, case.case_no):
        return epochs.enter(
            conn, book.case(conn, case.case_no, lock=True), step.step_id, store, history, last_deed=last_deed,
            sets=[b for b in desk.catalogue.backups if b.store == store], rewrite=_rewrite(desk, conn, case, store),
            as_of=as_of, actor=actor,
        )  # fmt: skip


def _without_the_area(desk: Desk, conn: Conn, case: Case, step: StepRow, as_of: date, actor: str) -> None:
    """The step's area named people until it was dropped, and so does a backup that was begun before: the night's position is read
    once more. Then the sets are looked at, so that the case has its date on day one; one that cannot be read has its own
    period's. Again, after being killed, reads later, which is safe."""
    waiting = epochs.stores_of(conn, step.step_id)
    for store in desk.stores():
        if store.id in waiting and isinstance(store, Historied):
            history = store.history()
            _enter(desk, conn, case, step, store.id, history, history.moment, as_of, actor)
    backups.look(desk, as_of=as_of, actor=actor, stores=waiting)


def _rewrite(desk: Desk, conn: Conn, case: Case, store: str) -> bool:
    """Whether something that went from this store's tables asks that its bytes go too (R4)."""
    tables = {d.id for d in desk.catalogue.in_parts.of_store(store, DatasetKind.TABLE)}
    plan = papers.latest_plan(conn, case)
    return any(
        desk.catalogue.category(category).rung >= Rung.R4
        for line in plan.lines
        if line.disposition.changes_data and line.items and line.dataset in tables
        for category in desk.catalogue.dataset(line.dataset).all_categories
    )


def tombstone(desk: Desk, case_no: str, *, as_of: date) -> int:
    """A tombstone per subject; ``dispose`` has done so for a cancellation. How many were new."""
    with desk.book() as conn, book.deed(conn, case_no):
        case = book.case(conn, case_no)
        return tombstones.bury(conn, desk.keys, case, subjects.ids(conn, desk.keys, case), as_of)


def rest(desk: Desk, case_no: str, *, as_of: date, actor: str) -> Case:
    """Roll the case up: WAITING when live work is done and proved, HELD when only holds are left.

    Ends the step (its area in the stores is dropped; receipts and restriction stay) once nothing of it is
    left to do, and looks at the backup sets that it waits for. A case that still has work or findings stays ACTING.
    """
    with desk.book() as conn:
        with book.deed(conn, case_no):
            case = roll_up(conn, case_no, as_of, actor)
        row = papers.current_step(conn, case, "live")
        if case.state in (CaseState.WAITING, CaseState.HELD) and row is not None and not row.closed:
            step = row.step(case, subjects.ids(conn, desk.keys, case))
            for store in desk.stores():
                store.close(step)
            _without_the_area(desk, conn, case, row, as_of, actor)
            with book.deed(conn, case_no):
                papers.close_step(conn, row.step_id)
        return case


def resume(desk: Desk, case_no: str, *, as_of: date, actor: str) -> Case:
    """Wake a waiting or held case whose date has come or whose hold was released: it is at work again, and the
    verbs go on from ``restrict``, which opens a new step for what is left. Nothing due: nothing happens.
    """
    with desk.book() as conn, book.deed(conn, case_no):
        return roll_up(conn, case_no, as_of, actor)


def open_hold(
    desk: Desk, *, basis: str, document_no: str, issuing_body: str, law: str, as_of: date, actor: str,
    case_nos: frozenset[str] = frozenset(), account_ids: frozenset[str] = frozenset(),
    categories: frozenset[str] = frozenset(), datasets: frozenset[str] = frozenset(),
    confidential: bool = False, even_if_nobody: bool = False,
) -> str:  # fmt: skip
    """Open a hold on people's items, or, where nobody is named, on everybody's of some kind; its number. Accounts are screened,
    kept as keyed tokens, and sealed until it is released. Raises Refused if one is nobody's here, unless ``even_if_nobody``.

    It is recorded at once, also while something of the same case, or by a night, is being disposed of: then the case's
    timeline says so (:func:`holds.overtaken`), that of a night also how much of it had gone (:func:`holds.went`), and the next
    store that is come to sees it. Recipients that were told to erase what it covers are told to preserve it, in the same
    transaction.
    """
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
    of = {sealing.digest(desk.keys, ref, subjects.KIND, i).hex(): i for i in accounts}
    tokens = frozenset(of)
    every = [
        d
        for i in accounts
        for d in sealing.digests(desk.keys, Purpose.SUBJECT_TOKEN, subjects.KIND, i).values()
    ]
    scope = Scope(case_nos, tokens, categories, datasets)
    if not even_if_nobody and (nobody := naming.names(desk, accounts, scope).nobody):
        raise Refused(
            f"{nobody} of {len(accounts)} account ids are nobody's: no table has a row with one, and no case is about it",
            about="hold", next_step="check the order for a slip; if it is as ordered, say so (--even-if-nobody)",
        )  # fmt: skip
    covered = [d.id for d in desk.catalogue.in_parts.datasets if scope.covers(d)]
    with desk.book() as conn, book.deed(conn, "hold"):
        for case_no in case_nos:
            _names_somebody_still(conn, desk, book.case(conn, case_no))
        disposing = (
            holds.noticed_by_all(conn, covered) if scope.everybody else holds.noticed(conn, case_nos, every)
        )
        at_work = holds.nights_at_work(conn)
        disposing |= dict.fromkeys(at_work, True)
        number = holds.open_hold(
            conn, basis=kind, document_no=document_no, issuing_body=issuing_body, law=law, scope=scope,
            as_of=as_of, actor=actor, confidential=confidential,
        )  # fmt: skip
        hold_people.keep(conn, desk.keys, number, of)
        reached = (
            holds.reached_by_all(conn, covered) if scope.everybody else holds.reached(conn, case_nos, every)
        )
        reached = tuple(sorted({*reached, *at_work}))
        book.lock(conn, reached)
        for case_no in reached:
            book.note(conn, case_no, as_of, actor, "hold opened", law_row=8,
                      detail={"hold": number, "while_disposing": disposing.get(case_no, False)})  # fmt: skip
        order = holds.order(conn, number)
        preserving.hold_opened(desk, conn, order, reached, as_of=as_of, actor=actor)
    before_hold.tell(desk, number, at_work, covered, as_of=as_of, actor=actor)
    return number


def _names_somebody_still(conn: Conn, desk: Desk, case: Case) -> None:
    """A hold on a case of which nobody can say any more whom it was about would hold nobody, and every night after it would stand
    still, since it cannot tell whom it spares."""
    try:
        subjects.ids(conn, desk.keys, case)
    except Refused as lost:
        raise Refused(
            f"nobody can say any more whom this case was about, so a hold on it would hold nobody ({lost.what})",
            about=case.case_no, next_step="name the accounts that the order is about (--account)",
        ) from None  # fmt: skip


def _known(desk: Desk, categories: frozenset[str], datasets: frozenset[str]) -> None:
    unknown = (categories - {c.id for c in desk.catalogue.categories}) | (
        datasets - {d.id for d in desk.catalogue.datasets}
    )
    if unknown:
        raise Refused(
            f"{len(unknown)} names of the scope are neither category nor dataset", about="hold",
            next_step="see `quietus catalogue explain`",
        )  # fmt: skip


def record_answer(
    desk: Desk, case_no: str, recipient: str, *, code: str, proof_digest: str | None, as_of: date, actor: str,
    **evidence: Any,
) -> UnitState:  # fmt: skip
    """Record what a recipient answered, as a person has it in hand; where its track stands then. ``evidence``: what
    :class:`Part` has for the code. It is judged like any other answer, so that it may leave the track open.

    ``proof_digest``: SHA-256 of the answer, kept by whoever received it. Raises Refused without one.
    """
    about = f"{case_no} {recipient}"
    if code not in {c.value for c in AnswerCode if c.from_outside}:
        codes = ", ".join(c.value for c in AnswerCode if c.from_outside)
        raise Refused("this is no answer code", about=about, next_step=f"give {codes}")
    if proof_digest is None:
        raise Refused(
            "an answer without its proof is no answer", about=about,
            next_step="give the letter, the mail or the note of the call",
        )  # fmt: skip
    try:
        part = Part(code=AnswerCode(code), **evidence)
    except ValidationError as wrong:
        where = ", ".join(sorted({str(e["loc"][0]) for e in wrong.errors() if e["loc"]}))
        raise Refused(f"the answer is not readable: {where}", about=about, next_step="correct it") from None
    with desk.book() as conn, book.deed(conn, case_no):
        book.case(conn, case_no, lock=True)
        row = outbox.latest(conn, case_no, recipient)
    digest = hashlib.sha256(proof_digest.encode() + part.canonical()).hexdigest()
    answer = Answer(
        request_id=row["request_id"], recipient=recipient, parts=(part,), via="person", digest=digest
    )
    answering.take(desk, answer, as_of=as_of, actor=actor)
    with desk.book() as conn:
        return UnitState(outbox.of_request(conn, row["request_id"])["state"])


def sent(desk: Desk, case_no: str, recipient: str, *, as_of: date, actor: str) -> None:
    """A notice was sent by hand: the recipient's clock starts."""
    with desk.book() as conn, book.deed(conn, case_no):
        case = book.case(conn, case_no, lock=True)
        outbox.sent(conn, case, outbox.latest(conn, case_no, recipient), as_of, actor)


def told(desk: Desk, case_no: str, *, as_of: date, actor: str) -> Case:
    """The reply is in the person's hands: the certificate and letter, or the reasons of a refusal. The 30 days
    end here, not when a certificate was issued: a receipt that nobody handed over answers nobody.

    A refused case closes with its letter, so that the person can ask again. Raises Refused if there is nothing
    to hand over yet. Telling twice changes nothing.
    """
    with desk.book() as conn, book.deed(conn, case_no):
        case = book.case(conn, case_no, lock=True)
        if case.told_at is None:
            _something_to_say(conn, case)
            conn.execute(
                "UPDATE casebook.case_ SET told_at = %s WHERE case_no = %s", (observed_now(), case_no)
            )
            late = case.reply_due is not None and as_of > case.reply_due
            book.note(conn, case_no, as_of, actor, "told", detail={"late": late})
            case = book.case(conn, case_no)
        if case.state is CaseState.REFUSED:
            return book.move(conn, case_no, CaseState.CLOSED, facts(conn, case, as_of), actor)
        return case


def _something_to_say(conn: Conn, case: Case) -> None:
    if case.state in (CaseState.REFUSED, CaseState.ID_FAILED):
        return
    row = conn.execute(
        "SELECT count(*) AS n FROM casebook.certificate WHERE case_no = %(no)s AND issued_at > coalesce("
        "(SELECT max(observed_at) FROM casebook.event WHERE case_no = %(no)s AND to_state = 'reopened'), '-infinity')",
        {"no": case.case_no},
    ).fetchone()
    if not (row and row["n"]):
        raise Refused(
            "there is nothing to hand over yet: neither a certificate nor a refusal", about=case.case_no,
            next_step="let the run come to its certificate first; the clock runs",
        )  # fmt: skip


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
        # Neither the letter nor the approval speaks for what came back: it is decided and told anew.
        conn.execute(
            "UPDATE casebook.case_ SET told_at = NULL, approved_plan = NULL WHERE case_no = %s", (case_no,)
        )
        return book.move(conn, case_no, CaseState.ASSESSING, facts(conn, case, as_of), actor)


def destroy_key(desk: Desk, case_no: str, *, as_of: date, actor: str) -> None:
    """Destroy a closed case's key: from then on nobody can read whom it was about (rung R9).

    Only after the last scan that a category requires: sealed values are what the scans look for. Raises Stopped while disposing
    is stopped.
    """
    with desk.book() as conn, book.deed(conn, case_no):
        stopping.may_go_on(conn)
        case = book.case(conn, case_no, lock=True)
        if case.open:
            raise Refused(
                "the case is open", about=case_no, next_step="close it first: scans need its values"
            )
        if keeping.kept(conn, case_no):
            raise Refused(
                "what its recipients were told, and answered, is kept sealed for three years (RS-22)", about=case_no,
                next_step="the clocks destroy that when its years are over; destroy the key then",
            )  # fmt: skip
        gone = desk.keys.destroy(case.key_id)
        book.note(
            conn, case_no, as_of, actor, "key destroyed", detail={"key": gone.id, "method": gone.method}
        )
