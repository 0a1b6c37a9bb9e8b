"""The map held against a live S3 server: every mapped bucket must be there, and every bucket mapped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from include.catalogue.problems import Problem, Report
from include.model.catalogue import Catalogue
from include.model.errors import NotReachable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

OURS = "quietus-"  # buckets of our own, such as those of step areas
SAMPLE_KEYS = 1000  # of each bucket: one page


def differences(
    root: Path, catalogue: Catalogue, store: str, client: S3Client, *, elsewhere: frozenset[str] = frozenset()
) -> tuple[Problem, ...]:
    """Where the map and the buckets of ``store`` differ.

    ``elsewhere``: buckets of the same server that are not the store's, such as those of backups. Raises
    NotReachable if the server does not answer or does not let the prover list.
    """
    report = Report(root, catalogue)
    mapped: dict[str, list[tuple[int, str]]] = {}
    for index, dataset in enumerate(catalogue.datasets):
        if dataset.store == store:
            mapped.setdefault(dataset.address, []).append((index, _start(dataset.prefix)))
    silent = {p.address for p in catalogue.not_personal if p.store == store}
    elsewhere |= {b.location for b in catalogue.backups}
    try:
        names = {b["Name"] for b in client.list_buckets().get("Buckets", [])}
        there = {name for name in names if not name.startswith(OURS)}
        for bucket, datasets in mapped.items():
            if bucket not in there:
                report.add("datasets", datasets[0][0], ("address",), f"there is no bucket {bucket}",
                           "was it renamed or dropped? correct the address, or drop the dataset")  # fmt: skip
                continue
            stray = _stray(client, bucket, [prefix for _, prefix in datasets])
            if stray:
                report.add("datasets", datasets[0][0], ("prefix",),
                           f"{stray} of the first {SAMPLE_KEYS} objects in {bucket} lie under no mapped prefix",
                           "map where they lie; a survey does not look there")  # fmt: skip
    except (ClientError, BotoCoreError) as error:
        raise NotReachable(
            f"the S3 server did not answer ({type(error).__name__})", about=f"store {store}",
            next_step="check that it is up and that the prover may list its buckets",
        ) from None  # fmt: skip
    for bucket in sorted(there - mapped.keys() - silent - elsewhere):
        report.add_file("not_personal.yaml", f"{bucket} is a bucket that nobody mapped",
                        "map it as a dataset, or say here why it leads to nobody")  # fmt: skip
    for index, place in enumerate(catalogue.not_personal):
        if place.store == store and place.address not in there:
            report.add(
                "not_personal", index, ("address",), f"there is no bucket {place.address}", "drop the entry"
            )
    return tuple(sorted(set(report.problems)))


def _start(prefix: str) -> str:
    """A prefix up to its first variable: what every key of the dataset begins with."""
    return prefix.split("{", 1)[0]


def _stray(client: S3Client, bucket: str, prefixes: list[str]) -> int:
    page = client.list_objects_v2(Bucket=bucket, MaxKeys=SAMPLE_KEYS)
    return sum(not any(entry["Key"].startswith(p) for p in prefixes) for entry in page.get("Contents", []))
