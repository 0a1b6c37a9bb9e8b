"""The seeded company on a real PostgreSQL and a real S3 server."""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow.parquet as pq
import pytest
import requests
from botocore.exceptions import ClientError
from psycopg import sql

from include.catalogue import load
from include.model import sealed
from include.model.errors import NotReachable, Refused
from include.model.estate import Dataset
from include.model.keks import Keks
from include.model.template import Template
from include.model.words import DatasetKind
from include.sandbox import buckets
from include.sandbox import seed as seeding
from include.sandbox.people.everybody import SCHEMAS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from tests.conftest import PgServer, S3Server

TODAY = date(2026, 11, 24)
PEOPLE = 500
CATALOGUE = load()
SEALED = {d.address for d in CATALOGUE.datasets if d.sealed_by is not None}
_TABLES = """
SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE n.nspname = ANY (%s) AND c.relkind IN ('r', 'p', 'm') AND NOT c.relispartition ORDER BY 1, 2
"""


class Company:
    """A seeded company."""

    def __init__(self, server: PgServer, s3: S3Client, people: int = PEOPLE, seed: int = 1) -> None:
        self.name = server.fresh_database()
        self.conninfo = server.conninfo(self.name)
        self.s3 = s3
        seeding.apply_schema(self.conninfo)
        seeding.make_buckets(s3)
        self.keks = Keks.made()
        self.seeded = seeding.seed(
            self.conninfo, s3, people=people, seed=seed, today=TODAY, synthetic_people=2, keks=self.keks
        )
        self.connection = psycopg.connect(self.conninfo)

    def all(self, statement: str | sql.Composed, *given: object) -> list[tuple[Any, ...]]:
        return self.connection.execute(statement, given or None).fetchall()

    def one(self, statement: str | sql.Composed, *given: object) -> Any:
        ((value,),) = self.all(statement, *given)
        return value

    def tables(self) -> list[tuple[str, str]]:
        return [(s, t) for s, t in self.all(_TABLES, list(SCHEMAS))]

    def opened(self, bucket: str, key: str, raw: bytes) -> bytes:
        """What an object says, opened if it is sealed: as the applications read it."""
        dataset = next(d for d in CATALOGUE.datasets if d.address == bucket and Template(d.prefix).match(key))
        if dataset.sealed_by is None:
            return raw
        key_id = sealed.key_of(raw)
        statement = sql.SQL("SELECT kek, wrapped FROM {} WHERE key_id = %s").format(
            sql.Identifier(*dataset.sealed_by.dataset.split("."))
        )
        with psycopg.connect(self.conninfo) as connection:
            row = connection.execute(statement, [key_id]).fetchone()
        assert row is not None
        kek, wrapped = row
        assert key_id is not None
        opened = sealed.unseal(self.keks.unwrap(kek, key_id, wrapped), key, io.BytesIO(raw))
        return b"".join(opened)

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [o["Key"] for page in pages for o in page.get("Contents", [])]


@pytest.fixture(scope="module")
def company(pg18: PgServer, moto: S3Server) -> Iterator[Company]:
    made = Company(pg18, moto.client())
    yield made
    made.connection.close()


@pytest.fixture(autouse=True)
def leave_nothing_behind(company: Company) -> Iterator[None]:
    yield
    company.connection.rollback()


# --- schema -----------------------------------------------------------------------------------------


def test_the_schema_is_applied_once_and_only_once(company: Company) -> None:
    before = company.tables()
    seeding.apply_schema(company.conninfo)
    assert company.tables() == before
    assert len(before) >= 62


def test_the_schema_goes_where_its_roles_exist_already(pg_server: PgServer) -> None:
    name = pg_server.fresh_database()  # eraser and prover are there, with passwords
    seeding.apply_schema(pg_server.conninfo(name))
    for role in ("eraser", "prover"):
        with psycopg.connect(pg_server.conninfo(name, role)) as connection:
            assert connection.execute("SELECT count(*) FROM account.account").fetchone() == (0,)


