"""A form with a file, read with limits and never onto a disk; and the mark that says which page it came from."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from include.model.errors import Refused

MAX_PROOF = 10 * 2**20  # bytes
MAX_FORM = MAX_PROOF + 2**18  # the other fields, and what parts them
MARK_SECONDS = 12 * 3600
TYPES: Mapping[str, bytes] = {"PDF": b"%PDF-", "JPEG": b"\xff\xd8\xff", "PNG": b"\x89PNG\r\n\x1a\n"}


@dataclass(frozen=True)
class Form:
    """Its fields, and the proof if there was one. Personal: sealed or forgotten, never logged."""

    fields: Mapping[str, str] = field(repr=False)
    proof: bytes | None = field(repr=False)


async def form_of(request: Request) -> Form:
    """Raises Refused for what is too large, is no form, or whose file is of none of the types."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise _refused("this is no form with a file")
    parser = MultiPartParser(request.headers, _within(request), max_files=1, max_fields=80)
    parser.spool_max_size = MAX_FORM  # in memory: a proof must not lie about in a temporary file
    try:
        said = await parser.parse()
    except (MultiPartException, KeyError):
        raise _refused("the form is broken off, or has more in it than we asked for") from None
    proof = next((v for v in said.values() if isinstance(v, UploadFile)), None)
    body = await proof.read() if proof is not None else b""
    if len(body) > MAX_PROOF:
        raise _too_large()
    if body and not any(body.startswith(magic) for magic in TYPES.values()):
        raise _refused(f"the proof is none of {', '.join(TYPES)}, whatever its name says")
    return Form({k: v for k, v in said.items() if isinstance(v, str)}, body or None)


async def _within(request: Request) -> AsyncGenerator[bytes, None]:
    said = request.headers.get("content-length", "0")
    if not said.isdecimal() or int(said) > MAX_FORM:
        raise _too_large()
    read = 0
    async for part in request.stream():
        read += len(part)
        if read > MAX_FORM:
            raise _too_large()
        yield part


def mark(user: Any, number: str) -> str:
    """For the form of one errand that is shown to one user."""
    return str(_serializer().dumps([str(user.get_id()), number]))


def marked(form: Form, user: Any, number: str, sent_from: str | None) -> None:
    """Raises Refused unless this user was shown this form, here and today. A log-in cookie alone is sent along with
    whatever another site makes a browser send, where it is not held back as Airflow's is (SameSite)."""
    try:
        shown = _serializer().loads(form.fields.get("mark", ""), max_age=MARK_SECONDS)
    except BadData:
        shown = None
    if shown != [str(user.get_id()), number] or sent_from not in (None, "same-origin", "none"):
        raise _refused("the form is not one that this page gave you today")


def _serializer() -> URLSafeTimedSerializer:
    from airflow.configuration import conf

    return URLSafeTimedSerializer(conf.get_mandatory_value("api", "secret_key"), salt="quietus errand")


def _too_large() -> Refused:
    return Refused(
        f"the proof has more than {MAX_PROOF // 2**20} MB", about="errand",
        next_step="scan it smaller; nothing was recorded",
    )  # fmt: skip


def _refused(what: str) -> Refused:
    return Refused(what, about="form", next_step="open its page again; nothing was recorded")
