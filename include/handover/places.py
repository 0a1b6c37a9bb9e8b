"""Where a bag's items are on our side: its range of the dataset is read again and comes to the signed root, or does not.

The same lines, clocks and holds, judged as of the same day, give the same root (docs/handover.md). So nothing needs to be kept of
a bag's items but its salt, and a row that was changed, deleted or put beside the others since is seen. By the prover, in one
snapshot a store. Whoever counts reads everything once more, contents of objects too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from include.cases.book import Conn
from include.cases.keys import KeyStore
from include.cases.retention.due import answering
from include.cases.retention.held import HeldPeople, held_people
from include.cases.rooms import Desk
from include.cases.shutdown.consigning import consigned
from include.cases.shutdown.objecting import since
from include.cases.shutdown.orders import Order
from include.handover import objects, register
from include.handover.asking import objected_late
from include.handover.conservation import Place
from include.handover.consignable import allowed
from include.handover.items import Growing, Leaves
from include.handover.packing import Packing, Said
from include.handover.register import Bag
from include.handover.room import Outcome, Room
from include.handover.rows import Shape, consigning, copied, reading
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import QuietusError, Refused
from include.model.handover import HANDED_OVER, BagKind, Clocks, Consigned, Consignment
from include.model.times import observed_now, prc_date
from include.model.words import DatasetKind, Role
from include.stores.postgres.live import Live
from include.stores.postgres.server import Connection, Server
from include.stores.s3.inventory import Inventory
from include.stores.s3.server import reaching

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Key = tuple[str, ...]
T = TypeVar("T")


@dataclass(frozen=True)
class Here:
    """``held``: how many of the items that are here a hold names today; ``kept``: how many a statute keeps here that is not
    handed over; ``why``: it could not be read. Of objects, ``unfinished``: how many uploads lie among them that were never
    finished; ``locked``: how many versions the server keeps, and ``until``: until when (None: under a legal hold).
    ``rest``: of a bag in part, how many of its items are here, if nothing else is."""

    place: Place
    held: int = 0
    why: str = ""
    kept: int = 0
    unfinished: int = 0
    locked: int = 0
    until: date | None = None
    rest: int | None = None


@dataclass(frozen=True)
class Reading:
    """With what is read. ``consigned``: each dataset with the rule by which it went; ``as_of``: the day clocks were judged by;
    ``late``: of a bag, whose objection came once our copy of it went, and changed nothing here; ``keys``: of owners' tokens, if
    it is read for whose an item is, too."""

    catalogue: Catalogue
    connections: Connections
    book: Callable[[], AbstractContextManager[Conn]]
    held: HeldPeople
    order: str
    as_of: date
    consigned: Sequence[Consigned]
    objectors: frozenset[str] = field(default=frozenset(), repr=False)
    late: Mapping[str, frozenset[str]] = field(default_factory=dict, repr=False)
    keys: KeyStore | None = None

    @classmethod
    def of(cls, desk: Desk, of: Order, as_of: date, *, whose: bool = False) -> Reading:
        """As the bags of an order are read now, judged by that day. ``whose``: for owners' tokens, too. Raises NotReachable."""
        objected = since(desk, of.number)
        with desk.book() as conn:
            late = objected_late(conn, of.number, objected)
        return cls(
            desk.catalogue, desk.connections, desk.book, held_people(desk), of.number, as_of,
            tuple(consigned(desk.catalogue, of)), frozenset(objected), late, desk.keys if whose else None,
        )  # fmt: skip


Work: TypeAlias = "Callable[[Again, Bag, bytes, Key | None], T]"
"""A bag, its salt, and the key after which its range begins."""


def places(by: Reading) -> dict[str, Here]:
    """Each bag of the order with where its items are. What cannot be read is UNASKED, and says why; it stops no other."""
    with by.book() as conn:
        bags = register.bags(conn, by.order)
    kept = {b.name: Here(Place.KEPT) for b in bags if b.statement.kind is BagKind.BOOK}
    return kept | each(by, Again.bag, lambda why: Here(Place.UNASKED, why=why))


