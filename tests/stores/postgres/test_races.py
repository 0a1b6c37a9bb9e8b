"""Others at work while a case is: what may still come late is waited for, what came is seen, attempts are noted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import errors as pg

from include.model.errors import Drifted, NotReachable
from include.model.flow import Plan, Step
from include.model.words import Disposition
from tests.conftest import PgServer
from tests.stores.postgres.making import Company, shop_provisions, step

SESSION = "INSERT INTO account.session VALUES (%s, 'A2', 'late')"


@contextmanager
def open_transaction(shop: Company, level: psycopg.IsolationLevel, *statements: str) -> Iterator[Any]:
    """A transaction of the company's application in which these were run; left open."""
    with psycopg.connect(shop.conninfo("shop_app"), application_name="shop till 3") as connection:
        connection.isolation_level = level
        for statement in statements:
            connection.execute(statement)  # type: ignore[arg-type]
        yield connection
        connection.rollback()


def restricted(shop: Company, it: Step) -> None:
    store = shop.store()
    store.open(it)
    store.restrict(it)


# --- settling ---------------------------------------------------------------------------------------

RC, RR = psycopg.IsolationLevel.READ_COMMITTED, psycopg.IsolationLevel.REPEATABLE_READ


def test_a_transaction_that_wrote_before_the_restriction_is_waited_for(shop: Company) -> None:
    it = step("A2")
    with open_transaction(shop, RC, SESSION % 777) as connection:
        restricted(shop, it)
        with pytest.raises(NotReachable) as told:
            shop.store().settle(it)
        pid = connection.info.backend_pid
        assert f"pid {pid} (shop till 3, idle in transaction)" in told.value.what
        assert str(pid) in (told.value.next_step or "")
        assert "INSERT" not in str(told.value) and "late" not in str(told.value)
        connection.commit()
    shop.store().settle(it)
    plan, _ = shop.prepare(it, shop_provisions())
    assert sum(x.items for x in plan.located if x.dataset == "account.session") == 4  # the late one too


def test_a_prepared_transaction_is_waited_for(shop: Company) -> None:
    it = step("A2")
    with psycopg.connect(shop.conninfo("shop_app"), autocommit=True) as connection:
        connection.execute("BEGIN")
        connection.execute(SESSION % 778)
        connection.execute(f"PREPARE TRANSACTION '{it.id}'")
    restricted(shop, it)
    try:
        with pytest.raises(NotReachable, match="a prepared transaction") as told:
            shop.store().settle(it)
        assert "COMMIT PREPARED" in (told.value.next_step or "")
    finally:
        shop.sql(f"ROLLBACK PREPARED '{it.id}'", user="shop_app")
    shop.store().settle(it)


@pytest.mark.parametrize("level", [RC, RR])
def test_who_has_only_read_is_in_nobodys_way_and_cannot_write_for_the_person_later(
    shop: Company, level: psycopg.IsolationLevel
) -> None:
    """A dump that runs for hours must not stop every case; yet its snapshot knows of no restriction."""
    it = step("A2")
    with open_transaction(shop, level, "SELECT count(*) FROM account.session") as connection:
        restricted(shop, it)
        shop.store().settle(it)
        refusal = pg.SerializationFailure if level is RR else pg.InsufficientPrivilege
        with pytest.raises(refusal):
            connection.execute(SESSION % 779)
    assert shop.value("SELECT count(*) FROM account.session WHERE id = 779") == 0


def test_a_snapshot_that_knows_of_the_restriction_writes_for_others_as_ever(shop: Company) -> None:
    restricted(shop, step("A2"))
    with open_transaction(shop, RR, "SELECT 1") as connection:
        connection.execute("INSERT INTO account.session VALUES (780, 'A3', 'x')")
        connection.commit()


def test_a_number_that_came_with_a_dump_of_another_cluster_stops_nobody(shop: Company) -> None:
    shop.sql("SELECT setval('quietus.last_restriction', 1::bigint << 40)")
    with open_transaction(shop, RR, "INSERT INTO account.session VALUES (781, 'A3', 'x')") as connection:
        connection.commit()
    it = step("A2")
    with open_transaction(shop, RR, "SELECT count(*) FROM account.session") as connection:
        restricted(shop, it)  # and the next restriction puts it right
        with pytest.raises(pg.SerializationFailure):
            connection.execute(SESSION % 782)


# --- between plan and deed ---------------------------------------------------------------------------


def test_a_row_written_between_plan_and_deed_is_a_drift(shop: Company) -> None:
    it = step("A2", restricting=False)  # nobody is restricted, so the company goes on
    store = shop.store()
    store.open(it)
    store.restrict(it)
    store.settle(it)
    plan, _ = shop.prepare(it, shop_provisions(), store)
    shop.sql(SESSION, 783, user="shop_app")
    before = shop.digest("account.session"), shop.digest("account.account")
    with pytest.raises(Drifted, match=r"account\.session: 3 planned, 4 there now"):
        store.dispose(it, plan)
    assert (shop.digest("account.session"), shop.digest("account.account")) == before
    plan, _ = shop.prepare(it, shop_provisions(), store)
    store.dispose(it, plan)
    assert shop.value("SELECT count(*) FROM account.session WHERE account_id = 'A2'") == 0


