"""What recipients tell us of a notice, unasked: OpenDSR's status callback (specification 8.5 to 8.8).

The order is the protection: how many messages, how long, from whom, signed by them; only then is anything parsed, and
only then asked whether the notice is one of ours. The same signed message again changes nothing, for its digest is
known; an older one arriving late cannot undo a newer, for the case book does not move back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from anyio import to_thread
from cryptography.x509 import Certificate
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from quietus_recipients.certificates import Certificates
from quietus_recipients.limits import IN_ALL, Allowance, Allowances, body_of
from quietus_recipients.saying import HEADERS, Said

from include.model.errors import Refused
from include.model.notices import Answer, Judgement, Pending
from include.model.policy import Recipient
from include.recipients import signing
from include.recipients.opendsr import read_callback

log = logging.getLogger(__name__)
Headers = Mapping[str, str]


@dataclass(frozen=True)
class Desk:
    """What the endpoint needs of the rest of the house."""

    recipients: Callable[[], Sequence[Recipient]]
    certificates: Certificates
    callback_url: Callable[[], str]
    """Our own, as our requests give it: what was meant for another address is not for us."""
    take: Callable[[Answer], Sequence[Judgement]]
    pending: Callable[[Pending], None]
    each: Allowances
    in_all: Allowance = field(default_factory=lambda: Allowance(*IN_ALL))


def routes(desk: Callable[[], Desk]) -> APIRouter:
    router = APIRouter()

    @router.post("/callback", openapi_extra=DESCRIBED, responses=ANSWERS, status_code=200)
    async def callback(request: Request) -> JSONResponse:
        """A change of one request's status, and its answers."""
        at = desk()
        at.in_all.take()
        body = await body_of(request)
        return await to_thread.run_sync(heard, at, dict(request.headers), body)

    return router


def heard(desk: Desk, headers: Headers, body: bytes) -> JSONResponse:
    """One message, from its signature to what became of it."""
    sender, certificate = signer(desk, headers, body)
    desk.each.take(sender.id)
    try:
        said = read_callback(sender, headers, body, certificate, callback_url=desk.callback_url())
    except Refused as refused:
        log.info("%s: a signed message is not readable", sender.id)
        raise Said(422, f"来文不符合约定格式，未予采信 ({refused.what})") from None
    try:
        if isinstance(said, Pending):
            desk.pending(said)
            judged: Sequence[Judgement] = ()
        else:
            judged = desk.take(said)
    except Refused:
        log.info("%s: a signed message is about no open notice of ours", sender.id)
        raise Said(404, "we have no such request with you") from None
    log.info("%s: heard, %d answers, %d accepted", sender.id, len(judged), sum(j.accepted for j in judged))
    return JSONResponse(
        {
            "subject_request_id": str(said.request_id),
            "answers": [
                {
                    "code": j.part.code.value,
                    "accepted": j.accepted,
                    "for_a_person": j.for_a_person,
                    "why": j.told or j.why,
                }
                for j in judged
            ],
        },
        _status(judged),
        headers=HEADERS,
    )


def signer(desk: Desk, headers: Headers, body: bytes) -> tuple[Recipient, Certificate]:
    """Whose signature the message carries. Raises Said (403) for anybody else, whatever the reason."""
    domain = headers.get(signing.DOMAIN, "").strip().casefold()
    sender = next((r for r in desk.recipients() if r.domain and r.domain.casefold() == domain), None)
    if sender is None or not headers.get(signing.SIGNATURE):
        raise Said(403, "not signed by a body that we gave data to")
    kept = desk.certificates.of(sender)
    if kept is not None and _fits(sender, headers, body, kept):
        return sender, kept
    # It may sign with a new key since the certificate was fetched.
    newer = desk.certificates.of(sender, newer_than=kept) if kept is not None else None
    if newer is not None and _fits(sender, headers, body, newer):
        return sender, newer
    log.info("%s: a message is not signed as agreed", sender.id)
    raise Said(403, "not signed by a body that we gave data to")


def _fits(sender: Recipient, headers: Headers, body: bytes, certificate: Certificate) -> bool:
    try:
        signing.check(certificate, sender.domain or "", sender.id)
        signing.verify(headers, body, certificate, sender.domain or "", sender.id)
    except Refused:
        return False
    return True


def _status(judged: Sequence[Judgement]) -> int:
    """Accepted, given to a person, or understood and not enough: the sender is told why, and may answer better."""
    if not judged or any(j.accepted for j in judged):
        return 200
    return 202 if any(j.for_a_person for j in judged) else 422


# --- as its OpenAPI tells it ----------------------------------------------------------------------------

_TEXT = {"type": "string", "maxLength": 2000}
_ANSWER = {
    "type": "object",
    "required": ["code"],
    "properties": {
        "code": {"type": "string"}, "categories": {"type": "array", "items": {"type": "string", "pattern": "^PI-[0-9]{3}$"}},
        "count": {"type": "integer", "minimum": 0}, "at": {"type": "string", "format": "date-time"}, "method": _TEXT,
        "transactions": {"type": "array", "items": {"type": "string"}}, "article": _TEXT,
        "until": {"type": "string", "format": "date"}, "authorisation": _TEXT, "dispute": _TEXT, "remains": _TEXT,
        "sub_recipients": {"type": "array", "items": {"type": "string"}}, "complete": {"type": "boolean"},
    },
}  # fmt: skip
_BODY = {
    "type": "object",
    "required": ["controller_id", "status_callback_url", "subject_request_id", "request_status", "expected_completion_time"],
    "properties": {
        "controller_id": {"type": "string"},
        "status_callback_url": {"type": "string", "format": "uri"},
        "subject_request_id": {"type": "string", "format": "uuid"},
        "request_status": {"enum": ["pending", "in_progress", "completed", "cancelled"]},
        "expected_completion_time": {"type": "string", "format": "date-time"},
        "results_url": {"type": "string", "format": "uri"},
        "results_count": {"type": "integer", "minimum": 0},
        "extensions": {
            "type": "object",
            "additionalProperties": {
                "type": "object", "properties": {"answers": {"type": "array", "items": _ANSWER}},
            },
        },
    },
}  # fmt: skip
DESCRIBED: dict[str, Any] = {
    "parameters": [
        {"name": "X-OpenDSR-Processor-Domain", "in": "header", "required": True, "schema": {"type": "string"},
         "description": "The sender's domain, as its certificate has it."},
        {"name": "X-OpenDSR-Signature", "in": "header", "required": True, "schema": {"type": "string"},
         "description": "Base64 of the signature over SHA-256 of the raw body."},
    ],
    "requestBody": {"required": True, "content": {"application/json": {"schema": _BODY}}},
}  # fmt: skip
ANSWERS: dict[int | str, dict[str, Any]] = {
    202: {"description": "Taken; a person reads the law that it rests on"},
    400: {"description": "The message ended early"},
    403: {"description": "Not signed by a body that we gave data to"},
    404: {"description": "No such request with this sender"},
    413: {"description": "Too long"},
    415: {"description": "Not JSON"},
    422: {"description": "Not readable, not to us, or not enough evidence; why is said"},
    429: {"description": "Too many messages; when to send again is in Retry-After"},
    503: {"description": "Our own records cannot be reached; when to send again is in Retry-After"},
}
