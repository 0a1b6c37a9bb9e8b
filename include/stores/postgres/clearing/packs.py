"""Keys by the thousand: how a night keeps the keys of rows that go together, until one of them falls out.

    "<dataset>#"   one row per pack: ``#pack`` (the order of disposal), ``#items``, the keys as arrays, what the clocks of all
                   of them said (``#…``), and their fate
    "<dataset>"    a view of it, one row per item, with the columns of a key table: ``item`` is the pack

A key table costs more than the rows' own deletion does: a row, two index entries and a look at its text for each key. Most tables
have rows that are due by dates of their own and go whole, a day's rows alike, and of most pieces nothing falls out. Of these a
pack says the same in a hundredth of the rows. Whoever proves reads the view, as it reads a key table.

A pack is never changed once it is planned. Whatever is to leave the area, or to be done to single items, unpacks the dataset
first: from then on it has a key table as all others. So the digest that is written beside the packs stays true of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from psycopg import sql

from include.model.catalogue import Dataset
from include.model.words import Disposition
from include.stores.postgres.area import Area
from include.stores.postgres.retention.look import Key, Look
from include.stores.postgres.server import Connection, joined, name, one

PACK = 1_000  # keys, at most
WEIGHED = ("disposition", "rule", "law", "until", "waits_for", "hold", "ownership")
_NO, _ITEMS = sql.Identifier("#pack"), sql.Identifier("#items")  # no column of a company begins with ``#``


def packable(look: Look) -> bool:
    """Whether rows can go without a look at each: judged by their own dates, and erased."""
    there = look.live.tables[look.dataset.address].columns
    return (
        look.plain
        and look.dataset.action == Disposition.ERASE.value
        and look.dataset.cut is None
        and not any(k in there and there[k].kind.startswith("_") for k in look.dataset.key)
    )


def packed(connection: Connection, area: Area, datasets: Collection[Dataset]) -> frozenset[str]:
    """Those of the datasets whose keys are in packs."""
    rows = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind = 'r' AND relname = ANY(%s)",
        [f'"{area.schema}"', [f"{d.id}#" for d in datasets]],
    )
    return frozenset(str(relname)[:-1] for (relname,) in rows)


def make(connection: Connection, area: Area, look: Look) -> None:
    """An empty table of packs. Its arrays are stored as they are: to press them takes longer than to write them."""
    packs = area.packs(look.dataset.id)
    connection.execute(
        sql.SQL("CREATE TABLE {} AS {} WITH NO DATA").format(packs, _of(look, sql.SQL("false"), 0, PACK))
    )
    arrays = joined(
        ", ", (sql.SQL("ALTER {} SET STORAGE EXTERNAL").format(name(k)) for k in look.dataset.key)
    )
    connection.execute(sql.SQL("ALTER TABLE {} {}").format(packs, arrays))


def fill(
    connection: Connection, area: Area, look: Look, after: Key | None, upto: Key | None, place: int, pack: int
) -> int:  # fmt: skip
    """The packs of a range of the company's table; how many."""
    return connection.execute(
        sql.SQL("INSERT INTO {} {}").format(
            area.packs(look.dataset.id), _of(look, look.between(after, upto), place, pack)
        )
    ).rowcount


def _of(look: Look, within: sql.Composable, place: int, pack: int) -> sql.Composed:
    said = joined(", ", (sql.Identifier("w", c) for c in look.said))
    keys = joined(
        ", ", (sql.SQL("array_agg({}) AS {}").format(name("w", k), name(k)) for k in look.dataset.key)
    )
    return sql.SQL(
        "SELECT {place} + row_number() OVER (ORDER BY min(w.{n})) AS {no}, count(*)::int AS {items}, {keys}, {said}"
        " FROM (SELECT w.*, row_number() OVER () AS {n} FROM ({rows}) AS w) AS w GROUP BY {said}, (w.{n} - 1) / {pack}"
    ).format(
        place=sql.Literal(place), no=_NO, items=_ITEMS, keys=keys, said=said, n=sql.Identifier("#row"),  # no column of ``said``
        rows=look.due_rows(within), pack=sql.Literal(pack),
    )  # fmt: skip


