"""What a data room holds: each agreed dataset as a bag, sealed to the counterparty, in a bucket; and that it is gone again.

Rows are read by the prover, the agreed columns and no others, without people whom an open case has restricted. A bag is made
once: its row is in the book after its sealed file has its name, and before it is put in the bucket, so that a killed run goes on;
that it was put, after it was. Where a run was killed in between and the deal ended, the prover looks: what does not lie there any
more may have been shown, and the certificate says so of it.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg import sql

from include.cases.book import Conn
from include.cases.retention.stopping import may_go_on
from include.handover import bag as bags_of
from include.handover import dataroom, rows, sealed
from include.handover.dataroom import Bag, DataRoom, Record
from include.handover.sending import DIGEST, delivering, is_there
from include.handover.shards import directory, roomy
from include.ledger.verify_dataroom import MAYBE
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import NotProved, Refused
from include.stores.postgres.retention.owners import Owners
from include.stores.postgres.server import Connection, joined, name
from include.stores.s3.server import reaching
from include.stores.shared import nowhere

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ListObjectVersionsOutputTypeDef


@dataclass(frozen=True)
class Rooms:
    """What the files need. ``puts``: the rooms' bucket as the courier; ``takes``: as the eraser; ``sees``: as the prover."""

    catalogue: Catalogue
    connections: Connections
    book: Callable[[], AbstractContextManager[Conn]]
    home: Path
    bucket: str
    puts: Callable[[], S3Client]
    takes: Callable[[], S3Client]
    sees: Callable[[], S3Client]
    record: Record
    at: Callable[[str], None] = nowhere


def export(of: Rooms, number: str) -> list[Bag]:
    """Make, seal and put what the agreement names and is not there yet. The deal cannot end while a bag is made and put.
    Raises Refused once it has ended, and for another directory or bucket than those of the first export."""
    with of.book() as conn:
        room = dataroom.placed(conn, number, str(of.home.resolve()), of.bucket)
    for dataset, columns in room.columns.items():
        with of.book() as guard, dataroom.held(guard, number) as room:
            dataroom.may_export(room)
            there = {b.dataset: b for b in dataroom.bags(guard, number)}
            with roomy(of.home):
                made = there.get(dataset) or _make(of, room, dataset, columns)
            of.at("dataroom.kept")
            _put(of, made)
            of.at("dataroom.put")
            with of.book() as conn, conn.transaction():
                dataroom.known(conn, made, put=True)
            of.at("dataroom.known")
            dataroom.say(of.record, made)
    with of.book() as conn:
        return dataroom.bags(conn, number)


def _make(of: Rooms, room: DataRoom, dataset: str, columns: Sequence[str]) -> Bag:
    home = _home(of, room.number)
    work, final = home / f"{dataset}.work", _sealed(of, room.number, dataset)
    shutil.rmtree(work, ignore_errors=True)
    bag = work / dataset
    work.mkdir(mode=0o700)
    try:
        writer = bags_of.BagWriter(bag)
        items, left_out = _rows(of, dataset, columns, writer)
        writer.finish({"External-Identifier": f"{room.number}/{dataset}", "Agreement": room.document})
        part = home / f"{dataset}.part"
        with part.open("wb") as out:
            sealing = sealed.Sealing(out, sealed.recipient(room.certificate), bags_of.tar_size(bag))
            bags_of.tar(bag, sealing)
            sealing.finish()
        of.at("dataroom.sealed")
        part.replace(final)
    finally:
        shutil.rmtree(work, ignore_errors=True)  # plaintext stays no longer than it takes
    digest, size = _sha256(final), final.stat().st_size
    with (
        of.book() as conn,
        conn.transaction(),
    ):  # committed before it is put, whatever becomes of this process
        conn.execute(
            "INSERT INTO casebook.data_room_bag (number, dataset, items, left_out, sha256, bytes)"
            " VALUES (%s, %s, %s, %s, %s, %s)", (room.number, dataset, items, left_out, digest, size),
        )  # fmt: skip
    return Bag(room.number, dataset, items, left_out, digest, size)


