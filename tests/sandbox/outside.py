"""A running outside world, and an address at which the bodies call back. For tests."""

from __future__ import annotations

import base64
import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from include.sandbox.recipients.bodies import Door, bodies
from include.sandbox.recipients.outside import Outside
from include.sandbox.recipients.places import LOGIN, MAIL
from include.sandbox.recipients.world import Record
from include.sandbox.stack.process import wait_until

TOKENS = {name: f"token-of-{name}" for name in (*bodies(), MAIL)}
BODY = "sensetime"
NAME, FACE, PHONE = "PI-001", "PI-019", "PI-005"


@dataclass
class Company:
    """What a test does as the company: it hands people over, asks, and looks at the truth."""

    outside: Outside
    session: requests.Session = field(default_factory=requests.Session)

    def url(self, path: str, body: str = BODY) -> str:
        return f"{self.outside.url}/{body}/v2/{path}"

    def call(self, method: str, path: str, said: object = None, raw: bytes | None = None, *, body: str = BODY,
             token: str | None = "", **more: Any) -> requests.Response:  # fmt: skip
        data = raw if raw is not None else None if said is None else json.dumps(said).encode()
        headers = {} if token is None else {"Authorization": f"Bearer {token or TOKENS[body]}"}
        return self.session.request(
            method, self.url(path, body), data=data, timeout=10, headers=headers, allow_redirects=False,
            verify=str(self.outside.authority.certificate), **more,
        )  # fmt: skip

    def hand_over(self, *refs: str, body: str = BODY, categories: tuple[str, ...] = (NAME, FACE),
                  value: str | None = None, account: str = "acc-1", days_ago: int = 10) -> None:  # fmt: skip
        world = self.outside.world
        day = world.today - timedelta(days=days_ago)
        world.register(Record(body, ref, account, categories, day, value) for ref in refs)

    def knows(self, ref: str, body: str = BODY) -> bool:
        return self.outside.world.knows(body, ref)

    def ask(self, *refs: str, body: str = BODY, **more: Any) -> requests.Response:
        return self.call("POST", "requests", asked(*refs, body=body, **more), body=body)

    def status(self, rid: str, body: str = BODY) -> dict[str, Any]:
        said: dict[str, Any] = self.call("GET", f"requests/{rid}", body=body).json()
        return said

    def parts(self, *refs: str, body: str = BODY, **more: Any) -> dict[str, dict[str, Any]]:
        """Asked, done, and what was answered, by code."""
        rid = self.ask(*refs, body=body, **more).json()["subject_request_id"]
        status = self.status(rid, body)
        assert status["request_status"] == "completed"
        answers = status["extensions"][bodies()[body].domain]["answers"]
        return {part["code"]: part for part in answers}

    def certificate(self, body: str = BODY) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.call("GET", "certificate.pem", body=body).content)

    def behave(self, *ways: Any, body: str = BODY, **more: Any) -> None:
        """In these ways, and reached by machine."""
        door = () if any(isinstance(w, Door) for w in ways) else (Door.OPENDSR,)
        self.outside.world.behave(body, *door, *ways, **more)


def asked(*refs: str, rid: str | None = None, body: str = BODY, callbacks: tuple[str, ...] = (),
          erase: tuple[str, ...] = (NAME, FACE), **more: Any) -> dict[str, Any]:  # fmt: skip
    """A request as the company writes it. ``more``: goes into its extension."""
    return {
        "regulation": "pipl", "subject_request_id": rid or str(uuid.uuid4()), "subject_request_type": "erasure",
        "submitted_time": "2026-11-24T02:00:00Z", "api_version": "2.0",
        "subject_identities": [
            {"identity_type": "controller_customer_id", "identity_format": "raw", "identity_value": r} for r in refs
        ],
        "status_callback_urls": list(callbacks),
        "extensions": {bodies()[body].domain: {"erase": list(erase), **more}},
    }  # fmt: skip


def verify(certificate: x509.Certificate, headers: Any, said: bytes, name: str = "OpenDSR") -> None:
    """Raises InvalidSignature."""
    signature = base64.b64decode(headers[f"X-{name}-Signature"], validate=True)
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, said, padding.PKCS1v15(), hashes.SHA256())
    else:
        assert isinstance(key, ec.EllipticCurvePublicKey)
        key.verify(signature, said, ec.ECDSA(hashes.SHA256()))


@contextmanager
def running(home: Path, completes_after: float = 0.0) -> Iterator[Company]:
    with Outside(home, completes_after=completes_after) as outside:
        outside.world.admit(TOKENS)
        yield Company(outside)


@dataclass(frozen=True)
class Called:
    """One callback as it arrived."""

    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def said(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.raw)
        return found


class Ear:
    """Where the bodies call back. ``codes``: what it answers, in turn; then always 204."""

    def __init__(self, *codes: int, port: int = 0) -> None:
        self.heard: list[Called] = []
        waiting = list(codes)
        ear = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:
                pass

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                code = waiting.pop(0) if waiting else 204
                ear.heard.append(Called(self.path, dict(self.headers), raw))
                self.send_response(code)
                self.send_header("Content-Length", "0")
                self.end_headers()

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Ear:
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def hears(self, calls: int, seconds: float = 10) -> list[Called]:
        assert wait_until(lambda: len(self.heard) >= calls, seconds), f"only {len(self.heard)} calls came"
        return self.heard


__all__ = [
    "BODY",
    "FACE",
    "LOGIN",
    "NAME",
    "PHONE",
    "TOKENS",
    "Called",
    "Company",
    "Ear",
    "asked",
    "running",
    "verify",
]
