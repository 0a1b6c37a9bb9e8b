"""The shape of what a dataset is judged by: the columns that its key, its clocks, its owners and its cut go by, with their types.

A column that is gone is noticed by whoever reads it. One of another type may be read still, and say something else: a moment that
was made a day by a server of another time zone is the day before for eight hours, an owner that was made another type is named by
no hold. So the types are remembered as nights saw them first (``Catalogue.shapes``), and what differs stops the dataset.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from include.model.catalogue import Catalogue
from include.model.errors import CatalogueError
from include.model.estate import Dataset
from include.model.words import DatasetKind
from include.stores.postgres.live import Live

EVERY = "*"
"""In the place of a column: every column of the table is remembered, so that one which comes is seen."""
KNOWN = "every column is known"
UNIQUE, NOT_UNIQUE = "a unique key", "none"
ACCEPT = "`quietus retention shape accept '{}' DOCUMENT --actor ROLE/NAME`"
PUT_BACK = "put it back, or, if every value means what it meant, " + ACCEPT
DECLARE = "declare it in the dataset's YAML, in its cut if it is about a person; or " + ACCEPT


@dataclass(frozen=True)
class Change:
    """A column that is not as nights knew it. ``was``: None, if it came since."""

    place: str  # "schema.table.column", or "schema.table (key)"
    was: str | None
    now: str

    def __str__(self) -> str:
        if self.was is None:
            return f"{self.place} came since ({self.now}), and what is cut keeps it"
        return f"{self.place} was {self.was}, and is {self.now}"

    @property
    def next_step(self) -> str:
        return (DECLARE if self.was is None else PUT_BACK).format(self.place)


def shape(catalogue: Catalogue, live: Live, dataset: Dataset) -> dict[str, str]:
    """By place (``schema.table.column``) the type of each column that it is judged by; of one whose rows are cut, also all others
    of its table. And its key, while it is one. What is not there is left out: whoever asks for it says so."""
    found: dict[str, str] = {}
    for address, column in _named(catalogue, live, dataset):
        table = live.tables.get(address)
        if table is not None and column in table.columns:
            found[f"{address}.{column}"] = table.columns[column].base
    table = live.tables.get(dataset.address)
    if table is not None and _is_cut(dataset):
        found |= {f"{dataset.address}.{c}": column.base for c, column in table.columns.items()}
        found[f"{dataset.address}.{EVERY}"] = KNOWN
    if (key := _key(live, dataset)) is not None and key[1]:
        found[key[0]] = UNIQUE
    return found


def changes(catalogue: Catalogue, live: Live, dataset: Dataset, known: Mapping[str, str]) -> Iterator[Change]:
    """What is not as it was known: a key that two rows may have by now, so that one would go for the other; a type; a column that
    came to a table whose rows are cut, and that no YAML declares."""
    key, is_one = _key(live, dataset) or ("", True)
    if not is_one and known.get(key) == UNIQUE:
        yield Change(key, UNIQUE, NOT_UNIQUE)
    named = {f"{a}.{c}" for a, c in _named(catalogue, live, dataset)}
    declared = {f"{dataset.address}.{c}" for c in dataset.columns}
    # That a query's text has its name says nothing of what a column is: it may be any word.
    declared |= {f"{a}.{c}" for a, c in _named(catalogue, live, dataset, read=False)}
    came = known.get(f"{dataset.address}.{EVERY}") is not None
    for place, now in sorted(shape(catalogue, live, dataset).items()):
        if place in named and known.get(place, now) != now:
            yield Change(place, known[place], now)
        elif came and place not in known and place not in declared | {key}:
            yield Change(place, None, now)


def as_it_was(catalogue: Catalogue, live: Live, dataset: Dataset, store: str) -> None:
    """Raises CatalogueError if the columns that a dataset is judged by are not as nights knew them."""
    found = list(changes(catalogue, live, dataset, catalogue.shapes.get(store, {})))
    if found:
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        raise CatalogueError(
            f"its shape changed: {found[0]}{more}; nothing of it goes",
            about=dataset.id,
            next_step=found[0].next_step,
        )


def _key(live: Live, dataset: Dataset) -> tuple[str, bool] | None:
    """How its key is called, and whether no two rows can have the same; None: it is not there, as whoever asks for it says."""
    table = live.tables.get(dataset.address)
    if dataset.kind is not DatasetKind.TABLE or table is None or not set(dataset.key) <= table.columns.keys():
        return None
    return f"{dataset.address} ({', '.join(dataset.key)})", table.unique_within(dataset.key)


def _named(
    catalogue: Catalogue, live: Live, dataset: Dataset, *, read: bool = True
) -> Iterator[tuple[str, str]]:
    """The columns by which it is found, judged, and known to be somebody's; on every way to its owners' accounts. ``read``: also
    those that its starting points may read."""
    yield from ((dataset.address, c) for c in (*dataset.key, *(dataset.cut.set if dataset.cut else ())))
    for bound in dataset.all_binds:
        if bound.start is None:
            continue
        yield from ((dataset.address, c) for c in (bound.start.column, *bound.start.on) if c is not None)
        if bound.start.query is not None and read:
            yield from _read(live, catalogue.starting_points.get(bound.start.query, ""))
    yield from _owned(catalogue, dataset)
    for home in catalogue.datasets:
        if home.accounts is not None and home.part_of is None:
            says = (home.key[0], home.accounts.ended, home.accounts.accepted)
            yield from ((home.address, c) for c in says if c is not None)


def _owned(catalogue: Catalogue, dataset: Dataset) -> Iterator[tuple[str, str]]:
    for link in dataset.links:
        if link.column is not None:
            yield dataset.address, link.column
            continue
        parent = catalogue.dataset(link.via or "")
        for mine, theirs in link.on.items():
            yield dataset.address, mine
            yield parent.address, theirs
        yield from _owned(catalogue, parent)


def _read(live: Live, text: str) -> Iterator[tuple[str, str]]:
    """The columns that a starting point may read: those of the tables it names whose names it has. One too many does no harm."""
    words, addresses = _words(text)
    for address in sorted(addresses & live.tables.keys()):
        yield from ((address, c) for c in live.tables[address].columns if c in words)


@lru_cache(maxsize=256)
def _words(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """Its names, and what may be the addresses of tables."""
    return frozenset(re.findall(r"\w+", text)), frozenset(re.findall(r"\w+\.\w+", text))


def _is_cut(dataset: Dataset) -> bool:
    """Whether a row may stay without what is cut of it. What a part leaves is its row's, which has its own period."""
    return dataset.cut is not None and dataset.part_of is None
