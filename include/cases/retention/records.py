"""Records in shared files by age: each bears the time that its clock starts by, so that no database is asked but the holds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from include.cases.retention.accepted import Accepted, nobody
from include.cases.retention.fates import Fate, by_days
from include.cases.retention.held import HeldPeople
from include.cases.retention.limits import Bind, binds, bounded, split
from include.cases.retention.objects import Partly
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import CatalogueError
from include.model.estate import Dataset
from include.model.interval import Standing, interval
from include.model.retention import Clock, Group
from include.model.words import Role
from include.stores.s3.aged import Aging, Logs, Starting
from include.stores.s3.once import Clocks, Once

UNREADABLE = "{} versions of its files cannot be read: repair or remove them"
ODD = (
    "{} versions of its files have records without a time, or with one after the file was written. These count as of that day,"
    " and all are judged. Next: mend what writes them"
)


def aging(
    catalogue: Catalogue, dataset: Dataset, as_of: date, held: HeldPeople, accepted: Accepted = nobody
) -> Aging:  # fmt: skip
    """What to ask of the record files of a dataset on a day. Raises CatalogueError for what cannot be asked of records."""
    of = tuple(binds(catalogue, dataset))
    if dataset.action != "erase":
        raise CatalogueError(
            "records that are cut are not judged by age yet", about=dataset.id,
            next_step="let them be erased, or look after them by hand",
        )  # fmt: skip
    if len(dataset.links) != 1 or dataset.links[0].column is None:
        raise CatalogueError(
            "records need one link by one field", about=dataset.id, next_step="correct the links"
        )
    everybody, people = held.of(dataset)

    def fate(clocks: Clocks) -> Fate | None:
        group = Group(clocks=tuple(Clock(applies=True, day=d) for d in clocks), held=False, items=1)
        it = interval(bounded(of, group))
        return by_days(it.ended_by) if it.stands(as_of) is Standing.DUE and it.ended_by is not None else None

    starts = tuple(_starting(dataset, bind) for bind in of)
    mark = held.mark(dataset)
    return Aging(dataset, starts, fate, dataset.links[0].column, frozenset(people), everybody, mark, accepted)


def _starting(dataset: Dataset, bind: Bind) -> Starting:
    start = bind.bound.start
    if start is None or start.column is None or split(bind.period)[0]:
        raise CatalogueError(
            f"{bind.bound.rule}/{bind.bound.period} does not start by a field of the record, or is less than a day",
            about=dataset.id, next_step="records are judged by their own times, in whole days: correct the bind",
        )  # fmt: skip
    return Starting(start.column, bind.period.restrains_deletion, frozenset(bind.unless))


def logs(catalogue: Catalogue, connections: Connections, asked: Aging, once: Once | None = None) -> Logs:
    """The files that a question is about, as the prover reads them."""
    return Logs(connections.s3(catalogue.store(asked.dataset.store).connection, Role.PROVER), asked, once)


def groups(of: Logs) -> tuple[Iterator[Group], list[str]]:
    """The items of a dataset in groups, and, once all were had, why not all of it could be judged (``Partly``)."""
    said: list[str] = []

    def every() -> Iterator[Group]:
        yield from of.groups()
        told = ((UNREADABLE, of.unreadable), (ODD, of.odd))
        if why := [text.format(many) for text, many in told if many]:
            said.append(Partly("; ".join(why)))

    return every(), said
