"""Planting in buckets: each kind in a bucket of our own, and an upload under a made-up person's prefix.

Beside the person's object lie other people's. Nothing of the company's is opened, listed or changed.
"""

from __future__ import annotations

import gzip
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from include.model.errors import NotReachable, Refused
from include.planting import made_up
from include.planting.note import CannotPlant, Note, Plant

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LOCK = 60  # seconds that an object is locked for: over before its bucket is removed
PATIENCE = 30  # seconds beyond that, and between our clock and the server's
NEIGHBOURS = 12


@contextmanager
def asking(store: str) -> Iterator[None]:
    """What the client raises as our own errors: no key, no value."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "unknown"))
        raise Refused(
            f"the planter was turned away [{code}]", about=store,
            next_step="the planter's key makes and removes buckets, and uploads under prefixes of made-up accounts",
        ) from None  # fmt: skip
    except (BotoCoreError, OSError):
        raise NotReachable(
            "the S3 server does not answer the planter",
            about=store,
            next_step="check the server, then audit again",
        ) from None


def plant(client: S3Client, note: Note, store: str, *, lock: int = LOCK) -> dict[str, str]:
    """Plant everything of one store; kind -> why it has no place here, of those that have none."""
    absent: dict[str, str] = {}
    uploads = {bucket: key for of, bucket, key in note.uploads if of == store}
    with asking(store):
        for bucket in note.decoys_of(store):
            bed = _Bed(
                client, Plant("decoy", store, bucket, ""), made_up.dice_of(note.seed, bucket), {}, lock
            )
            bed.make(versioned=True)
            bed.put([v for p in note.of(store) for v in made_up.neighbours(bed.dice, p.value, 3)])
        for one in note.of(store):
            try:
                _KINDS[one.kind](_Bed(client, one, note.dice(one), uploads, lock))
            except CannotPlant as why:
                absent[one.kind] = str(why)
    return absent


def remove(client: S3Client, note: Note, store: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Remove whatever is there of it, once its lock is over. Again, or of what was never planted: nothing to do."""
    with asking(store):
        for of, bucket, key in note.uploads:
            if of == store:
                try:
                    _abort(client, bucket, key)
                except ClientError as error:
                    # Who may not list uploads did not plant one.
                    if error.response.get("Error", {}).get("Code") not in ("AccessDenied", "403"):
                        raise
        there = {b["Name"] for b in client.list_buckets().get("Buckets", [])}
        for bucket in note.buckets.get(store, ()):
            if bucket in there:
                _empty(client, bucket, sleep)
                client.delete_bucket(Bucket=bucket)


def _abort(client: S3Client, bucket: str, key: str) -> None:
    for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=key):
        for upload in page.get("Uploads", []):
            if upload["Key"] == key:
                client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload["UploadId"])


def _empty(client: S3Client, bucket: str, sleep: Callable[[float], None]) -> None:
    """Every version and marker. A lock is waited for; it was made to last seconds."""
    until = time.monotonic() + LOCK + PATIENCE
    while left := _versions(client, bucket):
        refused: str | None = None
        for key, version in left:
            try:
                client.delete_object(Bucket=bucket, Key=key, VersionId=version)
            except ClientError as error:
                refused = str(error.response.get("Error", {}).get("Code", "unknown"))
        if refused is not None:
            if time.monotonic() > until:
                raise Refused(
                    f"what was planted cannot be removed [{refused}]", about=bucket,
                    next_step="see until when it is locked; the next audit tries again",
                )  # fmt: skip
            sleep(1)


