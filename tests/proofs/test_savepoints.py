"""Where the server keeps the time of each commit, rows of a subtransaction are told from other people's."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from include.model.words import Verdict
from include.sandbox.stack.places import Places
from include.sandbox.stack.postgres import binaries_for
from tests.conftest import PgServer, _postgres
from tests.proofs.test_bystanders import CATCHING, touched
from tests.proofs.test_gone import cancelled, wrong
from tests.stores.postgres.making import Company


@pytest.fixture(scope="module")
def pg_server(session_places: Places) -> Iterator[PgServer]:
    """One that keeps the time of each commit, as few do."""
    for server in _postgres(session_places, "stamps", binaries_for(session_places), 18):
        with psycopg.connect(server.superuser_conninfo, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET track_commit_timestamp = on")
        server.cluster.stop()
        server.cluster.start()
        server.cluster.wait()
        yield server


def test_a_swapped_row_is_seen_though_it_bears_another_id(shop: Company) -> None:
    shop.sql(CATCHING)
    it, plan = cancelled(shop)
    shop.sql("DROP TRIGGER swap ON account.account")
    shop.sql("UPDATE account.account SET name = 'by the company' WHERE id = 'A7'")
    evidence = touched(shop, it, plan)
    assert wrong(evidence) == {"touched.account.account": Verdict.FAILED}
    assert next(c.observed for c in evidence.checks if c.verdict is Verdict.FAILED) == 1
