"""A seeded company with its case book, people who leave it through the real verbs, and what that changed, byte by byte.

Whose an item is, the generator says, not the catalogue: it knows for whom it made each row.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
from psycopg import sql

from include import proofs
from include.cases import book, papers, planner, units, verbs
from include.cases.book import Case
from include.cases.keys import FileKeyStore
from include.cases.rooms import Desk
from include.cases.units import Unit
from include.cases.wiring import stores
from include.catalogue import load
from include.model.errors import Refused
from include.model.flow import Line, Located, Plan, Step
from include.model.keks import Keks
from include.model.times import observed_now
from include.model.words import Channel, DatasetKind, Disposition, Ground, Requester, Role
from include.sandbox import buckets
from include.sandbox import seed as seeding
from include.sandbox.people import cases
from include.sandbox.people.everybody import makings, rows_of
from include.stores.postgres import install
from include.stores.s3 import S3Store
from tests.conftest import PgServer, S3Server

CATALOGUE = load()
TODAY = date(2026, 11, 24)
KEK = b"k" * 32
ON: dict[str, Any] = {"as_of": TODAY, "actor": "system/dag"}
Item = tuple[str, tuple[str, ...]]  # a table and a key, or a bucket and the key of an object's version


@dataclass
class Places:
    """Connections to a company, its objects and its case book, whatever the role."""

    server: PgServer
    company: str
    records: str
    objects: S3Server
    keys: Path
    keks: Keks = field(default_factory=Keks.made)
    _client: Any = field(default=None, init=False, repr=False)

    def postgres(self, connection: str, role: Role) -> str:
        database = self.records if connection == book.RECORDS else self.company
        return self.server.conninfo(database, role.value)

    def s3(self, connection: str, role: Role) -> Any:
        self._client = self._client or self.objects.client()
        return self._client

    def text(self, name: str) -> str:
        kek = base64.b64encode(KEK).decode()
        said = {"key_store": str(self.keys), "key_store_kek": kek, "object_keks": self.keks.text()}
        said["sandbox"] = "it is one"
        if name not in said:
            raise Refused("it is not declared", about=name)
        return said[name]


@dataclass(frozen=True)
class Snapshot:
    """Every row and every version of an object by its key, and the lines of the shared logs by whose they are."""

    items: Mapping[Item, str]
    logs: Mapping[str | None, Counter[str]]


@dataclass(frozen=True)
class Left:
    """What became of somebody's request: its plan, and the company before and after."""

    account: str
    case_no: str
    plan: Plan
    before: Snapshot
    after: Snapshot

    def items(self, dataset: str, *fates: Disposition) -> int:
        """How many items of a dataset the plan gives one of these fates."""
        return sum(x.items for x in self.plan.lines_of(dataset) if x.disposition in fates)

    def until(self, dataset: str) -> set[date | None]:
        return {x.until for x in self.plan.lines_of(dataset) if x.disposition is Disposition.RETAIN}

    @property
    def changed(self) -> set[Item]:
        """What is not there any more, is new, or is not as it was."""
        one, other = self.before.items, self.after.items
        return {k for k in one.keys() | other.keys() if one.get(k) != other.get(k)}


