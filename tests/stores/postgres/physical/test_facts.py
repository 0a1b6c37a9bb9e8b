"""Who keeps the dead alive is found, named and told apart; against real servers, and by properties."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.stores.postgres.physical import facts
from include.stores.postgres.physical.facts import Facts, Holder, Slot, Standing, mvcc_dead, wal_gone, widened
from tests.stores.postgres.making import Company

XIDS = st.integers(3, 1 << 40)
MB = 1 << 20


def seen(**changes: object) -> Facts:
    base = {
        "system": 7,
        "timeline": 1,
        "counter": 1,
        "insert": 1 << 40,
        "moment": datetime(2026, 11, 28, tzinfo=UTC),
        "next_xid": 1 << 41,
        "oldest_wal": 1 << 30,
    }
    return Facts(**(base | changes))  # type: ignore[arg-type]


# --- what follows -----------------------------------------------------------------------------------


@given(xid=XIDS, xmins=st.lists(XIDS))
def test_a_row_is_dead_when_every_snapshot_is_younger_than_its_deletion(xid: int, xmins: list[int]) -> None:
    here = seen(holders=tuple(Holder("backend", str(n), x) for n, x in enumerate(xmins)))
    said = mvcc_dead(here, xid)
    assert said.gone is all(x > xid for x in xmins)
    assert len(said.why) == sum(x <= xid for x in xmins)


@given(xid=XIDS, user=st.none() | XIDS, catalog=st.none() | XIDS)
def test_a_logical_slot_keeps_rows_of_system_catalogs_alone(
    xid: int, user: int | None, catalog: int | None
) -> None:
    here = seen(holders=(Holder("slot", "s", user, catalog),))
    assert mvcc_dead(here, xid).gone is (user is None or user > xid)
    oldest = min((x for x in (user, catalog) if x is not None), default=xid + 1)
    assert mvcc_dead(here, xid, catalog=True).gone is (oldest > xid)


@given(xid=XIDS, xmins=st.lists(XIDS), more=XIDS)
def test_one_more_holder_never_makes_a_row_deader(xid: int, xmins: list[int], more: int) -> None:
    holders = tuple(Holder("backend", "b", x) for x in xmins)
    fewer, all_ = (
        mvcc_dead(seen(holders=holders), xid),
        mvcc_dead(seen(holders=(*holders, Holder("slot", "s", more))), xid),
    )
    assert fewer.gone or not all_.gone


@given(xid=XIDS, xmins=st.lists(XIDS))
def test_what_is_hidden_is_never_called_dead(xid: int, xmins: list[int]) -> None:
    here = seen(holders=tuple(Holder("backend", "b", x) for x in xmins), hidden_holders="2 are hidden")
    assert mvcc_dead(here, xid).gone is (False if any(x <= xid for x in xmins) else None)
    assert wal_gone(seen(oldest_wal=None, hidden_wal="hidden"), 1) == Standing(None, ("hidden",))


@given(
    position=st.integers(0, 1 << 40),
    oldest=st.integers(0, 1 << 40),
    kept=st.lists(st.none() | st.integers(0, 1 << 40)),
)
def test_wal_is_gone_when_it_and_every_slot_begin_after(
    position: int, oldest: int, kept: list[int | None]
) -> None:
    slots = tuple(Slot(f"s{n}", r, False) for n, r in enumerate(kept))
    said = wal_gone(seen(oldest_wal=oldest, slots=slots), position)
    late = [r for r in kept if r is not None and r < position]
    assert said.gone is (oldest >= position and not late)
    assert len(said.why) == len(late) + (oldest < position)


@given(past=st.integers(-(1 << 30), (1 << 31) - 1), next_xid=st.integers(1 << 32, 1 << 60))
def test_short_transaction_ids_are_widened_as_the_server_compares_them(past: int, next_xid: int) -> None:
    assert widened((next_xid - past) % (1 << 32), next_xid) == next_xid - past


def test_what_is_not_in_this_servers_past_is_not_known() -> None:
    assert mvcc_dead(seen(next_xid=700), 700).gone is None
    assert wal_gone(seen(insert=700), 701).gone is None


def test_the_reason_says_who_since_when_and_what_to_do() -> None:
    held = seen(next_xid=1000, holders=(Holder("slot", "pg_recv", 733, age=3 * 3600 + 5),))
    assert str(mvcc_dead(held, 800)) == (
        "slot pg_recv holds xmin 733 for 3 h (267 transactions old): drop it or let it catch up"
    )
    kept = seen(oldest_wal=16 * MB, redo=64 * MB, slots=(Slot("pg_recv", 16 * MB, False, 90),))
    assert wal_gone(kept, 48 * MB).why == (
        "slot pg_recv is idle for 90 s and keeps WAL from 0/1000000: drop it or let it catch up",
        "the oldest WAL begins at 0/1000000, before 0/3000000: it goes with later checkpoints",
    )


# --- what is seen -----------------------------------------------------------------------------------


def looked(shop: Company, user: str = "prover") -> Facts:
    with psycopg.connect(shop.conninfo(user), autocommit=True) as connection:
        return facts.look(connection)


@contextmanager
def prepared(shop: Company) -> Iterator[None]:
    with psycopg.connect(shop.conninfo(shop.admin)) as connection:
        connection.execute("UPDATE account.account SET name = name WHERE id = 'A1'")
        connection.execute("PREPARE TRANSACTION 'the gid of somebody'")
    try:
        yield
    finally:
        shop.sql("ROLLBACK PREPARED 'the gid of somebody'")


@contextmanager
def slot(shop: Company) -> Iterator[None]:
    shop.sql("SELECT pg_create_physical_replication_slot('pg_recv', true)")
    try:
        yield
    finally:
        shop.sql("SELECT pg_drop_replication_slot('pg_recv')")


@contextmanager
def snapshot(shop: Company) -> Iterator[None]:
    with psycopg.connect(shop.conninfo(shop.admin)) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT 'a value of somebody' FROM account.account")
        yield
        connection.rollback()


def deleted(shop: Company) -> tuple[int, int]:
    """The transaction that deletes somebody's sessions, and the log's position after it."""
    xid = shop.value("DELETE FROM account.session WHERE id = (SELECT max(id) FROM account.session)"
                     " RETURNING pg_current_xact_id()::text::bigint")  # fmt: skip
    return xid, shop.value("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")


def test_a_quiet_server_keeps_nobody_alive(shop: Company) -> None:
    xid, _ = deleted(shop)
    here = looked(shop)
    assert here.hidden_holders == here.hidden_wal == ""
    assert mvcc_dead(here, xid) == Standing(True)
    assert here.history is not None and here.history.goes_on_from(shop.store().history()) is False
    assert shop.store().history().goes_on_from(here.history)
    assert here.oldest_wal is not None and here.redo is not None
    assert here.oldest_wal <= here.redo <= here.insert


@pytest.mark.parametrize(
    ("who", "said"),
    [(snapshot, "backend "), (prepared, "prepared transaction of ")],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_who_holds_an_old_snapshot_is_named(shop: Company, who, said: str) -> None:
    with who(shop):
        xid, _ = deleted(shop)
        held = mvcc_dead(looked(shop), xid)
        assert held.gone is False
        assert any(why.startswith(said) for why in held.why), held
        assert "somebody" not in str(held), "neither a statement nor what a client calls its transaction"
    assert mvcc_dead(looked(shop), xid) == Standing(True)


def test_a_slot_that_nobody_uses_keeps_wal_and_is_named(shop: Company) -> None:
    with slot(shop):
        _, position = deleted(shop)
        for _ in range(4):
            shop.sql("SELECT pg_switch_wal()")
            shop.sql("CHECKPOINT")
        held = wal_gone(looked(shop), position)
        assert held.gone is False
        assert held.why[0].startswith("slot pg_recv is idle") and "drop it" in held.why[0]
    assert not any("slot" in why for why in wal_gone(looked(shop), position).why)


def test_wal_goes_with_checkpoints_and_recycled_names_are_not_taken_for_old_ones(shop: Company) -> None:
    _, position = deleted(shop)
    assert wal_gone(looked(shop), position).gone is False
    deadline = time.monotonic() + 60
    while wal_gone(here := looked(shop), position).gone is not True:
        assert time.monotonic() < deadline, here
        shop.sql("CREATE TABLE IF NOT EXISTS public.filler (x text)")
        shop.sql("INSERT INTO public.filler SELECT repeat('x', 900) FROM generate_series(1, 2000)")
        shop.sql("SELECT pg_switch_wal()")
        shop.sql("CHECKPOINT")
    assert here.oldest_wal is not None and here.oldest_wal >= position


def test_what_a_managed_server_hides_is_said_and_not_taken_for_nothing(shop: Company) -> None:
    """Without our functions, as a role that may read no statistics: a session could hold anything."""
    shop.sql("DROP FUNCTION quietus.holding_back(), quietus.wal_segments()")
    with snapshot(shop):
        xid, position = deleted(shop)
        here = looked(shop)
    assert "hidden" in here.hidden_holders and "hidden" in here.hidden_wal
    assert mvcc_dead(here, xid).gone is None and "pg_read_all_stats" in str(mvcc_dead(here, xid))
    assert wal_gone(here, position).gone is None and "pg_monitor" in str(wal_gone(here, position))


def test_nothing_of_ours_need_be_installed_for_a_role_that_may_monitor(shop: Company) -> None:
    shop.sql("DROP SCHEMA quietus CASCADE")
    with snapshot(shop):
        xid, _ = deleted(shop)
        here = looked(shop, user=shop.admin)
    assert here.counter is None and here.hidden_holders == here.hidden_wal == ""
    assert mvcc_dead(here, xid).gone is False
