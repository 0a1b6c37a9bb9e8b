"""What a shutdown asks the stores about what goes to nobody, and what it makes of the answer: the questions of a night, with the
fates of the preview. What a store calls gone and the calendar does not is a fault, and nothing goes by it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from include.cases.retention import records
from include.cases.retention.asking import Asking
from include.cases.retention.due import Judged, look_at
from include.cases.retention.held import HeldPeople
from include.cases.retention.limits import binds, bounded, question
from include.cases.retention.paths_due import asking
from include.cases.shutdown.fates import fate
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import BooksDoNotBalance, QuietusError
from include.model.estate import Dataset
from include.model.interval import interval
from include.model.retention import Clock, Group
from include.model.template import Template
from include.model.words import DatasetKind, Disposition
from include.stores.postgres.live import Live
from include.stores.postgres.retention.ending import AllPaths, Ending, EndingPaths, Waiting
from include.stores.postgres.retention.look import Look
from include.stores.postgres.server import Connection, Server
from include.stores.s3.aged import Aging
from include.stores.s3.once import Clocks

GOES = (Disposition.ERASE, Disposition.ANONYMISE, Disposition.UNLINK)


def whole(catalogue: Catalogue) -> Catalogue:
    """The catalogue as a shutdown disposes by it: what is only cut, else, goes as a whole (PIPL 73; policy 5.6(3))."""
    return catalogue.model_copy(
        update={
            "datasets": tuple(
                d.model_copy(update={"action": Disposition.ERASE.value, "cut": None}) if _only_cut(d) else d
                for d in catalogue.datasets
            )
        }
    )


def _only_cut(dataset: Dataset) -> bool:
    return dataset.action == Disposition.DEIDENTIFY.value


@dataclass
class Ends(Asking):
    """``as_of``: the day collection was closed. ``about``: the datasets that are asked about; ``waits``: those of which nothing
    goes yet; ``ends``: whether relations with everybody end."""

    about: frozenset[str] = field(kw_only=True)
    waits: frozenset[str] = field(kw_only=True)
    ends: bool = field(kw_only=True)

    def looks(self, server: Server, connection: Connection, live: Live) -> Mapping[str, Look]:
        held = self.held()
        found: dict[str, Look] = {}
        types: dict[str, str] = {}
        for dataset in self._of(server.store, DatasetKind.TABLE):
            try:
                asked = question(self.catalogue, dataset, self.as_of, everything=True, bare=True)
                it = look_at(self.catalogue, server, connection, live, asked, held, types)
            except QuietusError as error:
                self.unasked[dataset.id] = str(error)
                continue
            if _only_cut(dataset):
                it = replace(it, dataset=dataset.model_copy(update={"action": Disposition.ERASE.value}))
            found[dataset.id] = (Waiting if dataset.id in self.waits else Ending)(**it.asked())
        return found

    def objects(self, store: str) -> tuple[Dataset, ...]:
        return tuple(d for d in self._of(store, DatasetKind.OBJECTS) if d.id not in self.waits)

    def records(self, store: str) -> tuple[Dataset, ...]:
        found = []
        for dataset in self._of(store, DatasetKind.RECORDS):
            if dataset.id in self.waits:
                continue
            try:
                records.aging(self.catalogue, dataset, self.as_of, HeldPeople())
            except QuietusError as error:
                self.unasked[dataset.id] = str(error)
                continue
            found.append(dataset)
        return tuple(found)

    def aging(self, dataset: Dataset) -> Aging:
        def gone(clocks: Clocks) -> tuple[str, str] | None:
            return self._goes(dataset, [Clock(applies=True, day=day) for day in clocks], 1)

        return replace(records.aging(self.catalogue, dataset, self.as_of, self.held()), fate=gone)

    def paths(
        self, server: Server, connection: Connection, live: Live, dataset: Dataset, held: HeldPeople
    ) -> EndingPaths:  # fmt: skip
        return EndingPaths(**self._paths(server, connection, live, dataset, held))

    def whose(
        self, connections: Connections, dataset: Dataset, tally: Mapping[tuple[str, ...], int]
    ) -> set[str]:
        """Whose these paths are."""
        with asking(self.catalogue, connections, dataset) as (server, connection):
            asked = self._paths(server, connection, Live.read(connection), dataset, HeldPeople())
            return {str(id_) for (id_,) in connection.execute(AllPaths(**asked).of(tally).owners())}

    def fates(self, look: Look, groups: Sequence[tuple[Any, ...]]) -> list[tuple[str, str] | None]:
        """Rule and law of each group. Raises BooksDoNotBalance if the store calls gone what the calendar keeps."""
        declared = self.catalogue.dataset(look.dataset.id)
        found: list[tuple[str, str] | None] = []
        for said in groups:
            clocks = [Clock(applies=bool(a), day=d) for a, d in zip(said[:-1:2], said[1:-1:2], strict=True)]
            if (goes := self._goes(declared, clocks, said[-1])) is None:
                raise BooksDoNotBalance(
                    f"the store calls {said[-1]} items gone that are kept", about=declared.id,
                    next_step="this is a fault of the query; report it; nothing was disposed of",
                )  # fmt: skip
            found.append(goes)
        return found

    def _goes(self, dataset: Dataset, clocks: Sequence[Clock], items: int) -> tuple[str, str] | None:
        group = Group(clocks=tuple(clocks), held=False, items=items)
        it = interval(bounded(tuple(binds(self.catalogue, dataset)), group))
        judged = Judged(dataset.id, it, False, items, group.clocks)
        what = fate(self.catalogue, dataset, judged, self.as_of, ends=self.ends)
        return (what.rule.partition("/")[0], what.law) if what.disposition in GOES else None

    def _of(self, store: str, kind: DatasetKind) -> Iterable[Dataset]:
        return (d for d in self.catalogue.of_store(store, kind) if d.id in self.about)

    def _paths(
        self, server: Server, connection: Connection, live: Live, dataset: Dataset, held: HeldPeople
    ) -> dict[str, Any]:
        asked = question(self.catalogue, dataset, self.as_of, everything=True, bare=True)
        it = look_at(self.catalogue, server, connection, live, asked, held)
        return {
            **it.asked(),
            "variables": Template(dataset.prefix).variables,
            "tallies": lambda _: iter(()),
        }
