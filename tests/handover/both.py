"""Both sides of a handover: the sandbox's company of 60 people with its case book, and a successor on another PostgreSQL and
another S3 server. Each has a signer of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from psycopg.types.json import Jsonb

from include.cases import book
from include.cases.keys import KeyStore
from include.cases.retention.held import HeldPeople
from include.cases.shutdown.consigning import CONSIGNED, last_consigned
from include.handover import packing, receipts, register
from include.handover.custody import Custody
from include.handover.fetching import Inbox
from include.handover.receiving import Received, receive
from include.handover.room import Outcome, Room
from include.handover.sending import Way, receipt_key, send
from include.handover.shards import Bounds
from include.ledger import attest
from include.ledger.signer import Signer, initialise
from include.model.handover import BagStatement, Consigned, Consignment, Successor, held_as
from include.model.keks import CONNECTION, Keks
from include.model.sessions import session
from include.model.words import Role
from tests.conftest import PgServer, S3Server
from tests.stores.postgres.dated import AS_OF, CATALOGUE

ORDER = "SO-000001"
INBOX = "inbox"
SENDER = "The authority"
HELD_AS = held_as(SENDER, ORDER)
TABLES = (
    Consigned(dataset="cert.certificate", rule="RS-04"),
    Consigned(dataset="cert.crl_entry", rule="RS-04"),
    Consigned(dataset="ra.application", rule="RS-03"),
    Consigned(dataset="sign.signature", rule="RS-10"),
)
PHOTOS = Consigned(dataset="objects.id_photos", rule="RS-03")
BEGAN = datetime.now(UTC) - timedelta(days=1)


def certificate(
    key: rsa.RSAPrivateKey, name: str, *, issuer: tuple[str, rsa.RSAPrivateKey] | None = None, days: int = 30,
    extensions: Sequence[x509.ExtensionType] = (),
) -> x509.Certificate:  # fmt: skip
    """A certificate of this key, by itself or by an issuer."""

    def called(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    by, signer = issuer or (name, key)
    made = (
        x509.CertificateBuilder().subject_name(called(name)).issuer_name(called(by)).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(BEGAN)
        .not_valid_after(BEGAN + timedelta(days=days))
    )  # fmt: skip
    for extension in extensions:
        made = made.add_extension(extension, critical=True)
    return made.sign(signer, hashes.SHA256())


def usage(*names: str) -> x509.KeyUsage:
    """A key is for these uses, and for no other."""
    every = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip
    return x509.KeyUsage(**{name: name in names for name in every})


AUTHORITY = x509.BasicConstraints(ca=True, path_length=None)


def pem(of: x509.Certificate) -> str:
    return of.public_bytes(serialization.Encoding.PEM).decode()


class Attesting:
    """A signer in this process."""

    def __init__(self, home: Path, name: str) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.public = home / f"{name}.pub"
        self._key, self._state = home / f"{name}.key", home / f"{name}.state"
        if not self._key.exists():
            initialise(f"{name}.example/quietus", self._key, self._state, self.public)

    def __call__(self, payload: bytes) -> bytes:
        return str(Signer(self._key, self._state).attest(payload)["envelope"]).encode()

    @property
    def pem(self) -> str:
        return self.public.read_text()


@dataclass
class Side:
    """Connections of one side."""

    server: PgServer
    database: str
    objects: S3Server
    records: str = ""
    stands_in: dict[str, Any] = field(default_factory=dict)  # connection -> client
    keks: Keks = field(default_factory=Keks.made)
    keys: KeyStore | None = None

    def postgres(self, connection: str, role: Role) -> str:
        return self.server.conninfo(self.records if connection == "records" else self.database, role.value)

    def s3(self, connection: str, role: Role) -> Any:
        return self.stands_in.get(connection) or self.objects.client()

    def text(self, name: str) -> str:
        assert name == CONNECTION
        return self.keks.text()


def ordered(conn: book.Conn, of: Consignment) -> None:
    """An order in force, approved by both, to this consignment's successor; and that it was consigned, if that is not its last
    word."""
    shown = (
        x509.load_pem_x509_certificate(of.successor.certificate.encode()).fingerprint(hashes.SHA256()).hex()
    )
    values = {
        "n": of.order,
        "d": of.as_of,
        "name": of.successor.name,
        "contact": of.successor.contact,
        "shown": shown,
    }
    conn.execute(
        "INSERT INTO casebook.shutdown_order (number, scope, path, reason, decided_on, document, digest, approvers,"
        " t0_announced, t0, closed_on, opened_on, opened_by, successor, successor_contact, successor_certificate) VALUES (%(n)s,"
        " 'company', 'voluntary', 'x', %(d)s, 'BR-1', repeat('a', 64), '{legal/a,board/b}', %(d)s, %(d)s, %(d)s, %(d)s,"
        " 'legal/a', %(name)s, %(contact)s, %(shown)s) ON CONFLICT (number) DO UPDATE SET successor_certificate = %(shown)s",
        values,
    )  # fmt: skip
    conn.execute(
        "INSERT INTO casebook.shutdown_approval (number, approver, approved_on) SELECT %(n)s,"
        " unnest('{legal/a,board/b}'::text[]), %(d)s ON CONFLICT DO NOTHING",
        values,
    )
    if last_consigned(conn, of.order) != of.fingerprint():
        body = {"consignment": of.fingerprint(), "datasets": [d.dataset for d in of.datasets]}
        conn.execute(
            "INSERT INTO casebook.shutdown_event (number, as_of, actor, what, detail) VALUES (%s, %s, 'legal/a', %s, %s)",
            (of.order, of.as_of, CONSIGNED, Jsonb(body)),
        )
    conn.commit()


@dataclass
class Both:
    ours: Side
    theirs: Side
    home: Path
    key: rsa.RSAPrivateKey
    certificate: x509.Certificate
    bounds: Bounds = field(default_factory=lambda: Bounds(bytes=6_000, rows=20, keys=7))
    held: HeldPeople = field(default_factory=HeldPeople)
    datasets: tuple[Consigned, ...] = TABLES
    ledger: list[tuple[Any, ...]] = field(default_factory=list)
    sender: str = SENDER
    bucket: str = INBOX
    order: str = ORDER

    @property
    def our_signer(self) -> Attesting:
        return Attesting(self.home / "ours", "ours")

    @property
    def their_signer(self) -> Attesting:
        return Attesting(self.home / "theirs", "theirs")

    @property
    def consignment(self) -> Consignment:
        return Consignment(
            order=self.order, sender=self.sender, as_of=AS_OF, datasets=self.datasets,
            successor=Successor(name="The successor", contact="handover@successor.example", certificate=pem(self.certificate),
                                receipt_key=self.their_signer.pem),
        )  # fmt: skip

    @contextmanager
    def book(self) -> Iterator[book.Conn]:
        with book.connect(self.ours.postgres("records", Role.CASE_WRITER)) as conn:
            yield conn

    def at(self, at: Callable[[str], None]) -> Both:
        """The same, with a watch at its points."""
        other = replace(self)
        other._at = at  # type: ignore[attr-defined]
        return other

    @property
    def watch(self) -> Callable[[str], None]:
        return getattr(self, "_at", lambda _: None)

    def consigned(self) -> None:
        """The book has the order, its successor, and that this consignment was made last."""
        said = self.consignment
        with self.book() as conn:
            ordered(conn, said)

    @property
    def room(self) -> Room:
        return Room(
            catalogue=CATALOGUE, connections=self.ours, book=self.book, attest=self.our_signer, home=self.home / "out",  # type: ignore[arg-type]
            held=self.held, bounds=self.bounds, record=lambda *said: self.ledger.append(said), at=self.watch,
            keys=self.ours.keys,
        )  # fmt: skip

    def pack(self) -> Outcome:
        self.consigned()
        return packing.pack(self.room, self.consignment)

    def send(self, part: int = 5 << 20, again: str | None = None) -> list[str]:
        way = Way(
            self.ours.s3("inbox", Role.COURIER), self.bucket, self.home / "out", self.book, part, self.watch
        )
        return send(way, self.consignment, again)

    @property
    def inbox(self) -> Inbox:
        return Inbox(
            self.theirs.s3("inbox", Role.COURIER), self.bucket, attest.public_key(self.our_signer.pem), self.certificate,
            self.key, self.home / "in", self.watch,
        )  # fmt: skip

    @property
    def custody(self) -> Custody:
        return Custody(CATALOGUE, self.theirs, self.watch, self.theirs.keys)  # type: ignore[arg-type]

    def receive(self) -> Received:
        return receive(self.inbox, self.custody, self.their_signer, self.order)

    def receipt(self, name: str) -> bytes:
        client = self.ours.s3("inbox", Role.COURIER)
        return bytes(client.get_object(Bucket=self.bucket, Key=receipt_key(self.order, name))["Body"].read())

    def verify(self, name: str, file: bytes | None = None) -> register.Bag:
        with self.book() as conn:
            return receipts.verify(conn, self.consignment, name, file or self.receipt(name), actor="ops/test")

    def bags(self, dataset: str | None = None) -> list[register.Bag]:
        with self.book() as conn:
            return register.bags(conn, self.order, dataset)

    def reconciled(self) -> bool:
        with self.book() as conn:
            return register.reconciled(conn, self.order, (d.dataset for d in self.datasets))

    def statements(self) -> dict[str, BagStatement]:
        return {b.name: b.statement for b in self.bags()}

    # --- looking in ---------------------------------------------------------------------------

    def sql(self, side: Side, text: str) -> list[tuple[Any, ...]]:
        conninfo = side.server.conninfo(side.database)
        with session(conninfo, "tests", lambda: psycopg.connect(conninfo, autocommit=True)) as conn:
            cursor = conn.execute(text.encode())
            return cursor.fetchall() if cursor.description else []

    def killed_at(self, point: str, work: Callable[[Both], object], time: int = 1) -> None:
        """Do it in a process that is killed when it comes to the point for the so-manieth time."""
        came = 0

        def at(here: str) -> None:
            nonlocal came
            came += here == point
            if came == time and here == point:
                os.kill(os.getpid(), signal.SIGKILL)

        child = os.fork()
        if child == 0:
            try:
                work(self.at(at))
            finally:
                os._exit(0)  # reached only if the point was not
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, f"{point} was never reached"
