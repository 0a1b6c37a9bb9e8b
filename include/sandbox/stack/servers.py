"""What a sandbox is made of: each server with its port, its secrets and its settings; and how others reach them.

    company    PostgreSQL: the company's data            roles eraser, prover, maintainer, and the business roles
    records    PostgreSQL: case book, ledger, Airflow    one role for each duty
    objects    S3                                        a key for each role
    anchors    another S3, somebody else's: the ledger's heads, under Object Lock
    recipients the other companies: HTTPS, and the mail server
    signer     holds the ledger's key
    successor  who takes over at a shutdown, on request: see ``successor``
    airflow-*  API server, scheduler, DAG processor, triggerer; with CeleryExecutor two workers
    broker     Redis, with CeleryExecutor

Nothing is started here: ``stack.Stack`` does.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from include.catalogue import load as catalogue
from include.connections import business_connection
from include.model.errors import Refused
from include.model.keks import Keks
from include.model.words import Role
from include.sandbox.recipients.bodies import Door, bodies
from include.sandbox.recipients.partners import Company
from include.sandbox.recipients.places import LOGIN, MAIL, authority_in
from include.sandbox.stack import objects, our_key, signing, workers
from include.sandbox.stack.airflow import Airflow
from include.sandbox.stack.places import CHECKOUT, Places
from include.sandbox.stack.ports import PortBook
from include.sandbox.stack.postgres import Cluster, binaries_for, version_of
from include.sandbox.stack.process import Process, Spec, is_running
from include.sandbox.stack.settings import Settings, connections, load
from include.sandbox.stack.successor import COURIER, Successor
from include.sandbox.stack.vault import Vault
from include.sandbox.stack.workers import Executor

COMPANY, RECORDS, AIRFLOW = "company", "quietus", "airflow"  # databases
APPLICATIONS = ("sandbox-portal", "sandbox-ra", "sandbox-support")  # of the company, that use its buckets
CALLBACK = "/quietus/recipients/callback"  # under Airflow's address; the plugin answers there
FOR_PARTNERS = "/quietus/recipients/v2"


class Servers:
    """The servers of one checkout (or, in tests, of one ``home``), running or not."""

    def __init__(
        self, home: Path | None = None, *, durable: bool = True, airflow: Mapping[str, str] | None = None
    ) -> None:
        """``durable=False`` lets PostgreSQL skip fsync and roles log in quickly: for tests, whose data may vanish in a power cut.
        ``airflow``: settings of Airflow's that differ from the sandbox's, by their environment variables."""
        self.places = Places.of(home)
        self._durable = durable
        self._airflow_settings = airflow or {}

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
        return self.cluster(
            "company",
            {
                "wal_level": "replica",
                "summarize_wal": "on",  # incremental backups need it
                "wal_recycle": "off",  # a recycled segment bears what was deleted under the name of one to come
                "archive_mode": "on",
                "archive_library": "basic_archive",  # durable, never overwrites
                "basic_archive.archive_directory": str(self.archive),
                "max_wal_senders": "4",
                "max_prepared_transactions": "5",
                "track_counts": "on",  # the bystander check reads pg_stat_xact_user_tables
            },
        )

    @cached_property
    def archive(self) -> Path:
        """Where the company's log is archived, beside its base backups."""
        return self.places.room_for(f"{self.backups.name}/archive")

    @cached_property
    def backups(self) -> Path:
        """Where the company's own job puts its base backups."""
        return self.places.room_for("company-backups")

    @cached_property
    def records(self) -> Cluster:
        return self.cluster("records", {"max_connections": "200"})

    def port(self, name: str) -> int:
        """The port of a server that is called so."""
        return self._port(name)

    def cluster(self, name: str, settings: Mapping[str, str], vault: Vault | None = None) -> Cluster:
        """A PostgreSQL of this sandbox. ``vault``: another company's secrets."""
        # One round of SCRAM: of 4,096, a connection is two thirds of its client's time.
        fast = {"fsync": "off", "synchronous_commit": "off", "scram_iterations": "1"}
        return Cluster(
            name=name,
            binaries=binaries_for(self.places),
            places=self.places,
            vault=vault or self.vault,
            port=self._port(name, f"postgres-{name}"),
            settings={**settings, **({} if self._durable else fast)},
        )

    @cached_property
    def objects(self) -> Process:
        return objects.process(self.places, self._port("objects"))

    @cached_property
    def anchors(self) -> Process:
        return objects.process(self.places, self._port("anchors"), "anchors")

    @cached_property
    def recipients(self) -> Process:
        return Process(
            Spec(
                name="recipients",
                argv=(
                    sys.executable, "-m", "include.sandbox.recipients",
                    "--home", str(self.outside),
                    "--port", str(self._port("recipients")),
                    "--mail-port", str(self._port("mail", "recipients")),
                ),
                env=objects.plain_environment(),
                cwd=CHECKOUT,
                patience=5.0,
            ),
            self.places,
        )  # fmt: skip

    @property
    def outside(self) -> Path:
        """What other companies remember, and by what they are trusted. Personal, as the company's database is: what
        they were given lies there."""
        return self.places.home / "outside"

    def tokens(self) -> dict[str, str]:
        """By which we show each body, and our own mail server, who we are."""
        return {name: self.vault.get(f"recipients/{name}") for name in (*bodies(), MAIL)}

    @property
    def certificates(self) -> Path:
        """Where the sandbox's certificates are laid out."""
        return self.places.home / "certificates"

    @property
    def run_history(self) -> Path:
        """Where the histories of runs are laid before the runs go."""
        return self.places.home / "run-history"

    @property
    def key_store(self) -> Path:
        """Where the case keys lie, wrapped."""
        return self.places.home / "keys"

    @property
    def _wrapping_key(self) -> str:
        """32 bytes in base64, as a KMS would hold them; here a secret of the sandbox, made once."""
        secret = self.vault.get("key_store/kek", 48)
        return base64.b64encode(hashlib.sha256(secret.encode()).digest()).decode()

    @property
    def _object_keks(self) -> str:
        """What wraps the data keys of the company's objects, as a KMS would hold it."""
        return self.vault.keep("objects/keks", lambda: Keks.made().text())

    @property
    def ledger_home(self) -> Path:
        """The signer's key (0600), its state, and the public key ``pub.pem`` that verifiers use."""
        return self.places.home / "ledger"

    @cached_property
    def signer(self) -> Process:
        return signing.process(self.places, "signer", self.ledger_home)

    @cached_property
    def successor(self) -> Successor:
        return Successor(self)

    @property
    def bags(self) -> Path:
        """Where sealed bags of a shutdown lie until they are sent, and after."""
        return self.places.home / "handover"

    @property
    def executor(self) -> Executor:
        """The one that was chosen last: a sandbox that is started again keeps it."""
        path = self._executor_file
        return Executor(path.read_text("utf-8").strip()) if path.exists() else Executor.LOCAL

    @property
    def _executor_file(self) -> Path:
        return self.places.home / "executor"

    def _choose(self, executor: Executor) -> None:
        self._executor_file.write_text(executor.value, "utf-8")
        self.__dict__.pop("airflow", None)  # made anew, of other processes and settings

    @cached_property
    def broker(self) -> Process:
        return workers.broker(self.places, *self._to_broker)

    @property
    def _to_broker(self) -> tuple[int, str]:
        return self._port("broker"), self.vault.get("broker", 24)

    @cached_property
    def airflow(self) -> Airflow:
        celery = self.executor is Executor.CELERY
        password = self.records.password(AIRFLOW)  # URL-safe by construction
        return Airflow(
            self.places,
            self.vault,
            self._port("airflow", "airflow-api-server"),
            f"postgresql+psycopg://{AIRFLOW}:{password}@127.0.0.1:{self.records.port}/{AIRFLOW}",
            {
                **{f"AIRFLOW_CONN_{i.upper()}": said for i, said in self.connections().items()},
                **{f"AIRFLOW_VAR_{n.upper()}": value for n, value in self.settings.variables.items()},
                **(workers.settings(*self._to_broker) if celery else {}),
                **self._airflow_settings,
            },
            workers=workers.WORKERS if celery else (),
            present=lambda: workers.present(*self._to_broker),
        )

    # --- how others reach it -------------------------------------------------------------------

    def connections(self) -> dict[str, str]:
        """Every connection of ``airflow_settings.yaml`` as JSON, completed from the running servers."""
        return connections(self.settings, self._known_connections())

    def _known_connections(self) -> dict[str, dict[str, Any]]:
        known: dict[str, dict[str, Any]] = {
            "ledger_signer": {"extra": {"text": str(self.places.socket("signer"))}},
            "ledger_public_key": {"extra": {"text": str(self.ledger_home / "pub.pem")}},
            "ledger_anchor": {
                "login": "sandbox-anchor",
                "password": self.vault.get("anchors/anchor"),
                "extra": {
                    "endpoint_url": objects.endpoint(self._port("anchors")),
                    "region_name": objects.REGION,
                },
            },
            "backup_company_base": {"extra": {"text": str(self.backups)}},
            "company_files": {"extra": {"text": str(self.company.data)}},
            "company_log": {"extra": {"text": str(self.company.process.log)}},
            "scratch": {"extra": {"text": str(self.places.room_for("scratch"))}},
            f"postgres_{version_of(self.company.binaries)}_bin": {
                "extra": {"text": str(self.company.binaries)}
            },
            "key_store": {"extra": {"text": str(self.key_store)}},
            "key_store_kek": {"extra": {"text": self._wrapping_key}},
            "object_keks": {"extra": {"text": self._object_keks}},
            "certificates": {"extra": {"text": str(self.certificates)}},
            "run_history": {"extra": {"text": str(self.run_history)}},
            "handover_bags": {"extra": {"text": str(self.bags)}},
            COURIER: self.successor.courier(),
            "airflow_metadata_janitor": {
                "host": "127.0.0.1",
                "port": self.records.port,
                "login": Role.JANITOR.value,
                "password": self.records.password(Role.JANITOR.value),
            },
            "mail": {
                "login": LOGIN,
                "password": self.vault.get(f"recipients/{MAIL}"),
                "extra": {
                    "url": f"smtps://127.0.0.1:{self._port('mail', 'recipients')}",
                    "authority": str(authority_in(self.outside)),
                },
            },
            "callback": {
                "extra": {"text": f"http://127.0.0.1:{self._port('airflow', 'airflow-api-server')}{CALLBACK}"}
            },
            "dsr_signing_key": {"extra": {"text": self._signing_key}},
            **self._recipients(),
            **self._partners(),
        }
        for application in APPLICATIONS:
            known[business_connection("objects", application)] = self._key_to_objects(
                application, application
            )
        for role in Role:
            known[f"objects_{role}"] = self._key_to_objects(f"sandbox-{role}", role.value)
            for connection, cluster in (("company", self.company), ("records", self.records)):
                known[f"{connection}_{role}"] = {
                    "host": "127.0.0.1",
                    "port": cluster.port,
                    "login": role.value,
                    "password": cluster.password(role.value),
                }
        return known

    def _key_to_objects(self, login: str, secret: str) -> dict[str, Any]:
        return {
            "login": login,
            "password": self.vault.get(f"objects/{secret}"),
            "extra": {"endpoint_url": objects.endpoint(self._port("objects")), "region_name": objects.REGION},
        }

    def _recipients(self) -> dict[str, dict[str, Any]]:
        """Where each body is told. A connection for one that only a person can tell leads nowhere, and is not there."""
        base, authority = f"https://127.0.0.1:{self._port('recipients')}", str(authority_in(self.outside))
        found: dict[str, dict[str, Any]] = {}
        for body in bodies().values():
            if body.door is Door.OPENDSR:
                found[f"recipient_{body.id}"] = {
                    "password": self.vault.get(f"recipients/{body.id}"),
                    "extra": {"url": f"{base}/{body.id}/v2", "authority": authority},
                }
            elif body.door is Door.MAIL:
                found[f"recipient_{body.id}"] = {"extra": {"url": f"mailto:{body.address}"}}
        return found

    def _partners(self) -> dict[str, dict[str, Any]]:
        """The token of each partner that gave us data, and where it wants to be called back."""
        base, authority = f"https://127.0.0.1:{self._port('recipients')}", str(authority_in(self.outside))
        return {
            f"upstream_{partner.id}": {
                "password": self.vault.get(f"upstream/{partner.id}"),
                "extra": {"url": f"{base}/partners/{partner.id}/callbacks", "authority": authority},
            }
            for partner in catalogue().upstream
        }

    @property
    def _signing_key(self) -> str:
        return self.vault.keep("dsr_signing_key", our_key.made)

    def for_partner(self, partner: str) -> Company:
        """Our company as one of its partners reaches it. Raises Refused for one that there is not."""
        known = self._partners().get(f"upstream_{partner}")
        if known is None:
            raise Refused(
                "no such partner gave the company data", about=partner,
                next_step="choose of " + ", ".join(p.id for p in catalogue().upstream),
            )  # fmt: skip
        return Company(self.airflow.url + FOR_PARTNERS, known["password"], known["extra"]["url"])

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
