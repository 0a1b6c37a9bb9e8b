"""The rows of bags on our side, as they are asked about before and when they go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

from include.cases.book import Conn
from include.cases.retention.due import answering, look_at
from include.cases.retention.held import held_people
from include.cases.retention.limits import binds, question
from include.cases.rooms import Desk
from include.cases.shutdown.consigning import consigned
from include.cases.shutdown.orders import Order
from include.handover import register
from include.handover.register import Bag
from include.model.catalogue import Catalogue
from include.model.handover import Consigned
from include.model.words import Disposition
from include.stores.postgres.live import Live
from include.stores.postgres.retention.bagged import Bagged
from include.stores.postgres.server import Connection, Server

Key = tuple[str, ...]


class Sources:
    """``catalogue``: as these rows go. Of its own kind a row may only be cut; what the successor has goes whole. ``packed``:
    datasets whose last bag is there."""

    def __init__(self, desk: Desk, conn: Conn, of: Order) -> None:
        self._desk, self._day = desk, of.closed_on or of.t0
        self._rules: Mapping[str, Consigned] = {c.dataset: c for c in consigned(desk.catalogue, of)}
        self._ranges: dict[str, tuple[Key | None, Key | None]] = {}
        after: dict[str, Key | None] = {}
        self.packed: set[str] = set()
        for bag in register.bags(conn, of.number):  # by dataset and shard
            dataset = bag.statement.dataset
            self._ranges[bag.name] = (after.get(dataset), bag.upto)
            after[dataset] = bag.upto
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

    def store_of(self, dataset: str) -> str:
        """The database that the rows of a dataset are in."""
        return answering(self._desk.catalogue, self._desk.catalogue.dataset(dataset))

    def looks(
        self, bags: Sequence[Bag], server: Server, connection: Connection, live: Live
    ) -> dict[str, Bagged]:  # fmt: skip
        """What to ask this store about the rows of these bags, with the holds of now."""
        held = held_people(self._desk)
        found: dict[str, Bagged] = {}
        for dataset in dict.fromkeys(b.statement.dataset for b in bags):
            if self.store_of(dataset) != server.store:
                continue
            declared, by = self._desk.catalogue.dataset(dataset), self._rules[dataset]
            asked = question(self._desk.catalogue, declared, self._day)
            it = look_at(self._desk.catalogue, server, connection, live, asked, held)
            it = replace(it, dataset=declared.model_copy(update={"action": Disposition.ERASE.value}))
            rules = [(b.bound.rule, b.period.name) for b in binds(self._desk.catalogue, declared)]
            found[dataset] = Bagged(
                **it.asked(), mine=rules.index((by.rule, by.period)),
                ranges=tuple(self._ranges[b.name] for b in bags if b.statement.dataset == dataset),
            )  # fmt: skip
        return found