@dataclass
class House:
    """The company, and the desk of whoever handles requests."""

    places: Places
    people: int
    names: dict[str, str]
    desk: Desk
    owners: dict[Item, set[str]]
    who_left: dict[str, Left] = field(default_factory=dict)
    _last: Snapshot | None = None

    @classmethod
    def made(
        cls, server: PgServer, records: str, s3: S3Server, keys: Path, people: int, seed: int = 1
    ) -> House:
        places = Places(server, server.fresh_database(), records, s3, keys)
        owner = server.conninfo(places.company)
        seeding.apply_schema(owner)
        seeding.make_buckets(s3.client())
        seeding.seed(
            owner, s3.client(), people=people, seed=seed, today=TODAY, objects_share=0.0, keks=places.keks
        )
        _thin_out(s3)
        install(owner, CATALOGUE, "company")
        S3Store(CATALOGUE, "objects", places).install()
        from include.cases.accounts import CatalogueAccounts
        from include.cases.notices.register import Company

        desk = Desk(
            catalogue=CATALOGUE, connections=places, keys=FileKeyStore(keys, KEK),
            stores=lambda: stores(CATALOGUE, places), accounts=CatalogueAccounts(CATALOGUE, places),
            append=lambda evidence, key: [key], company=Company(CATALOGUE, places), code="test",
        )  # fmt: skip
        return cls(places, people, cases.hard_cases(seed), desk, _owners(people, seed))

    # --- looking -------------------------------------------------------------------------------

    def company(self) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self.places.server.conninfo(self.places.company), options="-c timezone=UTC")

    def now(self) -> Snapshot:
        if self._last is None:
            self._last = Snapshot(dict(self._rows()) | dict(self._objects()), self._log_lines())
        return self._last

    def _rows(self) -> Iterator[tuple[Item, str]]:
        with self.company() as connection:
            for dataset in CATALOGUE.datasets:
                if dataset.kind is DatasetKind.TABLE:
                    keys = sql.SQL(", ").join(
                        sql.SQL("t.{}::text").format(sql.Identifier(c)) for c in dataset.key
                    )
                    for *key, text in connection.execute(
                        sql.SQL("SELECT {}, t::text FROM {} AS t").format(
                            keys, sql.Identifier(*dataset.address.split("."))
                        )
                    ):
                        yield (dataset.address, tuple(key)), text

    def _objects(self) -> Iterator[tuple[Item, str]]:
        s3 = self.places.objects.client()
        for bucket in set(buckets.BUCKETS) - {buckets.LOGS}:
            for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
                for x in page.get("Versions", []):
                    yield (bucket, (x["Key"], x["VersionId"])), x["ETag"]
                for x in page.get("DeleteMarkers", []):
                    yield (bucket, (x["Key"], x["VersionId"])), "marker"
            for x in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
                yield (bucket, (x["Key"], x["UploadId"])), "open upload"

    def _log_lines(self) -> dict[str | None, Counter[str]]:
        s3, found = self.places.objects.client(), dict[str | None, Counter[str]]()
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=buckets.LOGS):
            for key in (o["Key"] for o in page.get("Contents", [])):
                body = s3.get_object(Bucket=buckets.LOGS, Key=key)["Body"].read()
                records = (
                    pq.read_table(io.BytesIO(body)).to_pylist()
                    if key.endswith(".parquet")
                    else [json.loads(line) for line in gzip.decompress(body).splitlines()]
                )
                for record in records:
                    found.setdefault(record["account_id"], Counter())[f"{key} {record!r}"] += 1
        return found

    # --- leaving -------------------------------------------------------------------------------

    def opened(self, name: str, ground: Ground = Ground.CANCELLATION) -> str:
        """A case about a hard case, verified where the ground asks for it, rehearsed and approved."""
        account = self.names[name]
        if ground.own_initiative:
            case_no = verbs.open_own_initiative(
                self.desk, [account], ground=ground, trigger_user="system/night", as_of=TODAY
            ).case_no
            verbs.rehearse(self.desk, case_no, **ON)
            return case_no
        case_no = verbs.open_case(
            self.desk, account, ground=ground, channel=Channel.APP, requester=Requester.SELF,
            trigger_user="support/li", received_at=observed_now(), as_of=TODAY,
        ).case_no  # fmt: skip
        proof: dict[str, Any] = {"method": "signed_in_session", "fields": ["PI-001", "PI-004"]}
        verbs.ask_identity(self.desk, case_no, **proof, **ON)
        verbs.record_identity(self.desk, case_no, outcome="matched", **proof, **ON)
        verbs.rehearse(self.desk, case_no, **ON)
        verbs.approve(self.desk, case_no, approver="reviewer/wang", as_of=TODAY)
        return case_no

    def leave(self, name: str, ground: Ground = Ground.CANCELLATION, *, by_the_book: bool = False) -> Left:
        """One hard case leaves, once: surveyed, restricted, settled, planned, disposed, in both stores.

        ``by_the_book``: through a case with its rehearsal and its approval; else by the verbs of the stores alone.
        """
        if name not in self.who_left:
            before = self.now()
            self._last = None
            if by_the_book:
                case_no = self.opened(name, ground)
                verbs.restrict(self.desk, case_no, **ON)
                plan = verbs.settle_and_plan(self.desk, case_no, **ON)
                verbs.dispose(self.desk, case_no, **ON)
            else:
                case_no = f"CASE-{900_000 + list(self.names).index(name)}"
                plan = self._dispose(case_no, self.names[name], ground)
            self.who_left[name] = Left(self.names[name], case_no, plan, before, self.now())
        return self.who_left[name]

    def _dispose(self, case_no: str, account: str, ground: Ground) -> Plan:
        step = Step(
            id=f"hard_{case_no[5:]}", case_no=case_no, as_of=TODAY, restricting=planner.restricting(ground),
            subjects=(account,),
        )  # fmt: skip
        rooms = self.desk.stores()
        for store in rooms:
            store.open(step)
            store.survey(step)
            store.restrict(step)
        provided = planner.provide(CATALOGUE, ground, TODAY, case_no=case_no, tokens=("nobody is held",))
        assert not provided.findings
        located, lines = list[Located](), list[Line]()
        for store in rooms:
            store.settle(step)
            located += store.survey(step).located
            lines += store.weigh(step, provided.of_store(CATALOGUE, store.id))
        plan = planner.plan(step, located, lines, CATALOGUE.digest, "test")
        for store in rooms:
            store.dispose(step, plan)
        for store in rooms:  # the objects' owners were asked of the database's area
            store.close(step)
        return plan

    def rest(self, left: Left) -> tuple[Case, list[Unit]]:
        """The proofs, by their own connection; then the case where it comes to rest, and its units."""
        with self.desk.book() as conn:
            case = book.case(conn, left.case_no)
            row = papers.current_step(conn, case, "live")
        assert row is not None
        step = row.step(case, (left.account,))
        looked = list(proofs.gone(CATALOGUE, self.places, step, left.plan))
        looked += proofs.objects_gone(CATALOGUE, self.places, step, left.plan)
        for evidence in looked:
            verbs.record_evidence(self.desk, evidence, **ON)
        verbs.balance(self.desk, left.case_no, **ON)
        verbs.open_backup_track(self.desk, left.case_no, **ON)
        case = verbs.rest(self.desk, left.case_no, **ON)
        with self.desk.book() as conn:
            return case, list(units.of_case(conn, left.case_no))

    def of(self, name: str, snapshot: Snapshot, *places: str) -> dict[Item, str]:
        """What somebody has in a snapshot: everywhere, or in some tables and buckets."""
        account = self.names[name]
        return {
            item: text
            for item, text in snapshot.items.items()
            if (not places or item[0] in places) and account in self.owners_of(item)
        }

    def strangers_touched(self, left: Left) -> set[Item]:
        """What was changed though the generator made it for others alone, shared log files apart."""
        return {item for item in left.changed if left.account not in self.owners_of(item)}

    def owners_of(self, item: Item) -> set[str]:
        place, key = item
        if place in self.owners_by_bucket:
            first, *more = key[0].split("/")
            owner = more[0] if place == buckets.SEALS else first
            return (
                self.owners.get(("sign.contract", (owner,)), set()) if place == buckets.CONTRACTS else {owner}
            )
        if place == "cert.crl_entry":  # also one that restricting made
            return self.owners.get(("cert.certificate", key), set())
        return self.owners.get(item, set())

    owners_by_bucket = frozenset(buckets.BUCKETS)


