"""Whom the authority deleted its successor holds back, too: tombstones go with their keys, and end when they would have."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from include.cases import adopted, book, suppressing, tombstones
from include.cases.keys import FileKeyStore, Purpose
from include.cases.suppressing import Brought, Verdict
from include.cases.yearly.ended import Periods
from include.handover import adopting, fetching, storing, tombstone_keys
from include.handover.keyed import PAYLOAD
from include.handover.recounting import count_again
from include.handover.shards import Bounds
from include.model.errors import LedgerError, Refused
from include.model.words import Role
from tests.cases.conftest import build
from tests.cases.test_migrate import CASE
from tests.conftest import PgServer
from tests.handover.both import HELD_AS, ORDER, TABLES, Both
from tests.stores.postgres.dated import AS_OF, CATALOGUE

BAG = "book.tombstone_key-00001"
KEY = tombstone_keys.name_of(HELD_AS, 1).removesuffix("-1")
GONE = ("acct_gone00000001", "acct_gone00000002")
BURIED = date(2026, 6, 1)
DAY = timedelta(days=1)


@pytest.fixture
def buried(both: Both) -> Both:
    """Two people were deleted, under two versions of the key, and one of them by the document number as well."""
    both.datasets = (TABLES[1],)
    both.ours.keys = FileKeyStore(both.home / "our-keys", b"o" * 32)
    both.theirs.keys = FileKeyStore(both.home / "their-keys", b"t" * 32)
    both.theirs.keys.make(
        "tombstone", "case book", Purpose.TOMBSTONE
    )  # the successor has tombstones of its own
    with psycopg.connect(both.ours.server.conninfo(both.ours.records), autocommit=True) as conn:
        for number in ("CASE-900001", "CASE-900002"):
            conn.execute(CASE, (number,))
    with both.book() as conn:
        tombstones.bury_values(conn, both.ours.keys, "CASE-900001", [GONE[0]], BURIED, "account_id")
        both.ours.keys.make("tombstone", "case book", Purpose.TOMBSTONE)
        tombstones.bury_values(conn, both.ours.keys, "CASE-900002", [GONE[1]], BURIED, "account_id")
        suppressing.bury(
            conn, both.ours.keys, "CASE-900002", {"document": ["11010519491231002X"]}, BURIED + 9 * DAY
        )
    return both


@pytest.fixture
def successor(buried: Both, pg18: PgServer) -> Iterator[Any]:
    """The successor's desk, over a case book of its own in which nobody was buried."""
    name = pg18.fresh_database("their_case_book", build)
    buried.theirs.records = name
    yield SimpleNamespace(
        catalogue=CATALOGUE, connections=SimpleNamespace(text=lambda asked: {"sandbox": "yes"}[asked]),
        book=lambda: book.connect(pg18.conninfo(name, Role.CASE_WRITER.value)), keys=buried.theirs.keys,
    )  # fmt: skip
    pg18.drop_database(name)


def went(both: Both) -> None:
    assert not both.pack().left
    both.send()
    got = both.receive()
    assert not got.refused, got.refused
    assert all(r.differences.none for r in got.receipts)


def judged(successor: Any, rows: list[Brought]) -> list[Verdict]:
    with successor.book() as conn:
        return [j.verdict for j in suppressing.check(conn, successor.keys, rows, adopted_too=True)]


ROWS = [
    Brought(1, GONE[0]), Brought(2, GONE[1]), Brought(3, "acct_new000000001"),
    Brought(4, "acct_new000000002", {"document": "110105 19491231 002x"}),
    Brought(5, "acct_new000000003", {"document": "110105199003078888"}),
]  # fmt: skip
BACK, IN = Verdict.HOLD_BACK, Verdict.LET_IN


