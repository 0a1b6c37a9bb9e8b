"""What is in a bucket, as the prover lists and reads it; and the manifests of the step area."""

from __future__ import annotations

import gzip
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from string import Formatter
from typing import IO, TYPE_CHECKING, Any, Literal, cast

from botocore.exceptions import BotoCoreError, ClientError

from include.model.abreast import abreast
from include.model.errors import NotReachable, QuietusError, Refused
from include.model.flow import Receipt
from include.model.words import CopyKind
from include.proofs.bodies import spooled

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WORK = "quietus-work"
ONE_BY_ONE = 64  # so many prefixes are listed each by itself; more, by one walk through all keys
NO_REPLICATION = (
    "ReplicationConfigurationNotFoundError", "NoSuchReplicationConfiguration", "NotImplemented", "MethodNotAllowed",
)  # fmt: skip
HEADERS: tuple[Literal["ContentDisposition", "ContentType", "CacheControl", "WebsiteRedirectLocation"], ...] = (
    "ContentDisposition", "ContentType", "CacheControl", "WebsiteRedirectLocation",
)  # fmt: skip
BUSY = ("SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "503", "500")


@dataclass(frozen=True)
class Thing:
    """A version, a delete marker or an open multipart upload."""

    key: str
    version: str  # version or upload id
    kind: str  # "version", "marker", "upload"
    current: bool = False
    size: int = 0
    etag: str = ""

    @property
    def copy(self) -> CopyKind:
        """The copy of the books that it belongs to: what is current is live, all else is kept beside it."""
        return CopyKind.LIVE if self.current else CopyKind.OBJECT_VERSION

    @property
    def id(self) -> tuple[str, str]:
        """What names it for good."""
        return self.key, self.version

    @property
    def exact(self) -> tuple[str, str, str]:
        """What names its bytes for good: without versioning what is written over it has the same key and version."""
        return exactly(self.key, self.version, self.etag)


def exactly(key: str, version: str, etag: str) -> tuple[str, str, str]:
    """A version as :attr:`Thing.exact` names it."""
    return key, version, etag if version == "null" else ""


@contextmanager
def asking(about: str) -> Iterator[None]:
    """Turn what the client raises into our own errors: no key, no value. Refused: it answers, but not us."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "unknown"))
        if code in BUSY:
            raise NotReachable(
                f"the S3 server is busy [{code}]", about=about, next_step="look again when it is less busy"
            ) from None
        raise Refused(
            f"the prover was turned away [{code}]", about=about,
            next_step="the prover's key needs to list versions and uploads, and to read objects, tags and policies",
        ) from None  # fmt: skip
    except (BotoCoreError, OSError):
        raise NotReachable(
            "the S3 server does not answer", about=about, next_step="check the server, then look again"
        ) from None


@dataclass(frozen=True)
class Pattern:
    """A declared key template, such as ``{account_id}/{application_id}/``."""

    text: str

    @cached_property
    def _pieces(self) -> tuple[tuple[str, str | None], ...]:
        return tuple((literal, variable) for literal, variable, _, _ in Formatter().parse(self.text))

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        made = "".join(re.escape(lit) + (f"(?P<{v}>[^/]+)" if v else "") for lit, v in self._pieces)
        # ``{account_id}`` at the end stops at a slash: A1 is not A12.
        return re.compile(made + ("(?:/|$)" if self._pieces and self._pieces[-1][1] else ""), re.DOTALL)

    def variables(self, key: str) -> dict[str, str] | None:
        """The variables in a key, or None if the key is not under the template."""
        found = self._expression.match(key)
        return found.groupdict() if found else None

    def start(self, known: Mapping[str, str]) -> str:
        """What every key with these variables begins with."""
        out = ""
        for literal, variable in self._pieces:
            out += literal
            if variable is None:
                continue
            if variable not in known:
                return out
            out += known[variable]
        return out


@dataclass(frozen=True)
class Bucket:
    """One bucket through the prover's key."""

    client: S3Client
    name: str

    def under(self, prefixes: Iterable[str]) -> Iterator[Thing]:
        """Every version, marker and open upload under any of the prefixes; keys beside them may come along."""
        wanted = sorted(set(prefixes))
        if len(wanted) > ONE_BY_ONE:
            wanted = [_common(wanted)]
        last = None
        for prefix in wanted:
            if last is None or not prefix.startswith(last):
                yield from self._versions(prefix)
                yield from self._uploads(prefix)
                last = prefix

    def _versions(self, prefix: str) -> Iterator[Thing]:
        with asking(self.name):
            for page in self.client.get_paginator("list_object_versions").paginate(
                Bucket=self.name, Prefix=prefix
            ):
                for v in page.get("Versions", []):
                    yield Thing(
                        v["Key"], v.get("VersionId") or "null", "version", v["IsLatest"], v["Size"], v["ETag"]
                    )
                for m in page.get("DeleteMarkers", []):
                    yield Thing(m["Key"], m.get("VersionId") or "null", "marker")

    def _uploads(self, prefix: str) -> Iterator[Thing]:
        with asking(self.name):
            for page in self.client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.name, Prefix=prefix
            ):
                for u in page.get("Uploads", []):
                    yield Thing(u["Key"], u["UploadId"], "upload")

    def body(self, thing: Thing) -> IO[bytes]:
        """The object's bytes as a stream."""
        return self.whole(thing)[0]

    def start(self, thing: Thing, n: int) -> bytes:
        """The first ``n`` bytes of a version that has any."""
        more: dict[str, Any] = {} if thing.version == "null" else {"VersionId": thing.version}
        with asking(self.name):
            got = self.client.get_object(Bucket=self.name, Key=thing.key, Range=f"bytes=0-{n - 1}", **more)
            return got["Body"].read()

    def whole(self, thing: Thing) -> tuple[IO[bytes], str]:
        """The object's bytes as a stream, and all that is written beside them: metadata, headers and tags."""
        more: dict[str, Any] = {} if thing.version == "null" else {"VersionId": thing.version}
        with asking(self.name):
            got = self.client.get_object(Bucket=self.name, Key=thing.key, **more)
            said = [f"{k} {v}" for k, v in got.get("Metadata", {}).items()]
            said += [str(got[h]) for h in HEADERS if h in got]
            if got.get("TagCount"):
                tags = self.client.get_object_tagging(Bucket=self.name, Key=thing.key, **more)["TagSet"]
                said += [f"{t['Key']} {t['Value']}" for t in tags]
        return cast("IO[bytes]", got["Body"]), "\n".join(said)

    def answers(self, key: str) -> bool:
        """Whether a HEAD finds the key."""
        with asking(self.name):
            try:
                self.client.head_object(Bucket=self.name, Key=key)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in ("404", "NoSuchKey", "NotFound", "405"):
                    return False
                raise
        return True

    def marked(self, things: Iterable[tuple[str, str]], tag: str, value: str) -> int:
        """How many of these versions bear the tag."""

        def bears(thing: tuple[str, str]) -> bool:
            more: dict[str, Any] = {} if thing[1] == "null" else {"VersionId": thing[1]}
            with asking(self.name):
                tags = self.client.get_object_tagging(Bucket=self.name, Key=thing[0], **more)["TagSet"]
            return any(t["Key"] == tag and t["Value"] == value for t in tags)

        return sum(abreast(bears, things))

    def replicas(self) -> list[str]:
        """The buckets that this one is replicated to. A server that knows no replication has none."""
        with asking(self.name):
            try:
                said = self.client.get_bucket_replication(Bucket=self.name)["ReplicationConfiguration"]
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in NO_REPLICATION:
                    return []
                raise
        return sorted(
            {r["Destination"]["Bucket"].removeprefix("arn:aws:s3:::") for r in said.get("Rules", [])}
        )

    def policy(self) -> list[dict[str, Any]]:
        """The statements of the bucket's policy; none if it has no policy."""
        with asking(self.name):
            try:
                text = self.client.get_bucket_policy(Bucket=self.name)["Policy"]
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") == "NoSuchBucketPolicy":
                    return []
                raise
        said = json.loads(text).get("Statement", [])
        return [said] if isinstance(said, dict) else list(said)


