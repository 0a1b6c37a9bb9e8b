"""All servers of the sandbox together: up, down, status.

``up`` is declarative: what runs as wanted is left alone, what is missing, dead or different is started.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from include.cases.keys import FileKeyStore
from include.catalogue import load as catalogue
from include.connections import PREFIXES, Environment
from include.hygiene.installing import install as install_janitor
from include.model.errors import Refused
from include.model.words import Role
from include.sandbox.recipients.partners import Partners
from include.sandbox.recipients.places import answering
from include.sandbox.recipients.populace import settle
from include.sandbox.recipients.world import World
from include.sandbox.stack import objects, our_key, records, signing, workers
from include.sandbox.stack.postgres import Cluster, ensure_backup_role, ensure_our_roles, ensure_planter
from include.sandbox.stack.process import Process
from include.sandbox.stack.servers import AIRFLOW, COMPANY, RECORDS, Servers
from include.sandbox.stack.workers import Executor

Say = Callable[[str], None]


@dataclass(frozen=True)
class Line:
    """One server, for ``status``."""

    name: str
    running: bool
    pid: int | None
    where: str
    rss: int  # MiB of its process, without its children


class Stack(Servers):
    """The servers of one checkout, to be started and stopped."""

    # --- up ------------------------------------------------------------------------------------

    def up(
        self, say: Say, *, airflow: bool = True, executor: Executor | None = None, successor: bool = False
    ) -> None:
        """Start everything (``airflow=False``: all but Airflow). ``executor``: who runs its tasks from now on, if that is to
        change. ``successor``: also who takes over at a shutdown; one that was started before is started again anyhow. Raises
        NotReachable or Refused."""
        if (executor or self.executor) is Executor.CELERY:
            workers.must_be_there()
        self.places.make()
        with self._alone():
            self._refuse_lost_secrets()
            if executor is not None and executor is not self.executor:
                self._stop_workers(say)
                self._choose(executor)
            since = datetime.now(UTC)
            self._admit()
            for name, process in (
                ("S3", self.objects), ("anchors", self.anchors), ("recipients", self.recipients)
            ):  # fmt: skip
                say(f"{name}: {'started' if process.start() else 'runs already'}")
            with ThreadPoolExecutor(2) as pool:  # initdb takes seconds of one core each
                for line in pool.map(self._start_cluster, (self.company, self.records)):
                    say(line)
            self._make_roles()
            self.settle_people(say)
            with ThreadPoolExecutor(1) as pool:
                metadata = pool.submit(self.airflow.migrate) if airflow else None
                records.make_tables(self.records, RECORDS)
                FileKeyStore.from_text(str(self.key_store), self._wrapping_key, begin=True)
                say("case book, ledger and key store: up to date")
                self._start_signer(say)
                for server in ("objects", "anchors"):
                    getattr(self, server).wait(lambda server=server: objects.answers(self._port(server)), 60)
                self._keep_heads_outside(say)
                self.bags.mkdir(mode=0o700, exist_ok=True)
                if successor or self.successor.exists:
                    self.successor.up(say)
                self.recipients.wait(lambda: answering(self.outside, self._port("recipients")), 30)
                if metadata is not None:
                    say(f"Airflow's tables: {'made' if metadata.result() else 'up to date'}")
                    install_janitor(self.records.conninfo(AIRFLOW, AIRFLOW))
                    self.run_history.mkdir(mode=0o700, exist_ok=True)
            if airflow:
                self._start_airflow(say, since)

    def _admit(self) -> None:
        """The bodies know us by tokens of which they keep digests only, the partners by our certificate."""
        world = World(self.outside)
        try:
            world.admit(self.tokens())
            shown = our_key.certificate(self._signing_key)
            Partners(world.state).acquaint({p.id: shown for p in catalogue().upstream})
        finally:
            world.close()

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
        ensure_our_roles(self.company)
        ensure_backup_role(self.company)
        self.company.ensure_database(COMPANY)
        ensure_planter(self.company, COMPANY)
        self.records.ensure_role(AIRFLOW)
        self.records.ensure_role(Role.JANITOR.value)
        self.records.ensure_database(AIRFLOW, owner=AIRFLOW, open_to=(Role.JANITOR.value,))
        records.make_roles(self.records, RECORDS)

    def settle_people(self, say: Say) -> None:
        """The company's people lie with whoever was given their data. Once for a company; without one nothing."""
        world = World(self.outside)
        try:
            settle(self.company.superuser_conninfo(COMPANY), world, say)
        finally:
            world.close()

    def _start_signer(self, say: Say) -> None:
        origin = self.settings.variables["quietus_ledger_origin"]
        started = signing.start(self.signer, self.places, self.ledger_home, origin)
        say(f"signer: {'started' if started else 'runs already'}")

    def _keep_heads_outside(self, say: Say) -> None:
        """The bucket of the ledger's heads. Where this server forgot them, the ledger says so for ever."""
        from include.cases import keeping

        connections = Environment({f"{PREFIXES[0]}{i.upper()}": c for i, c in self.connections().items()})
        outside = keeping.anchor_of(connections)
        objects.make_locked_bucket(connections.s3(keeping.OUTSIDE, Role.ANCHOR), outside.bucket)
        if keeping.is_lost(connections):
            heads = keeping.begin_anew(connections)
            say(
                "ledger: the S3 server keeps objects in memory, and lost the heads kept outside when it stopped; "
                f"{heads} are there again, and the ledger says that it began anew"
            )

    def _stop_workers(self, say: Say) -> None:
        """What the executor that was used until now needs and the next does not."""
        for name in (*workers.WORKERS, None):
            process = self.airflow.processes.get(name) if name else self.broker
            if process is not None and process.stop():
                say(f"{process.spec.name}: stopped")

    def _start_airflow(self, say: Say, since: datetime) -> None:
        if self.executor is Executor.CELERY:
            say(f"broker: {'started' if self.broker.start() else 'runs already'}")
            self.broker.wait(lambda: workers.answers(self._port("broker")), 30)
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
            (self.anchors, local(self._port("anchors"))),
            (self.recipients, local(self._port("recipients"))),
            (self.signer, str(self.places.socket("signer"))),
            *self.successor.processes(),
            *([(self.broker, local(self._port("broker")))] if self.executor is Executor.CELERY else []),
            *((p, self.airflow.url if n == "api-server" else "") for n, p in self.airflow.processes.items()),
        ]

    def down(self, say: Say, *, purge: bool = False) -> None:
        """Stop what was started, Airflow first and PostgreSQL last. ``purge``: remove all state too."""
        if not self.places.home.exists() and not self.places.servers.exists():
            say("nothing was started here")
            return
        self.places.make()
        with self._alone():
            users = [s for s, _ in self.processes() if isinstance(s, Process) and s.spec.name != "broker"]
            with ThreadPoolExecutor(len(users)) as pool:
                for process, stopped in zip(users, pool.map(Process.stop, users), strict=True):
                    if stopped:
                        say(f"{process.spec.name}: stopped")
                if self.executor is Executor.CELERY and self.broker.stop():  # workers say good-bye to it
                    say("broker: stopped")
                clusters = [s for s, _ in self.processes() if isinstance(s, Cluster)]
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


def _rss(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) // 1024
    except OSError:
        pass
    return 0


__all__ = ["AIRFLOW", "COMPANY", "RECORDS", "Line", "Stack"]
