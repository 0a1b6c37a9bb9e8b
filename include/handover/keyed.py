"""Rows that are keys of sealed objects, on their way to a successor: wrapped for it alone, and known by digests.

A key is unwrapped in memory, and wrapped with the bag's *transit key*, which is drawn for the bag, never written down, and goes
along encrypted to the successor's certificate (RSA-OAEP). So even an open bag on either disk holds no key in clear. The successor
wraps each with its own key-encryption key. The wrapping differs on both sides, so a row's line says, in place of it, a digest of
the key under the bag's salt: ``HMAC-SHA-256(salt, "quietus data key digest|" ‖ key's number ‖ key)``. Whoever has the key has the
digest; whoever wraps it anew changes nothing of the line.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from include.handover.rows import Shape
from include.handover.sealed import oaep
from include.model import sealed
from include.model.errors import LedgerError, Refused, Unopened
from include.model.estate import Keys
from include.model.keks import Keks

PAYLOAD = "keys.bin"
"""In a bag of keys: ``WRAPPED`` bytes for each line of its rows, in their order."""
WRAPPED = sealed.WRAPPED_BYTES
_DIGEST = b"quietus data key digest|"
_HEX = b"\\\\x"  # how COPY's text form begins a bytea


class Transit:
    """What keys of one bag are wrapped with on their way. ``sent``: itself, encrypted to the successor."""

    def __init__(self, key: bytes, sent: bytes) -> None:
        self._key, self.sent = key, sent

    @classmethod
    def drawn(cls, to: x509.Certificate) -> Transit:
        """A new one, for this successor."""
        public = to.public_key()
        assert isinstance(public, RSAPublicKey)  # noqa: S101 - recipient() saw to it
        key = sealed.new_key()
        return cls(key, public.encrypt(key, oaep()))

    @classmethod
    def opened(cls, sent: bytes, by: RSAPrivateKey, about: str) -> Transit:
        """At the successor. Raises LedgerError if it is not for this key."""
        try:
            key = by.decrypt(sent, oaep())
            if len(key) != sealed.KEY_BYTES:
                raise ValueError
        except ValueError:
            raise LedgerError(
                "its keys are wrapped for another certificate", about=about,
                next_step="nothing was stored; have it packed for ours",
            ) from None  # fmt: skip
        return cls(key, sent)

    def wrap(self, number: UUID, key: bytes) -> bytes:
        return sealed.wrap(self._key, number, key)

    def unwrap(self, number: UUID, wrapped: bytes) -> bytes:
        """Raises Unopened if it was changed, or is another's."""
        return sealed.unwrap(self._key, number, wrapped)


def digest(salt: bytes, number: UUID, key: bytes) -> bytes:
    """By which both sides know a key, without showing it."""
    return hmac.digest(salt, _DIGEST + number.bytes + key, hashlib.sha256)


@dataclass(frozen=True)
class Row:
    """A row of keys. ``line``: as it is handed over; ``key``: None if no key-encryption key of ours opens it."""

    line: bytes
    number: UUID
    key: bytes | None = field(repr=False)


@dataclass(frozen=True)
class KeyedRows:
    """The lines of one bag of keys. ``salt``: the bag's."""

    shape: Shape
    keys: Keys
    keks: Keks
    salt: bytes = field(repr=False)

    def row(self, line: bytes) -> Row:
        """What is handed over of a line as it is stored. A key that does not open has no digest."""
        fields = line.split(b"\t")
        number = UUID(fields[self._at(self.keys.id)].decode())
        try:
            kek = fields[self._at(self.keys.kek)].decode()
            key = self.keks.unwrap(kek, number, _octets(fields[self._at(self.keys.wrapped)]))
        except (Unopened, ValueError):
            return Row(self._said(fields, b""), number, None)
        return Row(self._said(fields, digest(self.salt, number, key)), number, key)

    def stored(self, line: bytes, wrapped: bytes, unwrap: Callable[[UUID, bytes], bytes]) -> bytes:
        """The line as the successor stores it: the key under its own newest key-encryption key. Raises Unopened if what came
        is not the key that the line says."""
        fields = line.split(b"\t")
        try:
            number = UUID(fields[self._at(self.keys.id)].decode())
            said = _octets(fields[self._at(self.keys.wrapped)])
        except (ValueError, IndexError):
            raise _other() from None
        key = unwrap(number, wrapped)
        if not hmac.compare_digest(said, digest(self.salt, number, key)):
            raise _other()
        fields[self._at(self.keys.kek)] = self.keks.newest.encode()
        fields[self._at(self.keys.wrapped)] = _HEX + self.keks.wrap(number, key).hex().encode()
        return b"\t".join(fields)

    def _said(self, fields: list[bytes], found: bytes) -> bytes:
        said = list(fields)
        said[self._at(self.keys.kek)] = b""
        said[self._at(self.keys.wrapped)] = _HEX + found.hex().encode()
        return b"\t".join(said)

    def _at(self, column: str) -> int:
        return self.shape.names.index(column)


def unopened(dataset: str) -> Refused:
    """A key that nobody can hand over."""
    return Refused(
        "one of its keys does not open with our key-encryption keys", about=dataset,
        next_step="see `quietus keys list`: give the one that wrapped it, then pack again",
    )  # fmt: skip


def _octets(field_: bytes) -> bytes:
    """A bytea in COPY's text form. Raises ValueError for anything else."""
    if not field_.startswith(_HEX):
        raise ValueError
    return bytes.fromhex(field_[len(_HEX) :].decode())


def _other() -> Unopened:
    return Unopened(
        "a key that came is not the one its row says", about="keys", next_step="have the bag packed anew"
    )  # fmt: skip
