"""Whether it must stay known whose a row is, as SQL about one row: the row above it, by which that is known, is needed so long.

sole       while the row is whole; once it is cut, while another whole row leads through it, or until it goes by its owner's
           clock, bare as it is
shared     each of its owners' rows, while the row, or one that leads through it, counts by its owners' accounts or by a query
           about them: the clock of those who are left says nothing of one whose row went. By dates of its own it goes
           without them
any        while a hold covers the row and it is whole
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.estate import Dataset, Link
from include.model.words import DatasetKind, Ownership
from include.stores.postgres.live import Live
from include.stores.postgres.retention.owners import Owners
from include.stores.postgres.server import joined, name
from include.stores.postgres.survey import on

Condition = Callable[[Dataset, str], sql.Composable | None]
"""A condition on a row of a dataset, by its alias; None: it never holds."""

_NEVER: tuple[sql.Composable, ...] = ()
_ALWAYS: tuple[sql.Composable, ...] = (sql.SQL("true"),)


class Named(Protocol):
    """Whom the open holds name in a dataset: everybody, or these people."""

    @property
    def everybody_held(self) -> bool: ...

    @property
    def held(self) -> Sequence[str]: ...


def _no(_dataset: Dataset, _alias: str) -> None:
    """The default: nothing goes, or is cut, in the same deed."""


@dataclass(frozen=True)
class Known:
    """``looks``: whom the holds name, by dataset; of one that is not in it, everybody. ``goes``, ``cut``: which rows go, or are
    cut, in the deed that asks."""

    catalogue: Catalogue
    live: Live
    looks: Mapping[str, Named]
    goes: Condition = field(default=_no)
    cut: Condition = field(default=_no)

    def through(self, dataset: Dataset, link: Link, alias: str) -> sql.Composable | None:
        """Whether row ``alias`` of a dataset needs the row above that this link leads to; None: never. Raises CatalogueError if a
        link's column is gone."""
        return _any(self._through(dataset, link, alias, 0))

    def waits(self, dataset: Dataset, alias: str) -> sql.Composable | None:
        """Whether a clock of row ``alias``, or of one that leads through it, starts by its owners, or a hold covers it."""
        return _any(self._waiting(dataset, alias, 0))

    def _through(self, dataset: Dataset, link: Link, alias: str, depth: int) -> Sequence[sql.Composable]:
        if link.ownership is Ownership.SOLE or link.via is None:
            return self._owned(dataset, alias, depth)
        if link.ownership is Ownership.SHARED:
            return self._waiting(dataset, alias, depth)
        return self._whole_and(dataset, alias, self._held(dataset, alias))

    def _owned(self, dataset: Dataset, alias: str, depth: int) -> Sequence[sql.Composable]:
        """Whether there is anybody's clock or hold to be known of it."""
        if dataset.cut is None or _goes_bare_by_its_owner(dataset):
            return _ALWAYS
        return [
            *self._whole_and(dataset, alias, _ALWAYS),
            *self._led(dataset, alias, depth, self._through),
        ]

    def _waiting(self, dataset: Dataset, alias: str, depth: int) -> Sequence[sql.Composable]:
        """Whether it, or what leads through it, waits for all of its owners, or is held."""
        waits = _ALWAYS if counts_by_owners(dataset) else self._held(dataset, alias)

        def below(child: Dataset, link: Link, row: str, depth: int) -> Sequence[sql.Composable]:
            if link.ownership is Ownership.ACCESS_ONLY:
                return self._through(child, link, row, depth)
            return self._waiting(child, row, depth)

        return [*self._whole_and(dataset, alias, waits), *self._led(dataset, alias, depth, below)]

    def _led(
        self, dataset: Dataset, alias: str, depth: int,
        asks: Callable[[Dataset, Link, str, int], Sequence[sql.Composable]],
    ) -> Iterator[sql.Composable]:  # fmt: skip
        """That a row which stays leads through this one, and ``asks`` for whom it belongs to."""
        below = f"{alias}{depth}"
        for child in self.catalogue.of_store(dataset.store, DatasetKind.TABLE):
            for link in child.links if child.address in self.live.tables else ():
                if link.via != dataset.id or not (asked := asks(child, link, below, depth + 1)):
                    continue
                ways = [on(self.live, child, dataset, link, below, alias), *_not(self.goes(child, below))]
                yield sql.SQL("EXISTS (SELECT FROM {} AS {} WHERE {} AND {})").format(
                    name(child.address), name(below), joined(" AND ", ways), _any(asked)
                )

    def _whole_and(
        self, dataset: Dataset, alias: str, what: Sequence[sql.Composable]
    ) -> Sequence[sql.Composable]:  # fmt: skip
        """The same of a row that is not cut: of what was cut nobody's clock or hold is known any more."""
        if dataset.cut is None or not what:
            return what
        whole = joined(
            " OR ",
            (
                sql.SQL("{} IS DISTINCT FROM {}").format(name(alias, c), sql.Literal(v))
                for c, v in dataset.cut.set.items()
            ),
        )
        ways = [sql.SQL("({})").format(whole), *_not(self.cut(dataset, alias))]
        return [sql.SQL("({} AND {})").format(joined(" AND ", ways), _any(what))]

    def _held(self, dataset: Dataset, alias: str) -> Sequence[sql.Composable]:
        look = self.looks.get(dataset.id)
        if look is None or look.everybody_held:
            return _ALWAYS
        return [Owners(self.catalogue, self.live).among(dataset, alias, look.held)] if look.held else _NEVER


def counts_by_owners(dataset: Dataset) -> bool:
    """Whether a clock of its rows starts by their owners' accounts, or by a query about their owners."""
    return any(b.start is None or b.start.query is not None for b in dataset.binds)


def _goes_bare_by_its_owner(dataset: Dataset) -> bool:
    """Whether what a night cuts of it, for others need it, still goes by the clock of its owner."""
    bare = dataset.cut is not None and dataset.cut.ends is None and dataset.part_of is None
    return bare and dataset.action == "erase" and counts_by_owners(dataset)


def _any(ways: Sequence[sql.Composable]) -> sql.Composable | None:
    if not ways:
        return None
    return sql.SQL("({})").format(joined(" OR ", ways)) if len(ways) > 1 else ways[0]


def _not(condition: sql.Composable | None) -> Sequence[sql.Composable]:
    return [sql.SQL("NOT {}").format(condition)] if condition is not None else ()
