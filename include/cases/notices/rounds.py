"""A further notice to a recipient that has had one: a hold was opened or released, a retained answer has ended, what was
said to be deleted was not, or the case was reopened.

Each round is a notice and a track of its own. It says what the recipient was given before, and is about the categories
that have become open again. Where it changes what an open one asks for, it takes that one's place: nobody is reminded to
delete what is to be kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from uuid import UUID

import psycopg

from include.cases import book, machine, papers
from include.cases.book import Case, Conn
from include.cases.guards import Facts
from include.cases.notices import held, history, outbox
from include.cases.notices.composing import Given
from include.cases.notices.history import Told
from include.cases.notices.outbox import Draft
from include.cases.notices.whom import ToTell
from include.cases.rooms import Desk
from include.cases.sealing import Seal
from include.cases.situation import facts, roll_up
from include.model.declared import CategoryId
from include.model.errors import QuietusError, Refused
from include.model.flow import Finding
from include.model.notices import Identity
from include.model.policy import Recipient
from include.model.words import CaseState, UnitState

STILL_KNOWS = "recipient_still_knows"
"""The code of the finding about a recipient that said it deleted and was caught."""


def place_of(recipient: str) -> str:
    """Where such a finding is."""
    return f"recipient {recipient}"


def recipient(desk: Desk, name: str) -> Recipient:
    """Raises Refused for one that the catalogue does not know any more."""
    for one in desk.catalogue.recipients:
        if one.id == name:
            return one
    raise _unknown(name)


def _unknown(name: str) -> Refused:
    return Refused(
        "there are notices to somebody whom the catalogue does not know", about=name,
        next_step="declare it in recipients.yaml, with how it is told",
    )  # fmt: skip


@dataclass(frozen=True)
class Next:
    """A further notice that is to be written to one recipient, and why."""

    told: Told
    erase: frozenset[CategoryId]
    preserve: frozenset[CategoryId]
    because: str


CHANGES = frozenset({"hold_opened", "hold_released"})
"""Rounds that take the place of what is open: they ask for something else of the same data."""


def write(desk: Desk, conn: Conn, wanted: Sequence[Next], *, as_of: date, actor: str) -> int:
    """Write further notices, in the caller's transaction, in a few statements however many; how many were new. Closed
    cases wait again. One that cannot be written (its recipient is gone from the catalogue, its case's key is destroyed)
    is on the timeline, and is no reason not to write the others."""
    cases = {c.case_no: c for c in book.some(conn, sorted({n.told.case_no for n in wanted}))}
    for case in cases.values():
        _waits_again(conn, case, as_of, actor, _reason(n for n in wanted if n.told.case_no == case.case_no))
    payloads = outbox.payloads(conn, sorted(cases))
    seals = {case_no: desk.seal(case) for case_no, case in cases.items()}
    drafts: list[Draft] = []
    ended: list[outbox.Row] = []
    for one in wanted:
        case = cases[one.told.case_no]
        try:
            drafts.append(
                _draft(case, seals[case.case_no], one, payloads.get((one.told.case_no, one.told.name)), as_of)
            )
        except Refused as shut:
            book.note(conn, case.case_no, as_of, actor, "next notice not written",
                      detail={"recipient": one.told.name, "because": one.because, "why": shut.what})  # fmt: skip
            continue
        if one.because in CHANGES:
            ended += one.told.open
    outbox.supersede(conn, ended, _facts_of, as_of, actor)
    return outbox.insert(conn, drafts, as_of, actor)


def _draft(case: Case, seal: Seal, one: Next, before: outbox.Row | None, as_of: date) -> Draft:
    """A round from what an earlier one says. Where none can be read any more the references are gone, and it goes out
    with the categories alone. Raises Refused where it cannot be sealed."""
    recipient_ = known(one.told)
    references: tuple[str, ...] = ()
    identities: tuple[Identity, ...] = ()
    with suppress(Refused):
        if before is not None:
            said = outbox.unsealed(before, case, seal, recipient_)
            references, identities = said.references, said.identities
    only = one.erase | one.preserve
    machine.move(UnitState.ACTIVE, UnitState.TP_NOTIFIED, _facts_of(case, as_of),
                 about=f"{case.case_no} {recipient_.id}")  # fmt: skip
    given = Given(recipient_.id, one.told.last["items"], references, tuple(sorted(only)), identities)
    return outbox.draft(
        case, seal, ToTell(recipient_, given), round_=one.told.last["round"] + 1, as_of=as_of,
        preserved=one.preserve, only=only, because=one.because,
    )  # fmt: skip


def _facts_of(case: Case, as_of: date) -> Facts:
    """A further round follows from a decision that was made, and is in the transaction that brings it about."""
    return Facts(
        as_of=as_of, ground=case.ground, own_initiative=case.own_initiative, identity_matched=True, approved=True,
        notice_written=True,
    )  # fmt: skip


def known(told: Told) -> Recipient:
    """Raises Refused for one that the catalogue does not know any more."""
    if told.recipient is None:
        raise _unknown(told.name)
    return told.recipient


def not_deleted(
    desk: Desk,
    conn: Conn,
    case: Case,
    recipient: str,
    back: Collection[CategoryId],
    *,
    as_of: date,
    actor: str,
) -> None:
    """What was said to be gone is not: the next round asks for it, or to keep what is under a hold by now, and a case
    that is closed is opened again."""
    now = held.now(desk, conn, case)
    kept = frozenset(c for c in back if c in now)
    for told in history.told(conn, desk.catalogue, (case.case_no,)):
        if told.name == recipient:
            write(
                desk,
                conn,
                [Next(told, frozenset(back) - kept, kept, "not_deleted")],
                as_of=as_of,
                actor=actor,
            )


def lied(desk: Desk, conn: Conn, request_id: UUID, *, as_of: date, actor: str) -> None:
    """A recipient that said it deleted still knows the person: a finding that names it, and the next round. In the
    caller's transaction, so that it is found once."""
    found = outbox.of_request(conn, request_id)
    case = book.case(conn, found["case_no"], lock=True)
    row = outbox.of_request(conn, found["request_id"], lock=True)
    categories = row["erase"] or list(recipient(desk, row["recipient"]).categories)
    not_deleted(desk, conn, case, row["recipient"], categories, as_of=as_of, actor=actor)
    papers.keep_findings(
        conn, case.case_no,
        [Finding(code=STILL_KNOWS, dataset=None, place=place_of(row["recipient"]), items=None,
                 what="it said that it deleted, and still answers when asked for the person",
                 next_step="talk to it (the next notice is written), then `quietus recipients confronted`")],
    )  # fmt: skip


def _reason(wanted: Iterable[Next]) -> str:
    """Why a closed case waits again. Whoever may not know of holds is told none of these."""
    because = {one.because for one in wanted}
    return "late_answer" if "not_deleted" in because else min(because)


def _waits_again(conn: Conn, case: Case, as_of: date, actor: str, because: str) -> None:
    """A closed case waits again, for a recipient alone: nothing of ours has come back, so nobody decides anew."""
    case = book.case(conn, case.case_no)
    if case.state is not CaseState.CLOSED:
        return
    try:
        with conn.transaction():
            book.move(conn, case.case_no, CaseState.REOPENED, facts(conn, case, as_of, resurfaced=True), actor,
                      because=because)  # fmt: skip
            case = book.case(conn, case.case_no)
            book.move(conn, case.case_no, CaseState.WAITING, facts(conn, case, as_of), actor)
            roll_up(conn, case.case_no, as_of, actor)
    except (psycopg.errors.UniqueViolation, QuietusError):
        # The person has another case that is open, or something of this one is not settled: a person looks.
        book.note(conn, case.case_no, as_of, actor, "not reopened", detail={"because": because})
