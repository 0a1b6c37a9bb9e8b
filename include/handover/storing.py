"""At the successor: a bag into its own stores. Rows, their clocks and the bag's own row in one transaction; objects one by one.

Stored once: a bag that is there is not stored again. Its items are counted from its own files on the way, and if their root is
not the one that was signed nothing is committed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from psycopg import sql

from include.handover import objects, tombstone_keys
from include.handover.custody import Custody, known
from include.handover.fetching import Arrived
from include.handover.items import Growing, Leaves
from include.handover.keyed import PAYLOAD, WRAPPED, KeyedRows
from include.handover.rows import Shape
from include.handover.sending import delivering
from include.ledger import attest
from include.model.errors import CatalogueError, LedgerError, Refused, Unopened
from include.model.handover import BagKind, BagStatement
from include.model.keks import Keks
from include.model.template import Template
from include.stores.postgres.server import Connection, name
from include.stores.s3.items import Item

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BATCH = 100  # objects whose versions are noted in one transaction
CHUNK = 1 << 20
ONE_PUT = 5 << 30  # bytes that S3 takes in one request
PUT_PART, PARTS = 64 << 20, 10_000  # bytes of a part, and how many there may be
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('quietus_handover ' || %s || '/' || %s, 0))"
_ITEM = (
    "INSERT INTO quietus_handover.item (order_no, bag, no, dataset, key, clock, holds, leaf, body, version, path, restricted)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)


def store(custody: Custody, arrived: Arrived) -> bool:
    """Put a bag into the stores; whether there was anything left to do. Again, or after a kill, it goes on.

    Raises LedgerError if its items do not give the root that was signed, CatalogueError if the schema is another one, Refused if
    the tables have rows that no bag brought, NoRoom.
    """
    said = arrived.statement
    with custody.connect(said.kind, said.dataset) as connection:
        there = known(connection, said.held_as, said.bag)
        if there is not None and there.statement != attest.digest(arrived.payload):
            raise Refused(
                "another bag of this name is stored already", about=said.bag, next_step="ask the sender; store neither"
            )  # fmt: skip
        if there is not None and there.stored:
            return False
        match said.kind:
            case BagKind.ROWS:
                with connection.transaction():
                    connection.execute(_LOCK, [said.held_as, said.bag])
                    _rows(custody, connection, arrived)
                    custody.at("handover.before_store_commit")
            case BagKind.BOOK:
                _keep_keys(custody, arrived)
                custody.at("handover.keys_kept")
                with connection.transaction():
                    connection.execute(_LOCK, [said.held_as, said.bag])
                    _begin(connection, arrived, stored=True)
                    _items(connection, arrived, lambda line: ([json.loads(line)["id"]], line.decode()))
                    custody.at("handover.before_store_commit")
            case BagKind.OBJECTS:
                # For as long as the session lasts: two runs would put every version twice.
                connection.execute(_LOCK.replace("_xact_lock", "_lock"), [said.held_as, said.bag])
                there = known(connection, said.held_as, said.bag)
                if there is not None and there.stored:
                    return False
                _Objects(custody, connection, arrived).store()
        custody.at("handover.stored")
    return True


def is_stored(custody: Custody, said: BagStatement, payload: bytes) -> bool:
    """Whether this very bag is stored already, so that it need not be fetched again."""
    with custody.connect(said.kind, said.dataset) as connection:
        there = known(connection, said.held_as, said.bag)
    return there is not None and there.stored and there.statement == attest.digest(payload)


def _begin(connection: Connection, arrived: Arrived, *, stored: bool) -> None:
    said, described = arrived.statement, arrived.said
    kept = {k: v for k, v in described.items() if k not in ("salt", "clocks", "transit")}
    connection.execute(
        "INSERT INTO quietus_handover.bag (order_no, bag, kind, dataset, sender, statement, salt, clocks, described, as_of,"
        " stored_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s::text[], %s::jsonb, %s, CASE WHEN %s THEN clock_timestamp() END)",
        [said.held_as, said.bag, said.kind.value, said.dataset, said.sender, attest.digest(arrived.payload),
         bytes.fromhex(described["salt"]), described["clocks"], json.dumps(kept), said.as_of, stored],
    )  # fmt: skip


def items_of(arrived: Arrived, payload: str) -> Iterator[tuple[bytes, int, bytes, bytes]]:
    """Line, clock, holds and digest of every item of a bag. Raises LedgerError, at its end, unless they give the signed root."""
    leaves, root = Leaves(bytes.fromhex(arrived.said["salt"])), Growing()
    clocks = [c.encode() for c in arrived.said["clocks"]]
    data = arrived.path / "data"
    try:
        with (data / payload).open("rb") as lines, (data / "items.tsv").open("rb") as items:
            for line, item in zip(lines, items, strict=True):
                number, holds = item.rstrip(b"\n").split(b"\t")
                stored = line.rstrip(b"\n")
                leaf = leaves.of(stored, clocks[int(number)], holds)
                root.add(leaf)
                yield stored, int(number), holds, leaf
    except (LookupError, ValueError):
        raise LedgerError(
            "its list of items is not that of what it holds, though it is signed", about=arrived.statement.bag,
            next_step="nothing was stored; have it packed anew",
        ) from None  # fmt: skip
    if (root.size, root.root()) != (arrived.statement.items, arrived.statement.root):
        raise LedgerError(
            "its items do not give the root that was signed", about=arrived.statement.bag,
            next_step="nothing was stored; have it packed anew",
        )  # fmt: skip


def only_stored(clocks: Sequence[str]) -> list[str | None]:
    """Of each text of clocks why what has it may only be stored; None: it may be used."""
    return [(json.loads(text) or {}).get("restricted") for text in clocks]


# --- rows ---------------------------------------------------------------------------------------------


def _rows(custody: Custody, connection: Connection, arrived: Arrived) -> None:
    said = arrived.said
    shape = Shape.read(connection, said["address"], tuple(said["key"]))
    if [list(c) for c in shape.columns] != said["columns"]:
        raise CatalogueError(
            "the successor's table has other columns, or of other types", about=said["address"],
            next_step="bring its schema to the sender's catalogue, then receive again",
        )  # fmt: skip
    _nobody_elses(connection, shape.address, arrived.statement.dataset)
    connection.execute("SET LOCAL session_replication_role = replica")
    into = sql.SQL("COPY {} ({}) FROM STDIN").format(
        name(shape.address), sql.SQL(", ").join(sql.Identifier(c) for c in shape.names)
    )
    with connection.cursor().copy(into) as copy:
        for data in _as_stored(custody, arrived, shape):
            copy.write(data)
    _begin(connection, arrived, stored=True)
    _items(connection, arrived, lambda line: (shape.key_of(line), None), "rows.copy")


def _as_stored(custody: Custody, arrived: Arrived, shape: Shape) -> Iterator[bytes]:
    """What is copied into the table: the bag's own lines; of keys, with each under our key-encryption key."""
    data = arrived.path / "data"
    with (data / "rows.copy").open("rb") as lines:
        if "keys" not in arrived.said:
            while block := lines.read(CHUNK):
                yield block
            return
        said = arrived.statement
        keys, transit = custody.catalogue.dataset(said.dataset).keys, arrived.transit
        if keys is None or transit is None or keys.model_dump() != arrived.said["keys"]:
            raise CatalogueError(
                "the bag has keys in other columns than ours", about=said.dataset,
                next_step="bring the successor's catalogue to the sender's, then receive again",
            )  # fmt: skip
        keyed = KeyedRows(shape, keys, Keks.of(custody.connections), bytes.fromhex(arrived.said["salt"]))
        with (data / PAYLOAD).open("rb") as wrapped:
            for line in lines:
                try:
                    yield keyed.stored(line.rstrip(b"\n"), wrapped.read(WRAPPED), transit.unwrap) + b"\n"
                except Unopened:
                    raise LedgerError(
                        "one of its keys does not open, or is another than its row says", about=said.bag,
                        next_step="nothing was stored; have it packed anew",
                    ) from None  # fmt: skip


