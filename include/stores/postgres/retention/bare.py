"""Rows that were disposed of already and are still there, as SQL about one row."""

from __future__ import annotations

from collections.abc import Mapping

from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.errors import CatalogueError
from include.model.estate import Dataset
from include.model.words import Ownership
from include.stores.postgres.live import Live
from include.stores.postgres.retention.needs import Named, Need, needs
from include.stores.postgres.server import joined, name


def is_cut(dataset: Dataset, row: str = "t") -> sql.Composed:
    """Whether this row is as the dataset's cut leaves it."""
    return joined(
        " AND ",
        (
            sql.SQL("{} IS NOT DISTINCT FROM {}").format(name(row, c), sql.Literal(v))
            for c, v in (dataset.cut.set if dataset.cut else {}).items()
        ),
    )


def not_yet_disposed(
    catalogue: Catalogue, live: Live, dataset: Dataset, others: Mapping[str, Named]
) -> sql.Composable:
    """Whether row ``t`` is not: one that was cut is done, unless what is left of it has an end of its own; where rows of the kind
    are to be erased it stays bare only while others need it, by the same as for whoever cuts it (``needs``). ``others``: whom
    the holds name in the datasets that lead through this one."""
    if dataset.cut is None or dataset.cut.ends is not None:
        return sql.SQL("true")
    done = is_cut(dataset)
    if dataset.action != "erase" or dataset.part_of is not None:
        return sql.SQL("NOT ({})").format(done)
    try:
        ways = needs(catalogue, live, [dataset], others, row="t")
    except CatalogueError:  # a link can not be followed tonight, and whoever cuts comes to nothing either
        return sql.SQL("NOT ({})").format(done)
    needed = [
        sql.SQL("EXISTS (SELECT FROM {} AS ct WHERE {} AND {})").format(
            name(n.child), n.refers, _not_of_its_owner(catalogue, dataset, n)
        )
        for n in ways
    ]
    return sql.SQL("NOT ({} AND ({}))").format(done, joined(" OR ", needed) if needed else sql.SQL("false"))


def _not_of_its_owner(catalogue: Catalogue, dataset: Dataset, need: Need) -> sql.Composable:
    """Whether row ``ct`` is none by which it is known whose a row of several people is, or not bare itself. Where each refers
    to the other, both go together once both are bare: neither could go first."""
    shared = {link.via for link in dataset.links if link.ownership is Ownership.SHARED}
    owning = [d for d in catalogue.datasets if d.id in shared and d.address == need.child]
    if need.leads or not owning or owning[0].cut is None:
        return sql.SQL("true")
    return sql.SQL("NOT ({})").format(is_cut(owning[0], "ct"))
