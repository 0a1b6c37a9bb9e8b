"""The bodies' doors for machines: OpenDSR 2.0 over HTTPS, each body under a path of its own.

    GET    /<body>/v2/discovery           what it supports, and where its certificate is
    GET    /<body>/v2/certificate.pem     by which its signatures are checked
    POST   /<body>/v2/requests            an erasure; the same request id again is the same request
    GET    /<body>/v2/requests/<id>       pending, in_progress, completed with its answers, or cancelled
    DELETE /<body>/v2/requests/<id>       cancels one that is pending
    POST   /<body>/v2/register            hands over a person: {"ref": the body's reference, "categories": [...]}
    GET    /<body>/v2/people/<ref>        200 while it still knows the person, 404 when not (not in the specification)
    POST   /partners/<id>/callbacks       where a partner that gave us data hears how its request stands

Everything of a body's but the first two wants ``Authorization: Bearer``. Every answer is signed. Nothing of a request is logged.
"""

from __future__ import annotations

import re
import socket
import ssl
import sys
import traceback
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import unquote

from include.sandbox.recipients.authority import Authority
from include.sandbox.recipients.bodies import Door, Manner, bodies
from include.sandbox.recipients.book import Book, encoded
from include.sandbox.recipients.callbacks import headers
from include.sandbox.recipients.partners import Partners
from include.sandbox.recipients.reading import (
    API_VERSION,
    SUPPORTED,
    TYPES,
    BadRequest,
    json_object,
    read,
)
from include.sandbox.recipients.world import Record, World

MAX_BODY = 64 * 1024  # bytes
PATIENCE = 16 * MAX_BODY  # bytes that are read to be refused
ALIASES = {"status": "requests", "opengdpr_requests": "requests"}  # section 3.1, and section 10.1
Answer = tuple[HTTPStatus, dict[str, Any]]
PAGE = "<!doctype html><title>系统维护</title><h1>系统维护中，请稍后再试</h1>".encode()
ABSENT: Answer = HTTPStatus.NOT_FOUND, {"error": {"code": 404, "message": "there is nothing here"}}


