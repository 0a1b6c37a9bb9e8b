"""The verbs before any processing: open a case, ask for proof of identity, record the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from include.cases import book, clocks, decisions, machine, subjects
from include.cases.accounts import Standing
from include.cases.book import Case, Conn
from include.cases.decisions import Method, Outcome
from include.cases.guards import Facts
from include.cases.keys import Purpose
from include.cases.notices import synthetic
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
    that does not exist, one that is cancelled already, and whatever :func:`checked_request` refuses.
    ``as_of`` is by default the PRC day of receipt.
    """
    id_ = subjects.screened(account_id)
    checked_request(ground, channel, requester)
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
                desk, conn, (id_,), kind=book.REQUEST, ground=ground, channel=channel, requester=requester,
                trigger_user=trigger_user, received_at=received_at, on=on,
            )  # fmt: skip
            return Opened(case.case_no, False, case.state)


def open_part(
    desk: Desk, account_id: str, *, ground: Ground, trigger_user: str, received_at: datetime, as_of: date
) -> Opened:
    """Open a partner's case about what it entrusted to us, or join its own that is open. A case about the whole person
    that is open takes it along."""
    id_ = subjects.screened(account_id)
    actor = book.checked_actor(trigger_user)
    with desk.book() as conn, book.deed(conn, "new case"):
        existing = subjects.open_case_of(conn, desk.keys, id_) or subjects.open_part_of(
            conn, desk.keys, id_, actor
        )
        if existing is not None:
            return _join(conn, existing, Channel.WEBSITE, as_of, actor)
        case = _new(
            desk, conn, (id_,), kind=book.REQUEST, ground=ground, channel=Channel.WEBSITE,
            requester=Requester.UPSTREAM, trigger_user=actor, received_at=received_at, on=as_of,
        )  # fmt: skip
        return Opened(case.case_no, False, case.state)


def checked_request(ground: Ground, channel: Channel, requester: Requester) -> None:
    """Raises Refused unless a person can ask for this, in this way.

    What we do unasked skips identity and approval, so nobody may ask for it: it comes only through
    :func:`open_own_initiative`. A ground whose part of a person cannot be named yet is not taken for the whole.
    """
    if not (channel.requestable and requester.requestable):
        theirs = [c.value for c in Channel if c.requestable], [r.value for r in Requester if r.requestable]
        raise Refused(
            "a request comes from a person, by a person's channel", about="new case",
            next_step=f"give one of {', '.join(theirs[0])} as channel and one of {', '.join(theirs[1])} as requester",
        )  # fmt: skip
    if ground.requestable:
        return
    if ground.own_initiative:
        raise Refused(
            f"{ground.value} is acted on by ourselves, at night, and cannot be asked for", about="new case",
            next_step="if the person wants everything gone, open a cancellation",
        )  # fmt: skip
    raise Refused(
        f"{ground.value} reaches only a part of a person's data, and this version cannot tell which part yet",
        about="new case",
        next_step="if the person wants everything gone, open a cancellation; otherwise handle the part by hand, "
        "with privacy counsel: the 30 days to reply run all the same",
    )


def open_own_initiative(
    desk: Desk, account_ids: Sequence[str], *, ground: Ground, trigger_user: str, as_of: date
) -> Opened:
    """Open one case for a night's cohort on a ground of our own: rule x night, with its members."""
    if not ground.own_initiative:
        raise Refused(
            f"{ground.value} is asked for by a person", about="new case", next_step="open a request"
        )
    if not ground.whole_person:
        raise Refused(
            f"{ground.value} reaches only a part of a person's data, and this version cannot tell which part yet",
            about="new case", next_step="wait for the nightly run of that rule; nothing was opened",
        )  # fmt: skip
    members = tuple(sorted({subjects.screened(i) for i in account_ids}))
    if not members:
        raise Refused(
            "a case needs at least one person", about="new case", next_step="nothing is due: open none"
        )
    with desk.book() as conn, book.deed(conn, "new case"):
        case = _new(
            desk, conn, members, kind=book.NIGHTLY, ground=ground, channel=Channel.SCHEDULE,
            requester=Requester.US, trigger_user=trigger_user, received_at=observed_now(), on=as_of,
        )  # fmt: skip
        return Opened(case.case_no, False, case.state)


