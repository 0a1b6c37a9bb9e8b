"""What a sender may send is counted once for the whole house, on the real server."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest

from include.cases import allowances, book

pytestmark = pytest.mark.postgres


def spend(writer: str, name: str = "recipient/sms", *, per_second: float = 0.1, burst: float = 5.0) -> int:
    """One message at one of the API servers, which has a connection of its own."""
    with book.connect(writer) as conn, book.deed(conn, name):
        return allowances.take(conn, name, per_second=per_second, burst=burst)


def test_two_workers_give_out_one_allowance_between_them(writer: str) -> None:
    """At the same moment, so that both read before either has written, if they could."""
    given: list[int] = []
    at_once = threading.Barrier(8)

    def worker() -> None:
        with book.connect(writer) as conn:
            at_once.wait()
            for _ in range(10):
                with book.deed(conn, "test"):
                    given.append(allowances.take(conn, "recipient/sms", per_second=0.01, burst=7.0))

    workers = [threading.Thread(target=worker) for _ in range(8)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    assert len(given) == 80 and given.count(0) == 7


def test_what_is_used_up_fills_again_and_the_sender_is_told_when(writer: str) -> None:
    assert [spend(writer, per_second=2.0, burst=2.0) for _ in range(2)] == [0, 0]
    wait = spend(writer, per_second=2.0, burst=2.0)
    assert wait == 1
    time.sleep(wait)
    assert spend(writer, per_second=2.0, burst=2.0) == 0


@pytest.mark.parametrize("burst", [1.0, 2.0, 5.0])
def test_a_burst_is_that_many_and_one_that_waits_uses_up_nothing(writer: str, burst: float) -> None:
    assert [spend(writer, burst=burst) for _ in range(int(burst))] == [0] * int(burst)
    waits = [spend(writer, burst=burst) for _ in range(3)]
    assert all(8 <= w <= 10 for w in waits), "ten seconds for the next one, however often it is asked"


def test_a_long_silence_saves_up_one_burst_and_no_more(writer: str, database: str) -> None:
    spend(writer)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("UPDATE casebook.allowance SET free_at = now() - interval '1 day'")
    assert [spend(writer) == 0 for _ in range(7)] == [True] * 5 + [False] * 2


def test_nobody_uses_up_anothers(writer: str) -> None:
    assert spend(writer, "recipient/sms", burst=1.0) == 0 and spend(writer, "recipient/sms", burst=1.0) > 0
    assert spend(writer, "recipient/other", burst=1.0) == 0
    assert spend(writer, "partner/sms", burst=1.0) == 0
