"""Signed heads as text a person can check: C2SP signed-note and tlog-checkpoint, with Ed25519.

A checkpoint names the log (origin), how many entries it has, and the root over them::

    authority.example/quietus
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — authority.example/quietus <base64 of four bytes of key hash and the signature>

The key's name in the signature line is the origin, as the specification advises. A key is succeeded
by a note that both the old and the new key sign (:class:`Succession`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from include.model.errors import LedgerError

ED25519 = b"\x01"  # signed-note's algorithm byte
_NAME = re.compile(r"[^\s+]+")
_SIZE = re.compile(r"0|[1-9]\d{0,18}")
_SIGNATURE = re.compile(r"— (\S+) (\S+)")
_SUCCESSION = "quietus key succession v1"


def key_hash(name: str, key: Ed25519PublicKey) -> bytes:
    """The four bytes by which a signature line names its key. They select a key, they prove nothing."""
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + key.public_bytes_raw()).digest()[:4]


def verifier_key(name: str, key: Ed25519PublicKey) -> str:
    """The key in the text form that other tools of the ecosystem take: ``name+hash+base64``."""
    public = base64.b64encode(ED25519 + key.public_bytes_raw()).decode()
    return f"{name}+{key_hash(name, key).hex()}+{public}"


def exact_base64(text: str, what: str) -> bytes:
    """Decode base64 that is exactly as an encoder writes it. Raises LedgerError otherwise.

    Python's decoder ignores the unused bits of the last character, so that two texts could mean the
    same bytes; then a changed byte would go unnoticed.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise LedgerError(f"{what} is not base64") from None
    if base64.b64encode(data).decode() != text:
        raise LedgerError(f"{what} is not base64 as an encoder writes it")
    return data


# --- notes ------------------------------------------------------------------------------------


def sign_note(text: str, name: str, key: Ed25519PrivateKey) -> str:
    """A note with this text and one signature. The text ends with a newline.

    Raises LedgerError for a name or a text that a note cannot carry.
    """
    if not _NAME.fullmatch(name):
        raise LedgerError("a key name must be one word without a plus sign")
    if not text.endswith("\n") or any(ord(c) < 0x20 and c != "\n" for c in text):
        raise LedgerError("a note must end with a newline and hold no other control characters")
    blob = key_hash(name, key.public_key()) + key.sign(text.encode())
    return f"{text}\n— {name} {base64.b64encode(blob).decode()}\n"


def _split(note: str) -> tuple[str, list[str]]:
    """(text, signature lines) of a note. Raises LedgerError if it is not one."""
    head, separator, tail = note.rpartition("\n\n")
    if not separator or not tail.endswith("\n"):
        raise LedgerError("this is not a signed note: no signature block after an empty line")
    return head + "\n", tail[:-1].split("\n")


def open_note(note: str, name: str, key: Ed25519PublicKey) -> str:
    """The text of a note that this key has signed. Raises LedgerError if it has not.

    Signatures by other keys are passed over, as the specification demands.
    """
    text, lines = _split(note)
    found = False
    for line in lines:
        match = _SIGNATURE.fullmatch(line)
        if not match:
            raise LedgerError("a signature line of the note is malformed")
        blob = exact_base64(match[2], "a signature of the note")
        if match[1] != name or blob[:4] != key_hash(name, key):
            continue
        try:
            key.verify(blob[4:], text.encode())
        except InvalidSignature:
            raise LedgerError(
                "the signature of the note is not good: the text or the signature was changed"
            ) from None
        found = True
    if not found:
        raise LedgerError(
            "the note is not signed by the expected key", next_step="check which key was in use then"
        )
    return text


# --- checkpoints ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Checkpoint:
    """The head of a log: its name, its number of entries, and the root over them."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def of_text(cls, text: str) -> Checkpoint:
        """Parse the text of a note. Raises LedgerError if it is no checkpoint.

        We write no extension lines, and accept none: what we do not understand we do not sign for.
        """
        lines = text.split("\n")
        if len(lines) != 4 or lines[3]:
            raise LedgerError("a checkpoint has three lines: origin, size, root")
        origin, size, encoded = lines[:3]
        if not _NAME.fullmatch(origin):
            raise LedgerError("the origin of the checkpoint must be one word without a plus sign")
        if not _SIZE.fullmatch(size):
            raise LedgerError("the size of the checkpoint is not a plain decimal number")
        root = exact_base64(encoded, "the root of the checkpoint")
        if len(root) != 32:
            raise LedgerError("the root of the checkpoint is not 32 bytes long")
        return cls(origin, int(size), root)

    def sign(self, key: Ed25519PrivateKey) -> str:
        """The checkpoint as a note signed in the name of its origin."""
        return sign_note(self.text(), self.origin, key)


def open_checkpoint(note: str, origin: str, key: Ed25519PublicKey) -> Checkpoint:
    """The checkpoint that this log's key has signed. Raises LedgerError."""
    checkpoint = Checkpoint.of_text(open_note(note, origin, key))
    if checkpoint.origin != origin:
        raise LedgerError(f"the checkpoint is that of another log, {checkpoint.origin!r}")
    return checkpoint


# --- succession -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Succession:
    """The old key's last word: from this head on, the new key signs for the log.

    The new key signs too, which proves that whoever was named holds it.
    """

    origin: str
    old: bytes  # raw public keys
    new: bytes
    size: int  # the last head under the old key
    root: bytes

    def text(self) -> str:
        raw = [base64.b64encode(b).decode() for b in (self.old, self.new, self.root)]
        return f"{_SUCCESSION}\n{self.origin}\nold {raw[0]}\nnew {raw[1]}\nhead {self.size} {raw[2]}\n"

    @classmethod
    def sign(cls, head: Checkpoint, old: Ed25519PrivateKey, new: Ed25519PrivateKey) -> str:
        """The statement as a note with both signatures, the old key's first."""
        named = cls(
            head.origin,
            old.public_key().public_bytes_raw(),
            new.public_key().public_bytes_raw(),
            head.size,
            head.root,
        )
        if named.old == named.new:
            raise LedgerError("a key cannot succeed itself")
        by_old = sign_note(named.text(), head.origin, old)
        return by_old + sign_note(named.text(), head.origin, new)[len(named.text()) + 1 :]

    @classmethod
    def open(cls, note: str, origin: str, old: Ed25519PublicKey) -> Succession:
        """The statement, if ``old`` and the key that it names have both signed it. Raises LedgerError."""
        text = open_note(note, origin, old)
        lines = text.split("\n")
        if len(lines) != 6 or lines[:2] != [_SUCCESSION, origin]:
            raise LedgerError("this note is not a succession of this log's key")
        named = re.fullmatch(r"old (\S+)\nnew (\S+)\nhead (\d{1,19}) (\S+)", "\n".join(lines[2:5]))
        if not named:
            raise LedgerError("the succession does not name two keys and a head")
        raw = [exact_base64(named[i], "a value of the succession") for i in (1, 2, 4)]
        if any(len(b) != 32 for b in raw):
            raise LedgerError("a key or root of the succession is not 32 bytes long")
        statement = cls(origin, raw[0], raw[1], int(named[3]), raw[2])
        if statement.text() != text or statement.old != old.public_bytes_raw():
            raise LedgerError("the succession is not a statement of the key that signed it")
        open_note(note, origin, Ed25519PublicKey.from_public_bytes(statement.new))
        return statement
