"""Two authorities stop, and one company takes over from both: each gave its order the same number, its bags the same names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import psycopg
import pytest

from include.cases import book, holds, suppressing, tombstones
from include.cases.keys import FileKeyStore, Purpose
from include.cases.scopes import HoldBasis, Scope
from include.cases.suppressing import Brought, Verdict
from include.handover import adopting
from include.model.errors import Refused
from tests.cases.conftest import build
from tests.cases.test_migrate import CASE
from tests.conftest import PgServer
from tests.handover.both import ORDER, TABLES, Both
from tests.handover.conftest import _empty
from tests.handover.test_tombstones_travel import successor
from tests.stores.postgres.dated import AS_OF

pytestmark = pytest.mark.postgres
__all__ = ["successor"]  # a fixture

OTHER = "The other authority"
GONE = {"The authority": "acct_gone00000001", OTHER: "acct_gone00000002"}


def begun(of: Both, store: str) -> None:
    """Somebody was deleted with it, and a court holds something."""
    of.ours.keys = FileKeyStore(of.home / store, b"o" * 32)
    with psycopg.connect(of.ours.server.conninfo(of.ours.records), autocommit=True) as conn:
        conn.execute(CASE, ("CASE-900001",))
    with of.book() as conn:
        of.ours.keys.make("tombstone", "case book", Purpose.TOMBSTONE)
        tombstones.bury_values(
            conn, of.ours.keys, "CASE-900001", [GONE[of.sender]], date(2026, 6, 1), "account_id"
        )
    with of.book() as conn, book.deed(conn, "hold"):
        holds.open_hold(
            conn, basis=HoldBasis.COURT, document_no=f"7 {store}", issuing_body="court", law="law",
            scope=Scope(datasets=frozenset({"ra.application"})), as_of=AS_OF, actor="legal/a",
        )  # fmt: skip


@pytest.fixture
def buried(both: Both) -> Both:
    """The first of them; the successor of both has a key store."""
    both.datasets = (TABLES[1],)
    both.theirs.keys = FileKeyStore(both.home / "their-keys", b"t" * 32)
    begun(both, "first")
    return both


@pytest.fixture
def other(buried: Both, pg18: PgServer) -> Iterator[Both]:
    """The second, with a case book and a signer of its own; what it hands over lies in another table."""
    records = pg18.fresh_database("other_case_book", build)
    home = buried.home / "other"
    home.mkdir()
    it = replace(
        buried, ours=replace(buried.ours, records=records), home=home, datasets=(TABLES[3],), sender=OTHER, ledger=[],
    )  # fmt: skip
    begun(it, "second")
    yield it
    pg18.drop_database(records)


def test_neither_is_taken_for_the_other(buried: Both, other: Both, successor: Any) -> None:
    assert not buried.pack().left and not other.pack().left
    buried.send()
    with pytest.raises(Refused, match="a bag of The authority lies there under the same number"):
        other.send()
    assert not buried.receive().refused, "nothing of the first was lost"
    other.bucket = "inbox-of-the-other"
    _empty(other.theirs.objects, other.bucket)
    other.send()
    got = other.receive()
    assert not got.refused and all(r.differences.none for r in got.receipts), got.refused
    assert all(r.differences.none for r in buried.receive().receipts), "each is whole still"

    with pytest.raises(
        Refused, match="2 authorities handed over under this number: The authority; The other authority"
    ):
        adopting.adopt(successor, buried.custody, ORDER, as_of=AS_OF)
    for sender in GONE:
        assert adopting.adopt(successor, buried.custody, ORDER, as_of=AS_OF, sender=sender) == (1, 1)
        (new,) = adopting.adopt_holds(
            successor, buried.custody, ORDER, actor="legal/b", sender=sender
        ).values()
        with successor.book() as conn:
            assert holds.order(conn, new).scope.came == {f"{sender}/{ORDER}/HOLD-000001"}
    rows = [Brought(1, GONE["The authority"]), Brought(2, GONE[OTHER]), Brought(3, "acct_new000000001")]
    with successor.book() as conn:
        found = list(suppressing.check(conn, successor.keys, rows, adopted_too=True))
    assert [j.verdict for j in found] == [Verdict.HOLD_BACK, Verdict.HOLD_BACK, Verdict.LET_IN]
    assert [j.case_no for j in found[:2]] == [f"{s}/{ORDER} CASE-900001" for s in GONE]
