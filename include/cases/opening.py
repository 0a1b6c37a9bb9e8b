"""The verbs before any processing: open a case, ask for proof of identity, record the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from include.cases import book, clocks, decisions, subjects
from include.cases.accounts import Standing
from include.cases.book import Case, Conn
from include.cases.decisions import Method, Outcome
from include.cases.keys import Purpose
from include.cases.rooms import Desk
from include.cases.situation import facts
from include.model.errors import Refused
from include.model.times import observed_now, prc_date
from include.model.words import CaseState, Channel, Ground, Requester


@dataclass(frozen=True)
class Opened:
    """What opening gave: a number, and whether it was open already."""

    case_no: str
    joined: bool
    state: CaseState


def open_case(
    desk: Desk, account_id: str, *, ground: Ground, channel: Channel, requester: Requester,
    trigger_user: str, received_at: datetime, as_of: date | None = None,
) -> Opened:  # fmt: skip
    """Open a case about one person, or join the one that is open.

    Refused, with nothing stored and nothing echoed: anything that is not an opaque account id, an account
    that does not exist, one that is cancelled already. ``as_of`` is by default the PRC day of receipt.
    """
    id_ = subjects.screened(account_id)
    book.checked_actor(trigger_user)
    on = as_of or prc_date(received_at)
    with desk.book() as conn:
        with book.deed(conn, "new case"):
            if (existing := subjects.open_case_of(conn, desk.keys, id_)) is not None:
                return _join(conn, existing, channel, on, trigger_user)
        standing = desk.accounts.standing(id_)
        with book.deed(conn, "new case"):
            # Looked up again under the lock: the store was asked outside any transaction of the book.
            if (existing := subjects.open_case_of(conn, desk.keys, id_)) is not None:
                return _join(conn, existing, channel, on, trigger_user)
            if standing is Standing.CANCELLED or subjects.buried(conn, desk.keys, id_):
                raise Refused(
                    "this account is cancelled already", about="account id",
                    next_step="look for its closed case; if data resurfaced, reopen that one",
                )  # fmt: skip
            if standing is Standing.UNKNOWN:
                raise Refused(
                    "there is no such account", about="account id", next_step="check the id with support"
                )
            case = _new(
                desk, conn, (id_,), kind="request", ground=ground, channel=channel, requester=requester,
                trigger_user=trigger_user, received_at=received_at, on=on,
            )  # fmt: skip
            return Opened(case.case_no, False, case.state)


def open_own_initiative(
    desk: Desk, account_ids: Sequence[str], *, ground: Ground, trigger_user: str, as_of: date
) -> Opened:
    """Open one case for a night's cohort on a ground of our own: rule x night, with its members."""
    if not ground.own_initiative:
        raise Refused(
            f"{ground.value} is asked for by a person", about="new case", next_step="open a request"
        )
    members = tuple(sorted({subjects.screened(i) for i in account_ids}))
    if not members:
        raise Refused(
            "a case needs at least one person", about="new case", next_step="nothing is due: open none"
        )
    with desk.book() as conn, book.deed(conn, "new case"):
        case = _new(
            desk, conn, members, kind="nightly", ground=ground, channel=Channel.SCHEDULE,
            requester=Requester.US, trigger_user=trigger_user, received_at=observed_now(), on=as_of,
        )  # fmt: skip
        return Opened(case.case_no, False, case.state)


def _new(
    desk: Desk, conn: Conn, ids: Sequence[str], *, kind: str, ground: Ground, channel: Channel,
    requester: Requester, trigger_user: str, received_at: datetime, on: date,
) -> Case:  # fmt: skip
    number = book.next_case_no(conn)
    key = desk.keys.make(number.lower(), number, Purpose.SEALING)
    case = book.insert(
        conn, case_no=number, kind=kind, ground=ground, channel=channel, requester=requester,
        opened_by=trigger_user, received_at=received_at, as_of=on, key_id=key.id,
    )  # fmt: skip
    subjects.add(conn, desk.keys, case, ids)
    return case


def _join(conn: Conn, case_no: str, channel: Channel, on: date, actor: str) -> Opened:
    case = book.case(conn, case_no)
    book.note(conn, case_no, on, actor, "joined", detail={"channel": channel.value})
    return Opened(case_no, True, case.state)


def ask_identity(
    desk: Desk, case_no: str, *, method: str, fields: Sequence[str], as_of: date, actor: str
) -> Case:
    """Ask for proof: RECEIVED to ID_PENDING. ``fields`` are category ids, of registration only."""
    with desk.book() as conn, book.deed(conn, case_no):
        case = book.case(conn, case_no, lock=True)
        how = decisions.method_named(method, case_no)
        if case.state is CaseState.ID_PENDING and decisions.open_check(conn, case) is not None:
            return case
        within = decisions.within_registration(desk.catalogue, tuple(fields))
        moved = book.move(
            conn, case_no, CaseState.ID_PENDING,
            facts(conn, case, as_of, proof_within_registration=within), actor, method=how.value,
        )  # fmt: skip
        decisions.ask(conn, case, how, tuple(fields), as_of=as_of, actor=actor)
        return moved


