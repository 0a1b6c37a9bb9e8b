"""Who takes over in the sandbox: another company with servers, keys and a case book of its own, on the same machine.

    successor          PostgreSQL: its estate (the same schema, empty) and, beside it, its case book and ledger
    successor-objects  S3: its buckets of the same names, and the inbox into which bags come
    successor-signer   signs its receipts

It goes on with what it took over: eraser and prover work there as with us. It has a vault of its own; with the sandbox's company
it shares the key to the inbox, and nothing else. Started on request only.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from include.connections import PREFIXES, SUCCESSOR_INBOX, Environment
from include.model.errors import NotReachable
from include.model.keks import Keks
from include.model.words import Role
from include.sandbox.stack import objects, signing
from include.sandbox.stack.places import Places
from include.sandbox.stack.postgres import Cluster, ensure_our_roles
from include.sandbox.stack.process import Process
from include.sandbox.stack.settings import Settings, connections
from include.sandbox.stack.vault import Vault

NAME, CONTACT = "Sandbox Successor CA", "handover@successor.sandbox.example"
ORIGIN = "successor.sandbox.example/quietus"
INBOX = "handover-inbox"
"""Its bucket for bags."""
COURIER = f"{SUCCESSOR_INBOX}_{Role.COURIER}"
ESTATE, RECORDS = "company", "quietus"  # databases
VALID = timedelta(days=3650)
WORKS_WITH = (
    "object_keks", "key_store", "key_store_kek", COURIER, "ledger_signer", "ledger_public_key", "sandbox",
    *(f"{c}_{r}" for c in ("company", "objects") for r in (Role.CUSTODIAN, Role.ERASER, Role.PROVER)),
    f"company_{Role.MAINTAINER}",
    *(f"records_{r}" for r in (Role.CASE_WRITER, Role.LEDGER_WRITER, Role.SEQUENCER, Role.READER)),
)  # fmt: skip
Say = Callable[[str], None]


class Ours(Protocol):
    """What the successor uses of the company's own servers (``servers.Servers``): room, ports and programs."""

    places: Places

    @property
    def vault(self) -> Vault: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def ledger_home(self) -> Path: ...
    def port(self, name: str) -> int: ...
    def cluster(self, name: str, settings: Mapping[str, str], vault: Vault | None = None) -> Cluster: ...


