"""A night costs what is due, not what is there: at a twentieth of the bench's size, by the pages that the server touches.

The bench tells seconds (``bench/night.py``); what a night reads does not depend on what else the machine does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import psycopg
import pytest

from bench import night as bench
from bench.clusters import running
from include.cases.retention.asking import Asking
from include.cases.retention.held import HeldPeople
from include.model.catalogue import Catalogue
from include.sandbox.stack.postgres import Cluster, ensure_our_roles
from include.stores.postgres.clearing import Clearing

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.sessions_end]

ROWS, DUE = 1_000_000, 50_000
T = TypeVar("T")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running(bench.SETTINGS) as cluster:
        ensure_our_roles(cluster)
        yield cluster


def read_whole(company: bench.Company) -> dict[str, int]:
    """How often each of the two tables was read from its beginning to its end."""
    with psycopg.connect(company.cluster.superuser_conninfo(company.database), autocommit=True) as conn:
        found = conn.execute(
            "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE schemaname = 'usage' AND seq_scan > 0"
        )
        return {str(table): int(n) for table, n in found}


def pages(company: bench.Company, work: Callable[[], T]) -> tuple[T, int]:
    """What the work did, and how often the server touched a page of this database for it, in memory or on disk."""

    def touched() -> int:
        with psycopg.connect(company.cluster.superuser_conninfo(), autocommit=True) as conn:
            row = conn.execute(
                "SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = %s", [company.database]
            ).fetchone()
        assert row is not None
        return int(row[0])

    before = touched()
    done = work()
    return done, touched() - before


def looked_for(catalogue: Catalogue, company: bench.Company) -> int:
    """What finding the same rows touches, by itself: beside the deed, which touches a page several times a row, a table that is
    read whole would not be seen."""
    asking = Asking(catalogue, bench.AS_OF, held=HeldPeople)
    room = Clearing(catalogue, "company", company, asking.looks, asking.fates)  # type: ignore[arg-type]
    survey, touched = pages(company, lambda: room.locate(bench.STEP))
    assert sum(x.items for x in survey.located) == DUE
    return touched


def test_ten_times_the_table_costs_no_more_than_it_does_by_hand(cluster: Cluster) -> None:
    catalogue = bench.policy()
    took: dict[int, tuple[int, int]] = {}
    looks: dict[int, int] = {}
    for rows in (ROWS // 10, ROWS):
        name = f"company_{rows}"
        bench.fill(cluster, catalogue, name, rows, DUE)
        with bench.copied(cluster, name) as company:
            mine, ours = pages(company, lambda company=company: bench.ours(catalogue, company))
            assert read_whole(company) == {}
        with bench.copied(cluster, name) as company:
            batch = mine.rows // mine.pieces
            bare, floor = pages(
                company,
                lambda company=company, batch=batch: bench.floor(company, bench.edge(catalogue), batch),
            )
        with bench.copied(cluster, name) as company:
            looks[rows] = looked_for(catalogue, company)
        assert mine.rows == bare.rows == DUE
        took[rows] = ours, floor
    (small, small_floor), (large, large_floor) = took.values()
    told = f"{small:,} pages of {ROWS // 10:,} rows, {large:,} of {ROWS:,}; by hand {small_floor:,} and {large_floor:,}"
    # The index of ten times as many rows is a level deeper, for whoever deletes by hand as well.
    assert (large / small) / (large_floor / small_floor) <= 1.1, told
    assert large / large_floor <= 1.4, told
    assert looks[ROWS] / looks[ROWS // 10] <= 1.2, f"looking for them alone: {looks}"
