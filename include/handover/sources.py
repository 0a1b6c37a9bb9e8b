"""The rows and objects of bags on our side, as they are asked about before and when they go."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from include.cases.book import Conn
from include.cases.retention.asking import Asking
from include.cases.retention.due import answering, look_at
from include.cases.retention.held import HeldPeople, held_people
from include.cases.retention.limits import Bind, binds, question
from include.cases.rooms import Desk
from include.cases.shutdown.consigning import consigned
from include.cases.shutdown.orders import Order
from include.handover import register
from include.handover.register import Bag
from include.model.catalogue import Catalogue
from include.model.estate import Dataset
from include.model.handover import BagKind, Consigned
from include.model.words import Disposition
from include.stores.postgres.live import Live
from include.stores.postgres.retention.bagged import Bagged, BaggedPaths
from include.stores.postgres.retention.look import Look
from include.stores.postgres.server import Connection, Server

Key = tuple[str, ...]


RULE, LAW = "RS-28", "ESL 23; PIPL 22; policy 5.6: the successor has signed for it"


@dataclass
class OfBags(Asking):
    """The question of packing about the paths of objects, as the machinery of the nights asks it."""

    def paths(
        self, server: Server, connection: Connection, live: Live, dataset: Dataset, held: HeldPeople
    ) -> BaggedPaths:  # fmt: skip
        it = super().paths(server, connection, live, dataset, held)
        return BaggedPaths(**it.asked())

    def fates(self, look: Look, groups: Sequence[tuple[Any, ...]]) -> list[tuple[str, str] | None]:
        return [(RULE, LAW) for _ in groups]


class Sources:
    """``catalogue``: as these items go. Of its own kind a row may only be cut; what the successor has goes whole. ``packed``:
    datasets whose last bag is there."""

    def __init__(self, desk: Desk, conn: Conn, of: Order) -> None:
        self._desk, self._day = desk, of.closed_on or of.t0
        self._rules: Mapping[str, Consigned] = {c.dataset: c for c in consigned(desk.catalogue, of)}
        self._ranges: dict[str, tuple[Key | None, Key | None]] = {}
        self._ends: dict[str, list[str]] = {}
        self._names: dict[str, list[str]] = {}
        after: dict[str, Key | None] = {}
        self.packed: set[str] = set()
        for bag in register.bags(conn, of.number):  # by dataset and shard
            dataset = bag.statement.dataset
            self._ranges[bag.name] = (after.get(dataset), bag.upto)
            after[dataset] = bag.upto
            self._names.setdefault(dataset, []).append(bag.name)
            if bag.upto is not None:
                self._ends.setdefault(dataset, []).append(bag.upto[0])
            if bag.last:
                self.packed.add(dataset)
        whole = (
            d.model_copy(update={"action": Disposition.ERASE.value, "cut": None})
            if d.id in self._rules
            else d
            for d in desk.catalogue.datasets
        )
        self.catalogue: Catalogue = desk.catalogue.model_copy(update={"datasets": tuple(whole)})

    @property
    def consigned(self) -> frozenset[str]:
        """The datasets that go to the successor."""
        return frozenset(self._rules)

    @property
    def day(self) -> date:
        """By which clocks are judged."""
        return self._day

    def has_bags(self, dataset: str) -> bool:
        return dataset in self._names

    def bag_at(self, dataset: str, key: str) -> str | None:
        """The bag of objects in whose range a key is; None: it is in none that was packed."""
        names = self._names.get(dataset, [])
        place = bisect_left(self._ends.get(dataset, []), key)
        return names[place] if place < len(names) else None

    def paths(self, held: HeldPeople | None = None) -> OfBags:
        """The question about the paths of objects, with these holds, or those of the moment."""
        return OfBags(self._desk.catalogue, self._day, lambda: held or held_people(self._desk))

    def by_days(self) -> Asking:
        """The question of the nights, as of the same day."""
        return Asking(self._desk.catalogue, self._day, HeldPeople)

    def store_of(self, dataset: str) -> str:
        """The database that the rows of a dataset are in, or that answers for its objects."""
        return answering(self._desk.catalogue, self._desk.catalogue.dataset(dataset))

    def looks(
        self, bags: Sequence[Bag], server: Server, connection: Connection, live: Live, aside: Collection[str] = ()
    ) -> dict[str, Bagged]:  # fmt: skip
        """What to ask this store about the rows of these bags, with the holds of now; but for those that are set ``aside``."""
        held = held_people(self._desk)
        found: dict[str, Bagged] = {}
        rows = [b for b in bags if b.statement.kind is BagKind.ROWS]
        going = {b.statement.dataset for b in rows}
        for dataset in dict.fromkeys(b.statement.dataset for b in rows):
            if self.store_of(dataset) != server.store:
                continue
            declared = self._desk.catalogue.dataset(dataset)
            asked = question(self._desk.catalogue, declared, self._day)
            it = look_at(self._desk.catalogue, server, connection, live, asked, held)
            it = replace(it, dataset=declared.model_copy(update={"action": Disposition.ERASE.value}))
            found[dataset] = Bagged(
                **it.asked(),
                ranges=tuple(
                    self._ranges[b.name] for b in bags if b.statement.dataset == dataset and b.name not in aside
                ),
                clocks_go=any(self._started_by(b) & going - {dataset} for b in binds(self._desk.catalogue, declared)),
            )  # fmt: skip
        return found

    def _started_by(self, bind: Bind) -> set[str]:
        """The datasets by whose rows a clock starts."""
        query = bind.bound.start.query if bind.bound.start is not None else None
        return set(self._desk.catalogue.read_by(query)) if query else set()