class Successor:
    """The successor beside the sandbox's company; ``ours`` are that company's servers."""

    def __init__(self, ours: Ours) -> None:
        self._ours = ours
        self.home = ours.places.home / "successor"

    # --- what it is made of --------------------------------------------------------------------

    @property
    def exists(self) -> bool:
        """True if it was ever started and not purged."""
        return (self.home / "secrets.json").exists()

    @property
    def _places(self) -> Places:
        return self._ours.places

    @cached_property
    def vault(self) -> Vault:
        self.home.mkdir(mode=0o700, exist_ok=True)
        return Vault(self.home / "secrets.json")

    @cached_property
    def cluster(self) -> Cluster:
        return self._ours.cluster("successor", {}, self.vault)

    @cached_property
    def objects(self) -> Process:
        return objects.process(self._places, self._ours.port("successor-objects"), "successor-objects")

    @property
    def signer_home(self) -> Path:
        """Its signer's key, state and public key: by the last our side believes its receipts."""
        return self.home / "ledger"

    @cached_property
    def signer(self) -> Process:
        return signing.process(self._places, "successor-signer", self.signer_home)

    @property
    def certificate(self) -> Path:
        """To which bags are sealed."""
        return self.home / "certificate.pem"

    @property
    def key(self) -> Path:
        """Its private key, readable by its owner alone."""
        return self.home / "key.pem"

    @property
    def receipt_key(self) -> Path:
        return self.signer_home / "pub.pem"

    @property
    def work(self) -> Path:
        """Where bags are opened."""
        return self.home / "work"

    def processes(self) -> list[tuple[Process | Cluster, str]]:
        """Its servers in the order of starting, and where each listens; none if it was never started."""
        if not self.exists:
            return []
        return [
            (self.cluster, f"127.0.0.1:{self.cluster.port}"),
            (self.objects, f"127.0.0.1:{self._ours.port('successor-objects')}"),
            (self.signer, str(self._places.socket("successor-signer"))),
        ]

    # --- up ------------------------------------------------------------------------------------

    def up(self, say: Say) -> None:
        """Start it, and make what is missing: schema, buckets, inbox, keys. Twice is once. Raises NotReachable or Refused."""
        from include.cases.keys import FileKeyStore
        from include.catalogue import load
        from include.handover.custody import prepare
        from include.sandbox.buckets import make_buckets
        from include.sandbox.seed import apply_schema
        from include.sandbox.stack.records import make_records
        from include.stores.postgres import install
        from include.stores.s3 import S3Store

        self.objects.start()
        self.cluster.create()
        started = self.cluster.start()
        self.cluster.wait()
        ensure_our_roles(self.cluster)
        # Row security is for the people whom an estate serves, and hides from nobody who takes it over.
        self.cluster.ensure_role(Role.CUSTODIAN.value, options="BYPASSRLS")
        self.cluster.ensure_database(ESTATE)
        owner = self.cluster.superuser_conninfo(ESTATE)
        apply_schema(owner)
        install(owner, load(), "company")
        prepare(owner, load(), "company")
        make_records(self.cluster, RECORDS)
        self._make_keys()
        FileKeyStore.from_text(str(self.home / "keys"), self._wrapping_key, begin=True)
        signing.start(self.signer, self._places, self.signer_home, ORIGIN)
        self.objects.wait(lambda: objects.answers(self._ours.port("successor-objects")), 60)
        make_buckets(self.environment().s3("objects", Role.CUSTODIAN))
        S3Store(load(), "objects", self.environment()).install()
        self._make_inbox()
        self.work.mkdir(mode=0o700, exist_ok=True)
        self.write_environment()
        say(
            f"successor: {'started' if started else 'runs already'}, with an estate, an inbox and a signer of its own"
        )

    def _make_inbox(self) -> None:
        client = self.environment().s3(SUCCESSOR_INBOX, Role.COURIER)
        try:
            if INBOX not in {b["Name"] for b in client.list_buckets()["Buckets"]}:
                client.create_bucket(Bucket=INBOX)
        except (ClientError, BotoCoreError) as error:
            raise NotReachable(
                f"the successor's inbox could not be made ({type(error).__name__})", about=INBOX,
                next_step="see whether its S3 server runs: quietus sandbox status",
            ) from None  # fmt: skip

    def _make_keys(self) -> None:
        """Certificate and key, once: a bag is sealed to the one that the order names."""
        if self.certificate.exists():
            return
        key = rsa.generate_private_key(public_exponent=65537, key_size=3072)
        name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)]), datetime.now(UTC)
        made = x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now - timedelta(hours=1), now + VALID
        ).sign(key, hashes.SHA256())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _write(self.key, private)
        _write(
            self.certificate, made.public_bytes(serialization.Encoding.PEM)
        )  # last: with it, both are there

    # --- how it is reached ---------------------------------------------------------------------

    def connections(self) -> dict[str, str]:
        """The connections that it works with, as JSON: its own servers, and its inbox."""
        declared = self._ours.settings
        mine = type(declared)(
            {i: c for i, c in declared.connections.items() if i in WORKS_WITH}
            | {f"company_{Role.CUSTODIAN}": {"conn_type": "postgres", "schema": ESTATE},
               f"objects_{Role.CUSTODIAN}": {"conn_type": "aws"}},
            (), {},
        )  # fmt: skip
        known: dict[str, dict[str, Any]] = {
            "object_keks": {"extra": {"text": self.vault.keep("objects/keks", lambda: Keks.made().text())}},
            "key_store": {"extra": {"text": str(self.home / "keys")}},
            "key_store_kek": {"extra": {"text": self._wrapping_key}},
            "ledger_signer": {"extra": {"text": str(self._places.socket("successor-signer"))}},
            "ledger_public_key": {"extra": {"text": str(self.receipt_key)}},
            **{
                f"objects_{r}": self._s3(f"successor-{r}", self.vault)
                for r in (Role.CUSTODIAN, Role.ERASER, Role.PROVER)
            },
            COURIER: self.courier(),
        }
        for conn_id, database in ((i, i.partition("_")) for i in WORKS_WITH):
            if database[0] in ("company", "records"):
                known[conn_id] = {
                    "host": "127.0.0.1", "port": self.cluster.port, "login": database[2],
                    "password": self.cluster.password(database[2]),
                }  # fmt: skip
        return connections(mine, known)

    @property
    def _wrapping_key(self) -> str:
        """32 bytes in base64, as its own KMS would hold them."""
        secret = self.vault.get("key_store/kek", 48)
        return base64.b64encode(hashlib.sha256(secret.encode()).digest()).decode()

    def courier(self) -> dict[str, Any]:
        """The key to the inbox, which both sides have: known to the company also while there is no successor."""
        return self._s3("successor-courier", self._ours.vault)

    def _s3(self, login: str, vault: Vault) -> dict[str, Any]:
        return {
            "login": login,
            "password": vault.get(f"objects/{login}"),
            "extra": {
                "endpoint_url": objects.endpoint(self._ours.port("successor-objects")),
                "region_name": objects.REGION,
            },
        }

    def environment(self) -> Environment:
        return Environment({f"{PREFIXES[0]}{i.upper()}": said for i, said in self.connections().items()})

    def shell(self) -> dict[str, str]:
        """Variables by which ``quietus`` is the successor's, and nothing of the other company's."""
        said = {f"QUIETUS_CONN_{i.upper()}": value for i, value in self.connections().items()}
        return said | {"QUIETUS_LEDGER_KEY": str(self.receipt_key)}

    @property
    def environment_file(self) -> Path:
        return self.home / "env"

    def write_environment(self) -> None:
        """The same as a file for a shell: ``. FILE``."""
        text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in self.shell().items())
        _write(self.environment_file, text.encode())

    def receiving(self, order: str) -> list[str]:
        """The words after ``quietus`` by which it receives what lies in its inbox."""
        return ["handover", "receive", *self._of(order)]

    def proving(self, order: str) -> list[str]:
        """Those by which it holds what it has stored against what was signed."""
        return ["handover", "prove", *self._of(order)]

    def _of(self, order: str) -> list[str]:
        return [
            order, "--bucket", INBOX, "--work", str(self.work), "--certificate",
            str(self.certificate), "--key", str(self.key), "--sender-key", str(self._ours.ledger_home / "pub.pem"),
        ]  # fmt: skip


def _write(path: Path, content: bytes) -> None:
    """A file of its owner's alone, whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    fresh.replace(path)