def _nobody_elses(connection: Connection, address: str, dataset: str) -> None:
    """An estate of its own: which of the rows in a range were not sent could not be told otherwise."""
    row = connection.execute(
        sql.SQL(
            "SELECT EXISTS (SELECT FROM {}) AND NOT EXISTS (SELECT FROM quietus_handover.bag WHERE dataset = %s)"
        ).format(name(address)),
        [dataset],
    ).fetchone()
    if row is not None and row[0]:
        raise Refused(
            "the table has rows that no bag brought", about=address,
            next_step="receive into an estate of its own, whose tables are empty, and merge afterwards",
        )  # fmt: skip


def _items(connection: Connection, arrived: Arrived, of: Any, payload: str = "book.jsonl") -> None:
    said = arrived.statement
    columns = "order_no, bag, no, dataset, key, clock, holds, leaf, body, restricted"
    only = only_stored(arrived.said["clocks"])
    with connection.cursor().copy(f"COPY quietus_handover.item ({columns}) FROM STDIN".encode()) as copy:
        for no, (stored, clock, holds, leaf) in enumerate(items_of(arrived, payload)):
            key, body = of(stored)
            copy.write_row(
                (
                    said.held_as,
                    said.bag,
                    no,
                    said.dataset,
                    key,
                    clock,
                    holds.decode(),
                    leaf,
                    body,
                    only[clock],
                )
            )


