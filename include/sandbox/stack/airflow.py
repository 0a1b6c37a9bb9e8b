"""Airflow's four components as four processes, on loopback, with metadata in the records cluster; its Celery workers too.

Not ``airflow standalone``: on SIGTERM it leaves its children behind, and it forces one auth manager.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from include.model.errors import NotReachable
from include.sandbox.stack.objects import plain_environment
from include.sandbox.stack.places import CHECKOUT, Places
from include.sandbox.stack.process import Process, Spec
from include.sandbox.stack.settings import Pool
from include.sandbox.stack.vault import Vault
from include.sandbox.stack.workers import arguments as worker_arguments

# Who may log in, and Airflow's role for them. Support triggers, a reviewer approves, auditors only look.
USERS: Mapping[str, str] = {
    "support": "user",
    "reviewer": "user",
    "ops": "op",
    "auditor": "viewer",
    "admin": "admin",
}
# --skip-serve-logs: the log servers would listen on every interface, and the files are on this machine.
COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
MIGRATE_SECONDS = 300.0
HEALTHY_SECONDS = 300.0


class Airflow:
    """The four components. ``metadata``: SQLAlchemy's URL; ``more``: connections, variables, and settings that
    differ from these. ``workers``: those of CeleryExecutor, by name; ``present`` tells which of them answer."""

    users = USERS

    def __init__(
        self,
        places: Places,
        vault: Vault,
        port: int,
        metadata: str,
        more: Mapping[str, str],
        *,
        workers: tuple[str, ...] = (),
        present: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self._places = places
        self._vault = vault
        self.home = places.home / "airflow"
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.environment = {**self._settings(metadata), **more}
        self.processes = {
            name: Process(
                Spec(
                    name=f"airflow-{name}",
                    argv=(sys.executable, "-m", "airflow", *arguments),
                    env=self.environment,
                    cwd=CHECKOUT,
                    patience=30.0,  # a running task is given its time to end
                ),
                places,
            )
            for name, arguments in {**COMPONENTS, **{w: worker_arguments(w) for w in workers}}.items()
        }
        self._workers = workers
        self._present = present

    def _settings(self, metadata: str) -> dict[str, str]:
        keep = self._vault.keep
        config = Path(__file__).with_name("airflow_config")
        return {
            **plain_environment(),
            "PYTHONPATH": f"{CHECKOUT}:{config}",
            # Process titles are written over the environment, and with it the mark by which a worker that
            # outlived its scheduler is found; this leaves the environment alone.
            "SPT_NOENV": "1",
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(CHECKOUT / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",  # each is an idle process of 150 MB, 32 by default
            "AIRFLOW__CORE__MP_START_METHOD": "fork",  # tasks inherit what the scheduler has imported
            "AIRFLOW__CORE__DEFAULT_TIMEZONE": "UTC",
            "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "20",  # seconds before a promise's first try again
            "AIRFLOW__CORE__FERNET_KEY": keep(
                "airflow/fernet", lambda: urlsafe_b64encode(secrets.token_bytes(32)).decode()
            ),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{u}:{r}" for u, r in USERS.items()),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.passwords_file),
            # No personal data belongs here at all; these only shorten the life of a mistake.
            "AIRFLOW__CORE__NUM_DAG_RUNS_TO_RETAIN_RENDERED_FIELDS": "3",
            "AIRFLOW__CORE__SENSITIVE_VAR_CONN_NAMES": "account_id,email,phone,mobile,id_number,full_name",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__EXPOSE_CONFIG": "False",
            "AIRFLOW__API__SECRET_KEY": self._vault.get("airflow/api", 48),
            "AIRFLOW__API_AUTH__JWT_SECRET": self._vault.get("airflow/jwt", 64),
            "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
            # A task whose process was killed is noticed within a minute, not five: every step resumes.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "45",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.home / "logs"),
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        }

    @property
    def passwords_file(self) -> Path:
        return self.home / "passwords.json"

    def password(self, user: str) -> str:
        return self._vault.get(f"airflow/user/{user}", 12)

    # --- starting ------------------------------------------------------------------------------

    def migrate(self) -> bool:
        """Make or update the metadata tables, once for each version of Airflow. True if it was run."""
        stamp = self.home / "migrated"
        wanted = version("apache-airflow-core")
        if stamp.exists() and stamp.read_text("utf-8") == wanted:
            return False
        self.home.mkdir(mode=0o700, exist_ok=True)
        log = self._places.logs / "airflow-migrate.log"
        with log.open("ab") as file:
            done = subprocess.run(
                [sys.executable, "-m", "airflow", "db", "migrate"],
                env=self.environment, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=file,
                stderr=subprocess.STDOUT, timeout=MIGRATE_SECONDS, check=False,
            )  # fmt: skip
        if done.returncode != 0:
            raise NotReachable("its tables could not be made", about="Airflow", next_step=f"see {log}")
        stamp.write_text(wanted, "utf-8")
        return True

    def start(self) -> list[str]:
        """Start what does not run as wanted, and say what that was."""
        self.home.mkdir(mode=0o700, exist_ok=True)
        self.passwords_file.unlink(missing_ok=True)
        self.passwords_file.touch(mode=0o600)
        self.passwords_file.write_text(json.dumps({user: self.password(user) for user in USERS}), "utf-8")
        return [name for name, process in self.processes.items() if process.start()]

    def wait(self, since: datetime, started: list[str], seconds: float = HEALTHY_SECONDS) -> None:
        """Until every component is healthy; those just ``started``, by a heartbeat after ``since``."""
        for name, process in self.processes.items():
            process.wait(lambda name=name: self.healthy(name, since if name in started else None), seconds)  # type: ignore[misc]

    def healthy(self, name: str, since: datetime | None = None) -> bool:
        """True if the API says so of that component (of itself: by answering)."""
        if name in self._workers:
            return name in self._present()
        said = self.health()
        if name == "api-server":
            return bool(said) and said.get("metadatabase", {}).get("status") == "healthy"
        about = said.get(name.replace("-", "_")) or {}
        beat = about.get(f"latest_{name.replace('-', '_')}_heartbeat")
        if about.get("status") != "healthy" or not beat:
            return False
        return since is None or datetime.fromisoformat(str(beat)) >= since

    def health(self) -> dict[str, Any]:
        """What the API says of all components; empty if it does not answer."""
        try:
            return dict(self._call("GET", "/api/v2/monitor/health", patience=10))
        except (OSError, ValueError):
            return {}

    def load_pools(self, pools: tuple[Pool, ...]) -> None:
        """Make the pools, or bring them in line with the file."""
        try:
            token = str(
                self._call("POST", "/auth/token", {"username": "admin", "password": self.password("admin")})[
                    "access_token"
                ]
            )
            for pool in pools:
                self._load_pool(pool, token)
        except urllib.error.HTTPError as refusal:
            raise NotReachable(
                f"Airflow's API answered {refusal.code}",
                about="pools",
                next_step="see api-server.log and try again",
            ) from None
        except OSError as error:
            raise NotReachable(
                f"Airflow's API does not answer ({type(error).__name__})", about="pools",
                next_step="see whether it runs: quietus sandbox status; then try again",
            ) from None  # fmt: skip

    def _load_pool(self, pool: Pool, token: str) -> None:
        body = {"slots": pool.slots, "description": pool.description, "include_deferred": False}
        try:
            self._call("POST", "/api/v2/pools", {"name": pool.name, **body}, token)
        except urllib.error.HTTPError as refusal:
            if refusal.code != 409:  # 409: it exists
                raise
            self._call("PATCH", f"/api/v2/pools/{pool.name}", {"pool": pool.name, **body}, token)

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        token: str = "",
        *,
        patience: float = 60,
    ) -> Any:
        """What the API answers. Raises HTTPError for a refusal, OSError for none; a house that just started, on a busy machine,
        takes its time."""
        request = urllib.request.Request(  # noqa: S310
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"}
            | ({"Authorization": f"Bearer {token}"} if token else {}),
        )
        with urllib.request.urlopen(request, timeout=patience) as reply:  # noqa: S310
            return json.load(reply)
