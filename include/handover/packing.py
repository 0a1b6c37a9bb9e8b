"""From a consignment to sealed and signed bags on our disk: dataset by dataset, shard by shard, each finished once for ever.

A shard is finished when its row is in the case book, committed after its sealed file has its name; what was begun beyond is begun
anew. One run at a time packs for an order, and a file gets its name only once its row is written, which no second one can be. The
statement is in the row before it is signed, so a bag has one statement whatever is killed when. Rows are read under one
repeatable-read snapshot per store and run. A later run goes on after the last finished range, and first counts what lies in the
ranges that are finished: a table that grew or shrank since (after T0 none should) is named, and packed no further.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from psycopg import sql

from include.cases import turns
from include.cases.retention.due import answering, look_at
from include.cases.retention.held import HeldPeople
from include.cases.retention.limits import binds, question
from include.cases.shutdown import who_asked
from include.cases.shutdown.consigning import ITS_OWN
from include.handover import addressed, bookbags, objects, register
from include.handover.bookbags import finish
from include.handover.clocks import Stays, clocks, stays
from include.handover.consignable import allowed, openable
from include.handover.keyed import KeyedRows, unopened
from include.handover.marks import WORDS, Marks
from include.handover.objects import Version
from include.handover.register import Bag
from include.handover.room import Outcome, Room
from include.handover.rows import Consigning, Shape, clocks_of, consigning, copied, reading, unescaped
from include.handover.sealed import recipient
from include.handover.shards import Packed, Shard, roomy, swept
from include.handover.whose import Whose
from include.ledger import attest
from include.model.abreast import abreast
from include.model.errors import Drifted, LedgerError, NoRoom, NotReachable, QuietusError, Refused
from include.model.handover import BagKind, Consigned, Consignment, Restricted
from include.model.keks import Keks
from include.model.template import Template
from include.model.times import observed_now
from include.model.words import DatasetKind, Role
from include.stores.postgres.live import Live
from include.stores.postgres.retention.carried import carried
from include.stores.postgres.server import Connection, Server, one
from include.stores.s3.items import Item
from include.stores.s3.server import reaching

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LARGEST = 8 << 30  # bytes of one file in a ustar
AHEAD = 1 << 20  # bytes of one key's versions that are read before their turn


def pack(room: Room, consignment: Consignment) -> Outcome:
    """Pack what is not packed yet, and sign what is not signed. What one dataset cannot be does not stop the others.

    Raises Refused for another consignment of the same order, NoRoom, NotReachable if book or signer do not answer, or another
    run packs for this order.
    """
    recipient(consignment.successor.certificate, compared=True)
    with room.book() as conn:
        addressed.standing(conn, consignment)
    outcome = Outcome()
    with _turn(room, consignment.order):
        _pack(room, consignment, outcome)
    return outcome


def _pack(room: Room, consignment: Consignment, outcome: Outcome) -> None:
    sign(room, consignment)
    by_store: dict[str, list[Consigned]] = {}
    for of in consignment.datasets:
        try:
            dataset = openable(allowed(room.catalogue, of), consignment)
        except QuietusError as error:
            outcome.left[of.dataset] = str(error)
            continue
        by_store.setdefault(answering(room.catalogue, dataset), []).append(of)
    with roomy(room.of(consignment.order)):
        for store, datasets in by_store.items():
            _store(room, consignment, store, datasets, outcome)
        bookbags.pack(room, consignment, outcome)
    sign(room, consignment)


def later(room: Room, consignment: Consignment) -> Outcome:
    """Pack and sign the tombstones that were made since theirs were packed: also after the order's end, until its ledger is with
    the custodian. Raises Refused from then on, or for another consignment; NoRoom, NotReachable."""
    recipient(consignment.successor.certificate, compared=True)
    with room.book() as conn:
        who_asked.still_here(conn, addressed.standing(conn, consignment, ended=True))
    outcome = Outcome()
    with _turn(room, consignment.order):
        sign(room, consignment)
        with roomy(room.of(consignment.order)):
            bookbags.later(room, consignment, outcome)
        sign(room, consignment)
    return outcome


@contextmanager
def _turn(room: Room, order: str) -> Iterator[None]:
    """One run at a time packs for an order: two would number their bags alike. Raises NotReachable."""
    with room.book() as alone:
        if not turns.waited(alone, f"casebook.shutdown bags {order}"):
            raise NotReachable(
                "its bags are being packed by another run", about=order, next_step="wait for that run"
            )
        swept(room.of(order))
        try:
            yield
        except FileNotFoundError:
            raise NotReachable(
                "a later run took away what this one had begun", about=order,
                next_step="let that one come to its end, then run it again: finished bags are kept",
            ) from None  # fmt: skip


def sign(room: Room, consignment: Consignment) -> None:
    """Have every finished bag signed that is not."""
    with room.book() as conn:
        waiting = [b for b in register.bags(conn, consignment.order) if b.envelope is None]
    for bag in waiting:
        envelope = room.attest(bag.payload)
        _not_by(consignment, envelope, bag)
        said = bag.statement
        body = {"order": said.order, "bag": said.bag, "dataset": said.dataset, "items": said.items, "root": said.root,
                "statement": attest.digest(bag.payload)}  # fmt: skip
        room.record("handover.bag", None, body, f"handover.bag:{said.order}:{said.bag}")
        with room.book() as conn, conn.transaction():
            register.signed(conn, bag, envelope)
        room.at("handover.signed")


def _not_by(consignment: Consignment, envelope: bytes, bag: Bag) -> None:
    """Raises Refused if what the successor's receipts would be believed by signs for us."""
    try:
        attest.opened(envelope, bag.statement.format, attest.public_key(consignment.successor.receipt_key))
    except LedgerError:
        return
    raise Refused(
        "the successor's key for receipts is our own signer's: we would sign for what we sent", about=consignment.order,
        next_step=f"{ITS_OWN}; withdraw the order, since its bags were packed by this one",
    )  # fmt: skip


