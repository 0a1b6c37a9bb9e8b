"""Two cases that own one contract come one after the other: shared items are locked before the snapshot is taken."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from include.model.estate import Dataset
from include.stores.postgres.area import Area, key_text
from include.stores.postgres.server import Connection

# Advisory locks of shared items share this many slots: a night's cohort must not fill the lock table.
SLOTS = 256
LOCK_SPACE = 0x51_55_49  # "QUI"


def lock_shared(connection: Connection, area: Area, datasets: Sequence[Dataset], chunk: int) -> None:
    """Take the session's locks of a chunk's shared items, waiting for whoever has them."""
    parts = [
        sql.SQL(
            "SELECT hashtextextended({id} || ' ' || {text}, 0) & {mask} AS slot FROM {table} AS k"
            " JOIN {cohort} AS c ON c.subject_no = k.subject_no AND c.chunk = {chunk} WHERE k.ownership = 'shared'"
        ).format(
            id=sql.Literal(d.id),
            text=key_text("k", d),
            mask=sql.Literal(SLOTS - 1),
            table=area.table(d.id),
            cohort=area.cohort,
            chunk=sql.Literal(chunk),
        )
        for d in datasets
    ]
    if parts:
        # OFFSET 0 keeps the order below the locking: everybody takes the slots in the same order.
        connection.execute(
            sql.SQL(
                "SELECT count(pg_advisory_lock({}, x.slot::int)) FROM"
                " (SELECT DISTINCT slot FROM ({}) AS s ORDER BY slot OFFSET 0) AS x"
            ).format(sql.Literal(LOCK_SPACE), sql.SQL(" UNION ALL ").join(parts))
        )
