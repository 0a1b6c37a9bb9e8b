"""Which tables are to be written anew, by what the database itself remembers: receipts of disposals, and of each table the file
that it was given when it was last written anew."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.words import DatasetKind
from include.stores.postgres.live import Live
from include.stores.postgres.server import Connection, name, one


@dataclass(frozen=True)
class Table:
    """One file to be written anew, or what it was written as. ``size``: bytes, with indexes and TOAST."""

    relation: str
    root: str  # the table that it is, or is a partition of
    size: int
    filenode: int
    last: int  # the last transaction that disposed of something in it; 0: none, for its partitions went with their files


def disposed(
    connection: Connection, catalogue: Catalogue, store: str, datasets: Collection[str] | None
) -> Mapping[str, int]:
    """Of every table (``datasets``: of these) in which something was disposed of, by receipts: the last transaction that did.
    One by which a partition went with its files deleted no row, so that it counts for views of the table alone."""
    by_dataset: dict[str, tuple[int, int]] = {}  # by rows, and in any way
    for d, rows, any_ in connection.execute(
        sql.SQL(
            "SELECT c.key, coalesce(max(r.xid::text::bigint) FILTER (WHERE NOT {}), 0), max(r.xid::text::bigint)"
            " FROM quietus.receipt AS r, jsonb_each(r.counts) AS c WHERE r.verb = 'dispose' GROUP BY c.key"
        ).format(_with_its_files(connection))
    ):
        of = whole_of(catalogue, d)
        before = by_dataset.get(of, (0, 0))
        by_dataset[of] = max(int(rows), before[0]), max(int(any_), before[1])
    found: dict[str, int] = {}
    for dataset in catalogue.of_store(store, DatasetKind.TABLE):
        if dataset.id not in by_dataset or (datasets is not None and dataset.id not in datasets):
            continue
        rows, any_ = by_dataset[dataset.id]
        written = dict.fromkeys(
            (dataset.address, *(e.table for e in dataset.effects if e.operation != "insert")), rows
        )
        written |= {v.address: any_ for v in catalogue.derived if v.store == store and dataset.id in v.of}
        for address, xid in written.items():
            found[address] = max(xid, found.get(address, 0))
    return found


def dropped(connection: Connection) -> int:
    """The last transaction in which a partition went with its files; 0: none, or nobody told the role of any. What the server
    knew of it by statistics died then, too."""
    if not _told_of_partitions(connection):
        return 0
    (last,) = one(connection.execute("SELECT coalesce(max(xid::text::bigint), 0) FROM quietus.dropped"))
    return int(last)


def _with_its_files(connection: Connection) -> sql.Composable:
    """Whether receipt ``r`` is of a partition that went so. Where the role is not told of them, none is."""
    if not _told_of_partitions(connection):
        return sql.SQL("false")
    return sql.SQL("EXISTS (SELECT FROM quietus.dropped AS p WHERE p.xid = r.xid AND p.step = r.step)")


def _told_of_partitions(connection: Connection) -> bool:
    """An older version of us is installed without."""
    (told,) = one(
        connection.execute(
            "SELECT coalesce(has_table_privilege(to_regclass('quietus.dropped'), 'SELECT'), false)"
        )
    )
    return bool(told)


def whole_of(catalogue: Catalogue, dataset: str) -> str:
    """The declared dataset that a receipt's word is about: columns lie in the table of their row. One that is not declared any
    more is itself."""
    try:
        return catalogue.dataset(dataset).whole
    except KeyError:
        return dataset


def reached(connection: Connection, live: Live, disposed: Mapping[str, int]) -> list[Table]:
    """What has a file of its own (tables, partitions, views that are copies), the smallest first."""
    tables = [
        measured(connection, t.address, disposed[t.root], t.root)
        for t in live.tables.values()
        if t.root in disposed and t.kind in ("r", "m")
    ]
    return sorted(tables, key=lambda t: (t.size, t.relation))


def measured(connection: Connection, relation: str, last: int, root: str = "") -> Table:
    size, filenode = one(
        connection.execute(
            "SELECT pg_total_relation_size(r), pg_relation_filenode(r)::bigint FROM (SELECT %s::regclass AS r) AS t",
            [name(relation).as_string(connection)],
        )
    )
    return Table(relation, root or relation, size, filenode, last)


def written_since(connection: Connection, table: Table) -> bool | None:
    """Whether its file is the one that was written anew after the last disposal (None: it is not), when nobody saw its dead
    any more: False if snapshots were hidden, so that this is not known. Where no row was deleted it may be any."""
    if not table.last:
        return True
    row = connection.execute(
        "SELECT clean_before IS NOT NULL FROM quietus.rewritten WHERE relation = %s AND filenode = %s"
        " AND coalesce(clean_before, began) > %s::text::xid8",
        [table.relation, table.filenode, str(table.last)],
    ).fetchone()
    return None if row is None else bool(row[0])


def remember(connection: Connection, table: Table, began: int, clean_before: int | None) -> None:
    connection.execute(
        "INSERT INTO quietus.rewritten (relation, filenode, began, clean_before, lsn)"
        " VALUES (%s, %s, %s::text::xid8, %s::text::xid8, pg_current_wal_insert_lsn())"
        " ON CONFLICT (relation) DO UPDATE SET filenode = excluded.filenode, began = excluded.began,"
        " ended = excluded.ended, clean_before = excluded.clean_before, lsn = excluded.lsn, at = clock_timestamp()",
        [table.relation, table.filenode, str(began), None if clean_before is None else str(clean_before)],
    )


__all__ = ["Table", "disposed", "dropped", "measured", "reached", "remember", "written_since"]
