"""Hiding the cohort's objects from business roles (R1): a tag on every version, and one policy statement
per bucket that denies reading whatever bears the tag, and taking the tag off.

A file that mixes the records of many people is never tagged: to deny it would take everybody's log away for
one person's sake. There restriction is detect-only, and the receipt says so.

The policy names no person and does not grow with people (a policy may have 20 KB). Servers differ, so
enforcement is *measured* on two canaries before it is claimed: moto evaluates a statement but not its
condition, and such a deny would lock everybody out of everything; there the statement is not written and
the receipt says that the restriction is not enforced (UNVERIFIED, never "hidden").
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from include.model.errors import BooksDoNotBalance, CatalogueError, Refused
from include.stores.s3.items import Item
from include.stores.s3.server import ABSENT, code_of, reaching
from include.stores.s3.site import AHEAD, WORKERS, Site

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import TagTypeDef

TAG, VALUE = "quietus", "restricted"
SID = "QuietusRestricted"
LARGEST = 20 * 1024  # bytes of a bucket policy (S3 API reference)
READING = (
    "s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectAcl", "s3:GetObjectVersionAcl",
    "s3:GetObjectTagging", "s3:GetObjectVersionTagging",
)  # fmt: skip
# What would end the restriction: without its tag a version is denied to nobody, by its ACL it is open to anybody.
LOOSENING = (
    "s3:PutObjectTagging", "s3:PutObjectVersionTagging", "s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging",
    "s3:PutObjectAcl", "s3:PutObjectVersionAcl",
)  # fmt: skip

ENFORCED = "enforced: a tagged canary was refused, its untagged twin was read"
IGNORED = "UNVERIFIED: this server does not enforce bucket policies; the tags only mark the objects"
BLUNT = (
    "UNVERIFIED: this server ignores policy conditions, so a deny would hit everybody; "
    "the tags only mark the objects"
)
KEPT = "enforced: the tag could not be taken off a canary"
LOOSE = "UNVERIFIED: this server lets whoever may tag objects take the tag off, and then read"
# No policy condition knows whose an upload is: its key names a person, and a policy must not.
WRITES = (
    "UNVERIFIED: an upload under the person's keys is not refused; the survey before disposing and the proof"
    " that nothing is there anew find it"
)
MIXED = "UNVERIFIED: {files} versions of record files also hold records of others, so they are not denied to anybody"
NOBODY = "UNVERIFIED: the catalogue names no business role of this store, so there is nobody to refuse"


def principal(role: str) -> str:
    """A business role as an ARN; a bare name is a user of the server's default tenant."""
    return role if role.startswith("arn:") else f"arn:aws:iam:::user/{role}"


def statement(bucket: str, who: Sequence[str], sid: str = SID, under: str = "*") -> dict[str, Any]:
    """Deny these principals to read anything in the bucket that bears the tag, and to take the tag off."""
    return {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": {"AWS": sorted(who)},
        "Action": [*READING, *LOOSENING],
        "Resource": f"arn:aws:s3:::{bucket}/{under}",
        "Condition": {"StringEquals": {f"s3:ExistingObjectTag/{TAG}": VALUE}},
    }


@dataclass(frozen=True)
class Measured:
    """What this server makes of a deny by tag: of reading (one of the first four sentences above), and of taking
    the tag off."""

    reading: str
    tag: str

    @property
    def enforced(self) -> bool:
        return self.reading == ENFORCED