def _common(prefixes: list[str]) -> str:
    first, last = prefixes[0], prefixes[-1]  # sorted: what these two share, all share
    n = next(
        (i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last))
    )
    return first[:n]


@dataclass(frozen=True)
class Manifests:
    """The step area of an S3 store: one row per item that was located, with what was to become of it.

    Each look fetches a manifest once; it is read anew for every dataset."""

    work: Bucket
    step: str
    _fetched: dict[str, IO[bytes]] = field(default_factory=dict)

    def rows(self, kind: str, dataset: str) -> Iterator[dict[str, Any]]:
        """The rows of ``located`` or ``weighed``. Raises Refused if the manifest is not there, or not of the dataset."""
        if kind not in self._fetched:
            body = self.work.body(Thing(f"steps/{self.step}/{kind}.zip", "null", "version"))
            with asking(self.work.name):
                self._fetched[kind] = spooled(body)
        try:
            with zipfile.ZipFile(self._fetched[kind]) as packed, packed.open(f"{dataset}.jsonl") as member:
                for line in member:
                    yield json.loads(line)
        except (KeyError, zipfile.BadZipFile):
            raise Refused(
                f"the {kind} manifest does not know the dataset",
                about=dataset,
                next_step="survey and plan again",
            ) from None

    def cohort(self) -> tuple[str, ...]:
        """Whom the step area says that it is about. Raises Refused if it does not say."""
        raw = self.work.body(Thing(f"steps/{self.step}/cohort.json.gz", "null", "version"))
        with asking(self.work.name):
            return tuple(json.loads(gzip.decompress(raw.read()))["subjects"])

    def restriction(self) -> Receipt | None:
        """The store's own word on its restriction."""
        try:
            raw = self.work.body(Thing(f"receipts/{self.step}/restrict-000000.json", "null", "version"))
        except NotReachable:
            raise
        except QuietusError:
            return None
        return Receipt.model_validate_json(raw.read())