def test_nobody_is_seeded_twice(company: Company) -> None:
    with pytest.raises(Refused, match="people already"):
        seeding.seed(company.conninfo, company.s3, people=100, today=TODAY)


@pytest.mark.parametrize(
    ("people", "share"), [(0, 0.1), (49, 0.1), (2_000_000, 0.1), (100, 1.5), (100, -0.1)]
)
def test_numbers_that_make_no_sense_are_refused(company: Company, people: int, share: float) -> None:
    with pytest.raises(Refused, match="cannot be made"):
        seeding.seed(company.conninfo, company.s3, people=people, today=TODAY, objects_share=share)


def test_without_buckets_nobody_is_there(pg18: PgServer, moto: S3Server) -> None:
    conninfo = pg18.conninfo(pg18.fresh_database())
    seeding.apply_schema(conninfo)
    gone = moto.client()
    gone.meta.events.register("before-send.s3.PutObject", _refuse)
    with pytest.raises(NotReachable, match="an object was not taken") as raised:
        seeding.seed(conninfo, gone, people=60, today=TODAY)
    assert raised.value.__cause__ is None
    with psycopg.connect(conninfo) as connection:
        assert connection.execute("SELECT count(*) FROM account.account").fetchone() == (0,)


def _refuse(**_of: object) -> None:
    raise ClientError({"Error": {"Code": "503"}}, "PutObject")


RELEASED = {r.into for r in CATALOGUE.releases if r.into}


# --- rows -------------------------------------------------------------------------------------------


def test_every_table_has_rows(company: Company) -> None:
    empty = [
        f"{s}.{t}"
        for s, t in company.tables()
        if not company.one(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(sql.Identifier(s, t)))
    ]
    assert set(empty) == RELEASED, "what is released is for Quietus to write"


def test_synthetic_people_are_among_the_customers_and_known_by_the_seed_alone(company: Company) -> None:
    accounts = seeding.synthetic_accounts(company.conninfo)
    assert company.seeded.counts["account.account"] == PEOPLE + 2
    assert company.one("SELECT count(*) FROM account.account WHERE account_id = ANY(%s)", list(accounts)) == 2
    assert set(accounts).isdisjoint(company.seeded.cases.values())


def test_the_counts_are_those_of_the_tables(company: Company) -> None:
    for table, count in company.seeded.counts.items():
        found = company.one(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(*table.split("."))))
        assert found == count, table


def test_every_column_that_holds_a_category_holds_it_for_somebody(company: Company) -> None:
    nobody = []
    for dataset in CATALOGUE.datasets:
        if dataset.kind is not DatasetKind.TABLE:
            continue
        for name in dataset.columns:
            there = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {} IS NOT NULL)").format(
                sql.Identifier(*dataset.address.split(".")), sql.Identifier(name)
            )
            if not company.one(there):
                nobody.append(f"{dataset.id}:{name}")
    assert nobody == []


def test_all_88_categories_have_a_home_with_data(company: Company) -> None:
    homes = {
        c for d in CATALOGUE.datasets for x in d.columns.values() for c in (x.category, *x.categories) if c
    }
    homes |= {c for d in CATALOGUE.datasets for c in d.categories}
    homes |= {c for d in CATALOGUE.not_personal for c in d.categories}
    assert homes == {c.id for c in CATALOGUE.categories}


def test_all_30_rules_have_data(company: Company) -> None:
    def has_data(dataset: Dataset) -> bool:
        if dataset.kind is DatasetKind.TABLE:
            address = sql.Identifier(*dataset.address.split("."))
            return bool(company.one(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(address)))
        return bool(company.keys(dataset.address, dataset.prefix.split("{")[0]))

    with_data = {b.rule for d in CATALOGUE.datasets if has_data(d) for b in d.binds}
    backups = {b.rule for b in CATALOGUE.backups}
    unbound = {r.id for r in CATALOGUE.rules if r.unbound}  # each says in the catalogue why
    assert {r.id for r in CATALOGUE.rules} == with_data | backups | unbound
    assert (backups, unbound) == ({"RS-25"}, {"RS-24", "RS-26", "RS-28"})
    assert company.one("SELECT count(*) FROM support.arbitration WHERE closed_on IS NULL"), "no one to hold"


