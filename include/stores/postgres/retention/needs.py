"""Who needs a row to stay: rows that refer to it, by a foreign key; and rows whose owner is known by it alone.

A link that the database does not know as a foreign key is obeyed like one while it must be known whose the row is that leads
through it (:mod:`.known`). Without the row above it nobody could say when its own clock began, or that a hold names its owner:
it would stay for ever, go too soon, or go under the hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.estate import Dataset, Link
from include.model.words import DatasetKind, Ownership
from include.stores.postgres.live import Live
from include.stores.postgres.retention.known import Known, Named
from include.stores.postgres.retention.owners import Owners
from include.stores.postgres.server import joined, name


@dataclass(frozen=True)
class Held:
    """The same by itself, where nothing is asked of the dataset."""

    everybody_held: bool = False
    held: Sequence[str] = field(default=(), repr=False)


@dataclass(frozen=True)
class Need:
    """A way in which a row ``ct`` of a table needs the row ``pt`` of another: both by address, the columns that it is by, and
    as SQL. ``leads``: it is a link, by which its owner is known; ``to``: the other's columns that it is by; ``waits``: that its
    clock, or a hold, goes by that owner: then the other may not be cut, either, so that nobody is known by it any more."""

    child: str
    parent: str
    columns: tuple[str, ...]
    refers: sql.Composable
    leads: bool = False
    to: tuple[str, ...] = ()
    waits: sql.Composable | None = None

    def joins(self, parent: Dataset) -> bool:
        """Whether the link still finds a row that is cut."""
        return parent.cut is None or parent.cut.set.keys().isdisjoint(self.to)

    def leads_on(self, parent: Dataset) -> bool:
        """Whether its owner is still known by one."""
        owning = (link for link in parent.links if link.ownership is not Ownership.ACCESS_ONLY)
        on = {c for link in owning for c in ((link.column,) if link.column else link.on)}
        return self.joins(parent) and (parent.cut is None or parent.cut.set.keys().isdisjoint(on))


def needs(
    catalogue: Catalogue, live: Live, group: Sequence[Dataset], looks: Mapping[str, Named], row: str = "pt",
    known: Known | None = None,
) -> list[Need]:  # fmt: skip
    """Every way in which rows of this group of datasets may be needed. ``looks``: whom the holds name, by dataset; ``row``: what
    the needed row is called in the SQL; ``known``: of which rows it must stay known whose they are, if some go with this deed."""
    here = {d.address for d in group}
    found = [
        Need(
            k.child, k.parent, k.child_columns,
            joined(" AND ", (sql.SQL("{} = {}").format(name("ct", a), name(row, b))
                             for a, b in zip(k.child_columns, k.parent_columns, strict=True))),
        )
        for k in live.foreign_keys if k.parent in here
    ]  # fmt: skip
    declared = {
        (k.child, k.parent, frozenset(zip(k.child_columns, k.parent_columns, strict=True)))
        for k in live.foreign_keys
    }
    known = known or Known(catalogue, live, looks)
    for dataset in catalogue.of_store(group[0].store, DatasetKind.TABLE):
        for link in dataset.links if dataset.address in live.tables else ():
            found += _led(known, dataset, link, here, declared, row)
    return found


def _led(
    known: Known, dataset: Dataset, link: Link, here: set[str],
    declared: set[tuple[str, str, frozenset[tuple[str, str]]]], row: str,
) -> Iterator[Need]:  # fmt: skip
    """The need of a link that leads to one of these addresses, and that no foreign key says as well: of none, or where a cut that
    the foreign key allows would take out by what the owner is known. Raises CatalogueError for one of which a column is gone."""
    owners = Owners(known.catalogue, known.live)
    leads_to = known.catalogue.dataset(link.via) if link.via is not None else owners.home
    if leads_to.address not in here or (found := owners.above(dataset, link, "ct", row)) is None:
        return
    above, pairs, refers = found
    asked = known.through(dataset, link, "ct")
    if asked is None:
        return
    columns, to = tuple(a for a, _ in sorted(pairs)), tuple(b for _, b in sorted(pairs))
    waits = known.waits(dataset, "ct")
    waits = None if waits is None else joined(" AND ", (refers, waits))
    need = Need(dataset.address, above.address, columns, joined(" AND ", (refers, asked)), True, to, waits)
    if (dataset.address, above.address, pairs) not in declared or not need.leads_on(above):
        yield need
