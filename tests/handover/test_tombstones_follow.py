"""Whom the authority deletes after its tombstones were packed: its successor hears of that too, in bags of their own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from include.cases import suppressing, tombstones
from include.cases.keys import Purpose
from include.cases.suppressing import Brought
from include.handover import adopting, register
from include.handover import buried as following
from include.handover.shards import Bounds
from include.model.handover import BagState
from tests.cases.test_migrate import CASE
from tests.handover.both import ORDER, Both
from tests.handover.test_tombstones_travel import BACK, BURIED, IN, LOTS, buried, judged, successor, went
from tests.stores.postgres.dated import AS_OF

pytestmark = pytest.mark.postgres
__all__ = ["buried", "successor"]  # fixtures

LATE = "acct_late00000001"
PASSPORT = "E12345678"
ROWS = [
    Brought(1, LATE),
    Brought(2, "acct_new000000001"),
    Brought(3, "acct_new000000002", {"document": PASSPORT}),
]


def delete(both: Both, case_no: str, account: str, **identifiers: str) -> None:
    with psycopg.connect(both.ours.server.conninfo(both.ours.records), autocommit=True) as conn:
        conn.execute(CASE, (case_no,))
    with both.book() as conn:
        assert both.ours.keys is not None
        tombstones.bury_values(conn, both.ours.keys, case_no, [account], AS_OF, "account_id")
        suppressing.bury(conn, both.ours.keys, case_no, {k: [v] for k, v in identifiers.items()}, AS_OF)


def of(both: Both, part: str = "book.tombstone") -> list[register.Bag]:
    return both.bags(part)


def opened(both: Both) -> dict[str, tuple[int, str]]:
    with both.book() as conn:
        return following.open_(conn, ORDER)


def test_who_is_deleted_after_packing_is_known_to_the_successor_too(buried: Both, successor: Any) -> None:
    went(buried)
    for bag in buried.bags():
        buried.verify(bag.name)
    adopting.adopt(successor, buried.custody, ORDER, as_of=AS_OF)
    assert buried.reconciled() and opened(buried) == {}
    assert buried.pack().made == [], "nothing is new"
    # Under a version of the key that did not go, and by a number as well.
    assert buried.ours.keys is not None
    buried.ours.keys.make("tombstone", "case book", Purpose.TOMBSTONE)
    delete(buried, "CASE-900003", LATE, document=PASSPORT)
    assert opened(buried) == {"book.tombstone": (2, "made since tombstones were packed, and not sent")}
    assert buried.pack().made == ["book.tombstone_key-00002", "book.tombstone-00002"]
    assert {n for n, _ in opened(buried).values()} == {1, 2} and not buried.reconciled()
    buried.send()
    assert judged(successor, ROWS) == [IN] * 3
    assert not buried.receive().refused
    assert adopting.adopt(successor, buried.custody, ORDER, as_of=AS_OF) == (5, 2)
    assert judged(successor, ROWS) == [BACK, IN, BACK]
    for name in ("book.tombstone_key-00002", "book.tombstone-00002"):
        assert buried.verify(name).name == name
    assert opened(buried) == {} and buried.reconciled(), "signed for"
    assert {b.state for b in of(buried)} == {BagState.RECEIVED}
    told = b"".join(p.read_bytes() for p in buried.home.rglob("*.cms")) + str(buried.ledger).encode()
    secret = buried.ours.keys.secret("tombstone.v3", Purpose.TOMBSTONE)
    assert not any(x in told for x in (LATE.encode(), PASSPORT.encode(), secret, secret.hex().encode()))
    # And another one, under a key that went: a bag of tombstones alone.
    delete(buried, "CASE-900004", "acct_late00000002")
    assert buried.pack().made == ["book.tombstone-00003"] and of(buried)[-1].items == 1
    assert buried.pack().made == [], "once"


def test_one_whose_last_day_was_set_or_that_is_over_is_not_sent_anew(buried: Both) -> None:
    went(buried)
    with psycopg.connect(buried.ours.server.conninfo(buried.ours.records), autocommit=True) as conn:
        conn.execute("UPDATE casebook.tombstone SET expires_on = %s", [AS_OF + timedelta(days=900)])
        conn.execute("DELETE FROM casebook.tombstone WHERE case_no = 'CASE-900001'")
    assert buried.pack().made == []


def test_a_second_case_of_the_same_person_goes_too_wherever_a_page_ends(
    buried: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.handover.book.PAGE", 1)
    delete(buried, "CASE-900003", "acct_gone00000002")
    went(buried)
    with buried.book() as conn:
        (row,) = conn.execute("SELECT count(*) AS n FROM casebook.tombstone").fetchall()
    assert row["n"] == 4 == sum(b.items for b in of(buried))


@pytest.mark.parametrize("point", ["handover.sealed", "handover.packed", "handover.signed"])
def test_killed_anywhere_each_follows_once_in_bags_of_bounded_size(buried: Both, point: str) -> None:
    went(buried)
    with psycopg.connect(buried.ours.server.conninfo(buried.ours.records), autocommit=True) as conn:
        conn.execute(LOTS, (BURIED, 300))
    buried.bounds = Bounds(bytes=9_000, rows=20, keys=7)
    buried.killed_at(point, lambda b: b.pack(), time=2)
    went(buried)
    bags = of(buried)[1:]
    assert len(bags) > 3 and sum(b.items for b in bags) == 300
    (there,) = buried.sql(
        buried.theirs,
        "SELECT count(DISTINCT body), count(*) FROM quietus_handover.item WHERE dataset = 'book.tombstone'",
    )
    assert there == (303, 303)
