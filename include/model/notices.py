"""What passes between us and a recipient: a notice, how it was delivered, what was answered (law.md section C).

A :class:`Notice` and the evidence of an :class:`Answer` hold personal data (the recipient's own numbers): they
live in memory and sealed in the case book, never in a log, a finding, evidence or Airflow.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import Field

from include.model.declared import CategoryId
from include.model.flow import CaseNo, Flow
from include.model.words import Ground


class Instruction(StrEnum):
    """What we ask of a recipient. Only who works on our behalf is instructed; others are informed."""

    ERASE = "erase"
    PRESERVE = "preserve"  # everything it has of ours is under a hold: do not delete until told otherwise
    INFORM = "inform"  # an independent handler decides by its own duties
    STOP_ANCHORING = "stop_anchoring"  # nothing on a chain can be erased; what lies beside it can


class AnswerCode(StrEnum):
    """The nine answers of law.md section C, and what we say ourselves of who gives none."""

    DELETED = "DELETED"
    NOTHING_HELD = "NOTHING_HELD"
    RETAINED_BY_LAW = "RETAINED_BY_LAW"
    RETAINED_INDEPENDENT = "RETAINED_INDEPENDENT"
    HELD_DISPUTE = "HELD_DISPUTE"
    CANNOT_ERASE_IMMUTABLE = "CANNOT_ERASE_IMMUTABLE"
    PARTIAL = "PARTIAL"
    INCOMPLETE = "INCOMPLETE"
    REJECTED_IDENTITY = "REJECTED_IDENTITY"
    NO_REPLY = "NO_REPLY"  # never an answer: the end of a recipient that gave none
    UNLINKED = "UNLINKED"  # never an answer: what our side makes of CANNOT_ERASE_IMMUTABLE

    @property
    def from_outside(self) -> bool:
        """Whether a recipient can say it."""
        return self not in (AnswerCode.NO_REPLY, AnswerCode.UNLINKED)


class Identity(Flow):
    """One thing by which the recipient knows the person, and has from us. ``category`` says what kind."""

    category: CategoryId
    value: str = Field(repr=False)


class Notice(Flow):
    """One notice to one recipient about one case. ``request_id`` is its name to the recipient, however often it is
    sent, and ``round`` counts the notices of one case to one recipient (a second one follows a released hold, a
    retained answer that ended, or a lie).

    ``erase`` and ``preserve``: categories of what the recipient was given. ``references``: its own numbers.
    """

    request_id: UUID
    case_no: CaseNo
    recipient: str
    round: int = 1
    instruction: Instruction
    ground: Ground
    law: str
    submitted_at: datetime
    answer_by: date
    answers: tuple[AnswerCode, ...]  # that we expect
    erase: tuple[CategoryId, ...]
    preserve: tuple[CategoryId, ...] = ()
    references: tuple[str, ...] = Field(default=(), repr=False)
    identities: tuple[Identity, ...] = Field(default=(), repr=False)
    text: str = ""  # what the catalogue says to this recipient beyond that
    everybody: bool = False  # a service stopped: it is about all that it has from us, and names nobody
    reminder: bool = False  # said before, and not answered yet


class Delivery(Flow):
    """How one attempt to deliver one notice ended.

    ``delivered``: the recipient has it, and ``receipt`` is the SHA-256 of what it signed or accepted.
    ``later``: it certainly was not acted on, or may be sent again as the same notice; after ``again_in`` seconds.
    ``in_doubt``: it may have arrived, and sending again would be a second one: a person finds out.
    ``refused``: the recipient will not take it as it is. ``errand``: a person carries it.
    ``why`` is for the operator and quotes nothing that the other side sent.
    """

    outcome: Literal["delivered", "later", "in_doubt", "refused", "errand"]
    why: str = ""
    again_in: int | None = None
    receipt: str | None = None
    expected_on: date | None = None


class Part(Flow):
    """One answer for some of a notice's categories, with its evidence. No categories: all of them."""

    code: AnswerCode
    categories: tuple[CategoryId, ...] = ()
    count: int | None = None  # DELETED: how many records,
    at: datetime | None = None  # when,
    method: str | None = None  # how,
    transactions: tuple[str, ...] = Field(default=(), repr=False)  # and under which of its numbers
    article: str | None = None  # RETAINED_BY_LAW: the provision,
    until: date | None = None  # and the last day
    authorisation: str | None = None  # RETAINED_INDEPENDENT: its own mandate or duty
    dispute: str | None = None  # HELD_DISPUTE: the number of the proceedings
    remains: str | None = None  # PARTIAL: what is still there, and why
    sub_recipients: tuple[str, ...] = ()  # whom it passed the notice on to
    complete: bool = True  # INCOMPLETE: whether those are all


class Answer(Flow):
    """What a recipient answered to one notice. ``digest``: SHA-256 of the message or proof as it was received."""

    request_id: UUID
    recipient: str
    parts: tuple[Part, ...]
    via: Literal["callback", "poll", "person"]
    digest: str


class Pending(Flow):
    """The recipient has the notice and is not done."""

    request_id: UUID
    recipient: str
    status: Literal["pending", "in_progress"]
    expected_on: date | None = None
    digest: str = (
        ""  # SHA-256 of the message, if it came unasked: then it may be an old one that somebody sends again
    )


class Judgement(Flow):
    """Whether an answer is accepted, part by part. ``why`` is what the operator reads, ``told`` the same as the sender is
    told it, in Chinese; neither quotes anything."""

    part: Part
    accepted: bool
    why: str = ""
    told: str = ""
    for_a_person: bool = False  # the machine cannot tell: somebody with the law at hand decides