def open_night(desk: Desk, conn: Conn, as_of: date, actor: str, ground: Ground = Ground.LIMIT_REACHED) -> str:
    """A case for what a night found to be due, or what a successor has signed for, whosever it is: about items, and nobody in
    particular. Its number."""
    case = _new(
        desk, conn, (), kind=book.NIGHTLY, ground=ground, channel=Channel.SCHEDULE,
        requester=Requester.US, trigger_user=actor, received_at=observed_now(), on=as_of,
    )  # fmt: skip
    return book.move(conn, case.case_no, CaseState.ASSESSING, facts(conn, case, as_of), actor).case_no


def open_unasked(desk: Desk, conn: Conn, account_id: str, *, ground: Ground, as_of: date, actor: str) -> str:
    """A case of our own initiative about one person: the whole, or the part that its ground names. Its number."""
    case = _new(
        desk, conn, (subjects.screened(account_id),), kind=book.NIGHTLY, ground=ground, channel=Channel.SCHEDULE,
        requester=Requester.US, trigger_user=actor, received_at=observed_now(), on=as_of,
    )  # fmt: skip
    return book.move(conn, case.case_no, CaseState.ASSESSING, facts(conn, case, as_of), actor).case_no


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
    if kind == book.REQUEST:  # a night's case is about real people too, and of those nobody asks before
        synthetic.link(conn, desk.keys, case, ids[0])
    return case


def _join(conn: Conn, case_no: str, channel: Channel, on: date, actor: str) -> Opened:
    case = book.case(conn, case_no)
    if case.state is CaseState.REFUSED:
        raise Refused(
            "the request before this one was refused, and the person has not been told why", about=case_no,
            next_step=f"hand over the reasons (`quietus case told {case_no}`), then open the new request",
        )  # fmt: skip
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
    desk: Desk, case_no: str, *, outcome: str, method: str, fields: Sequence[str], as_of: date, actor: str,
    answered_at: datetime | None = None,
) -> Case:  # fmt: skip
    """Record the answer. A match starts the clocks; what was compared is recorded by name only.

    ``answered_at``: when the person who checked said so, if it is recorded later: the clocks start on that day.

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
        return _verified(conn, case, as_of, actor, answered_at)


def _verified(conn: Conn, case: Case, as_of: date, actor: str, answered_at: datetime | None) -> Case:
    moment = min(answered_at or observed_now(), observed_now())
    # The clock is a business date: a replayed or simulated night judges by as_of, never by the wall. But a task
    # that was late to record an answer gives nobody a longer time to reply.
    day = min(as_of, prc_date(moment)) if answered_at else as_of
    reply = clocks.reply_due(day)
    finish = clocks.finish_due(day) if clocks.has_finish_clock(case.ground) else None
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
    known = Facts(as_of=as_of, own_initiative=False, identity_failed=True)
    row = machine.move(CaseState.ID_PENDING, CaseState.ID_FAILED, known).row
    with desk.book() as conn, book.deed(conn, "identity checks"):
        # A case that somebody is answering at this moment is locked, and looked at again next time.
        found = conn.execute(
            "WITH due AS (SELECT c.case_no FROM casebook.case_ c JOIN casebook.identity_check i USING (case_no)"
            "  WHERE c.state = %(from)s AND i.outcome IS NULL AND i.asked_on <= %(last)s"
            "  FOR UPDATE OF c SKIP LOCKED),"
            " checked AS (UPDATE casebook.identity_check i SET outcome = %(none)s, answered_by = %(actor)s,"
            "  answered_at = clock_timestamp() FROM due WHERE i.case_no = due.case_no AND i.outcome IS NULL),"
            " failed AS (UPDATE casebook.case_ c SET state = %(to)s FROM due WHERE c.case_no = due.case_no"
            "  RETURNING c.case_no)"
            " INSERT INTO casebook.event (case_no, as_of, actor, what, from_state, to_state, law_row, detail)"
            " SELECT case_no, %(on)s, %(actor)s, 'moved', %(from)s, %(to)s, %(row)s,"
            "  jsonb_build_object('outcome', %(none)s::text) FROM failed RETURNING case_no",
            {"from": CaseState.ID_PENDING.value, "to": CaseState.ID_FAILED.value, "on": as_of, "row": row,
             "last": clocks.asked_too_long_ago(as_of), "none": Outcome.NO_ANSWER.value,
             "actor": book.checked_actor(actor)},
        ).fetchall()  # fmt: skip
    return tuple(sorted(str(r["case_no"]) for r in found))
