"""What CeleryExecutor needs beside Airflow's four components: a broker, and workers that take tasks from it.

The broker is Debian's ``redis-server``. It keeps messages in memory only: what waits in it when it stops is sent again once
Airflow finds it stuck in ``queued``. Results go to Airflow's own database, where ``airflow_hygiene`` reaches them.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from include.model.errors import Refused
from include.sandbox.stack.objects import plain_environment
from include.sandbox.stack.places import Places
from include.sandbox.stack.process import Process, Spec

PROGRAM = "redis-server"
WORKERS = ("worker-1", "worker-2")
SLOTS = 2  # tasks at once in a worker; two workers together take what AIRFLOW__CORE__PARALLELISM lets out
HOUR = 3600
VISIBILITY = 24 * HOUR
"""Seconds after which Redis gives a message that nobody acknowledged to another worker. A task acknowledges at its end, so
this must be longer than the longest one: the disposal of a backlog."""
# Nothing is ever pushed out to make room (noeviction): a message that is lost is a task that is late.
CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
save ""
appendonly no
maxmemory-policy noeviction
daemonize no
dir {directory}
"""


class Executor(StrEnum):
    """Who runs Airflow's tasks: children of the scheduler, or workers that a broker gives them to."""

    LOCAL = "local"
    CELERY = "celery"


def broker(places: Places, port: int, password: str) -> Process:
    """Redis as a supervised process on loopback."""
    said = CONFIGURATION.format(port=port, password=password, directory=places.run)
    return Process(
        Spec(
            name="broker",
            argv=(PROGRAM, str(_configured(places.home / "broker.conf", said))),
            env=plain_environment(),
            cwd=places.home,
            patience=5.0,
            also=said,
        ),
        places,
    )


def must_be_there() -> None:
    """Raises Refused where Redis is not installed."""
    if shutil.which(PROGRAM, path=plain_environment()["PATH"]) is None:
        raise Refused(
            "CeleryExecutor needs a broker, and there is no redis-server here", about="sandbox",
            next_step="apt-get install --no-install-recommends redis-server, or --executor local",
        )  # fmt: skip


def _configured(path: Path, said: str) -> Path:
    """The secret stands in a file that only we can read: arguments are everybody's to see."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(said, "utf-8")
    return path


def present(port: int, password: str) -> frozenset[str]:
    """Which workers answer through the broker. Empty while that does not let us in."""
    from celery import Celery
    from kombu.exceptions import OperationalError

    app = Celery(broker=_url(port, password), broker_connection_retry=False, set_as_current=False)
    app.conf.broker_transport_options = {"socket_connect_timeout": 2, "socket_timeout": 5, "max_retries": 0}
    try:
        said = app.control.ping(timeout=1.0)
    except (OSError, OperationalError):
        return frozenset()
    finally:
        app.close()
    return frozenset(name.partition("@")[2] for one in said for name in one)


def answers(port: int) -> bool:
    """True once the broker listens."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2):
        return True
    return False


def _url(port: int, password: str) -> str:
    return f"redis://:{password}@127.0.0.1:{port}/0"


def settings(port: int, password: str) -> Mapping[str, str]:
    """Airflow's settings that differ from those of LocalExecutor (docs/ops.md says why each)."""
    return {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CELERY__BROKER_URL": _url(port, password),
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(SLOTS),
        "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
        "AIRFLOW__CELERY__TASK_ACKS_LATE": "True",
        "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": str(VISIBILITY),
    }


def arguments(name: str) -> tuple[str, ...]:
    """Of ``airflow``, for the worker of that name."""
    # --skip-serve-logs: the log servers would listen on every interface, and the files are on this machine.
    return ("celery", "worker", "--skip-serve-logs", "--without-gossip", "--celery-hostname", name)
