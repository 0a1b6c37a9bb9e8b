"""The key store: data keys per case and HMAC keys by version, outside every database that is backed up.

A key on disk is wrapped with AES-256-GCM by a key-encryption key (KEK) that comes from the environment or a
KMS, never from the same disk. Destroying a key is how sealed values become noise (rung R9), so a destroyed
key leaves a record and its number is never used again. HMAC keys cannot be re-keyed: an old version lives
until the last digest made with it has expired.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import itertools
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from include.model.durable import sync_directory
from include.model.errors import NotReachable, Refused
from include.model.times import observed_now

KEY_BYTES = 32
NONCE_BYTES = 12
MARK = "quietus-keys"  # the file by which a directory is a key store, and no empty mount point
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}\.v[1-9][0-9]{0,5}")


class Purpose(StrEnum):
    """What a key is for. A key is never used for anything else: the purpose is bound into its wrapping."""

    SEALING = "sealing"  # AES-256-GCM, one per case
    SUBJECT_TOKEN = "subject_token"  # noqa: S105  HMAC-SHA-256, joins requests of one person
    NEEDLE = (
        "needle"  # HMAC-SHA-256, one per shutdown, finds identifiers in what is left; destroyed at its end
    )
    TOMBSTONE = "tombstone"  # HMAC-SHA-256, finds the person again in a restored database


@dataclass(frozen=True)
class KeyRef:
    """A key without its bytes. ``id`` is ``<name>.v<version>``."""

    id: str
    owner: str
    purpose: Purpose
    version: int
    made_at: datetime


@dataclass(frozen=True)
class Destroyed:
    """The record that a key is gone: from then on what it sealed cannot be read by anybody."""

    id: str
    owner: str
    destroyed_at: datetime
    method: str


class KeyStore(Protocol):
    """Where keys live. Every method may be called again after a crash."""

    def make(self, name: str, owner: str, purpose: Purpose) -> KeyRef:
        """A new version of the named key; the first is version 1."""

    def keep(self, name: str, owner: str, purpose: Purpose, secret: bytes) -> KeyRef:
        """Keep a key that came from elsewhere, as the only version of a name of its own. Again changes nothing. Raises Refused
        if the name is another key's, or was destroyed."""

    def secret(self, key_id: str, purpose: Purpose) -> bytes:
        """The key itself, 32 bytes. Raises Refused if it was destroyed or serves another purpose."""

    def versions(self, name: str) -> tuple[KeyRef, ...]:
        """The living versions of a key, oldest first."""

    def destroy(self, key_id: str) -> Destroyed:
        """Destroy a key for ever. Destroying it again returns the first record."""

    def destroyed(self, name: str) -> tuple[Destroyed, ...]:
        """The records of a key's versions that were destroyed, oldest version first."""


