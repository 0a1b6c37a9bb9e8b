"""The sandbox's partners: our own client tells them, and they believe what the company signed and nothing else."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from typer.testing import CliRunner

from include.commands import _partner as command
from include.model.doors import Endpoint
from include.model.errors import NotReachable, Refused
from include.recipients.our_signature import OurSignature
from include.recipients.telling_partners import tell
from include.sandbox.recipients.outside import Outside
from include.sandbox.recipients.partners import Company, Partners
from include.sandbox.stack import our_key, stack

KEY, OTHER = our_key.made(), our_key.made()
US = OurSignature.of(KEY)
REFERENCE = "bank-000001"


@dataclass
class Door:
    """Our endpoint as a partner meets it: it signs for what it is sent, as a test wants it to."""

    signature: OurSignature = US
    status: int = 201
    changes: dict[str, Any] = field(default_factory=dict)
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    url: str = ""

    def __enter__(self) -> Door:
        door = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                said = json.loads(raw)
                door.seen.append((self.headers["Authorization"], said))
                receipt = {
                    "subject_request_id": said["subject_request_id"],
                    "encoded_request": base64.b64encode(raw).decode(),
                } | door.changes
                body = json.dumps(receipt).encode()
                self.send_response(door.status)
                for name, value in door.signature.headers(body).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v2"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Bank:
    """A partner that listens, and the company that tells it."""

    outside: Outside
    partners: Partners
    door: Door

    @property
    def callback(self) -> str:
        return f"{self.outside.url}/partners/bank/callbacks"

    @property
    def company(self) -> Company:
        return Company(self.door.url, "token-of-bank", self.callback)

    def endpoint(self, where: str = "") -> Endpoint:
        return Endpoint(url=where or self.callback, authority=str(self.outside.authority.certificate))

    def ask(self) -> str:
        return self.partners.ask("bank", self.company, REFERENCE)

    def body(self, rid: str, **changed: Any) -> bytes:
        parts = [{"code": "DELETED", "count": 1}]
        said = {"controller_id": "bank", "subject_request_id": rid, "request_status": "completed",
                "status_callback_url": self.callback, "extensions": {US.domain: {"answers": parts}}}  # fmt: skip
        return json.dumps(said | changed).encode()


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    with Outside(tmp_path / "outside") as outside, Door() as door:
        partners = Partners(outside.world.state)
        partners.acquaint({"bank": our_key.certificate(KEY)})
        yield Bank(outside, partners, door)


def test_a_partner_asks_by_its_own_number_and_hears_what_we_signed(bank: Bank) -> None:
    rid = bank.ask()
    ((authorization, asked),) = bank.door.seen
    assert authorization == "Bearer token-of-bank" and asked["status_callback_urls"] == [bank.callback]
    assert [i["identity_value"] for i in asked["subject_identities"]] == [REFERENCE]
    tell(bank.endpoint(), US, bank.body(rid))
    (one,) = bank.partners.heard("bank")
    assert (one.request, one.status, one.why) == (rid, "completed", "")
    assert one.answers == [{"code": "DELETED", "count": 1}]
    assert bank.partners.heard("insurer") == [] and bank.partners.asked() == [("bank", rid)]


@pytest.mark.parametrize(
    ("signature", "changed", "where", "why"),
    [
        (OurSignature.of(OTHER), {}, "", "its signature is not the company's"),
        (US, {"subject_request_id": "11111111-1111-4111-8111-111111111111"}, "", "no request of this partner's"),
        (US, {"controller_id": "insurer"}, "", "no request of this partner's"),
        (US, {"status_callback_url": "https://elsewhere.example/"}, "", "meant for another address"),
        (US, {"request_status": "gone"}, "", "says no status"),
    ],
    ids=["another key", "nobody's request", "another partner", "another address", "no status"],
)  # fmt: skip
def test_what_is_not_ours_or_not_for_it_is_kept_with_why_and_not_believed(
    bank: Bank, signature: OurSignature, changed: dict[str, Any], where: str, why: str
) -> None:
    rid = bank.ask()
    with pytest.raises(NotReachable, match="answered 40"):
        tell(bank.endpoint(where), signature, bank.body(rid, **changed))
    (one,) = bank.partners.heard()
    assert why in one.why


def test_one_byte_changed_after_signing_is_not_believed_and_nothing_of_it_is_kept(bank: Bank) -> None:
    body = bank.body(bank.ask())
    reply = requests.post(
        bank.callback, data=body.replace(b'"count": 1', b'"count": 9'), headers=US.headers(body), timeout=10,
        verify=str(bank.outside.authority.certificate),
    )  # fmt: skip
    (one,) = bank.partners.heard()
    assert reply.status_code == 403 and one.said == {} and one.why


def test_who_is_no_partner_has_no_address(bank: Bank) -> None:
    with pytest.raises(NotReachable, match="answered 404"):
        tell(bank.endpoint(f"{bank.outside.url}/partners/nobody/callbacks"), US, b"{}")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"signature": OurSignature.of(OTHER)}, "signature"),
        ({"status": 401}, "401"),
        ({"changes": {"encoded_request": "e30="}}, "not what it was sent"),
    ],
    ids=["another key", "not taken", "another receipt"],
)
def test_a_request_that_was_not_signed_for_is_none(bank: Bank, changes: dict[str, Any], why: str) -> None:
    for name, value in changes.items():
        setattr(bank.door, name, value)
    with pytest.raises(Refused, match=why):
        bank.ask()


def test_it_is_asked_and_shown_by_the_command_line(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        stack, "Stack",
        lambda: SimpleNamespace(exists=True, outside=bank.outside.world.home, for_partner=lambda p: bank.company,
                                company=SimpleNamespace(superuser_conninfo=lambda name: "")),
    )  # fmt: skip

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(command.app, list(arguments), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    assert "signed for" in run("ask", "bank", REFERENCE)
    ((_, rid),) = bank.partners.asked("bank")
    tell(bank.endpoint(), US, bank.body(rid))
    said = run("heard")
    assert "completed" in said and "the company's" in said and "DELETED (1)" in said
    assert REFERENCE not in said