def test_every_reference_leads_somewhere(company: Company) -> None:
    """COPY ran with the checks of references off."""
    constraints = company.all(
        "SELECT conrelid::regclass::text, confrelid::regclass::text,"
        "       (SELECT array_agg(attname::text ORDER BY k.n) FROM unnest(conkey) WITH ORDINALITY AS k (no, n)"
        "          JOIN pg_attribute ON attrelid = conrelid AND attnum = k.no),"
        "       (SELECT array_agg(attname::text ORDER BY k.n) FROM unnest(confkey) WITH ORDINALITY AS k (no, n)"
        "          JOIN pg_attribute ON attrelid = confrelid AND attnum = k.no)"
        "  FROM pg_constraint WHERE contype = 'f' AND connamespace::regnamespace::text = ANY (%s)",
        list(SCHEMAS),
    )
    assert len(constraints) > 50
    for child, parent, columns, keys in constraints:
        same = sql.SQL(" AND ").join(
            sql.SQL("p.{} = c.{}").format(sql.Identifier(k), sql.Identifier(c))
            for c, k in zip(columns, keys, strict=True)
        )
        some = sql.SQL(" AND ").join(sql.SQL("c.{} IS NOT NULL").format(sql.Identifier(c)) for c in columns)
        lost = company.one(
            sql.SQL(
                "SELECT count(*) FROM {} AS c WHERE {} AND NOT EXISTS (SELECT FROM {} AS p WHERE {})"
            ).format(sql.Identifier(*child.split(".")), some, sql.Identifier(*parent.split(".")), same)
        )
        assert lost == 0, f"{child} {columns} -> {parent}"


def test_signatures_and_devices_name_certificates_that_were_issued(company: Company) -> None:
    for table, column in (("sign.signature", "serial"), ("usage.device", "certificate_serial"),
                          ("cert.hosted_key", "serial")):  # fmt: skip
        lost = company.one(
            sql.SQL(
                "SELECT count(*) FROM {} AS t LEFT JOIN cert.certificate AS c ON c.serial = t.{}"
                " WHERE t.{} IS NOT NULL AND (c.serial IS NULL OR c.account_id <> t.account_id)"
            ).format(sql.Identifier(*table.split(".")), sql.Identifier(column), sql.Identifier(column))
        )
        assert lost == 0, table


def test_new_rows_get_numbers_that_nobody_has(company: Company) -> None:
    id_ = company.seeded.cases["ordinary"]
    for statement in (
        "INSERT INTO support.call_record (account_id, number, called_at) VALUES (%s, '1', now())",
        "INSERT INTO usage.service_use (account_id, service, way, used_at) VALUES (%s, 'seal', 'app', now())",
        "INSERT INTO account.consent (account_id, policy_version, purpose, given_at) VALUES (%s, '1', 'x', now())",
    ):
        company.connection.execute(statement, (id_,))


# --- what triggers make -----------------------------------------------------------------------------


def test_age_bands_are_what_the_trigger_makes(company: Company) -> None:
    before = company.all("SELECT account_id, age_band FROM account.person ORDER BY 1")
    assert {band is None for _, band in before} == {True, False}
    company.connection.execute("UPDATE account.person SET age_band = NULL")
    company.connection.execute("UPDATE ra.id_card SET birth_date = birth_date")
    assert company.all("SELECT account_id, age_band FROM account.person ORDER BY 1") == before


def test_service_totals_are_what_the_trigger_makes(company: Company) -> None:
    before = company.all("SELECT * FROM usage.service_total ORDER BY 1")
    company.connection.execute("CREATE TEMP TABLE kept AS TABLE usage.service_use")
    company.connection.execute("DELETE FROM usage.service_use")
    assert company.one("SELECT sum(uses) FROM usage.service_total") == 0
    company.connection.execute("DELETE FROM usage.service_total")
    company.connection.execute("INSERT INTO usage.service_use SELECT * FROM kept")
    assert company.all("SELECT * FROM usage.service_total ORDER BY 1") == before


