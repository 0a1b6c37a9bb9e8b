"""Whoever deletes at night waits for a standby that is too far behind, and while too many others are at work; its own rights show
that, and no more; on real ones."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg
import pytest

from include.cases.retention.held import HeldPeople
from include.model.errors import Stopped
from include.sandbox.stack.places import Places
from include.sandbox.stack.postgres import binaries_for
from include.stores.postgres import install
from include.stores.postgres.clearing.breathing import GAVE_UP, OTHERS, PIECES, SECONDS, STANDBYS, UNSEEN
from tests.conftest import PgServer, _postgres
from tests.proofs.test_standbys import Berlin
from tests.stores.postgres.clearing.test_pieces import DUE, HELD, POLICY, STEP, Logs, furnished, plan_of
from tests.stores.sizes import Pieces

VISITS = f"SELECT count(*) FROM usage.visit WHERE visit_id <= {DUE}"
GONE = {"usage.visit": {"erased": DUE}, "usage.click": {"erased": 2 * DUE}}


@pytest.fixture(scope="module")
def primary(session_places: Places) -> Iterator[PgServer]:
    """A server of its own: whoever is its standby is so of every database on it. What is committed is in the log at once: before
    that no standby can be behind."""
    log_first = {"synchronous_commit": "local"}
    yield from _postgres(session_places, "ahead", binaries_for(session_places), 18, log_first)


@pytest.fixture(scope="module")
def standby(primary: PgServer, session_places: Places) -> Iterator[Berlin]:
    made = Berlin(primary.cluster, session_places, "behind")
    yield made
    made.cluster.stop()


@pytest.fixture
def logs(primary: PgServer, standby: Berlin) -> Iterator[Logs]:
    """With a standby that does not replay, until somebody lets it."""
    for made in furnished(primary):
        standby.sql("SELECT pg_wal_replay_pause()")
        try:
            yield made
        finally:
            standby.sql("SELECT pg_wal_replay_resume()")


@contextmanager
def others_at_work(logs: Logs, n: int) -> Iterator[Callable[[], None]]:
    """So many sessions of others that the server works for, until they are told to stop."""
    sessions = [psycopg.connect(logs.server.conninfo(logs.name), autocommit=True) for _ in range(n)]

    def work(session: psycopg.Connection[tuple[()]]) -> None:
        with suppress(psycopg.errors.QueryCanceled):
            session.execute("SELECT pg_sleep(300)")

    threads = [threading.Thread(target=work, args=[s]) for s in sessions]
    for thread in threads:
        thread.start()

    def stop() -> None:
        for session in sessions:
            session.cancel_safe()

    while logs.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") != [n]:
        pass
    try:
        yield stop
    finally:
        stop()
        for thread in threads:
            thread.join()
        for session in sessions:
            session.close()


def asleep(do: Callable[[], object]) -> Callable[[str], None]:
    return lambda here: do() if here == "clearing.asleep" else None  # type: ignore[func-returns-value]


def test_nothing_goes_while_a_standby_is_too_far_behind(logs: Logs, standby: Berlin) -> None:
    seen: list[int] = []

    def resume() -> None:
        seen.extend(logs.sql(VISITS + " UNION ALL SELECT count(*) FROM usage.click"))
        standby.sql("SELECT pg_wal_replay_resume()")

    clearing = logs.clearing(lag=1, at=asleep(resume))
    assert logs.dispose(clearing, plan_of(clearing)) == GONE
    assert seen[:2] == [DUE, 100], "it was waited for before the first piece"
    waited = clearing.waited[STANDBYS]
    assert waited[PIECES] >= 1 <= waited[SECONDS] and not waited.keys() & {GAVE_UP, UNSEEN}


def test_one_that_does_not_move_is_waited_for_once_and_what_is_due_goes(logs: Logs) -> None:
    clearing = logs.clearing(lag=1, wait=0.1, size=Pieces(5))
    plan = plan_of(clearing)
    clearing.dispose(STEP, plan)
    assert logs.sql(VISITS) == [0] and len(clearing.receipts(STEP)) > 10
    assert (clearing.waited[STANDBYS][GAVE_UP], clearing.waited[STANDBYS][PIECES]) == (1, 1)


def test_one_that_is_less_behind_is_not_waited_for(logs: Logs) -> None:
    clearing = logs.clearing()
    assert logs.dispose(clearing, plan_of(clearing)) == GONE
    assert clearing.waited == {}


def test_a_stop_ends_the_waiting(logs: Logs) -> None:
    stops: list[str] = []

    def may_go_on() -> None:
        if stops:
            raise Stopped("nights are stopped", about="nights", next_step="lift the stop")

    clearing = logs.clearing(lag=1, at=stops.append, may_go_on=may_go_on)
    plan = plan_of(clearing)
    stops.clear()
    with pytest.raises(Stopped):
        clearing.dispose(STEP, plan)
    assert stops == ["clearing.asleep"] and logs.sql(VISITS) == [DUE]


def test_a_hold_that_comes_while_it_is_waited_is_obeyed(logs: Logs, standby: Berlin) -> None:
    def hold() -> None:
        logs.held = HeldPeople((HELD,), {"HOLD-000001": frozenset({"A4"})})
        standby.sql("SELECT pg_wal_replay_resume()")

    clearing = logs.clearing(lag=1, at=asleep(hold))
    said = logs.dispose(clearing, plan_of(clearing))
    assert {d: w["not_due"] for d, w in said.items()} == {"usage.visit": 2, "usage.click": 4}


def test_the_eraser_is_told_how_far_the_last_is_and_nothing_else_and_says_if_nobody_can_see(
    logs: Logs, primary: PgServer
) -> None:
    clearing = logs.clearing(lag=1, wait=0.1)
    with clearing._server.connect() as connection:
        (shown,) = connection.execute("SELECT replay_lsn FROM pg_stat_replication").fetchone() or (None,)
        assert shown is None, "the server itself shows it to nobody without a right to all statistics"
    primary.add_role("keeper")
    logs.sql(
        "GRANT CREATE ON SCHEMA quietus TO keeper; ALTER FUNCTION quietus.furthest_behind() OWNER TO keeper"
    )
    plan = plan_of(clearing)
    assert logs.dispose(clearing, plan) == GONE
    assert clearing.waited == {STANDBYS: {UNSEEN: 1}}
    install(logs.server.conninfo(logs.name), POLICY, "company")
    logs.sql("DROP FUNCTION quietus.furthest_behind()")
    older = logs.clearing(lag=1)
    assert older.dispose(STEP, plan) and older.left == {}


def test_nothing_goes_while_too_many_others_are_at_work(logs: Logs) -> None:
    with others_at_work(logs, 3) as stop:
        seen: list[int] = []
        allowed = logs.sql("SELECT current_setting('max_connections')::int")[0]
        clearing = logs.clearing(
            share=2.5 / allowed, at=asleep(lambda: (seen.extend(logs.sql(VISITS)), stop()))
        )
        assert logs.dispose(clearing, plan_of(clearing)) == GONE
        assert seen[:1] == [DUE] and clearing.waited.keys() == {OTHERS}
        assert not clearing.waited[OTHERS].keys() & {GAVE_UP, UNSEEN}


def test_fewer_are_not_waited_for(logs: Logs) -> None:
    with others_at_work(logs, 3):
        allowed = logs.sql("SELECT current_setting('max_connections')::int")[0]
        # One that has just ended may be counted still, and so may whoever else passes by.
        clearing = logs.clearing(share=8.5 / allowed)
        assert logs.dispose(clearing, plan_of(clearing)) == GONE
    assert clearing.waited == {}


def test_a_server_that_stays_busy_is_given_a_rest_before_each_piece_and_what_is_due_goes(logs: Logs) -> None:
    with others_at_work(logs, 3):
        clearing = logs.clearing(share=0.01, wait=0.1, size=Pieces(30))
        plan = plan_of(clearing)
        clearing.dispose(STEP, plan)
    pieces = len(clearing.receipts(STEP))
    assert logs.sql(VISITS) == [0] and pieces == 3
    assert clearing.waited[OTHERS][GAVE_UP] == clearing.waited[OTHERS][PIECES] == pieces


def test_the_eraser_is_told_how_many_are_at_work_and_not_by_what(logs: Logs) -> None:
    with others_at_work(logs, 3), logs.clearing()._server.connect() as connection:
        shown = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(300)%' AND pid <> pg_backend_pid()"
        ).fetchone()
        assert shown == (0,), "the server itself does not show it"
        said = connection.execute("SELECT others, hidden FROM quietus.at_work()").fetchone()
        assert said == (3, 0)