def _thin_out(s3: S3Server) -> None:
    """Every sixth of the shared log files is enough: each survey reads them all, and everybody is surveyed."""
    client = s3.client()
    found = client.list_object_versions(Bucket=buckets.LOGS)["Versions"]
    kept = set(sorted({x["Key"] for x in found})[::6])
    for x in found:
        if x["Key"] not in kept:
            client.delete_object(Bucket=buckets.LOGS, Key=x["Key"], VersionId=x["VersionId"])


def _as_text(value: Any) -> str:
    """As PostgreSQL writes it in UTC."""
    return f"{value:%Y-%m-%d %H:%M:%S}+00" if isinstance(value, datetime) else str(value)


def _owners(people: int, seed: int) -> dict[Item, set[str]]:
    """For whom each row was made: who is named in it; all parties of what hangs on a contract; else its maker."""
    key_of = {d.address: d.key for d in CATALOGUE.datasets if d.kind is DatasetKind.TABLE}
    found: dict[Item, set[str]] = {}
    for making in makings(people, seed, TODAY):
        rows = [(table, row) for table, row in rows_of(making) if table in key_of]
        parties: dict[Any, set[str]] = {}
        for table, row in rows:
            if table == "sign.contract_party":
                parties.setdefault(row["contract_id"], set()).add(row["account_id"])
        for table, row in rows:
            key = tuple(_as_text(row[c]) for c in key_of[table])
            if table in ("sign.contract", "sign.chain_anchor"):
                mine = parties[row["contract_id"]]
            else:
                mine = {row.get("account_id") or making.person.account_id}
            if "enterprise_account_id" in row:  # the firm's own, and of who may see or acts for it
                mine = mine | {row["enterprise_account_id"]}
            found.setdefault((table, key), set()).update(mine)
    return found
