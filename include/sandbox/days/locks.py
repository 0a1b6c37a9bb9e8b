"""Object Locks of the sandbox, on a calendar that is played: those whose day is over there are made to end for real.

The evidence bucket is in governance mode, in which its owner may shorten a lock. No lock is left out of account: the server
lets the version go, or does not.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from include.model.errors import NotReachable
from include.model.times import observed_now, prc_date
from include.sandbox import buckets

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SHORT = timedelta(seconds=2)  # no server takes a lock that ends in the past


def shorten(s3: S3Client, day: date) -> int:
    """End every lock whose last day is before ``day``, and wait until it is over; how many. Raises NotReachable."""
    try:
        over = [(key, version) for key, version, end in _locked(s3) if prc_date(end) < day]
        ends = observed_now() + SHORT
        for key, version in over:
            s3.put_object_retention(
                Bucket=buckets.LOCKED, Key=key, VersionId=version, BypassGovernanceRetention=True,
                Retention={"Mode": "GOVERNANCE", "RetainUntilDate": ends},
            )  # fmt: skip
    except (ClientError, BotoCoreError) as error:
        raise NotReachable(
            f"a lock was not shortened ({type(error).__name__})", about=buckets.LOCKED,
            next_step="see whether the S3 server runs: quietus sandbox status",
        ) from None  # fmt: skip
    if over:
        time.sleep(max(0.0, (ends - observed_now()).total_seconds() + 1))
    return len(over)


def last(s3: S3Client) -> datetime | None:
    """When the last lock that runs now ends; None: none does. Raises NotReachable."""
    try:
        return max((end for _, _, end in _locked(s3)), default=None)
    except (ClientError, BotoCoreError) as error:
        raise NotReachable(
            f"its locks could not be read ({type(error).__name__})", about=buckets.LOCKED,
            next_step="see whether the S3 server runs: quietus sandbox status",
        ) from None  # fmt: skip


def _locked(s3: S3Client) -> Iterator[tuple[str, str, datetime]]:
    """Each version that is under a lock now, and until when."""
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=buckets.LOCKED):
        for found in page.get("Versions", ()):
            head = s3.head_object(Bucket=buckets.LOCKED, Key=found["Key"], VersionId=found["VersionId"])
            end = head.get("ObjectLockRetainUntilDate")
            if end is not None and end > observed_now():
                yield found["Key"], found["VersionId"], end
