"""All servers of the sandbox together: up, down, status, and what others need to reach them.

    company    PostgreSQL: the company's data            roles eraser, prover, and the business roles
    records    PostgreSQL: case book, ledger, Airflow    one role for each duty
    objects    S3                                        a key for each role
    recipients the other companies
    signer     holds the ledger's key
    airflow-*  API server, scheduler, DAG processor, triggerer

``up`` is declarative: what runs as wanted is left alone, what is missing, dead or different is started.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from include.model.errors import NotReachable, Refused
from include.model.words import Role
from include.sandbox.stack import objects
from include.sandbox.stack.airflow import Airflow
from include.sandbox.stack.places import CHECKOUT, Places
from include.sandbox.stack.ports import PortBook
from include.sandbox.stack.postgres import Cluster, binaries_for, ensure_eraser_and_prover
from include.sandbox.stack.process import Process, Spec, is_running
from include.sandbox.stack.settings import Settings, connections, load
from include.sandbox.stack.vault import Vault

COMPANY, RECORDS, AIRFLOW = "company", "quietus", "airflow"  # databases
# A log-in role of the records database, and the group that its schemas grant to.
RECORD_ROLES: Mapping[Role, str] = {
    Role.CASE_WRITER: "quietus_case_writer",
    Role.LEDGER_WRITER: "quietus_ledger_writer",
    Role.SEQUENCER: "quietus_sequencer",
    Role.READER: "quietus_reader",
}
Say = Callable[[str], None]


@dataclass(frozen=True)
class Line:
    """One server, for ``status``."""

    name: str
    running: bool
    pid: int | None
    where: str
    rss: int  # MiB of its process, without its children


class Stack:
    """The servers of one checkout (or, in tests, of one ``home``)."""

    def __init__(self, home: Path | None = None, *, durable: bool = True) -> None:
        """``durable=False`` lets PostgreSQL skip fsync: for tests, whose data may vanish in a power cut."""
        self.places = Places.of(home)
        self._durable = durable

    # --- what it is made of --------------------------------------------------------------------

    @cached_property
    def vault(self) -> Vault:
        return Vault(self.places.home / "secrets.json")

    @cached_property
    def settings(self) -> Settings:
        return load(CHECKOUT / "airflow_settings.yaml")

    @cached_property
    def _ports(self) -> PortBook:
        return PortBook(self.places.home / "ports.json")

    def _port(self, name: str, process: str = "") -> int:
        return self._ports.get(name, ours_is_listening=is_running(self.places, process or name))

    @cached_property
    def company(self) -> Cluster:
        archive = self.places.room_for("company-archive")
        return self._cluster(
            "company",
            {
                "wal_level": "replica",
                "summarize_wal": "on",  # incremental backups need it
                "archive_mode": "on",
                "archive_library": "basic_archive",  # durable, never overwrites
                "basic_archive.archive_directory": str(archive),
                "max_wal_senders": "4",
                "max_prepared_transactions": "5",
                "track_counts": "on",  # the bystander check reads pg_stat_xact_user_tables
            },
        )

    @cached_property
    def records(self) -> Cluster:
        return self._cluster("records", {"max_connections": "200"})

    def _cluster(self, name: str, settings: Mapping[str, str]) -> Cluster:
        fast = {} if self._durable else {"fsync": "off", "synchronous_commit": "off"}
        return Cluster(
            name=name,
            binaries=binaries_for(self.places),
            places=self.places,
            vault=self.vault,
            port=self._port(name, f"postgres-{name}"),
            settings={**settings, **fast},
        )

    @cached_property
    def objects(self) -> Process:
        return objects.process(self.places, self._port("objects"))

    @cached_property
    def recipients(self) -> Process:
        return Process(
            Spec(
                name="recipients",
                argv=(
                    sys.executable, "-m", "include.sandbox.recipients",
                    "--port", str(self._port("recipients")),
                    "--state", str(self.places.home / "recipients.json"),
                ),
                env=objects.plain_environment(),
                cwd=CHECKOUT,
                patience=5.0,
            ),
            self.places,
        )  # fmt: skip

    @property
    def certificates(self) -> Path:
        """Where the sandbox's certificates are laid out."""
        return self.places.home / "certificates"

    @property
    def _wrapping_key(self) -> str:
        """32 bytes in base64, as a KMS would hold them; here a secret of the sandbox, made once."""
        secret = self.vault.get("key_store/kek", 48)
        return base64.b64encode(hashlib.sha256(secret.encode()).digest()).decode()

    @property
    def ledger_home(self) -> Path:
        """The signer's key (0600), its state, and the public key ``pub.pem`` that verifiers use."""
        return self.places.home / "ledger"

    @cached_property
    def signer(self) -> Process:
        return Process(
            Spec(
                name="signer",
                argv=(
                    *_SIGNER, "--socket", str(self.places.socket("signer")),
                    "--key-file", str(self.ledger_home / "key.pem"),
                    "--state", str(self.ledger_home / "state.json"),
                ),
                env=objects.plain_environment(),
                cwd=CHECKOUT,
                patience=10.0,
            ),
            self.places,
        )  # fmt: skip

    @cached_property
    def airflow(self) -> Airflow:
        password = self.records.password(AIRFLOW)  # URL-safe by construction
        return Airflow(
            self.places,
            self.vault,
            self._port("airflow", "airflow-api-server"),
            f"postgresql+psycopg://{AIRFLOW}:{password}@127.0.0.1:{self.records.port}/{AIRFLOW}",
            {
                **{f"AIRFLOW_CONN_{i.upper()}": said for i, said in self.connections().items()},
                **{f"AIRFLOW_VAR_{n.upper()}": value for n, value in self.settings.variables.items()},
            },
        )

    # --- how others reach it -------------------------------------------------------------------

    def connections(self) -> dict[str, str]:
        """Every connection of ``airflow_settings.yaml`` as JSON, completed from the running servers."""
        return connections(self.settings, self._known_connections())

    def _known_connections(self) -> dict[str, dict[str, Any]]:
        known: dict[str, dict[str, Any]] = {
            "ledger_signer": {"extra": {"text": str(self.places.socket("signer"))}},
            "key_store": {"extra": {"text": str(self.places.home / "keys")}},
            "key_store_kek": {"extra": {"text": self._wrapping_key}},
            "certificates": {"extra": {"text": str(self.certificates)}},
            "recipients": {
                "host": "127.0.0.1",
                "port": self._port("recipients"),
                "extra": {"text": f"http://127.0.0.1:{self._port('recipients')}"},
            },
        }
        for role in Role:
            known[f"objects_{role}"] = {
                "login": f"sandbox-{role}",
                "password": self.vault.get(f"objects/{role}"),
                "extra": {
                    "endpoint_url": objects.endpoint(self._port("objects")),
                    "region_name": objects.REGION,
                },
            }
            for connection, cluster in (("company", self.company), ("records", self.records)):
                known[f"{connection}_{role}"] = {
                    "host": "127.0.0.1",
                    "port": cluster.port,
                    "login": role.value,
                    "password": cluster.password(role.value),
                }
        return known

    @property
    def exists(self) -> bool:
        """True if this sandbox was ever started and not purged."""
        return (self.places.home / "secrets.json").exists()

    def shell(self, *, airflow: bool = False) -> dict[str, str]:
        """Variables by which ``quietus``, ``psql service=<connection id>`` and a verifier find it."""
        said = {f"QUIETUS_CONN_{i.upper()}": value for i, value in self.connections().items()}
        said["QUIETUS_LEDGER_KEY"] = str(self.ledger_home / "pub.pem")
        said["PGSERVICEFILE"] = str(self._write_services())
        if self.airflow.processes["api-server"].running:
            said["QUIETUS_AIRFLOW_URL"] = self.airflow.url
        if airflow:
            said |= {
                k: v for k, v in self.airflow.environment.items() if k.startswith(("AIRFLOW", "PYTHONPATH"))
            }
        return said

    def _write_services(self) -> Path:
        """libpq's service file: one service for each database connection, with its secret."""
        path = self.places.home / "pg_service.conf"
        fresh = path.with_name(path.name + ".new")
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        parts = []
        for conn_id, said in self.connections().items():
            c = json.loads(said)
            if c.get("conn_type") == "postgres":
                parts.append(
                    f"[{conn_id}]\nhost={c['host']}\nport={c['port']}\nuser={c['login']}\n"
                    f"password={c['password']}\ndbname={c['schema']}\n"
                )
        fresh.write_text("\n".join(parts), "utf-8")
        fresh.replace(path)
        return path

    # --- up ------------------------------------------------------------------------------------

    def up(self, say: Say, *, airflow: bool = True) -> None:
        """Start everything (``airflow=False``: all but Airflow). Raises NotReachable or Refused."""
        self.places.make()
        with self._alone():
            self._refuse_lost_secrets()
            since = datetime.now(UTC)
            for name, process in (("S3", self.objects), ("recipients", self.recipients)):
                say(f"{name}: {'started' if process.start() else 'runs already'}")
            with ThreadPoolExecutor(2) as pool:  # initdb takes seconds of one core each
                for line in pool.map(self._start_cluster, (self.company, self.records)):
                    say(line)
            self._make_roles()
            with ThreadPoolExecutor(1) as pool:
                metadata = pool.submit(self.airflow.migrate) if airflow else None
                self._make_records()
                say("case book and ledger: schemas up to date")
                self._start_signer(say)
                self.objects.wait(lambda: objects.answers(self._port("objects")), 60)
                self.recipients.wait(lambda: _answers(f"http://127.0.0.1:{self._port('recipients')}/"), 30)
                if metadata is not None:
                    say(f"Airflow's tables: {'made' if metadata.result() else 'up to date'}")
            if airflow:
                self._start_airflow(say, since)

    def _refuse_lost_secrets(self) -> None:
        made = [name for name in ("company", "records") if (self.places.servers / name / "data").exists()]
        if made and not self.exists:
            raise Refused(
                "there is a sandbox's data but not its secrets",
                about=str(self.places.home),
                next_step="start anew: quietus sandbox down --purge",
            )

    @staticmethod
    def _start_cluster(cluster: Cluster) -> str:
        made = cluster.create()
        started = cluster.start()
        cluster.wait()
        how = "made and started" if made else "started" if started else "runs already"
        return f"PostgreSQL {cluster.name}: {how}"

    def _make_roles(self) -> None:
        ensure_eraser_and_prover(self.company)
        self.company.ensure_database(COMPANY)
        self.records.ensure_role(AIRFLOW)
        for role in RECORD_ROLES:
            self.records.ensure_role(role.value)
        self.records.ensure_database(AIRFLOW, owner=AIRFLOW, open_to=())
        self.records.ensure_database(RECORDS, open_to=tuple(role.value for role in RECORD_ROLES))

    def _make_records(self) -> None:
        from include.cases.migrate import migrate
        from include.ledger import log

        owner = self.records.superuser_conninfo(RECORDS)
        migrate(owner)
        log.install(owner)
        with psycopg.connect(owner, autocommit=True) as conn:
            for role, group in RECORD_ROLES.items():
                conn.execute(
                    sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(role.value))
                )

    def _start_signer(self, say: Say) -> None:
        if not self.ledger_home.exists():
            # Into a directory of its own first: a key without a state would be of no use.
            fresh = self.places.home / "ledger.new"
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(mode=0o700)
            done = subprocess.run(
                [
                    *_SIGNER, "--init", "--origin", self.settings.variables["quietus_ledger_origin"],
                    "--key-file", fresh / "key.pem", "--state", fresh / "state.json",
                    "--public", fresh / "pub.pem",
                ],
                cwd=CHECKOUT, env=objects.plain_environment(), stdin=subprocess.DEVNULL,
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            if done.returncode != 0:
                raise NotReachable(done.stderr.strip() or "the key could not be made", about="signer")
            fresh.rename(self.ledger_home)
        started = self.signer.start()
        self.signer.wait(lambda: self.places.socket("signer").is_socket(), 30)
        say(f"signer: {'started' if started else 'runs already'}")

    def _start_airflow(self, say: Say, since: datetime) -> None:
        started = self.airflow.start()
        say(f"Airflow: {', '.join(started)} started" if started else "Airflow: runs already")
        self.airflow.wait(since, started)
        self.airflow.load_pools(self.settings.pools)
        say(f"Airflow: healthy at {self.airflow.url}")

    # --- down and status -----------------------------------------------------------------------

    def processes(self) -> list[tuple[Process | Cluster, str]]:
        """Every server in the order of starting, and where it listens."""
        local = "127.0.0.1:{}".format
        return [
            (self.company, local(self.company.port)),
            (self.records, local(self.records.port)),
            (self.objects, local(self._port("objects"))),
            (self.recipients, local(self._port("recipients"))),
            (self.signer, str(self.places.socket("signer"))),
            *((p, self.airflow.url if n == "api-server" else "") for n, p in self.airflow.processes.items()),
        ]

    def down(self, say: Say, *, purge: bool = False) -> None:
        """Stop what was started, Airflow first and PostgreSQL last. ``purge``: remove all state too."""
        if not self.places.home.exists() and not self.places.servers.exists():
            say("nothing was started here")
            return
        self.places.make()
        with self._alone():
            users = [s for s, _ in self.processes() if isinstance(s, Process)]
            with ThreadPoolExecutor(len(users)) as pool:
                for process, stopped in zip(users, pool.map(Process.stop, users), strict=True):
                    if stopped:
                        say(f"{process.spec.name}: stopped")
                clusters = [self.company, self.records]
                for cluster, stopped in zip(clusters, pool.map(Cluster.stop, clusters), strict=True):
                    if stopped:
                        say(f"PostgreSQL {cluster.name}: stopped")
            if purge:
                # What the bootstrap of `make` keeps there is not ours.
                self.places.purge(keep=frozenset({"tools", "lock"}))
                say("state removed")

    def status(self) -> list[Line]:
        """Every server, running or not."""
        if not self.exists:
            return []
        lines = []
        for server, where in self.processes():
            process = server if isinstance(server, Process) else server.process
            identity = process.identity
            lines.append(
                Line(
                    process.spec.name,
                    identity is not None,
                    identity.pid if identity else None,
                    where,
                    _rss(identity.pid) if identity else 0,
                )
            )
        return lines

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two ups at once would start everything twice. The lock goes with the process that holds it."""
        with (self.places.home / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Refused(
                    "the sandbox is being started or stopped by another command",
                    about=str(self.places.home),
                    next_step="wait for it to end, then try again",
                ) from None
            yield


_SIGNER = (sys.executable, "-m", "include.ledger.signer")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:  # noqa: S310
            return bool(reply.status == 200)
    except OSError:
        return False


def _rss(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) // 1024
    except OSError:
        pass
    return 0
