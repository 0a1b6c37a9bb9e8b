"""The other companies: 26 small servers in one process on loopback, for the sandbox's recipients.

    python -m include.sandbox.recipients --port N --state FILE [--completes-after SECONDS]

Each body lives under ``/<recipient-id>/`` and speaks OpenDSR's shapes (specification.md, sections 6 to 9):

    GET    /<id>/discovery          what it supports
    POST   /<id>/requests           an erasure request; the same request id again gets the same answer
    GET    /<id>/requests/<rid>     pending, then completed, then the person is gone
    DELETE /<id>/requests/<rid>     cancels one that is pending
    POST   /<id>/register           the company hands over a person: {"ref": the recipient's own reference}
    GET    /<id>/people/<ref>       200 while it still knows the person, 404 when not

Answers are not signed: the specification's processor certificate belongs to the sending side's work.
State is in memory and in a JSON file. Nothing of a request is logged.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from ruamel.yaml import YAML

MAX_BODY = 64 * 1024  # bytes
API_VERSION = "2.0"
CONTROLLER = "quietus-sandbox"
REFERENCE = "controller_customer_id"  # the identity type that carries the recipient's own reference
BODIES = Path(__file__).with_name("recipients.yaml")


def bodies() -> dict[str, str]:
    """The recipients' ids and names."""
    return {entry["id"]: entry["name"] for entry in YAML(typ="safe").load(BODIES.read_text("utf-8"))}


class BadRequest(Exception):
    """What is wrong with a request, in words that quote nothing of it."""


@dataclass
class World:
    """What all recipients know, and what they were asked. Safe to use from several threads."""

    path: Path
    completes_after: float  # seconds from request to completion
    known: dict[str, str] = field(default_factory=bodies)
    people: dict[str, set[str]] = field(default_factory=dict)
    requests: dict[str, dict[str, Any]] = field(default_factory=dict)  # by "<recipient>/<request id>"
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        if self.path.exists():
            said = json.loads(self.path.read_text("utf-8"))
            self.people = {body: set(refs) for body, refs in said["people"].items()}
            self.requests = said["requests"]

    def _save(self) -> None:
        said = {"people": {b: sorted(refs) for b, refs in self.people.items()}, "requests": self.requests}
        fresh = self.path.with_name(self.path.name + ".new")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(said), "utf-8")
        fresh.replace(self.path)

    def _complete_what_is_due(self) -> None:
        """Carry out the requests whose time has come. Done on every access instead of by a timer."""
        due = [
            r for r in self.requests.values() if r["status"] == "pending" and time.time() >= r["completes_at"]
        ]
        for request in due:
            known = self.people.get(request["recipient"], set())
            request["results_count"] = len(known & set(request["refs"]))
            known.difference_update(request["refs"])
            request["refs"] = []  # what is deleted is not kept in the request either
            request["status"] = "completed"
        if due:
            self._save()

    def register(self, recipient: str, ref: str) -> None:
        with self._turn:
            self.people.setdefault(recipient, set()).add(ref)
            self._save()

    def knows(self, recipient: str, ref: str) -> bool:
        with self._turn:
            self._complete_what_is_due()
            return ref in self.people.get(recipient, set())

    def ask(self, recipient: str, said: dict[str, Any], body: bytes) -> dict[str, Any]:
        """Take an erasure request. The same request id again changes nothing. Raises BadRequest."""
        rid = _uuid4(said.get("subject_request_id"))
        if said.get("subject_request_type") != "erasure":
            raise BadRequest("subject_request_type must be erasure")
        if not isinstance(said.get("submitted_time"), str):
            raise BadRequest("submitted_time is required")
        identities = said.get("subject_identities")
        if not isinstance(identities, list) or not identities:
            raise BadRequest("subject_identities is required")
        refs = [
            i["identity_value"]
            for i in identities
            if isinstance(i, dict)
            and i.get("identity_type") == REFERENCE
            and i.get("identity_format") == "raw"
            and isinstance(i.get("identity_value"), str)
        ]
        if len(refs) != len(identities):
            raise BadRequest(f"only raw {REFERENCE} identities are supported")
        with self._turn:
            self._complete_what_is_due()
            request = self.requests.get(f"{recipient}/{rid}")
            if request is None:
                now = time.time()
                request = {
                    "id": rid, "recipient": recipient, "refs": refs, "status": "pending",
                    "received_at": now, "completes_at": now + self.completes_after, "results_count": None,
                }  # fmt: skip
                self.requests[f"{recipient}/{rid}"] = request
                self._save()
        return {
            "controller_id": CONTROLLER,
            "subject_request_id": rid,
            "received_time": _rfc3339(request["received_at"]),
            "expected_completion_time": _rfc3339(request["completes_at"]),
            "encoded_request": base64.b64encode(body).decode(),
        }

    def status(self, recipient: str, rid: str) -> dict[str, Any] | None:
        with self._turn:
            self._complete_what_is_due()
            request = self.requests.get(f"{recipient}/{rid}")
        if request is None:
            return None
        said = {
            "controller_id": CONTROLLER,
            "subject_request_id": rid,
            "request_status": request["status"],
            "expected_completion_time": _rfc3339(request["completes_at"]),
            "api_version": API_VERSION,
        }
        if request["results_count"] is not None:
            said["results_count"] = request["results_count"]
        return said

    def cancel(self, recipient: str, rid: str) -> dict[str, Any] | None:
        """None: there is no such request. Raises BadRequest if it is past cancelling."""
        with self._turn:
            self._complete_what_is_due()
            request = self.requests.get(f"{recipient}/{rid}")
            if request is None:
                return None
            if request["status"] not in ("pending", "cancelled"):
                raise BadRequest("only a pending request can be cancelled")
            request["status"] = "cancelled"
            request["refs"] = []
            self._save()
        return {
            "controller_id": CONTROLLER,
            "subject_request_id": rid,
            "received_time": _rfc3339(time.time()),
            "api_version": API_VERSION,
        }


