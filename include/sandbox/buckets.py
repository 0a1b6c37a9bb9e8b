"""The company's buckets: all of them versioned, one under Object Lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from include.model.errors import NotReachable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ID_PHOTOS = "ca-id-photos"
FACE_VIDEO = "ca-face-video"
FINGERPRINTS = "ca-fingerprints"
SEALS = "ca-seals"
CONTRACTS = "ca-contracts"
CALLS = "ca-call-recordings"
LOGS = "ca-access-logs"
LOCKED = "ca-evidence-locked"
BUCKETS = (ID_PHOTOS, FACE_VIDEO, FINGERPRINTS, SEALS, CONTRACTS, CALLS, LOGS, LOCKED)


def make_buckets(s3: S3Client) -> bool:
    """Make those that are not there; whether none was. Raises NotReachable."""
    try:
        there = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
        for name in BUCKETS:
            if name not in there:
                s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=name == LOCKED)
            s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return there.isdisjoint(BUCKETS)
    except (ClientError, BotoCoreError) as error:
        raise NotReachable(
            f"the sandbox's buckets could not be made ({type(error).__name__})",
            about="objects",
            next_step="see whether the S3 server runs: quietus sandbox status",
        ) from None
