"""Objects by age: what the database knows of their paths, against every object worked out by itself in plain Python."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from include.cases.retention.due import see, table
from include.cases.retention.held import HeldPeople
from include.cases.retention.late import late
from include.cases.retention.late import table as minutes_of
from include.cases.scopes import HoldBasis, HoldOrder, Scope
from include.model.catalogue import Catalogue
from include.model.interval import Standing
from include.model.times import PRC
from include.model.words import DatasetKind
from include.stores.s3.inventory import Inventory
from include.stores.s3.once import Once
from tests.conftest import PgServer
from tests.stores.postgres.dated import AS_OF, CATALOGUE, One, Oracle, Row, made
from tests.stores.s3.world import Server

OBJECTS = CATALOGUE.of_store("objects", DatasetKind.OBJECTS)
RECORDS = CATALOGUE.of_store("objects", DatasetKind.RECORDS)
OF = {  # whose rows lend the paths their variables
    "objects.id_photos": "ra.application", "objects.contracts": "sign.contract", "objects.locked_evidence": "cert.certificate",
}  # fmt: skip
FEW = 60  # paths of each dataset
REPLACED, HIDDEN, BEGUN = 3, 4, 5  # whose objects are not one version each


class Estate:
    """A database, buckets of their own beside it, and a path for every row that lends one."""

    def __init__(self, one: One, oracle: Oracle, client: Any, few: int = FEW) -> None:
        self.one, self.oracle, self.client = one, oracle, client
        self.one.bucket = client
        tag = uuid.uuid4().hex[:8]
        datasets = tuple(
            d.model_copy(update={"address": f"{d.address}-{tag}"}) if d in (*OBJECTS, *RECORDS) else d
            for d in CATALOGUE.datasets
        )
        self.catalogue: Catalogue = CATALOGUE.model_copy(update={"datasets": datasets})
        self.rows: dict[str, list[Row]] = {}
        buckets = {d.address for d in self.catalogue.of_store("objects")}
        for bucket in buckets:
            client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket="locked" in bucket)
            client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        for d in OBJECTS:
            self.rows[d.id] = self.oracle.rows[OF.get(d.id, "account.account")][:few]
            for n, row in enumerate(self.rows[d.id]):
                for _ in range(1 + (n == REPLACED)):  # of one a version that was replaced is there, too
                    self.put(d.id, d.prefix.format(**row) + "x")
                if n == HIDDEN:  # a marker hides an object, and what it hides is there
                    client.delete_object(Bucket=self.bucket(d.id), Key=d.prefix.format(**row) + "x")
                if n == BEGUN:  # and beside one lies an upload that nobody finished
                    client.create_multipart_upload(Bucket=self.bucket(d.id), Key=d.prefix.format(**row) + "y")

    def bucket(self, dataset: str) -> str:
        return self.catalogue.dataset(dataset).address

    def put(self, dataset: str, key: str) -> None:
        self.client.put_object(Bucket=self.bucket(dataset), Key=key, Body=b"x")


def furnished(pg: PgServer) -> tuple[One, Oracle]:
    """A company's database, and what every rule says of each of its rows."""
    one = made(pg)
    with psycopg.connect(pg.conninfo(one.name)) as conn:
        return one, Oracle(conn)


@pytest.fixture(scope="module")
def estate(pg18: PgServer, moto: Any) -> Iterator[Estate]:
    yield Estate(*furnished(pg18), Server("moto", moto.endpoint, moto.access_key, moto.secret_key).client())


def items(n: int) -> int:
    return 1 + (n in (REPLACED, HIDDEN, BEGUN))


def due(estate: Estate, **more: Any) -> dict[tuple[str, str], int]:
    seen = see(estate.catalogue, estate.one, AS_OF, rows=7, **more)  # type: ignore[arg-type]
    assert seen.unverified == {}
    return {(r.rule, r.dataset): r.due for r in table(seen) if r.dataset.startswith("objects.")}


def test_an_object_is_due_by_what_its_path_leads_to(estate: Estate) -> None:
    expected: Counter[tuple[str, str]] = Counter()
    for d in OBJECTS:
        for n, row in enumerate(estate.rows[d.id]):
            rule, stands = estate.oracle.standing(d, row)
            if stands is Standing.DUE:
                expected[rule, d.id] += items(n)
    assert due(estate) == dict(expected)
    assert {d for _, d in expected} >= {
        "objects.id_photos",
        "objects.face_video",
        "objects.seals",
        "objects.locked_evidence",
    }