def _uuid4(text: object) -> str:
    """A lower-case UUID of version 4, as section 1.1 of the specification demands."""
    try:
        if isinstance(text, str) and str(uuid.UUID(text, version=4)) == text:
            return text
    except ValueError:
        pass
    raise BadRequest("subject_request_id must be a lower-case UUID of version 4")


def _rfc3339(seconds: float) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")


class Handler(BaseHTTPRequestHandler):
    """Routes. Every path that is not one of the six is 404, every body that is not JSON is 400."""

    world: ClassVar[World]
    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds of silence after which a connection is closed

    def log_message(self, format: str, *args: Any) -> None:
        """Paths hold people's references; nothing is logged."""

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def _answer(self, method: str) -> None:
        body = b""
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if 0 <= length <= MAX_BODY:
            body = self.rfile.read(length)
        else:
            self.close_connection = True
        try:
            if not 0 <= length <= MAX_BODY:
                raise BadRequest(f"a body has at most {MAX_BODY} bytes")
            code, said = self._route(method, body)
        except BadRequest as wrong:
            code, said = HTTPStatus.BAD_REQUEST, {"error": {"code": 400, "message": str(wrong)}}
        payload = json.dumps(said, ensure_ascii=False).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(payload)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(payload)

    def _route(self, method: str, body: bytes) -> tuple[HTTPStatus, dict[str, Any]]:
        absent = HTTPStatus.NOT_FOUND, {"error": {"code": 404, "message": "there is nothing here"}}
        match = re.fullmatch(r"/([a-z][a-z0-9_]*)/([a-z]+)(?:/([A-Za-z0-9._~-]+))?", self.path)
        if self.path == "/" and method == "GET":
            return HTTPStatus.OK, {"recipients": self.world.known}
        if match is None or match[1] not in self.world.known:
            return absent
        recipient, what, which = match.groups()
        said: dict[str, Any] | None
        match method, what, which:
            case "GET", "discovery", None:
                return HTTPStatus.OK, {
                    "api_version": API_VERSION,
                    "supported_identities": [{"identity_type": REFERENCE, "identity_format": "raw"}],
                    "supported_subject_request_types": ["erasure"],
                }
            case "POST", "requests", None:
                return HTTPStatus.CREATED, self.world.ask(recipient, _json_object(body), body)
            case "GET", "requests", str(rid):
                said = self.world.status(recipient, rid)
                return (HTTPStatus.OK, said) if said is not None else absent
            case "DELETE", "requests", str(rid):
                said = self.world.cancel(recipient, rid)
                return (HTTPStatus.ACCEPTED, said) if said is not None else absent
            case "POST", "register", None:
                ref = _json_object(body).get("ref")
                if not isinstance(ref, str) or not re.fullmatch(r"[A-Za-z0-9._~-]{1,128}", ref):
                    raise BadRequest("ref must be 1 to 128 letters, digits or . _ ~ -")
                self.world.register(recipient, ref)
                return HTTPStatus.CREATED, {}
            case "GET", "people", str(ref) if self.world.knows(recipient, ref):
                return HTTPStatus.OK, {"known": True}
            case _:
                return absent


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise BadRequest("the body must be a JSON object")
    return said


def serve(port: int, state: Path, completes_after: float) -> ThreadingHTTPServer:
    """The server, bound to loopback and not yet answering. Port 0: any free one."""
    handler = type("BoundHandler", (Handler,), {"world": World(state, completes_after)})
    return ThreadingHTTPServer(("127.0.0.1", port), handler)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="recipients", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--completes-after", type=float, default=2.0)
    said = parser.parse_args(arguments)
    serve(said.port, said.state, said.completes_after).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
