"""A small house with a database, a bucket and a case book, in which nights are held."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from include.cases.controls import night, nights
from include.cases.controls.night import Audited
from include.cases.keys import FileKeyStore
from include.cases.rooms import Desk
from include.ledger.screen import screened
from include.model.catalogue import Catalogue
from include.model.errors import Refused
from include.model.estate import Bound, Dataset, Link, StoreDeclared
from include.model.times import observed_now, prc_date
from include.model.words import DatasetKind, LegalRank, Role, StoreKind
from include.proofs.bucket import WORK
from include.sandbox.stack.places import Places
from include.sandbox.stack.postgres import binaries_for, ensure_planter
from include.stores.postgres import PostgresStore
from include.stores.s3 import S3Store
from tests.cases.small import rule
from tests.conftest import PgServer, S3Server, _postgres, debian_15
from tests.stores.postgres.making import PATIENCE, Company

TODAY = prc_date(observed_now())
LOCK = 3  # seconds
PHOTOS = "photos"


@dataclass
class House:
    """Its servers, what it would say in the ledger, and its desk."""

    company: Company
    database: str
    server: PgServer
    buckets: S3Server
    records: Callable[[str], str]
    keys: FileKeyStore
    files: dict[str, str] | None
    ledger: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)
    catalogue: Catalogue = field(init=False)

    def __post_init__(self) -> None:
        of = self.company.catalogue
        self.catalogue = of.model_copy(
            update={
                "rules": (rule("RS-01", "P0D", "ceiling", LegalRank.LAW, "PIPL 47"),),
                "stores": (
                    *of.stores,
                    StoreDeclared(id="objects", kind=StoreKind.S3, region="CN", connection="objects", description="o"),
                ),
                "datasets": (
                    *of.datasets,
                    Dataset(
                        id="kyc.photo", store="objects", kind=DatasetKind.OBJECTS, title="photos", address=PHOTOS,
                        prefix="{account_id}/{application_id}/", links=(Link(column="account_id"),),
                        binds=(Bound(rule="RS-01"),),
                    ),
                ),
            }
        )  # fmt: skip

    # --- Connections
    def postgres(self, connection: str, role: Role) -> str:
        if connection == "records":
            return self.records(role.value)
        return self.company.conninfo(role.value)

    def s3(self, connection: str, role: Role) -> Any:
        return self.buckets.client()

    def text(self, name: str) -> str:
        if self.files is not None and name in self.files:
            return self.files[name]
        raise Refused("the connection is not declared", about=name)

    def endpoint(self, name: str) -> Any:
        raise AssertionError(name)

    @property
    def desk(self) -> Desk:
        def record(kind: str, case_no: str | None, body: dict[str, Any], key: str) -> None:
            screened(body)
            screened([key])
            self.ledger.append((kind, body, key))

        return Desk(
            catalogue=self.catalogue, connections=self, keys=self.keys, accounts=None,  # type: ignore[arg-type]
            stores=lambda: [
                PostgresStore(self.catalogue, "company", self, patience=PATIENCE),
                S3Store(self.catalogue, "objects", self),
            ],
            append=lambda _evidence, _key: (), record=record,
        )  # fmt: skip

    def audit(self, **more: Any) -> Audited:
        return night.audit(self.desk, as_of=TODAY, lock=LOCK, **more)

    def results(self, audited: Audited) -> dict[str, dict[str, Any]]:
        with self.desk.book() as conn:
            return {r["kind"]: r for r in nights.results(conn, audited.night_id)}

    # --- what is there
    def schemas(self) -> set[str]:
        return {
            str(name)
            for (name,) in self.company.sql("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'")
        }

    def prepared(self) -> int:
        return int(self.company.value("SELECT count(*) FROM pg_prepared_xacts"))

    def bucket_names(self) -> set[str]:
        return {b["Name"] for b in self.buckets.client().list_buckets()["Buckets"]}

    def uploads(self) -> list[Any]:
        return list(self.buckets.client().list_multipart_uploads(Bucket=PHOTOS).get("Uploads", []))

    def work_area(self) -> list[str]:
        return [
            o["Key"]
            for o in self.buckets.client().list_objects_v2(Bucket=WORK).get("Contents", [])
            if o["Key"].startswith("steps/")
        ]


WAL = {"min_wal_size": "32MB", "max_wal_size": "64MB"}


@pytest.fixture(scope="session")
def nights_pg18(session_places: Places) -> Iterator[PgServer]:
    yield from _postgres(session_places, "nights-pg18", binaries_for(session_places), 18, WAL)


@pytest.fixture(scope="session")
def nights_pg15(session_places: Places) -> Iterator[PgServer]:
    yield from _postgres(session_places, "nights-pg15", debian_15(), 15, WAL)


@pytest.fixture(params=["pg18", "pg15"])
def pg_server(request: pytest.FixtureRequest) -> PgServer:
    """Each PostgreSQL in turn, with a cluster of its own: a night reads every file of it, and a shared one's grow with
    every other test's database."""
    found: PgServer = request.getfixturevalue(f"nights_{request.param}")
    return found


@pytest.fixture
def house(
    shop: Company, pg_server: PgServer, pg18: PgServer, case_book: str, empty_moto: S3Server, tmp_path: Path
) -> House:
    database = str(shop.value("SELECT current_database()"))
    ensure_planter(pg_server.cluster, database)
    made = House(
        company=shop, database=database, server=pg_server, buckets=empty_moto,
        records=lambda role: pg18.conninfo(case_book, role), keys=FileKeyStore(tmp_path / "keys", b"k" * 32),
        files={"company_files": str(pg_server.cluster.data), "company_log": str(pg_server.cluster.process.log)},
    )  # fmt: skip
    if PHOTOS not in made.bucket_names():
        empty_moto.client().create_bucket(Bucket=PHOTOS)
        empty_moto.client().put_object(Bucket=PHOTOS, Key="A1/a/1.txt", Body=b"A1")
    S3Store(made.catalogue, "objects", made).install()
    return made
