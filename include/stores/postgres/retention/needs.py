"""Who needs a row to stay: rows that refer to it, by a foreign key; and rows whose owner is known by it alone.

A link that the database does not know as a foreign key is obeyed like one while the row that leads through it stays. Without
the row above it nobody could say when its own clock began, or that a hold names its owner: it would stay for ever, or go under
the hold. Where several rows lead to its owners (shared) or to who may see it, each goes by its own dates, unless a hold covers
the row that stays. What was cut has no owner to be known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.estate import Dataset, Link
from include.model.words import DatasetKind, Ownership
from include.stores.postgres.live import Live
from include.stores.postgres.retention.owners import Owners
from include.stores.postgres.server import joined, name


class Named(Protocol):
    """Whom the open holds name in a dataset: everybody, or these people."""

    @property
    def everybody_held(self) -> bool: ...

    @property
    def held(self) -> Sequence[str]: ...


@dataclass(frozen=True)
class Held:
    """The same by itself, where nothing is asked of the dataset."""

    everybody_held: bool = False
    held: Sequence[str] = field(default=(), repr=False)


@dataclass(frozen=True)
class Need:
    """A way in which a row ``ct`` of a table needs the row ``pt`` of another: both by address, the columns that it is by, and
    as SQL. ``leads``: it is a link, by which its owner is known."""

    child: str
    parent: str
    columns: tuple[str, ...]
    refers: sql.Composable
    leads: bool = False


def needs(
    catalogue: Catalogue, live: Live, group: Sequence[Dataset], looks: Mapping[str, Named], row: str = "pt"
) -> list[Need]:
    """Every way in which rows of this group of datasets may be needed. ``looks``: whom the holds name, by dataset; ``row``: what
    the needed row is called in the SQL."""
    here = {d.address for d in group}
    found = [
        Need(
            k.child, k.parent, k.child_columns,
            joined(" AND ", (sql.SQL("{} = {}").format(name("ct", a), name(row, b))
                             for a, b in zip(k.child_columns, k.parent_columns, strict=True))),
        )
        for k in live.foreign_keys if k.parent in here
    ]  # fmt: skip
    known = {
        (k.child, k.parent, frozenset(zip(k.child_columns, k.parent_columns, strict=True)))
        for k in live.foreign_keys
    }
    for dataset in catalogue.of_store(group[0].store, DatasetKind.TABLE):
        for link in dataset.links if dataset.address in live.tables else ():
            found += (n for n in _led(catalogue, live, dataset, link, looks, known, row) if n.parent in here)
    return found


def _led(
    catalogue: Catalogue, live: Live, dataset: Dataset, link: Link, looks: Mapping[str, Named],
    known: set[tuple[str, str, frozenset[tuple[str, str]]]], row: str,
) -> Iterator[Need]:  # fmt: skip
    """The need of a link that no foreign key is. Raises CatalogueError for one of which a column is gone."""
    owners = Owners(catalogue, live)
    if dataset.address not in live.tables or (found := owners.above(dataset, link, "ct", row)) is None:
        return
    above, pairs, refers = found
    if (dataset.address, above.address, pairs) in known:
        return
    ways = [refers]
    if link.via is not None and link.ownership is not Ownership.SOLE and dataset.id in looks:
        look = looks[dataset.id]
        if not look.everybody_held:
            ways.append(owners.among(dataset, "ct", look.held))
    if dataset.cut is not None:
        whole = (
            sql.SQL("{} IS DISTINCT FROM {}").format(name("ct", c), sql.Literal(v))
            for c, v in dataset.cut.set.items()
        )
        ways.append(sql.SQL("({})").format(joined(" OR ", whole)))
    columns = tuple(a for a, _ in sorted(pairs))
    yield Need(dataset.address, above.address, columns, joined(" AND ", ways), leads=True)
