"""We as a recipient, over HTTP: who may ask, what is taken, and that all we answer is signed."""

from __future__ import annotations

import base64
import json
import threading
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from uuid import UUID, uuid4

import pytest
import schemathesis
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, settings
from quietus_recipients import callback, partners
from quietus_recipients.app import make
from quietus_recipients.limits import Allowance, Allowances
from starlette.testclient import TestClient

from include.cases.upstream import Request, Status
from include.model.doors import Endpoint
from include.model.errors import NotReachable, Refused
from include.model.notices import AnswerCode, Part
from include.model.policy import Upstream
from include.recipients import signing
from include.recipients.our_signature import OurSignature
from include.recipients.telling_partners import tell
from tests.plugins.counting import counted
from tests.plugins.test_callback import certificate

BANK, INSURER = (Upstream(id=i, name=i, partner=i, region="CN") for i in ("bank", "insurer"))
TOKENS = {"bank": "bank-token", "insurer": "insurer-token"}
HOOK = "https://bank.example/hooks"
OURS = "us.example"
KEY = ec.generate_private_key(ec.SECP256R1())
SIGNATURE = OurSignature(KEY, certificate(KEY, OURS))
HELLO = {"Authorization": "Bearer bank-token", "Content-Type": "application/json"}


class Book:
    """A case book that knows one person of the bank's."""

    def __init__(self) -> None:
        self.requests: dict[tuple[str, UUID], Request] = {}
        self.asked: list[tuple[str, str, bool]] = []
        self.status_of: dict[UUID, Status] = {}

    def receive(self, partner: Upstream, request_id: UUID, reference: str, calls_back: bool) -> Request:
        self.asked.append((partner.id, reference, calls_back))
        made = Request(partner.id, request_id, None, datetime(2026, 11, 25, tzinfo=UTC), date(2026, 12, 25))
        return self.requests.setdefault((partner.id, request_id), made)

    def status(self, partner: Upstream, request_id: UUID) -> Status:
        if (partner.id, request_id) not in self.requests:
            raise Refused("there is no such request", about=partner.id)
        known = self.requests[partner.id, request_id]
        return self.status_of.get(request_id, Status(known, "pending"))

    def cancel(self, partner: Upstream, request_id: UUID) -> Status:
        self.status_of[request_id] = Status(self.requests[partner.id, request_id], "cancelled")
        return self.status_of[request_id]


def app(book: Book, each: Allowances | None = None) -> Any:
    at = partners.Desk(
        partners=lambda: (BANK, INSURER), token=lambda p: TOKENS[p.id], callback_url=lambda p: HOOK,
        signature=lambda: SIGNATURE, receive=book.receive, status=book.status, cancel=book.cancel,
        in_all=Allowance(1e6, 1e6), each=each or counted(),
    )  # fmt: skip
    return make(_no_recipients, lambda: at)


def _no_recipients() -> callback.Desk:
    raise AssertionError("no recipient is asked for here")


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def client(book: Book) -> TestClient:
    return TestClient(app(book), raise_server_exceptions=False, headers=HELLO)


def named(value: str, **changed: str) -> dict[str, str]:
    """A person, by the partner's own number."""
    return {
        "identity_type": "controller_customer_id",
        "identity_value": value,
        "identity_format": "raw",
    } | changed


def asked(**changed: Any) -> dict[str, Any]:
    return {
        "subject_request_id": str(uuid4()), "subject_request_type": "erasure",
        "submitted_time": "2026-11-25T01:00:00Z", "subject_identities": [named("b-1")], "api_version": "2.0", **changed,
    }  # fmt: skip


def check_signed(reply: Any) -> dict[str, Any]:
    signing.verify(reply.headers, reply.content, SIGNATURE.certificate, OURS, "us")
    return dict(reply.json())


def test_a_request_is_signed_for_and_its_status_can_be_asked(client: TestClient, book: Book) -> None:
    said = asked(status_callback_urls=[HOOK])
    receipt = client.post("/v2/requests", json=said)
    assert receipt.status_code == 201
    signed_for = check_signed(receipt)
    assert signed_for["subject_request_id"] == said["subject_request_id"]
    assert json.loads(base64.b64decode(signed_for["encoded_request"])) == said
    assert book.asked == [("bank", "b-1", True)]
    state = client.get(f"/v2/requests/{said['subject_request_id']}")
    assert check_signed(state)["request_status"] == "pending"
    assert check_signed(client.get("/v2/discovery"))["supported_subject_request_types"] == ["erasure"]
    pem = client.get("/v2/certificate.pem").content
    assert x509.load_pem_x509_certificate(pem) == SIGNATURE.certificate


def test_an_answer_comes_with_its_evidence(client: TestClient, book: Book) -> None:
    said = asked()
    client.post("/v2/requests", json=said)
    done = Part(code=AnswerCode.DELETED, count=2, at=datetime(2026, 12, 1, tzinfo=UTC), method="erased")
    request = book.requests["bank", UUID(said["subject_request_id"])]
    book.status_of[request.request_id] = Status(request, "completed", (done,))
    state = check_signed(client.get(f"/v2/requests/{request.request_id}"))
    assert state["extensions"][OURS]["answers"] == [
        {"code": "DELETED", "count": 2, "at": "2026-12-01T00:00:00Z", "method": "erased"}
    ]


