"""A small company on one S3 server: its catalogue, its people, and the steps we run over them."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config

from include.model.catalogue import Catalogue
from include.model.estate import Bound, Cut, Dataset, Link, Start, StoreDeclared
from include.model.flow import Floor, Plan, Provision, Step
from include.model.times import Counting
from include.model.words import DatasetKind, Disposition, Ownership, Role, StoreKind
from include.stores.s3 import S3Store

AS_OF = date(2026, 11, 24)


@dataclass
class Server:
    name: str
    endpoint: str
    key: str = "tester"
    secret: str = "tester-secret"
    config: str = ""  # of a Ceph cluster, to make users

    def client(self, key: str = "", secret: str = "", *, anonymous: bool = False) -> Any:
        signing = {"signature_version": UNSIGNED} if anonymous else {}
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=key or self.key,
            aws_secret_access_key=secret or self.secret,
            region_name="us-east-1",
            config=Config(
                s3={"addressing_style": "path"},
                retries={"max_attempts": 3, "mode": "standard"},
                connect_timeout=5,
                read_timeout=60,
                max_pool_connections=16,
                **signing,
            ),
        )


@dataclass
class World:
    """One test's company: buckets of its own names, a catalogue of the datasets it declares."""

    server: Server
    tag: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    datasets: list[Dataset] = field(default_factory=list)
    roles: tuple[str, ...] = ()
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.s3 = self.server.client()
        self.eraser = self.server.client()
        self.eraser.meta.events.register(
            "before-send.s3", lambda request, **_: self.requests.append(request.method + " " + request.url)
        )

    # --- Connections ---
    def s3_client(self) -> Any:
        return self.eraser

    def postgres(self, connection: str, role: Role) -> str:
        raise AssertionError("no database here")

    def text(self, name: str) -> str:
        raise AssertionError(name)

    def bucket(self, name: str, *, versions: bool = True, locks: bool = False) -> str:
        name = f"{name}-{self.tag}"
        self.s3.create_bucket(Bucket=name, **({"ObjectLockEnabledForBucket": True} if locks else {}))
        if versions and not locks:
            self.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def objects(self, bucket: str, prefix: str, *, id: str = "kyc.photo", **more: Any) -> Dataset:
        links = more.pop("links", (Link(column="account_id"),))
        found = Dataset(
            id=id, store="vault", kind=DatasetKind.OBJECTS, title="photos", address=bucket, prefix=prefix,
            links=links, binds=more.pop("binds", (Bound(rule="RS-01"),)), **more,
        )  # fmt: skip
        self.datasets.append(found)
        return found

    def records(
        self, bucket: str, prefix: str = "access/", *, id: str = "log.access", format: str = "jsonl.gz",
        start: str | None = "at", cut: Cut | None = None,
    ) -> Dataset:  # fmt: skip
        found = Dataset(
            id=id, store="vault", kind=DatasetKind.RECORDS, title="access log", address=bucket, prefix=prefix,
            format=format, links=(Link(column="account_id"),),  # type: ignore[arg-type]
            binds=(Bound(rule="RS-12", start=Start(column=start) if start else None),),
            cut=cut, action="deidentify" if cut else "erase",
        )  # fmt: skip
        self.datasets.append(found)
        return found

    def store(self, **wiring: Any) -> S3Store:
        catalogue = Catalogue(
            name="test", digest="0" * 64, clauses=(), categories=(), rules=(), recipients=(),
            stores=(StoreDeclared(id="vault", kind=StoreKind.S3, region="CN", connection="vault", description="test",
                                  business_roles=self.roles),),
            datasets=tuple(self.datasets), not_personal=(), backups=(), measures=(), measure_sql={},
            controls=(), starting_points={},
        )  # fmt: skip
        return S3Store(catalogue, "vault", _Connections(self), work=f"quietus-work-{self.tag}", **wiring)

    def step(self, *subjects: str, id: str = "s1", as_of: date = AS_OF) -> Step:
        return Step(id=id, case_no="CASE-000001", as_of=as_of, restricting=True, subjects=subjects)

    def versions(self, bucket: str, prefix: str = "") -> list[tuple[str, str, bytes | None]]:
        """(key, version id, body or None for a marker) of everything there."""
        out: list[tuple[str, str, bytes | None]] = []
        for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
            for v in page.get("Versions", []):
                body = self.s3.get_object(Bucket=bucket, Key=v["Key"], VersionId=v["VersionId"])[
                    "Body"
                ].read()
                out.append((v["Key"], v["VersionId"], body))
            out += [(m["Key"], m["VersionId"], None) for m in page.get("DeleteMarkers", [])]
        return sorted(out, key=str)

    def put_log(self, bucket: str, key: str, lines: Iterable[dict[str, Any] | bytes], **extra: Any) -> bytes:
        body = jsonl(lines)
        self.s3.put_object(Bucket=bucket, Key=key, Body=gzip.compress(body, mtime=0), **extra)
        return body

    def log(self, bucket: str, key: str) -> bytes:
        return gzip.decompress(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())


@dataclass
class _Connections:
    world: World

    def s3(self, connection: str, role: Role) -> Any:
        assert (connection, role) == ("vault", Role.ERASER)
        return self.world.eraser

    def postgres(self, connection: str, role: Role) -> str:
        raise AssertionError(connection)

    def text(self, name: str) -> str:
        raise AssertionError(name)


def jsonl(lines: Iterable[dict[str, Any] | bytes]) -> bytes:
    return b"".join(
        (line if isinstance(line, bytes) else json.dumps(line, ensure_ascii=False).encode()) + b"\n"
        for line in lines
    )


def provide(dataset: Dataset, *floors: Floor, **more: Any) -> Provision:
    disposition = more.pop("disposition", Disposition.DEIDENTIFY if dataset.cut else Disposition.ERASE)
    return Provision(
        dataset=dataset.id, disposition=disposition, rule="RS-01", law="PIPL 47", floors=floors,
        cut=dataset.cut, **more,
    )  # fmt: skip


def six_months(start: Start | None) -> Floor:
    return Floor(
        rule="RS-12", period="main", duration="P6M", counting=Counting.CALENDAR, start=start, law="CSL 23(3)"
    )


def planned(store: S3Store, step: Step, *provisions: Provision, restrict: bool = True) -> Plan:
    """Open, survey, weigh and (as in a real case) restrict and settle."""
    store.open(step)
    survey = store.survey(step)
    lines = store.weigh(step, provisions)
    if restrict:
        store.restrict(step)
        store.settle(step)
    return Plan(
        step=step.id, case_no=step.case_no, as_of=step.as_of, catalogue="c", code="v",
        located=survey.located, lines=tuple(lines),
    )  # fmt: skip


def count(things: Sequence[Any], **wanted: Any) -> int:
    """Items of the lines (or located entries) with these attributes."""
    return sum(t.items for t in things if all(getattr(t, k) == v for k, v in wanted.items()))


__all__ = ["AS_OF", "Ownership", "Server", "World", "count", "jsonl", "planned", "provide", "six_months"]
