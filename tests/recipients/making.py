"""Recipients, notices and answers, made up."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

from include.catalogue import load
from include.model.notices import Answer, AnswerCode, Identity, Instruction, Notice, Part
from include.model.words import Ground

POLICY = load()
AS_OF = date(2026, 11, 25)
TOLD = datetime(2026, 11, 20, 2, tzinfo=UTC)
DONE = datetime(2026, 11, 24, 2, tzinfo=UTC)
BODY = {r.id: r for r in POLICY.recipients}


def notice(recipient: str = "jinlianhuitong", **said: Any) -> Notice:
    body = BODY[recipient]
    return Notice.model_validate(
        {
            "request_id": uuid4(), "case_no": "CASE-000042", "recipient": recipient,
            "instruction": Instruction.ERASE, "ground": Ground.CANCELLATION, "law": "policy 1.4; PIPL 47",
            "submitted_at": TOLD, "answer_by": date(2026, 12, 16),
            "answers": tuple(AnswerCode(c) for c in body.expected), "erase": body.categories[:2],
            "references": ("txn-7f3a", "txn-7f3b"),
            "identities": (Identity(category=body.known_by[0].category, value="11010119900101123X"),),
            "text": body.says,
        }
        | said
    )  # fmt: skip


def answer(*parts: Part, recipient: str = "jinlianhuitong", request_id: UUID | None = None) -> Answer:
    return Answer(
        request_id=request_id or uuid4(), recipient=recipient, parts=parts, via="poll", digest="0" * 64
    )


def deleted(*categories: str, **said: Any) -> Part:
    return Part.model_validate(
        {"code": "DELETED", "categories": categories, "count": 3, "at": DONE, "method": "overwritten"} | said
    )
