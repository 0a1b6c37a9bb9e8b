"""The companies that gave ours data: each tells it to delete, and hears at an address of its own how that stands.

OpenDSR 2.0 as its controller speaks it. A partner believes a message that is signed by the certificate it was shown when
the contract was made, about a request that it made, and meant for its own address; it keeps what it was sent either way.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import requests
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from include.model.errors import NotReachable, Refused
from include.sandbox.recipients.reading import API_VERSION
from include.sandbox.recipients.state import State

TIMEOUT = (3.0, 30.0)  # seconds to connect, and to be answered
DOMAIN, SIGNATURE = "x-opendsr-processor-domain", "x-opendsr-signature"
STATUSES = ("pending", "in_progress", "completed", "cancelled")


@dataclass(frozen=True)
class Heard:
    """One message that came to a partner's address. ``why``: why it was not believed; nothing if it was."""

    partner: str
    request: str
    status: str
    why: str
    said: Mapping[str, Any]

    @property
    def answers(self) -> list[dict[str, Any]]:
        """What the company says became of the data, under whatever domain it says so."""
        extensions = self.said.get("extensions") or {}
        return [part for inner in extensions.values() for part in inner.get("answers", ())]


@dataclass(frozen=True)
class Company:
    """The company as a partner reaches it: the address that ends in /v2, the partner's token for it, and the partner's
    own address, which the company calls back."""

    url: str
    token: str
    callback: str


