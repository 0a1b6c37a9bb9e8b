"""At the successor: find bags in its inbox, and open one. First the signature, then the sealed file's digest, the seal, the bag.

What does not hold is never stored; nothing of it is written but a private directory, which goes again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from pydantic import ValidationError

from include.handover import bag as bags
from include.handover.keyed import Transit
from include.handover.sealed import Opening, digest_of
from include.handover.sending import delivering, lying, sealed_key, statement_key
from include.handover.shards import At, directory, roomy
from include.ledger import attest
from include.model.errors import LedgerError, Refused
from include.model.flow import Flow
from include.model.handover import BagStatement
from include.stores.shared import nowhere

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHUNK = 1 << 20
Word = TypeVar("Word", bound=Flow)
SHOWN = "quietus-bag/1"


@dataclass(frozen=True)
class Inbox:
    """Where bags arrive, and what opens them. ``sender_key``: by which their statements are signed."""

    client: S3Client
    bucket: str
    sender_key: Ed25519PublicKey
    certificate: x509.Certificate
    key: RSAPrivateKey
    home: Path
    at: At = nowhere


@dataclass(frozen=True)
class Arrived:
    """A bag that is what its statement says, open on our disk."""

    statement: BagStatement
    payload: bytes
    path: Path
    said: dict[str, Any]
    transit: Transit | None = None  # of a bag with keys: what opens them, in memory alone


def private_key(path: Path) -> RSAPrivateKey:
    """The key of our certificate. Raises Refused if others may read the file, or it is no RSA key in PEM."""
    try:
        if path.stat().st_mode & 0o077:
            raise Refused("the key file is open to others", about=str(path), next_step=f"chmod 600 {path}")
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError):
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise Refused("it is no RSA private key in PEM", about=str(path), next_step="name the right file")
    return key


def names(inbox: Inbox, order: str) -> list[str]:
    """The bags of an order whose statement has arrived."""
    return arrived(inbox, f"{order}/")


def arrived(inbox: Inbox, prefix: str) -> list[str]:
    """What lies right below a prefix and was signed, in order of its name, without answers to it."""
    found = []
    with delivering("inbox"):
        for page in inbox.client.get_paginator("list_objects_v2").paginate(
            Bucket=inbox.bucket, Prefix=prefix
        ):
            for object_ in page.get("Contents", []):
                name = object_["Key"].removeprefix(prefix)
                if "/" not in name and name.endswith(".json") and not name.endswith(".receipt.json"):
                    found.append(name.removesuffix(".json"))
    return sorted(found)


def statement(inbox: Inbox, order: str, name: str) -> tuple[BagStatement, bytes]:
    """What its sender signed of a bag. Raises LedgerError, or Refused if it is not for us or not this bag."""
    with delivering(f"bag {name}"):
        file = inbox.client.get_object(Bucket=inbox.bucket, Key=statement_key(order, name))["Body"].read()
    payload = attest.opened(file, SHOWN, inbox.sender_key)
    try:
        said = BagStatement.model_validate(json.loads(payload))
    except ValidationError:
        raise LedgerError("its statement is malformed", about=name, next_step="have it sent again") from None
    if (said.order, said.bag) != (order, name):
        raise LedgerError(
            "its statement is about another bag", about=name, next_step="ask the sender; do not store it"
        ) from None  # fmt: skip
    if said.recipient != digest_of(inbox.certificate):
        raise Refused(
            "it is sealed to another certificate", about=name, next_step="give the certificate that it names"
        )  # fmt: skip
    return said, payload


@contextmanager
def opened(inbox: Inbox, order: str, name: str) -> Iterator[Arrived]:
    """Fetch, check and open one bag; its open files go at the end, whatever happens.

    Raises LedgerError for anything that is not what was signed, Refused for a full disk, a directory that cannot be written, or
    another's certificate.
    """
    said, payload = statement(inbox, order, name)
    home = directory(inbox.home / order)
    with roomy(home):
        sealed = _fetched(inbox, said, home / f"{name}.cms")
        inbox.at("handover.fetched")
        into = home / "open"
        shutil.rmtree(into / name, ignore_errors=True)
        into.mkdir(exist_ok=True, mode=0o700)
        try:
            with sealed.open("rb") as file:
                stream = Opening(file, inbox.key, inbox.certificate)
                path = bags.untar(stream, into, name)  # type: ignore[arg-type]
                stream.drain()
            inbox.at("handover.opened")
            bags.validate(path)
            described = _description(path, said)
            yield Arrived(said, payload, path, described, _transit(inbox, described, name))
            sealed.unlink()  # it is stored; its sender's is in the bucket
        finally:
            shutil.rmtree(into / name, ignore_errors=True)


def _fetched(inbox: Inbox, said: BagStatement, to: Path) -> Path:
    """The sealed file on our disk, with the digest that was signed. One that is there already is not fetched again."""
    if to.exists() and to.stat().st_size == said.bytes and _sha256(to) == said.sha256:
        return to
    part, digest, left = to.with_suffix(".part"), hashlib.sha256(), said.bytes
    try:
        with delivering(f"bag {said.bag}"), part.open("wb") as out:
            body = inbox.client.get_object(Bucket=inbox.bucket, Key=sealed_key(said.order, said.bag))["Body"]
            # No further than what was signed, and a byte: a longer one is another, and could fill our disk.
            while left >= 0 and (data := body.read(min(CHUNK, left + 1))):
                left -= len(data)
                digest.update(data)
                out.write(data)
        if left or digest.hexdigest() != said.sha256:
            raise LedgerError(
                "the sealed file is not the one that was signed: it was tampered with, or cut off on its way",
                about=said.bag, next_step="do not open it; have it sent again",
            )  # fmt: skip
        part.replace(to)
    finally:
        part.unlink(missing_ok=True)
    return to


def _description(path: Path, statement: BagStatement) -> dict[str, Any]:
    """What the bag says of itself, if that is what its statement says."""
    try:
        said = json.loads((path / bags.DESCRIPTION).read_bytes())
        same = all(
            said[k] == v
            for k, v in (
                ("order", statement.order), ("bag", statement.bag), ("kind", statement.kind.value),
                ("dataset", statement.dataset), ("items", statement.items), ("root", statement.root),
            )
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        same, said = False, {}
    if not same:
        raise LedgerError(
            "the bag says otherwise of itself than its statement", about=statement.bag,
            next_step="do not store it; ask the sender",
        )  # fmt: skip
    return dict(said)


def _transit(inbox: Inbox, described: dict[str, Any], name: str) -> Transit | None:
    if "transit" not in described:
        return None
    try:
        sent = base64.b64decode(str(described["transit"]), validate=True)
    except binascii.Error:
        sent = b""
    return Transit.opened(sent, inbox.key, name)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def our_word(inbox: Inbox, key: str, kind: type[Word]) -> Word | None:
    """What we said under this key before, as it lies there; None: nothing, or nothing that can be read. Our own signature is not
    looked at: what is compared with it is of ours, and who put another file there has us sign nothing, no more."""
    if (file := lying(inbox.client, inbox.bucket, key, key)) is None:
        return None
    try:
        return kind.model_validate_json(base64.b64decode(json.loads(file)["payload"]))
    except (ValueError, KeyError, TypeError):
        return None
