"""Reading a request as OpenDSR 2.0 has it (specification.md, sections 5 and 7). What is wrong is told without quoting it."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from include.sandbox.recipients.deeds import Asked

REFERENCE = "controller_customer_id"  # the identity type that carries a body's own reference
SUPPORTED = ((REFERENCE, "raw"), ("email", "raw"))
TYPES = ("erasure",)
REGULATIONS = ("gdpr", "ccpa", "pipl")  # the third is ours: the specification knows no Chinese law
LONGEST = 256  # characters of a reference or a value
API_VERSION = "2.0"


class BadRequest(Exception):
    """What is wrong with a request, in words that quote nothing of it."""


@dataclass(frozen=True)
class Request:
    """A request that is well formed."""

    id: str
    asked: Asked
    callbacks: tuple[str, ...]


def json_object(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise BadRequest("the body must be a JSON object")
    return said


def read(body: bytes, domain: str) -> Request:
    """What is asked of the body with that domain. Raises BadRequest."""
    said = json_object(body)
    for name in ("regulation", "subject_request_id", "subject_request_type", "submitted_time"):
        if not isinstance(said.get(name), str):
            raise BadRequest(f"{name} field is required")
    if said["regulation"] not in REGULATIONS:
        raise BadRequest(f"regulation must be one of {', '.join(REGULATIONS)}")
    if said["subject_request_type"] not in TYPES:
        raise BadRequest(f"subject_request_type must be one of {', '.join(TYPES)}")
    if "api_version" in said and str(said["api_version"]).partition(".")[0] != API_VERSION[0]:
        raise BadRequest(f"api_version must be {API_VERSION}")
    _moment(said["submitted_time"])
    ours = _extension(said, domain)
    everybody = ours.get("everybody") is True
    refs, values = _identities(said, inside=everybody or bool(ours.get("identities")))
    values += tuple(
        _text(i.get("value"), "identities.value") for i in _objects(ours.get("identities"), "identities")
    )
    asked = Asked(
        refs, values, _categories(ours, "erase"), _categories(ours, "preserve"),
        _text(ours.get("instruction", "erase"), "instruction"), everybody,
    )  # fmt: skip
    return Request(_uuid4(said["subject_request_id"]), asked, _callbacks(said.get("status_callback_urls")))


def _identities(said: dict[str, Any], *, inside: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """References, and other values. ``inside``: the extension has identities, so that none are required here."""
    listed = said.get("subject_identities")
    if listed is None and inside:
        return (), ()
    refs: list[str] = []
    values: list[str] = []
    for one in _objects(listed, "subject_identities"):
        for name in ("identity_type", "identity_value", "identity_format"):
            if not isinstance(one.get(name), str):
                raise BadRequest(f"subject_identities: {name} field is required")
        if (one["identity_type"], one["identity_format"]) not in SUPPORTED:
            raise BadRequest("subject_identities: this type or format is not supported, see discovery")
        value = _text(one["identity_value"], "identity_value")
        (refs if one["identity_type"] == REFERENCE else values).append(value)
    if not refs and not values and not inside:
        raise BadRequest("subject_identities field is required")
    return tuple(refs), tuple(values)


def _extension(said: dict[str, Any], domain: str) -> dict[str, Any]:
    extensions = said.get("extensions", {})
    if not isinstance(extensions, dict) or not all(isinstance(e, dict) for e in extensions.values()):
        raise BadRequest("extensions must be objects by domain")
    found: dict[str, Any] = extensions.get(domain, {})
    return found


def _callbacks(said: Any) -> tuple[str, ...]:
    urls = [] if said is None else said
    if not isinstance(urls, list):
        raise BadRequest("status_callback_urls must be an array of URLs")
    for url in urls:
        try:
            found = urlsplit(url if isinstance(url, str) else "")
            safe = found.scheme == "https" or (
                found.scheme == "http" and found.hostname in ("127.0.0.1", "localhost", "::1")
            )
        except ValueError:
            safe = False
        if not safe:
            raise BadRequest("status_callback_urls must be https, or on loopback")
    return tuple(urls)


def _categories(said: dict[str, Any], name: str) -> tuple[str, ...]:
    listed = said.get(name, [])
    if not isinstance(listed, list):
        raise BadRequest(f"{name} must be an array of strings")
    return tuple(_text(one, name) for one in listed)


def _objects(said: Any, name: str) -> list[dict[str, Any]]:
    listed = [] if said is None else said
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise BadRequest(f"{name} must be an array of objects")
    return listed


def _text(said: Any, name: str) -> str:
    if not isinstance(said, str) or not 0 < len(said) <= LONGEST:
        raise BadRequest(f"{name} must be a string of 1 to {LONGEST} characters")
    return said


def _moment(text: str) -> None:
    """RFC 3339: with a time and an offset."""
    try:
        if "T" in text.upper() and datetime.fromisoformat(text).tzinfo is not None:
            return
    except ValueError:
        pass
    raise BadRequest("submitted_time must be a date and time by RFC 3339")


def _uuid4(text: str) -> str:
    """A lower-case UUID of version 4, as section 1.1 of the specification demands."""
    try:
        if str(uuid.UUID(text, version=4)) == text:
            return text
    except ValueError:
        pass
    raise BadRequest("subject_request_id must be a lower-case UUID of version 4")
