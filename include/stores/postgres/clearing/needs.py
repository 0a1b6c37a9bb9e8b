"""Who needs a row to stay: rows that refer to it, by a foreign key; and rows whose owner is known by it alone.

A link that the database does not know as a foreign key is obeyed like one while the row that leads through it stays. Without
the row above it nobody could say when its own clock began, or that a hold names its owner: it would stay for ever, or go under
the hold. Where several rows lead to its owners (shared) or to who may see it, each goes by its own dates, unless a hold covers
the row that stays. What was cut has no owner to be known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from include.model.catalogue import Catalogue, Dataset, Link
from include.model.words import DatasetKind, Ownership
from include.stores.postgres.live import Live
from include.stores.postgres.retention.look import Look
from include.stores.postgres.retention.owners import Owners
from include.stores.postgres.server import joined, name
from include.stores.postgres.survey import column_of, is_subject, on


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
    catalogue: Catalogue, live: Live, group: Sequence[Dataset], looks: Mapping[str, Look]
) -> list[Need]:
    """Every way in which rows of this group of datasets may be needed."""
    here = {d.address for d in group}
    found = [
        Need(
            k.child, k.parent, k.child_columns,
            joined(" AND ", (sql.SQL("{} = {}").format(name("ct", a), name("pt", b))
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
            found += (n for n in _led(catalogue, live, dataset, link, looks, known) if n.parent in here)
    return found


def _led(
    catalogue: Catalogue, live: Live, dataset: Dataset, link: Link, looks: Mapping[str, Look],
    known: set[tuple[str, str, frozenset[tuple[str, str]]]],
) -> Iterator[Need]:  # fmt: skip
    """The need of a link that no foreign key is."""
    owners = Owners(catalogue, live)
    if link.via is not None:
        above, pairs = catalogue.dataset(link.via), frozenset(link.on.items())
    elif link.column is not None and link.ownership is not Ownership.ACCESS_ONLY:
        above, pairs = owners.home, frozenset({(link.column, owners.home.key[0])})
    else:
        return
    if (dataset.address, above.address, pairs) in known or above.address not in live.tables:
        return
    if above.id == dataset.id and link.via is None:
        return  # an account is its own
    if link.via is not None:
        refers: sql.Composable = on(live, dataset, above, link, "ct", "pt")
    else:
        mine = sql.SQL("{}::text").format(name("ct", link.column or ""))
        key = above.key[0]
        refers = sql.SQL("({})").format(is_subject(column_of(live, above, key), name("pt", key), mine))
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
