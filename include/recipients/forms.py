"""OpenDSR 2.0 on paper: the request that we write, and what we read out of receipts, states and answers.

Answers come in our own extension of the status (docs/recipients.md), under the recipient's domain, since the
specification knows only "completed". Nothing is read before its signature was verified, and what does not have
the agreed form raises Refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from datetime import date, datetime
from hmac import compare_digest
from typing import Any, Literal
from uuid import UUID

from pydantic import ValidationError

from include.model.errors import Refused
from include.model.notices import Answer, Notice, Part, Pending
from include.model.policy import Recipient
from include.model.times import prc_date

VERSION = "2.0"
REGULATION = "pipl"
CASCADE = "pass this on to everybody you gave the data to, and name them"
MOST_PARTS = 200
_PART = frozenset(Part.model_fields)
_WRITE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def request(notice: Notice, domain: str, callback_url: str | None) -> bytes:
    """The body of the request. The same notice is the same bytes but for ``reminder``."""
    said: dict[str, Any] = {
        "regulation": REGULATION,
        "subject_request_id": str(notice.request_id),
        "subject_request_type": "erasure",
        "submitted_time": notice.submitted_at.isoformat(),
        "api_version": VERSION,
        "extensions": {
            domain: {
                "instruction": notice.instruction.value,
                "erase": notice.erase,
                "preserve": notice.preserve,
                "identities": [{"category": i.category, "value": i.value} for i in notice.identities],
                "ground": notice.ground.value,
                "law": notice.law,
                "answer_by": notice.answer_by.isoformat(),
                "answers": [code.value for code in notice.answers],
                "cascade": CASCADE,
                "text": notice.text,
                "reminder": notice.reminder,
            }
        },
    }
    if notice.everybody:
        said["extensions"][domain]["everybody"] = True
    if notice.references:  # section 7.1.1: optional where the extension has identities
        said["subject_identities"] = [
            {
                "identity_type": "controller_customer_id",
                "identity_value": reference,
                "identity_format": "raw",
            }
            for reference in notice.references
        ]
    if callback_url:
        said["status_callback_urls"] = [callback_url]
    return _WRITE(said).encode()


def object_of(body: bytes, about: str) -> dict[str, Any]:
    """A JSON object. Raises Refused."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise _refused("its answer is not a JSON object", about)
    return said


def expected_by_receipt(body: bytes, request_body: bytes, request_id: UUID, about: str) -> date:
    """When a receipt expects the end. Raises Refused unless it is one, for this very request."""
    said = object_of(body, about)
    _text(said, "controller_id", about)
    _moment(said, "received_time", about)
    expected = _moment(said, "expected_completion_time", about)
    this_request(said, request_id, about)
    try:
        encoded = base64.b64decode("".join(_text(said, "encoded_request", about).split()), validate=True)
    except (binascii.Error, ValueError):
        encoded = b""
    if not compare_digest(encoded, request_body):
        raise _refused("its receipt is for something else than what we sent", about)
    return expected


def taken_back(body: bytes, request_id: UUID, about: str) -> None:
    """That a body is the confirmation of a cancellation. Raises Refused."""
    said = object_of(body, about)
    _text(said, "controller_id", about)
    _moment(said, "received_time", about)
    this_request(said, request_id, about)


def status(
    recipient: Recipient, said: dict[str, Any], body: bytes, via: Literal["poll", "callback"], about: str
) -> Answer | Pending:
    """What a status or a callback says. "Completed" alone is an answer without parts: it says nothing that counts,
    and the judge tells so. Raises Refused."""
    _text(said, "controller_id", about)
    expected = _moment(said, "expected_completion_time", about)
    request_id = _request_id(said, about)
    state = said.get("request_status")
    digest = hashlib.sha256(body).hexdigest()
    if state in ("pending", "in_progress"):
        return Pending(
            request_id=request_id, recipient=recipient.id, status=state, expected_on=expected,
            digest=digest if via == "callback" else "",
        )  # fmt: skip
    if state not in ("completed", "cancelled"):
        raise _refused("its status is none of the four", about)
    return Answer(
        request_id=request_id,
        recipient=recipient.id,
        parts=_parts(said, recipient.domain or "", about) if state == "completed" else (),
        via=via,
        digest=digest,
    )


def _parts(said: dict[str, Any], domain: str, about: str) -> tuple[Part, ...]:
    extensions = said.get("extensions")
    own = extensions.get(domain) if isinstance(extensions, dict) else None
    answers = own.get("answers", []) if isinstance(own, dict) else []
    if not isinstance(answers, list) or len(answers) > MOST_PARTS:
        raise _refused("its answers are not a list that anybody could mean", about)
    return tuple(_part(answer, about) for answer in answers)


def _part(answer: Any, about: str) -> Part:
    """One part. What we do not know is left aside, so that others can add to the form; the code must be one that a
    recipient can give."""
    if not isinstance(answer, dict):
        raise _refused("one of its answers is not an object", about)
    known = {key: value for key, value in answer.items() if key in _PART and value is not None}
    try:
        part = Part.model_validate_json(json.dumps(known), strict=True)
    except (ValidationError, ValueError):
        raise _refused("one of its answers has not the agreed form", about) from None
    if not part.code.from_outside:
        raise _refused("one of its answers is a code that no recipient can give", about)
    return part


def _request_id(said: dict[str, Any], about: str) -> UUID:
    text = _text(said, "subject_request_id", about)
    try:
        found = UUID(text)
    except ValueError:
        found = None
    if found is None or str(found) != text:
        raise _refused("its request id is no lower-case UUID", about)
    return found


def this_request(said: dict[str, Any], request_id: UUID, about: str) -> None:
    """That a body is about this request. Raises Refused."""
    if _text(said, "subject_request_id", about) != str(request_id):
        raise _refused("it answers for another request", about)


def _text(said: dict[str, Any], key: str, about: str) -> str:
    value = said.get(key)
    if not isinstance(value, str) or not value:
        raise _refused(f"its answer has no {key}", about)
    return value


def _moment(said: dict[str, Any], key: str, about: str) -> date:
    """The day of an RFC 3339 time, which has a zone."""
    try:
        return prc_date(datetime.fromisoformat(_text(said, key, about)))
    except (ValueError, OverflowError):
        raise _refused(f"its {key} is no time with a zone", about) from None


def _refused(what: str, about: str) -> Refused:
    return Refused(
        what, about=about, next_step="tell its operators; the notice stays open until it answers as agreed"
    )
