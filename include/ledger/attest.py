"""What the signer attests besides certificates: statements about bags that are handed over, and receipts for them.

A DSSE envelope, as certificates are in (https://github.com/secure-systems-lab/dsse), with a payload type of its own for each
kind, so that none can be shown for another. The payload is RFC 8785 canonical JSON.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from include.ledger import verify
from include.model.errors import LedgerError, Refused

TYPES = {
    "quietus-bag/1": "application/vnd.quietus.bag+json",
    "quietus-bag-receipt/1": "application/vnd.quietus.bag-receipt+json",
    "quietus-bag-notice/1": "application/vnd.quietus.bag-notice+json",
    "quietus-bag-notice-receipt/1": "application/vnd.quietus.bag-notice-receipt+json",
    "quietus-bag-request/1": "application/vnd.quietus.bag-request+json",
    "quietus-bag-objection/1": "application/vnd.quietus.bag-objection+json",
    "quietus-bag-request-receipt/1": "application/vnd.quietus.bag-request-receipt+json",
    "quietus-dataroom-statement/1": "application/vnd.quietus.dataroom-statement+json",
}
"""Format of the payload -> its type in the envelope."""
MOST = 16 * 1024 * 1024  # bytes of an envelope: a receipt that names every item of a full bag


def pae(kind: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what is signed."""
    return verify.encoded(kind, payload)


def parsed(payload: bytes) -> dict[str, Any]:
    """The payload, if it is canonical JSON of a format that can be attested. Raises Refused."""
    try:
        said = json.loads(payload)
        fine = isinstance(said, dict) and said.get("format") in TYPES and verify.canonical(said) == payload
    except (ValueError, TypeError, RecursionError):
        fine = False
    if not fine:
        raise Refused("it is no canonical statement of a known format")
    return dict(said)


def envelope(payload: bytes, sign: Callable[[bytes], bytes], public: Ed25519PublicKey) -> bytes:
    """The signed envelope as a file."""
    kind = TYPES[parsed(payload)["format"]]
    signature = {"keyid": verify.key_id(public), "sig": base64.b64encode(sign(pae(kind, payload))).decode()}
    said = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": kind,
        "signatures": [signature],
    }
    return verify.canonical(said) + b"\n"


def public_key(pem: str) -> Ed25519PublicKey:
    """Raises Refused unless it is an Ed25519 public key in PEM."""
    try:
        key = load_pem_public_key(pem.encode())
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise Refused(
            "it is no Ed25519 public key in PEM", about="key", next_step="ask for the key, and check it by phone"
        )  # fmt: skip
    return key


def form_of(file: bytes) -> str | None:
    """What a signed file says it is, by its type; nothing of it is believed by that. None: no kind that is known."""
    try:
        kind = json.loads(file)["payloadType"] if len(file) <= MOST else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return next((form for form, type_ in TYPES.items() if type_ == kind), None)


def opened(file: bytes, form: str, key: Ed25519PublicKey) -> bytes:
    """The payload of an envelope of this format, if its one signature is by this key. Raises LedgerError."""
    try:
        if len(file) > MOST:
            raise ValueError
        said = json.loads(file)
        payload = verify.unbase64(said["payload"], "its payload")
        (signature,) = said["signatures"]
        if said["payloadType"] != TYPES[form]:
            raise LedgerError(f"it is no {form}", about="signed file", next_step="ask for the right file")
        key.verify(verify.unbase64(signature["sig"], "its signature"), pae(TYPES[form], payload))
        if parsed(payload)["format"] != form:
            raise ValueError
    except LedgerError:
        raise
    except InvalidSignature:
        raise LedgerError(
            "its signature is not by the key that was agreed", about=form,
            next_step="nothing of it is believed; ask the other side what it signed, and with which key",
        ) from None  # fmt: skip
    except (ValueError, KeyError, TypeError, RecursionError, Refused, verify.Bad):
        raise LedgerError(
            "it is damaged, or no signed file", about=form, next_step="fetch it again"
        ) from None
    return payload


def digest(payload: bytes) -> str:
    """SHA-256 of a payload, in hex: how one statement names another."""
    return hashlib.sha256(payload).hexdigest()
