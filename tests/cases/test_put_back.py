"""A bucket that was put back brings back objects of people who were deleted: they are found, and what is kept is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from include.cases import came_back, papers, put_back
from include.cases.keys import FileKeyStore
from include.cases.rooms import Desk
from include.catalogue import load
from include.model.errors import QuietusError
from include.model.estate import Bound, Column, Dataset, Link, StoreDeclared
from include.model.words import DatasetKind, Role, StoreKind
from tests.cases.restoring import ON, PEOPLE, PERSON, SHOP, Both, Restorable
from tests.cases.small import TODAY, world
from tests.cases.test_suppressing import NEW, registers
from tests.conftest import PgServer, S3Server
from tests.stores.postgres import making
from tests.stores.postgres.conftest import new_company
from tests.stores.postgres.making import Company

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["new_company"]
pytestmark = [pytest.mark.postgres, pytest.mark.s3]

FACES = Dataset(
    id="faces", store="vault", kind=DatasetKind.OBJECTS, title="faces", address="put-back-faces", prefix="face/{account_id}/",
    links=(Link(column="account_id"),), binds=(Bound(rule="RS-01"),), columns={"account_id": Column()},
    categories=("PI-001",),
)  # fmt: skip
VAULT = StoreDeclared(id="vault", kind=StoreKind.S3, region="CN", connection="vault", description="v")


class WithBuckets(Both):
    """Connections to the shop, the case book, and the buckets."""

    def __init__(self, other: Both, bucket: S3Client) -> None:
        super().__init__(other._of, other._records)
        self._bucket = bucket

    def s3(self, connection: str, role: Role) -> S3Client:
        assert (connection, role) == ("vault", Role.PROVER)
        return self._bucket


@pytest.fixture
def bucket(s3_server: S3Server) -> S3Client:
    client = s3_server.client()
    client.create_bucket(Bucket=FACES.address)
    yield client
    for item in client.list_objects_v2(Bucket=FACES.address).get("Contents", []):
        client.delete_object(Bucket=FACES.address, Key=item["Key"])
    client.delete_bucket(Bucket=FACES.address)


@pytest.fixture
def at_work(
    writer: str, tmp_path: Path, new_company: Callable[..., Company], pg_server: PgServer
) -> Restorable:
    shop = new_company(SHOP, making.SCHEMA + PEOPLE, "shop8_restorable")
    return Restorable(
        pg_server, shop, world(writer, FileKeyStore(tmp_path / "keys", b"k" * 32), lambda: SHOP)
    )


def looking(it: Restorable, bucket: S3Client) -> Desk:
    more = SHOP.model_copy(update={"datasets": (*SHOP.datasets, FACES), "stores": (*SHOP.stores, VAULT)})
    return replace(it.desk, catalogue=more, connections=WithBuckets(it.desk.connections, bucket))


def put(bucket: S3Client, *people: int, name: str = "1.jpg") -> None:
    for n in people:
        bucket.put_object(Bucket=FACES.address, Key=f"face/{PERSON(n)}/{name}", Body=b"x")


def found(desk: Desk, case_no: str) -> list[tuple[str, str, int]]:
    with desk.book() as conn:
        return [(f["code"], f["dataset"], f["items"]) for f in papers.open_findings(conn, case_no)]


def test_objects_of_somebody_deleted_are_found_and_the_finding_settles_with_them(
    at_work: Restorable, bucket: S3Client
) -> None:
    put(bucket, 1, 2, 3)
    case_no = at_work.erase(2)
    bucket.delete_object(Bucket=FACES.address, Key=f"face/{PERSON(2)}/1.jpg")
    desk = looking(at_work, bucket)
    assert came_back.look(desk, **ON).cases == (), "customers have objects"

    put(bucket, 2)
    put(bucket, 2, name="2.jpg")
    assert came_back.look(desk, **ON).cases == (), "once a day: a bucket is listed whole"
    tomorrow = {**ON, "as_of": TODAY + timedelta(days=1)}
    looked = came_back.look(desk, **tomorrow)
    assert (looked.back, looked.cases) == (1, (case_no,))
    assert found(desk, case_no) == [("re_ingested", "faces", 2)]
    with desk.book() as conn:
        assert PERSON(2) not in str(papers.open_findings(conn, case_no)) and papers.in_the_way(conn, case_no)
    for name in ("1.jpg", "2.jpg"):
        bucket.delete_object(Bucket=FACES.address, Key=f"face/{PERSON(2)}/{name}")
    assert came_back.look(desk, **tomorrow).back == 0
    assert found(desk, case_no) == [], "looked for on the same day, since it was open"


def test_what_is_there_by_right_is_none(at_work: Restorable, bucket: S3Client) -> None:
    case_no = at_work.erase(2, 4)
    put(bucket, 2)
    put(bucket, 4)
    desk = looking(at_work, bucket)
    with desk.book() as conn:
        conn.execute(
            "INSERT INTO casebook.unit (case_no, subject_no, category, dataset, copy_kind, state, items, rung_required)"
            " VALUES (%s, 0, 'PI-001', 'faces', 'live', 'restricted', 2, 2)", (case_no,),
        )  # fmt: skip
        assert put_back.more_than_kept(desk, conn, FACES, came_back._kept(conn)) == {}
        put(bucket, 4, name="more.jpg")
        assert put_back.more_than_kept(desk, conn, FACES, came_back._kept(conn)) == {case_no: 1}


def test_a_bucket_that_is_not_there_is_said_and_nobody_is_settled(
    at_work: Restorable, bucket: S3Client
) -> None:
    put(bucket, 2)
    case_no = at_work.erase(2)
    desk = looking(at_work, bucket)
    assert came_back.look(desk, **ON).back == 1
    away = FACES.model_copy(update={"address": "put-back-away"})
    lost = replace(desk, catalogue=desk.catalogue.model_copy(update={"datasets": (*SHOP.datasets, away)}))
    with pytest.raises(QuietusError, match="faces"):
        came_back.look(lost, **ON)
    assert [code for code, *_ in found(desk, case_no)] == ["re_ingested"]


@pytest.mark.parametrize(
    ("prefix", "seen"),
    [("{account_id}/", True), ("seal/{account_id}/{n}/", True), ("{n}/{account_id}/", False), ("{account_id}-x/", False),
     ("{account_id}", False)],
)  # fmt: skip
def test_only_keys_that_name_the_account_in_a_segment_of_its_own_tell_whose_they_are(
    prefix: str, seen: bool
) -> None:
    only = SHOP.model_copy(update={"datasets": (FACES.model_copy(update={"prefix": prefix}),)})
    assert bool(put_back.telling(only)) is seen


def test_of_the_first_policy_all_but_shared_objects_are_looked_through() -> None:
    known = load()
    objects = {d.id for d in known.datasets if d.kind is DatasetKind.OBJECTS}
    assert objects - {d.id for d in put_back.telling(known)} == {"objects.contracts"}


def test_what_was_found_is_kept_though_a_later_store_does_not_answer(
    at_work: Restorable, bucket: S3Client
) -> None:
    case_no = at_work.erase(2)
    desk = looking(at_work, bucket)
    assert came_back.look(desk, **ON).back == 0
    registers(at_work, NEW, "doc-2", "139")
    away = FACES.model_copy(update={"id": "faces_away", "address": "put-back-no-such-bucket"})
    lost = replace(
        desk, catalogue=desk.catalogue.model_copy(update={"datasets": (*desk.catalogue.datasets, away)})
    )
    tomorrow = {**ON, "as_of": TODAY + timedelta(days=1)}
    with pytest.raises(QuietusError):
        came_back.look(lost, **tomorrow)
    assert [(c, d) for c, d, _ in found(desk, case_no)] == [("re_ingested", "account.identity")]
    assert came_back.look(desk, **tomorrow).cases == (case_no,), "it is new no more, and told of all the same"
