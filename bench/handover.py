"""What packing for a successor costs: rows and objects, against COPY and reading, with SHA-256, SM3 and encryption once each.

    python -m bench.handover [--rows 200000] [--objects 2000] [--rounds 1] [--ceph]

The floor reads one table by one COPY and each object by one request, digests every byte twice (SHA-256, SM3), encrypts it with
AES-256-GCM and writes it to one file: no clocks, no items' digests, no root, no bags. Ours does all of it, in bags of 64 MiB.
Both on the same machine, by the same role, in turns, in a process of their own each, so that the peak of memory is theirs. Prints
Markdown.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.x509.oid import NameOID
from psycopg.types.json import Jsonb

from bench.clusters import running
from bench.s3 import ceph, moto
from include.cases import book
from include.cases.keys import FileKeyStore
from include.cases.migrate import migrate
from include.cases.shutdown import orders
from include.cases.shutdown.consigning import CONSIGNED
from include.catalogue import load
from include.handover import objects, packing
from include.handover.room import Room
from include.ledger.signer import Signer, initialise
from include.model.handover import Consigned, Consignment, Successor
from include.model.words import Role
from include.sandbox.loading import derive, make_partitions
from include.sandbox.loading import load as load_rows
from include.sandbox.people.everybody import all_rows
from include.sandbox.stack.postgres import Cluster, ensure_our_roles

AS_OF = date(2026, 11, 24)
SCHEMA = Path(__file__).parent.parent / "include/sandbox/schema"
PHOTO = os.urandom(40_000)
CHUNK = 1 << 20
# Signatures of people whose certificates live: all of them go. A signature of 256 bytes, as RSA's.
SIGNATURES = """
SET session_replication_role = replica;
WITH c AS (SELECT account_id, serial, row_number() OVER () - 1 AS n, count(*) OVER () AS of FROM cert.certificate
            WHERE not_after > '2026-12-01' AND revoked_at IS NULL)
INSERT INTO sign.signature (contract_id, account_id, serial, digest, signature_value, signed_at)
SELECT i, c.account_id, c.serial, encode(sha256(i::text::bytea), 'hex'), decode(repeat(md5(i::text), 16), 'hex'), '2026-01-01'
  FROM generate_series(1, {rows}) AS i JOIN c ON c.n = i % c.of"""


class House:
    """The servers of the bench. ``home``: where bags and the floor's file are written."""

    def __init__(self, cluster: Cluster, bucket: Any, home: Path) -> None:
        self.cluster, self.bucket, self.home = cluster, bucket, home
        self.catalogue = load()
        initialise("bench.example/quietus", home / "k", home / "s", home / "p")
        initialise("bench.example/successor", home / "theirs.k", home / "theirs.s", home / "theirs.p")
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.began = datetime.now(UTC)
        self.photos = 0

    def postgres(self, connection: str, role: Role) -> str:
        return self.cluster.conninfo(role.value, "records" if connection == "records" else "postgres")

    def s3(self, connection: str, role: Role) -> Any:
        return self.bucket.client()

    def book(self) -> AbstractContextManager[book.Conn]:
        return book.connect(self.postgres("records", Role.CASE_WRITER))

    def consignment(self, order: str) -> Consignment:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "successor")])
        now = self.began  # asked again it is the same consignment
        certificate = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self.key.public_key())
            .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=9))
            .sign(self.key, hashes.SHA256())
        )  # fmt: skip
        return Consignment(
            order=order, sender="bench", as_of=AS_OF,
            successor=Successor(
                name="successor", contact="x", receipt_key=(self.home / "theirs.p").read_text(),
                certificate=certificate.public_bytes(serialization.Encoding.PEM).decode(),
            ),
            datasets=(Consigned(dataset="sign.signature", rule="RS-10"),
                      Consigned(dataset="objects.id_photos", rule="RS-03")),
        )  # fmt: skip


