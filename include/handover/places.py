"""Where a bag's items are on our side: its range of the dataset is read again and comes to the signed root, or does not.

The same lines, clocks and holds, judged as of the same day, give the same root (docs/handover.md). So nothing needs to be kept of
a bag's items but its salt, and a row that was changed, deleted or put beside the others since is seen. By the prover, in one
snapshot a store. Whoever counts reads everything once more, contents of objects too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from include.cases.book import Conn
from include.cases.retention.due import answering
from include.cases.retention.held import HeldPeople
from include.handover import objects, register
from include.handover.conservation import Place
from include.handover.items import Growing, Leaves
from include.handover.packing import Outcome, Packing, Room, Said, allowed
from include.handover.register import Bag
from include.handover.rows import Shape, consigning, copied, reading
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import QuietusError, Refused
from include.model.handover import HANDED_OVER, BagKind, Clocks, Consigned, Consignment
from include.model.words import DatasetKind, Role
from include.stores.postgres.live import Live
from include.stores.postgres.server import Connection, Server
from include.stores.s3.server import reaching

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Key = tuple[str, ...]


@dataclass(frozen=True)
class Here:
    """``held``: how many of the items that are here a hold names today; ``kept``: how many a statute keeps here that is not
    handed over; ``why``: it could not be read."""

    place: Place
    held: int = 0
    why: str = ""
    kept: int = 0


@dataclass(frozen=True)
class Reading:
    """With what is read. ``consigned``: each dataset with the rule by which it went; ``as_of``: the day clocks were judged by."""

    catalogue: Catalogue
    connections: Connections
    book: Callable[[], AbstractContextManager[Conn]]
    held: HeldPeople
    order: str
    as_of: date
    consigned: Sequence[Consigned]


def places(by: Reading) -> dict[str, Here]:
    """Each bag of the order with where its items are. What cannot be read is UNASKED, and says why; it stops no other."""
    with by.book() as conn:
        bags, salts = register.bags(conn, by.order), register.salts(conn, by.order)
    found = {b.name: Here(Place.KEPT) for b in bags if b.statement.kind is BagKind.BOOK}
    rules = {c.dataset: c for c in by.consigned}
    of: dict[str, list[Bag]] = {}
    for bag in bags:
        if bag.name not in found:
            of.setdefault(bag.statement.dataset, []).append(bag)
    by_store: dict[str, list[Consigned]] = {}
    for dataset, its in of.items():
        try:
            if dataset not in rules:
                raise Refused("it has bags, and the order does not hand it over", about=dataset)
            declared = allowed(by.catalogue, rules[dataset])
        except QuietusError as error:
            found |= _unasked(its, error)
        else:
            by_store.setdefault(answering(by.catalogue, declared), []).append(rules[dataset])
    for store, datasets in by_store.items():
        try:
            for dataset, here in _store(by, store, datasets, of, salts):
                found[dataset] = here
        except QuietusError as error:
            left = [b for d in datasets for b in of[d.dataset] if b.name not in found]
            found |= _unasked(left, error)
    return found


def _unasked(bags: Sequence[Bag], error: QuietusError) -> dict[str, Here]:
    return {b.name: Here(Place.UNASKED, why=str(error)) for b in bags}


def _store(
    by: Reading, store: str, datasets: Sequence[Consigned], of: dict[str, list[Bag]], salts: dict[str, bytes]
) -> Iterator[tuple[str, Here]]:  # fmt: skip
    with reading(by.catalogue, by.connections, store) as (server, connection, live):
        for consigned in datasets:
            its = of[consigned.dataset]
            try:
                with server.reaching(f"{store} {consigned.dataset}"), connection.transaction():
                    again = _Again(by, consigned, server, connection, live)
                    read = [(b.name, again.bag(b, salts[b.name], after)) for b, after in _ranges(its)]
            except QuietusError as error:
                read = list(_unasked(its, error).items())
            yield from read


def _ranges(bags: Sequence[Bag]) -> Iterator[tuple[Bag, Key | None]]:
    """Each bag with the key after which its range begins."""
    after: Key | None = None
    for bag in bags:
        yield bag, after
        after = bag.upto


def _signs_nothing(_: bytes) -> bytes:
    raise AssertionError("nothing is signed here")


class _Again(Packing):
    """A dataset as it was packed, without packing it."""

    def __init__(
        self, by: Reading, of: Consigned, server: Server, connection: Connection, live: Live
    ) -> None:
        room = Room(by.catalogue, by.connections, by.book, _signs_nothing, Path(), by.held)
        # Of a consignment packing asks its day here, and nothing of whom it goes to.
        asked = Consignment.model_construct(order=by.order, as_of=by.as_of, datasets=(of,))
        super().__init__(room, asked, of, server, connection, live, Outcome())
        self._floors: dict[bytes, bool] = {}

    def bag(self, bag: Bag, salt: bytes, after: Key | None) -> Here:
        """Read one bag's range again."""
        leaves, root, held, kept, stay = Leaves(salt), Growing(), 0, 0, Counter[str]()
        lines = self._again_rows if self.dataset.kind is DatasetKind.TABLE else self._again_objects
        for stored, said in lines(after, bag.upto):
            if said.stays is None:
                root.add(leaves.of(stored, said.clocks, said.holds))
                held += bool(said.holds)
                kept += self._kept_here(said.clocks)
            else:
                stay[said.stays.value] += 1
        if root.size == bag.statement.items and root.root() == bag.statement.root:
            # A bag of no items is wherever one looks for it.
            return Here(Place.WHOLE if root.size else Place.GONE, held, kept=kept)
        # Of what stayed there may be less by now, and not more: that would be an item whose clock shows another day.
        if not root.size and stay <= Counter(bag.stays):
            return Here(Place.GONE)
        return Here(Place.PART, held, kept=kept)

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

    def _again_rows(self, after: Key | None, upto: Key | None) -> Iterator[tuple[bytes, Said]]:
        shape = Shape.read(self.connection, self.dataset.address, self.dataset.key)
        for line in copied(self.connection, consigning(self.look).lines(shape, after, upto, self.holds)):
            row, tail = self._cut(line)
            yield row, self.said(tail)

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
                    yield version.stored(objects.origin_of(item)), said
