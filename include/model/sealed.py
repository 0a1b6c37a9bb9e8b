"""Objects that are sealed with a key of their subject's own, so that the end of the key is the end of every copy.

Envelope encryption: an object is sealed with a *data key*, of which a row in the company's database holds a copy that is
*wrapped* by a key-encryption key (KEK); the KEK is in no database. Nothing here is a construction of ours:

* an object's body is Tink's streaming AEAD ``AES256_GCM_HKDF`` (HKDF-SHA-256 of the data key under a salt of the object's
  own, then AES-256-GCM by segments, each with its number and an end mark in its nonce): the STREAM construction of
  Hoang, Reyhanitabar, Rogaway and Vizár, CRYPTO 2015. A segment that is cut, moved, repeated or left out does not open.
  https://developers.google.com/tink/wire-format
* a wrapped key is AES-256-GCM under the KEK with a random nonce (NIST SP 800-38D 8.2.2: at most 2**32 for one KEK).

The header in clear says which key: a number that was drawn, and means nothing once its row is gone. It and the object's
own path are bound in, so that a body does not open under another path.

    sealed object   MAGIC, key id (16), then Tink's: 40 (1), salt (32), nonce prefix (7), segments of SEGMENT bytes
    wrapped key     nonce (12), ciphertext (32), tag (16)
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Iterator
from typing import IO
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from include.model.errors import Unopened

MAGIC = b"QSEAL\x01"  # a control character among the first bytes: whoever searches bodies sees that it cannot read it
KEY_BYTES = 32
SEGMENT = 1 << 16  # bytes of ciphertext, tag included; the first has room for its header
WRAPPED_BYTES = 60
_TAG, _NONCE, _PREFIX = 16, 12, 7
_HEADER = 1 + KEY_BYTES + _PREFIX
MARK = len(MAGIC) + 16  # bytes: as much as it takes to see by which key an object is sealed
START = MARK + SEGMENT  # bytes: as much of an object as it takes to see whether a key opens it
_MOST = 1 << 32  # segments


def new_key() -> bytes:
    return secrets.token_bytes(KEY_BYTES)


def seal(key: bytes, key_id: UUID, path: str, body: IO[bytes]) -> Iterator[bytes]:
    """The sealed object, in pieces of at most a segment. ``path``: the object's own, in its bucket."""
    mark = MAGIC + key_id.bytes
    salt, prefix = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(_PREFIX)
    cipher = _cipher(key, salt, mark + path.encode())
    yield mark + bytes([_HEADER]) + salt + prefix
    room = SEGMENT - _HEADER - _TAG
    piece = _exactly(body, room)
    for number in range(_MOST):
        following = _exactly(body, SEGMENT - _TAG) if len(piece) == room else b""
        yield cipher.encrypt(_nonce(prefix, number, not following), piece, None)
        if not following:
            return
        piece, room = following, SEGMENT - _TAG
    raise Unopened("the object is too long to be sealed", about="sealing", next_step="split it")


def key_of(start: bytes) -> UUID | None:
    """The number of the key that an object says it is sealed with; None if it is not sealed. Its first 22 bytes do."""
    if len(start) < MARK or not start.startswith(MAGIC):
        return None
    return UUID(bytes=start[len(MAGIC) : MARK])


def unseal(key: bytes, path: str, body: IO[bytes]) -> Iterator[bytes]:
    """What was sealed, in pieces, each authenticated; the whole is whole only if the end is reached.

    Raises Unopened if it is another key's or another path's, or was changed, cut, reordered or lengthened.
    """
    cipher, prefix = _begin(key, path, _exactly(body, MARK + _HEADER))
    room = SEGMENT - _HEADER
    piece = _exactly(body, room)
    for number in range(_MOST):
        following = _exactly(body, SEGMENT) if len(piece) == room else b""
        yield _open(cipher, _nonce(prefix, number, not following), piece)
        if not following:
            return
        piece, room = following, SEGMENT
    raise _unopened()


def opens(key: bytes, path: str, start: bytes, *, last: bool) -> bool:
    """Whether a key opens an object of which the first ``START`` bytes are given; ``last``: it has no more."""
    try:
        cipher, prefix = _begin(key, path, start[: MARK + _HEADER])
        _open(cipher, _nonce(prefix, 0, last), start[MARK + _HEADER : START])
    except Unopened:
        return False
    return True


def wrap(kek: bytes, key_id: UUID, key: bytes) -> bytes:
    """A data key as its row keeps it."""
    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(kek).encrypt(nonce, key, _bound(key_id))


def unwrap(kek: bytes, key_id: UUID, wrapped: bytes) -> bytes:
    """The data key. Raises Unopened if the KEK is another, or the row is another key's or was changed."""
    if len(wrapped) != WRAPPED_BYTES:
        raise _unopened()
    return _open(AESGCM(kek), wrapped[:_NONCE], wrapped[_NONCE:], _bound(key_id))


def _bound(key_id: UUID) -> bytes:
    return b"quietus data key|" + key_id.bytes


def _begin(key: bytes, path: str, head: bytes) -> tuple[AESGCM, bytes]:
    if key_of(head) is None or len(head) != MARK + _HEADER or head[MARK] != _HEADER or len(key) != KEY_BYTES:
        raise _unopened()
    salt = head[MARK + 1 : MARK + 1 + KEY_BYTES]
    return _cipher(key, salt, head[:MARK] + path.encode()), head[-_PREFIX:]


def _cipher(key: bytes, salt: bytes, bound: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt, bound).derive(key))


def _nonce(prefix: bytes, number: int, last: bool) -> bytes:
    return prefix + struct.pack(">IB", number, last)


def _open(cipher: AESGCM, nonce: bytes, piece: bytes, bound: bytes | None = None) -> bytes:
    try:
        return cipher.decrypt(nonce, piece, bound)
    except (InvalidTag, ValueError):  # ValueError: shorter than a tag
        raise _unopened() from None


def _unopened() -> Unopened:
    return Unopened(
        "it does not open", about="a sealed object or key",
        next_step="it is another key's, or was changed: compare the key's number with the row's",
    )  # fmt: skip


def _exactly(body: IO[bytes], n: int) -> bytes:
    """``n`` bytes, fewer only at the end: a socket gives what it has."""
    found: list[bytes] = []
    while n and (piece := body.read(n)):
        found.append(piece)
        n -= len(piece)
    return b"".join(found)