def fill(house: House, rows: int, photos: int) -> None:
    superuser, house.photos = house.cluster.superuser_conninfo(), photos
    with psycopg.connect(superuser, autocommit=True) as conn:
        conn.execute("CREATE DATABASE records")
    for login, group in {"case_writer": "quietus_case_writer", "reader": "quietus_reader"}.items():
        house.cluster.ensure_role(login)
        if login == "case_writer":
            migrate(house.cluster.conninfo("quietus_admin", "records"))
        with psycopg.connect(superuser, autocommit=True) as conn:
            conn.execute(f"GRANT {group} TO {login}".encode())
    with psycopg.connect(superuser) as conn:
        for file in sorted(SCHEMA.glob("*.sql")):
            conn.execute(file.read_text("utf-8").encode())
        make_partitions(conn, AS_OF)
        load_rows(conn, all_rows(2_000, 5, AS_OF))
        derive(conn, AS_OF)
        conn.execute("TRUNCATE sign.signature")
        conn.execute(SIGNATURES.format(rows=rows).encode())
        conn.execute("GRANT USAGE ON SCHEMA account, cert, ra, sign TO prover")
        conn.execute("GRANT SELECT ON ALL TABLES IN SCHEMA account, cert, ra, sign TO prover")
        paths = conn.execute(
            "SELECT DISTINCT a.account_id || '/' || a.application_id FROM ra.application AS a JOIN cert.certificate AS c"
            " USING (application_id) WHERE c.not_after > '2026-12-01' AND c.revoked_at IS NULL ORDER BY 1"
        ).fetchall()
    with psycopg.connect(superuser, autocommit=True) as conn:
        conn.execute("VACUUM (ANALYZE)")
    client = house.bucket.client()
    client.create_bucket(Bucket="ca-id-photos")
    for n in range(photos):
        client.put_object(Bucket="ca-id-photos", Key=f"{paths[n % len(paths)][0]}/{n:06d}.jpg", Body=PHOTO)


def in_force(house: House, number: str) -> None:
    """An order as the book has it once it was consigned; the one before is over."""
    of = house.consignment(number)
    theirs = (
        x509.load_pem_x509_certificate(of.successor.certificate.encode()).fingerprint(hashes.SHA256()).hex()
    )
    with house.book() as conn:
        conn.execute("UPDATE casebook.shutdown_order SET ended_on = %s WHERE number <> %s", (AS_OF, number))
        conn.execute(
            "INSERT INTO casebook.shutdown_order (number, scope, path, reason, decided_on, document, digest, approvers,"
            " t0_announced, t0, closed_on, opened_on, opened_by, successor, successor_contact, successor_certificate) VALUES"
            " (%(n)s, 'company', 'voluntary', 'bench', %(d)s, 'x', repeat('a', 64), '{legal/a,board/b}', %(d)s, %(d)s, %(d)s,"
            " %(d)s, 'legal/a', %(name)s, 'x', %(theirs)s)",
            {"n": number, "d": AS_OF, "name": of.successor.name, "theirs": theirs},
        )  # fmt: skip
        for one in ("legal/a", "board/b"):
            orders.approved(conn, number, one, AS_OF)
        conn.execute(
            "INSERT INTO casebook.shutdown_event (number, as_of, actor, what, detail) VALUES (%s, %s, 'legal/a', %s, %s)",
            (number, AS_OF, CONSIGNED, Jsonb({"consignment": of.fingerprint()})),
        )
        conn.commit()


def room_of(house: House) -> Room:
    signer = Signer(house.home / "k", house.home / "s")
    return Room(
        catalogue=house.catalogue, connections=house, book=house.book, home=house.home / "out",  # type: ignore[arg-type]
        attest=lambda payload: str(signer.attest(payload)["envelope"]).encode(),
        keys=FileKeyStore(house.home / "keys", b"k" * 32),  # whose items they are is kept, as for an order
    )  # fmt: skip


def ours(house: House, order: str) -> int:
    outcome = packing.pack(room_of(house), house.consignment(order))
    if outcome.left:
        raise SystemExit(str(outcome.left))
    return len(outcome.made)