def _rows(of: Rooms, id_: str, columns: Sequence[str], writer: bags_of.BagWriter) -> tuple[int, int]:
    """The agreed columns of every row that nobody's case has restricted; how many, and how many rows were left out."""
    dataset = of.catalogue.dataset(id_)
    with (
        rows.reading(of.catalogue, of.connections, dataset.store) as (server, connection, live),
        server.reaching(f"data room {id_}"),
    ):
        theirs = Owners(of.catalogue, live).among(dataset, "t", sorted(_restricted(connection)))
        kept = sql.SQL("coalesce({}, false)").format(theirs)
        table = name(dataset.address)
        row = connection.execute(
            sql.SQL("SELECT count(*), count(*) FILTER (WHERE {}) FROM {} AS t").format(kept, table)
        ).fetchone()
        assert row is not None  # noqa: S101 - an aggregate has a row
        statement = sql.SQL(
            "COPY (SELECT {} FROM {} AS t WHERE NOT ({})) TO STDOUT (FORMAT csv, HEADER)"
        ).format(joined(", ", (name("t", c) for c in columns)), table, kept)
        with writer.payload("rows.csv") as out, connection.cursor().copy(statement) as copy:
            for part in copy:
                out.write(bytes(part))
    return int(row[0]) - int(row[1]), int(row[1])


def _restricted(connection: Connection) -> frozenset[str]:
    found = connection.execute("SELECT subject_id FROM quietus.restriction WHERE lifted_at IS NULL")
    return frozenset(str(subject) for (subject,) in found)


def _put(of: Rooms, made: Bag) -> None:
    key, path = _key(made.number, made.dataset), _sealed(of, made.number, made.dataset)
    client = of.puts()
    with delivering(f"data room {key}"):
        if is_there(client, of.bucket, key, sha256=made.sha256, size=made.bytes):
            return
        if not path.exists() or _sha256(path) != made.sha256:
            raise Refused(
                "its sealed file is gone or another, and it does not lie in the room", about=key,
                next_step="put the file back, or open another room: a bag is made once",
            )  # fmt: skip
        client.upload_file(str(path), of.bucket, key, ExtraArgs={"Metadata": {DIGEST: made.sha256}})


# --- the end of the deal ---------------------------------------------------------------------------


def close(of: Rooms, number: str, *, how: str, document: str, as_of: date) -> DataRoom:
    """The deal was closed or dropped (:func:`include.handover.dataroom.end`); then it is settled which of the files were in the
    room, and which may have been. Again it says what is not said yet. Raises NotReachable without the bucket: the clock runs,
    and it is run again."""
    with of.book() as conn:
        room = dataroom.end(conn, of.catalogue, of.record, number, how=how, document=document, as_of=as_of)
    of.at("dataroom.ended")
    _settle(of, number)
    return room


def _settle(of: Rooms, number: str) -> None:
    """Once the deal has ended nothing is put any more. What lies there in any version was put, and so was what another was made
    after. That something does not lie there shows nothing: a lifecycle, ops or the counterparty may have taken it out."""
    with of.book() as conn, dataroom.held(conn, number) as room:
        if room.ended is None:
            return
        followed = dataroom.followed(conn, number)
        for bag in dataroom.bags(conn, number):
            if bag.put is None:
                lies = room.bucket is not None and _was_put(of.sees(), room.bucket, bag)
                dataroom.known(conn, bag, put=bag.dataset in followed or lies)
    of.at("dataroom.settled")
    with of.book() as conn:
        every = dataroom.bags(conn, number)
    for bag in every:
        if bag.put:
            dataroom.say(of.record, bag)
        else:
            of.record(
                "dataroom", None,
                {"room": number, "what": MAYBE, "dataset": bag.dataset, "items": bag.items, "left_out": bag.left_out,
                 "sha256": bag.sha256, "bytes": bag.bytes},
                f"dataroom:{number}:maybe:{bag.dataset}",
            )  # fmt: skip


