"""The end of collection in buckets: the company's applications may put nothing any more, and what came since is counted.

A statement of ours in each bucket's policy denies it to the declared business roles, and comes out again by its name. Servers
differ, so that it bites is tried on a canary; where it does not, that is said, and the listing is all there is. What was put
since T0 bears the server's own date, which nobody who writes can choose. A shared file that we put over itself without some of
its records is known by its content, of which our own bucket said before that it would come: it is no collection.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from include.model.doors import BusinessKeys, Connections
from include.model.errors import NotReachable, QuietusError, Refused
from include.model.estate import Dataset, StoreDeclared
from include.model.shutdown import Looked, Picture, Right
from include.model.template import Template
from include.model.words import DatasetKind, Role
from include.stores.s3.area import Area
from include.stores.s3.restriction import Restriction, principal
from include.stores.s3.server import Patience, code_of, reaching
from include.stores.s3.site import Site
from include.stores.s3.wiring import no_keys

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SID = "QuietusClosed"
CANARY = "QuietusClosedCanary"
PUT = "PUT"
POLICY = "bucket policy"
UNENFORCED = "this server does not enforce bucket policies, so a put is not refused; it is found by its date"
BLUNT = "this server ignores whom a policy is about, so a deny would hit us too; a put is not refused, it is found by its date"
NOBODY = "the catalogue names no business role of this store, so nobody can be refused"
CHUNK = 1 << 20
PATIENCE = 10.0  # seconds for a server's clock to move on


class Puts:
    """Puts into the buckets of one store, by the eraser; ``whole``: all of each bucket, else under the datasets' prefixes."""

    def __init__(
        self, store: StoreDeclared, datasets: Sequence[Dataset], connections: Connections, *, whole: bool,
        work: str = "quietus-work",
    ) -> None:  # fmt: skip
        self.store, self.connections = store, connections
        self.datasets = tuple(d for d in datasets if d.kind is not DatasetKind.TABLE)
        self.whole, self.work = whole, work

    @property
    def buckets(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(d.address for d in self.datasets))

    def rights(self) -> tuple[Right, ...]:
        """What is to be taken: of each business role, to put into each bucket."""
        return tuple(
            Right(bucket, "", PUT, POLICY, role)
            for bucket in self.buckets
            for role in sorted(self.store.business_roles)
        )

    def take(self) -> Picture:
        """Deny it, see whether that bites, and say from which second on whatever comes is new."""
        restriction = self._restriction()
        unenforced = self._unenforced(restriction)
        if unenforced in ("", UNENFORCED):
            for bucket in self.buckets:
                restriction.merge(bucket, self._statement(bucket))
        return Picture(moment=self._next_second(), unenforced=unenforced)

    def give_back(self) -> None:
        """Take our statement out again; everybody else's stays. Again changes nothing."""
        restriction = self._restriction()
        for bucket in self.buckets:
            restriction.merge(bucket, None, SID)

    def look(self, picture: Picture) -> Looked:
        """What came since, listed by the prover; and whether each business role is refused, tried with its own key. What was
        let through is taken away again."""
        client = self.connections.s3(self.store.connection, Role.PROVER)
        grew: dict[str, int] = {}
        unasked: dict[str, str] = {}
        if picture.moment is None:
            return Looked(self.store.id, unasked={self.store.id: "there is no picture of T0"})
        for dataset in self.datasets:
            try:
                for written in _written(client, dataset):
                    if written.moment >= picture.moment and not self._is_ours(client, dataset, written):
                        grew[dataset.id] = grew.get(dataset.id, 0) + 1
            except QuietusError as error:  # what was found stays found
                unasked[dataset.id] = str(error)
        writers: list[tuple[str, str]] = []
        for right in self.rights() if not picture.unenforced else ():
            try:
                if (key := self._may(right)) is not None:
                    writers.append((right.grantee, right.place))
                    self._away(right.place, key)
            except QuietusError as error:
                unasked[f"{right.place} as {right.grantee}"] = str(error)
        if picture.unenforced:
            unasked[self.store.id] = picture.unenforced
        return Looked(self.store.id, grew, tuple(writers), (), unasked)

    # --- of what it is made -------------------------------------------------------------------------

    def _is_ours(self, client: S3Client, dataset: Dataset, written: Written) -> bool:
        """Whether a version of a shared file is a copy that we made of it without some records, to the byte. Read anew: a date
        or a tag would say so of anybody's."""
        if dataset.kind is not DatasetKind.RECORDS or written.version is None:
            return False
        which = {} if written.version == "null" else {"VersionId": written.version}
        digest = hashlib.sha256()
        with reaching(dataset.id):
            body = client.get_object(Bucket=dataset.address, Key=written.key, **which)["Body"]  # type: ignore[arg-type]
            while piece := body.read(CHUNK):
                digest.update(piece)
        area = Area(client, self.work, self.store.id, Patience())
        return area.is_ours(dataset.address, written.key, digest.hexdigest())

    def _client(self) -> S3Client:
        return self.connections.s3(self.store.connection, Role.ERASER)

    def _restriction(self) -> Restriction:
        client, patience = self._client(), Patience()
        site = Site(client, Area(client, self.work, self.store.id, patience), patience, no_keys)
        return Restriction(site, self.store.business_roles)

    def _statement(self, bucket: str) -> dict[str, Any]:
        under = [""] if self.whole else [_base(d) for d in self.datasets if d.address == bucket]
        return {
            "Sid": SID,
            "Effect": "Deny",
            "Principal": {"AWS": [principal(r) for r in sorted(self.store.business_roles)]},
            "Action": ["s3:PutObject"],
            "Resource": [f"arn:aws:s3:::{bucket}/{base}*" for base in dict.fromkeys(under)],
        }

    def _unenforced(self, restriction: Restriction) -> str:
        """Why this server would not refuse them, and them alone; empty: it does."""
        if not self.store.business_roles:
            return NOBODY
        roles = [principal(r) for r in sorted(self.store.business_roles)]
        if not self._puts_under(restriction, {"AWS": roles}):
            return BLUNT
        return UNENFORCED if self._puts_under(restriction, "*") else ""

    def _puts_under(self, restriction: Restriction, denied: object) -> bool:
        """Whether we can put a canary that is denied to these."""
        key = "quietus/canary/closed"
        restriction.merge(
            self.work,
            {"Sid": CANARY, "Effect": "Deny", "Principal": denied, "Action": ["s3:PutObject"],
             "Resource": f"arn:aws:s3:::{self.work}/{key}"},
        )  # fmt: skip
        try:
            return _put(self._client(), self.work, key)
        finally:
            restriction.merge(self.work, None, CANARY)

    def _may(self, right: Right) -> str | None:
        """The key under which a business role can still put an object, and did; None: it cannot."""
        dataset = next(d for d in self.datasets if d.address == right.place)
        key = f"{_base(dataset)}quietus-closed-probe"
        if not isinstance(self.connections, BusinessKeys):
            raise Refused(
                "nobody hands out the keys of business roles", about=right.place, next_step="declare <connection>_as_<role>"
            )  # fmt: skip
        return (
            key
            if _put(self.connections.s3_as(self.store.connection, right.grantee), right.place, key)
            else None
        )

    def _away(self, bucket: str, key: str) -> None:
        with reaching(bucket):
            client = self._client()
            found = client.list_object_versions(Bucket=bucket, Prefix=key)
            for version in found.get("Versions", []):
                client.delete_object(Bucket=bucket, Key=key, VersionId=version["VersionId"])

    def _next_second(self) -> datetime:
        """By the server's own clock, so that whatever was there before is older."""
        first = self._date()
        until = time.monotonic() + PATIENCE
        while (now := self._date()) <= first:
            if time.monotonic() > until:
                raise NotReachable(
                    "the S3 server's clock stands still", about=self.store.id, next_step="check the server"
                )
            time.sleep(0.1)
        return now

    def _date(self) -> datetime:
        with reaching(self.work):
            headers = self._client().head_bucket(Bucket=self.work)["ResponseMetadata"]["HTTPHeaders"]
        return parsedate_to_datetime(headers["date"])


