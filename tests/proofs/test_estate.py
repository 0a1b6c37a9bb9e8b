"""The whole estate after a shutdown: what stays passes, and each thing that is planted beside it fails the check of its name."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from include.model.errors import NotReachable
from include.model.estate import Column, Cut, Derived, NotPersonal, StoreDeclared
from include.model.flow import Check
from include.model.words import DatasetKind, Role, StoreKind, Verdict
from include.proofs import estate, needles
from include.proofs.estate import Stays
from include.proofs.names import POSTGRES, S3
from tests.conftest import PgServer, S3Server
from tests.proofs.controls import control
from tests.stores.postgres.making import catalogue, dataset, own, via
from tests.stores.postgres.releasing import MOVED

pytestmark = pytest.mark.postgres

SCHEMA = """
CREATE SCHEMA a; CREATE SCHEMA k;
CREATE TABLE a.account (id text PRIMARY KEY, phone text, note text);
CREATE TABLE k.file (id int PRIMARY KEY, account_id text, body text);
CREATE TABLE k.page (id int PRIMARY KEY, file_id int, body text);
CREATE TABLE k.total (day date, n int);
CREATE TABLE k.anchor (id int PRIMARY KEY, account_id text, hash text, salt text);
CREATE MATERIALIZED VIEW k.count AS SELECT account_id, count(*) AS n FROM k.file GROUP BY 1;
INSERT INTO a.account SELECT 'acct_'||i, '1380013800'||i, 'x' FROM generate_series(1, 5) i;
INSERT INTO k.file SELECT i, 'acct_'||i, 'call 1380013800'||i FROM generate_series(1, 5) i;
INSERT INTO k.page SELECT i, i, 'page of 1380013800'||i FROM generate_series(1, 5) i;
INSERT INTO k.total VALUES ('2026-01-01', 5);
INSERT INTO k.anchor SELECT i, 'acct_'||i, md5(i::text), 's'||i FROM generate_series(1, 5) i;
REFRESH MATERIALIZED VIEW k.count;
GRANT USAGE ON SCHEMA a, k TO prover; GRANT SELECT ON ALL TABLES IN SCHEMA a, k TO prover;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO prover; ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO prover;
"""
BUCKET = "estate-photos"
_BASE = catalogue(
    dataset("a.account", "id", own("id"), columns={"phone": Column(category="PI-001"), "note": Column()}),
    dataset("k.file", "id", own("account_id"), columns={"body": Column(categories=("PI-001",))}),
    dataset("k.page", "id", via("k.file", file_id="id"), columns={"body": Column(categories=("PI-001",))}),
    dataset("k.anchor", "id", own("account_id"), action="unlink", cut=Cut(set={"salt": None, "account_id": None}),
            columns={"hash": Column(categories=("PI-001",)), "salt": Column()}),
)  # fmt: skip
_OBJECTS = dataset("objects.photos", "", own("account_id"), address=BUCKET).model_copy(
    update={"store": "objects", "kind": DatasetKind.OBJECTS, "key": (), "prefix": "{account_id}/"}
)
_LOGS = _OBJECTS.model_copy(
    update={"id": "objects.logs", "kind": DatasetKind.RECORDS, "prefix": "logs/", "format": "jsonl.gz"}
)
MADE = _BASE.model_copy(
    update={
        "stores": (
            *_BASE.stores,
            StoreDeclared(id="objects", kind=StoreKind.S3, region="CN", connection="objects", business_roles=(), description="t"),
        ),
        "datasets": (*_BASE.datasets, _OBJECTS, _LOGS),
        "not_personal": (NotPersonal(store="company", address="k.total", reason="counts", columns=("day", "n")),),
        "releases": (
            MOVED.model_copy(update={"dataset": "k.file", "into": "k.total", "quasi": {}, "sensitive": {},
                                     "plain": {"day": "a day", "n": "a count"}}),
        ),
        "derived": (Derived(store="company", address="k.count", kind="matview", of=("k.file",)),),
    }
)  # fmt: skip


@dataclass
class Gathered:
    """What was gathered, in memory."""

    known: dict[str, set[str]] = field(default_factory=dict)

    def keep(self, _dataset: str, found: Any) -> None:
        for value, account in found:
            self.known.setdefault(value, set()).add(self.token(account))

    @staticmethod
    def token(account: str) -> str:
        return hashlib.sha256(account.encode()).hexdigest()[:16]

    def of(self, values: Collection[str]) -> Mapping[str, frozenset[str]]:
        return {v: frozenset(self.known[v]) for v in values if v in self.known}

    def tokens(self, accounts: Collection[str]) -> Mapping[str, str]:
        return {a: self.token(a) for a in accounts}


@dataclass
class Estate:
    """Where only files 2 and 3 and their pages stay, and one photograph."""

    pg: PgServer
    database: str
    objects: S3Server
    gathered: Gathered = field(default_factory=Gathered)
    stays: dict[str, int] = field(
        default_factory=lambda: {"k.file": 2, "k.page": 2, "objects.photos": 1, "objects.logs": 2}
    )
    silent: bool = False

    def postgres(self, connection: str, role: Role) -> str:
        return self.pg.conninfo(self.database, role.value)

    def s3(self, connection: str, role: Role) -> Any:
        if self.silent:
            raise NotReachable("it does not answer", about="objects", next_step="try again")
        return self.objects.client()

    def sql(self, text: str) -> None:
        with psycopg.connect(self.pg.conninfo(self.database), autocommit=True) as conn:
            conn.execute(text.encode())

    def look(self, **more: Any) -> dict[str, tuple[Check, ...]]:
        return estate.dragnet(MADE, self, Stays(self.stays, owners=self.gathered, **more))  # type: ignore[arg-type]

    def wrong(self, **more: Any) -> dict[str, Check]:
        return {
            c.name: c
            for checks in self.look(**more).values()
            for c in checks
            if c.verdict is not Verdict.PASSED
        }

    def put(self, key: str, body: bytes = b"x", bucket: str = BUCKET) -> None:
        self.objects.client().put_object(Bucket=bucket, Key=key, Body=body)


@pytest.fixture
def left(pg18: PgServer, empty_moto: S3Server) -> Iterator[Estate]:
    def build(conninfo: str) -> None:
        with psycopg.connect(conninfo, autocommit=True) as conn:
            conn.execute(SCHEMA.encode())

    it = Estate(pg18, pg18.fresh_database("estate", build), empty_moto)
    client = empty_moto.client()
    for bucket in [b["Name"] for b in client.list_buckets()["Buckets"]]:
        for o in client.list_objects_v2(Bucket=bucket).get("Contents", []):
            client.delete_object(Bucket=bucket, Key=o["Key"])
        client.delete_bucket(Bucket=bucket)
    client.create_bucket(Bucket=BUCKET)
    it.put("acct_2/a.jpg")
    it.put("logs/one.jsonl.gz", gzip.compress(b'{"a": 1}\n{"a": 2}\n'))
    assert needles.gather(MADE, it, it.gathered.keep) == 15  # type: ignore[arg-type]
    it.sql(
        "DELETE FROM a.account; DELETE FROM k.file WHERE id NOT IN (2, 3); DELETE FROM k.page WHERE id NOT IN (2, 3);"
        " UPDATE k.anchor SET salt = NULL, account_id = NULL; REFRESH MATERIALIZED VIEW k.count"
    )
    yield it
    pg18.drop_database(it.database)


def test_what_stays_passes_and_every_place_was_looked_at(left: Estate) -> None:
    found = left.look()
    assert left.wrong() == {} and estate.verdict(found) is Verdict.PASSED
    names = {c.name for checks in found.values() for c in checks}
    assert {"holds.a.account", "holds.k.file", "needle.k.page", "derived.k.count", "holds.objects.photos", "holds.objects.logs",
            f"undeclared.{BUCKET}", "undeclared.company.large_objects"} <= names  # fmt: skip


@control("estate", "holds", POSTGRES)
@control("estate", "holds", S3)
def test_a_row_or_an_object_too_many_or_too_few_fails(left: Estate) -> None:
    left.sql(
        "INSERT INTO a.account VALUES ('acct_9', NULL, NULL); DELETE FROM k.file WHERE id = 2; REFRESH MATERIALIZED VIEW k.count"
    )
    left.put("acct_3/b.jpg")
    left.put("logs/two.jsonl.gz", gzip.compress(b'{"a": 3}\n'))
    wrong = left.wrong()
    assert {n: (c.expected, c.observed) for n, c in wrong.items() if n.startswith("holds")} == {
        "holds.a.account": (0, 1), "holds.k.file": (2, 1), "holds.objects.photos": (1, 2), "holds.objects.logs": (2, 3),
    }  # fmt: skip


def test_a_row_that_its_unlinking_leaves_is_none_that_stays_until_it_is_whole(left: Estate) -> None:
    left.sql("UPDATE k.anchor SET salt = 's' WHERE id = 4")
    (check,) = left.wrong().values()
    assert (check.name, check.expected, check.observed) == ("holds.k.anchor", 0, 1)


@control("estate", "undeclared", POSTGRES)
@control("estate", "undeclared", S3)
def test_what_nobody_declared_is_named(left: Estate) -> None:
    left.sql("CREATE TABLE k.copy_of_file AS SELECT 7 AS id, 'nothing' AS body; CREATE SCHEMA old;"
             " CREATE TABLE old.empty (id int); SELECT lo_from_bytea(0, 'x')")  # fmt: skip
    left.objects.client().create_bucket(Bucket="forgotten")
    left.put("dump.sql", bucket="forgotten")
    left.put("elsewhere")
    wrong = left.wrong()
    assert set(wrong) == {
        "undeclared.k.copy_of_file",
        "undeclared.forgotten",
        f"undeclared.{BUCKET}",
        "undeclared.company.large_objects",
    }
    assert all(c.verdict is Verdict.FAILED and c.observed == 1 for c in wrong.values())


@control("estate", "column", POSTGRES)
def test_a_column_that_nobody_declared_holds_nothing(left: Estate) -> None:
    left.sql("ALTER TABLE k.file ADD COLUMN fax text; ALTER TABLE k.total ADD COLUMN who text")
    assert left.wrong() == {}, "an empty one tells nothing"
    left.sql("UPDATE k.file SET fax = 'yes' WHERE id = 3; UPDATE k.total SET who = 'me'")
    assert set(left.wrong()) == {"column.k.file.fax", "column.k.total.who"}


@control("estate", "derived", POSTGRES)
def test_a_stale_copy_is_named(left: Estate) -> None:
    left.sql("DELETE FROM k.file WHERE id = 3; DELETE FROM k.page WHERE id = 3")
    left.stays |= {"k.file": 1, "k.page": 1}
    assert set(left.wrong()) == {"derived.k.count"}


@control("estate", "needle", POSTGRES)
@pytest.mark.parametrize("text", ["ask 138-0013-8004", "+86 13800138004", '{"tel": "13800138004"}'])
def test_somebody_elses_number_in_a_row_that_stays_is_found(left: Estate, text: str) -> None:
    left.sql(
        f"UPDATE k.page SET body = '{text}' WHERE id = 2; UPDATE k.file SET body = 'ring 13912345678' WHERE id = 3"
    )
    wrong = left.wrong()
    assert (
        set(wrong) == {"needle.k.page"}
        and wrong["needle.k.page"].observed == 1
        and "body (1)" in wrong["needle.k.page"].why
    )
    assert "1380013" not in wrong["needle.k.page"].why
    left.sql(
        f"UPDATE k.page SET body = 'its own 13800138002' WHERE id = 2; UPDATE k.file SET body = '{text}'"
    )
    assert set(left.wrong()) == {"needle.k.file"}


def test_what_cannot_be_asked_is_no_zero(left: Estate) -> None:
    left.silent = True
    left.sql("REVOKE SELECT ON k.file FROM prover; REVOKE pg_read_all_data FROM prover")
    try:
        found = left.look(unknown={"k.page": "it was not counted"})
    finally:
        left.sql("GRANT pg_read_all_data TO prover")
    wrong = {
        c.name: c.verdict for checks in found.values() for c in checks if c.verdict is not Verdict.PASSED
    }
    assert {"holds.k.file", "holds.k.page", "holds.objects"} <= wrong.keys()
    assert set(wrong.values()) == {Verdict.UNVERIFIED} and estate.verdict(found) is Verdict.UNVERIFIED
    assert set(estate.dragnet(MADE, left, Stays(left.stays))["company"]) >= {  # type: ignore[arg-type]
        c for c in found["company"] if c.name == "holds.a.account"
    }


def test_without_what_was_gathered_nobodys_identifiers_can_be_sought(left: Estate) -> None:
    checks = estate.dragnet(MADE, left, Stays(left.stays))["company"]  # type: ignore[arg-type]
    (needle,) = [c for c in checks if c.name.startswith("needle")]
    assert needle.verdict is Verdict.UNVERIFIED and "gathered" in needle.why


def test_of_a_service_what_others_go_on_with_is_no_hit(left: Estate) -> None:
    left.sql("INSERT INTO a.account VALUES ('acct_9', NULL, NULL)")
    assert left.wrong(beside=frozenset({"a.account"})) == {}