def each(by: Reading, work: Work[T], unasked: Callable[[str], T]) -> dict[str, T]:
    """``work`` on every bag of rows or objects, in one snapshot a store; ``unasked``: of what cannot be read, and why."""
    with by.book() as conn:
        bags, salts = register.bags(conn, by.order), register.salts(conn, by.order)
    found: dict[str, T] = {}
    rules = {c.dataset: c for c in by.consigned}
    of: dict[str, list[Bag]] = {}
    for bag in bags:
        if bag.statement.kind is not BagKind.BOOK:
            of.setdefault(bag.statement.dataset, []).append(bag)
    by_store: dict[str, list[Consigned]] = {}
    for dataset, its in of.items():
        try:
            if dataset not in rules:
                raise Refused("it has bags, and the order does not hand it over", about=dataset)
            declared = allowed(by.catalogue, rules[dataset])
        except QuietusError as error:
            found |= {b.name: unasked(str(error)) for b in its}
        else:
            by_store.setdefault(answering(by.catalogue, declared), []).append(rules[dataset])
    for store, datasets in by_store.items():
        try:
            for name, seen in _store(by, store, datasets, of, salts, work, unasked):
                found[name] = seen
        except QuietusError as error:
            left = [b for d in datasets for b in of[d.dataset] if b.name not in found]
            found |= {b.name: unasked(str(error)) for b in left}
    return found


def _store(
    by: Reading, store: str, datasets: Sequence[Consigned], of: dict[str, list[Bag]], salts: dict[str, bytes],
    work: Work[T], unasked: Callable[[str], T],
) -> Iterator[tuple[str, T]]:  # fmt: skip
    with reading(by.catalogue, by.connections, store) as (server, connection, live):
        for consigned in datasets:
            its = of[consigned.dataset]
            try:
                with server.reaching(f"{store} {consigned.dataset}"), connection.transaction():
                    again, read = Again(by, consigned, server, connection, live), list[tuple[str, T]]()
                    for bag, after in _ranges(its):
                        again.marked_as_of(bag)
                        read.append((bag.name, work(again, bag, salts[bag.name], after)))
            except QuietusError as error:
                read = [(b.name, unasked(str(error))) for b in its]
            yield from read


def _ranges(bags: Sequence[Bag]) -> Iterator[tuple[Bag, Key | None]]:
    """Each bag with the key after which its range begins."""
    after: Key | None = None
    for bag in bags:
        yield bag, after
        after = bag.upto


def _signs_nothing(_: bytes) -> bytes:
    raise AssertionError("nothing is signed here")


