"""People of the seeded company, cancelled over both stores: every proof passes, nobody is accused wrongly."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from include import proofs
from include.cases import planner
from include.cases.wiring import stores
from include.catalogue import load
from include.model.flow import Check, Evidence, Plan, Step
from include.model.keks import Keks
from include.model.words import Ground, Role, Verdict
from include.sandbox import seed as seeding
from include.stores.postgres import install
from tests.conftest import PgServer, S3Server
from tests.stores.postgres.making import TODAY, step

CATALOGUE = load()
PEOPLE = 400

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # nine disposals, proved in full


class Everything:
    """Connections to one database and one S3 server, whatever the role."""

    def __init__(self, server: PgServer, database: str, s3: S3Server) -> None:
        self.server, self.database, self.objects = server, database, s3
        self.keks = Keks.made()

    def postgres(self, connection: str, role: Role) -> str:
        return self.server.conninfo(self.database, role.value)

    def s3(self, connection: str, role: Role) -> Any:
        return self.objects.client()

    def text(self, name: str) -> str:
        assert name == "object_keks"
        return self.keks.text()


@pytest.fixture(scope="module")
def company(pg18: PgServer, empty_moto: S3Server) -> Iterator[Everything]:
    database = pg18.fresh_database()
    made, owner = Everything(pg18, database, empty_moto), pg18.conninfo(database)
    seeding.apply_schema(owner)
    seeding.make_buckets(empty_moto.client())
    seeding.seed(owner, empty_moto.client(), people=PEOPLE, seed=1, today=TODAY, keks=made.keks)
    install(owner, CATALOGUE, "company")
    yield made
    pg18.drop_database(database)


def bad(found: list[Evidence]) -> list[str]:
    """What failed, and what could not be looked at though it must be."""
    return [
        f"{c.name}@{c.copy_kind} R{c.rung} {c.verdict} {c.expected}/{c.observed} {c.why}"
        for e in found
        for c in e.checks
        if c.verdict is Verdict.FAILED
        or (
            c.verdict is Verdict.UNVERIFIED
            and not c.name.startswith(("beyond.", "enforced."))
            and not unreadable(c)
        )
    ]


def unreadable(check: Check) -> bool:
    """Into what was an open upload nobody can read whether it was sealed: of its copy nothing is claimed."""
    return check.name.startswith("key_destroyed.") and "uploads were open" in check.why


def cancelled(company: Everything, *subjects: str) -> tuple[Step, Plan, proofs.Values, list[str]]:
    """The whole way of some people; everybody else is the same, byte for byte, afterwards."""
    it = step(*subjects)
    wrong: list[str] = []
    rooms = stores(CATALOGUE, company)
    for store in rooms:
        store.open(it)
        store.survey(it)
        store.restrict(it)
    wrong += bad(proofs.restricted(CATALOGUE, company, it))
    provided = planner.provide(
        CATALOGUE, Ground.CANCELLATION, TODAY, case_no=it.case_no, tokens=tuple("t" * len(subjects))
    )
    located, lines = [], []
    for store in rooms:
        store.settle(it)
        located += store.survey(it).located
        lines += store.weigh(it, provided.provisions)
    plan = planner.plan(it, located, lines, CATALOGUE.digest, "test")
    values = proofs.collect_values(CATALOGUE, company, it)
    kept = proofs.Ciphertexts()
    wrong += bad(proofs.baseline(CATALOGUE, company, it, plan, kept))
    before = proofs.picture(CATALOGUE, company, it, plan)
    for store in rooms:
        store.dispose(it, plan)
    wrong += bad(proofs.gone(CATALOGUE, company, it, plan))
    wrong += bad(proofs.objects_gone(CATALOGUE, company, it, plan, kept))
    wrong += bad(proofs.touched(CATALOGUE, company, it, plan))
    after = proofs.picture(CATALOGUE, company, it, plan, like=before)
    compared = proofs.unchanged(it, plan, before, after)
    assert {e.store for e in compared} == {s.id for s in CATALOGUE.stores}
    wrong += bad(compared)
    return it, plan, values, wrong


def test_people_of_every_kind_are_proved_gone(company: Everything) -> None:
    with psycopg.connect(company.server.conninfo(company.database)) as connection:
        ids = [
            i
            for (i,) in connection.execute(
                "SELECT account_id FROM account.account WHERE cancelled_at IS NULL"
            )
        ]
    dice = random.Random(7)
    every = []
    for subjects in (*([i] for i in dice.sample(sorted(ids), 4)), dice.sample(sorted(ids), 25)):
        it, plan, values, wrong = cancelled(company, *subjects)
        every += wrong
        every += bad(proofs.dragnet(CATALOGUE, company, it, plan, values))
    assert not every, "\n".join(every)
