"""A standby on which the person's rows can still be read keeps them from being gone; against a real one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import psycopg
import pytest

from include.model.flow import Check, Evidence, Plan, Step
from include.model.words import Verdict
from include.proofs import standbys
from include.proofs.names import POSTGRES
from include.sandbox.stack.places import Places, unprivileged
from include.sandbox.stack.ports import free_port
from include.sandbox.stack.postgres import ADMIN, Cluster, binaries_for
from tests.conftest import PgServer, _postgres
from tests.proofs.controls import control
from tests.proofs.test_gone import cancelled, gone
from tests.stores.postgres.making import Company

SLOT = "of_berlin"


@pytest.fixture(scope="module")
def pg_server(session_places: Places) -> Iterator[PgServer]:
    """A server of its own: whoever is its standby is so of every database on it."""
    yield from _postgres(session_places, "primary", binaries_for(session_places), 18)


class Berlin:
    """A standby of the server, by streaming, with a slot that keeps its place."""

    def __init__(self, primary: Cluster, places: Places, name: str = "berlin") -> None:
        self.primary = primary
        secret = primary.password(ADMIN)
        primary.vault.keep(f"postgres/{name}/{ADMIN}", lambda: secret)
        settings = {**primary.settings, "recovery_min_apply_delay": "0"}
        self.cluster = Cluster(name, primary.binaries, places, primary.vault, free_port(), settings)
        conninfo = primary.conninfo(ADMIN, "postgres")
        done = subprocess.run(
            [
                primary.binaries / "pg_basebackup", "-D", self.cluster.data, "-d", f"{conninfo} application_name=berlin",
                "-R", "-X", "stream", "-C", "-S", SLOT, "--checkpoint=fast", "--no-sync",
            ],
            cwd=self.cluster.home, capture_output=True, text=True, timeout=120, check=False,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, stdin=subprocess.DEVNULL, **unprivileged(),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        self.start()

    def start(self) -> None:
        self.cluster.start()
        self.cluster.wait()

    def sql(self, statement: str, database: str = "postgres") -> object:
        with psycopg.connect(self.cluster.superuser_conninfo(database), autocommit=True) as connection:
            return connection.execute(statement).fetchone()  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def berlin(pg_server: PgServer, session_places: Places) -> Iterator[Berlin]:
    standby = Berlin(pg_server.cluster, session_places)
    try:
        yield standby
    finally:
        standby.cluster.stop()
        with psycopg.connect(pg_server.superuser_conninfo, autocommit=True) as connection:
            connection.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")


@pytest.fixture(autouse=True)
def short_of_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standbys, "PATIENCE", 1.0)


def replayed(evidence: Evidence) -> Check:
    """What is said of the standbys: the same of every dataset that was changed."""
    checks = [c for c in evidence.checks if c.name.startswith("replayed.")]
    assert {c.dataset for c in checks} >= {"account.session", "sign.folder"}
    (said,) = {c.model_copy(update={"name": "replayed", "dataset": None}) for c in checks}
    return said


def looked(shop: Company, it: Step, plan: Plan) -> Check:
    return replayed(gone(shop, it, plan))


def test_a_server_without_a_standby_says_that_there_is_none(shop: Company) -> None:
    said = looked(shop, *cancelled(shop))
    assert (said.verdict, said.expected, said.observed) == (Verdict.PASSED, 0, 0)
    assert "no standby" in said.why


def test_a_standby_that_follows_has_replayed_it(berlin: Berlin, shop: Company, monkeypatch) -> None:
    monkeypatch.setattr(standbys, "PATIENCE", 20.0)
    said = looked(shop, *cancelled(shop))
    assert (said.verdict, said.expected, said.observed, said.why) == (Verdict.PASSED, 1, 1, "")


@control("gone", "replayed", POSTGRES)
def test_a_standby_that_lags_still_shows_the_rows_and_is_named(berlin: Berlin, shop: Company) -> None:
    name = shop.value("SELECT current_database()")
    berlin.sql("SELECT pg_wal_replay_pause()")
    try:
        it, plan = cancelled(shop)
        said = looked(shop, it, plan)
        assert (said.verdict, said.expected, said.observed) == (Verdict.UNVERIFIED, 1, 0)
        assert said.why.startswith("berlin is ") and said.why.endswith(" bytes behind")
    finally:
        berlin.sql("SELECT pg_wal_replay_resume()")
    standbys.PATIENCE = 20.0
    assert looked(shop, it, plan).verdict is Verdict.PASSED
    assert berlin.sql("SELECT count(*) FROM account.session WHERE account_id = 'A2'", name) == (0,)


def test_a_standby_that_is_away_is_known_by_its_slot(berlin: Berlin, shop: Company) -> None:
    berlin.cluster.stop()
    try:
        said = looked(shop, *cancelled(shop))
        assert (said.verdict, said.expected, said.observed) == (Verdict.UNVERIFIED, 1, 0)
        assert said.why.startswith(f"{SLOT} is away and at least ")
    finally:
        berlin.start()


def test_who_only_stores_the_log_is_no_standby(berlin: Berlin, shop: Company, session_places: Places) -> None:
    directory = session_places.room_for("received")
    conninfo = berlin.primary.conninfo(ADMIN, "postgres")
    with subprocess.Popen(
        [berlin.primary.binaries / "pg_receivewal", "-D", directory, "-d", f"{conninfo} application_name=wal",
         "--no-sync"], cwd=directory, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, **unprivileged(),
    ) as receiver:  # fmt: skip
        try:
            standbys.PATIENCE = 20.0
            said = looked(shop, *cancelled(shop))
            there = shop.value("SELECT count(*) FROM pg_stat_replication WHERE application_name = 'wal'")
        finally:
            receiver.terminate()
    assert there == 1
    assert (said.verdict, said.expected, said.observed) == (Verdict.PASSED, 1, 1)


def test_a_prover_who_may_not_see_them_says_so(berlin: Berlin, shop: Company) -> None:
    it, plan = cancelled(shop)
    shop.sql("DROP FUNCTION quietus.standbys()")
    said = looked(shop, it, plan)
    assert (said.verdict, said.expected, said.observed) == (Verdict.UNVERIFIED, 1, None)
    assert "install" in said.why


def test_the_prover_sees_no_more_of_others_than_how_far_they_are(berlin: Berlin, shop: Company) -> None:
    """It is no member of pg_read_all_stats: other sessions' statements quote people's values."""
    with psycopg.connect(shop.conninfo(ADMIN)) as other:
        other.execute("SELECT 'a value of somebody'")
        seen = shop.sql(
            f"SELECT query FROM pg_stat_activity WHERE pid = {other.info.backend_pid}", user="prover"
        )
    assert seen == [("<insufficient privilege>",)]


def test_positions_of_another_history_are_read_anew(shop: Company) -> None:
    """After a failover, or a restored snapshot, the receipt's position says nothing: the present one is safe."""
    it, plan = cancelled(shop)
    shop.sql("UPDATE quietus.receipt SET renewed_lsn = 'FFFFFFFF/0' WHERE step = %s", it.id)
    assert looked(shop, it, plan).verdict is Verdict.PASSED


def test_the_position_is_that_after_views_and_statistics_were_renewed_and_stays(shop: Company) -> None:
    it, plan = cancelled(shop)
    position = "SELECT min(renewed_lsn), min(renewed_lsn) > max(lsn) FROM quietus.receipt WHERE step = %s AND verb = 'dispose'"
    ((before, later),) = shop.sql(position, it.id)
    assert later
    shop.store().dispose(it, plan)
    assert shop.sql(position, it.id) == [(before, True)]
