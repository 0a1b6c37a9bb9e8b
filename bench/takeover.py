"""What taking over costs a successor: bags opened, stored, read back and signed for, against loading the same content by hand.

    python -m bench.takeover [--rows 200000] [--objects 2000]

The floor fetches the same sealed files, digests every byte twice (SHA-256, SM3), decrypts with AES-256-GCM, loads the rows by one
COPY into the same table with the same indexes and puts each object by one request; it validates nothing, stores no clock, reads
nothing back and signs nothing. Both on the same machine, one after the other, in a process of their own each, so that the peak of
memory is theirs. What is packed and sent before is not measured here (``bench.handover``), nor what a look
costs afterwards (``bench.came``). Prints Markdown.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import psycopg
from cryptography import x509
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from bench.clusters import running
from bench.handover import AS_OF, CHUNK, PHOTO, SCHEMA, House, apart, fill, in_force, room_of
from bench.s3 import moto
from include.handover import packing
from include.handover.custody import Custody, prepare
from include.handover.fetching import Inbox
from include.handover.receiving import receive
from include.handover.sending import Way, send
from include.ledger import attest
from include.ledger.signer import Signer
from include.model.words import Role
from include.sandbox.loading import make_partitions
from include.sandbox.stack.postgres import Cluster, ensure_our_roles

INBOX = "inbox"
BUCKETS = ("ca-id-photos",)


class Successor:
    """Its servers: a PostgreSQL with the same schema and nothing in it, and a bucket of the same name; and its order."""

    def __init__(self, cluster: Cluster, bucket: Any, home: Path, order: str) -> None:
        self.cluster, self.bucket, self.home, self.order = cluster, bucket, home, order
        home.mkdir()

    def postgres(self, connection: str, role: Role) -> str:
        return self.cluster.conninfo(role.value, "postgres")

    def s3(self, connection: str, role: Role) -> Any:
        return self.bucket.client()

    def made(self, house: House) -> None:
        superuser = self.cluster.superuser_conninfo()
        with psycopg.connect(superuser) as conn:
            for file in sorted(SCHEMA.glob("*.sql")):
                conn.execute(file.read_text("utf-8").encode())
            make_partitions(conn, AS_OF)
        self.cluster.ensure_role(Role.CUSTODIAN.value)
        prepare(superuser, house.catalogue, "company")
        client = self.bucket.client()
        for name in (*BUCKETS, INBOX):
            client.create_bucket(Bucket=name)
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})


def packed(house: House, successor: Successor) -> int:
    """Everything is packed, sent and in the inbox; how many bytes of sealed files."""
    in_force(house, successor.order)
    outcome = packing.pack(room_of(house), house.consignment(successor.order))
    if outcome.left:
        raise SystemExit(str(outcome.left))
    send(
        Way(successor.s3(INBOX, Role.COURIER), INBOX, house.home / "out", house.book),
        house.consignment(successor.order),
    )
    return sum(p.stat().st_size for p in (house.home / "out").rglob("*.cms"))


def ours(house: House, successor: Successor) -> int:
    signer = Signer(house.home / "theirs.k", house.home / "theirs.s")
    certificate = x509.load_pem_x509_certificate(
        house.consignment(successor.order).successor.certificate.encode()
    )
    inbox = Inbox(
        successor.s3(INBOX, Role.COURIER), INBOX, attest.public_key((house.home / "p").read_text()), certificate, house.key,
        successor.home / "in",
    )  # fmt: skip
    done = receive(
        inbox, Custody(house.catalogue, successor),  # type: ignore[arg-type]
        lambda payload: str(signer.attest(payload)["envelope"]).encode(), successor.order,
    )  # fmt: skip
    if done.refused or not all(r.differences.none for r in done.receipts):
        raise SystemExit(f"{done.refused}")
    return len(done.receipts)


def floor(house: House, successor: Successor) -> int:
    """Rows come from a file that was written before, for what is decrypted here is not theirs to read."""
    two = hashlib.sha256(), hashlib.new("sm3")
    opening = Cipher(algorithms.AES(os.urandom(32)), modes.GCM(os.urandom(12))).encryptor()
    client = successor.s3(INBOX, Role.COURIER)
    for key in (x["Key"] for page in client.get_paginator("list_objects_v2").paginate(Bucket=INBOX)
                for x in page.get("Contents", ()) if x["Key"].endswith(".cms")):  # fmt: skip
        body = client.get_object(Bucket=INBOX, Key=key)["Body"]
        while piece := body.read(CHUNK):
            for digest in two:
                digest.update(piece)
            opening.update(piece)
    with psycopg.connect(successor.cluster.superuser_conninfo()) as conn:
        conn.execute("SET session_replication_role = replica")
        rows = (house.home / "rows.copy").open("rb")
        with rows, conn.cursor().copy(f"COPY sign.signature ({columns(house)}) FROM STDIN".encode()) as copy:
            while piece := rows.read(CHUNK):
                copy.write(piece)
    for n in range(house.photos):
        client.put_object(Bucket=BUCKETS[0], Key=f"{n:06d}.jpg", Body=PHOTO)
    return 1


def columns(house: House) -> str:
    with psycopg.connect(house.cluster.superuser_conninfo()) as conn:
        found = conn.execute(
            "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute"
            " WHERE attrelid = 'sign.signature'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''"
        ).fetchone()
    assert found is not None
    return str(found[0])


def written(house: House) -> None:
    statement = f"COPY sign.signature ({columns(house)}) TO STDOUT".encode()
    with (
        psycopg.connect(house.cluster.superuser_conninfo()) as conn,
        (house.home / "rows.copy").open("wb") as out,
        conn.cursor().copy(statement) as copy,
    ):
        for data in copy:
            out.write(data)


def measured(rows: int, photos: int) -> tuple[tuple[float, float], tuple[float, float], int]:
    """Seconds and peak of the floor and of ours, each into a successor of its own, and the size of what came."""
    found: list[tuple[float, float]] = []
    size = 0
    with (
        tempfile.TemporaryDirectory(prefix="quietus-takeover-", dir="/tmp") as home,
        running() as cluster,
        moto() as bucket,
    ):
        ensure_our_roles(cluster)
        house = House(cluster, bucket, Path(home))
        fill(house, rows, photos)
        written(house)
        for order, which in (("SO-000001", floor), ("SO-000002", ours)):
            with running() as other, moto() as theirs:
                ensure_our_roles(other)
                successor = Successor(other, theirs, Path(home) / which.__name__, order)
                successor.made(house)
                size = packed(house, successor)
                found.append(apart(lambda which=which, successor=successor: which(house, successor)))  # type: ignore[misc]
    return found[0], found[1], size


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rows", type=int, default=200_000)
    options.add_argument("--objects", type=int, default=2_000)
    given = options.parse_args()
    heads = (
        "rows",
        "objects",
        "sealed, MiB",
        "ours, s",
        "floor, s",
        "x floor",
        "ours, peak MiB",
        "floor, peak MiB",
    )
    print(f"| {' | '.join(heads)} |\n|{'---:|' * len(heads)}")
    for part in (4, 1):
        rows, photos = given.rows // part, given.objects // part
        bare, full, size = measured(rows, photos)
        print(f"| {rows:,} | {photos:,} | {size / 2**20:,.0f} | {full[0]:.1f} | {bare[0]:.1f} |"
              f" **{full[0] / bare[0]:.2f}** | {full[1]:.0f} | {bare[1]:.0f} |")  # fmt: skip
        sys.stdout.flush()
    print(
        "\nThe floor believes whatever came. Ours looks at each bag's signature, seal and two manifests, gives every item its"
        " clocks, reads all of it back, and grows each root anew from what is stored."
        f" Load of the machine meanwhile: {os.getloadavg()[1]:.0f}."
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