def test_history_is_what_the_trigger_writes(company: Company) -> None:
    shown = "SELECT account_id, old_mobile, old_email FROM account.person_history ORDER BY 1"
    before = company.all(shown)
    assert len(before) > 10
    company.connection.execute("SET LOCAL session_replication_role = replica")
    company.connection.execute("CREATE TEMP TABLE today AS TABLE account.person")
    company.connection.execute(
        "UPDATE account.person AS p SET mobile = h.old_mobile, email = h.old_email"
        "  FROM account.person_history AS h WHERE h.account_id = p.account_id"
    )
    company.connection.execute("DELETE FROM account.person_history")
    company.connection.execute("SET LOCAL session_replication_role = origin")
    company.connection.execute(
        "UPDATE account.person AS p SET mobile = t.mobile, email = t.email"
        "  FROM today AS t WHERE t.account_id = p.account_id"
    )
    assert company.all(shown) == before


def test_the_materialised_view_is_fresh(company: Company) -> None:
    shown = "SELECT * FROM usage.use_by_account ORDER BY 1, 2"
    before = company.all(shown)
    assert before
    company.connection.execute("REFRESH MATERIALIZED VIEW usage.use_by_account")
    assert company.all(shown) == before


def test_monthly_counts_are_of_twenty_accounts_at_least(company: Company) -> None:
    assert company.one("SELECT min(accounts) FROM stat.monthly") >= 20
    latest = company.one(
        "SELECT accounts FROM stat.monthly WHERE region = '全国' ORDER BY month DESC LIMIT 1"
    )
    assert latest == company.one("SELECT count(*) FROM account.account WHERE registered_at < '2026-11-01'")


def test_statistics_were_gathered(company: Company) -> None:
    assert company.one("SELECT count(*) FROM pg_stats WHERE schemaname = 'account'") > 20
    assert company.one("SELECT reltuples FROM pg_class WHERE oid = 'account.account'::regclass") == PEOPLE + 2


def test_the_network_log_has_a_partition_for_each_of_fourteen_months(company: Company) -> None:
    names = [
        n
        for (n,) in company.all("SELECT relid::text FROM pg_partition_tree('usage.access_log') WHERE isleaf")
    ]
    assert len(names) == 15  # and the default one
    assert {"usage.access_log_2026_11", "usage.access_log_2025_10", "usage.access_log_rest"} <= set(names)
    filled = [n for (n,) in company.all("SELECT DISTINCT tableoid::regclass::text FROM usage.access_log")]
    assert set(filled) == set(names)
    for name in names:
        for role, privilege in (("eraser", "DELETE"), ("prover", "SELECT")):
            assert company.one("SELECT has_table_privilege(%s, %s, %s)", role, name, privilege)


# --- objects ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dataset", CATALOGUE.of_store("objects", DatasetKind.OBJECTS), ids=lambda d: str(d.id)
)
def test_ordinary_and_neighbour_have_objects_of_every_kind(company: Company, dataset: Dataset) -> None:
    template = Template(dataset.prefix)
    for name in ("ordinary", "neighbour"):
        id_ = company.seeded.cases[name]
        owned = {"account_id": {id_}, "contract_id": {
            str(c) for (c,) in company.all("SELECT contract_id FROM sign.contract_party WHERE account_id = %s", id_)
        }}  # fmt: skip
        found = [v for key in company.keys(dataset.address) if (v := template.match(key)) is not None]
        variable = template.variables[0]
        assert [v for v in found if v[variable] in owned[variable]], name


def test_every_object_matches_a_declared_prefix(company: Company) -> None:
    for bucket in buckets.BUCKETS:
        templates = [Template(d.prefix) for d in CATALOGUE.datasets if d.address == bucket]
        assert templates
        lost = [key for key in company.keys(bucket) if all(t.match(key) is None for t in templates)]
        assert not lost, bucket


