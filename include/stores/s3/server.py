"""Talking to one S3 server: errors of our family, a shared back-off budget, bulk deletes whose every
answer is read, and writes that never silently replace somebody else's.

What servers really do differs from the book; measured in ``tests/stores/s3`` on moto 5 and Ceph 16:
``If-Match`` works on moto, on Ceph only with an unquoted ETag and never in a versioned bucket; moto's
``KeyMarker`` without a version skips one entry too many. So each is tried, never assumed.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from include.model.errors import BooksDoNotBalance, CatalogueError, NotReachable, QuietusError, Refused

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

BATCH = 1000  # the most keys one DeleteObjects may name (S3 API reference)
BUSY = frozenset(
    {"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling", "OperationAborted",
     "503", "500"}
)  # fmt: skip
ABSENT = frozenset({"NoSuchKey", "NoSuchVersion", "NoSuchUpload", "404"})


def code_of(error: ClientError) -> str:
    """The server's error code, such as ``AccessDenied``. Codes never hold a value; messages may."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def reaching(about: str) -> Iterator[None]:
    """Turn the driver's exceptions into our family, quoting the code and never the message."""
    try:
        yield
    except ClientError as error:
        code = code_of(error)
        if code in BUSY:
            raise NotReachable(
                f"the S3 server is busy ({code})", about=about, next_step="run the step again"
            ) from None
        if code == "NoSuchBucket":
            raise CatalogueError(
                "the bucket does not exist", about=about, next_step="correct the catalogue or make the bucket"
            ) from None
        if code in ("AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch"):
            raise Refused(
                f"the S3 server refused the eraser ({code})",
                about=about,
                next_step="grant the eraser this action, then run the step again",
            ) from None
        raise QuietusError(
            f"the S3 server answered {code}", about=about, next_step="see the server's log"
        ) from None
    except (BotoCoreError, Boto3Error) as error:  # Boto3Error: the managed upload of a large manifest
        raise NotReachable(
            f"the S3 server did not answer ({type(error).__name__})", about=about,
            next_step="check the server, then run the step again; receipts tell what is done",
        ) from None  # fmt: skip


@dataclass
class Patience:
    """How long all callers of one store together may wait for a busy server, in seconds. ``pauses``: how often one waited."""

    budget: float = 300.0
    first: float = 0.2
    longest: float = 10.0
    pauses: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def wait(self, attempt: int, about: str) -> None:
        """Sleep before the next attempt (exponential, full jitter). Raises NotReachable when spent."""
        pause = min(self.longest, self.first * 2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311
        with self._lock:
            if self.budget < pause:
                raise NotReachable(
                    "the S3 server stayed busy until the back-off budget was spent",
                    about=about,
                    next_step="run the step again when the server is less busy",
                )
            self.budget -= pause
            self.pauses += 1
        time.sleep(pause)


@dataclass
class Deleted:
    """What one bulk delete did. ``stayed`` is error code -> how many; ``left`` is which stayed, with the code of each;
    ``gone`` were absent or deleted."""

    gone: int = 0
    stayed: dict[str, int] = field(default_factory=dict)
    left: dict[tuple[str, str], str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)


def delete_versions(
    client: S3Client, bucket: str, versions: Sequence[tuple[str, str]], patience: Patience, about: str
) -> Deleted:
    """Delete (key, version id) pairs in batches of 1000. HTTP 200 is not success: every error is read.

    Busy answers are tried again within the budget; a refusal (denied, locked) is counted and stays.
    A pair the server does not mention in ``Errors`` is gone: S3 also reports an absent version so.
    """
    done = Deleted()
    for at in range(0, len(versions), BATCH):
        todo = list(versions[at : at + BATCH])
        attempt = 0
        while todo:
            objects: list[ObjectIdentifierTypeDef] = [{"Key": k, "VersionId": v} for k, v in todo]
            with reaching(about):
                answer = client.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
            if len(done.requests) < 100:
                done.requests.append(answer["ResponseMetadata"].get("RequestId", ""))
            again: dict[tuple[str, str], None] = {}
            refused = 0
            for error in answer.get("Errors", []):
                code, key, version = error.get("Code", "unknown"), error.get("Key"), error.get("VersionId")
                if code in ABSENT:
                    continue
                if code in BUSY:  # some servers leave the version out: then all of the key's are tried again
                    again.update({(k, v): None for k, v in todo if k == key and version in (None, "", v)})
                else:
                    refused += 1
                    done.stayed[code] = done.stayed.get(code, 0) + 1
                    done.left.update({(k, v): code for k, v in todo if k == key and version in (None, "", v)})
            done.gone += len(todo) - len(again) - refused
            todo = list(again)
            if todo:
                patience.wait(attempt, about)
                attempt += 1
    return done


def abort_uploads(client: S3Client, bucket: str, uploads: Sequence[tuple[str, str]], about: str) -> Deleted:
    """Abort (key, upload id) pairs; there is no bulk call. An absent upload is gone."""
    done = Deleted()
    for key, upload in uploads:
        try:
            with reaching(about):
                try:
                    client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)
                except ClientError as error:
                    if code_of(error) not in ABSENT:
                        raise
            done.gone += 1
        except Refused:
            done.stayed["AccessDenied"] = done.stayed.get("AccessDenied", 0) + 1
            done.left[key, upload] = "AccessDenied"
    return done


class Superseded(Exception):
    """Somebody else wrote the object since it was read; read it again. Never leaves this package."""


def put_over(
    client: S3Client,
    bucket: str,
    key: str,
    body: IO[bytes],
    etag: str,
    *,
    about: str,
    extra: dict[str, object],
) -> tuple[str, str, str]:
    """Put ``body`` only if the current object still has ``etag`` (quoted, as listed).

    Returns (version id, new etag, how the precondition was kept). Tries ``If-Match`` quoted, then bare
    (Ceph); where a server answers 412 to a true precondition, compares by HEAD right before the write,
    and the caller must check the version chain after it. Raises Superseded.
    """
    for how, value in (("if-match", etag), ("if-match-bare", etag.strip('"')), ("compared", "")):
        body.seek(0)
        guard: dict[str, object] = {"IfMatch": value} if value else {}
        with reaching(about):
            try:
                answer = client.put_object(Bucket=bucket, Key=key, Body=body, **guard, **extra)  # type: ignore[arg-type]
            except ClientError as error:
                if code_of(error) not in ("PreconditionFailed", "412", "ConditionalRequestConflict"):
                    raise
                if current_etag(client, bucket, key, about) != etag:
                    raise Superseded from None
                continue
        return answer.get("VersionId", "null"), answer["ETag"], how
    raise BooksDoNotBalance("the server refused a write without a condition", about=about)  # pragma: no cover


def current_etag(client: S3Client, bucket: str, key: str, about: str) -> str:
    """The ETag of the current object, or an empty string if there is none."""
    with reaching(about):
        try:
            return client.head_object(Bucket=bucket, Key=key)["ETag"]
        except ClientError as error:
            if code_of(error) in ABSENT:
                return ""
            raise
