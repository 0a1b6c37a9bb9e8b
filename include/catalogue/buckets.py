"""The map held against a live S3 server: buckets, the paths of what is in them, and the fields of record files.

Read by the prover. Keys and values are counted and never told, for either may name a person.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from include.catalogue import records
from include.catalogue.looks import looking_personal
from include.catalogue.problems import Compared, Report
from include.model.catalogue import Catalogue
from include.model.errors import CatalogueError, NotReachable
from include.model.estate import Dataset, NotPersonal
from include.model.screening import ACCOUNT_ID
from include.model.template import Template
from include.model.words import DatasetKind

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

OURS = "quietus-"  # buckets of our own, such as those of step areas
MOST_VERSIONS = (
    200_000  # looked at in each bucket: 200 requests; older versions and delete markers are among them
)


def differences(
    root: Path, catalogue: Catalogue, store: str, client: S3Client, *, elsewhere: frozenset[str] = frozenset()
) -> Compared:
    """Where the map and the buckets of ``store`` differ.

    ``elsewhere``: buckets of the same server that are not the store's, such as those of backups. Raises
    NotReachable if the server does not answer or does not let the prover list and read.
    """
    comparing = _Comparing(Report(root, catalogue), store, client)
    try:
        comparing.buckets(elsewhere | {b.location for b in catalogue.backups})
    except (ClientError, BotoCoreError) as error:
        raise NotReachable(
            f"the S3 server did not answer ({type(error).__name__})", about=f"store {store}",
            next_step="check that it is up and that the prover may list and read its buckets",
        ) from None  # fmt: skip
    return Compared.of(comparing.report, comparing.unverified)


@dataclass
class _Seen:
    """What one bucket's keys told. ``stray``: under no mapped path; ``nobodys``: by dataset, under its path, but where
    the account id should be there is none; ``files``: of record files the newest version, by dataset."""

    keys: int = 0
    complete: bool = True
    stray: int = 0
    nobodys: dict[str, int] = field(default_factory=dict)
    files: dict[str, list[tuple[datetime, str, int]]] = field(default_factory=dict)


@dataclass
class _Comparing:
    report: Report
    store: str
    client: S3Client
    unverified: list[str] = field(default_factory=list)

    def buckets(self, elsewhere: frozenset[str]) -> None:
        """Every mapped bucket must be there, every bucket mapped, and every object under a mapped path."""
        mapped: dict[str, list[tuple[int, Dataset]]] = {}
        for index, dataset in enumerate(self.report.catalogue.datasets):
            if dataset.store == self.store:
                mapped.setdefault(dataset.address, []).append((index, dataset))
        names = {b["Name"] for b in self.client.list_buckets().get("Buckets", [])}
        there = {name for name in names if not name.startswith(OURS)}
        for bucket, datasets in mapped.items():
            if bucket in there:
                self._compare(bucket, datasets)
                self._copied_to(bucket, datasets[0][0], elsewhere)
            else:
                self.report.add("datasets", datasets[0][0], ("address",), f"there is no bucket {bucket}",
                                "was it renamed or dropped? correct the address, or drop the dataset")  # fmt: skip
        silent = {place.address for _, place in self._passed_over()}
        for bucket in sorted(there - mapped.keys() - silent - elsewhere):
            self.report.add_file("not_personal.yaml", f"{bucket} is a bucket that nobody mapped",
                                 "map it as a dataset, or say here why it leads to nobody")  # fmt: skip
        for index, place in self._passed_over():
            if place.address not in there:
                self.report.add("not_personal", index, ("address",), f"there is no bucket {place.address}",
                                "drop the entry")  # fmt: skip

    def _passed_over(self) -> Iterator[tuple[int, NotPersonal]]:
        for index, place in enumerate(self.report.catalogue.not_personal):
            if place.store == self.store:
                yield index, place

    def _compare(self, bucket: str, datasets: Sequence[tuple[int, Dataset]]) -> None:
        seen = self._look(bucket, [d for _, d in datasets])
        if not seen.complete:
            self.unverified.append(
                f"of {bucket} only the first {seen.keys} keys were compared with the map: it has more than "
                f"{MOST_VERSIONS} versions"
            )
        if seen.stray:
            self.report.add("datasets", datasets[0][0], ("prefix",),
                            f"{seen.stray} of {seen.keys} keys in {bucket} lie under no mapped path",
                            "map where they lie; a survey does not look there")  # fmt: skip
        for index, dataset in datasets:
            lost = seen.nobodys.get(dataset.id, 0)
            if lost:
                self.report.add("datasets", index, ("prefix",),
                                f"of {lost} keys the part that should be an account id is none",
                                "no case ever reaches them: move them, or map what their path means")  # fmt: skip
            if dataset.kind is DatasetKind.RECORDS:
                self._fields(index, dataset, seen.files.get(dataset.id, []))

    def _copied_to(self, bucket: str, index: int, declared: frozenset[str]) -> None:
        """Where a server copies what is written to a bucket must be declared: no deletion by version goes there."""
        try:
            answer = self.client.get_bucket_replication(Bucket=bucket)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code != "ReplicationConfigurationNotFoundError":
                self.unverified.append(
                    f"whether {bucket} is copied to another bucket: the server answered {code}"
                )
            return
        known = declared | {d.address for d in self.report.catalogue.datasets}
        targets = {
            rule["Destination"]["Bucket"].rpartition(":::")[2]
            for rule in answer["ReplicationConfiguration"]["Rules"] if rule["Status"] == "Enabled"
        }  # fmt: skip
        for target in sorted(targets - known):
            self.report.add(
                "datasets", index, ("address",),
                f"what is written to {bucket} is copied to {target}, which is not declared",
                "declare it as a store, so that deletions reach it, or as a backup set (object_versions, replica)",
            )  # fmt: skip

    def _look(self, bucket: str, datasets: Sequence[Dataset]) -> _Seen:
        """Every key of a bucket, by version: one that only older versions have is there as well."""
        seen, last, versions = _Seen(), "", 0
        templates = [(d, Template(d.prefix)) for d in datasets if d.kind is DatasetKind.OBJECTS]
        files = [d for d in datasets if d.kind is DatasetKind.RECORDS]
        for page in self.client.get_paginator("list_object_versions").paginate(Bucket=bucket):
            entries = [
                (v["Key"], v["IsLatest"], v["LastModified"], v["Size"]) for v in page.get("Versions", [])
            ]
            entries += [
                (m["Key"], False, datetime.min.replace(tzinfo=UTC), 0) for m in page.get("DeleteMarkers", [])
            ]
            for key, latest, at, size in sorted(entries):
                record = next((d for d in files if key.startswith(d.prefix)), None)
                if record is not None and latest:
                    seen.files.setdefault(record.id, []).append((at, key, size))
                if key > last:
                    seen.keys, last = seen.keys + 1, key
                    if record is None:
                        _place(key, templates, seen)
            versions += len(entries)
            if versions >= MOST_VERSIONS and page["IsTruncated"]:
                seen.complete = False
                break
        return seen

    def _fields(self, index: int, dataset: Dataset, files: Sequence[tuple[datetime, str, int]]) -> None:
        """What the records hold must be mapped, what is mapped must be there, and what is quiet must look so."""
        chosen = records.chosen(files)
        if not chosen:
            self.unverified.append(f"{dataset.id} has no file, so nobody knows its fields")
            return
        found: dict[str, list[object]] = {}
        unread = 0
        for _, key, size in chosen:
            try:
                for name, values in records.sample(self.client, dataset, key, size).items():
                    found.setdefault(name, []).extend(values)
            except CatalogueError:
                unread += 1
        if unread:
            self.report.add("datasets", index, ("format",), f"{unread} of {len(chosen)} files are not {dataset.format}",
                            "correct the format, or move what is no record file")  # fmt: skip
        for name in sorted(found.keys() - dataset.columns.keys()):
            self.report.add("datasets", index, ("columns",), f"the records have a field '{name}' that is not mapped",
                            "map it, with its category if it holds personal data")  # fmt: skip
        for name, column in dataset.columns.items():
            at = ("columns", name)
            if name not in found and not unread:
                self.report.add("datasets", index, at, f"none of {len(chosen)} files has such a field",
                                "was it renamed or dropped? correct the map")  # fmt: skip
            elif not column.all_categories:
                for what in looking_personal(found.get(name, ())):
                    self.report.add("datasets", index, at, what, "give it its category")
        self.unverified.append(
            f"of {len(files)} files of {dataset.id} {len(chosen)} were read, the first {records.MOST_RECORDS} records of each"
        )


def _place(key: str, templates: Sequence[tuple[Dataset, Template]], seen: _Seen) -> None:
    for dataset, template in templates:
        values = template.match(key)
        if values is not None:
            ids = [values[link.column] for link in dataset.links if link.column in values]
            if not all(ACCOUNT_ID.fullmatch(id_) for id_ in ids):
                seen.nobodys[dataset.id] = seen.nobodys.get(dataset.id, 0) + 1
            return
    seen.stray += 1