def test_rows_of_a_person_with_objects_point_to_them(company: Company) -> None:
    id_ = company.seeded.cases["cosigner"]
    keys = set(company.keys(buckets.ID_PHOTOS, f"{id_}/"))
    rows = company.all(
        "SELECT id_sides_key, document_photo_key FROM ra.image JOIN ra.application USING (application_id)"
        " WHERE account_id = %s",
        id_,
    )
    assert {r[0] for r in rows} <= keys
    assert {r[0].replace("front", "back") for r in rows} <= keys


def test_bodies_begin_as_their_kind_does_and_some_hold_the_persons_values(company: Company) -> None:
    id_ = company.seeded.cases["ordinary"]
    number = company.one("SELECT document_no FROM account.person WHERE account_id = %s", id_).encode()
    magic = {"jpg": b"\xff\xd8\xff", "mp4": b"\x00\x00\x00\x18ftyp", "pdf": b"%PDF-", "wav": b"RIFF", "png": b"\x89PNG",
             "fmr": b"FMR\x00", "p7s": b"\x30\x82"}  # fmt: skip
    seen, naming = set(), 0
    for bucket in buckets.BUCKETS:
        for key in company.keys(bucket):
            if id_ in key or bucket == buckets.CONTRACTS:
                raw = company.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
                body = company.opened(bucket, key, raw)
                assert (body == raw) == (bucket not in SEALED)
                kind = key.rsplit(".", 1)[1]
                assert body.startswith(magic[kind]), key
                seen.add(kind)
                naming += number in body
    assert seen == set(magic)
    assert naming >= 5


def test_some_objects_have_older_versions_and_some_a_delete_marker(company: Company) -> None:
    versions = markers = 0
    for bucket in (buckets.ID_PHOTOS, buckets.CONTRACTS, buckets.CALLS, buckets.LOGS):
        found = company.s3.list_object_versions(Bucket=bucket)
        versions += sum(not v["IsLatest"] for v in found.get("Versions", []))
        markers += len(found.get("DeleteMarkers", []))
    assert versions > 10
    assert markers >= 2


def test_ordinary_has_an_upload_that_never_ended(company: Company) -> None:
    uploads = company.s3.list_multipart_uploads(Bucket=buckets.FACE_VIDEO)["Uploads"]
    id_ = company.seeded.cases["ordinary"]
    found = {u["Key"] for u in uploads if u["Key"].startswith(id_)}
    assert found == {f"{id_}/retake.mp4"}


def test_evidence_is_locked_for_some_days(company: Company) -> None:
    keys = company.keys(buckets.LOCKED)
    assert len(keys) > 5
    said = company.s3.head_object(Bucket=buckets.LOCKED, Key=keys[0])
    assert said["ObjectLockMode"] == "GOVERNANCE"
    assert timedelta(days=1) < said["ObjectLockRetainUntilDate"] - datetime.now(UTC) < timedelta(days=7)
    version = company.s3.list_object_versions(Bucket=buckets.LOCKED, Prefix=keys[0])["Versions"][0][
        "VersionId"
    ]
    with pytest.raises(ClientError):
        company.s3.delete_object(Bucket=buckets.LOCKED, Key=keys[0], VersionId=version)


def test_buckets_are_versioned_and_made_once(company: Company) -> None:
    seeding.make_buckets(company.s3)
    for bucket in buckets.BUCKETS:
        assert company.s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert company.s3.get_object_lock_configuration(Bucket=buckets.LOCKED)["ObjectLockConfiguration"] == {
        "ObjectLockEnabled": "Enabled"
    }


