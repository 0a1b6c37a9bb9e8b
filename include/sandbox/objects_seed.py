"""Putting made-up objects into the buckets, several people at a time."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from include.model.errors import NotReachable
from include.model.times import observed_now
from include.sandbox import buckets
from include.sandbox.people.files import File

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

THREADS = 3
AHEAD = 60  # jobs that may wait: what bounds memory
LOCKED_FOR = timedelta(days=3)  # of the wall clock, for no server locks into the past
Upload = tuple[str, str, bytes]


class Putting:
    """``with Putting(s3) as putting: putting.put(files)``. ``counts``: versions put, by bucket, complete at the end.

    Raises NotReachable if the server does not take an object.
    """

    def __init__(self, s3: S3Client, locked_for: timedelta = LOCKED_FOR) -> None:
        self.locked_for = locked_for
        self.counts: Counter[str] = Counter()
        self._s3 = s3
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="put")
        self._waiting: deque[Future[Counter[str]]] = deque()

    def __enter__(self) -> Putting:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            while self._waiting and error is None:
                self.counts += self._waiting.popleft().result()
        finally:
            self._pool.shutdown(cancel_futures=True)

    def put(self, files: Iterable[File], upload: Upload | None = None) -> None:
        """All versions of some files, in order, and an upload that stays open."""
        while len(self._waiting) >= AHEAD:
            self.counts += self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(self._put, list(files), upload))

    def _put(self, files: list[File], upload: Upload | None) -> Counter[str]:
        put: Counter[str] = Counter()
        try:
            for file in files:
                for body in file.bodies:
                    self._s3.put_object(
                        Bucket=file.bucket, Key=file.key, Body=body, **_lock(file.bucket, self.locked_for)
                    )
                    put[file.bucket] += 1
                if file.deleted:
                    self._s3.delete_object(Bucket=file.bucket, Key=file.key)
            if upload is not None:
                self._begin(*upload)
        except (ClientError, BotoCoreError) as error:
            raise NotReachable(
                f"an object was not taken ({type(error).__name__})",
                about="objects",
                next_step="see whether the S3 server runs: quietus sandbox status",
            ) from None
        return put

    def _begin(self, bucket: str, key: str, part: bytes) -> None:
        begun = self._s3.create_multipart_upload(Bucket=bucket, Key=key)
        self._s3.upload_part(Bucket=bucket, Key=key, UploadId=begun["UploadId"], PartNumber=1, Body=part)


def _lock(bucket: str, locked_for: timedelta) -> dict[str, Any]:
    if bucket != buckets.LOCKED:
        return {}
    return {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": observed_now() + locked_for}
