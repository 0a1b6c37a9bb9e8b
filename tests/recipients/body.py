"""A body that speaks OpenDSR over HTTPS, and misbehaves in every way that a test names."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from tests.recipients.authority import Issued

SECRET = "the-bearer-secret"
EXPECTED = "2026-12-01T10:00:00+08:00"


@dataclass
class Body:
    """What it is like. Change it between two calls; ``asked`` counts what arrived, by path."""

    domain: str
    signer: Issued
    mode: str = ""
    on: str = "POST"  # the method that the mode is about
    retry_after: str | None = None
    answers: list[dict[str, Any]] | None = None
    status: str = "completed"
    port: int = 0
    requests: dict[str, dict[str, Any]] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    people: set[str] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)
    connections: int = 0
    certificate_at: str | None = None  # another place than ours

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/v2"


class Handler(BaseHTTPRequestHandler):
    body: ClassVar[Body]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def setup(self) -> None:
        super().setup()
        self.body.connections += 1

    def do_GET(self) -> None:
        self._do("GET")

    def do_POST(self) -> None:
        self._do("POST")

    def do_DELETE(self) -> None:
        self._do("DELETE")

    def _do(self, method: str) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.body.asked.append((method, self.path))
        if self.headers.get("Authorization") != f"Bearer {SECRET}":
            self._say(401, b"{}")
        elif self.path.endswith("/cert.pem"):
            self._say(200, self.body.signer.pem, kind="application/x-pem-file")
        else:
            if method == "POST":
                self.body.requests[json.loads(raw)["subject_request_id"]] = json.loads(raw)
            discovering = self.path.endswith("/discovery")
            about = "discovery" if discovering else method
            mode = self.body.mode if about == self.body.on else ""
            self._misbehave(mode, method, raw)

    def _misbehave(self, mode: str, method: str, raw: bytes) -> None:
        code, said = self._right(method, raw)
        text = json.dumps(said).encode()
        match mode:
            case "silent":
                time.sleep(1.5)
                self._say(code, text)
            case "drip":
                self._head(code, len(text))
                for at in range(len(text)):
                    time.sleep(0.05)
                    self.wfile.write(text[at : at + 1])
                    self.wfile.flush()
            case "drip of the head":
                self.wfile.write(b"HTTP/1.1 201 Created\r\n")
                for at in range(100):
                    time.sleep(0.05)
                    self.wfile.write(b"X-%d: drop\r\n" % at)
                    self.wfile.flush()
                self.close_connection = True
            case "cut":
                self._head(code, len(text))
                self.wfile.write(text[: len(text) // 2])
                self.close_connection = True
            case "hang up":
                self.close_connection = True
            case "redirect":
                self.send_response(307)
                self.send_header("Location", f"https://127.0.0.1:{self.body.port}/elsewhere/requests")
                self.send_header("Content-Length", "0")
                self.end_headers()
            case "html":
                self._say(code, b"<html>welcome</html>", kind="text/html")
            case "list":
                self._say(code, b"[]")
            case "deep":
                self._say(code, b"[" * 100_000)
            case "huge":
                self._say(code, b" " * 2_000_000)
            case "unsigned":
                self._say(code, text, signature="")
            case "not base64":
                self._say(code, text, signature="!!!")
            case "changed":
                self._say(code, text.replace(b"}", b" }"), signature=self._signature(text))
            case "other domain":
                self._say(code, text, domain="somebody.example")
            case "another id":
                self._say(
                    code,
                    text.replace(
                        said["subject_request_id"].encode(), b"a7551968-d5d6-44b2-9831-815ac9017798"
                    ),
                )
            case "another request":
                self._say(
                    code, json.dumps({**said, "encoded_request": base64.b64encode(b"{}").decode()}).encode()
                )
            case "lacks a field":
                del said["expected_completion_time"]
                self._say(code, json.dumps(said).encode())
            case "no zone":
                self._say(
                    code, json.dumps({**said, "expected_completion_time": "2026-12-01T10:00:00"}).encode()
                )
            case "200":
                self._say(200, text)
            case status if status.isdigit():
                self._say(int(status), b'{"error": {"message": "secret of theirs"}}')
            case _:
                self._say(code, text)

    def _right(self, method: str, raw: bytes) -> tuple[int, Any]:
        body, last = self.body, self.path.rsplit("/", 1)[-1]
        common = {"controller_id": "us", "expected_completion_time": EXPECTED, "api_version": "2.0"}
        if self.path.endswith("/discovery"):
            return 200, {
                "api_version": "2.0", "supported_subject_request_types": ["erasure"],
                "supported_identities": [{"identity_type": "controller_customer_id", "identity_format": "raw"}],
                "processor_certificate": body.certificate_at or f"https://127.0.0.1:{body.port}/v2/cert.pem",
            }  # fmt: skip
        if method == "POST":
            return 201, {
                **common, "received_time": EXPECTED, "subject_request_id": json.loads(raw)["subject_request_id"],
                "encoded_request": base64.b64encode(raw).decode(),
            }  # fmt: skip
        if "/people/" in self.path:
            return (200, {"known": True}) if last in body.people else (404, {"error": {"code": 404}})
        if last not in body.requests:
            return 404, {"error": {"code": 404}}
        if method == "DELETE":
            body.cancelled.add(last)
            return 202, {**common, "received_time": EXPECTED, "subject_request_id": last}
        said = {**common, "subject_request_id": last, "request_status": body.status}
        if body.answers is not None:
            said["extensions"] = {body.domain: {"answers": body.answers}}
        return 200, said

    def _signature(self, text: bytes) -> str:
        return base64.b64encode(self.body.signer.sign(text)).decode()

    def _head(self, code: int, length: int) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def _say(
        self,
        code: int,
        text: bytes,
        *,
        kind: str = "application/json",
        signature: str | None = None,
        domain: str = "",
    ) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("X-OpenDSR-Processor-Domain", domain or self.body.domain)
        self.send_header("X-OpenDSR-Signature", self._signature(text) if signature is None else signature)
        if self.body.retry_after is not None:
            self.send_header("Retry-After", self.body.retry_after)
        self.end_headers()
        self.wfile.write(text)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what is tested."""


@contextmanager
def serving(body: Body, tls: Issued, directory: Path) -> Iterator[Body]:
    """The body on loopback, behind this certificate."""
    server = _Server(("127.0.0.1", 0), type("Bound", (Handler,), {"body": body}))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*tls.files(directory))
    # The handshake belongs to the connection's own thread, or a client that waits would stop all others.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    body.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield body
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