@pytest.mark.parametrize(
    "token", ["", "Bearer", "Bearer wrong", "Basic bank-token", "Bearer bank-token2", "Bearer é"]
)
def test_without_its_token_nobody_is_a_partner(client: TestClient, book: Book, token: str) -> None:
    said, headers = asked(), {"Authorization": token.encode("latin-1")}
    for reply in (
        client.post("/v2/requests", json=said, headers=headers),  # type: ignore[arg-type]
        client.get(f"/v2/requests/{uuid4()}", headers=headers),  # type: ignore[arg-type]
        client.delete(f"/v2/requests/{uuid4()}", headers=headers),  # type: ignore[arg-type]
    ):
        assert reply.status_code == 401 and "authenticate" in str(reply.headers)
    assert book.asked == []


def test_a_partner_sees_and_takes_back_only_its_own(client: TestClient) -> None:
    said = asked()
    client.post("/v2/requests", json=said)
    path, other = f"/v2/requests/{said['subject_request_id']}", {"Authorization": "Bearer insurer-token"}
    assert (
        client.get(path, headers=other).status_code == client.delete(path, headers=other).status_code == 404
    )
    gone = client.delete(path)
    assert gone.status_code == 202 and check_signed(gone)["subject_request_id"] == said["subject_request_id"]
    assert client.get(path).json()["request_status"] == "cancelled"


@pytest.mark.parametrize(
    "changed",
    [
        {"subject_request_type": "access"},
        {"subject_request_id": "1"},
        {"status_callback_urls": ["http://169.254.169.254/latest/meta-data"]},
        {"status_callback_urls": [HOOK, "https://elsewhere.example"]},
        {"subject_identities": []},
        {"subject_identities": [named("a@b.cn", identity_type="email")]},
        {"subject_identities": [named("x", identity_format="sha256")]},
        {"subject_identities": [named("x"), named("y")]},
        {"subject_identities": [named("a\0b")]},
        {"submitted_time": "yesterday"},
    ],
)  # fmt: skip
def test_what_we_did_not_agree_on_is_refused_and_nothing_is_looked_up(
    client: TestClient, book: Book, changed: dict[str, Any]
) -> None:
    reply = client.post("/v2/requests", json=asked(**changed))
    assert (reply.status_code, book.asked) == (400, [])
    assert "a@b.cn" not in reply.text and "169.254" not in reply.text


def test_a_partner_that_asks_too_fast_waits_and_the_other_does_not(book: Book) -> None:
    client = TestClient(app(book, counted(0.1, 1)), headers=HELLO)
    assert client.post("/v2/requests", json=asked()).status_code == 201
    assert client.post("/v2/requests", json=asked()).status_code == 429
    other = {"Authorization": "Bearer insurer-token"}
    assert client.post("/v2/requests", json=asked(), headers=other).status_code == 201


def test_our_key_must_be_our_certificates() -> None:
    def pem(key: ec.EllipticCurvePrivateKey) -> str:
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return private.decode() + SIGNATURE.pem.decode()

    assert OurSignature.of(pem(KEY)).domain == OURS
    for wrong in (pem(ec.generate_private_key(ec.SECP256R1())), "", "-----BEGIN", SIGNATURE.pem.decode()):
        with pytest.raises(Refused, match="cannot be used"):
            OurSignature.of(wrong)


class Hook(BaseHTTPRequestHandler):
    """A partner's address for callbacks."""

    status = 200
    heard: list[tuple[dict[str, str], bytes]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.heard.append((dict(self.headers), body))
        self.send_response(self.status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: Any) -> None:
        pass


def test_a_partner_is_called_back_signed_and_never_led_elsewhere() -> None:
    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = Endpoint(f"http://127.0.0.1:{server.server_port}/hook")
    try:
        tell(endpoint, SIGNATURE, b'{"a": 1}')
        headers, body = Hook.heard[-1]
        signing.verify(headers, body, SIGNATURE.certificate, OURS, "us")
        for status in (302, 500):
            Hook.status, before = status, len(Hook.heard)
            with pytest.raises(NotReachable, match=str(status)):
                tell(endpoint, SIGNATURE, b"{}")
            assert len(Hook.heard) == before + 1, "a redirect is not followed"
    finally:
        server.shutdown()
        server.server_close()
    with pytest.raises(NotReachable, match="not reached"):
        tell(endpoint, SIGNATURE, b"{}")


# --- anything at all ------------------------------------------------------------------------------------

SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", app(Book())).include(path_regex="^/v2/")
FEW = settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@pytest.mark.timeout(600)  # Hypothesis makes a finding smaller for 300 s at most, and then tells of it
@SCHEMA.parametrize()
@FEW
def test_fuzzed_without_a_token_nothing_is_taken(case: schemathesis.Case) -> None:
    case.headers = {k: v for k, v in (case.headers or {}).items() if k.lower() != "authorization"}
    status = case.call().status_code
    assert status < 500
    assert status >= 400 or case.path in ("/v2/discovery", "/v2/certificate.pem")


@pytest.mark.timeout(600)  # Hypothesis makes a finding smaller for 300 s at most, and then tells of it
@SCHEMA.parametrize()
@FEW
def test_fuzzed_with_a_token_nothing_breaks(case: schemathesis.Case) -> None:
    assert case.call(headers={"Authorization": "Bearer bank-token"}).status_code < 500