def test_the_shared_logs_hold_many_people_before_and_after_six_months(company: Company) -> None:
    web = company.keys(buckets.LOGS, "web/")
    app = company.keys(buckets.LOGS, "app/")
    assert len(web) > 30
    assert len(app) >= 14
    records: list[dict[str, Any]] = []
    for key in web:
        assert re.fullmatch(r"web/\d{4}/\d\d/\d\d\.jsonl\.gz", key)
        body = company.s3.get_object(Bucket=buckets.LOGS, Key=key)["Body"].read()
        of_day = [json.loads(line) for line in gzip.decompress(body).splitlines()]
        assert {r["occurred_at"][:10] for r in of_day} == {key[4:14].replace("/", "-")}
        records += of_day
    for key in app:
        body = company.s3.get_object(Bucket=buckets.LOGS, Key=key)["Body"].read()
        records += pq.read_table(io.BytesIO(body)).to_pylist()
    ordinary = [r for r in records if r["account_id"] == company.seeded.cases["ordinary"]]
    days = [date.fromisoformat(str(r["occurred_at"])[:10]) for r in ordinary]
    assert min(days) < TODAY - timedelta(days=190)
    assert max(days) > TODAY - timedelta(days=170)
    assert len({r["account_id"] for r in records}) > PEOPLE / 2
    assert any(r["account_id"] is None for r in records)
    assert all(set(r) >= {"account_id", "occurred_at", "page", "ip"} for r in records)


# --- determinism ------------------------------------------------------------------------------------


def test_the_same_seed_makes_the_same_company(pg18: PgServer, moto: S3Server) -> None:
    def prints(seed: int) -> dict[str, str]:
        made = Company(pg18, moto.client(), people=60, seed=seed)
        with made.connection:
            return {
                f"{s}.{t}": made.one(
                    sql.SQL(
                        "SELECT coalesce(md5(string_agg(r, '|' ORDER BY r)), '')"
                        # A key is wrapped with a nonce that never comes again.
                        " FROM {} AS t, LATERAL (SELECT (to_jsonb(t) - 'wrapped')::text) AS x (r)"
                    ).format(sql.Identifier(s, t))
                )
                for s, t in made.tables()
            }

    first = prints(1)
    assert prints(1) == first
    # Counts and the company's own incidents may be the same by chance.
    same = {table for table, md5 in prints(2).items() if md5 == first[table]}
    assert same - RELEASED <= {"ops.incident", "stat.monthly", "usage.service_total"}


# --- an S3 server that lost everything ----------------------------------------------------------------


def test_lost_objects_are_made_again_but_not_those_of_who_left(pg18: PgServer, empty_moto: S3Server) -> None:
    again = empty_moto.client()
    made = Company(pg18, again, people=60)
    before = objects(again)
    requests.post(f"{empty_moto.endpoint}/moto-api/reset", timeout=10).raise_for_status()
    left = made.seeded.cases["ordinary"]
    with made.connection:
        made.connection.execute("CREATE SCHEMA quietus CREATE TABLE restriction (subject_id text)")
        made.connection.execute("INSERT INTO quietus.restriction VALUES (%s)", [left])
    assert seeding.make_buckets(again), "none was there"
    put = seeding.put_again(made.conninfo, again)
    assert not seeding.make_buckets(again)
    after = objects(again)
    lost = before.keys() - after.keys()
    assert after.keys() < before.keys() and sum(put.values()) < sum(made.seeded.objects.values())
    assert {k for k in before if left in k[1]} < lost, (
        "also what is filed under a contract or a card of theirs"
    )
    same = {k for k in after if k[0] != buckets.LOGS}
    assert len(same) > 20
    assert all(made.opened(*k, before[k]) == made.opened(*k, after[k]) for k in same)
    for (bucket, key), body in after.items():
        assert left not in key
        assert left.encode() not in (gzip.decompress(body) if key.endswith(".gz") else body), (bucket, key)


def test_a_company_that_we_did_not_make_is_not_filled_with_objects(
    pg18: PgServer, empty_moto: S3Server
) -> None:
    conninfo = pg18.conninfo(pg18.fresh_database())
    seeding.apply_schema(conninfo)
    with pytest.raises(Refused, match="what its people were made with"):
        seeding.put_again(conninfo, empty_moto.client())


def objects(s3: S3Client) -> dict[tuple[str, str], bytes]:
    """Every current object's body, by bucket and key."""
    found = {}
    for bucket in buckets.BUCKETS:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for o in page.get("Contents", []):
                found[bucket, o["Key"]] = s3.get_object(Bucket=bucket, Key=o["Key"])["Body"].read()
    return found
