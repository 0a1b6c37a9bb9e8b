"""Task logs that Airflow copied to S3: the same as on disk, by the names of objects; of a bucket with versions, all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from include.hygiene.logfiles import THERE, YOUNG, Logs, Runs
from include.model.errors import NotReachable, Refused

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

AT_ONCE = 1000  # keys that S3 deletes in one request
REMOTE = "airflow_logs"  # the connection is airflow_logs_janitor


@dataclass(frozen=True)
class Place:
    bucket: str
    prefix: str

    @classmethod
    def of(cls, url: str) -> Place:
        """``s3://bucket/prefix`` of Airflow's settings. Raises Refused for another kind of place."""
        found = urlsplit(url)
        if found.scheme != "s3" or not found.netloc:
            raise Refused(
                "task logs are copied to a place that is no S3 bucket", about="[logging] remote_base_log_folder",
                next_step="let its owner delete them by age, and look whether it was done",
            )  # fmt: skip
        prefix = found.path.strip("/")
        return cls(found.netloc, f"{prefix}/" if prefix else "")


def sweep(
    s3: S3Client, place: Place, there: Runs, before: datetime, *, dry: bool = False,
    may_go_on: Callable[[], None] = lambda: None,
) -> Logs:  # fmt: skip
    """As ``logfiles.sweep``; ``may_go_on`` is called before each request to delete. Raises NotReachable, also for objects that S3
    did not delete."""
    found = Logs()
    try:
        groups: dict[tuple[str, str], list[Any]] = defaultdict(list)
        for version in _versions(s3, place):
            run = _run(str(version["Key"]).removeprefix(place.prefix))
            if run is None:
                found.unknown.append(str(version["Key"]).removeprefix(place.prefix).partition("/")[0])
            else:
                groups[run].append(version)
        gone: list[Any] = []
        for run, versions in groups.items():
            if run in there:
                found.files[THERE] += len(versions)
            elif any(v["LastModified"].astimezone(UTC) >= before for v in versions):
                found.files[YOUNG] += len(versions)
            else:
                found.files[None] += len(versions)
                gone += versions
        if not dry:
            for start in range(0, len(gone), AT_ONCE):
                may_go_on()
                _delete(s3, place.bucket, gone[start : start + AT_ONCE])
    except (ClientError, BotoCoreError) as error:
        raise NotReachable(
            f"the bucket of task logs does not answer ({type(error).__name__})", about=place.bucket,
            next_step="check the connection airflow_logs_janitor; the next run goes on",
        ) from None  # fmt: skip
    found.unknown = sorted(set(found.unknown))
    return found


def _versions(s3: S3Client, place: Place) -> Iterator[Any]:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=place.bucket, Prefix=place.prefix):
        yield from page.get("Versions", ())
        yield from page.get("DeleteMarkers", ())


def _run(name: str) -> tuple[str, str] | None:
    parts = name.split("/")
    if len(parts) < 3 or not (parts[0].startswith("dag_id=") and parts[1].startswith("run_id=")):
        return None
    return parts[0].removeprefix("dag_id="), parts[1].removeprefix("run_id=")


def _delete(s3: S3Client, bucket: str, versions: list[Any]) -> None:
    said = s3.delete_objects(
        Bucket=bucket,
        Delete={"Objects": [{"Key": v["Key"], "VersionId": v["VersionId"]} for v in versions], "Quiet": True},
    )
    if refused := said.get("Errors"):
        raise NotReachable(
            f"S3 kept {len(refused)} task logs ({refused[0].get('Code')})", about=bucket,
            next_step="see whether they are locked, or the key may not delete versions",
        )  # fmt: skip