def _store(
    room: Room, consignment: Consignment, store: str, datasets: Sequence[Consigned], outcome: Outcome
) -> None:  # fmt: skip
    with reading(room.catalogue, room.connections, store) as (server, connection, live):
        with server.reaching(store):
            came = carried(connection)
        for of in datasets:
            try:
                _not_handed_on(of.dataset, came)
                # In a savepoint, so that a dataset that cannot be read leaves the snapshot to the others.
                with server.reaching(f"{store} {of.dataset}"), connection.transaction():
                    Packing(room, consignment, of, server, connection, live, outcome).pack()
            except NoRoom:
                raise
            except QuietusError as error:
                outcome.left[of.dataset] = str(error)


def _not_handed_on(dataset: str, came: Collection[str]) -> None:
    """Raises Refused for what we took over ourselves: its clocks came from another authority, and would be told anew by our own
    starting points."""
    if dataset in came:
        raise Refused(
            "items of it came from another authority, with clocks that cannot be handed on yet", about=dataset,
            next_step="keep it with a custodian, or hand it over by hand; nothing of it was packed",
        )  # fmt: skip


def _read_ahead(
    client: S3Client, bucket: str, about: str, judged: tuple[list[Item], Said]
) -> tuple[list[Item], Said, list[Version | None]]:
    """Read the versions of a key that goes, while others are packed, if they are small; None: to be read when its turn comes."""
    group, said = judged
    if said.stays is not None or sum(item.size for item in group) > AHEAD:
        return group, said, [None] * len(group)
    versions: list[Version | None] = []
    for item in group:
        version = None if item.kind == "marker" else objects.read(client, bucket, item, about)
        if version is not None:
            with reaching(about):
                version.fetch()
        versions.append(version)
    return group, said, versions