def _keep_keys(custody: Custody, arrived: Arrived) -> None:
    """Before the bag's row is there: a key that is kept is kept once, however often this is begun."""
    if arrived.transit is None:
        return
    said, salt = arrived.statement, bytes.fromhex(arrived.said["salt"])
    with (arrived.path / "data" / PAYLOAD).open("rb") as wrapped:
        for line, *_ in items_of(arrived, "book.jsonl"):
            tombstone_keys.keep(
                custody.key_store(), said.held_as, said.sender, salt, line, wrapped.read(WRAPPED), arrived.transit
            )  # fmt: skip


# --- objects ------------------------------------------------------------------------------------------


class _Objects:
    """Version by version, the oldest of a key first. What was put and not yet noted when a run was killed is found again by its
    content, and not put twice."""

    def __init__(self, custody: Custody, connection: Connection, arrived: Arrived) -> None:
        self.custody, self.connection, self.arrived = custody, connection, arrived
        self.client: S3Client = custody.client(arrived.statement.dataset)
        self.bucket = str(arrived.said["bucket"])
        self.about = f"bag {arrived.statement.bag}"
        self._template = Template(custody.catalogue.dataset(arrived.statement.dataset).prefix)
        self._doubtful: set[str] = set()

    def store(self) -> None:
        said = self.arrived.statement
        for _ in items_of(
            self.arrived, "objects.jsonl"
        ):  # before anything is put, for an object is no transaction
            pass
        begun = known(self.connection, said.held_as, said.bag) is not None
        if not begun:
            with self.connection.transaction():
                _begin(self.connection, self.arrived, stored=False)
        self._versioned_if_needed()
        row = self.connection.execute(
            "SELECT coalesce(max(no) + 1, 0) FROM quietus_handover.item WHERE order_no = %s AND bag = %s",
            [said.held_as, said.bag],
        ).fetchone()
        noted = int(row[0]) if row else 0
        batch: list[tuple[Any, ...]] = []
        only = only_stored(self.arrived.said["clocks"])
        for no, (stored, clock, holds, leaf) in enumerate(items_of(self.arrived, "objects.jsonl")):
            if no < noted:
                continue
            body = json.loads(stored)
            # Only what lies beyond the last note of a run that was killed can have been put already.
            version = (self._found(no, body) if begun and no < noted + BATCH else None) or self._put(
                no, body, only_stored=only[clock] is not None
            )
            self.custody.at("handover.object_put")
            batch.append((said.held_as, said.bag, no, said.dataset, [body["key"], str(no)], clock, holds.decode(),
                          leaf, stored.decode(), version, self.path(body["key"]), only[clock]))  # fmt: skip
            if len(batch) >= BATCH:
                self._note(batch)
        self._note(batch)
        with self.connection.transaction():
            self.connection.execute(
                "UPDATE quietus_handover.bag SET stored_at = clock_timestamp() WHERE order_no = %s AND bag = %s",
                [said.held_as, said.bag],
            )
            self.custody.at("handover.before_store_commit")

    def path(self, key: str) -> list[str] | None:
        """What a key says, by which its clock is found; None: it is not of its dataset's form, as it was with its sender."""
        said = self._template.match(key)
        return None if said is None else [said[v] for v in self._template.variables]

    def _note(self, batch: list[tuple[Any, ...]]) -> None:
        with self.connection.transaction():
            self.connection.cursor().executemany(_ITEM, batch)
        batch.clear()

    def _versioned_if_needed(self) -> None:
        seen: set[str] = set()
        for stored, *_ in items_of(self.arrived, "objects.jsonl"):
            body = json.loads(stored)
            if body["kind"] == "marker" or body["key"] in seen:
                with delivering(self.about):
                    status = self.client.get_bucket_versioning(Bucket=self.bucket).get("Status")
                if status != "Enabled":
                    raise Refused(
                        "the bag has older versions, and the successor's bucket keeps none", about=self.bucket,
                        next_step="switch its versioning on, then receive again",
                    )  # fmt: skip
                return
            seen.add(body["key"])

    def _put(self, no: int, body: dict[str, Any], *, only_stored: bool) -> str:
        with delivering(self.about):
            if body["kind"] == "marker":
                marked = self.client.delete_object(Bucket=self.bucket, Key=body["key"])
                return str(marked.get("VersionId") or "null")
            more: dict[str, Any] = dict(body["headers"])
            if tags := objects.tagged(body["tags"], only_stored=only_stored):
                more["Tagging"] = urlencode(tags)
            if body["lock"]["mode"] and not objects.is_over(
                body["lock"]
            ):  # the server refuses a day that is over
                more |= {
                    "ObjectLockMode": body["lock"]["mode"],
                    "ObjectLockRetainUntilDate": body["lock"]["until"],
                }
            if body["lock"]["hold"]:
                more["ObjectLockLegalHoldStatus"] = "ON"
            more |= {"Metadata": body["metadata"], "ChecksumAlgorithm": "SHA256"}
            file = self.arrived.path / f"data/content/{no:08d}"
            if file.stat().st_size > ONE_PUT:
                return self._put_in_parts(file, body["key"], more)
            with file.open("rb") as content:
                made = self.client.put_object(Bucket=self.bucket, Key=body["key"], Body=content, **more)
            return str(made.get("VersionId") or "null")

    def _put_in_parts(self, file: Path, key: str, more: dict[str, Any]) -> str:
        """What S3 takes in no one request. What a killed run began of it is taken back first, for it can be told from nothing."""
        for begun in self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=key).get("Uploads", []):
            if begun["Key"] == key:
                self.client.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=begun["UploadId"])
        made = self.client.create_multipart_upload(Bucket=self.bucket, Key=key, **more)
        of: Any = {"Bucket": self.bucket, "Key": key, "UploadId": made["UploadId"]}
        parts: list[Any] = []
        with file.open("rb") as content:
            part_size = max(PUT_PART, -(-file.stat().st_size // PARTS))
            while data := content.read(part_size):
                no = len(parts) + 1
                part = self.client.upload_part(**of, PartNumber=no, Body=data, ChecksumAlgorithm="SHA256")
                parts.append(
                    {"PartNumber": no, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]}
                )
                self.custody.at("handover.part_put")
        ended = self.client.complete_multipart_upload(**of, MultipartUpload={"Parts": parts})
        return str(ended.get("VersionId") or "null")

    def _found(self, no: int, body: dict[str, Any]) -> str | None:
        """The version that a killed run put for this item, if it did: the newest of its key that no item has, of this content."""
        mine = {
            str(r[0])
            for r in self.connection.execute(
                "SELECT version FROM quietus_handover.item WHERE dataset = %s AND key[1] = %s",
                [self.arrived.statement.dataset, body["key"]],
            ).fetchall()
        } | self._doubtful
        for group in objects.groups(self.client, self.bucket, body["key"], None, self.about):
            for item in group:
                if item.key != body["key"] or item.version in mine or item.kind != body["kind"]:
                    continue
                if item.kind == "version" and not self._is(item, body):
                    continue
                self._doubtful.add(item.version)
                return item.version
        return None

    def _is(self, item: Item, body: dict[str, Any]) -> bool:
        version = objects.read(self.client, self.bucket, item, self.about)
        for _ in version.octets():
            pass
        return version.stored_of(body) == objects.canonical(body)
