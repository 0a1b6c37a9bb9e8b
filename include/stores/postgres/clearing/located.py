"""What is located in a step area: which datasets have key tables, of which there is an item, and the digests of their keys."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from include.model.estate import Dataset
from include.model.flow import Step
from include.stores.postgres.area import Area
from include.stores.postgres.clearing import packs
from include.stores.postgres.clearing.piece import UPTO
from include.stores.postgres.server import Connection, joined, one
from include.stores.postgres.survey import digests

NONE = (0, "0" * 32)
"""How many items, and their digest, where there is none (``survey.digests``)."""


def relations(connection: Connection, area: Area) -> set[str]:
    rows = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind IN ('r', 'v')",
        [f'"{area.schema}"'],
    )
    return {str(table) for (table,) in rows}


def with_items(connection: Connection, area: Area, there: Sequence[Dataset]) -> tuple[Dataset, ...]:
    """Those of which something is located."""
    if not there:
        return ()
    each = [sql.SQL("EXISTS (SELECT FROM {})").format(area.table(d.id)) for d in there]
    found = one(connection.execute(sql.SQL("SELECT ARRAY[{}]").format(joined(", ", each))))[0]
    return tuple(d for d, some in zip(there, found, strict=True) if some)


def digests_of(
    connection: Connection, area: Area, datasets: Sequence[Dataset], *, begun: bool
) -> dict[str, tuple[int, str]]:
    """Of packs, which do not change, as it was written down when they were located; of what is unpacked, too, as long as nothing
    was disposed of (``begun``): until then no item leaves."""
    known = packs.remembered(connection, area, datasets, unpacked=not begun)
    some = with_items(connection, area, [d for d in datasets if d.id not in known])
    found = {**known, **digests(connection, area, some)}
    return {**found, **{d.id: NONE for d in datasets if d.id not in found}}


def upto(connection: Connection, step: Step, dataset: Dataset) -> int:
    """The last place in the order of a dataset that was dealt with; 0: none."""
    (upto,) = one(
        connection.execute(
            "SELECT max((counts -> %s ->> %s)::bigint) FROM quietus.receipt WHERE step = %s AND verb = 'dispose'",
            [dataset.id, UPTO, step.id],
        )
    )
    return 0 if upto is None else int(upto)
