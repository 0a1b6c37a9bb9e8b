"""We as a recipient: a partner that gave us data tells us to delete it (law.md section E, row 1).

A request opens a case like any other, or joins the one that is open: who it is about is checked and the plan approved by
people. A number that we know nobody by is answered like one whose data went long ago, so that nothing can be probed;
and whatever is not the partner's own number is not looked up at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from include.cases import book, clocks, decisions, opening, papers, planner, sealing, subjects, supplied
from include.cases.book import Case, Conn
from include.cases.decisions import Outcome
from include.cases.keys import Purpose
from include.cases.rooms import Desk
from include.model.declared import CategoryId
from include.model.errors import Refused
from include.model.estate import Dataset
from include.model.flow import Plan
from include.model.notices import AnswerCode, Part
from include.model.policy import Upstream
from include.model.times import observed_now, prc_date
from include.model.words import CaseState, Ground

PENDING = frozenset({CaseState.RECEIVED, CaseState.ID_PENDING})
"""Until it is known who is meant, a request can be taken back."""


@dataclass(frozen=True)
class Request:
    """A partner's request as the case book has it."""

    partner: str
    request_id: UUID
    case_no: str | None
    received_at: datetime
    expected_on: date


@dataclass(frozen=True)
class Status:
    """Where it stands, in OpenDSR's words, with our answers once there are any."""

    request: Request
    status: str  # pending | in_progress | completed | cancelled
    answers: tuple[Part, ...] = ()


def receive(
    desk: Desk, partner: Upstream, request_id: UUID, reference: str, *, calls_back: bool, as_of: date
) -> Request:
    """Take a request; the same again is the same one. Refused: its number was used for somebody else."""
    with desk.book() as conn:
        if (row := _row(conn, partner.id, request_id)) is not None:
            return _same(desk, row, partner, reference)
    meant = supplied.accounts(desk.catalogue, desk.connections, partner, reference)
    if len(meant) > 1:
        raise Refused(
            "the reference is not one person's", about=partner.id,
            next_step="ask the partner for one that is",
        )  # fmt: skip
    opened = _open(desk, partner, meant[0]) if meant else None
    key = sealing.current(desk.keys, Purpose.SUBJECT_TOKEN)
    with desk.book() as conn, book.deed(conn, "upstream request"):
        conn.execute(
            "INSERT INTO casebook.upstream_request (partner, request_id, token, token_key, case_no, opened, calls_back,"
            " received_at, expected_on) VALUES (%s, %s, %s, %s, %s, %s, %s, clock_timestamp(), %s)"
            " ON CONFLICT DO NOTHING",
            (partner.id, request_id, sealing.digest(desk.keys, key, _kind(partner), reference), key.version,
             opened and opened.case_no, opened is not None and not opened.joined, calls_back,
             clocks.reply_due(as_of).day),
        )  # fmt: skip
        row = _row(conn, partner.id, request_id)
    if row is None:
        raise Refused("the request was not kept", about=partner.id, next_step="send it again")
    return _same(desk, row, partner, reference)


def status(desk: Desk, partner: Upstream, request_id: UUID) -> Status:
    """Raises Refused if this partner made no such request."""
    with desk.book() as conn:
        row = _row(conn, partner.id, request_id)
        if row is None:
            raise Refused("there is no such request", about=partner.id, next_step="check its number")
        return _standing(desk, conn, row)