def _versions(client: S3Client, bucket: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for v in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
            found.append((v["Key"], v.get("VersionId") or "null"))
    return found


@dataclass
class _Bed:
    """Where one plant goes."""

    client: S3Client
    plant: Plant
    dice: random.Random
    uploads: Mapping[str, str]
    lock: int

    def make(self, *, versioned: bool = False, locked: bool = False) -> None:
        if locked:
            self.client.create_bucket(Bucket=self.plant.place, ObjectLockEnabledForBucket=True)
        else:
            self.client.create_bucket(Bucket=self.plant.place)
        if versioned and not locked:
            self.client.put_bucket_versioning(
                Bucket=self.plant.place, VersioningConfiguration={"Status": "Enabled"}
            )

    def key(self) -> str:
        return f"{made_up.word(self.dice)}/{made_up.word(self.dice)}"

    def put(self, values: Sequence[str]) -> None:
        for v in values:
            self.client.put_object(Bucket=self.plant.place, Key=self.key(), Body=self.body(v))

    def body(self, value: str) -> bytes:
        text = f"{made_up.word(self.dice)}: {value}; {made_up.word(self.dice)}".encode()
        return gzip.compress(text, mtime=0) if self.dice.random() < 0.3 else text

    def neighbours(self) -> list[str]:
        return made_up.neighbours(self.dice, self.plant.value, NEIGHBOURS)


def _noncurrent_version(bed: _Bed) -> None:
    bed.make(versioned=True)
    bed.put(bed.neighbours())
    for _ in range(bed.plant.rows):
        key = bed.key()
        bed.client.put_object(Bucket=bed.plant.place, Key=key, Body=bed.body(bed.plant.value))
        bed.client.put_object(Bucket=bed.plant.place, Key=key, Body=b"")


def _delete_marker(bed: _Bed) -> None:
    bed.make(versioned=True)
    bed.put(bed.neighbours())
    key = bed.key()
    bed.client.put_object(Bucket=bed.plant.place, Key=key, Body=bed.body(bed.plant.value))
    bed.client.delete_object(Bucket=bed.plant.place, Key=key)


def _locked_object(bed: _Bed) -> None:
    """A bulk delete of it says that all went well, and names the refusal in its answer."""
    try:
        bed.make(locked=True)
    except ClientError:
        raise CannotPlant("the server makes no bucket that can lock") from None
    bed.put(bed.neighbours())
    key = bed.key()
    put = bed.client.put_object(
        Bucket=bed.plant.place, Key=key, Body=bed.body(bed.plant.value), ObjectLockMode="COMPLIANCE",
        ObjectLockRetainUntilDate=datetime.now(UTC) + timedelta(seconds=bed.lock),
    )  # fmt: skip
    said = bed.client.delete_objects(
        Bucket=bed.plant.place, Delete={"Objects": [{"Key": key, "VersionId": put["VersionId"]}]}
    )
    if not said.get("Errors"):
        raise CannotPlant("the server let a locked version be deleted")


def _replica_bucket(bed: _Bed) -> None:
    """As a replication leaves it: the object in another bucket, while its source is gone."""
    bed.make(versioned=True)
    bed.put(bed.neighbours())
    bed.put([bed.plant.value])


def _shared_log_record(bed: _Bed) -> None:
    bed.make()
    people = bed.neighbours()
    people.insert(bed.dice.randrange(len(people)), bed.plant.value)
    lines = [
        json.dumps({made_up.word(bed.dice, 6): n, made_up.word(bed.dice, 6): v}) for n, v in enumerate(people)
    ]
    body = gzip.compress("\n".join(lines).encode(), mtime=0)
    bed.client.put_object(Bucket=bed.plant.place, Key=f"{bed.key()}.jsonl.gz", Body=body)


def _open_upload(bed: _Bed) -> None:
    ((bucket, key),) = bed.uploads.items()
    try:
        _abort(bed.client, bucket, key)  # who may not list uploads could not find this one again
        begun = bed.client.create_multipart_upload(Bucket=bucket, Key=key)
        bed.client.upload_part(
            Bucket=bucket, Key=key, UploadId=begun["UploadId"], PartNumber=1, Body=bed.plant.value.encode()
        )
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "unknown"))
        raise CannotPlant(f"the planter may not upload under a made-up person's prefix [{code}]") from None


_KINDS: Mapping[str, Callable[[_Bed], None]] = {
    "noncurrent_version": _noncurrent_version, "delete_marker": _delete_marker,
    "open_upload": _open_upload, "locked_object": _locked_object,
    "replica_bucket": _replica_bucket, "shared_log_record": _shared_log_record,
}  # fmt: skip