def test_a_person_whose_tombstone_came_is_recognised_by_the_successor(buried: Both, successor: Any) -> None:
    with pytest.raises(Refused, match="nothing of it is stored here"):
        adopting.adopt(successor, buried.custody, ORDER, as_of=AS_OF)
    went(buried)
    assert judged(successor, ROWS) == [IN] * 5, "nobody is, before they are adopted"
    assert adopting.adopt(successor, buried.custody, ORDER, as_of=AS_OF) == (3, 3)
    assert adopting.adopt(successor, buried.custody, ORDER, as_of=AS_OF) == (3, 0)
    assert judged(successor, ROWS) == [BACK, BACK, IN, BACK, IN]
    with successor.book() as conn:
        (first,) = suppressing.check(conn, successor.keys, ROWS[:1], adopted_too=True)
        assert first.case_no == f"{HELD_AS} CASE-900001"
        assert [j.verdict for j in suppressing.check(conn, successor.keys, ROWS)] == [IN] * 5, (
            "no case of its own"
        )
    # Their wrapping is its own; and its own key is not touched.
    files = {p.name for p in (buried.home / "their-keys").glob("*.key")}
    assert files == {"tombstone.v1.key", f"{KEY}-1.v1.key", f"{KEY}-2.v1.key"}
    secrets = [buried.ours.keys.secret(f"tombstone.v{n}", Purpose.TOMBSTONE) for n in (1, 2)]  # type: ignore[union-attr]
    told = b"".join(p.read_bytes() for p in buried.home.rglob("*") if p.is_file())
    told += str(buried.ledger).encode() + buried.receipt(BAG)
    assert not any(s in told or s.hex().encode() in told for s in secrets)


def test_they_end_when_they_would_have_and_then_their_keys_do(buried: Both, successor: Any) -> None:
    went(buried)
    adopting.adopt(successor, buried.custody, ORDER, as_of=AS_OF)
    last = Periods.of(CATALOGUE, successor.connections).last_day(BURIED, None)
    said: list[str] = []
    with successor.book() as conn:
        assert adopted.expire(conn, last) == 0 and adopted.unneeded(conn, successor.keys) == ()
        assert adopted.expire(conn, last + DAY) == 2, "by the day they were made, never by the day they came"
        gone = adopted.end_keys(conn, successor.keys, last + DAY, lambda d: said.append(d.id))
        assert gone == (f"{KEY}-1.v1",) == tuple(said)
        assert adopted.end_keys(conn, successor.keys, last + DAY, lambda d: said.append(d.id)) == ()
        assert adopted.expire(conn, last + 10 * DAY) == 1
        assert adopted.end_keys(conn, successor.keys, last + 10 * DAY, lambda d: said.append(d.id))
    assert len(said) == 2 and successor.keys.versions("tombstone"), "its own lives"
    with pytest.raises(Refused, match="not in our key store"):
        adopting.adopt(successor, buried.custody, ORDER, as_of=AS_OF)
    with pytest.raises(Refused, match="destroyed"):
        successor.keys.keep(f"{KEY}-1", "x", Purpose.TOMBSTONE, b"x" * 32)


def test_what_ended_before_it_came_is_not_taken(buried: Both, successor: Any) -> None:
    with psycopg.connect(buried.ours.server.conninfo(buried.ours.records), autocommit=True) as conn:
        conn.execute(
            "UPDATE casebook.tombstone SET expires_on = %s WHERE case_no = 'CASE-900001'", [AS_OF - DAY]
        )
    went(buried)
    assert adopting.adopt(successor, buried.custody, ORDER, as_of=AS_OF) == (3, 2)
    assert judged(successor, ROWS) == [IN, BACK, IN, BACK, IN]


