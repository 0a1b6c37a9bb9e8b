"""What CeleryExecutor needs beside Airflow: a broker that keeps its secret, and an executor that a sandbox remembers."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.model.errors import Refused
from include.sandbox.stack import workers
from include.sandbox.stack.places import Places
from include.sandbox.stack.ports import free_port
from include.sandbox.stack.process import Process
from include.sandbox.stack.servers import Servers
from include.sandbox.stack.workers import Executor

SECRET = "only-for-this-test"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[tuple[Process, int]]:
    places = Places(tmp_path / "home", tmp_path / "servers", "test")
    places.make()
    port = free_port()
    process = workers.broker(places, port, SECRET)
    process.start()
    process.wait(lambda: workers.answers(port), 20)
    yield process, port
    process.stop()


def test_the_broker_lets_in_who_has_its_secret_which_no_argument_shows(broker: tuple[Process, int]) -> None:
    process, port = broker
    assert workers.present(port, SECRET) == frozenset(), "nobody works yet, and it answers"
    assert SECRET not in " ".join(process.spec.argv)
    file = Path(process.spec.argv[1])
    assert SECRET in file.read_text("utf-8") and stat.S_IMODE(file.stat().st_mode) == 0o600
    import redis

    with redis.Redis(port=port, password=SECRET) as one:
        assert one.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


def test_a_broker_that_is_away_has_no_workers() -> None:
    port = free_port()
    assert not workers.answers(port)
    assert workers.present(port, SECRET) == frozenset()


def test_a_message_outlives_the_longest_task_and_workers_have_a_slot_for_each() -> None:
    said = workers.settings(1, SECRET)
    assert said["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert int(said["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"]) >= 24 * 3600
    slots = len(workers.WORKERS) * int(said["AIRFLOW__CELERY__WORKER_CONCURRENCY"])
    assert slots >= 4, "what AIRFLOW__CORE__PARALLELISM lets out never queues behind a busy worker"


def test_without_redis_it_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "PROGRAM", "redis-server-that-is-not-there")
    with pytest.raises(Refused, match="no redis-server here") as refused:
        workers.must_be_there()
    assert "apt-get install" in str(refused.value)


def test_a_sandbox_keeps_the_executor_that_was_chosen_last(tmp_path: Path) -> None:
    servers = Servers(tmp_path / "home")
    servers.places.make()
    assert servers.executor is Executor.LOCAL
    servers._choose(Executor.CELERY)
    assert Servers(tmp_path / "home").executor is Executor.CELERY
