"""The step area: a bucket of our own that holds cohort, manifests, journal and receipts of a step.

    steps/<step>/cohort.json.gz          the subjects, by number
    steps/<step>/located/<dataset>       what the survey found, one row per item (JSONL.gz)
    steps/<step>/weighed/<dataset>       the same rows with their dispositions
    steps/<step>/findings/<dataset>      what a person must settle
    steps/<step>/journal/dispose-<n>     intent: written before chunk n is touched
    receipts/<step>/<verb>-<n>.json      done: written after chunk n, never replaced

Everything under ``steps/`` names people and goes when the step closes, with all versions. Receipts hold
counts only and stay.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, cast

from botocore.exceptions import ClientError

from include.model.errors import BooksDoNotBalance, Drifted, Refused
from include.model.flow import Finding, Receipt, Step
from include.stores.s3.items import Item, spool, unspool
from include.stores.s3.listing import honours_key_marker
from include.stores.s3.server import ABSENT, Patience, abort_uploads, code_of, delete_versions, reaching

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PROBE = ("quietus/probe/a", "quietus/probe/b", "quietus/probe/c")


class Area:
    """The work bucket of one store."""

    def __init__(self, client: S3Client, bucket: str, store: str, patience: Patience) -> None:
        self.client, self.bucket, self.store, self.patience = client, bucket, store, patience
        self.about = f"step area of store {store}"
        self._leaps: bool | None = None

    def install(self) -> None:
        """Make the bucket, private. Again is a no-op."""
        with reaching(self.about):
            try:
                self.client.head_bucket(Bucket=self.bucket)
            except ClientError as error:
                if code_of(error) not in ("404", "NoSuchBucket"):
                    raise
                self.client.create_bucket(Bucket=self.bucket)

    @property
    def leaps(self) -> bool:
        """Whether this server honours KeyMarker as written; tried once on three empty objects."""
        if self._leaps is None:
            for key in PROBE:
                self._put(key, b"")
            self._leaps = honours_key_marker(self.client, self.bucket, PROBE, self.about)
        return self._leaps

    # --- cohort ---------------------------------------------------------------------------------

    def open(self, step: Step) -> None:
        """Keep the cohort. Raises Refused if the step already has another one."""
        cohort = gzip.compress(
            json.dumps({"case": step.case_no, "subjects": step.subjects}, ensure_ascii=False).encode(),
            mtime=0,
        )
        key = f"steps/{step.id}/cohort.json.gz"
        before = self._get(key)
        if before is None:
            self._put(key, cohort)
        elif gzip.decompress(before) != gzip.decompress(cohort):
            raise Refused(
                "the step is already open with another cohort",
                about=f"step {step.id} of {step.case_no}",
                next_step="open a new step",
            )

    # --- manifests ------------------------------------------------------------------------------

    def keep(self, step: str, kind: str, dataset: str, items: Iterable[Item]) -> None:
        """Write a manifest as a stream."""
        with spool(items) as source, reaching(self.about):
            self.client.upload_fileobj(source, self.bucket, f"steps/{step}/{kind}/{dataset}.jsonl.gz")

    def items(self, step: str, kind: str, dataset: str) -> Iterator[Item]:
        """The rows of a manifest in order, as a stream. Raises Drifted if there is none."""
        with reaching(self.about):
            try:
                body = self.client.get_object(
                    Bucket=self.bucket, Key=f"steps/{step}/{kind}/{dataset}.jsonl.gz"
                )["Body"]
            except ClientError as error:
                if code_of(error) not in ABSENT:
                    raise
                raise Drifted(
                    f"the step area has no {kind} manifest", about=dataset, next_step="survey and weigh again"
                ) from None
        with body, reaching(self.about):
            yield from unspool(cast("IO[bytes]", io.BufferedReader(_Raw(body), 1 << 18)))

    def keep_findings(self, step: str, dataset: str, findings: Iterable[Finding]) -> None:
        rows = [finding.model_dump(mode="json") for finding in findings]
        self._put(f"steps/{step}/findings/{dataset}.json", json.dumps(rows).encode())

    def findings(self, step: str, dataset: str) -> tuple[Finding, ...]:
        raw = self._get(f"steps/{step}/findings/{dataset}.json")
        return tuple(Finding.model_validate(row) for row in json.loads(raw)) if raw else ()

    # --- journal and receipts -------------------------------------------------------------------

    def intend(self, step: str, chunk: int, plan: str) -> None:
        """Say that a chunk is about to be touched. Nothing of it may be touched before this returns."""
        self._put(f"steps/{step}/journal/dispose-{chunk:06d}.json", json.dumps({"plan": plan}).encode())

    def intents(self, step: str) -> dict[int, str]:
        """Chunk -> fingerprint of the plan it was begun under."""
        found: dict[int, str] = {}
        for key in self._keys(f"steps/{step}/journal/dispose-"):
            raw = self._get(key)
            if raw is not None:
                found[int(key.rsplit("-", 1)[1].removesuffix(".json"))] = json.loads(raw)["plan"]
        return found

    def receipt(self, receipt: Receipt) -> Receipt:
        """Write a receipt once. If there is one already, that one counts and is returned; one that is
        for another plan raises BooksDoNotBalance."""
        key = f"receipts/{receipt.step}/{receipt.verb}-{receipt.chunk:06d}.json"
        if self._put(key, receipt.canonical(), once=True):
            return receipt
        before = Receipt.model_validate_json(self._get(key) or b"{}")
        if before.plan != receipt.plan:
            raise BooksDoNotBalance(
                f"chunk {receipt.chunk} already has a receipt for another plan",
                about=f"step {receipt.step} in store {self.store}",
                next_step="open a new step for the new plan",
            )
        return before

    def receipts(self, step: str) -> tuple[Receipt, ...]:
        found = [
            Receipt.model_validate_json(self._get(key) or b"{}") for key in self._keys(f"receipts/{step}/")
        ]
        return tuple(sorted(found, key=lambda r: (r.verb == "dispose", r.chunk)))

    def close(self, step: str) -> None:
        """Delete everything of the step but its receipts: all versions, markers and open uploads."""
        prefix = f"steps/{step}/"
        while True:
            with reaching(self.about):
                page = self.client.list_object_versions(Bucket=self.bucket, Prefix=prefix)
            doomed = [(v["Key"], v.get("VersionId") or "null") for v in page.get("Versions", [])]
            doomed += [(m["Key"], m.get("VersionId") or "null") for m in page.get("DeleteMarkers", [])]
            if not doomed:
                break
            if delete_versions(self.client, self.bucket, doomed, self.patience, self.about).stayed:
                raise BooksDoNotBalance(
                    "the server refuses to delete manifests", about=self.about, next_step="check its locks"
                )
        with reaching(self.about):
            uploads = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=prefix).get("Uploads", [])
        abort_uploads(self.client, self.bucket, [(u["Key"], u["UploadId"]) for u in uploads], self.about)

    # --- small objects --------------------------------------------------------------------------

    def _keys(self, prefix: str) -> Iterator[str]:
        with reaching(self.about):
            for page in self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix
            ):
                yield from (entry["Key"] for entry in page.get("Contents", []))

    def _get(self, key: str) -> bytes | None:
        with reaching(self.about):
            try:
                return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            except ClientError as error:
                if code_of(error) in ABSENT:
                    return None
                raise

    def _put(self, key: str, body: bytes, *, once: bool = False) -> bool:
        """Write a small object. ``once``: only if the key is free; says whether it was written."""
        with reaching(self.about):
            if not once:
                self.client.put_object(Bucket=self.bucket, Key=key, Body=body)
                return True
            if self._get(key) is not None:  # a server that ignores If-None-Match must not replace it
                return False
            try:
                self.client.put_object(Bucket=self.bucket, Key=key, Body=body, IfNoneMatch="*")
            except ClientError as error:
                if code_of(error) in ("PreconditionFailed", "412", "ConditionalRequestConflict"):
                    return False
                raise
            return True


class _Raw(io.RawIOBase):
    """An S3 body as a raw stream that io.BufferedReader accepts."""

    def __init__(self, body: object) -> None:
        self._body = cast("IO[bytes]", body)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer)).cast("B")
        data = self._body.read(len(view))
        view[: len(data)] = data
        return len(data)