def test_faces_in_a_bucket_are_late_by_the_minute(estate: Estate) -> None:
    moment = datetime(2026, 11, 24, 12, 34, tzinfo=PRC)
    expected: dict[str, list[datetime]] = {}
    for d in OBJECTS:
        for n, row in enumerate(estate.rows[d.id]):
            if found := estate.oracle.late(d, row, moment):
                expected.setdefault(d.id, []).extend([found[1]] * items(n))
    seen = minutes_of(late(estate.catalogue, estate.one, moment, rows=7))  # type: ignore[arg-type]
    told = {r.dataset: (r.due, r.late) for r in seen if r.dataset.startswith("objects.")}
    assert told == {d: (len(v), (moment - min(v)) // timedelta(minutes=1)) for d, v in expected.items()}
    assert told.keys() == {"objects.face_video", "objects.fingerprints"}


def test_a_hold_takes_an_object_out(estate: Estate) -> None:
    who = next(
        r["account_id"] for n, r in enumerate(estate.rows["objects.face_video"])
        if items(n) == 1 and estate.oracle.standing(CATALOGUE.dataset("objects.face_video"), r)[1] is Standing.DUE
    )  # fmt: skip
    order = HoldOrder("HOLD-000001", HoldBasis.COURT, "law", Scope(datasets=frozenset({"objects.face_video"}),
                                                                  subjects=frozenset({"t"})))  # fmt: skip
    free, held = due(estate), due(estate, held=HeldPeople((order,), {"HOLD-000001": frozenset({who})}))
    changed = {k: free[k] - held.get(k, 0) for k in free if free[k] != held.get(k, 0)}
    assert changed == {("RS-07/target", "objects.face_video"): 1}


def test_what_leads_to_nobody_is_unverified_and_the_rest_is_judged(estate: Estate) -> None:
    before = due(estate)
    stray = {
        "objects.id_photos": ["acct_nobody/1/x", "acct_nobody/not-a-number/x", "loose"],
        "objects.contracts": ["99999999/x", "not-a-number/x"],
    }
    for dataset, keys in stray.items():
        for key in keys:
            estate.put(dataset, key)
    try:
        seen = see(estate.catalogue, estate.one, AS_OF)  # type: ignore[arg-type]
        after = {(r.rule, r.dataset): r.due for r in table(seen) if r.dataset.startswith("objects.")}
        assert after == before
        assert seen.unverified["objects.contracts"] == "2 lie under paths that lead to nobody in the database"
        assert seen.unverified["objects.id_photos"] == (
            "2 lie under paths that lead to nobody in the database; 1 lie under paths of another form"
        )
        assert "acct_nobody" not in str(seen.unverified)
    finally:
        for dataset, keys in stray.items():
            for version in estate.client.list_object_versions(Bucket=estate.bucket(dataset))["Versions"]:
                if version["Key"] in keys:
                    estate.client.delete_object(
                        Bucket=estate.bucket(dataset), Key=version["Key"], VersionId=version["VersionId"]
                    )


def test_two_questions_of_one_moment_list_a_bucket_once(estate: Estate) -> None:
    requests: list[str] = []
    estate.client.meta.events.register(
        "before-send.s3", lambda request, **_: requests.append(f"{request.method} {request.url}")
    )
    once = Once()
    seen = see(estate.catalogue, estate.one, AS_OF, rows=7, once=once)  # type: ignore[arg-type]
    asked = len(requests)
    again = see(estate.catalogue, estate.one, AS_OF, rows=7, once=once)  # type: ignore[arg-type]
    more = [r for r in requests[asked:] if "ca-access-logs" not in r]
    assert asked > 10 and more == [], "shared log files are listed again, and not read"
    assert table(again) == table(seen) and again.unverified == seen.unverified


def test_a_bucket_that_is_not_there_is_unverified(estate: Estate) -> None:
    gone = estate.catalogue.model_copy(update={"datasets": tuple(
        d.model_copy(update={"address": "no-such-bucket"}) if d.id == "objects.seals" else d for d in estate.catalogue.datasets
    )})  # fmt: skip
    seen = see(gone, estate.one, AS_OF)  # type: ignore[arg-type]
    assert "the bucket does not exist" in seen.unverified["objects.seals"]
    assert "objects.handwriting" not in seen.unverified


def test_an_inventory_counts_all_that_lies_there_and_gives_so_many_paths_at_a_time(estate: Estate) -> None:
    inventory = Inventory(estate.client, estate.catalogue.dataset("objects.seals"))
    tallies = list(inventory.tallies(7))
    assert max(len(t) for t in tallies) == 7
    assert sum(t.total() for t in tallies) == len(estate.rows["objects.seals"]) + 3
    assert inventory.elsewhere == 0
