"""Proofs of a night over buckets: what it says is borne out, and what is planted beside it is seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from include.cases import planner
from include.model.flow import Evidence, Plan
from include.model.words import Verdict
from include.proofs import limits
from include.stores.s3.clearing import Clearing
from tests.cases.retention.test_objects import Estate, furnished
from tests.conftest import PgServer
from tests.proofs.controls import control
from tests.stores.postgres.dated import CATALOGUE, One, Oracle
from tests.stores.s3.clearing.test_night import FACES, STEP, due_now, night, plan_of
from tests.stores.s3.world import Server

PATHS = 12  # of each dataset


@dataclass
class Proved:
    """A night over an estate, and its proofs."""

    estate: Estate
    clearing: Clearing

    def located(self) -> Plan:
        return plan_of(self.clearing)

    def disposed(self) -> Plan:
        self.clearing.dispose(STEP, self.located())
        settled = self.clearing.settled(STEP).located
        return planner.plan(STEP, settled, self.clearing.lines(STEP), CATALOGUE.digest, "test")

    def baseline(self, plan: Plan, due: dict[str, int]) -> Evidence:
        (said,) = limits.baseline(
            self.estate.catalogue, self._one(), STEP, plan, due, work=self.clearing.work
        )
        return said

    def gone(self, plan: Plan) -> Evidence:
        (said,) = limits.gone(self.estate.catalogue, self._one(), STEP, plan, work=self.clearing.work)
        return said

    def left(self, plan: Plan, **more: Any) -> Evidence:
        (said,) = limits.left(self.estate.catalogue, STEP, plan, due_now(self.estate), {}, **more)
        return said

    def _one(self) -> Any:
        return self.estate.one

    def put(self, dataset: str, key: str) -> None:
        self.estate.put(dataset, key)


@pytest.fixture(scope="module")
def company(pg18: PgServer) -> Iterator[tuple[One, Oracle]]:
    one, oracle = furnished(pg18)
    yield one, oracle
    pg18.drop_database(one.name)


@pytest.fixture
def at_night(company: tuple[One, Oracle], moto: Any) -> Proved:
    estate = Estate(*company, Server("moto", moto.endpoint, moto.access_key, moto.secret_key).client(), PATHS)
    return Proved(estate, night(estate))


def failed(evidence: Evidence) -> set[str]:
    return {c.name for c in evidence.checks if c.verdict is Verdict.FAILED}


def a_located_face(estate: Estate) -> Any:
    """A version of a face that is due."""
    client, bucket = estate.client, estate.bucket(FACES)
    due = {r["account_id"] for r in estate.rows[FACES]
           if estate.oracle.standing(CATALOGUE.dataset(FACES), r)[1].value == "due"}  # fmt: skip
    return next(
        v for v in client.list_object_versions(Bucket=bucket)["Versions"] if v["Key"].split("/")[0] in due
    )


def test_what_a_night_says_is_borne_out(at_night: Proved) -> None:
    plan = at_night.located()
    before = at_night.baseline(plan, due_now(at_night.estate))
    assert failed(before) == set() and before.verdict is Verdict.PASSED
    assert {c.name for c in before.checks} >= {f"there.{FACES}", f"seen.{FACES}"}
    done = at_night.disposed()
    gone, left = at_night.gone(done), at_night.left(done, unverified={})
    assert gone.verdict is left.verdict is Verdict.PASSED
    assert {c.name for c in gone.checks} >= {f"{w}.{FACES}" for w in ("planned", "head", "gone", "bytes")}
    assert {c.name for c in left.checks} >= {"due.objects.web_log", "due.objects.app_log"}


@control("due", "due", "s3")
def test_an_object_that_is_due_after_the_night_and_nobody_owned_up_to_is_seen(at_night: Proved) -> None:
    estate = at_night.estate
    key = a_located_face(estate)["Key"]
    plan = at_night.disposed()
    at_night.put(FACES, key)
    assert failed(at_night.left(plan, unverified={})) == {f"due.{FACES}"}
    said = at_night.left(plan, unverified={FACES: "3 lie elsewhere"}, partly=frozenset({FACES}))
    assert failed(said) == {f"due.{FACES}"}, "that some lead to nobody excuses none of the others"
    assert [c.name for c in said.checks if c.verdict is Verdict.UNVERIFIED] == [f"strays.{FACES}"]


@control("baseline", "there", "s3")
def test_a_located_version_that_vanished_before_the_deed_is_seen(at_night: Proved) -> None:
    estate = at_night.estate
    plan, due = at_night.located(), due_now(estate)
    version = a_located_face(estate)
    estate.client.delete_object(
        Bucket=estate.bucket(FACES), Key=version["Key"], VersionId=version["VersionId"]
    )
    assert failed(at_night.baseline(plan, due)) == {f"there.{FACES}"}
    assert failed(at_night.baseline(plan, due_now(estate))) == {f"there.{FACES}", f"seen.{FACES}"}


@control("gone", "planned", "s3")
def test_a_night_that_forgets_what_it_located_is_seen(at_night: Proved) -> None:
    estate, located = at_night.estate, at_night.located()
    at_night.clearing.dispose(STEP, located)
    area = at_night.clearing._area
    at_night.clearing.settled(STEP)
    with area.reading(STEP.id, "weighed") as weighed, area.writing(STEP.id, "settled") as settled:
        for d in estate.catalogue.of_store("objects"):
            settled.add(d.id, list(weighed.items(d.id))[(d.id == FACES) :])
    assert failed(at_night.gone(located)) == {f"planned.{FACES}"}


def test_a_version_that_stayed_though_it_was_to_go_is_seen(
    at_night: Proved, monkeypatch: pytest.MonkeyPatch
) -> None:
    estate = at_night.estate
    original = estate.client.delete_objects

    def silent(**how: Any) -> Any:  # a server that says yes and does nothing
        if how["Bucket"] == estate.bucket(FACES):
            return {"ResponseMetadata": {"RequestId": "r"}}
        return original(**how)

    monkeypatch.setattr(estate.client, "delete_objects", silent)
    plan = at_night.disposed()
    assert failed(at_night.gone(plan)) == {f"{w}.{FACES}" for w in ("head", "gone", "bytes")}
    assert f"due.{FACES}" in failed(at_night.left(plan, unverified={}))
