"""Objects of a bucket as items: each version and delete marker with its metadata, and what is stored of it in canonical form."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

import rfc8785
from psycopg import sql

from include.handover.marks import Marks
from include.model.times import observed_now
from include.stores.postgres.retention.owners import Owners
from include.stores.postgres.retention.paths import Paths, Values
from include.stores.postgres.server import joined, name
from include.stores.s3.items import Item
from include.stores.s3.listing import Walk, never
from include.stores.s3.restriction import TAG, VALUE
from include.stores.s3.server import reaching

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHUNK = 1 << 20
MOST_TAGS = 10
HEADERS = (
    "ContentType", "ContentEncoding", "ContentDisposition", "ContentLanguage", "CacheControl", "WebsiteRedirectLocation",
)  # fmt: skip
"""Of an object's own. How it is kept, its storage class and encryption, is for whoever keeps it."""


@dataclass(frozen=True, kw_only=True)
class ConsigningPaths(Paths):
    """The clocks of every path, due or not."""

    def lines(
        self, holds: Sequence[tuple[bool, Sequence[str]]], marks: Marks, *, owners: bool = False
    ) -> sql.Composed:
        """COPY of each path's clocks, whether each of ``holds`` names its owner, its mark, (``owners``) whose it is, and its
        variables."""
        clocks, source = self._clocks()
        whose = Owners(self.catalogue, self.live)
        flags = [
            sql.SQL("true") if everybody else whose.among(self.dataset, "t", list(people))
            for everybody, people in holds
        ]
        flags.append(marks.field(whose, self.dataset, "t"))
        if owners:
            flags.append(whose.listed(self.dataset, "t"))
        return sql.SQL("COPY (WITH {ctes} SELECT {all} FROM {source}) TO STDOUT").format(
            ctes=self._ctes(self._part(sql.SQL("true"))), source=source,
            all=joined(", ", [clocks, *flags, *(name("t", v) for v in self.variables)]),
        )  # fmt: skip

    def at(self, tally: Mapping[Values, int]) -> Self:
        return replace(self, tally=tally)


def groups(client: S3Client, bucket: str, prefix: str, after: str | None, about: str) -> Iterator[list[Item]]:
    """Every key after this one with its versions and markers, the oldest first."""
    walk = Walk(client, bucket, may_leap=never, about=about)
    for group in walk.versions(prefix, [prefix]):
        if after is None or group[0].key > after:
            yield group


@dataclass
class Version:
    """One version while it is read. ``octets`` must be read to its end before ``stored`` is asked for."""

    item: Item
    said: Mapping[str, Any]
    tags: Mapping[str, str]
    _sha256: Any = None
    _size: int = 0
    content: bytes | None = field(
        default=None, repr=False
    )  # read already, with its digests by SHA-256 and SM3
    digests: tuple[str, str] = ("", "")

    def fetch(self) -> None:
        """Read it whole, and digest it."""
        self.content = self.said["Body"].read()
        self._sha256, self._size = hashlib.sha256(self.content), len(self.content)
        self.digests = self._sha256.hexdigest(), hashlib.new("sm3", self.content).hexdigest()

    def octets(self) -> Iterator[bytes]:
        self._sha256 = hashlib.sha256()
        body = self.said["Body"]
        while data := body.read(CHUNK):
            self._sha256.update(data)
            self._size += len(data)
            yield data

    def stored(self, origin: Mapping[str, Any]) -> bytes:
        """What is stored of it, as one line. ``origin``: its version, moment and place among its key's versions with us, which
        another bucket cannot give it again and which is kept beside it."""
        return described(self.item.key, self.said, self.tags, self._sha256.hexdigest(), self._size, origin)

    def stored_of(self, body: Mapping[str, Any]) -> bytes:
        """The same of what a bag brought. A lock of the bag that is over is no difference if it is not set here: the server takes
        none, and it keeps nothing any more. Nor is our own tag, by which it is hidden here and was not with its sender."""
        if TAG not in body["tags"]:
            self.tags = {k: v for k, v in self.tags.items() if k != TAG}
        lock = body["lock"]
        if is_over(lock) and not self.said.get("ObjectLockMode"):
            until = datetime.fromisoformat(lock["until"])
            self.said = {**self.said, "ObjectLockMode": lock["mode"], "ObjectLockRetainUntilDate": until}
        return self.stored(body["origin"])


def tagged(tags: Mapping[str, str], *, only_stored: bool) -> dict[str, str]:
    """The tags that a version gets here: those that it came with, and what hides it if it may only be stored. One that bears ten
    already can bear no more (S3)."""
    return {**tags, TAG: VALUE} if only_stored and len(tags) < MOST_TAGS else dict(tags)


def is_over(lock: Mapping[str, Any]) -> bool:
    """Whether the day until which a version was locked has passed."""
    return bool(lock["until"]) and datetime.fromisoformat(lock["until"]) <= observed_now()


def described(
    key: str, said: Mapping[str, Any], tags: Mapping[str, str], sha256: str, size: int, origin: Mapping[str, Any]
) -> bytes:  # fmt: skip
    """One version in canonical form: its content by digest, headers, metadata, tags, and its lock."""
    until = said.get("ObjectLockRetainUntilDate")
    lock = {
        "mode": said.get("ObjectLockMode"),
        "until": until.strftime("%Y-%m-%dT%H:%M:%SZ") if until else None,
        "hold": said.get("ObjectLockLegalHoldStatus") == "ON",
    }
    return rfc8785.dumps(
        {
            "kind": "version", "key": key, "sha256": sha256, "size": size,
            "headers": {h: said[h] for h in HEADERS if said.get(h)},
            "metadata": dict(said.get("Metadata") or {}), "tags": dict(tags), "lock": lock, "origin": dict(origin),
        }
    )  # fmt: skip


def marker(key: str, origin: Mapping[str, Any]) -> bytes:
    """A delete marker in canonical form."""
    return rfc8785.dumps({"kind": "marker", "key": key, "origin": dict(origin)})


def origin_of(item: Item) -> dict[str, Any]:
    return {"version": item.version, "modified": str(item.modified), "newest": item.newest}


def canonical(body: Mapping[str, Any]) -> bytes:
    return rfc8785.dumps(dict(body))


def read(client: S3Client, bucket: str, item: Item, about: str) -> Version:
    """Begin to read one version. Errors are of our family."""
    with reaching(about):
        return read_raw(client, bucket, item)


def read_raw(client: S3Client, bucket: str, item: Item) -> Version:
    """The same, with the driver's own errors. Our own mark of a restriction is none of an object's tags: it says in the bucket
    what an item's clocks say, and comes while the handover is on its way."""
    which: dict[str, Any] = {"Bucket": bucket, "Key": item.key}
    if item.version != "null":
        which["VersionId"] = item.version
    said = client.get_object(**which)
    tags = client.get_object_tagging(**which)["TagSet"]
    return Version(item, said, {t["Key"]: t["Value"] for t in tags if (t["Key"], t["Value"]) != (TAG, VALUE)})
