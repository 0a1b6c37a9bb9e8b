"""The bodies against OpenDSR 2.0 itself: its published examples, as data in ``opendsr_2_0.json``.

A stub that only suits the client that was written beside it proves nothing.
"""

from __future__ import annotations

import ast
import base64
import binascii
import copy
import json
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from include.sandbox.recipients.bodies import Manner
from tests.sandbox.outside import Company, Ear, verify

MESSAGES: dict[str, Any] = json.loads(Path(__file__).with_name("opendsr_2_0.json").read_text())["messages"]
REQUEST: dict[str, Any] = MESSAGES["request"]["example"]


def _time(value: Any) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _uuid4(value: Any) -> bool:
    try:
        return isinstance(value, str) and str(uuid.UUID(value, version=4)) == value
    except ValueError:
        return False


def _base64(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(base64.b64decode(value, validate=True))
    except binascii.Error:
        return False


KINDS: dict[str, Callable[[Any], bool]] = {
    "string": lambda v: isinstance(v, str) and v != "",
    "array": lambda v: isinstance(v, list) and v != [],
    "object": lambda v: isinstance(v, dict),
    "url": lambda v: isinstance(v, str) and urlsplit(v).scheme in ("https", "http"),
    "time": _time,
    "uuid4": _uuid4,
    "base64": _base64,
    "status": lambda v: v in ("pending", "in_progress", "completed", "cancelled"),
}


def wrong(name: str, said: Any) -> list[str]:
    """What a message lacks of what the specification requires, and where a field is of another type than the
    example's."""
    message = MESSAGES[name]
    found = [
        f"{name} (section {message['section']}): {field} is {'no ' + kind if field in said else 'missing'}"
        for field, kind in message["required"].items()
        if field not in said or not KINDS[kind](said[field])
    ]
    return found + [
        f"{name}: {field} is of another type"
        for field, value in message["example"].items()
        if field in said and type(said[field]) is not type(value)
    ]


def fresh() -> dict[str, Any]:
    return copy.deepcopy(REQUEST) | {"subject_request_id": str(uuid.uuid4()), "status_callback_urls": []}


def test_the_published_examples_pass_the_check_and_a_flaw_in_one_does_not() -> None:
    for name, message in MESSAGES.items():
        example = message["example"]
        if name == "response":
            example = example | {"encoded_request": base64.b64encode(b"{}").decode()}
        assert wrong(name, example) == []
        for field in message["required"]:
            assert wrong(name, {k: v for k, v in example.items() if k != field}), f"{name} without {field}"
            assert wrong(name, example | {field: 7}), f"{name} with a number for {field}"


def test_the_published_request_is_taken_as_it_stands(company: Company) -> None:
    answer = company.call("POST", "requests", REQUEST)
    assert answer.status_code == 201
    assert wrong("response", answer.json()) == []
    assert json.loads(base64.b64decode(answer.json()["encoded_request"])) == REQUEST
    # "processor_signature" (7.3), in the header in which the example has it.
    verify(company.certificate(), answer.headers, answer.content)
    assert answer.headers["X-OpenDSR-Processor-Domain"] == "sensetime.example"
    assert answer.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize("field", MESSAGES["request"]["required"])
def test_without_a_required_field_it_is_refused_and_told_which(company: Company, field: str) -> None:
    answer = company.call("POST", "requests", {k: v for k, v in fresh().items() if k != field})
    assert answer.status_code == 400
    assert wrong("error", answer.json()) == []
    error, published = answer.json()["error"], MESSAGES["error"]["example"]["error"]
    assert error["code"] == 400 and error["message"] == f"{field} field is required"
    assert error["errors"][0].keys() == published["errors"][0].keys()


@pytest.mark.parametrize("field", MESSAGES["identity"]["required"])
def test_without_a_required_field_of_an_identity_it_is_refused(company: Company, field: str) -> None:
    request = fresh()
    del request["subject_identities"][0][field]
    answer = company.call("POST", "requests", request)
    assert answer.status_code == 400 and field in answer.json()["error"]["message"]


def test_discovery(company: Company) -> None:
    answer = company.call("GET", "discovery")
    assert answer.status_code == 200 and wrong("discovery response", answer.json()) == []
    for identity in answer.json()["supported_identities"]:
        assert identity.keys() == {"identity_type", "identity_format"}
    # "The domain MUST match that of the discovery": the same origin.
    assert (
        urlsplit(answer.json()["processor_certificate"]).netloc == urlsplit(company.url("discovery")).netloc
    )


def test_status_callback_and_cancellation(company: Company) -> None:
    company.behave(Manner.SLOW, seconds=3600)
    request = fresh()
    with Ear() as ear:
        request["status_callback_urls"] = [f"{ear.url}/opendsr/callbacks"]
        company.call("POST", "requests", request)
        where = f"requests/{request['subject_request_id']}"
        for said in (company.call("GET", where), company.call("DELETE", where)):
            name = "status response" if said.status_code == 200 else "cancellation response"
            assert (said.status_code, wrong(name, said.json())) == (
                200 if name == "status response" else 202, [],
            )  # fmt: skip
            verify(company.certificate(), said.headers, said.content)
        call = ear.hears(1)[0]
    assert wrong("callback", call.said) == []
    assert call.said["status_callback_url"] == request["status_callback_urls"][0]
    verify(company.certificate(), call.headers, call.raw)
    company.behave()


def test_a_completed_request_counts_its_results(company: Company) -> None:
    company.outside.world.behave("sensetime")
    request = fresh()
    company.call("POST", "requests", request)
    said = company.status(request["subject_request_id"])
    assert wrong("status response", said) == [] and said["results_count"] == 0


def test_the_bodies_and_who_talks_to_them_share_no_code() -> None:
    """Else one misreading of the specification would be on both sides, and nobody would see it."""
    here = Path(__file__).resolve().parents[2] / "include"
    for side, other in (("sandbox/recipients", "include.recipients"), ("recipients", "include.sandbox")):
        files = sorted((here / side).glob("*.py"))
        assert files
        for file in files:
            assert other not in imported(file), f"{file.name} imports {other}"


def imported(file: Path) -> str:
    """The modules that a file imports, one a line."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(node.module or "")
    return "\n".join(found)
