"""From a consignment to sealed and signed bags on our disk: dataset by dataset, shard by shard, each finished once for ever.

A shard is finished when its row is in the case book, committed after its sealed file has its name; what was begun beyond is begun
anew. The statement is in the row before it is signed, so a bag has one statement whatever is killed when. Rows are read under one
repeatable-read snapshot per store and run. A later run goes on after the last finished range, and first counts what lies in the
ranges that are finished: a table that grew or shrank since (after T0 none should) is named, and packed no further.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.cases.book import Conn
from include.cases.retention.due import answering, look_at
from include.cases.retention.held import HeldPeople
from include.cases.retention.limits import binds, question
from include.handover import book, objects, register
from include.handover.clocks import Stays, clocks, stays
from include.handover.rows import Consigning, Shape, clocks_of, consigning, copied, reading, unescaped
from include.handover.sealed import recipient
from include.handover.shards import At, Bounds, Packed, Shard, roomy
from include.ledger import attest
from include.model.catalogue import Catalogue, Dataset
from include.model.doors import Connections
from include.model.errors import Drifted, NoRoom, QuietusError, Refused
from include.model.handover import NEVER, BagKind, Consigned, Consignment
from include.model.template import Template
from include.model.words import DatasetKind, Role
from include.stores.postgres.live import Live
from include.stores.postgres.server import Connection, Server
from include.stores.s3.items import Item
from include.stores.s3.server import reaching
from include.stores.shared import nowhere

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mypy_boto3_s3 import S3Client

LARGEST = 8 << 30  # bytes of one file in a ustar
Attest = Callable[[bytes], bytes]
Record = Callable[[str, str | None, dict[str, Any], str], None]  # kind, case number, body, key: the ledger


def unrecorded(kind: str, case_no: str | None, body: dict[str, Any], key: str) -> None:
    """A room without a ledger."""


@dataclass(frozen=True)
class Room:
    """What packing works with. ``book``: a connection to the case book as its writer. ``attest``: the signer. ``held``: whom the
    open holds name. ``record``: the ledger's queue. ``home``: a directory for the bags of every order, its owner's alone."""

    catalogue: Catalogue
    connections: Connections
    book: Callable[[], AbstractContextManager[Conn]]
    attest: Attest
    home: Path
    held: HeldPeople = field(default_factory=HeldPeople)
    bounds: Bounds = field(default_factory=Bounds)
    record: Record = unrecorded
    at: At = nowhere

    def of(self, order: str) -> Path:
        path = self.home / order
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path


@dataclass
class Outcome:
    """``made``: bags that this run finished. ``left``: datasets that were not finished, and why."""

    made: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)


def pack(room: Room, consignment: Consignment) -> Outcome:
    """Pack what is not packed yet, and sign what is not signed. What one dataset cannot be does not stop the others.

    Raises Refused for another consignment of the same order, NoRoom, NotReachable if book or signer do not answer.
    """
    recipient(consignment.successor.certificate)
    with room.book() as conn:
        register.one_consignment(conn, consignment)
    outcome = Outcome()
    sign(room, consignment)
    by_store: dict[str, list[Consigned]] = {}
    for of in consignment.datasets:
        try:
            dataset = allowed(room.catalogue, of)
        except QuietusError as error:
            outcome.left[of.dataset] = str(error)
            continue
        by_store.setdefault(answering(room.catalogue, dataset), []).append(of)
    with roomy(room.of(consignment.order)):
        for store, datasets in by_store.items():
            _store(room, consignment, store, datasets, outcome)
        _book(room, consignment, outcome)
    sign(room, consignment)
    return outcome


def allowed(catalogue: Catalogue, of: Consigned) -> Dataset:
    """The dataset, if it may and can go. Raises Refused: raw biometrics never go, whatever else binds them (law.md D.5)."""
    try:
        dataset = catalogue.dataset(of.dataset)
    except KeyError:
        raise Refused("it is not in the catalogue", about=of.dataset, next_step="correct the order") from None
    if any(b.rule in NEVER for b in dataset.binds) or any(
        set(NEVER) & set(catalogue.category(c).rules) for c in dataset.all_categories
    ):
        raise Refused(
            "it has raw biometrics, which are never handed over", about=of.dataset,
            next_step="take it out of the order: it is deleted here",
        )  # fmt: skip
    if not any((b.rule, b.period) == (of.rule, of.period) for b in dataset.binds):
        raise Refused(
            f"{of.rule}/{of.period} does not bind it", about=of.dataset, next_step="correct the order"
        ) from None
    if dataset.kind is DatasetKind.RECORDS:
        raise Refused(
            "records in shared files are not handed over yet", about=of.dataset, next_step="hand the files over by hand"
        )  # fmt: skip
    if dataset.sealed_by is not None or dataset.keys is not None:
        raise Refused(
            "it is sealed with our key-encryption key, and re-wrapping its keys for a successor is not built yet",
            about=of.dataset, next_step="hand it over by hand",
        )  # fmt: skip
    return dataset


def sign(room: Room, consignment: Consignment) -> None:
    """Have every finished bag signed that is not."""
    with room.book() as conn:
        waiting = [b for b in register.bags(conn, consignment.order) if b.envelope is None]
    for bag in waiting:
        envelope = room.attest(bag.payload)
        said = bag.statement
        body = {"order": said.order, "bag": said.bag, "dataset": said.dataset, "items": said.items, "root": said.root,
                "statement": attest.digest(bag.payload)}  # fmt: skip
        room.record("handover.bag", None, body, f"handover.bag:{said.order}:{said.bag}")
        with room.book() as conn, conn.transaction():
            register.signed(conn, bag, envelope)
        room.at("handover.signed")


def _store(
    room: Room, consignment: Consignment, store: str, datasets: Sequence[Consigned], outcome: Outcome
) -> None:  # fmt: skip
    with reading(room.catalogue, room.connections, store) as (server, connection, live):
        for of in datasets:
            try:
                # In a savepoint, so that a dataset that cannot be read leaves the snapshot to the others.
                with server.reaching(f"{store} {of.dataset}"), connection.transaction():
                    Packing(room, consignment, of, server, connection, live, outcome).pack()
            except NoRoom:
                raise
            except QuietusError as error:
                outcome.left[of.dataset] = str(error)


def _book(room: Room, consignment: Consignment, outcome: Outcome) -> None:
    """One bag each of open holds, tombstones, and recipients still to answer: small, so never sharded."""
    for part in book.PARTS:
        with room.book() as conn:
            if register.bags(conn, consignment.order, part):
                continue
            shard = Shard(room.of(consignment.order), consignment, part, BagKind.BOOK, 1, "book.jsonl")
            for line in book.records(conn, part):
                shard.add(line, b"null", b"")
        _finish(room, consignment, shard.seal(room.catalogue.digest, {}, upto=None, last=True), outcome)


def _finish(room: Room, consignment: Consignment, packed: Packed, outcome: Outcome) -> None:
    """From here on the bag is finished."""
    room.at("handover.sealed")
    with room.book() as conn, conn.transaction():
        register.packed(conn, consignment, packed)
    outcome.made.append(packed.statement.bag)
    room.at("handover.packed")


@dataclass(frozen=True)
class Said:
    """What is the same for all items whose clocks and holds are the same."""

    clocks: bytes
    holds: bytes
    stays: Stays | None


class Packing:
    """One dataset, while its shards are filled."""

    def __init__(
        self, room: Room, consignment: Consignment, of: Consigned, server: Server, connection: Connection, live: Live,
        outcome: Outcome,
    ) -> None:  # fmt: skip
        self.room, self.consignment, self.of, self.server = room, consignment, of, server
        self.connection, self.outcome = connection, outcome
        self.dataset = room.catalogue.dataset(of.dataset)
        asked = question(room.catalogue, self.dataset, consignment.as_of, everything=True)
        self.look = look_at(room.catalogue, server, connection, live, asked, HeldPeople())
        self.binds = tuple(binds(room.catalogue, self.dataset))
        covering = [o for o in room.held.orders if o.scope.covers(self.dataset)]
        self.orders = [o.number for o in covering]
        self.holds = [
            (not (o.scope.cases or o.scope.subjects), sorted(room.held.people[o.number])) for o in covering
        ]
        self._judged: dict[bytes, Said] = {}

    # --- one dataset ------------------------------------------------------------------------------

    def pack(self) -> None:
        with self.room.book() as conn:
            done = register.bags(conn, self.consignment.order, self.of.dataset)
        if done and done[-1].last:
            return
        after = done[-1].upto if done else None
        before = sum(b.statement.items + sum(b.stays.values()) for b in done)
        if self.dataset.kind is DatasetKind.TABLE:
            self._rows(len(done) + 1, after, before)
        else:
            self._objects(len(done) + 1, after)

    def said(self, tail: bytes) -> Said:
        """What the fields behind an item's own say, judged once for all that have the same."""
        found = self._judged.get(tail)
        if found is None:
            fields = tail.split(b"\t")
            started = clocks_of(fields, len(self.binds))
            flags = fields[2 * len(self.binds) + 1 :]
            holds = sorted(o for o, f in zip(self.orders, flags, strict=True) if f == b"t")
            running, it = clocks(self.binds, started)
            why = stays(self.binds, self.of, started, it, self.consignment.as_of, held=bool(holds))
            found = Said(running.canonical(), ",".join(holds).encode(), why)
            self._judged[tail] = found
        return found

    @property
    def behind(self) -> int:
        """How many fields there are behind an item's own: clocks, the look's own word of holds, and ours."""
        return 2 * len(self.binds) + 1 + len(self.orders)

    def finish(self, packed: Packed) -> None:
        _finish(self.room, self.consignment, packed, self.outcome)

    def shard(self, number: int, payload: str) -> Shard:
        kind = BagKind.ROWS if self.dataset.kind is DatasetKind.TABLE else BagKind.OBJECTS
        home = self.room.of(self.consignment.order)
        return Shard(home, self.consignment, self.of.dataset, kind, number, payload)

    # --- a table ------------------------------------------------------------------------------------

    def _rows(self, number: int, after: tuple[str, ...] | None, before: int) -> None:
        look = consigning(self.look)
        shape = Shape.read(self.connection, self.dataset.address, self.dataset.key)
        if after is not None and (now := self._until(look, after)) != before:
            raise Drifted(
                f"its bags were packed from {before} rows, and there are {now} now", about=self.of.dataset,
                next_step="find out who wrote to it after T0; its bags need an order of their own",
            )  # fmt: skip
        described = {
            "address": shape.address, "key": list(shape.key), "columns": [list(c) for c in shape.columns],
        }  # fmt: skip
        shard, began = self.shard(number, "rows.copy"), after
        for upto in self._edges(look, after):
            for line in copied(self.connection, look.lines(shape, after, upto, self.holds)):
                row, tail = self._cut(line)
                said = self.said(tail)
                if said.stays is None:
                    shard.add(row, said.clocks, said.holds)
                else:
                    shard.stays[said.stays.value] += 1
            self.room.at("handover.piece")
            after = upto
            if upto is None or shard.size >= self.room.bounds.bytes:
                ends = {"after": list(began) if began else None, "upto": list(upto) if upto else None}
                self.finish(
                    shard.seal(self.room.catalogue.digest, described | ends, upto=upto, last=upto is None)
                )
                if upto is None:
                    return
                number, began = number + 1, upto
                shard = self.shard(number, "rows.copy")

    def _edges(self, look: Consigning, after: tuple[str, ...] | None) -> Iterator[tuple[str, ...] | None]:
        """Where each piece ends; the last has no end."""
        while True:
            rows = self.connection.execute(look.edge(after, self.room.bounds.rows)).fetchone()
            upto = tuple(str(v) for v in rows) if rows else None
            more = upto is not None and self.connection.execute(look.edge(upto, 1)).fetchone() is not None
            if not more:
                yield None
                return
            yield upto
            after = upto

    def _until(self, look: Consigning, upto: tuple[str, ...]) -> int:
        found = self.connection.execute(look.until(upto)).fetchone()
        return int(found[0]) if found else 0

    def _cut(self, line: bytes) -> tuple[bytes, bytes]:
        at = len(line)
        for _ in range(self.behind):
            at = line.rindex(b"\t", 0, at)
        return line[:at], line[at + 1 :]

    # --- objects --------------------------------------------------------------------------------------

    def _objects(self, number: int, after: tuple[str, ...] | None) -> None:
        store = self.room.catalogue.store(self.dataset.store)
        client: S3Client = self.room.connections.s3(store.connection, Role.PROVER)
        bucket, about = self.dataset.address, f"{store.id} {self.of.dataset}"
        shard, began = self.shard(number, "objects.jsonl"), after
        for group, said in self._judged_keys(client, bucket, after, about):
            if shard.size >= self.room.bounds.bytes and after is not None:
                self.finish(self._sealed(shard, bucket, began, after))
                number, began = number + 1, after
                shard = self.shard(number, "objects.jsonl")
            if said.stays is not None:
                shard.stays[said.stays.value] += len(group)
            else:
                for item in group:
                    self._put(shard, client, bucket, item, said, about)
            after = (group[0].key,)
            self.room.at("handover.piece")
        self.finish(self._sealed(shard, bucket, began, None))

    def _put(
        self, shard: Shard, client: S3Client, bucket: str, item: Item, said: Said, about: str
    ) -> None:  # fmt: skip
        origin = objects.origin_of(item)
        if item.kind == "marker":
            shard.add(objects.marker(item.key, origin), said.clocks, said.holds)
            return
        if item.size >= LARGEST:
            raise Refused(
                "an object of 8 GiB or more does not fit into a bag's tar file", about=self.of.dataset,
                next_step="hand it over by hand",
            )  # fmt: skip
        version = objects.read(client, bucket, item, about)
        with reaching(about):
            shard.content(version.octets())
        shard.add(version.stored(origin), said.clocks, said.holds)

    def _sealed(
        self, shard: Shard, bucket: str, after: tuple[str, ...] | None, upto: tuple[str, ...] | None
    ) -> Packed:  # fmt: skip
        described = {
            "bucket": bucket, "after": list(after) if after else None, "upto": list(upto) if upto else None,
        }  # fmt: skip
        return shard.seal(self.room.catalogue.digest, described, upto=upto, last=upto is None)

    def _judged_keys(
        self, client: S3Client, bucket: str, after: tuple[str, ...] | None, about: str
    ) -> Iterator[tuple[list[Item], Said]]:
        """Each key's versions with what the database says of its path; in order of key."""
        template = Template(self.dataset.prefix)
        base = template.prefix({})
        found = objects.groups(client, bucket, base, after[0] if after else None, about)
        while batch := list(itertools.islice(found, self.room.bounds.keys)):
            paths: dict[str, tuple[str, ...]] = {}
            for group in batch:
                values = template.match(group[0].key)
                if values is None:
                    raise Refused(
                        "a key is of another form than its template says", about=self.of.dataset,
                        next_step="correct the template, or move the object: nobody can say what law it is under",
                    )  # fmt: skip
                paths[group[0].key] = tuple(values[v] for v in template.variables)
            said = self._of_paths(template.variables, sorted(set(paths.values())))
            for group in batch:
                yield group, said[paths[group[0].key]]

    def _of_paths(
        self, variables: Sequence[str], paths: Sequence[tuple[str, ...]]
    ) -> Mapping[tuple[str, ...], Said]:
        look = objects.ConsigningPaths(
            **self.look.asked(),
            variables=variables,
            tallies=lambda _: iter(()),
            tally=dict.fromkeys(paths, 1),
        )
        found = {}
        for line in copied(self.connection, look.lines(self.holds)):
            own, tail = self._cut(line)
            found[tuple(unescaped(f) for f in own.split(b"\t"))] = self.said(tail)
        return found