def test_a_row_changed_during_the_deed_is_tried_again_and_never_deleted_unseen(shop: Company) -> None:
    """Between our snapshot and our delete somebody gives the row to another person."""
    it = step("A2", restricting=False)
    tries: list[str] = []

    def at(point: str) -> None:
        if point == "dispose.weighed":
            tries.append(point)
            if len(tries) == 1:
                shop.sql("UPDATE account.session SET account_id = 'A3' WHERE id = 21", user="shop_app")

    store = shop.store(at=at)
    store.open(it)
    store.restrict(it)
    plan, _ = shop.prepare(it, shop_provisions(), store)
    with pytest.raises(Drifted, match=r"account\.session: 3 planned, 2 there now"):
        store.dispose(it, plan)
    assert shop.sql("SELECT account_id FROM account.session WHERE id = 21") == [("A3",)]


def test_the_cases_of_two_owners_at_once_come_one_after_the_other(shop: Company) -> None:
    """Contract 1 is of A1 and A2. Whoever comes second sees that the first has left, and takes it along."""
    first, second = step("A1"), step("A2")
    inside, go_on = threading.Event(), threading.Event()
    order: list[str] = []

    def at_first(point: str) -> None:
        if point == "dispose.weighed":
            inside.set()
            assert go_on.wait(10)
        order.append(f"first {point}")

    def at_second(point: str) -> None:
        order.append(f"second {point}")

    def planned(it: Step) -> Plan:
        store = shop.store()
        store.open(it)
        store.restrict(it)
        return shop.prepare(it, shop_provisions(), store)[0]

    plans = planned(first), planned(second)
    with ThreadPoolExecutor(2) as pool:
        a = pool.submit(shop.store(at=at_first).dispose, first, plans[0])
        assert inside.wait(10)
        order.clear()
        b = pool.submit(shop.store(at=at_second).dispose, second, plans[1])
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        for _ in range(100):
            if shop.value(waiting):
                break
            threading.Event().wait(0.02)
        assert shop.value(waiting) == 1
        assert order == []
        go_on.set()
        a.result(timeout=30)
        with pytest.raises(Drifted, match=r"sign\.contract"):
            b.result(timeout=30)
    assert order[:3] == ["first dispose.weighed", "first dispose.before_commit", "first dispose.after_commit"]
    assert shop.value("SELECT count(*) FROM sign.contract WHERE id = 1") == 1
    plan, _ = shop.prepare(second, shop_provisions())
    assert {x.disposition for x in plan.lines_of("sign.contract")} == {Disposition.ERASE}
    shop.store().dispose(second, plan)
    assert shop.value("SELECT count(*) FROM sign.contract WHERE id IN (1, 2)") == 0


# --- the attempt is logged ----------------------------------------------------------------------------


def test_an_attempt_to_use_a_restricted_row_is_noted(shop: Company, pg_server: PgServer) -> None:
    it = step("A2")
    restricted(shop, it)
    shop.sql("SELECT * FROM account.session WHERE account_id = 'A2'", user="shop_app")
    denied = shop.sql("SELECT relation, deed, role, case_no FROM quietus.denied")
    assert denied == [("account.session", "use", "shop_app", it.case_no)]  # once a statement, not once a row
    shop.sql("SELECT * FROM account.session WHERE account_id = 'A3'", user="shop_app")
    assert shop.value("SELECT count(*) FROM quietus.denied") == 1

    line = "quietus: shop_app was denied a restricted row of account.session"
    before = pg_server.cluster.process.log.read_text(errors="replace").count(line)
    with psycopg.connect(shop.conninfo("shop_app")) as connection:
        connection.read_only = True
        connection.execute("SELECT * FROM account.session WHERE account_id = 'A2'")
    assert pg_server.cluster.process.log.read_text(errors="replace").count(line) == before + 1


def test_a_refused_write_is_counted_though_it_is_rolled_back(shop: Company, pg_server: PgServer) -> None:
    restricted(shop, step("A2"))

    def refusals() -> dict[str, int]:
        return dict(shop.sql("SELECT relation, attempts FROM quietus.refusals WHERE attempts > 0"))

    assert refusals() == {}
    for n in range(2):
        with pytest.raises(pg.InsufficientPrivilege):
            shop.sql(SESSION, 790 + n, user="shop_app")
    with pytest.raises(pg.InsufficientPrivilege):  # a batch job, or the owner of the tables, as well
        shop.sql(SESSION, 792)
    assert refusals() == {"account.session": 3}
    log = pg_server.cluster.process.log.read_text(errors="replace")
    assert "quietus: a write of shop_app to account.session for a restricted subject was refused" in log