class Handler(BaseHTTPRequestHandler):
    """One connection. What a body is like is looked up for each request, so that it can change at any time."""

    world: ClassVar[World]
    book: ClassVar[Book]
    authority: ClassVar[Authority]
    partners: ClassVar[Partners]
    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds of silence after which a connection is closed
    disable_nagle_algorithm = True  # else the body waits 40 ms for the headers' receipt

    def log_message(self, format: str, *args: Any) -> None:
        """Paths hold people's references; nothing is logged."""

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def _answer(self, method: str) -> None:
        raw = self._body()
        match = re.fullmatch(r"/([a-z][a-z0-9_]*)/v2/([a-z_.]+)(?:/([^/?#]+))?", self.path)
        if self.path == "/" and method == "GET":
            self._say(HTTPStatus.OK, encoded({"recipients": {b.id: b.name for b in bodies().values()}}), {})
            return
        if method == "POST" and (
            partner := re.fullmatch(r"/partners/([a-z][a-z0-9_]*)/callbacks", self.path)
        ):
            heard = self.partners.hear(partner[1], self.path, dict(self.headers), raw)
            self._say(heard, encoded({} if heard is HTTPStatus.OK else _error(heard, "it is not taken")), {})
            return
        if match is None or match[1] not in bodies():
            self._say(ABSENT[0], encoded(ABSENT[1]), {})
            return
        body, what, which = match[1], ALIASES.get(match[2], match[2]), unquote(match[3] or "") or None
        how = self.world.behaviour(body)
        if how.door is not Door.OPENDSR:
            self._say(ABSENT[0], encoded(ABSENT[1]), {})
            return
        if what == "certificate.pem" and method == "GET":
            self._say(HTTPStatus.OK, self.authority.signer(how.body).pem, {}, "application/x-pem-file")
            return
        times = self.world.call(body, f"{method} {what}")
        match how.manner:
            case Manner.HTML:
                self._say(HTTPStatus.OK, PAGE, {}, "text/html; charset=utf-8")
            case Manner.REDIRECTING:
                there = f"/{body}/v2/elsewhere"
                self._say(HTTPStatus.TEMPORARY_REDIRECT, b"", {"Location": there})
            case Manner.FLAKY if times % 2 and what != "elsewhere":
                self._fail(times // 2, method, body, what, which, raw)
            case _:
                self._tell(how.manner, body, self._said(method, body, what, which, raw))

    def _tell(self, manner: Manner, body: str, said: Answer) -> None:
        payload = encoded(said[1])
        self._say(
            said[0], payload, headers(self.authority, body, manner, payload), cut=manner is Manner.CLOSING
        )

    def _fail(
        self, turn: int, method: str, body: str, what: str, which: str | None, raw: bytes | None
    ) -> None:
        """The three ways in turn. The last one has understood: whoever asks again must not have asked twice."""
        match turn % 3:
            case 0:
                self._say(HTTPStatus.SERVICE_UNAVAILABLE, PAGE, {}, "text/html; charset=utf-8")
            case 1:
                self._say(HTTPStatus.TOO_MANY_REQUESTS, b"", {"Retry-After": "1"})
            case _:
                self._said(method, body, what, which, raw)
                self._hang_up()

    def _hang_up(self) -> None:
        """As a crash does it: the other side sees a reset."""
        self.close_connection = True
        connection = self.connection
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        connection.close()

    # --- what is said ----------------------------------------------------------------------------

    def _body(self) -> bytes | None:
        """None if it is longer than anybody takes, or of no certain length."""
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if "Transfer-Encoding" not in self.headers and 0 <= length <= PATIENCE:
            said = self.rfile.read(
                length
            )  # also of what is too long: whoever is still sending reads no answer
            return said if length <= MAX_BODY else None
        self.close_connection = True
        return None

    def _said(self, method: str, body: str, what: str, which: str | None, raw: bytes | None) -> Answer:
        try:
            if raw is None:
                raise BadRequest(f"a body has at most {MAX_BODY} bytes")
            if (method, what, which) == ("GET", "discovery", None):
                return HTTPStatus.OK, self._discovery(body)
            if not self.world.may(body, self._token()):
                return HTTPStatus.UNAUTHORIZED, _error(HTTPStatus.UNAUTHORIZED, "a bearer token is required")
            return self._route(method, body, what, which, raw)
        except BadRequest as wrong:
            return HTTPStatus.BAD_REQUEST, _error(HTTPStatus.BAD_REQUEST, str(wrong))

    def _token(self) -> str:
        kind, _, token = (self.headers.get("Authorization") or "").partition(" ")
        return token.strip() if kind.lower() == "bearer" else ""

    def _discovery(self, body: str) -> dict[str, Any]:
        here = self.headers.get("Host") or "127.0.0.1"
        return {
            "api_version": API_VERSION,
            "supported_identities": [
                {"identity_type": kind, "identity_format": form} for kind, form in SUPPORTED
            ],
            "supported_subject_request_types": list(TYPES),
            "processor_certificate": f"https://{here}/{body}/v2/certificate.pem",
        }

    def _route(self, method: str, body: str, what: str, which: str | None, raw: bytes) -> Answer:
        said: dict[str, Any] | None
        match method, what, which:
            case "POST", "requests", None:
                request = read(raw, bodies()[body].domain)
                return HTTPStatus.CREATED, self.book.ask(body, request, raw)
            case "GET", "requests", str(rid):
                said = self.book.status(body, rid)
                return (HTTPStatus.OK, said) if said is not None else ABSENT
            case "DELETE", "requests", str(rid):
                said = self.book.cancel(body, rid)
                return (HTTPStatus.ACCEPTED, said) if said is not None else ABSENT
            case "POST", "register", None:
                self.world.register([_record(body, json_object(raw), self.world)])
                return HTTPStatus.CREATED, {}
            case "GET", "people", str(ref):
                self.book.carry_on()
                return (HTTPStatus.OK, {"known": True}) if self.world.knows(body, ref) else ABSENT
            case _:
                return ABSENT

    def _say(
        self, code: HTTPStatus, payload: bytes, more: dict[str, str], kind: str = "application/json; charset=utf-8",
        *, cut: bool = False,
    ) -> None:  # fmt: skip
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(payload)))
        self.send_header("Cache-Control", "no-store")
        if self.close_connection:
            self.send_header("Connection", "close")
        if code is HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", "Bearer")
        for name, value in more.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload[: len(payload) // 2] if cut else payload)
        if cut:
            self.wfile.flush()
            self.close_connection = True


def _error(code: HTTPStatus, message: str) -> dict[str, Any]:
    """The specification's error object (7.6)."""
    detail = {"domain": "Validation", "reason": code.name, "message": message}
    return {"error": {"code": int(code), "message": message, "errors": [detail]}}


def _record(body: str, said: dict[str, Any], world: World) -> Record:
    ref, categories, value = said.get("ref"), said.get("categories"), said.get("value")
    if not isinstance(ref, str) or not re.fullmatch(r"[A-Za-z0-9._~-]{1,128}", ref):
        raise BadRequest("ref must be 1 to 128 letters, digits or . _ ~ -")
    if not isinstance(categories, list) or not categories or not all(isinstance(c, str) for c in categories):
        raise BadRequest("categories must say what was handed over")
    if value is not None and not isinstance(value, str):
        raise BadRequest("value must be a string")
    account = said.get("account")
    return Record(
        body, ref, account if isinstance(account, str) else ref, tuple(categories), world.today, value
    )


class Server(ThreadingHTTPServer):
    """TLS on loopback. A client that connects and says nothing keeps nobody else waiting."""

    daemon_threads = True

    def __init__(self, port: int, handler: type[Handler], context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", port), handler)
        self._context, self._handler = context, handler

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the connection's own thread: the handshake waits for the client.
        request.settimeout(Handler.timeout)
        with self._context.wrap_socket(request, server_side=True) as secured:
            self._handler(secured, client_address, self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or speaks no TLS, is nobody's fault. Of a fault of ours the place is told and not
        what it was about, which could name a person."""
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            where = traceback.extract_tb(error.__traceback__)[-1]
            sys.stderr.write(f"{type(error).__name__} at {where.filename}:{where.lineno}\n")


def serve(port: int, world: World, book: Book, authority: Authority) -> Server:
    """The server, bound to loopback and not yet answering. Port 0: any free one."""
    bound = {"world": world, "book": book, "authority": authority, "partners": Partners(world.state)}
    handler = type("BoundHandler", (Handler,), bound)
    return Server(port, handler, authority.context())
