"""A night under a period that was made longer takes what was promised to whoever did not accept more, and no other row."""

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
from include.model.interval import Standing
from include.model.words import DatasetKind, Verdict
from include.proofs import limits
from include.stores.postgres.clearing import Clearing
from tests.conftest import PgServer
from tests.stores.postgres.clearing.test_night import STEP, furnished
from tests.stores.postgres.dated import AS_OF, One, Oracle
from tests.stores.postgres.test_versions import NEW, longer

CATALOGUE = longer("RS-12/cap", "RS-13/unused", "RS-16/main")
BOUND = ("usage.access_log", "usage.partner_log", "usage.device", "support.ticket")


@pytest.fixture
def estate(pg18: PgServer) -> Iterator[One]:
    for one in furnished(pg18):
        with psycopg.connect(pg18.conninfo(one.name)) as conn:
            conn.execute(
                "UPDATE account.account SET policy_version = %s WHERE account_id IN (SELECT account_id FROM"
                " (SELECT account_id, row_number() OVER (ORDER BY account_id) AS n FROM account.account) AS x WHERE n %% 2 = 0)",
                [NEW],
            )
        yield one


def test_a_night_takes_what_each_owner_was_promised_and_nothing_else(estate: One) -> None:
    due, rest = _due_and_not(estate)
    asking = Asking(CATALOGUE, AS_OF, HeldPeople)
    clearing = Clearing(CATALOGUE, "company", estate, asking.looks, asking.fates)  # type: ignore[arg-type]
    survey = clearing.locate(STEP)
    plan = planner.plan(STEP, survey.located, clearing.lines(STEP), CATALOGUE.digest, "test")
    assert {x.dataset: x.items for x in plan.located if x.items} == {d: len(k) for d, k in due.items() if k}
    clearing.dispose(STEP, plan)
    assert clearing.left == {}
    left, now = _due_and_not(estate)
    for d in BOUND:
        assert now[d] == rest[d] and not left[d], d
    accepted = {r["account_id"] for r in rest["account.account"].values() if r["policy_version"] == NEW}
    kept = Counter(r["account_id"] in accepted for r in rest["usage.access_log"].values())
    assert due["usage.access_log"] and kept[True] > kept[False], "of people who accepted two years"
    settled = planner.plan(
        STEP, clearing.settled(STEP).located, clearing.lines(STEP), CATALOGUE.digest, "test"
    )
    found = limits.gone(CATALOGUE, estate, STEP, settled)  # type: ignore[arg-type]
    assert {c.verdict for e in found for c in e.checks if not c.name.startswith("beyond.")} == {
        Verdict.PASSED
    }
    rows = {r.dataset: r.due for r in table(see(CATALOGUE, estate, AS_OF))}  # type: ignore[arg-type]
    assert not rows.keys() & set(BOUND)


def _due_and_not(estate: One) -> tuple[dict[str, set[Any]], dict[str, dict[Any, Any]]]:
    with psycopg.connect(estate.server.conninfo(estate.name)) as conn:
        oracle = Oracle(conn, CATALOGUE)
    due: dict[str, set[Any]] = {}
    rest: dict[str, dict[Any, Any]] = {}
    for d in CATALOGUE.of_store("company", DatasetKind.TABLE):
        due[d.id], rest[d.id] = set(), {}
        for row in oracle.rows[d.id]:
            key = tuple(row[k] for k in d.key)
            if oracle.standing(d, row)[1] is Standing.DUE and not oracle.bare(d, row):
                due[d.id].add(key)
            else:
                rest[d.id][key] = row
    return due, rest