def floor(house: House, _: str) -> int:
    cipher = Cipher(algorithms.AES(os.urandom(32)), modes.GCM(os.urandom(12))).encryptor()
    two = hashlib.sha256(), hashlib.new("sm3")

    with (house.home / "floor").open("wb") as out:

        def put(data: bytes) -> None:
            for digest in two:
                digest.update(data)
            out.write(cipher.update(data))

        with psycopg.connect(house.postgres("company", Role.PROVER)) as conn:
            waiting, held = [], 0
            with conn.cursor().copy("COPY sign.signature TO STDOUT") as copy:
                for data in copy:
                    waiting.append(bytes(data))
                    held += len(data)
                    if held >= CHUNK:
                        put(b"".join(waiting))
                        waiting, held = [], 0
            put(b"".join(waiting))
        client = house.bucket.client()
        for group in objects.groups(client, "ca-id-photos", "", None, "floor"):
            for item in group:
                body = client.get_object(Bucket="ca-id-photos", Key=item.key, VersionId=item.version)["Body"]
                while piece := body.read(CHUNK):
                    put(piece)
        cipher.finalize()
    return 1


def apart(work: Callable[[], int]) -> tuple[float, float]:
    """Seconds, and the peak of memory in MiB, in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
            began = time.perf_counter()
            work()
            seconds = time.perf_counter() - began
            peak = next(
                x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM")
            )
            os.write(writing, json.dumps([seconds, int(peak.split()[1]) / 1024]).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        said = answer.read()
    _, status = os.waitpid(child, 0)
    if status:
        raise SystemExit("a measured process failed")
    seconds, peak = json.loads(said)
    return seconds, peak


def measured(
    rows: int, photos: int, rounds: int, store: Callable[[], AbstractContextManager[Any]] = moto
) -> tuple[list[tuple[float, float]], list[tuple[float, float]], int]:
    with (
        tempfile.TemporaryDirectory(prefix="quietus-handover-", dir="/tmp") as home,
        running() as cluster,
        store() as bucket,
    ):
        ensure_our_roles(cluster)
        house = House(cluster, bucket, Path(home))
        fill(house, rows, photos)
        found: list[list[tuple[float, float]]] = [[], []]
        size = 0
        for n in range(rounds):
            in_force(house, number := f"SO-{n + 1:06d}")
            for which in (0, 1) if n % 2 else (1, 0):
                work = partial((floor, ours)[which], house, number)
                found[which].append(apart(work))
            size = sum(p.stat().st_size for p in (house.home / "out").rglob("*.cms"))
            shutil.rmtree(house.home / "out")
        return found[0], found[1], size


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=200_000)
    options.add_argument("--objects", type=int, default=2_000)
    options.add_argument("--rounds", type=int, default=1)
    options.add_argument(
        "--ceph", action="store_true", help="objects on Ceph's gateway, as moto keeps all in memory"
    )
    given = options.parse_args()
    photo = len(PHOTO) // 1000
    print(
        f"PostgreSQL 18 and {'Ceph RGW' if given.ceph else 'moto'}; objects of {photo} kB, rows with a signature of 256 bytes;"
        f" median of {given.rounds}.\n"
    )
    print(
        "| rows | objects | sealed, MiB | ours, s | floor, s | x floor | ours, peak MiB | floor, peak MiB |"
    )
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    for part in (4, 1):
        rows, photos = given.rows // part, given.objects // part
        bare, full, size = measured(rows, photos, given.rounds, ceph if given.ceph else moto)
        a, b = (statistics.median(s for s, _ in x) for x in (full, bare))
        peaks = [max(p for _, p in x) for x in (full, bare)]
        print(f"| {rows:,} | {photos:,} | {size / 2**20:,.0f} | {a:.1f} | {b:.1f} | **{a / b:.2f}** |"
              f" {peaks[0]:.0f} | {peaks[1]:.0f} |")  # fmt: skip
        sys.stdout.flush()
    print(
        "\nTarget 1.5. The floor says nothing of an item; ours judges each row's clocks in SQL, cuts them off in Python, digests"
        " every item and grows the root; and asks for each object's tags, which is a second request, but reads small objects"
        f" ahead, eight at a time, where the floor reads one by one. Load of the machine meanwhile: {os.getloadavg()[1]:.0f}."
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
