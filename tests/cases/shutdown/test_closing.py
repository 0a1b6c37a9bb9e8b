"""T0 as the verbs do it: not before its day, killed anywhere without losing a right, proved by another role, withdrawn whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from threading import Thread

import psycopg
import pytest

from include.cases.shutdown import approving, closing, orders
from include.cases.shutdown.dates import FILED, Gate, Path
from include.cases.shutdown.told import Paper, Told
from include.model.errors import NotProved, Refused
from include.model.words import Verdict
from tests.cases.restoring import killed_at
from tests.cases.retention.house import DAY as NOW
from tests.cases.retention.house import House
from tests.cases.shutdown.test_orders import TOLD
from tests.conftest import PgServer

pytestmark = pytest.mark.postgres

PAPER = Paper("T0-1", "e" * 64)
T0 = NOW + timedelta(days=100)
INSERT = "INSERT INTO u.visit VALUES (99, 'acct_000000000001', '2026-11-24', '/')"


@pytest.fixture(autouse=True)
def gatekeeper(pg18: PgServer, house: House) -> Iterator[None]:
    """The tables belong to a role that nobody logs in as, and of which the gatekeeper is a member."""
    pg18.add_role("gatekeeper")
    with psycopg.connect(house.company.conninfo("quietus_admin"), autocommit=True) as conn:
        if not conn.execute("SELECT FROM pg_roles WHERE rolname = 'shop_owner'").rowcount:
            conn.execute("CREATE ROLE shop_owner NOLOGIN")
        conn.execute("ALTER ROLE gatekeeper NOINHERIT; GRANT shop_owner TO gatekeeper")
        for table in ("a.account", "u.visit", "u.click", "s.ticket", "s.note"):
            conn.execute(f"ALTER TABLE {table} OWNER TO shop_owner")  # type: ignore[arg-type]
        conn.execute("GRANT USAGE ON SCHEMA a, u, s TO shop_owner")
    yield


def company(house: House, statement: str, role: str = "quietus_admin") -> list[tuple[object, ...]]:
    with psycopg.connect(house.company.conninfo(role), autocommit=True) as conn:
        cursor = conn.execute(statement)  # type: ignore[arg-type]
        return cursor.fetchall() if cursor.description else []


def opened(house: House, told: Told) -> str:
    """An order that both have approved."""
    number = orders.open_order(house.desk, told, as_of=NOW, actor="legal/zhao")
    approving.approve(house.desk, number, as_of=NOW, actor="board/qian")
    return number


def ready(house: House, **more: object) -> str:
    number = opened(house, replace(TOLD, t0=T0, **more))  # type: ignore[arg-type]
    for gate in FILED:
        orders.pass_gate(house.desk, number, gate, on=NOW, paper=PAPER, as_of=NOW, actor="legal/zhao")
    return number


def close(house: House, number: str, **more: object) -> orders.Order:
    return closing.close(house.desk, number, paper=PAPER, as_of=T0, actor="ops/wu", **more)  # type: ignore[arg-type]


def prove(house: House, number: str) -> closing.Proof:
    return closing.prove(house.desk, number, as_of=T0, actor="system/airflow")


def withdraw(house: House, number: str, **more: object) -> orders.Order:
    return closing.withdraw(house.desk, number, paper=PAPER, as_of=T0, actor="legal/zhao", **more)  # type: ignore[arg-type]


def acls(house: House) -> object:
    return company(
        house,
        "SELECT c.oid::regclass::text, (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(relacl) x) FROM pg_class c"
        " WHERE relnamespace::regnamespace::text IN ('a', 'u', 's') AND relkind = 'r' ORDER BY 1",
    )


def test_nothing_is_taken_before_t0_or_while_a_gate_is_open(house: House) -> None:
    number = opened(house, replace(TOLD, t0=T0))
    with pytest.raises(Refused, match="not done yet: notified, reported, announced"):
        close(house, number)
    for gate in FILED:
        orders.pass_gate(house.desk, number, gate, on=NOW, paper=PAPER, as_of=NOW, actor="legal/zhao")
    with pytest.raises(Refused, match=f"T0 is {T0}, and has not come"):
        closing.close(house.desk, number, paper=PAPER, as_of=T0 - timedelta(days=1), actor="ops/wu")
    company(house, INSERT, "shop_app")


def test_collection_is_closed_proved_and_given_back(house: House) -> None:
    number, before = ready(house), acls(house)
    assert close(house, number).state == "closed"
    assert close(house, number).closed_on == T0
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        company(house, INSERT, "shop_app")
    proof = prove(house, number)
    assert proof.verdict is Verdict.PASSED and "1 superusers" in closing.proved(proof)
    with pytest.raises(Refused, match="collection is being closed"):
        orders.move(house.desk, number, T0 + timedelta(days=9), paper=PAPER, as_of=T0, actor="legal/zhao")
    with house.desk.book() as conn, conn.transaction():
        conn.execute(
            "WITH r AS (INSERT INTO casebook.shutdown_request (number, asked_on, channel, method, fields, recorded_by)"
            " VALUES (%(n)s, %(on)s, 'letter', 'x', '{PI-001}', 'support/li') RETURNING request) INSERT INTO"
            " casebook.shutdown_request_token (number, token, request) SELECT %(n)s, 't', request FROM r",
            {"n": number, "on": T0},
        )
    assert withdraw(house, number).state == "withdrawn" and acls(house) == before
    with house.desk.book() as conn:
        assert conn.execute("SELECT FROM casebook.shutdown_request_token").fetchall() == [], "nobody asks it"
    with pytest.raises(Refused, match="the order is withdrawn"):
        close(house, number)
    said = [b["what"] for k, b, _ in house.ledger if k == orders.KIND]
    assert said[-5:] == [
        "closing begun", "collection closed", "collection looked at", "withdrawal begun", "withdrawn"
    ]  # fmt: skip


def test_a_database_that_was_restored_since_is_unverified(house: House) -> None:
    number = ready(house)
    close(house, number)
    company(house, "SELECT quietus.go_forward('replayed', 0)")
    proof = prove(house, number)
    assert proof.verdict is Verdict.UNVERIFIED and "another history" in str(proof)


def test_a_table_that_grows_after_t0_is_named(house: House) -> None:
    number = ready(house)
    close(house, number)
    company(house, INSERT)
    proof = prove(house, number)
    assert proof.verdict is Verdict.FAILED
    with pytest.raises(NotProved, match=r"u\.visit grew by 1 since T0"):
        closing.proved(proof)
    (body,) = [b for k, b, _ in house.ledger if b.get("what") == "collection looked at"]
    assert body["verdict"] == "failed" and body["stores"][0]["grew"] == {"u.visit": 1}


def test_a_right_that_came_back_is_named_and_taken_again(house: House) -> None:
    number, before = ready(house), acls(house)
    close(house, number)
    company(house, "GRANT INSERT ON s.note TO shop_batch WITH GRANT OPTION")
    assert prove(house, number).looked[0].writers == (("shop_batch", "s.note"),)
    close(house, number)
    assert prove(house, number).verdict is Verdict.PASSED
    withdraw(house, number)
    company(house, "REVOKE GRANT OPTION FOR INSERT ON s.note FROM shop_batch")
    assert acls(house) == before


def test_a_store_that_cannot_be_asked_is_unverified(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    number = ready(house)
    close(house, number)
    company(house, "REVOKE SELECT ON quietus.receipt FROM prover; REVOKE pg_read_all_data FROM prover")
    try:
        proof = prove(house, number)
    finally:
        company(house, "GRANT pg_read_all_data TO prover")
    assert proof.verdict is Verdict.UNVERIFIED and closing.proved(proof).startswith(f"{number}: unverified")


@pytest.mark.parametrize(
    "point", ["shutdown.close.begun", "shutdown.close.written_down", "shutdown.close.taken"]
)
def test_killed_while_closing_it_is_finished_and_given_back_whole(house: House, point: str) -> None:
    number, before = ready(house), acls(house)
    assert killed_at(point, lambda at: close(house, number, at=at))
    with house.desk.book() as conn:
        assert orders.order(conn, number).state == "closing"
    close(house, number)
    assert prove(house, number).verdict is Verdict.PASSED
    assert killed_at("shutdown.withdraw.given_back", lambda at: withdraw(house, number, at=at))
    with house.desk.book() as conn:
        assert orders.order(conn, number).state == "closed"
    assert withdraw(house, number).state == "withdrawn" and acls(house) == before


def test_what_is_written_between_a_kill_and_the_next_run_is_found(house: House) -> None:
    """Nobody heard how the store looked when its rights were taken; the transaction that took them still says it."""
    number = ready(house)
    assert killed_at("shutdown.close.taken", lambda at: close(house, number, at=at))
    company(house, INSERT)
    close(house, number)
    assert prove(house, number).looked[0].grew == {"u.visit": 1}


def test_so_it_is_found_if_a_right_came_back_meanwhile(house: House) -> None:
    number = ready(house)
    assert killed_at("shutdown.close.taken", lambda at: close(house, number, at=at))
    company(house, INSERT)
    company(house, "GRANT INSERT ON s.note TO shop_batch")
    close(house, number)
    assert prove(house, number).looked[0].grew == {"u.visit": 1}


def test_if_every_table_of_which_rights_were_taken_is_gone_nobody_knows_how_it_looked(house: House) -> None:
    number = ready(house, services=("cert",))
    assert killed_at("shutdown.close.taken", lambda at: close(house, number, at=at))
    company(house, "DROP TABLE u.visit")
    close(house, number)
    proof = prove(house, number)
    assert proof.verdict is Verdict.UNVERIFIED and "nobody heard how it looked at T0" in str(proof)


def test_withdrawn_between_begin_and_end_it_gives_back_what_was_taken(house: House) -> None:
    number, before = ready(house), acls(house)
    assert killed_at("shutdown.close.taken", lambda at: close(house, number, at=at))
    assert acls(house) != before
    withdraw(house, number)
    assert acls(house) == before


def test_a_gate_that_is_put_right_while_it_is_being_closed_is_waited_for(house: House) -> None:
    """T0 moves with it, and no certificate could say that collection was closed before T0."""
    number, later = ready(house), T0 - timedelta(days=20)

    def meanwhile(point: str) -> None:
        if point == "shutdown.close.begun":
            orders.pass_gate(
                house.desk, number, orders.Gate.REPORTED, on=later, paper=PAPER, as_of=T0, actor="legal/zhao"
            )

    with pytest.raises(Refused, match=r"T0 is .*, and has not come"):
        close(house, number, at=meanwhile)
    with house.desk.book() as conn:
        it = orders.order(conn, number)
    assert it.closed_on is None and it.t0 > T0
    done = closing.close(house.desk, number, paper=PAPER, as_of=it.t0, actor="ops/wu")
    assert done.closed_on == it.t0
    assert closing.prove(house.desk, number, as_of=it.t0, actor="system/airflow").verdict is Verdict.PASSED


def test_withdrawn_while_it_is_being_closed_no_right_is_lost(house: House) -> None:
    number, before = ready(house), acls(house)
    other = Thread(target=lambda: withdraw(house, number))

    def meanwhile(point: str) -> None:
        if point == "shutdown.close.begun":
            other.start()
            other.join(1)

    with suppress(Refused):  # whichever comes first
        close(house, number, at=meanwhile)
    other.join()
    with house.desk.book() as conn:
        assert orders.order(conn, number).state == "withdrawn"
    assert acls(house) == before


def test_nothing_is_written_down_to_be_taken_of_an_order_that_was_withdrawn(house: House) -> None:
    number = ready(house)
    withdraw(house, number)
    with pytest.raises(Refused, match="the order is withdrawn"):
        closing._write_down(house.desk, number, "main", ())


def test_a_service_closes_only_its_own_tables(house: House) -> None:
    number = ready(house, services=("cert",))
    close(house, number)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        company(house, INSERT, "shop_app")
    company(house, "INSERT INTO u.click VALUES (99, 'acct_000000000001', '2026-11-24')", "shop_app")
    assert prove(house, number).verdict is Verdict.PASSED


def test_a_revoked_licence_closes_at_once(house: House) -> None:
    told = replace(TOLD, path=Path.LICENCE_REVOKED, decided_on=NOW, t0=NOW)
    number = opened(house, told)
    closing.close(house.desk, number, paper=PAPER, as_of=NOW, actor="ops/wu")
    with house.desk.book() as conn:
        assert Gate.CLOSED in orders.days(conn, orders.order(conn, number)).done
        assert len(orders.alarms(conn, NOW + timedelta(days=1))) == 3  # the rest is still owed


def test_nobody_takes_over_and_nothing_closes(house: House) -> None:
    number = ready(house)
    orders.successor_withdrew(
        house.desk, number, paper=PAPER, ministry_asked=False, as_of=NOW, actor="legal/zhao"
    )
    orders.pass_gate(house.desk, number, Gate.NOTIFIED, on=NOW, paper=PAPER, as_of=NOW, actor="legal/zhao")
    with pytest.raises(Refused, match="nobody takes over"):
        close(house, number)


def nobody_takes_over(house: House, number: str, as_of: date) -> None:
    orders.successor_withdrew(
        house.desk, number, paper=PAPER, ministry_asked=False, as_of=as_of, actor="legal/zhao"
    )


def test_closed_already_what_came_back_is_taken_though_nobody_takes_over_now(house: House) -> None:
    number = ready(house)
    close(house, number)
    nobody_takes_over(house, number, T0)
    company(house, "GRANT INSERT ON s.note TO shop_batch")
    close(house, number)
    assert prove(house, number).verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("told", "wanting"),
    [(TOLD, [f"not done yet: {g}" for g in FILED]),
     (replace(TOLD, path=Path.LICENCE_REVOKED, decided_on=NOW, t0=NOW), [])],
    ids=["of its own will", "revoked"],
)  # fmt: skip
def test_what_must_come_before_t0_and_a_revoked_licence_waits_for_none_of_it(
    house: House, told: Told, wanting: list[str]
) -> None:
    number = opened(house, told)
    with house.desk.book() as conn:
        assert list(closing.missing(house.desk, conn, orders.order(conn, number))) == wanting


def test_a_revoked_licence_closes_though_nobody_takes_over(house: House) -> None:
    told = replace(TOLD, path=Path.LICENCE_REVOKED, decided_on=NOW, t0=NOW)
    number = opened(house, told)
    nobody_takes_over(house, number, NOW)
    closed = closing.close(house.desk, number, paper=PAPER, as_of=NOW, actor="ops/wu")
    assert closed.state == "closed"
    with house.desk.book() as conn:
        assert any("nobody takes over" in a for a in orders.alarms(conn, NOW))