def _base(dataset: Dataset) -> str:
    return Template(dataset.prefix).prefix({}) if dataset.kind is DatasetKind.OBJECTS else dataset.prefix


def _put(client: S3Client, bucket: str, key: str) -> bool:
    with reaching(bucket):
        try:
            client.put_object(Bucket=bucket, Key=key, Body=b"")
        except ClientError as error:
            if code_of(error) in ("AccessDenied", "403"):
                return False
            raise
    return True


@dataclass(frozen=True)
class Written:
    """A version, or an unfinished upload (``version`` None), and when it was put."""

    key: str
    version: str | None
    moment: datetime


def _written(client: S3Client, dataset: Dataset) -> Iterator[Written]:
    """When each version and each unfinished upload of a dataset was put. A delete marker is no collection."""
    base = _base(dataset)
    with reaching(dataset.address):
        for page in client.get_paginator("list_object_versions").paginate(
            Bucket=dataset.address, Prefix=base
        ):
            for v in page.get("Versions", []):
                yield Written(v["Key"], v.get("VersionId") or "null", v["LastModified"])
        for uploads in client.get_paginator("list_multipart_uploads").paginate(
            Bucket=dataset.address, Prefix=base
        ):
            for u in uploads.get("Uploads", []):
                yield Written(u["Key"], None, u["Initiated"])
