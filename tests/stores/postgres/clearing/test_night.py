"""A night over the sandbox's own schema: what was due is gone, what is still needed is named, and nothing else was touched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from include.cases import planner
from include.cases.retention.asking import Asking
from include.cases.retention.due import see, table
from include.cases.retention.held import HeldPeople
from include.model.flow import Plan, Step
from include.model.interval import Standing
from include.model.words import DatasetKind
from include.stores.postgres import install
from include.stores.postgres.clearing import Clearing
from tests.conftest import PgServer
from tests.stores.postgres.dated import AS_OF, CATALOGUE, One, Oracle, made

TABLES = CATALOGUE.of_store("company", DatasetKind.TABLE)
STEP = Step(id="case_000900_s1", case_no="CASE-000900", as_of=AS_OF, restricting=False, subjects=())


@pytest.fixture(params=["pg18", "pg15"])
def estate(request: pytest.FixtureRequest) -> Iterator[One]:
    yield from furnished(request.getfixturevalue(request.param))


def furnished(server: PgServer) -> Iterator[One]:
    """The sandbox's company with awkward dates, and Quietus installed in it."""
    for role in CATALOGUE.store("company").business_roles:
        server.add_role(role)
    with server.memberships_apart():
        one = made(server)
        install(server.conninfo(one.name), CATALOGUE, "company")
        with psycopg.connect(server.conninfo(one.name), autocommit=True) as conn:
            conn.execute(f"GRANT CREATE ON DATABASE {one.name} TO eraser".encode())
        yield one
        server.drop_database(one.name)


def night(one: One, **more: Any) -> Clearing:
    asking = Asking(CATALOGUE, AS_OF, held=HeldPeople)
    return Clearing(CATALOGUE, "company", one, asking.looks, asking.fates, **more)  # type: ignore[arg-type]


def plan_of(clearing: Clearing, step: Step = STEP) -> Plan:
    survey = clearing.locate(step)
    return planner.plan(step, survey.located, clearing.lines(step), CATALOGUE.digest, "test")


def due_and_not(conn: psycopg.Connection[Any]) -> tuple[dict[str, set[Any]], dict[str, dict[Any, Any]]]:
    """Row by row: the keys that are due, and all other rows whole."""
    oracle = Oracle(conn)
    due: dict[str, set[Any]] = {}
    rest: dict[str, dict[Any, Any]] = {}
    for d in TABLES:
        due[d.id], rest[d.id] = set(), {}
        for row in oracle.rows[d.id]:
            key = tuple(row[k] for k in d.key)
            if oracle.standing(d, row)[1] is Standing.DUE and not oracle.bare(d, row):
                due[d.id].add(key)
            else:
                rest[d.id][key] = row
    return due, rest


def test_everything_due_goes_and_nothing_else_changes(estate: One) -> None:
    with psycopg.connect(estate.server.conninfo(estate.name)) as conn:
        due, rest = due_and_not(conn)
    clearing = night(estate)
    plan = plan_of(clearing)
    assert {x.dataset: x.items for x in plan.located if x.items} == {d: len(k) for d, k in due.items() if k}
    clearing.dispose(STEP, plan)
    assert clearing.left == {}
    words: dict[str, Counter[str]] = {}
    for receipt in clearing.receipts(STEP):
        for dataset, said in receipt.counts.items():
            words.setdefault(dataset, Counter()).update({k: v for k, v in said.items() if k != "upto"})
    with psycopg.connect(estate.server.conninfo(estate.name)) as conn:
        left, now = due_and_not(conn)
    with psycopg.connect(estate.server.conninfo(estate.name)) as conn:
        oracle = Oracle(conn)
    needed = {d: w["needed"] for d, w in words.items() if w["needed"]}
    # By their keys, whatever the oracle says of their dates by now: a clock may have gone with the row that started it.
    there = {
        d.id: {
            key for row in oracle.rows[d.id]
            if (key := tuple(row[k] for k in d.key)) in due[d.id] and not oracle.bare(d, row)
        }
        for d in TABLES
    }  # fmt: skip
    assert {d: len(k) for d, k in there.items() if k} == needed
    assert not any(w["not_due"] for w in words.values())
    assert {d: len(k) for d, k in left.items() if k} == needed
    derived = {"usage.service_total"}
    for d in TABLES:
        if d.id in derived:
            continue
        for key, row in rest[d.id].items():
            assert now[d.id].get(key, (left[d.id] & {key}) and row) == row, d.id
    located = {x.dataset: x.items for x in clearing.settled(STEP).located if x.items}
    assert located == {
        d: n for d, w in words.items() if (n := w["erased"] + w["deidentified"] + w["unlinked"])
    }
    assert sum(located.values()) > 300
    seen = see(CATALOGUE, estate, AS_OF)  # type: ignore[arg-type]
    assert {r.dataset: r.due for r in table(seen) if r.dataset in due} == needed


def test_what_is_left_of_certificates_goes_by_their_own_dates(estate: One) -> None:
    """Nobody leads to them any more, so no case can; and what nobody cut in time is not cut once its end is over."""
    clearing = night(estate)
    clearing.dispose(STEP, plan_of(clearing))
    with psycopg.connect(estate.server.conninfo(estate.name)) as conn:
        left = {s for (s,) in conn.execute("SELECT serial FROM cert.certificate WHERE serial LIKE 'LEFT-%'")}
        logged = {
            s for (s,) in conn.execute("SELECT serial FROM cert.issuance_log WHERE serial LIKE 'LEFT-%'")
        }
        cut = conn.execute(
            "SELECT count(*) FROM cert.certificate WHERE account_id IS NULL AND serial NOT LIKE 'LEFT-%'"
        ).fetchone()
    assert (left, logged) == ({"LEFT-2"}, set())
    assert cut is not None
    assert cut[0] > 10, "what came due by the law tonight was cut, and is there"
