"""The step area: a bucket of our own that holds cohort, manifests, journal and receipts of a step.

    steps/<step>/cohort.json.gz          the subjects, by number
    steps/<step>/located.zip             what the survey found: a row per item, and what a person must settle
    steps/<step>/weighed.zip             the same rows with their dispositions (both: ``manifests``)
    steps/<step>/settled.zip             of a night: the rows that went, without those that were passed over
    steps/<step>/journal/dispose-<n>     intent: written before chunk n is touched
    steps/<step>/passed/dispose-<n>      of a night: which rows of chunk n stay, and why; written before its receipt
    receipts/<step>/<verb>-<n>.json      done: written after chunk n, never replaced
    rewritten/<digest>                   of a record file that we put over itself: of bucket, key and content; written before

Everything under ``steps/`` names people and goes when the step closes, with all versions. Receipts hold
counts or digests only and stay.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING, Any, Literal, cast

from botocore.exceptions import ClientError

from include.model.errors import BooksDoNotBalance, CatalogueError, Drifted, Refused
from include.model.flow import Receipt, Step
from include.stores.s3.listing import honours_key_marker
from include.stores.s3.manifests import Manifest, Writing, packing, spooled, unpacking
from include.stores.s3.server import ABSENT, Patience, abort_uploads, code_of, delete_versions, reaching

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Kind = Literal["located", "weighed", "settled"]
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
        """Keep the cohort, in a bucket that is made if it is not there. Raises Refused if the step has another one."""
        cohort = gzip.compress(
            json.dumps({"case": step.case_no, "subjects": step.subjects}, ensure_ascii=False).encode(),
            mtime=0,
        )
        key = f"steps/{step.id}/cohort.json.gz"
        try:
            before = self._get(key)
        except CatalogueError:
            self.install()
            before = None
        if before is None:
            self._put(key, cohort)
        elif gzip.decompress(before) != gzip.decompress(cohort):
            raise Refused(
                "the step is already open with another cohort",
                about=f"step {step.id} of {step.case_no}",
                next_step="open a new step",
            )

    # --- manifests ------------------------------------------------------------------------------

    @contextmanager
    def writing(self, step: str, kind: Kind) -> Iterator[Writing]:
        """A manifest to be written. It is there when this ends without an error, and replaces an earlier one."""
        with spooled() as file:
            with packing(file) as manifest:
                yield manifest
            with reaching(self.about):
                self.client.upload_fileobj(file, self.bucket, _manifest(step, kind))

    @contextmanager
    def reading(self, step: str, kind: Kind) -> Iterator[Manifest]:
        """The manifest as it is now. Raises Drifted if there is none."""
        with ExitStack() as stack:
            with reaching(self.about):
                try:
                    body = self.client.get_object(Bucket=self.bucket, Key=_manifest(step, kind))["Body"]
                except ClientError as error:
                    if code_of(error) not in ABSENT:
                        raise
                    raise Drifted(
                        f"the step area has no {kind} manifest",
                        about=f"step {step} in store {self.store}",
                        next_step="survey and weigh again",
                    ) from None
                manifest = stack.enter_context(unpacking(cast("IO[bytes]", body)))
            yield manifest

    # --- journal and receipts -------------------------------------------------------------------

    def intend(self, step: str, chunk: int, plan: str, **more: object) -> None:
        """Say that a chunk is about to be touched, and what else of it must be known to go on with it. Nothing of it may be
        touched before this returns."""
        self._put(_intent(step, chunk), json.dumps({"plan": plan, **more}).encode())

    def intended(self, step: str, chunk: int) -> dict[str, Any]:
        """All that was said of a chunk before it was touched; nothing, if it was not begun."""
        raw = self._get(_intent(step, chunk))
        return json.loads(raw) if raw is not None else {}

    def pass_over(self, step: str, chunk: int, passed: Mapping[int, str]) -> None:
        """Say which rows of a chunk stay, by their places in the manifest, and why. What was said before is replaced."""
        self._put(f"steps/{step}/passed/dispose-{chunk:06d}.json", json.dumps(passed).encode())

    def passed(self, step: str, chunk: int) -> dict[int, str]:
        """The rows of a chunk that stay."""
        raw = self._get(f"steps/{step}/passed/dispose-{chunk:06d}.json")
        return {int(place): why for place, why in json.loads(raw).items()} if raw is not None else {}

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

    # --- files that were rewritten -----------------------------------------------------------------

    def rewrote(self, bucket: str, key: str, sha256: str) -> None:
        """Say that we put these bytes over a record file: a file without some of its records, and nothing new."""
        self._put(_rewritten(bucket, key, sha256), b"")

    def is_ours(self, bucket: str, key: str, sha256: str) -> bool:
        """Whether we said so of these bytes."""
        return self._get(_rewritten(bucket, key, sha256)) is not None

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


def _intent(step: str, chunk: int) -> str:
    return f"steps/{step}/journal/dispose-{chunk:06d}.json"


def _rewritten(bucket: str, key: str, sha256: str) -> str:
    said = json.dumps([bucket, key, sha256]).encode()
    return f"rewritten/{hashlib.sha256(said).hexdigest()}"


def _manifest(step: str, kind: Kind) -> str:
    return f"steps/{step}/{kind}.zip"
