"""Nights over the sandbox's own company and its buckets: objects go first, then the rows that they lead through, and what a lock
keeps is named until it goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
from botocore.config import Config

from include.cases import assembling, certificates, wiring
from include.cases.accounts import CatalogueAccounts
from include.cases.keys import FileKeyStore
from include.cases.retention import ended, nights, whole
from include.cases.retention import night as nightly
from include.cases.retention.behind import leads
from include.cases.retention.nights import Night
from include.cases.rooms import Desk
from include.catalogue import load
from include.ledger.verify import verify
from include.model.errors import NotReachable, Refused
from include.model.keks import CONNECTION, Keks
from include.model.times import observed_now
from include.model.words import DatasetKind, Role
from include.sandbox import buckets
from include.sandbox import seed as seeding
from include.stores.postgres import install
from include.stores.s3 import S3Store
from tests.cases.test_certifying import RECORDS, answering
from tests.cases.test_certifying import whole as with_ledger
from tests.conftest import PgServer, S3Server

pytestmark = pytest.mark.slow
CATALOGUE = load()
TODAY = date(2026, 11, 24)
ON: dict[str, Any] = {"as_of": TODAY, "actor": "system/dag"}
LOCKED = "objects.locked_evidence"
# Somebody's certificates ended more than five years ago, and their evidence is still locked (RS-10).
LONG_OVER = """
UPDATE cert.certificate SET not_before = not_before - interval '20 years', not_after = '2021-11-01', revoked_at = NULL
 WHERE account_id = %s"""
KEK = b"k" * 32


@dataclass
class House:
    """A company with its buckets, a case book with its ledger, and their desk."""

    server: PgServer
    company: str
    records: str
    objects: S3Server
    home: Path
    pem: bytes = b""
    keks: Keks = field(default_factory=Keks.made)

    def postgres(self, connection: str, role: Role) -> str:
        return self.server.conninfo(self.records if connection == "records" else self.company, role.value)

    def s3(self, connection: str, role: Role) -> Any:
        return self.objects.client()

    def text(self, name: str) -> str:
        known = {
            "ledger_signer": str(self.home / "signer" / "s"),
            "sandbox": "yes",
            CONNECTION: self.keks.text(),
        }
        if name not in known:
            raise Refused("the connection is not declared", about=name)
        return known[name]

    @property
    def desk(self) -> Desk:
        return Desk(
            catalogue=CATALOGUE, connections=self, keys=FileKeyStore(self.home / "keys", KEK),  # type: ignore[arg-type]
            stores=lambda: wiring.stores(CATALOGUE, self),  # type: ignore[arg-type]
            accounts=CatalogueAccounts(CATALOGUE, self),  # type: ignore[arg-type]
            append=lambda evidence, key: assembling.append_evidence(self, evidence, key),  # type: ignore[arg-type]
            record=lambda *said: assembling.record_entry(self, *said),  # type: ignore[arg-type]
            code="test",
        )  # fmt: skip

    def due(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for row in nightly.look(self.desk, TODAY).rows:
            found[row.dataset] = found.get(row.dataset, 0) + row.due
        return {d: n for d, n in found.items() if n}

    def things(self) -> dict[tuple[str, str, str], str]:
        """Every version, marker and unfinished upload that is there, the shared log files apart: a night rewrites them."""
        found, client = {}, self.objects.client()
        for bucket in set(buckets.BUCKETS) - {buckets.LOGS}:
            for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
                found |= {(bucket, v["Key"], v["VersionId"]): v["ETag"] for v in page.get("Versions", [])}
                found |= {(bucket, m["Key"], m["VersionId"]): "marker" for m in page.get("DeleteMarkers", [])}
            for u in client.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
                found[bucket, u["Key"], u["UploadId"]] = "upload"
        return found

    def unlock(self) -> None:
        client = self.objects.client()
        for v in client.list_object_versions(Bucket=buckets.LOCKED).get("Versions", []):
            client.put_object_retention(
                Bucket=buckets.LOCKED, Key=v["Key"], VersionId=v["VersionId"], BypassGovernanceRetention=True,
                Retention={"Mode": "GOVERNANCE", "RetainUntilDate": observed_now() - timedelta(seconds=1)},
            )  # fmt: skip

    def night(self) -> tuple[Night, list[str]]:
        """A whole night, with a person's word if it needs one; and what it says is left."""
        night = whole.run(self.desk, **ON)
        if night.waits_for_a_person:
            assert night.case_no is not None
            nightly.approve(self.desk, night.case_no, as_of=TODAY, actor="ops/li")
            night = whole.run(self.desk, **ON)
        return night, ended.nothing_is_left(self.desk, night.night_id)

    def certificate(self, night: Night) -> list[str]:
        """What the offline verifier has against it."""
        assert night.case_no is not None
        with self.desk.book() as conn:
            auditors = certificates.edition(conn, night.case_no, "auditor")
        return list(verify(auditors.encode(), self.pem).problems)


