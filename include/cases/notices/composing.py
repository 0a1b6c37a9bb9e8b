"""What one recipient is told: only what it already has, and for each kind of data whether it goes or stays.

Our own statutory periods excuse nobody: what we must keep, a recipient may have to delete. A hold is another thing: what
an order keeps with us is evidence with the recipient too, and is to be preserved there. No hold gives its reason to
anybody, confidential or not: the notice says what to do, not why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from include.cases.book import Case
from include.cases.planner import ARTICLES
from include.cases.scopes import HoldOrder
from include.model.catalogue import Catalogue
from include.model.declared import CategoryId
from include.model.flow import Plan
from include.model.notices import AnswerCode, Identity, Instruction, Notice
from include.model.policy import Recipient, RecipientRole
from include.model.words import Ground

_CHANGED = {
    "hold_opened": (
        "本通知取代我方就同一案件此前发出而尚未办结的通知。列明应当保存的信息，请自收到本通知之时起停止删除，原样保存，"
        "直至我方另行通知；已经删除的，请说明。"
    ),
    "hold_released": (
        "本通知取代我方就同一案件此前发出而尚未办结的通知。此前请贵方继续保存的信息，现不再需要保存，请按本通知处理；"
        "答复期限自本通知起重新计算。"
    ),
    "retention_ended": "贵方此前答复的保存期限已经届满，请按本通知处理。",
    "still_retained": (
        "贵方此前答复继续保存而未列明期限。请说明是否仍须保存及其依据；不再需要保存的，请按本通知处理。"
    ),
}
"""What a further notice says of the one before, whatever the reason of a hold, and whether it is confidential or not."""

LAW = "policy 11.2; PIPL 21, 47, 59"
_CATEGORY = re.compile(r"PI-\d{3}")


@dataclass(frozen=True)
class Given:
    """What one recipient was given of the case's subjects. Personal: never shown or logged.

    ``references`` are its own numbers; ``fields`` what we sent, as the register has it; ``identities`` what else it
    knows the person by, and nobody else.
    """

    recipient: str
    items: int
    references: tuple[str, ...] = field(default=(), repr=False)
    fields: tuple[str, ...] = field(default=(), repr=False)
    identities: tuple[Identity, ...] = field(default=(), repr=False)

    def categories(self, recipient: Recipient) -> tuple[CategoryId, ...]:
        """What it was given, by the register; without a word of that, all that its row of the table lists."""
        said = {c for text in self.fields for c in _CATEGORY.findall(text)}
        return tuple(sorted(said)) or recipient.categories

    def unread(self, recipient: Recipient) -> int:
        """How many of the fields are neither a category nor in the words of the recipient's row of the table."""
        return sum(
            not _CATEGORY.search(text) and text.strip() not in recipient.fields for text in self.fields
        )


def held(catalogue: Catalogue, plan: Plan, orders: Sequence[HoldOrder]) -> frozenset[CategoryId]:
    """The categories of which something is under a hold, or kept for one. A hold never widens: one that names
    categories holds just those, and one that names datasets, or only people, all that the held rows have."""
    scopes = {o.number: o.scope for o in orders}
    found: set[CategoryId] = set()
    for line in plan.lines:
        hold = line.hold or (line.kept_for if line.only_for_a_hold else None)
        if hold not in scopes or not line.items:
            continue
        there = set(catalogue.dataset(line.dataset).all_categories)
        scope = scopes[hold]
        named = scope.categories if scope.categories and line.dataset not in scope.datasets else there
        found |= there & named
    return frozenset(found)


def compose(
    case: Case, recipient: Recipient, given: Given, preserved: Collection[CategoryId], *,
    request_id: UUID, round_: int, submitted_at: datetime, answer_by: date,
    only: Collection[CategoryId] | None = None, because: str = "decision",
) -> Notice:  # fmt: skip
    """The notice. ``preserved``: categories under a hold. ``only``: a further round may be about some alone, and says
    what has changed since the one before (``because``)."""
    every = tuple(c for c in given.categories(recipient) if only is None or c in only)
    erase = tuple(c for c in every if c not in preserved)
    return Notice(
        request_id=request_id, case_no=case.case_no, recipient=recipient.id, round=round_,
        instruction=_instruction(recipient, erase), ground=case.ground, law=f"{ARTICLES[case.ground]}; {LAW}",
        submitted_at=submitted_at, answer_by=answer_by,
        answers=tuple(AnswerCode(code) for code in recipient.expected if code in set(AnswerCode)),
        erase=erase, preserve=tuple(c for c in every if c in preserved), references=given.references,
        identities=tuple(i for i in given.identities if i.category in given.categories(recipient)),
        text=f"{_CHANGED.get(because, '')}{recipient.says}",
        everybody=case.ground is Ground.SHUTDOWN and not (given.references or given.identities),
    )  # fmt: skip


def _instruction(recipient: Recipient, erase: Sequence[CategoryId]) -> Instruction:
    if recipient.role is RecipientRole.LEDGER:
        return Instruction.STOP_ANCHORING
    if recipient.role is RecipientRole.INDEPENDENT:
        return Instruction.INFORM
    return Instruction.ERASE if erase else Instruction.PRESERVE


def opened(text: str, recipient: Recipient, case: Case, row: dict[str, Any]) -> Notice:
    """A notice from its sealed text. One that was written before there were rounds becomes the first."""
    said = json.loads(text)
    if "request_id" in said:
        return Notice.model_validate(said)
    given = Given(recipient.id, row["items"], tuple(said["references"]), tuple(said["fields"]))
    return compose(
        case, recipient, given, (), request_id=row["request_id"], round_=1, submitted_at=row["written_at"],
        answer_by=date.fromisoformat(said["answer_by"]),
    )  # fmt: skip
