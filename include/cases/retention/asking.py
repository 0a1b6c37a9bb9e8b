"""What a night asks of a database about each of its tables, and about the paths of objects, and what it makes of the answer.

The question is that of ``due`` (by days) or ``late`` (by the minute); the answer is judged again by the calendar here before
anything is done about it. What two statutes collide over is nobody's to dispose of: a person decides (``quietus retention due``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from include.cases.planner import rest_of, what_ends_the_rest
from include.cases.retention.accepted import Accepted, nobody
from include.cases.retention.due import look_at
from include.cases.retention.fates import by_days, by_hours
from include.cases.retention.forecast import due_on
from include.cases.retention.held import HeldPeople
from include.cases.retention.limits import binds, bounded, ends, question
from include.cases.retention.records import aging
from include.model.catalogue import Catalogue
from include.model.errors import BooksDoNotBalance, QuietusError
from include.model.estate import Dataset
from include.model.interval import Interval, Standing, interval
from include.model.retention import Clock, Group
from include.model.template import Template
from include.model.words import DatasetKind
from include.stores.postgres.live import Live
from include.stores.postgres.retention.hours import Hours, short
from include.stores.postgres.retention.look import Look
from include.stores.postgres.retention.paths import PathHours, Paths
from include.stores.postgres.server import Connection, Server
from include.stores.s3.aged import Aging


@dataclass
class Asking:
    """The questions of one night. ``at``: the moment, for periods of less than a day; None: the night, by days. ``held``: whom
    the holds of now name. ``unasked``: datasets that could not be asked, and why. ``accepted``: as the accounts say it now."""

    catalogue: Catalogue
    as_of: date
    held: Callable[[], HeldPeople]
    at: datetime | None = None
    unasked: dict[str, str] = field(default_factory=dict)
    accepted: Callable[[], Accepted] = lambda: nobody

    def looks(self, server: Server, connection: Connection, live: Live) -> Mapping[str, Look]:
        """A look at each table of the store that has a limit to ask about."""
        held = self.held()
        found: dict[str, Look] = {}
        types: dict[str, str] = {}
        for dataset in self.catalogue.of_store(server.store, DatasetKind.TABLE):
            try:
                asked = question(self.catalogue, dataset, self.as_of)
                if self.at is not None and not any(short(x) for x in asked.limits):
                    continue
                look = look_at(self.catalogue, server, connection, live, asked, held, types)
            except QuietusError as error:
                self.unasked[dataset.id] = str(error)
                continue
            found[dataset.id] = look if self.at is None else Hours(**look.asked(), at=self.at)
        return found

    def objects(self, store: str) -> tuple[Dataset, ...]:
        """The datasets of objects of a store that have a limit to ask about."""
        found = []
        for dataset in self.catalogue.of_store(store, DatasetKind.OBJECTS):
            try:
                asked = question(self.catalogue, dataset, self.as_of)
            except QuietusError as error:
                self.unasked[dataset.id] = str(error)
                continue
            if self.at is None or any(short(x) for x in asked.limits):
                found.append(dataset)
        return tuple(found)

    def records(self, store: str) -> tuple[Dataset, ...]:
        """The datasets of shared record files of a store that can be judged by age. On a run by the minute none is: which of
        their records are over, a night says."""
        found = []
        for dataset in self.catalogue.of_store(store, DatasetKind.RECORDS) if self.at is None else ():
            try:
                aging(self.catalogue, dataset, self.as_of, HeldPeople())
            except QuietusError as error:
                self.unasked[dataset.id] = str(error)
                continue
            found.append(dataset)
        return tuple(found)

    def aging(self, dataset: Dataset) -> Aging:
        """What to ask of the record files of a dataset, with the holds of now."""
        return aging(self.catalogue, dataset, self.as_of, self.held(), self.accepted())

    def paths(
        self, server: Server, connection: Connection, live: Live, dataset: Dataset, held: HeldPeople
    ) -> Paths:  # fmt: skip
        """A look at the paths of a dataset of objects, by the database that knows when their clocks started."""
        it = look_at(
            self.catalogue, server, connection, live, question(self.catalogue, dataset, self.as_of), held
        )
        more: dict[str, Any] = {
            "variables": Template(dataset.prefix).variables,
            "tallies": lambda _: iter(()),
        }
        if self.at is None:
            return Paths(**it.asked(), **more)
        return PathHours(**it.asked(), **more, at=self.at)

    def fates(self, look: Look, groups: Sequence[tuple[Any, ...]]) -> list[tuple[str, str] | None]:
        """Rule and law of each group. Raises BooksDoNotBalance if the store calls due what the calendar does not."""
        if isinstance(look, Hours):
            return [by_hours(look.question.limits[group[0]]) for group in groups]
        return [self._by_days(look, group) for group in groups]

    def since(self, look: Look, groups: Sequence[tuple[Any, ...]]) -> list[date | None]:
        """The day on which each group fell due; None: it is not counted in days."""
        if isinstance(look, Hours):
            return [None for _ in groups]
        return [due_on(self._interval(look, group)) for group in groups]

    def _interval(self, look: Look, said: tuple[Any, ...]) -> Interval:
        clocks = tuple(Clock(applies=bool(a), day=d) for a, d in zip(said[:-1:2], said[1:-1:2], strict=True))
        group = Group(clocks=clocks, held=False, items=said[-1])
        return interval(bounded(tuple(binds(self.catalogue, look.dataset)), group))

    def _by_days(self, look: Look, said: tuple[Any, ...]) -> tuple[str, str] | None:
        of = tuple(binds(self.catalogue, look.dataset))
        clocks = tuple(Clock(applies=bool(a), day=d) for a, d in zip(said[:-1:2], said[1:-1:2], strict=True))
        it = self._interval(look, said)
        stands = it.stands(self.as_of)
        if stands is Standing.CONFLICT:
            return None
        if stands is not Standing.DUE or it.ended_by is None:
            raise BooksDoNotBalance(
                f"the store calls {said[-1]} items due that are {stands.value}", about=look.dataset.id,
                next_step="this is a fault of the query; report it; nothing was disposed of",
            )  # fmt: skip
        rule, cites = by_days(it.ended_by)
        rest = of[-1] if of[-1].rest and not clocks[-1].applies else None
        if rest is not None and ((last := ends(rest.period, clocks[-1])) is None or last >= self.as_of):
            cites += what_ends_the_rest(rest_of(self.catalogue, look.dataset))
        return rule, cites
