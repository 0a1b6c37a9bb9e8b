"""Whole partitions: of which every row is due, they go with their files, and no row is deleted by itself.

    "<dataset>#p"   one row per partition of which everything was located: its address, after which pack its keys begin, up to
                    which they go, and how many items it has

Which partitions may ever go the server says itself (``quietus.past_partitions``): by range of one date column, over for a day,
so that no row of today looks for them in vain. A table that has such partitions is located partition by partition; of one that
is due to its last row that is written down. What stands against it is asked when it goes (``dropping``): then it goes by rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from psycopg import sql

from include.model.estate import Dataset
from include.stores.postgres.area import Area
from include.stores.postgres.retention.look import Look
from include.stores.postgres.server import Connection, name, one


@dataclass(frozen=True)
class Whole:
    """A partition that was located to its last row: its packs lie between two places."""

    address: str
    after: int
    upto: int
    items: int


def parted(connection: Connection, look: Look) -> tuple[list[tuple[Look, bool]], str | None]:
    """The look at each part of a table, and whether that is a partition of the past; the table itself, if it has none. Or why it
    is not gone through by its partitions, though some are of the past."""
    address = look.dataset.address
    root = name(address).as_string(connection)
    (known,) = one(connection.execute("SELECT to_regproc('quietus.past_partitions') IS NOT NULL"))
    if look.live.tables[address].kind != "p" or not known:  # an older version of us is installed there
        return [(look, False)], None
    rows = connection.execute(
        "WITH past AS (SELECT p.relid FROM quietus.past_partitions(to_regclass(%(root)s)) AS p), part AS ("
        " SELECT relid, true AS past FROM past UNION ALL SELECT t.relid, false FROM pg_partition_tree(to_regclass(%(root)s)) AS t"
        "  WHERE t.isleaf AND NOT EXISTS (SELECT FROM pg_partition_ancestors(t.relid) AS a JOIN past AS p ON p.relid = a.relid))"
        " SELECT n.nspname || '.' || c.relname, p.past, has_table_privilege(p.relid, 'SELECT') FROM part AS p"
        " JOIN pg_class AS c ON c.oid = p.relid JOIN pg_namespace AS n ON n.oid = c.relnamespace ORDER BY NOT p.past, 1",
        {"root": root},
    ).fetchall()
    if not any(past for _, past, _ in rows):
        return [(look, False)], None
    if hidden := [str(part) for part, _, may in rows if not may]:
        return [(look, False)], f"the role may not read {hidden[0]} by itself: run the store's install again"
    return [(within(look, str(part)), bool(past)) for part, past, _ in rows], None


def within(look: Look, partition: str) -> Look:
    """The same question of a partition's rows alone."""
    return replace(look, dataset=look.dataset.model_copy(update={"address": partition}))


def note_if_whole(connection: Connection, area: Area, of: Look, after: int, upto: int) -> None:
    """Write down that a partition's items, which lie between two places, are all that is in it; nothing, if they are not."""
    table, packs = _make(connection, area, of.dataset), area.packs(of.dataset.id)
    connection.execute(
        sql.SQL(
            "INSERT INTO {table} SELECT {address}, {after}, {upto}, x.items FROM"
            ' (SELECT sum("#items")::bigint AS items FROM {packs} WHERE "#pack" > {after}) AS x'
            " WHERE x.items = (SELECT count(*) FROM {partition})"
        ).format(
            table=table, address=sql.Literal(of.dataset.address), after=sql.Literal(after), upto=sql.Literal(upto), packs=packs,
            partition=name(of.dataset.address),
        )
    )  # fmt: skip


def note_why_not(connection: Connection, area: Area, dataset: Dataset, why: str) -> None:
    """Write down why none of its partitions is looked at by itself."""
    connection.execute(
        sql.SQL("COMMENT ON TABLE {} IS {}").format(_make(connection, area, dataset), sql.Literal(why))
    )


def why_not(connection: Connection, area: Area, dataset: Dataset) -> str | None:
    """What was written down of that."""
    (why,) = one(
        connection.execute(
            "SELECT obj_description(to_regclass(%s), 'pg_class')",
            [_table(area, dataset).as_string(connection)],
        )
    )
    return None if why is None else str(why)


def next_(connection: Connection, area: Area, dataset: Dataset, after: int) -> Whole | None:
    """The partition whose items are the next after a place, of a dataset of which some are noted."""
    row = connection.execute(
        sql.SQL("SELECT address, after, upto, items FROM {} WHERE after = {}").format(
            _table(area, dataset), sql.Literal(after)
        )
    ).fetchone()
    return None if row is None else Whole(*row)


def begins(connection: Connection, area: Area, dataset: Dataset, after: int) -> int | None:
    """The place before the next partition that is behind this one: no piece goes past it."""
    (place,) = one(
        connection.execute(
            sql.SQL("SELECT min(after) FROM {} WHERE after > {}").format(
                _table(area, dataset), sql.Literal(after)
            )
        )
    )
    return None if place is None else int(place)


def forget(connection: Connection, area: Area, dataset: Dataset, after: int) -> None:
    """The partition whose items are the next goes by rows."""
    connection.execute(
        sql.SQL("DELETE FROM {} WHERE after = {}").format(_table(area, dataset), sql.Literal(after))
    )


def move(connection: Connection, area: Area, dataset: Dataset, behind: int, by: int) -> None:
    """The packs behind a place moved on."""
    if are_noted(connection, area, dataset):
        connection.execute(
            sql.SQL(
                "WITH moved AS (DELETE FROM {t} WHERE after >= {behind} RETURNING *)"
                " INSERT INTO {t} SELECT address, after + {by}, upto + {by}, items FROM moved"
            ).format(t=_table(area, dataset), behind=sql.Literal(behind), by=sql.Literal(by))
        )


def drop(connection: Connection, area: Area, dataset: Dataset) -> None:
    """Whatever was noted: its keys are in packs no more."""
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(_table(area, dataset)))


def are_noted(connection: Connection, area: Area, dataset: Dataset) -> bool:
    """Whether of any partition of the past something was located."""
    (there,) = one(
        connection.execute(
            "SELECT to_regclass(%s) IS NOT NULL", [_table(area, dataset).as_string(connection)]
        )
    )
    return bool(there)


def _make(connection: Connection, area: Area, dataset: Dataset) -> sql.Identifier:
    table = _table(area, dataset)
    connection.execute(
        sql.SQL(
            "CREATE TABLE IF NOT EXISTS {}"
            " (address text NOT NULL, after bigint PRIMARY KEY, upto bigint NOT NULL, items bigint NOT NULL)"
        ).format(table)
    )
    return table


def _table(area: Area, dataset: Dataset) -> sql.Identifier:
    return sql.Identifier(area.schema, f"{dataset.id}#p")