@pytest.fixture(scope="module")
def house(pg18: PgServer, empty_moto: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    for login in (*RECORDS, *CATALOGUE.store("company").business_roles):
        pg18.add_role(login)
    home = tmp_path_factory.mktemp("n")
    with pg18.memberships_apart():
        made = House(
            pg18, pg18.fresh_database(), pg18.fresh_database("certifying", with_ledger), empty_moto, home
        )
        owner = pg18.conninfo(made.company)
        seeding.apply_schema(owner)
        seeding.make_buckets(empty_moto.client())
        seeding.seed(
            owner, empty_moto.client(), people=60, today=TODAY, objects_share=0.0, keks=made.keks,
        )  # fmt: skip
        install(owner, CATALOGUE, "company")
        kept = empty_moto.client().list_object_versions(Bucket=buckets.LOCKED)["Versions"]
        with psycopg.connect(owner, autocommit=True) as conn:
            conn.execute(LONG_OVER, [min(v["Key"] for v in kept).split("/")[0]])
            conn.execute(f"GRANT CREATE ON DATABASE {made.company} TO eraser".encode())
        S3Store(CATALOGUE, "objects", made).install()  # type: ignore[arg-type]
        server = answering(home / "signer")
        made.pem = (home / "signer" / "pub.pem").read_bytes()
        yield made
        server.shutdown()
        server.server_close()
        pg18.drop_database(made.company)
        pg18.drop_database(made.records)


def test_objects_go_at_night_then_their_rows_and_what_is_locked_is_named_until_it_goes(house: House) -> None:
    before, due = house.things(), house.due()
    of_objects = {d: n for d, n in due.items() if CATALOGUE.dataset(d).kind is DatasetKind.OBJECTS}
    led = frozenset().union(*leads(CATALOGUE).values())
    assert (
        len(of_objects) >= 4
        and of_objects[LOCKED]
        and due.keys() & led >= {"ra.application", "cert.certificate"}
    )

    night, said = house.night()
    assert night.case_no is not None and night.ended_at is not None
    after = house.due()
    assert after.keys() <= {LOCKED, *led}, "only what is locked stays, and the rows that it leads through"
    assert after[LOCKED] == of_objects[LOCKED]
    assert night.remaining == sum(after.values()) and any("locked, the last of them until" in x for x in said)
    gone = before.keys() - house.things().keys()
    assert len(gone) == sum(of_objects.values()) - of_objects[LOCKED]
    assert {k: v for k, v in before.items() if k not in gone} == house.things(), "nothing else was touched"
    assert house.certificate(night) == []

    with house.desk.book() as conn:
        (cases,) = conn.execute("SELECT count(*) AS n FROM casebook.case_").fetchone().values()
    still, said = house.night()
    assert still.case_no is None and still.needs_word is None, (
        "a night that would dispose of nothing opens no case"
    )
    assert still.due == 0 and still.remaining == sum(after.values()) and house.due() == after
    assert any(x.startswith(f"{LOCKED}: ") and "locked, the last of them until" in x for x in said), said
    with house.desk.book() as conn:
        assert [*conn.execute("SELECT count(*) AS n FROM casebook.case_").fetchone().values()] == [cases]

    house.unlock()
    last, said = house.night()
    assert house.due() == {} and last.remaining == 0
    assert said == [], "the last task is green"
    assert last.gone == sum(after.values())
    assert house.certificate(last) == []
    with house.desk.book() as conn:
        assert [n.gone for n in nights.latest(conn, "days")] == [last.gone, 0, night.gone]
    quiet, _ = house.night()
    assert quiet.case_no is None, "a night that finds nothing opens no case"


def test_no_night_is_begun_while_the_buckets_are_silent(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(*_: object) -> Any:
        return boto3.client(
            "s3", endpoint_url="http://127.0.0.1:1", region_name="us-east-1", aws_access_key_id="k",
            aws_secret_access_key="s", config=Config(connect_timeout=2, retries={"max_attempts": 1}),
        )  # fmt: skip

    with house.desk.book() as conn:
        before = nights.latest(conn)
    monkeypatch.setattr(House, "s3", nobody)
    with pytest.raises(NotReachable, match="store objects: nothing of it could be asked"):
        nightly.begin(house.desk, **ON, patiently=True)
    with house.desk.book() as conn:
        assert nights.latest(conn) == before