def cancel(desk: Desk, partner: Upstream, request_id: UUID, *, as_of: date) -> Status:
    """Take a request back while it is pending. The case that it opened ends with it, unless somebody else has joined
    that. Raises Refused if it is too late, or if this partner made no such request."""
    actor = _actor(partner)
    now = status(desk, partner, request_id)
    if now.status == "cancelled":
        return now
    if now.status != "pending" or now.request.case_no is None:
        raise Refused("it is no longer pending", about=partner.id, next_step="ask for its status")
    case_no = now.request.case_no
    with desk.book() as conn, book.deed(conn, case_no):
        conn.execute(
            "UPDATE casebook.upstream_request SET cancelled_at = clock_timestamp()"
            " WHERE partner = %s AND request_id = %s AND cancelled_at IS NULL",
            (partner.id, request_id),
        )
        book.note(conn, case_no, as_of, actor, "taken back")
        alone = conn.execute(
            "SELECT FROM casebook.case_ c WHERE c.case_no = %(no)s AND c.requester = 'upstream'"
            " AND NOT EXISTS (SELECT FROM casebook.event e WHERE e.case_no = c.case_no AND e.what = 'joined')",
            {"no": case_no},
        ).fetchone()
    if alone is not None:
        _end(desk, case_no, as_of=as_of, actor=actor)
    return status(desk, partner, request_id)


def without_a_run(conn: Conn) -> tuple[str, ...]:
    """The cases that partners opened and nobody has begun to check: each needs a run of the promise."""
    rows = conn.execute(
        "SELECT DISTINCT c.case_no FROM casebook.upstream_request r JOIN casebook.case_ c USING (case_no)"
        " WHERE r.opened AND r.cancelled_at IS NULL AND c.state = 'received' ORDER BY 1"
    ).fetchall()
    return tuple(str(r["case_no"]) for r in rows)


def to_tell(desk: Desk, partner: Upstream) -> tuple[Status, ...]:
    """The requests whose status is another than the partner was told, of those that want to be called back."""
    with desk.book() as conn:
        rows = conn.execute(
            "SELECT r.* FROM casebook.upstream_request r LEFT JOIN casebook.case_ c USING (case_no)"
            " WHERE r.partner = %s AND r.calls_back AND coalesce(r.told_status, '') NOT IN ('completed', 'cancelled')"
            " ORDER BY r.received_at",
            (partner.id,),
        ).fetchall()
        found = [(row, _standing(desk, conn, row)) for row in rows]
    return tuple(now for row, now in found if now.status != row["told_status"])


def told(desk: Desk, now: Status) -> None:
    """The partner was told of this status."""
    with desk.book() as conn, book.deed(conn, "upstream request"):
        conn.execute(
            "UPDATE casebook.upstream_request SET told_status = %s, told_at = clock_timestamp()"
            " WHERE partner = %s AND request_id = %s",
            (now.status, now.request.partner, now.request.request_id),
        )


# --- how it stands --------------------------------------------------------------------------------------


def _standing(desk: Desk, conn: Conn, row: dict[str, Any]) -> Status:
    request = _request(row)
    if row["cancelled_at"] is not None:
        return Status(request, "cancelled")
    if request.case_no is None:
        return Status(request, "completed", (Part(code=AnswerCode.NOTHING_HELD),))
    case = book.case(conn, request.case_no)
    if case.state in PENDING:
        return Status(request, "pending")
    answers = _answers(desk, conn, case)
    return Status(request, "completed" if answers else "in_progress", answers)


def _answers(desk: Desk, conn: Conn, case: Case) -> tuple[Part, ...]:
    """What came of the case, for its partner; nothing while it is at work."""
    if case.state is CaseState.ID_FAILED:
        return (Part(code=AnswerCode.REJECTED_IDENTITY),)
    if case.state is CaseState.REFUSED:
        article = str(decisions.decisions(conn, case)[-1]["article"])
        return (Part(code=AnswerCode.RETAINED_INDEPENDENT, authorisation=article),)
    if case.state is CaseState.CLOSED and case.closed_at is not None:
        plans = [step.plan for step in papers.carried_out(conn, case)]
        return _of_plans(desk, plans or [papers.latest_plan(conn, case)], case.closed_at)
    return ()