_METHOD_OF = {
    Channel.APP: Method.SIGNED_IN_SESSION,
    Channel.WEBSITE: Method.SIGNED_IN_SESSION,
    Channel.EMAIL: Method.LINK_TO_REGISTERED_EMAIL,
    Channel.PHONE: Method.CODE_TO_REGISTERED_MOBILE,
    Channel.LETTER: Method.WRITTEN_REQUEST_COMPARED,
}
"""How proof is asked for by default, by the way a request came in; what was done is recorded with the answer."""

ASKED_FIELDS = ("PI-001", "PI-004")  # name and document number, as registration has them


def ask_identity_if_due(desk: Desk, case_no: str, *, as_of: date, actor: str) -> Case:
    """Ask for proof in the channel's usual way, unless it was asked for already or no proof is needed."""
    with desk.book() as conn:
        case = book.case(conn, case_no)
    if case.state is not CaseState.RECEIVED:
        return case
    method = _METHOD_OF.get(case.channel, Method.WRITTEN_REQUEST_COMPARED)
    return ask_identity(desk, case_no, method=method.value, fields=ASKED_FIELDS, as_of=as_of, actor=actor)


def record_identity(
    desk: Desk, case_no: str, *, outcome: str, method: str, fields: Sequence[str], as_of: date, actor: str
) -> Case:
    """Record the answer. A match starts the clocks; what was compared is recorded by name only.

    Refused: an unexplained tick (no known method, no field), and fields that registration did not collect.
    A match after a failure is new proof, and is taken (section E).
    """
    how = decisions.method_named(method, case_no)
    try:
        result = Outcome(outcome)
    except ValueError:
        raise Refused(
            "the check has no known outcome", about=case_no,
            next_step="give one of " + ", ".join(o.value for o in Outcome),
        ) from None  # fmt: skip
    if not fields:
        raise Refused(
            "an unexplained tick is not a check",
            about=case_no,
            next_step="name the fields that were compared",
        )
    with desk.book() as conn, book.deed(conn, case_no):
        case = book.case(conn, case_no, lock=True)
        if case.verified_at is not None:
            return case
        if not decisions.within_registration(desk.catalogue, tuple(fields)):
            raise Refused(
                "the proof compared goes beyond what registration collected", about=case_no,
                next_step="compare only fields collected at registration",
            )  # fmt: skip
        if decisions.open_check(conn, case) is None:
            decisions.ask(conn, case, how, tuple(fields), as_of=as_of, actor=actor)
        decisions.answer(conn, case, result, how, tuple(fields), actor=actor)
        if result is not Outcome.MATCHED:
            return book.move(
                conn, case_no, CaseState.ID_FAILED, facts(conn, case, as_of, identity_failed=True), actor,
                outcome=result.value,
            )  # fmt: skip
        return _verified(conn, case, as_of, actor)


def _verified(conn: Conn, case: Case, as_of: date, actor: str) -> Case:
    moment = observed_now()
    # The clock is a business date: a replayed or simulated night judges by as_of, never by the wall.
    reply = clocks.reply_due(as_of)
    finish = clocks.finish_due(as_of) if clocks.has_finish_clock(case.ground) else None
    conn.execute(
        "UPDATE casebook.case_ SET verified_at = %s, reply_due = %s, reply_provisional = %s, finish_due = %s,"
        " finish_provisional = %s WHERE case_no = %s",
        (moment, reply.day, reply.provisional, finish and finish.day, bool(finish and finish.provisional),
         case.case_no),
    )  # fmt: skip
    detail = {"reply_due": reply.day.isoformat()}
    if finish:
        detail["finish_due"] = finish.day.isoformat()
    if why := reply.why or (finish.why if finish else ""):
        detail["provisional"] = why
    return book.move(conn, case.case_no, CaseState.ASSESSING, facts(conn, case, as_of), actor, **detail)


def expire_identity(desk: Desk, as_of: date, actor: str) -> tuple[str, ...]:
    """Fail every request for proof that nobody answered within 15 days; the cases' numbers."""
    failed = []
    with desk.book() as conn:
        for case in book.cases(conn, [CaseState.ID_PENDING], limit=100_000):
            with book.deed(conn, case.case_no):
                check = decisions.open_check(conn, case)
                asked = check["asked_on"] if check else None
                if check is None or not isinstance(asked, date) or not clocks.identity_overdue(asked, as_of):
                    continue
                method, fields = check["method"], check["fields"]
                decisions.answer(
                    conn, case, Outcome.NO_ANSWER, decisions.method_named(str(method), case.case_no),
                    tuple(fields) if isinstance(fields, list) else (), actor=actor,
                )  # fmt: skip
                book.move(
                    conn, case.case_no, CaseState.ID_FAILED,
                    facts(conn, case, as_of, identity_failed=True), actor, outcome=Outcome.NO_ANSWER.value,
                )  # fmt: skip
                failed.append(case.case_no)
    return tuple(failed)