def _was_put(client: S3Client, bucket: str, bag: Bag) -> bool:
    key = _key(bag.number, bag.dataset)
    with reaching(f"data room {key}"):
        for page in _pages(client, bucket, key):
            for it in page.get("Versions", []):
                version = None if it["IsLatest"] else it["VersionId"]
                if it["Key"] == key and is_there(
                    client, bucket, key, sha256=bag.sha256, size=bag.bytes, version=version
                ):
                    return True
    return False


# --- gone again -----------------------------------------------------------------------------------


def clear(of: Rooms, number: str, *, as_of: date) -> DataRoom:
    """Destroy our copies once the deal has ended: sealed files, and in the bucket every version, marker and unfinished upload;
    seen to be gone by the prover. Again it changes nothing. Raises NotProved while something is left (a lock, a
    right); Refused for another directory or bucket than those of its export; Stopped while disposing is stopped."""
    with of.book() as conn:
        may_go_on(conn)
    _settle(of, number)  # while it is there to be seen
    with of.book() as conn, dataroom.held(conn, number) as room:
        may_go_on(conn)
        if room.ended is None:
            raise Refused(
                "the deal has not ended", about=number, next_step="`quietus dataroom close` says that it has"
            )
        dataroom.in_its_place(room, str(of.home.resolve()), of.bucket)
        _clear(of, number)
        conn.execute(
            "UPDATE casebook.data_room SET ours_gone_on = coalesce(ours_gone_on, %s) WHERE number = %s",
            (as_of, number),
        )
    with of.book() as conn:
        found = dataroom.of(conn, number)
        files, unsure = dataroom.given(conn, number), dataroom.maybe(conn, number)
    dataroom.say_ended(of.record, found)
    dataroom.say_gone(of.record, found, files=len(files), maybe=len(unsure))
    return found


def _clear(of: Rooms, number: str) -> None:
    shutil.rmtree(of.home / number, ignore_errors=True)
    of.at("dataroom.files_gone")
    taker = of.takes()
    with reaching(f"data room {number}"):
        for upload in _uploads(taker, of.bucket, number):
            taker.abort_multipart_upload(Bucket=of.bucket, Key=upload[0], UploadId=upload[1])
        for key, version in list(_versions(taker, of.bucket, number)):
            taker.delete_object(Bucket=of.bucket, Key=key, VersionId=version)
    of.at("dataroom.bucket_cleared")
    seer = of.sees()
    with reaching(f"data room {number}"):
        left = len(list(_versions(seer, of.bucket, number))) + len(list(_uploads(seer, of.bucket, number)))
    here = (of.home / number).exists()
    if left or here:
        raise NotProved(
            f"{left} versions or uploads are left in the bucket" + (", and files on disk" if here else ""), about=number,
            next_step="see whether a lock keeps them, or the eraser lacks the right; then clear again",
        )  # fmt: skip


def _versions(client: S3Client, bucket: str, number: str) -> Iterator[tuple[str, str]]:
    for page in _pages(client, bucket, f"{number}/"):
        for it in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
            yield it["Key"], it["VersionId"]


def _pages(client: S3Client, bucket: str, prefix: str) -> Iterable[ListObjectVersionsOutputTypeDef]:
    return client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)


def _uploads(client: S3Client, bucket: str, number: str) -> Iterator[tuple[str, str]]:
    for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=f"{number}/"):
        for it in page.get("Uploads", []):
            yield it["Key"], it["UploadId"]


def _home(of: Rooms, number: str) -> Path:
    return directory(of.home / number)


def _sealed(of: Rooms, number: str, dataset: str) -> Path:
    return _home(of, number) / f"{dataset}.cms"


def _key(number: str, dataset: str) -> str:
    return f"{number}/{dataset}.cms"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