class Partners:
    """All partners over one memory."""

    def __init__(self, state: State) -> None:
        self._state = state

    def acquaint(self, certificates: Mapping[str, str]) -> None:
        """By partner, the certificate (PEM) by which it will know the company's signature from now on."""
        with self._state.change() as db:
            db.executemany(
                "INSERT OR REPLACE INTO acquainted VALUES (?, ?)",
                [
                    (p, x509.load_pem_x509_certificate(pem.encode()).public_bytes(serialization.Encoding.PEM))
                    for p, pem in certificates.items()
                ],
            )

    def ask(self, partner: str, company: Company, reference: str) -> str:
        """Tell the company to delete a person, by the partner's own number; the request's id. Raises Refused where it
        does not take that or does not sign for it, NotReachable where it does not answer."""
        rid = str(uuid.uuid4())
        body = json.dumps(
            {
                "regulation": "pipl",
                "api_version": API_VERSION,
                "subject_request_id": rid,
                "subject_request_type": "erasure",
                "submitted_time": datetime.now(UTC).isoformat(timespec="seconds"),
                "subject_identities": [
                    {
                        "identity_type": "controller_customer_id",
                        "identity_value": reference,
                        "identity_format": "raw",
                    }
                ],
                "status_callback_urls": [company.callback],
            }
        ).encode()
        # Before it is sent: the company may call back before it is heard.
        with self._state.change() as db:
            db.execute(
                "INSERT INTO asking (partner, id, callback, asked_at) VALUES (?, ?, ?, ?)",
                (partner, rid, company.callback, time.time()),
            )
        reply = self._called(partner, "POST", f"{company.url}/requests", company, body)
        if reply.status_code != HTTPStatus.CREATED:
            raise _refused(f"the company answered {reply.status_code}", partner)
        self._signed(partner, reply.headers, reply.content)
        receipt = _object(reply.content)
        if receipt.get("subject_request_id") != rid or receipt.get("encoded_request") != _base64(body):
            raise _refused("what it signed for is not what it was sent", partner)
        return rid

    def status(self, partner: str, company: Company, rid: str) -> dict[str, Any]:
        """How a request stands, as the company signs it when it is asked. Raises as :meth:`ask` does."""
        reply = self._called(partner, "GET", f"{company.url}/requests/{rid}", company)
        if reply.status_code != HTTPStatus.OK:
            raise _refused(f"the company answered {reply.status_code}", partner)
        self._signed(partner, reply.headers, reply.content)
        return _object(reply.content)

    def hear(self, partner: str, path: str, headers: Mapping[str, str], raw: bytes | None) -> HTTPStatus:
        """A message to the partner's address: what it is answered. What was not believed is kept with why."""
        if not self.known(partner):
            return HTTPStatus.NOT_FOUND
        said: dict[str, Any] = {}
        answered, why = HTTPStatus.OK, ""
        try:
            if raw is None:
                raise _refused("it is longer than any message", partner)
            self._signed(partner, headers, raw)
        except Refused as refused:
            answered, why = HTTPStatus.FORBIDDEN, refused.what
        else:
            try:
                said = _object(raw)
                self._ours(partner, path, said)
            except Refused as refused:
                answered, why = HTTPStatus.BAD_REQUEST, refused.what
        with self._state.change() as db:
            db.execute(
                "INSERT INTO hearing (partner, request, status, said, why, heard_at) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    partner,
                    str(said.get("subject_request_id", "")),
                    str(said.get("request_status", "")),
                    json.dumps(said, ensure_ascii=False),
                    why,
                    time.time(),
                ),
            )
        return answered

    def heard(self, partner: str | None = None) -> list[Heard]:
        """Everything that came, in its order."""
        rows = self._state.rows(
            "SELECT partner, request, status, why, said FROM hearing WHERE ?1 IS NULL OR partner = ?1 ORDER BY number",
            (partner,),
        )
        return [Heard(p, r, s, why, json.loads(said)) for p, r, s, why, said in rows]

    def asked(self, partner: str | None = None) -> list[tuple[str, str]]:
        """(partner, request) of everything that was asked, in its order."""
        rows = self._state.rows(
            "SELECT partner, id FROM asking WHERE ?1 IS NULL OR partner = ?1 ORDER BY asked_at", (partner,)
        )
        return [(str(p), str(i)) for p, i in rows]

    def known(self, partner: str) -> bool:
        return self._state.row("SELECT 1 FROM acquainted WHERE partner = ?", (partner,)) is not None

    # --- what is believed ------------------------------------------------------------------------

    def _ours(self, partner: str, path: str, said: Mapping[str, Any]) -> None:
        """That a message is about a request of this partner's, and was meant for the address at which it came."""
        row = self._state.row(
            "SELECT callback FROM asking WHERE partner = ? AND id = ?",
            (partner, str(said.get("subject_request_id"))),
        )
        if row is None or said.get("controller_id") != partner:
            raise _refused("it is about no request of this partner's", partner)
        if said.get("status_callback_url") != row[0] or urlsplit(row[0]).path != path:
            raise _refused("it was meant for another address", partner)
        if said.get("request_status") not in STATUSES:
            raise _refused("it says no status that there is", partner)

    def _signed(self, partner: str, headers: Mapping[str, str], body: bytes) -> None:
        row = self._state.row("SELECT certificate FROM acquainted WHERE partner = ?", (partner,))
        if row is None:
            raise _refused("it was never shown the company's certificate", partner)
        certificate = x509.load_pem_x509_certificate(row[0])
        given = {name.lower(): value for name, value in headers.items()}
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if given.get(DOMAIN, "").lower() not in names.get_values_for_type(x509.DNSName):
            raise _refused("it is signed for another domain, or for none", partner)
        try:
            signature = base64.b64decode(given.get(SIGNATURE, ""), validate=True)
            key = certificate.public_key()
            if isinstance(key, rsa.RSAPublicKey):
                key.verify(signature, body, padding.PKCS1v15(), hashes.SHA256())
            elif isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(signature, body, ec.ECDSA(hashes.SHA256()))
            else:
                raise InvalidSignature
        except (InvalidSignature, ValueError):
            raise _refused("its signature is not the company's", partner) from None

    @staticmethod
    def _called(
        partner: str, method: str, url: str, company: Company, body: bytes | None = None
    ) -> requests.Response:
        try:
            with requests.Session() as session:
                session.trust_env = False  # no proxy on loopback
                return session.request(
                    method, url, data=body, timeout=TIMEOUT, allow_redirects=False,
                    headers={"Content-Type": "application/json", "Authorization": f"Bearer {company.token}"},
                )  # fmt: skip
        except requests.RequestException:
            raise NotReachable(
                "the company's endpoint does not answer", about=partner, next_step="quietus sandbox status"
            ) from None


def _object(raw: bytes) -> dict[str, Any]:
    try:
        said = json.loads(raw)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise Refused("it is no JSON object", about="partner")
    return said


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _refused(what: str, partner: str) -> Refused:
    return Refused(what, about=partner, next_step="see `quietus sandbox partner heard`")