def finish(connection: Connection, area: Area, look: Look) -> bool:
    """The view of the packs, once they have their fates; whether every item is named once. A table that is gone through by a
    date is seen to have a row twice, if somebody sets its date later meanwhile.

    A server takes an array of which it knows nothing to have ten elements, and would join a million keys one by one. From some
    hundreds of packs it learns how many there are (as of 17)."""
    dataset, packs = look.dataset, area.packs(look.dataset.id)
    connection.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(packs, _NO))
    keys = [name(k) for k in dataset.key]
    few = joined(", ", (sql.SQL("ALTER {} SET STATISTICS 1").format(k) for k in keys))
    connection.execute(sql.SQL("ALTER TABLE {} {}").format(packs, few))
    connection.execute(
        sql.SQL("ANALYZE {} ({}, {}, disposition, {})").format(packs, _NO, _ITEMS, joined(", ", keys))
    )
    connection.execute(
        sql.SQL("CREATE VIEW {} AS SELECT {}, {}, p.{} AS item, {} FROM {} AS p, {}").format(
            area.table(dataset.id), joined(", ", (name("u", k) for k in dataset.key)),
            joined(", ", (sql.Identifier("p", c) for c in look.said)), _NO,
            joined(", ", (name("p", c) for c in WEIGHED)), packs, _keys(dataset),
        )
    )  # fmt: skip
    if look.paged_by == dataset.key:
        return True
    (once,) = one(
        connection.execute(
            sql.SQL("SELECT count(*) = count(DISTINCT {}) FROM {} AS p, {}").format(
                name("u", dataset.key[0]) if len(dataset.key) == 1 else sql.SQL("u"), packs, _keys(dataset)
            )
        )
    )
    return bool(once)


def _keys(dataset: Dataset) -> sql.Composed:
    return sql.SQL("unnest({}) AS u({})").format(
        joined(", ", (name("p", k) for k in dataset.key)), joined(", ", (name(k) for k in dataset.key))
    )


def drop(connection: Connection, area: Area, dataset: Dataset) -> None:
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(area.packs(dataset.id)))


def unpack(connection: Connection, area: Area, dataset: Dataset, after: int) -> None:
    """A plain table of the keys in place of the view, without its indexes, in the caller's transaction. What lies after a
    place that was dealt with gets places of its own, in the same order; what went keeps the pack's."""
    loose = sql.Identifier(area.schema, f"{dataset.id}#1")
    connection.execute(
        sql.SQL(
            "CREATE TABLE {} AS SELECT * FROM {} AS k ORDER BY item"
        ).format(loose, area.table(dataset.id))
    )  # fmt: skip
    connection.execute(
        sql.SQL(
            "UPDATE {t} AS k SET item = {after} + n.no FROM"
            " (SELECT ctid, row_number() OVER (ORDER BY item) AS no FROM {t} WHERE item > {after}) AS n WHERE n.ctid = k.ctid"
        ).format(t=loose, after=sql.Literal(after))
    )  # fmt: skip
    drop(connection, area, dataset)
    connection.execute(sql.SQL("ALTER TABLE {} RENAME TO {}").format(loose, sql.Identifier(dataset.id)))


def ahead(
    connection: Connection, area: Area, dataset: Dataset, after: int, items: int
) -> tuple[int, int] | None:  # fmt: skip
    """The next packs with so many items at most: up to which, and how many items. None: nothing is left. Zero items: the next
    pack alone has more."""
    packs = area.packs(dataset.id)
    row = one(
        connection.execute(
            sql.SQL(
                "SELECT max({no}) FILTER (WHERE so_far <= {items}), max(so_far) FILTER (WHERE so_far <= {items}), count(*) FROM"
                " (SELECT {no}, sum({of}) OVER (ORDER BY {no}) AS so_far FROM"
                "  (SELECT {no}, {of} FROM {packs} WHERE {no} > {after} ORDER BY {no} LIMIT {items}) AS p) AS p"
            ).format(no=_NO, of=_ITEMS, packs=packs, after=sql.Literal(after), items=sql.Literal(items))
        )
    )
    if not row[2]:
        return None
    return (after, 0) if row[0] is None else (int(row[0]), int(row[1]))


def are_left(connection: Connection, area: Area, dataset: Dataset, after: int) -> bool:
    """Whether packs lie after a place."""
    (there,) = one(
        connection.execute(
            sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {} > {})").format(
                area.packs(dataset.id), _NO, sql.Literal(after)
            )
        )
    )
    return bool(there)


def remember(connection: Connection, area: Area, dataset: Dataset, found: tuple[int, str]) -> None:
    """Write the digest of the keys beside them."""
    connection.execute(
        sql.SQL("COMMENT ON TABLE {} IS {}").format(
            area.packs(dataset.id), sql.Literal(f"{found[0]} {found[1]}")
        )
    )


def remembered(
    connection: Connection, area: Area, datasets: Sequence[Dataset]
) -> Mapping[str, tuple[int, str]]:
    """The digests of the datasets in packs that were written down."""
    found = {}
    for relname, said in connection.execute(
        "SELECT relname, obj_description(oid, 'pg_class') FROM pg_class"
        " WHERE relnamespace = to_regnamespace(%s) AND relkind = 'r' AND relname = ANY(%s)",
        [f'"{area.schema}"', [f"{d.id}#" for d in datasets]],
    ):
        if said:
            items, digest = str(said).split(" ")
            found[str(relname)[:-1]] = int(items), digest
    return found