class Again(Packing):
    """A dataset as it was packed, without packing it."""

    def __init__(
        self, by: Reading, of: Consigned, server: Server, connection: Connection, live: Live
    ) -> None:
        room = Room(
            by.catalogue, by.connections, by.book, _signs_nothing, Path(), by.held, objectors=by.objectors, keys=by.keys
        )  # fmt: skip
        # Of a consignment packing asks its day here, and nothing of whom it goes to.
        asked = Consignment.model_construct(order=by.order, as_of=by.as_of, datasets=(of,))
        super().__init__(room, asked, of, server, connection, live, Outcome())
        self._by = by
        self._floors: dict[bytes, bool] = {}
        self._locked: list[date | None] = []  # of the bag that is read: until when each lock is
        self._uploads: list[str] | None = None  # keys of unfinished uploads under paths that go

    def marked_as_of(self, bag: Bag) -> None:
        """By whose objection the items of a bag are marked: of those that came in time."""
        without = self._by.objectors - self._by.late.get(bag.name, frozenset())
        self.marks = replace(self.marks, objectors=tuple(sorted(without)))

    def bag(self, bag: Bag, salt: bytes, after: Key | None) -> Here:
        """Read one bag's range again."""
        self._locked = []
        leaves, root, held, kept, stay = Leaves(salt), Growing(), 0, 0, Counter[str]()
        here: list[bytes] = []
        for stored, said in self.lines(after, bag.upto, salt):
            if said.stays is None:
                leaf = leaves.of(stored, said.clocks, said.holds)
                root.add(leaf)
                here.append(leaf)
                held += bool(said.holds)
                kept += self._kept_here(said.clocks)
            else:
                stay[said.stays.value] += 1
        unfinished = self._unfinished(after, bag.upto) if self.dataset.kind is DatasetKind.OBJECTS else 0
        found = Here(Place.PART, held, "", kept, unfinished, len(self._locked), self._last_lock())
        # As a notice left it, a bag's items are no more in the order of their keys: then each is looked for.
        same = root.root() == bag.root if not bag.notices else Counter(here) == self.known(bag)
        if root.size == bag.items and same:
            # A bag of no items is wherever one looks for it.
            return replace(found, place=Place.WHOLE if root.size or unfinished else Place.GONE)
        if not root.size and not unfinished and self._stay(bag, stay):
            return Here(Place.GONE)
        return replace(found, rest=self._rest(bag, here))

    def _rest(self, bag: Bag, here: list[bytes]) -> int | None:
        """How many of a bag's items are here, if nothing else is."""
        with self._by.book() as conn:
            packed = Counter(register.leaves(conn, bag) or [])
        return len(here) if here and Counter(here) <= packed else None

    @staticmethod
    def _stay(bag: Bag, stay: Counter[str]) -> bool:
        """Of what stayed there may be less by now, and not more: that would be an item whose clock shows another day. What a
        notice took out of the bag may be among it."""
        if bag.notices:
            return stay.total() <= sum(bag.stays.values()) + max(0, bag.statement.items - bag.items)
        return stay <= Counter(bag.stays)

    def _last_lock(self) -> date | None:
        days = [day for day in self._locked if day is not None]
        return max(days) if len(days) == len(self._locked) and days else None

    def _unfinished(self, after: Key | None, upto: Key | None) -> int:
        """Uploads in the range that were never finished, under paths that go. They are few, and listed once a dataset."""
        if self._uploads is None:
            self._uploads = self._listed_uploads()
        return sum(
            (after is None or key > after[0]) and (upto is None or key <= upto[0]) for key in self._uploads
        )

    def _listed_uploads(self) -> list[str]:
        client = self.room.connections.s3(
            self.room.catalogue.store(self.dataset.store).connection, Role.PROVER
        )
        inventory = Inventory(client, self.dataset)
        found: dict[tuple[str, ...], list[str]] = {}
        for key, _ in inventory.keys(unfinished=True):
            if (values := inventory.template.match(key)) is not None:
                found.setdefault(tuple(values[v] for v in inventory.variables), []).append(key)
        said = self._of_paths(inventory.variables, sorted(found)) if found else {}
        return [key for path, keys in found.items() if said[path].stays is None for key in keys]

    def lines(self, after: Key | None, upto: Key | None, salt: bytes) -> Iterator[tuple[bytes, Said]]:
        """What is in a range now, as it would be packed into a bag of this salt."""
        if self.dataset.kind is DatasetKind.TABLE:
            return self._again_rows(after, upto, salt)
        return self._again_objects(after, upto)

    def known(self, bag: Bag) -> Counter[bytes]:
        """The digests of a bag's items. Raises Refused if they were not kept."""
        with self._by.book() as conn:
            found = register.leaves(conn, bag)
        if found is None:
            raise Refused(
                "it was packed before the digests of items were kept", about=bag.name,
                next_step="let a person compare both sides",
            )  # fmt: skip
        return Counter(found)

    def _kept_here(self, clocks: bytes) -> bool:
        """Whether a floor runs that does not go along: accounting, network logs."""
        found = self._floors.get(clocks)
        if found is None:
            day = self.consignment.as_of
            found = self._floors[clocks] = any(
                r.floor and r.rule not in HANDED_OVER and (r.ends is None or r.ends >= day)
                for r in Clocks.model_validate_json(clocks).running
            )
        return found

    def _again_rows(self, after: Key | None, upto: Key | None, salt: bytes) -> Iterator[tuple[bytes, Said]]:
        shape = Shape.read(self.connection, self.dataset.address, self.dataset.key)
        keyed = self.keyed(shape, salt)  # a key that was wrapped anew since is the same key
        for line in copied(self.connection, self.asked(consigning(self.look), shape, after, upto)):
            row, tail, owners = self.cut(line)
            said = self.said(tail)
            yield (
                row if keyed is None else keyed.row(row).line,
                replace(said, owners=owners) if owners else said,
            )

    def _again_objects(self, after: Key | None, upto: Key | None) -> Iterator[tuple[bytes, Said]]:
        store = self.room.catalogue.store(self.dataset.store)
        client: S3Client = self.room.connections.s3(store.connection, Role.PROVER)
        bucket, about = self.dataset.address, f"{store.id} {self.of.dataset}"
        for group, said in self._judged_keys(client, bucket, after, about):
            if upto is not None and group[0].key > upto[0]:
                return
            for item in group:
                if said.stays is not None:
                    yield b"", said
                elif item.kind == "marker":
                    yield objects.marker(item.key, objects.origin_of(item)), said
                else:
                    version = objects.read(client, bucket, item, about)
                    with reaching(about):
                        for _ in version.octets():
                            pass
                    self._look_at_lock(version.said)
                    yield version.stored(objects.origin_of(item)), said

    def _look_at_lock(self, said: Mapping[str, Any]) -> None:
        """A lock is an observation: the wall clock judges it."""
        until = said.get("ObjectLockRetainUntilDate")
        if said.get("ObjectLockLegalHoldStatus") == "ON":
            self._locked.append(None)
        elif until is not None and until > observed_now():
            self._locked.append(prc_date(until))
