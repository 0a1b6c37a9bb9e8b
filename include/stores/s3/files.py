"""Fetching one version of a record file to local disk, and reading the cohort's records in it."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np
from botocore.exceptions import ClientError

from include.model.errors import CatalogueError, QuietusError
from include.model.estate import Dataset
from include.stores.s3.fate import LAST_MODIFIED, day_of
from include.stores.s3.formats import RecordFormat, lost
from include.stores.s3.items import Item
from include.stores.s3.server import ABSENT, code_of, reaching
from include.stores.s3.site import Owners

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from numpy.typing import NDArray

IN_MEMORY = 8 << 20  # larger files are held on disk
# Of an object's own headers, those that a rewritten file takes over.
HEADERS = (
    "ContentType", "ContentEncoding", "ContentDisposition", "ContentLanguage", "CacheControl", "Metadata",
    "StorageClass", "ServerSideEncryption", "SSEKMSKeyId", "WebsiteRedirectLocation",
)  # fmt: skip


def format_of(name: str) -> RecordFormat:
    """The implementation for ``Dataset.format``. Raises KeyError."""
    from include.stores.s3.jsonl import JsonLines
    from include.stores.s3.parquet import Parquet

    return {"jsonl.gz": JsonLines(), "parquet": Parquet()}[name]  # type: ignore[return-value]


WRITTEN = "quietus-written"
"""Among an object's metadata: the day by which its records were written, and SHA-256 of the content about which that is said."""


@dataclass
class File:
    entry: Item
    body: IO[bytes]
    headers: dict[str, Any]

    @cached_property
    def written(self) -> date | None:
        """The day by which all of its records were written. A copy of ours is younger than they are, and says so; that counts for
        as long as it is this very copy, and not for what somebody made of it."""
        stored = day_of(self.entry.modified)
        said, _, content = self.headers.get("Metadata", {}).get(WRITTEN, "").partition(" ")
        day = day_of(said)
        if day is None or (stored is not None and day > stored) or content != self.digest(self.body):
            return stored
        return day

    @staticmethod
    def digest(body: IO[bytes]) -> str:
        """SHA-256 of a content, from its beginning to its end; whoever reads it goes on where he was."""
        at = body.tell()
        body.seek(0)
        try:
            return hashlib.file_digest(cast("Any", body), "sha256").hexdigest()
        finally:
            body.seek(at)

    def headers_of(self, copy: str) -> dict[str, Any]:
        """What a copy of that digest takes over: the object's own headers, and by when its records were written."""
        if self.written is None:
            return self.headers
        said = f"{self.written.isoformat()} {copy}"
        return {**self.headers, "Metadata": {**self.headers.get("Metadata", {}), WRITTEN: said}}

    def close(self) -> None:
        self.body.close()


class Files:
    """The record files of one dataset."""

    def __init__(self, client: S3Client, dataset: Dataset) -> None:
        if dataset.format is None:
            raise CatalogueError("records need a format", about=dataset.id)
        self.client, self.dataset, self.bucket = client, dataset, dataset.address
        self.format: RecordFormat = format_of(dataset.format)
        self.times = sorted(
            {b.start.column for b in dataset.binds if b.start and b.start.column} - {LAST_MODIFIED}
        )
        self.fields = sorted(
            {b.start.column for b in dataset.binds if b.start and b.start.column}
            | {mine for b in dataset.binds if b.start for mine in b.start.on}
        )

    def fetch(self, entry: Item) -> File | None:
        """One version, streamed to a temporary file. None if it is gone."""
        version = {} if entry.version == "null" else {"VersionId": entry.version}
        sink = cast("IO[bytes]", tempfile.SpooledTemporaryFile(IN_MEMORY))  # noqa: SIM115 (File closes it)
        with reaching(self.dataset.id):
            try:
                answer = self.client.get_object(Bucket=self.bucket, Key=entry.key, **version)  # type: ignore[arg-type]
            except ClientError as error:
                if code_of(error) not in ABSENT:
                    raise
                return None
            with answer["Body"] as body:
                shutil.copyfileobj(cast("IO[bytes]", body), sink, 1 << 20)
        sink.seek(0)
        return File(entry, sink, {h: answer[h] for h in HEADERS if answer.get(h)})  # type: ignore[literal-required]

    def records(
        self, file: File, field: str, wanted: frozenset[str], known: Owners
    ) -> tuple[list[Item], int]:
        """The cohort's records in a version, in order, and how many could not be read."""
        entry, rows, unreadable = file.entry, list[Item](), 0
        try:
            for hit in self.format.scan(file.body, field, wanted, self.fields):
                if hit.subject is None:
                    unreadable += 1
                    continue
                owned = known[(hit.subject,)]
                rows.append(
                    Item("record", entry.key, entry.version, entry.current, entry.etag, 0, entry.modified,
                         owned.subjects, owned.link_only, owned.shared, hit.values, hit.row, hit.content)
                )  # fmt: skip
        except QuietusError:
            return rows, unreadable + 1
        return rows, unreadable

    def describe(self, file: File, rows: list[Item]) -> None:
        """Note on the ``file`` row what holds for the file as a whole: whether others have records in it, and
        how young its youngest record is. A file that cannot be read to its end may hold anybody's."""
        entry = file.entry
        try:
            entry.mixed = self.mixed(file, rows)
            entry.youngest = self.youngest(file)
        except QuietusError:
            entry.mixed = True
            entry.youngest = dict.fromkeys(self.times, _written(file))

    def mixed(self, file: File, rows: list[Item]) -> bool:
        """Whether the version holds any record but the cohort's own ones among these."""
        return self.format.others(file.body, frozenset(row.row for row in rows if not row.link_only))

    def youngest(self, file: File) -> dict[str, str]:
        """Time field -> the day of the youngest record, whoever's. A record without a readable time is at most
        as young as the version that it was written into."""
        found, written = dict[str, str](), _written(file)
        for name in self.times:
            days = set[str]()
            for value in self.format.times(file.body, name):
                day = day_of(value)
                days.add(day.isoformat() if day else written)
            if days:
                found[name] = max(days)
        return found

    def prints(self, file: File, without: list[Item]) -> NDArray[np.uint64]:
        """Prints of a version's records but those."""
        return self.format.prints(file.body, frozenset(row.row for row in without))

    def nothing(self) -> NDArray[np.uint64]:
        return np.empty(0, dtype=np.uint64)

    def lost(self, old: NDArray[np.uint64], new: NDArray[np.uint64]) -> int:
        return lost(old, new)

    def versions(self, key: str) -> list[Item]:
        """All versions and markers of one key, the newest first."""
        from include.stores.s3.listing import Walk, never

        walk = Walk(self.client, self.bucket, may_leap=never, about=self.dataset.id)
        for group in walk.versions(key, [key]):
            if group[0].key == key:
                return group[::-1]
        return []

    def tagging(self, entry: Item) -> list[tuple[str, str]]:
        version = {} if entry.version == "null" else {"VersionId": entry.version}
        with reaching(self.dataset.id):
            found = self.client.get_object_tagging(Bucket=self.bucket, Key=entry.key, **version)  # type: ignore[arg-type]
        return [(t["Key"], t["Value"]) for t in found["TagSet"]]


def _written(file: File) -> str:
    """The day by which a version's records were written; "" if nothing says."""
    return file.written.isoformat() if file.written else ""