@dataclass(frozen=True)
class Said:
    """What is the same for all items whose clocks and holds are the same."""

    clocks: bytes
    holds: bytes
    stays: Stays | None
    owners: tuple[bytes, ...] = ()
    """Tokens; of one item, where owners are kept."""


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
        covering = room.held.covering(self.dataset, *room.catalogue.opened_by(self.dataset.id))
        self.orders = [o.number for o in covering]
        self.holds = [(o.scope.everybody, sorted(room.held.people[o.number])) for o in covering]
        self.marks = Marks.of(connection, room.objectors)
        self.whose = Whose(room.keys) if room.keys is not None else None
        self._judged: dict[bytes, Said] = {}
        self._keks: Keks | None = None

    # --- one dataset ------------------------------------------------------------------------------

    def pack(self) -> None:
        with self.room.book() as conn:
            done = register.bags(conn, self.consignment.order, self.of.dataset)
            number = register.next_shard(conn, self.consignment.order, self.of.dataset)
        if done and done[-1].last:
            return
        after = done[-1].upto if done else None
        before = sum(b.items + sum(b.stays.values()) for b in done)
        if self.dataset.kind is DatasetKind.TABLE:
            self._rows(number, after, before)
        else:
            self._objects(number, after)

    def said(self, tail: bytes) -> Said:
        """What the fields before an item's own say, judged once for all that have the same."""
        found = self._judged.get(tail)
        if found is None:
            fields = tail.split(b"\t")
            started = clocks_of(fields, len(self.binds))
            *flags, mark = fields[2 * len(self.binds) + 1 :]
            holds = sorted(o for o, f in zip(self.orders, flags, strict=True) if f == b"t")
            running, it = clocks(self.binds, started)
            restricted = WORDS[mark]
            running = running.model_copy(update={"restricted": restricted})
            why = stays(
                self.room.catalogue, self.dataset, self.binds, started, it, self.consignment.as_of, held=bool(holds),
                objected=restricted is Restricted.OBJECTION,
            )  # fmt: skip
            found = Said(running.canonical(), ",".join(holds).encode(), why)
            self._judged[tail] = found
        return found

    @cached_property
    def before(self) -> int:
        """How many fields there are before an item's own: clocks, the look's own word of holds, ours, the mark, and whose it is
        (where that is kept)."""
        return 2 * len(self.binds) + 1 + len(self.orders) + 1 + (self.whose is not None)

    def finish(self, packed: Packed) -> None:
        finish(self.room, self.consignment, packed, self.outcome)

    def shard(self, number: int, payload: str) -> Shard:
        kind = BagKind.ROWS if self.dataset.kind is DatasetKind.TABLE else BagKind.OBJECTS
        home, keyed = self.room.of(self.consignment.order), self.dataset.keys is not None
        return Shard(
            home, self.consignment, self.of.dataset, kind, number, payload, keyed=keyed, read_at=self._read_at
        )

    @cached_property
    def _read_at(self) -> datetime:
        """Since when the items are those that this run packs: what is disposed of later was among them. Of rows the beginning of
        the snapshot, by the clock that their receipts bear; a bucket has none, and is listed from now on."""
        if self.dataset.kind is not DatasetKind.TABLE:
            return observed_now()
        began: datetime = one(self.connection.execute("SELECT now()"))[0]
        return began

    def keyed(self, shape: Shape, salt: bytes) -> KeyedRows | None:
        """How lines are handed over, if they are keys."""
        if self.dataset.keys is None:
            return None
        if self._keks is None:
            self._keks = Keks.of(self.room.connections)
        return KeyedRows(shape, self.dataset.keys, self._keks, salt)

    # --- a table ------------------------------------------------------------------------------------

    def _rows(self, number: int, after: tuple[str, ...] | None, before: int) -> None:
        look = consigning(self.look)
        shape = Shape.read(self.connection, self.dataset.address, self.dataset.key)
        if after is not None and (now := self._until(look, after)) != before:
            raise Drifted(
                f"its bags were packed from {before} rows, and there are {now} now", about=self.of.dataset,
                next_step="find out who wrote to it after T0; its bags need an order of their own",
            )  # fmt: skip
        described: dict[str, Any] = {
            "address": shape.address, "key": list(shape.key), "columns": [list(c) for c in shape.columns],
        }  # fmt: skip
        if self.dataset.keys is not None:
            described["keys"] = self.dataset.keys.model_dump()
        shard, began = self.shard(number, "rows.copy"), after
        keyed = self.keyed(shape, shard.salt)
        for upto in self._edges(look, after):
            for line in copied(self.connection, self.asked(look, shape, after, upto)):
                row, tail, owners = self.cut(line)
                said = self.said(tail)
                if said.stays is None:
                    stored = row if keyed is None else self._wrapped(shard, keyed, row)
                    shard.add(stored, said.clocks, said.holds, owners)
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
                keyed = self.keyed(shape, shard.salt)

    def _wrapped(self, shard: Shard, keyed: KeyedRows, line: bytes) -> bytes:
        """A key's line as it is handed over, with the key itself wrapped beside it."""
        row = keyed.row(line)
        if row.key is None:
            raise unopened(self.of.dataset)
        shard.key(row.number, row.key)
        return row.line

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

    def asked(
        self, look: Consigning, shape: Shape, after: tuple[str, ...] | None, upto: tuple[str, ...] | None
    ) -> sql.Composed:
        """The rows of a range, as :meth:`cut` takes their lines."""
        return look.lines(shape, after, upto, self.holds, self.marks, owners=self.whose is not None)

    def cut(self, line: bytes) -> tuple[bytes, bytes, tuple[bytes, ...]]:
        """An item's own fields, those before them, and its owners' tokens, where they are kept."""
        own = line.split(b"\t", self.before)[-1]
        tail = line[: -len(own) - 1]
        if self.whose is None:
            return own, tail, ()
        tail, _, owners = tail.rpartition(b"\t")
        return own, tail, self.whose.tokens(owners)

    # --- objects --------------------------------------------------------------------------------------

    def _objects(self, number: int, after: tuple[str, ...] | None) -> None:
        store = self.room.catalogue.store(self.dataset.store)
        client: S3Client = self.room.connections.s3(store.connection, Role.PROVER)
        bucket, about = self.dataset.address, f"{store.id} {self.of.dataset}"
        shard, began = self.shard(number, "objects.jsonl"), after
        ahead = partial(_read_ahead, client, bucket, about)
        for group, said, versions in abreast(ahead, self._judged_keys(client, bucket, after, about)):
            if shard.size >= self.room.bounds.bytes and after is not None:
                self.finish(self._sealed(shard, bucket, began, after))
                number, began = number + 1, after
                shard = self.shard(number, "objects.jsonl")
            if said.stays is not None:
                shard.stays[said.stays.value] += len(group)
            else:
                for item, version in zip(group, versions, strict=True):
                    self._put(shard, client, bucket, item, version, said, about)
            after = (group[0].key,)
            self.room.at("handover.piece")
        self.finish(self._sealed(shard, bucket, began, None))

    def _put(
        self, shard: Shard, client: S3Client, bucket: str, item: Item, version: Version | None, said: Said, about: str
    ) -> None:  # fmt: skip
        origin = objects.origin_of(item)
        if item.kind == "marker":
            shard.add(objects.marker(item.key, origin), said.clocks, said.holds, said.owners)
            return
        if item.size >= LARGEST:
            raise Refused(
                "an object of 8 GiB or more does not fit into a bag's tar file", about=self.of.dataset,
                next_step="hand it over by hand",
            )  # fmt: skip
        if version is None:
            version = objects.read(client, bucket, item, about)
        if version.content is not None:
            shard.whole(version.content, version.digests)
        else:
            with reaching(about):
                shard.content(version.octets())
        shard.add(version.stored(origin), said.clocks, said.holds, said.owners)

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
        asked = look.lines(self.holds, self.marks, owners=self.whose is not None)
        for line in copied(self.connection, asked):
            own, tail, owners = self.cut(line)
            found[tuple(unescaped(f) for f in own.split(b"\t"))] = replace(self.said(tail), owners=owners)
        return found
