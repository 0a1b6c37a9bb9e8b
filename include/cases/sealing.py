"""What keys are used for: sealing what a case must know, and keyed digests that join without naming.

Both happen here, in the client: neither a key nor a clear value ever reaches SQL. A seal is bound to its
case and field, so that a sealed value copied to another row does not open.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from include.cases.keys import NONCE_BYTES, KeyRef, KeyStore, Purpose
from include.model.errors import Refused

_FORMAT = b"\x01"


class Seal:
    """Seals and opens values of one case."""

    def __init__(self, keys: KeyStore, key_id: str, case_no: str) -> None:
        self._keys = keys
        self._key_id = key_id
        self._case_no = case_no

    def seal(self, field: str, value: str) -> bytes:
        """Format byte, nonce, ciphertext. ``field`` names the table, column and row it is for."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return _FORMAT + nonce + self._cipher().encrypt(nonce, value.encode(), self._bound(field))

    def open(self, field: str, sealed: bytes) -> str:
        """The value. Raises Refused if the key is destroyed or the seal is broken or of another field."""
        if sealed[:1] != _FORMAT:
            raise Refused(
                "the sealed value has an unknown format", about=self._case_no, next_step="check the row"
            )
        nonce, body = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        try:
            return self._cipher().decrypt(nonce, body, self._bound(field)).decode()
        except InvalidTag:
            raise Refused(
                f"the seal of {field} is broken", about=self._case_no,
                next_step="it was changed or moved: compare with the timeline",
            ) from None  # fmt: skip

    def _cipher(self) -> AESGCM:
        return AESGCM(self._keys.secret(self._key_id, Purpose.SEALING))

    def _bound(self, field: str) -> bytes:
        return f"quietus seal|{self._case_no}|{field}".encode()


def current(keys: KeyStore, purpose: Purpose) -> KeyRef:
    """The newest key of a digest purpose, made if there is none yet."""
    if purpose is Purpose.SEALING:
        raise Refused("sealing keys belong to cases", about="key store", next_step="make one for the case")
    found = keys.versions(purpose.value)
    return found[-1] if found else keys.make(purpose.value, "case book", purpose)


def digest(keys: KeyStore, ref: KeyRef, kind: str, value: str) -> bytes:
    """HMAC-SHA-256 of a value of one kind (``account_id``): the same person, the same digest."""
    return digest_each(keys, ref, kind, (value,))[0]


def digest_each(keys: KeyStore, ref: KeyRef, kind: str, values: Sequence[str]) -> list[bytes]:
    """The same of many values, in their order; the key is opened once."""
    secret = keys.secret(ref.id, ref.purpose)
    head = f"quietus {ref.purpose.value}|{kind}|"
    return [hmac.digest(secret, f"{head}{value}".encode(), hashlib.sha256) for value in values]


def digests(keys: KeyStore, purpose: Purpose, kind: str, value: str) -> Mapping[int, bytes]:
    """The value's digest under every living version, for looking it up; version -> digest."""
    current(keys, purpose)
    return {ref.version: digest(keys, ref, kind, value) for ref in keys.versions(purpose.value)}


def by_digest(keys: KeyStore, purpose: Purpose, kind: str, values: Sequence[str]) -> dict[bytes, str]:
    """Many values by their digests under every living version, for telling whose a stored digest is; each key is opened once."""
    found: dict[bytes, str] = {}
    for ref in keys.versions(purpose.value):
        found.update(zip(digest_each(keys, ref, kind, values), values, strict=True))
    return found