def _of_plans(desk: Desk, plans: Sequence[Plan], closed_at: datetime) -> tuple[Part, ...]:
    """Of what the partner itself supplied: deleted, or kept on which law; and of the same kinds of data that we hold by
    our own contract with the person, that they stay. What else we have of the person is not its business, and who else
    supplied something neither. ``plans``: of the steps that were carried out, whatever woke the case; the last says what
    stays."""
    theirs = supplied.dataset_of(desk.catalogue)
    lines = [[x for x in p.lines if x.dataset == theirs.id and x.items and not x.not_reached] for p in plans]
    gone = sum(x.items for of in lines for x in of if x.disposition.changes_data)
    parts = []
    if gone:
        parts.append(
            Part(code=AnswerCode.DELETED, categories=theirs.all_categories, count=gone, at=closed_at,
                 method="erased, and proved gone by an independent reading")
        )  # fmt: skip
    parts += [
        Part(code=AnswerCode.RETAINED_BY_LAW, categories=theirs.all_categories, article=x.law, until=x.until)
        for x in lines[-1]
        if not x.disposition.changes_data
    ]
    ours = _ours(desk, plans[-1], theirs)
    if ours:
        parts.append(
            Part(code=AnswerCode.RETAINED_INDEPENDENT, categories=ours, authorisation=planner.OWN_CONTRACT)
        )
    return tuple(parts) or (Part(code=AnswerCode.NOTHING_HELD),)


def _ours(desk: Desk, plan: Plan, theirs: Dataset) -> tuple[CategoryId, ...]:
    """The kinds of what the partner supplied that stay in other places, where its request does not reach."""
    elsewhere = {
        c
        for x in plan.lines
        if x.not_reached and x.items and x.dataset != theirs.id
        for c in desk.catalogue.dataset(x.dataset).all_categories
    }
    return tuple(c for c in theirs.all_categories if c in elsewhere)


# --- the case book ----------------------------------------------------------------------------------------


def _open(desk: Desk, partner: Upstream, account_id: str) -> opening.Opened | None:
    """The case, new or joined. None: the account is cancelled, and nothing of it is in use any more."""
    if desk.accounts.standing(account_id).value == "cancelled":
        with desk.book() as conn:
            open_one = subjects.open_case_of(conn, desk.keys, account_id)
        if open_one is None:
            return None
    return opening.open_part(
        desk, account_id, ground=Ground.ENTRUSTMENT_ENDED, trigger_user=_actor(partner), received_at=observed_now(),
        as_of=prc_date(observed_now()),
    )  # fmt: skip


def _end(desk: Desk, case_no: str, *, as_of: date, actor: str) -> None:
    """Nobody will prove who they are any more: the case ends as one whose proof did not come."""
    case = opening.ask_identity_if_due(desk, case_no, as_of=as_of, actor=actor)
    if case.state is CaseState.ID_PENDING:
        opening.record_identity(
            desk, case_no, outcome=Outcome.NO_ANSWER.value,
            method=decisions.Method.WRITTEN_REQUEST_COMPARED.value, fields=opening.ASKED_FIELDS,
            as_of=as_of, actor=actor,
        )  # fmt: skip


def _same(desk: Desk, row: dict[str, Any], partner: Upstream, reference: str) -> Request:
    again = sealing.digests(desk.keys, Purpose.SUBJECT_TOKEN, _kind(partner), reference)
    if again.get(row["token_key"]) != bytes(row["token"]):
        raise Refused(
            "this request id was used before, for another reference", about=partner.id,
            next_step="give each request an id of its own",
        )  # fmt: skip
    return _request(row)


def _row(conn: Conn, partner: str, request_id: UUID) -> dict[str, Any] | None:
    return conn.execute(
        "SELECT * FROM casebook.upstream_request WHERE partner = %s AND request_id = %s",
        (partner, request_id),
    ).fetchone()


def _request(row: dict[str, Any]) -> Request:
    return Request(row["partner"], row["request_id"], row["case_no"], row["received_at"], row["expected_on"])


def _kind(partner: Upstream) -> str:
    return f"upstream {partner.id}"


def _actor(partner: Upstream) -> str:
    return f"upstream/{partner.id}"