def test_keys_of_tombstones_that_were_tampered_with_killed_or_lost(buried: Both, successor: Any) -> None:
    buried.pack()
    buried.send()
    with fetching.opened(buried.inbox, ORDER, BAG) as arrived:
        file = arrived.path / "data" / PAYLOAD
        whole = file.read_bytes()
        for wrong in (whole[:-1] + bytes([whole[-1] ^ 1]), whole[60:] + whole[:60]):
            file.write_bytes(wrong)
            with pytest.raises(LedgerError, match="does not open, or is another"):
                storing.store(buried.custody, arrived)
        assert len(list((buried.home / "their-keys").glob(f"{KEY}-*.key"))) <= 1, "only what was whole"
    assert not buried.sql(buried.theirs, f"SELECT FROM quietus_handover.bag WHERE bag = '{BAG}'")
    buried.killed_at("handover.keys_kept", lambda b: b.receive(), time=4)
    got = buried.receive()
    assert not got.refused and all(r.differences.none for r in got.receipts)
    # A key that is lost, or another, is a difference of the receipt.
    (buried.home / f"their-keys/{KEY}-1.v1.key").unlink()
    (of,) = [r for r in buried.receive().receipts if r.bag == BAG]
    assert (len(of.differences.missing), of.items) == (1, 1)
    successor.keys.keep(f"{KEY}-1", "somebody", Purpose.TOMBSTONE, b"x" * 32)
    (of,) = [r for r in buried.receive().receipts if r.bag == BAG]
    assert len(of.differences.changed) == 1


def test_without_a_key_store_or_a_version_its_own_bag_waits_and_no_other(buried: Both) -> None:
    ours, buried.ours.keys = buried.ours.keys, None
    assert list(buried.pack().left) == ["book.tombstone_key"]
    assert ours is not None
    buried.ours.keys = FileKeyStore(buried.home / "another", b"o" * 32)
    assert "is not in the key store" in buried.pack().left["book.tombstone_key"]
    assert not buried.reconciled()
    buried.ours.keys = ours
    assert buried.pack().made == [BAG]
    buried.send()
    theirs, buried.theirs.keys = buried.theirs.keys, None
    assert "no key store" in buried.receive().refused[BAG]
    buried.theirs.keys = theirs
    assert not buried.receive().refused


MANY = 50_000
LOTS = """
INSERT INTO casebook.tombstone (kind, token, token_version, case_no, made_on)
SELECT 'document', sha256(convert_to(i::text, 'UTF8')), 1, 'CASE-900001', %s FROM generate_series(1, %s) AS i"""


def peak(work: Callable[[], object]) -> int:
    """Bytes of Python's own memory that some work takes at most."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_many_tombstones_are_bags_of_bounded_size_in_flat_memory(buried: Both, successor: Any) -> None:
    with psycopg.connect(buried.ours.server.conninfo(buried.ours.records), autocommit=True) as conn:
        conn.execute(LOTS, (BURIED, MANY))
    buried.bounds = Bounds(bytes=1 << 20, rows=2_000, keys=500)
    assert peak(buried.pack) < 16 << 20
    went(buried)
    bags = buried.bags("book.tombstone")
    assert len(bags) > 5 and sum(b.items for b in bags) == MANY + 3
    assert [b.last for b in bags] == [False] * (len(bags) - 1) + [True]
    assert max(b.statement.bytes for b in bags) < 2 << 20, "a bag and a piece"
    for bag in bags:
        buried.verify(bag.name)
    assert peak(lambda: count_again(buried.custody, bags[0].statement, bags[0].payload)[0]) < 4 << 20
    assert adopting.adopt(successor, buried.custody, ORDER, as_of=AS_OF) == (MANY + 3, MANY + 3)


def test_killed_between_two_bags_of_tombstones_packing_goes_on_after_the_first(buried: Both) -> None:
    with psycopg.connect(buried.ours.server.conninfo(buried.ours.records), autocommit=True) as conn:
        conn.execute(LOTS, (BURIED, 300))
    buried.bounds = Bounds(bytes=9_000, rows=20, keys=7)
    buried.consigned()
    before = len(buried.consignment.datasets)

    def killed(both: Both) -> None:
        both.pack()

    buried.killed_at("handover.packed", killed, time=before + 3)
    some = buried.bags("book.tombstone")
    assert len(some) > 0 and not some[-1].last
    went(buried)
    bags = buried.bags("book.tombstone")
    assert [b.name for b in bags[: len(some)]] == [b.name for b in some]
    assert sum(b.items for b in bags) == 303 and bags[-1].last
