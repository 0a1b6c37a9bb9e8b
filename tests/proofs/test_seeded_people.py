"""People of the seeded company, cancelled over both stores: every proof passes, nobody is accused wrongly."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from include import proofs
from include.cases import planner
from include.cases.rooms import stores
from include.catalogue import load
from include.model.flow import Evidence, Plan, Step
from include.model.words import Ground, Role, Verdict
from include.sandbox import seed as seeding
from include.stores.postgres import install
from tests.conftest import PgServer, S3Server
from tests.stores.postgres.making import TODAY, step

CATALOGUE = load()
PEOPLE = 400

pytestmark = pytest.mark.slow


class Everything:
    """Connections to one database and one S3 server, whatever the role."""

    def __init__(self, server: PgServer, database: str, s3: S3Server) -> None:
        self.server, self.database, self.objects = server, database, s3

    def postgres(self, connection: str, role: Role) -> str:
        return self.server.conninfo(self.database, role.value)

    def s3(self, connection: str, role: Role) -> Any:
        return self.objects.client()

    def text(self, name: str) -> str:
        raise AssertionError(name)


@pytest.fixture(scope="module")
def company(pg18: PgServer, empty_moto: S3Server) -> Iterator[Everything]:
    database = pg18.fresh_database()
    owner = pg18.conninfo(database)
    seeding.apply_schema(owner)
    seeding.make_buckets(empty_moto.client())
    seeding.seed(owner, empty_moto.client(), people=PEOPLE, seed=1, today=TODAY)
    install(owner, CATALOGUE, "company")
    yield Everything(pg18, database, empty_moto)
    pg18.drop_database(database)


def bad(found: list[Evidence]) -> list[str]:
    """What failed, and what could not be looked at though it must be."""
    return [
        f"{c.name}@{c.copy_kind} R{c.rung} {c.verdict} {c.expected}/{c.observed} {c.why}"
        for e in found
        for c in e.checks
        if c.verdict is Verdict.FAILED
        or (c.verdict is Verdict.UNVERIFIED and not c.name.startswith(("beyond.", "enforced.")))
    ]


def cancelled(company: Everything, *subjects: str) -> tuple[Step, Plan, proofs.Values, list[str]]:
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
    wrong += bad(proofs.baseline(CATALOGUE, company, it, plan))
    for store in rooms:
        store.dispose(it, plan)
    wrong += bad(proofs.gone(CATALOGUE, company, it, plan))
    wrong += bad(proofs.objects_gone(CATALOGUE, company, it, plan))
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
    for subjects in (*([i] for i in dice.sample(sorted(ids), 6)), dice.sample(sorted(ids), 25)):
        it, plan, values, wrong = cancelled(company, *subjects)
        every += wrong
        every += bad(proofs.dragnet(CATALOGUE, company, it, plan, values))
    assert not every, "\n".join(every)
