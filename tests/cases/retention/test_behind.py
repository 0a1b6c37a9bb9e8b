"""Rows that objects lead through: they stay while an object needs them, and go once it is gone."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from include.cases import planner
from include.cases.retention.asking import Asking
from include.cases.retention.behind import Needed, leads
from include.cases.retention.held import HeldPeople
from include.model.flow import Step
from include.model.interval import Standing
from include.stores.postgres.clearing import Clearing
from tests.cases.retention.test_objects import OBJECTS, Estate
from tests.conftest import PgServer
from tests.stores.postgres.clearing.test_night import furnished
from tests.stores.postgres.dated import AS_OF, CATALOGUE, One, Oracle
from tests.stores.s3.world import Server

ALONE = ("ra.biometric", "ra.match_result", "support.call_record")
"""Of those that objects lead through, the ones that no other row refers to."""
# Both parties' accounts ended 20 days ago: their rows are due after 15, the document after 30 (RS-01, RS-09).
ENDED = """
UPDATE account.account SET cancelled_at = '2026-11-04 12:00+08' WHERE account_id IN
  (SELECT account_id FROM sign.contract_party WHERE contract_id = %s)"""


@pytest.fixture
def one(pg18: PgServer) -> Iterator[One]:
    yield from furnished(pg18)


def night(estate: Estate) -> tuple[dict[str, int], dict[str, int]]:
    """Of each table, how many of its rows were due, and how many stayed because something needs them."""
    about = Asking(estate.catalogue, AS_OF, HeldPeople)
    needed = Needed(about, estate.one)  # type: ignore[arg-type]
    clearing = Clearing(
        estate.catalogue, "company", estate.one, about.looks, about.fates, led=needed  # type: ignore[arg-type]
    )  # fmt: skip
    step = Step(
        id=f"case_{uuid.uuid4().hex[:6]}_s1",
        case_no="CASE-000900",
        as_of=AS_OF,
        restricting=False,
        subjects=(),
    )
    survey = clearing.locate(step)
    located = {x.dataset: x.items for x in survey.located}
    clearing.dispose(step, planner.plan(step, survey.located, clearing.lines(step), CATALOGUE.digest, "test"))
    assert clearing.left == {}
    stayed: dict[str, int] = {}
    for receipt in clearing.receipts(step):
        for dataset, words in receipt.counts.items():
            stayed[dataset] = stayed.get(dataset, 0) + words.get("needed", 0)
    return located, {d: n for d, n in stayed.items() if n}


def test_a_row_stays_while_an_object_needs_it_and_goes_once_that_is_gone(one: One, moto: Any) -> None:
    with psycopg.connect(one.server.conninfo(one.name), autocommit=True) as conn:
        oracle = Oracle(conn)
        contract = min(
            c for c in {r["contract_id"] for r in oracle.rows["sign.contract_party"]}
            if all(a["cancelled_at"] is None for a in oracle.rows["account.account"]
                   if a["account_id"] in {r["account_id"] for r in oracle.rows["sign.contract_party"]
                                          if r["contract_id"] == c})
        )  # fmt: skip
        conn.execute(ENDED, [contract])
    with psycopg.connect(one.server.conninfo(one.name)) as conn:
        oracle = Oracle(conn)
    estate = Estate(one, oracle, Server("moto", moto.endpoint, moto.access_key, moto.secret_key).client(), 40)
    estate.put("objects.contracts", f"{contract}/x")
    people = {
        d.id: {who for row in estate.rows[d.id] if oracle.standing(d, row)[1] is Standing.DUE for who in oracle.owners(d, row)}
        for d in OBJECTS
    }  # fmt: skip
    of = {
        t: set().union(*(people[o] for o, tables in leads(CATALOGUE).items() if t in tables)) for t in ALONE
    }
    expected = {
        t: sum(
            1 for row in oracle.rows[t]
            if oracle.standing(CATALOGUE.dataset(t), row)[1] is Standing.DUE
            and oracle.owners(CATALOGUE.dataset(t), row) & of[t]
        )
        for t in ALONE
    }  # fmt: skip
    parties = [r for r in oracle.rows["sign.contract_party"] if r["contract_id"] == contract]

    located, needed = night(estate)
    assert {t: needed.get(t, 0) for t in ALONE} == expected and expected["ra.biometric"]
    assert any(located[t] > needed.get(t, 0) for t in ALONE), "of whose objects are none due, it goes"
    assert needed["sign.contract_party"] >= len(parties)
    assert "usage.location" not in needed, "what no object leads through goes"
    with psycopg.connect(one.server.conninfo(one.name)) as conn:
        left = conn.execute(
            "SELECT count(*) FROM sign.contract_party WHERE contract_id = %s", [contract]
        ).fetchone()
    assert left == (len(parties),), "the document is not due yet, and nobody else leads to it"

    for d in OBJECTS:
        said = estate.client.list_object_versions(Bucket=estate.bucket(d.id))
        for kind in ("Versions", "DeleteMarkers"):
            for v in said.get(kind, []):
                estate.client.delete_object(
                    Bucket=estate.bucket(d.id), Key=v["Key"], VersionId=v["VersionId"]
                )
        for u in estate.client.list_multipart_uploads(Bucket=estate.bucket(d.id)).get("Uploads", []):
            estate.client.abort_multipart_upload(
                Bucket=estate.bucket(d.id), Key=u["Key"], UploadId=u["UploadId"]
            )
    located, needed = night(estate)
    assert located.keys() >= set(ALONE) and not needed.keys() & {*ALONE, "sign.contract_party"}


def test_a_bucket_that_cannot_be_listed_keeps_the_rows(one: One, moto: Any) -> None:
    with psycopg.connect(one.server.conninfo(one.name)) as conn:
        oracle = Oracle(conn)
    estate = Estate(one, oracle, Server("moto", moto.endpoint, moto.access_key, moto.secret_key).client(), 1)
    datasets = tuple(
        d.model_copy(update={"address": "no-such-bucket"}) if d.id == "objects.call_recordings" else d
        for d in estate.catalogue.datasets
    )
    estate.catalogue = estate.catalogue.model_copy(update={"datasets": datasets})
    located, needed = night(estate)
    assert located["support.call_record"] == needed["support.call_record"] > 0
    assert needed.get("ra.biometric", 0) < located["ra.biometric"]
