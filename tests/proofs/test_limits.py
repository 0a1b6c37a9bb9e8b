"""Proofs of a night of retention limits: what it says is borne out, and what is planted beside it is seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

from include.cases import planner
from include.cases.retention.due import see, table
from include.model.flow import Evidence, Plan
from include.model.words import Verdict
from include.proofs import limits
from include.proofs.bystanders import touched
from include.stores.postgres.clearing import Clearing
from tests.conftest import PgServer
from tests.proofs.controls import control
from tests.stores.postgres.clearing.test_night import STEP, furnished, night, plan_of
from tests.stores.postgres.dated import AS_OF, CATALOGUE, One


@dataclass
class Night:
    """A night that was carried out, and what it left."""

    one: One
    clearing: Clearing
    plan: Plan

    def sql(self, statement: str) -> None:
        with psycopg.connect(self.one.server.conninfo(self.one.name), autocommit=True) as conn:
            conn.execute(statement.encode())

    def due(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for row in table(see(CATALOGUE, self.one, AS_OF)):  # type: ignore[arg-type]
            found[row.dataset] = found.get(row.dataset, 0) + row.due
        return found

    def left(self) -> Evidence:
        (said,) = limits.left(CATALOGUE, STEP, self.plan, self.due(), {}, {})
        return said

    def gone(self) -> Evidence:
        (said,) = limits.gone(CATALOGUE, self.one, STEP, self.plan)  # type: ignore[arg-type]
        return said


@pytest.fixture
def estate(pg18: PgServer) -> Iterator[One]:
    yield from furnished(pg18)


@pytest.fixture
def done(estate: One) -> Night:
    clearing = night(estate)
    plan = plan_of(clearing)
    clearing.dispose(STEP, plan)
    settled = [x for x in clearing.settled(STEP).located if x.items]
    return Night(
        estate, clearing, planner.plan(STEP, settled, clearing.lines(STEP), CATALOGUE.digest, "test")
    )


def failed(evidence: Evidence) -> set[str]:
    return {c.name for c in evidence.checks if c.verdict is Verdict.FAILED}


def test_what_a_night_says_is_borne_out(done: Night) -> None:
    assert failed(done.left()) == failed(done.gone()) == set()
    assert {c.name for c in done.gone().checks} >= {"gone.account.login_code", "cut.cert.certificate"}
    (nobody_else,) = touched(CATALOGUE, done.one, STEP, done.plan)  # type: ignore[arg-type]
    assert failed(nobody_else) == set()
    assert all(
        c.verdict is not Verdict.UNVERIFIED for c in nobody_else.checks if c.name.startswith("touched.")
    )


@control("due", "due", "postgres")
def test_what_is_due_after_the_night_and_nobody_owned_up_to_is_seen(done: Night) -> None:
    done.sql(
        "INSERT INTO usage.location (account_id, longitude, latitude, grant_no, taken_at)"
        " SELECT account_id, 1, 1, 1, '2026-01-01' FROM account.account ORDER BY 1 LIMIT 1"
    )
    assert failed(done.left()) == {"due.usage.location"}
    (said,) = limits.left(CATALOGUE, STEP, done.plan, {}, {}, {"usage.location": "it could not be asked"})
    assert [c.name for c in said.checks if c.verdict is Verdict.UNVERIFIED] == ["due.usage.location"]


def test_a_cut_that_was_undone_is_seen(done: Night) -> None:
    done.sql(
        f'UPDATE cert.certificate AS c SET subject_dn = \'CN=x\' FROM "q_{STEP.id}"."cert.certificate" AS k'
        " WHERE k.serial = c.serial"
    )
    assert failed(done.gone()) == {"cut.cert.certificate"}


def test_a_located_row_that_vanished_before_the_deed_is_seen(estate: One) -> None:
    plan = plan_of(night(estate))
    due = {x.dataset: x.items for x in plan.located}
    (before,) = limits.baseline(CATALOGUE, estate, STEP, plan, due)  # type: ignore[arg-type]
    assert failed(before) == set()
    with psycopg.connect(estate.server.conninfo(estate.name), autocommit=True) as conn:
        keys = f'SELECT min(login_code_id) FROM "q_{STEP.id}"."account.login_code"'
        conn.execute(f"DELETE FROM account.login_code WHERE login_code_id = ({keys})".encode())
    (after,) = limits.baseline(
        CATALOGUE,
        estate,
        STEP,
        plan,
        due | {"account.login_code": due["account.login_code"] - 1},  # type: ignore[arg-type]
    )
    assert failed(after) == {"there.account.login_code", "seen.account.login_code"}