class Restriction:
    """R1 in one store."""

    def __init__(self, site: Site, roles: Sequence[str]) -> None:
        self.site, self.roles = site, roles

    def measure(self) -> Measured:
        """Try on two canaries of ours what the server enforces."""
        if not self.roles:
            return Measured(NOBODY, NOBODY)
        client, bucket = self.site.client, self.site.area.bucket
        hidden, shown = "quietus/canary/hidden", "quietus/canary/shown"
        with reaching("the restriction's canaries"):
            client.put_object(Bucket=bucket, Key=hidden, Body=b"", Tagging=f"{TAG}={VALUE}")
            client.put_object(Bucket=bucket, Key=shown, Body=b"")
        deny = {**statement(bucket, ["*"], "QuietusCanary", "quietus/canary/*"), "Principal": "*"}
        self.merge(bucket, deny)
        try:
            refused = not self._may(lambda: client.get_object(Bucket=bucket, Key=hidden))
            read = self._may(lambda: client.get_object(Bucket=bucket, Key=shown))
            loose = [  # a tag that comes off takes the canary's protection along, so the milder try is the first
                self._may(
                    lambda: client.put_object_tagging(
                        Bucket=bucket, Key=hidden, Tagging={"TagSet": [{"Key": TAG, "Value": VALUE}]}
                    )
                ),
                self._may(lambda: client.delete_object_tagging(Bucket=bucket, Key=hidden)),
            ]
        finally:
            self.merge(bucket, None, "QuietusCanary")
        if not read:
            return Measured(BLUNT, BLUNT)
        if not refused:
            return Measured(IGNORED, IGNORED)
        return Measured(ENFORCED, LOOSE if any(loose) else KEPT)

    def _may(self, attempt: Callable[[], object]) -> bool:
        with reaching("the restriction's canaries"):
            try:
                attempt()
            except ClientError as error:
                if code_of(error) in ("AccessDenied", "403"):
                    return False
                raise
        return True

    def deny(self, bucket: str) -> None:
        """Put our statement into the bucket's policy beside all that is there. Again changes nothing."""
        self.merge(bucket, statement(bucket, [principal(role) for role in self.roles]))

    def merge(self, bucket: str, ours: dict[str, Any] | None, sid: str = SID) -> None:
        """Put one statement into the bucket's policy in place of the one of its name, or take that out; others' stay."""
        sid = ours["Sid"] if ours else sid
        before = self._policy(bucket)
        others = [s for s in _statements(before) if s.get("Sid") != sid]
        wanted = others + ([ours] if ours else [])
        if wanted == _statements(before):
            return
        with reaching(bucket):
            if not wanted:
                self.site.client.delete_bucket_policy(Bucket=bucket)
                return
            text = json.dumps({**before, "Statement": wanted}, separators=(",", ":"), ensure_ascii=False)
            if len(text.encode()) > LARGEST:
                raise CatalogueError(
                    f"the bucket's policy has no room for our statement ({LARGEST} bytes at most)",
                    about=bucket,
                    next_step="shorten the policy; nothing was changed",
                )
            self.site.client.put_bucket_policy(Bucket=bucket, Policy=text)
        after = _statements(self._policy(bucket))
        if any(s not in after for s in wanted):
            raise BooksDoNotBalance(
                "the bucket's policy lost a statement while ours was added",
                about=bucket,
                next_step="see who else writes this policy, restore it, then restrict again",
            )

    def _policy(self, bucket: str) -> dict[str, Any]:
        with reaching(bucket):
            try:
                text = self.site.client.get_bucket_policy(Bucket=bucket)["Policy"]
            except ClientError as error:
                if code_of(error) != "NoSuchBucketPolicy":
                    raise
                return {"Version": "2012-10-17", "Statement": []}
        found: dict[str, Any] = json.loads(text)
        return found

    def mark(self, bucket: str, items: Iterable[Item]) -> tuple[int, int]:
        """Tag versions, keeping their other tags. Returns (versions tagged now or before, gone since)."""
        marked = gone = 0
        rows = iter(items)
        with ThreadPoolExecutor(WORKERS) as pool:
            while batch := list(islice(rows, AHEAD)):
                for there in pool.map(lambda item: self._mark(bucket, item), batch):
                    marked, gone = marked + there, gone + (not there)
        return marked, gone

    def unmark(self, bucket: str, items: Iterable[Item]) -> int:
        """Take our tag off versions, keeping their other tags. Returns how many versions there are."""
        rows = iter(items)
        there = 0
        with ThreadPoolExecutor(WORKERS) as pool:
            while batch := list(islice(rows, AHEAD)):
                there += sum(pool.map(lambda item: self._mark(bucket, item, marked=False), batch))
        return there

    def _mark(self, bucket: str, item: Item, *, marked: bool = True) -> bool:
        """Make a version bear the tag, or not bear it. Says whether the version is there."""
        version: dict[str, Any] = {} if item.version == "null" else {"VersionId": item.version}
        ours: TagTypeDef = {"Key": TAG, "Value": VALUE}
        with reaching(bucket):
            try:
                tags = self.site.client.get_object_tagging(Bucket=bucket, Key=item.key, **version)["TagSet"]
                if (ours in tags) is marked:
                    return True
                tags = [t for t in tags if t["Key"] != TAG]
                if (
                    marked and len(tags) >= 10
                ):  # S3 allows ten tags; dropping one of the company's is not ours to do
                    raise Refused(
                        "an object already bears ten tags, so it cannot be marked as restricted",
                        about=bucket,
                        next_step="free one tag on the objects of this dataset, then restrict again",
                    )
                self.site.client.put_object_tagging(
                    Bucket=bucket,
                    Key=item.key,
                    Tagging={"TagSet": [*tags, *([ours] if marked else [])]},
                    **version,
                )
            except ClientError as error:
                if code_of(error) in ABSENT or code_of(error) == "MethodNotAllowed":
                    return False
                raise
        return True


def _statements(policy: dict[str, Any]) -> list[dict[str, Any]]:
    found = policy.get("Statement", [])
    return [found] if isinstance(found, dict) else list(found)
