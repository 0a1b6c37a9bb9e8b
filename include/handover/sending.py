"""To the successor's bucket: parts with checksums, gone on with after a kill at any of them; the signed statement last.

``<order>/<bag>.cms`` is the sealed bag, ``<order>/<bag>.json`` its statement. Whoever sees a statement can fetch the whole bag.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from include.cases.book import Conn
from include.handover import addressed, heard, inboxes, register
from include.handover.heard import Answer
from include.handover.inboxes import Inbox
from include.handover.register import Bag
from include.handover.shards import At
from include.ledger.verify import said_in
from include.model.errors import NoRoom, Refused
from include.model.handover import BagState, Consignment
from include.stores.s3.server import ABSENT, code_of, reaching
from include.stores.shared import nowhere

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART = 16 << 20
DIGEST = "quietus-sha256"  # metadata: of the sealed file
FULL = frozenset(
    {"QuotaExceeded", "XMinioStorageFull", "XMinioStorageQuotaExceeded", "InsufficientStorage", "507"}
)  # fmt: skip


@dataclass(frozen=True)
class Way:
    """How bags leave. ``client``: of the successor's inbox, as the courier."""

    client: S3Client
    bucket: str
    home: Path
    book: Callable[[], AbstractContextManager[Conn]]
    part: int = PART
    at: At = nowhere


@contextmanager
def delivering(about: str) -> Iterator[None]:
    """A full bucket is named as what it is."""
    with reaching(about):
        try:
            yield
        except ClientError as error:
            if code_of(error) in FULL:
                raise NoRoom(
                    f"the bucket is full ({code_of(error)})", about=about,
                    next_step="ask its owner for room, then run it again: what arrived is not sent again",
                ) from None  # fmt: skip
            raise


def lying(client: S3Client, bucket: str, key: str, about: str) -> bytes | None:
    """What lies in a bucket under this key; None: nothing does."""
    with delivering(about):
        try:
            return bytes(client.get_object(Bucket=bucket, Key=key)["Body"].read())
        except ClientError as error:
            if code_of(error) in ABSENT:
                return None
            raise


def sealed_key(order: str, bag: str) -> str:
    return f"{order}/{bag}.cms"


def statement_key(order: str, bag: str) -> str:
    return f"{order}/{bag}.json"


def receipt_key(order: str, bag: str) -> str:
    return f"{order}/{bag}.receipt.json"


def notice_key(order: str, name: str) -> str:
    return f"{order}/notices/{name}.json"


def notice_sealed_key(order: str, name: str) -> str:
    return f"{order}/notices/{name}.cms"


def notice_receipt_key(order: str, name: str) -> str:
    return f"{order}/notices/{name}.receipt.json"


def request_key(order: str, name: str) -> str:
    return f"{order}/requests/{name}.json"


def request_receipt_key(order: str, name: str) -> str:
    return f"{order}/requests/{name}.receipt.json"


def send(way: Way, consignment: Consignment, again: str | None = None) -> list[str]:
    """Send every bag that is packed and signed, and not sent. Names of those that this run finished. ``again``: send this one
    bag anew instead, which was sent and arrived damaged or not at all, or of which the successor lost something since.

    Raises Refused for a sealed file that is gone or changed, a full bucket, or a bag that cannot be sent again; NotReachable.
    Killed, it goes on where it was.
    """
    with way.book() as conn:
        addressed.standing(conn, consignment, ended=True)  # what is packed by then is tombstones
        if again is not None:
            bag = register.bag(conn, consignment.order, again)
            waiting = [_sent_before(bag, heard.answers(conn, consignment.order).get(again))]
        else:
            waiting = [b for b in register.bags(conn, consignment.order) if b.state is BagState.PACKED]
        if waiting:
            inboxes.keep(conn, consignment, Inbox.at(way.client, way.bucket))
    done = []
    for bag in waiting:
        if bag.envelope is None:
            raise Refused("it is not signed", about=bag.name, next_step="quietus handover pack signs it")
        _send(way, consignment, bag, bag.envelope)
        done.append(bag.name)
    return done


def _sent_before(bag: Bag, said: Answer | None) -> Bag:
    if bag.state is BagState.PACKED:
        raise Refused(
            "it was not sent yet", about=bag.name, next_step="quietus handover send, without --again"
        )
    if bag.state is BagState.RECEIVED and not (said and said.refused):
        raise Refused("the successor signed for it", about=bag.name, next_step="leave it: it arrived whole")
    return bag