class FileKeyStore:
    """Keys as files of mode 0600 in a directory of mode 0700, one file a key, written atomically.

    A directory that is no key store is never made into one by the way: it may be the mount point of one that is
    away, and a key made there would be lost when it is back. ``begin`` makes it one.
    """

    def __init__(self, directory: Path, kek: bytes, *, begin: bool = True) -> None:
        if len(kek) != KEY_BYTES:
            raise Refused(
                "the wrapping key must be 32 bytes", about="key store", next_step="give it in base64"
            )
        self._directory = directory
        self._kek = AESGCM(kek)
        self._kek_mark = hashlib.sha256(b"quietus kek" + kek).hexdigest()[:16]
        if not begin:
            return
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory.chmod(0o700)
            (directory / MARK).touch(mode=0o600)
        except OSError:
            raise self._unreachable() from None

    @classmethod
    def from_text(cls, directory: str, kek: str, *, begin: bool = False) -> FileKeyStore:
        """From two plain connections: a path, and the KEK in base64. Never quotes either."""
        try:
            return cls(Path(directory), base64.b64decode(kek.strip(), validate=True), begin=begin)
        except binascii.Error:
            raise Refused(
                "the wrapping key is not base64", about="key store", next_step="give 32 bytes in base64"
            ) from None

    def make(self, name: str, owner: str, purpose: Purpose) -> KeyRef:
        """See :class:`KeyStore`. Two makers at once get two versions, never one file twice."""
        version = 1 + max(self._numbers(name), default=0)
        while True:
            ref = KeyRef(f"{name}.v{version}", owner, purpose, version, observed_now())
            if not _ID.fullmatch(ref.id):
                raise Refused(
                    "the key's name is malformed", about="key store", next_step="use a-z, 0-9, _ and -"
                )
            if self._write_new(self._path(ref.id), self._wrapped(ref, secrets.token_bytes(KEY_BYTES))):
                return ref
            version += 1

    def keep(self, name: str, owner: str, purpose: Purpose, secret: bytes) -> KeyRef:
        self._demand()
        ref = KeyRef(f"{name}.v1", owner, purpose, 1, observed_now())
        if len(secret) != KEY_BYTES:
            raise Refused("a key has 32 bytes", about=ref.id, next_step="ask who sent it")
        path = self._path(ref.id)
        if not path.with_suffix(".destroyed").exists() and self._write_new(path, self._wrapped(ref, secret)):
            return ref
        if not hmac.compare_digest(self.secret(ref.id, purpose), secret):  # refused if it was destroyed
            raise Refused(
                "another key is kept under this name", about=ref.id, next_step="find out where it came from; neither was lost"
            )  # fmt: skip
        return _ref(self._read(ref.id))

    def _wrapped(self, ref: KeyRef, secret: bytes) -> bytes:
        """A key's file."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        body = asdict(ref) | {
            "made_at": ref.made_at.isoformat(),
            "kek": self._kek_mark,
            "nonce": base64.b64encode(nonce).decode(),
            "wrapped": base64.b64encode(self._kek.encrypt(nonce, secret, _bound(ref))).decode(),
        }
        return json.dumps(body).encode()

    def secret(self, key_id: str, purpose: Purpose) -> bytes:
        body = self._read(key_id)
        ref = _ref(body)
        if ref.purpose is not purpose:
            raise Refused("the key serves another purpose", about=key_id, next_step="use the key made for it")
        if body["kek"] != self._kek_mark:
            raise Refused(
                "the key was wrapped by another wrapping key", about=key_id,
                next_step="give the wrapping key it was made with, then rewrap",
            )  # fmt: skip
        try:
            return self._kek.decrypt(
                base64.b64decode(body["nonce"]), base64.b64decode(body["wrapped"]), _bound(ref)
            )
        except InvalidTag:
            raise Refused(
                "the key file was changed", about=key_id, next_step="restore it from its custodian"
            ) from None

    def versions(self, name: str) -> tuple[KeyRef, ...]:
        ids = [f"{name}.v{n}" for n in sorted(self._numbers(name, destroyed=False))]
        return tuple(_ref(self._read(i)) for i in ids)

    def destroy(self, key_id: str) -> Destroyed:
        """Overwrite, unlink, sync the directory, record. Safe to repeat at any point of the four."""
        path = self._path(key_id)
        record = path.with_suffix(".destroyed")
        self._demand()
        if record.exists():
            return _destroyed(json.loads(record.read_text()))
        owner = _ref(self._read(key_id)).owner if path.exists() else ""
        if not path.exists():
            raise Refused("there is no such key", about=key_id, next_step="check the number")
        gone = Destroyed(key_id, owner, observed_now(), "overwritten, unlinked, directory synced")
        # The record is written first: a crash in between leaves a record and a key, and secret() refuses
        # a key with a record; calling destroy again finishes the work.
        body = json.dumps(asdict(gone) | {"destroyed_at": gone.destroyed_at.isoformat()}).encode()
        self._write_new(record, body)
        self._shred(path)
        return gone

    def destroyed(self, name: str) -> tuple[Destroyed, ...]:
        living = set(self._numbers(name, destroyed=False))
        gone = (n for n in self._numbers(name) if n not in living)
        return tuple(
            _destroyed(json.loads(self._path(f"{name}.v{n}").with_suffix(".destroyed").read_text()))
            for n in gone
        )

    def finish_destroying(self) -> tuple[str, ...]:
        """Destroy what a crash left behind: keys that have a record but still a file. Their ids."""
        self._demand()
        left = [p for p in self._directory.glob("*.destroyed") if p.with_suffix(".key").exists()]
        for record in left:
            self._shred(record.with_suffix(".key"))
        return tuple(sorted(p.stem for p in left))

    def rewrap(self, kek: bytes) -> int:
        """Wrap every living key with a new KEK; how many. The old KEK may be destroyed afterwards."""
        self._demand()
        new = FileKeyStore(self._directory, kek)
        count = 0
        for path in sorted(self._directory.glob("*.key")):
            body = json.loads(path.read_text())
            if body["kek"] == new._kek_mark:
                continue
            ref = _ref(body)
            self._replace(path, new._wrapped(ref, self.secret(ref.id, ref.purpose)))
            count += 1
        return count

    # --- files --------------------------------------------------------------------------------

    def _demand(self) -> None:
        """Raises NotReachable if the key store is not there. One that was begun before there was a mark has keys."""
        try:
            there = (self._directory / MARK).exists() or any(
                f.name == MARK or f.suffix in (".key", ".destroyed") for f in self._directory.iterdir()
            )
        except OSError:
            there = False
        if not there:
            raise self._unreachable()

    def _path(self, key_id: str) -> Path:
        if not _ID.fullmatch(key_id):
            raise Refused("the key's number is malformed", about="key store", next_step="check the number")
        return self._directory / f"{key_id}.key"

    def _numbers(self, name: str, *, destroyed: bool = True) -> list[int]:
        """Probed one by one, for they are made without gaps and leave a record: a store holds a key for every case, and
        nobody reads through all of them to find one."""
        self._demand()
        found: list[int] = []
        for version in itertools.count(1):
            path = self._path(f"{name}.v{version}")
            gone = path.with_suffix(".destroyed").exists()
            if not gone and not path.exists():
                return found
            if destroyed or not gone:
                found.append(version)
        raise AssertionError  # count() does not end

    def _read(self, key_id: str) -> dict[str, Any]:
        path = self._path(key_id)
        if path.with_suffix(".destroyed").exists():
            raise Refused(
                "the key was destroyed", about=key_id,
                next_step="what it sealed is gone for ever, as intended",
            )  # fmt: skip
        try:
            body: dict[str, Any] = json.loads(path.read_text())
        except FileNotFoundError:
            self._demand()
            raise Refused("there is no such key", about=key_id, next_step="check the number") from None
        except (OSError, ValueError):
            raise self._unreachable() from None
        return body

    def _write_new(self, path: Path, body: bytes) -> bool:
        """Write a file that did not exist. False if it does; then nothing was changed."""
        with self._temporary(body) as temporary:
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
        sync_directory(self._directory)
        return True

    def _replace(self, path: Path, body: bytes) -> None:
        with self._temporary(body) as temporary:
            self._overwrite(path)
            temporary.replace(path)
        sync_directory(self._directory)

    @contextmanager
    def _temporary(self, body: bytes) -> Iterator[Path]:
        path = self._directory / f".{secrets.token_hex(8)}.tmp"
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            yield path
        except OSError:
            raise self._unreachable() from None
        finally:
            path.unlink(missing_ok=True)

    def _shred(self, path: Path) -> None:
        try:
            self._overwrite(path)
            path.unlink()
        except OSError:
            raise self._unreachable() from None
        sync_directory(self._directory)

    @staticmethod
    def _overwrite(path: Path) -> None:
        # On a copy-on-write or flash medium old blocks may survive; what survives is still wrapped by
        # the KEK, and R12 (media) is attested, not proved.
        with path.open("r+b") as file:
            size = path.stat().st_size
            file.write(secrets.token_bytes(size))
            file.flush()
            os.fsync(file.fileno())

    @staticmethod
    def _unreachable() -> NotReachable:
        return NotReachable(
            "it cannot be read or written, or its directory holds no key store", about="key store",
            next_step="mount it, and let us read and write it; a new one is begun by `quietus keys begin`",
        )  # fmt: skip


def _bound(ref: KeyRef) -> bytes:
    """What a wrapping is bound to, so that a file cannot be passed off as another key."""
    return f"quietus key|{ref.id}|{ref.owner}|{ref.purpose.value}|{ref.version}".encode()


def _ref(body: dict[str, Any]) -> KeyRef:
    return KeyRef(
        body["id"], body["owner"], Purpose(body["purpose"]), int(body["version"]),
        datetime.fromisoformat(body["made_at"]),
    )  # fmt: skip


def _destroyed(body: dict[str, Any]) -> Destroyed:
    return Destroyed(body["id"], body["owner"], datetime.fromisoformat(body["destroyed_at"]), body["method"])
