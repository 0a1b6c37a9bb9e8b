"""We as a recipient: partners that gave us data tell us to delete it, in OpenDSR's words (sections 6 to 9).

A partner shows who it is by its token, and names a person by its own number for them; a name, a phone number or an
e-mail address is not taken, so none can be tried out. Everything that we answer is signed. Only the address that the
partner's connection declares is ever called back.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Annotated, Any
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Header, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from quietus_recipients.limits import IN_ALL, Allowance, Allowances, body_of
from quietus_recipients.saying import HEADERS, Said

from include.cases.upstream import Request as Known
from include.cases.upstream import Status
from include.model.errors import Refused
from include.model.policy import Upstream
from include.recipients.our_signature import OurSignature

VERSION = "2.0"
REFERENCE = "controller_customer_id"
Authorization = Annotated[str, Header()]


class Identity(BaseModel):
    identity_type: str = Field(max_length=100)
    identity_value: str = Field(min_length=1, max_length=200, repr=False)
    identity_format: str = Field(max_length=20)


class Asked(BaseModel):
    """A request as a partner sends it. What we do not need is passed over."""

    model_config = ConfigDict(extra="ignore")

    subject_request_id: UUID
    subject_request_type: str
    submitted_time: datetime
    subject_identities: tuple[Identity, ...] = Field(min_length=1, max_length=10)
    api_version: str = VERSION
    status_callback_urls: tuple[str, ...] = Field(default=(), max_length=10)


@dataclass(frozen=True)
class Desk:
    """What the endpoints need of the rest of the house."""

    partners: Callable[[], Sequence[Upstream]]
    token: Callable[[Upstream], str]
    callback_url: Callable[[Upstream], str]
    signature: Callable[[], OurSignature]
    receive: Callable[[Upstream, UUID, str, bool], Known]
    status: Callable[[Upstream, UUID], Status]
    cancel: Callable[[Upstream, UUID], Status]
    each: Allowances
    in_all: Allowance = field(default_factory=lambda: Allowance(*IN_ALL))


def routes(desk: Callable[[], Desk]) -> APIRouter:
    router = APIRouter(prefix="/v2")

    @router.get("/discovery")
    async def discovery(request: Request) -> Response:
        """What we take, and the certificate that we sign with."""
        at = desk()
        at.in_all.take()
        here = str(request.base_url).rstrip("/") + "/v2/certificate.pem"
        return await to_thread.run_sync(signed, at, _discovery(here), 200)

    @router.get("/certificate.pem")
    async def certificate() -> Response:
        at = desk()
        at.in_all.take()
        pem = await to_thread.run_sync(lambda: at.signature().pem)
        return Response(pem, media_type="application/x-pem-file", headers=HEADERS)

    @router.post("/requests", status_code=201, openapi_extra=DESCRIBED, responses=ANSWERS)
    async def ask(request: Request, authorization: Authorization = "") -> Response:
        """A request to delete. The same request id again is the same request."""
        at, partner = await admitted(desk, authorization)
        body = await body_of(request)
        return await to_thread.run_sync(received, at, partner, body)

    @router.get("/requests/{request_id}", responses=ANSWERS)
    async def how_it_stands(request_id: UUID, authorization: Authorization = "") -> Response:
        """Where a request stands, with our answers once there are any."""
        at, partner = await admitted(desk, authorization)
        return await to_thread.run_sync(
            lambda: signed(at, said_of(at, _found(at.status, partner, request_id)), 200)
        )

    @router.delete("/requests/{request_id}", status_code=202, responses=ANSWERS)
    async def take_back(request_id: UUID, authorization: Authorization = "") -> Response:
        """Take a request back while it is pending."""
        at, partner = await admitted(desk, authorization)
        return await to_thread.run_sync(taken_back, at, partner, request_id)

    return router


async def admitted(desk: Callable[[], Desk], authorization: str) -> tuple[Desk, Upstream]:
    """The partner whose token it is. Every token is compared, and none in a time that tells how far it fits."""
    at = desk()
    at.in_all.take()
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() != "bearer" or not given:
        raise Said(401, "show your token", {"WWW-Authenticate": "Bearer"})
    found = await to_thread.run_sync(_whose, at, given)
    if found is None:
        raise Said(401, "the token is no partner's", {"WWW-Authenticate": "Bearer"})
    await to_thread.run_sync(at.each.take, found.id)
    return at, found


def _whose(at: Desk, given: str) -> Upstream | None:
    fits = [
        p
        for p in at.partners()
        if (token := at.token(p)) and hmac.compare_digest(token.encode(), given.encode())
    ]
    return fits[0] if fits else None


def received(at: Desk, partner: Upstream, body: bytes) -> Response:
    """Take one request, and sign for it."""
    try:
        asked = Asked.model_validate_json(body)
    except (ValidationError, RecursionError):
        raise Said(400, "the request is not one of OpenDSR 2.0; see openapi.json") from None
    if asked.subject_request_type != "erasure":
        raise Said(400, "only erasure is taken; for anything else write to us")
    if any(url != at.callback_url(partner) for url in asked.status_callback_urls):
        raise Said(400, "a callback goes to the address that we agreed on and to no other")
    identity = asked.subject_identities[0]
    known = identity.identity_type == REFERENCE and identity.identity_format == "raw"
    if len(asked.subject_identities) != 1 or not known or "\0" in identity.identity_value:
        raise Said(400, f"name one person by your own number for them: one identity, {REFERENCE}, raw")
    try:
        taken = at.receive(
            partner, asked.subject_request_id, identity.identity_value, bool(asked.status_callback_urls)
        )
    except Refused as refused:
        raise Said(400, refused.what) from None
    return signed(
        at,
        {
            "controller_id": partner.id,
            "expected_completion_time": _end_of(taken.expected_on),
            "received_time": _moment(taken.received_at),
            "encoded_request": base64.b64encode(body).decode(),
            "subject_request_id": str(taken.request_id),
        },
        201,
    )


def taken_back(at: Desk, partner: Upstream, request_id: UUID) -> Response:
    before = _found(at.status, partner, request_id)
    if before.status not in ("pending", "cancelled"):
        raise Said(400, "it is no longer pending, and cannot be taken back")
    try:
        now = at.cancel(partner, request_id)
    except Refused:
        raise Said(400, "it is no longer pending, and cannot be taken back") from None
    return signed(
        at,
        {"controller_id": partner.id, "received_time": _moment(datetime.now(UTC)),
         "subject_request_id": str(now.request.request_id), "api_version": VERSION},
        202,
    )  # fmt: skip


def said_of(at: Desk, now: Status, **more: Any) -> dict[str, Any]:
    """A status as we sign it, for whoever asks and for a callback."""
    said: dict[str, Any] = {
        "controller_id": now.request.partner,
        "expected_completion_time": _end_of(now.request.expected_on),
        "subject_request_id": str(now.request.request_id),
        "request_status": now.status,
        "api_version": VERSION,
        **more,
    }
    if now.answers:
        parts = [p.model_dump(mode="json", exclude_defaults=True, exclude={"complete"}) for p in now.answers]
        said["extensions"] = {at.signature().domain: {"answers": parts}}
    return said


def signed(at: Desk, said: dict[str, Any], status: int) -> Response:
    body = json.dumps(said, ensure_ascii=False).encode()
    headers = HEADERS | at.signature().headers(body)
    return Response(body, status, headers, media_type="application/json")


def _found(look: Callable[[Upstream, UUID], Status], partner: Upstream, request_id: UUID) -> Status:
    try:
        return look(partner, request_id)
    except Refused:
        raise Said(404, "there is no such request of yours") from None


def _discovery(certificate: str) -> dict[str, Any]:
    return {
        "api_version": VERSION,
        "supported_identities": [{"identity_type": REFERENCE, "identity_format": "raw"}],
        "supported_subject_request_types": ["erasure"],
        "processor_certificate": certificate,
    }


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _end_of(day: date) -> str:
    """The end of a PRC day."""
    return f"{datetime.combine(day, time(23, 59, 59)).isoformat()}+08:00"


DESCRIBED: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": Asked.model_json_schema() | {"$defs": {}}}},
    }
}
ANSWERS: dict[int | str, dict[str, Any]] = {
    400: {"description": "Not a request that we take; why is said"},
    401: {"description": "No partner's token"},
    404: {"description": "No such request of this partner"},
    413: {"description": "Too long"},
    415: {"description": "Not JSON"},
    422: {"description": "The address names no request"},
    429: {"description": "Too many messages; when to send again is in Retry-After"},
    503: {"description": "Our own records cannot be reached; when to send again is in Retry-After"},
}