def _send(way: Way, consignment: Consignment, bag: Bag, envelope: bytes) -> None:
    order = bag.statement.order
    path = way.home / order / f"{bag.name}.cms"
    if (
        not path.exists()
        or path.stat().st_size != bag.statement.bytes
        or _sha256(path) != bag.statement.sha256
    ):
        raise Refused(
            "its sealed file is not there, or not the one that was packed", about=bag.name,
            next_step="put the file back; a finished bag is never packed again",
        )  # fmt: skip
    about = f"bag {bag.name}"
    with way.book() as conn:
        addressed.standing(conn, consignment, ended=True)
    _nobody_elses(way, bag)
    with delivering(about):
        _parts(way, bag, path, sealed_key(order, bag.name))
    way.at("handover.uploaded")
    with way.book() as conn, conn.transaction():
        # Nobody withdraws meanwhile: either that is known here, or the bag is known as sent there.
        addressed.standing(conn, consignment, ended=True)
        with delivering(about):
            way.client.put_object(
                Bucket=way.bucket, Key=statement_key(order, bag.name), Body=envelope, ContentType="application/json",
                ChecksumAlgorithm="SHA256",
            )  # fmt: skip
        way.at("handover.told")
        register.sent(conn, bag)
        register.uploading(conn, bag, None)
    way.at("handover.sent")


def _nobody_elses(way: Way, bag: Bag) -> None:
    """Raises Refused if a bag of another authority, with an order of the same number, lies under this name: it would
    be lost."""
    order, key = bag.statement.order, statement_key(bag.statement.order, bag.name)
    if (file := lying(way.client, way.bucket, key, f"bag {bag.name}")) is None:
        return
    try:
        sender = said_in(file)["sender"]
    except (ValueError, KeyError, TypeError):
        return  # damaged: ours is put there anew
    if sender != bag.statement.sender:
        raise Refused(
            f"a bag of {sender} lies there under the same number, {order}", about=bag.name,
            next_step="ask the successor for a bucket of your own; nothing was put there",
        )  # fmt: skip


def _parts(way: Way, bag: Bag, path: Path, key: str) -> None:
    """The sealed file in parts. Those that lie there already, with the digest of ours, are not sent again."""
    upload, there = _begun(way, bag, key)
    if upload is None:
        if bag.state is BagState.PACKED and _is_there(way, bag, key):
            return
        upload = str(
            way.client.create_multipart_upload(
                Bucket=way.bucket, Key=key, ChecksumAlgorithm="SHA256", ContentType="application/cms",
                Metadata={DIGEST: bag.statement.sha256},
            )["UploadId"]
        )  # fmt: skip
        with way.book() as conn, conn.transaction():
            register.uploading(conn, bag, upload)
        way.at("handover.upload_begun")
    parts: list[dict[str, Any]] = []
    with path.open("rb") as file:
        number = 0
        while data := file.read(way.part):
            number += 1
            digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
            known = there.get(number)
            if known is None or not _same(known, data, digest):
                known = dict(
                    way.client.upload_part(
                        Bucket=way.bucket, Key=key, UploadId=upload, PartNumber=number, Body=data,
                        ChecksumSHA256=digest,
                    )
                )  # fmt: skip
                way.at("handover.part")
            parts.append({"PartNumber": number, "ETag": known["ETag"], "ChecksumSHA256": digest})
    way.client.complete_multipart_upload(
        Bucket=way.bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts},  # type: ignore[typeddict-item]
    )  # fmt: skip
    way.at("handover.completed")
    if not _is_there(way, bag, key):
        raise Refused(
            "the bucket does not have what was sent", about=bag.name, next_step="send it again, then ask its owner"
        )  # fmt: skip


def _begun(way: Way, bag: Bag, key: str) -> tuple[str | None, dict[int, dict[str, Any]]]:
    """The upload that an earlier run began, and its parts; None if there is none any more."""
    if bag.upload_id is None:
        return None, {}
    found: dict[int, dict[str, Any]] = {}
    try:
        pages = way.client.get_paginator("list_parts").paginate(
            Bucket=way.bucket, Key=key, UploadId=bag.upload_id
        )
        for page in pages:
            found |= {p["PartNumber"]: dict(p) for p in page.get("Parts", [])}
    except ClientError as error:
        if code_of(error) not in ("NoSuchUpload", "404"):
            raise
        return None, {}
    return bag.upload_id, found


def _same(known: dict[str, Any], data: bytes, digest: str) -> bool:
    if known.get("ChecksumSHA256"):
        return bool(known["ChecksumSHA256"] == digest)
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return bool(known["Size"] == len(data) and known["ETag"].strip('"') == md5)


def _is_there(way: Way, bag: Bag, key: str) -> bool:
    return is_there(way.client, way.bucket, key, sha256=bag.statement.sha256, size=bag.statement.bytes)


def is_there(
    client: S3Client, bucket: str, key: str, *, sha256: str, size: int, version: str | None = None
) -> bool:
    """Whether what lies there is this very file: put with its digest, and as long; ``version``: that one of it."""
    of = {} if version is None else {"VersionId": version}
    try:
        head = client.head_object(Bucket=bucket, Key=key, **of)  # type: ignore[arg-type]
    except ClientError as error:
        if code_of(error) in ("404", "NoSuchKey"):
            return False
        raise
    # Whoever put another object there did not say that it is this one. Of parts S3 keeps no digest of the whole.
    return bool(head.get("Metadata", {}).get(DIGEST) == sha256 and head["ContentLength"] == size)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def receipt_of(client: S3Client, bucket: str, order: str, bag: str) -> bytes | None:
    """The receipt that lies beside a bag; None if there is none yet."""
    return lying(client, bucket, receipt_key(order, bag), f"bag {bag}")
