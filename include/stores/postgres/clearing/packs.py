"""Keys by the thousand: how a night keeps the keys of rows that go together, until one of them falls out.

    "<dataset>#"   one row per pack: ``#pack`` (the order of disposal), ``#items``, the keys as arrays, what the clocks of all
                   of them said (``#…``), and their fate
    "<dataset>"    a view of it, one row per item, with the columns of a key table: ``item`` is the pack

A key table costs more than the rows' own deletion does: a row, two index entries and a look at its text for each key. Most tables
have rows that are due by dates of their own and go whole, a day's rows alike, and of most pieces nothing falls out. Of these a
pack says the same in a hundredth of the rows. Whoever proves reads the view, as it reads a key table.

A key in a pack never changes once it is planned. Whatever is to be done to single items unpacks the dataset first: from then on
it has a key table as all others. Two things are done to packs as they are, for a backlog of millions that goes in stages leaves
most of them every night: one is parted in two, and those that do not go tonight leave. The digest that is written beside them
stays true, or is written anew.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from psycopg import sql

from include.model.estate import Dataset
from include.model.words import Disposition
from include.stores.postgres.area import Area
from include.stores.postgres.clearing import partitions
from include.stores.postgres.retention.look import Key, Look
from include.stores.postgres.server import Connection, joined, name, one

PACK = 1_000  # keys, at most
FIRST = 1 << 40
"""The place of a key table before which there is room for what is to go first."""
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


def any_(connection: Connection, look: Look, after: Key | None, upto: Key | None) -> bool:
    """Whether anything of a range of the company's table is to be put in packs."""
    (there,) = one(
        connection.execute(
            sql.SQL("SELECT EXISTS (SELECT FROM ({}) AS w WHERE {})").format(
                look.may_be_due(look.between(after, upto)), look.is_due()
            )
        )
    )
    return bool(there)


def _of(look: Look, within: sql.Composable, place: int, pack: int) -> sql.Composed:
    """Rows of one day lie in one array, which is cut into packs: to number the rows first costs as much as to read them. Whether
    they are due is asked of the day, not of each (``OFFSET 0``, or the server would ask of each)."""
    from_ = {c: _same_as(look).get(c, c) for c in look.said if not c.startswith("#applies")}
    told = list(dict.fromkeys(from_.values()))
    by = [sql.Identifier("w", c) for c in told]
    said = [
        sql.SQL("{} AS {}").format(sql.Identifier("g", from_[c]) if c in from_ else sql.SQL("true"), sql.Identifier(c))
        for c in look.said
    ]  # fmt: skip
    cut = sql.SQL("g.{k}[s.n * {pack} + 1 : (s.n + 1) * {pack}] AS {k}")
    return sql.SQL(
        "SELECT {place} + row_number() OVER (ORDER BY {order}, s.n) AS {no},"
        " least({pack}, cardinality(g.{key}) - s.n * {pack}) AS {items}, {cut}, w.*"
        " FROM (SELECT {arrays}, {by} FROM ({rows}) AS w GROUP BY {by} OFFSET 0) AS g CROSS JOIN LATERAL (SELECT {said}) AS w,"
        " generate_series(0, (cardinality(g.{key}) - 1) / {pack}) AS s(n) WHERE {due}"
    ).format(
        place=sql.Literal(place), no=_NO, items=_ITEMS, pack=sql.Literal(pack), key=name(look.dataset.key[0]),
        order=joined(", ", (sql.Identifier("g", c) for c in told)),
        cut=joined(", ", (cut.format(k=name(k), pack=sql.Literal(pack)) for k in look.dataset.key)),
        said=joined(", ", said), by=joined(", ", by), rows=look.may_be_due(within), due=look.is_due(),
        arrays=joined(", ", (sql.SQL("array_agg({}) AS {}").format(name("w", k), name(k)) for k in look.dataset.key)),
    )  # fmt: skip


def _same_as(look: Look) -> dict[str, str]:
    """Of each limit's day the first column that shows the same one. Whether a limit applies (``#applies…``) is no question: of
    rows that are judged by their own dates alone each one does."""
    first: dict[object, str] = {}
    return {
        f"#day{i}": first.setdefault((x.start and x.start.column, x.minutes), f"#day{i}")
        for i, x in enumerate(look.question.limits)
    }


def finish(connection: Connection, area: Area, look: Look, *, once: bool) -> bool:
    """The view of the packs, once they have their fates; whether every item is named once. A table that is gone through by a
    date, or partition by partition, is seen to have a row twice, if somebody sets its date later meanwhile. ``once``: it was
    gone through in a way in which that cannot be.

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
    if once:
        return True
    (distinct,) = one(
        connection.execute(
            sql.SQL("SELECT count(*) = count(DISTINCT {}) FROM {} AS p, {}").format(
                name("u", dataset.key[0]) if len(dataset.key) == 1 else sql.SQL("u"), packs, _keys(dataset)
            )
        )
    )
    return bool(distinct)


def _keys(dataset: Dataset) -> sql.Composed:
    return sql.SQL("unnest({}) AS u({})").format(
        joined(", ", (name("p", k) for k in dataset.key)), joined(", ", (name(k) for k in dataset.key))
    )


def drop(connection: Connection, area: Area, dataset: Dataset) -> None:
    partitions.drop(connection, area, dataset)
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(area.packs(dataset.id)))


def unpack(connection: Connection, area: Area, dataset: Dataset, after: int) -> None:
    """A plain table of the keys in place of the view, without its indexes, in the caller's transaction. What lies after a
    place that was dealt with gets places of its own behind it, in the same order; what went keeps the pack's."""
    loose = sql.Identifier(area.schema, f"{dataset.id}#1")
    connection.execute(
        sql.SQL(
            "CREATE TABLE {} AS SELECT * FROM {} AS k ORDER BY item"
        ).format(loose, area.table(dataset.id))
    )  # fmt: skip
    connection.execute(
        sql.SQL(
            "UPDATE {t} AS k SET item = {first} + n.no FROM"
            " (SELECT ctid, row_number() OVER (ORDER BY item) AS no FROM {t} WHERE item > {after}) AS n WHERE n.ctid = k.ctid"
        ).format(t=loose, after=sql.Literal(after), first=sql.Literal(after + FIRST))
    )  # fmt: skip
    digest = remembered(connection, area, [dataset], unpacked=False).get(dataset.id)
    drop(connection, area, dataset)
    connection.execute(sql.SQL("ALTER TABLE {} RENAME TO {}").format(loose, sql.Identifier(dataset.id)))
    if digest is not None:
        _write_down(connection, area.table(dataset.id), digest)


def ahead(
    connection: Connection, area: Area, dataset: Dataset, after: int, items: int, edge: int | None = None
) -> tuple[int, int] | None:  # fmt: skip
    """The next packs with so many items at most: up to which, and how many items. None: nothing is left. Zero items: the next
    pack alone has more. ``edge``: past which a piece does not go."""
    packs = area.packs(dataset.id)
    here: sql.Composable = sql.SQL("true")
    if edge is not None:
        here = sql.SQL("{} <= {}").format(_NO, sql.Literal(edge))
    row = one(
        connection.execute(
            sql.SQL(
                "SELECT max({no}) FILTER (WHERE so_far <= {items}), max(so_far) FILTER (WHERE so_far <= {items}), count(*) FROM"
                " (SELECT {no}, sum({of}) OVER (ORDER BY {no}) AS so_far FROM"
                "  (SELECT {no}, {of} FROM {packs} WHERE {no} > {after} AND {here} ORDER BY {no} LIMIT {items}) AS p) AS p"
            ).format(
                no=_NO, here=here, of=_ITEMS, packs=packs, after=sql.Literal(after), items=sql.Literal(items)
            )
        )
    )
    if not row[2]:
        return None
    return (after, 0) if row[0] is None else (int(row[0]), int(row[1]))


def part_in_two(
    connection: Connection, area: Area, dataset: Dataset, after: int, items: int
) -> tuple[int, int]:
    """The first so many keys of the next pack become a pack of their own, and the rest the one after it; what lies behind moves
    on. Up to which place, and how many items."""
    packs = area.packs(dataset.id)
    keys = [name(k) for k in dataset.key]
    others = joined(", ", (sql.Identifier(c) for c in _columns(connection, area, dataset)))
    with connection.transaction():
        this, last = one(
            connection.execute(
                sql.SQL("SELECT min({no}) FILTER (WHERE {no} > {after}), max({no}) FROM {packs}").format(
                    no=_NO, after=sql.Literal(after), packs=packs
                )
            )
        )
        # Past the last, so that no place is taken twice while they move. Long arrays are not written anew by it.
        connection.execute(
            sql.SQL("UPDATE {} SET {no} = {no} + {} WHERE {no} > {}").format(
                packs, sql.Literal(last - this + 1), sql.Literal(this), no=_NO
            )
        )
        partitions.move(connection, area, dataset, this, last - this + 1)
        connection.execute(
            sql.SQL("INSERT INTO {packs} ({no}, {n}, {keys}, {others}) SELECT {no} + 1, {n} - {items}, {rest}, {others}"
                    " FROM {packs} WHERE {no} = {this}").format(
                packs=packs, no=_NO, n=_ITEMS, keys=joined(", ", keys), others=others, items=sql.Literal(items),
                rest=joined(", ", (sql.SQL("{}[{}:]").format(k, sql.Literal(items + 1)) for k in keys)), this=sql.Literal(this),
            )
        )  # fmt: skip
        connection.execute(
            sql.SQL("UPDATE {packs} SET {n} = {items}, {first} WHERE {no} = {this}").format(
                packs=packs, no=_NO, n=_ITEMS, items=sql.Literal(items), this=sql.Literal(this),
                first=joined(", ", (sql.SQL("{k} = {k}[:{n}]").format(k=k, n=sql.Literal(items)) for k in keys)),
            )
        )  # fmt: skip
    return int(this), items


def _columns(connection: Connection, area: Area, dataset: Dataset) -> tuple[str, ...]:
    """The columns of its packs beside the place, the number and the keys."""
    rows = connection.execute(
        "SELECT a.attname FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid WHERE c.relname = %s"
        " AND c.relnamespace = to_regnamespace(%s) AND a.attnum > 0 AND NOT a.attisdropped",
        [f"{dataset.id}#", f'"{area.schema}"'],
    )
    ours = {"#pack", "#items", *dataset.key}
    return tuple(str(column) for (column,) in rows if column not in ours)


def give_up(connection: Connection, area: Area, dataset: Dataset, after: int) -> None:
    """The packs after a place leave; their digest is no longer known. In the caller's transaction."""
    packs = area.packs(dataset.id)
    connection.execute(sql.SQL("DELETE FROM {} WHERE {} > {}").format(packs, _NO, sql.Literal(after)))
    connection.execute(sql.SQL("COMMENT ON TABLE {} IS NULL").format(packs))


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


def digests(connection: Connection, area: Area, datasets: Collection[Dataset]) -> dict[str, tuple[int, str]]:
    """How many items of each dataset in packs, and a digest of their keys as they lie in packs: each array's text is hashed at
    once, for to hash a million keys takes four times as long. Two 64-bit hashes, as ``survey.digests`` has them of keys."""
    if not datasets:
        return {}
    parts = [
        sql.SQL(
            "SELECT {id}, coalesce(sum(x.n), 0)::bigint, coalesce(bit_xor(hashtextextended(x.t, 0)), 0),"
            " coalesce(bit_xor(hashtextextended(x.t, 1)), 0)"
            " FROM (SELECT {items} AS n, {text} AS t FROM {packs} AS p OFFSET 0) AS x"
        ).format(
            id=sql.Literal(d.id), items=_ITEMS, packs=area.packs(d.id),
            text=sql.SQL(" || ").join(sql.SQL("{}::text").format(c) for c in (_NO, *(name("p", k) for k in d.key))),
        )
        for d in datasets
    ]  # fmt: skip
    return {
        id: (items, f"{first % 2**64:016x}{second % 2**64:016x}")
        for id, items, first, second in connection.execute(sql.SQL(" UNION ALL ").join(parts))
    }


def remember(connection: Connection, area: Area, dataset: Dataset, found: tuple[int, str]) -> None:
    """Write the digest of the keys beside them. A table that they are unpacked into takes it over: another digest of the same."""
    _write_down(connection, area.packs(dataset.id), found)


def _write_down(connection: Connection, table: sql.Identifier, found: tuple[int, str]) -> None:
    connection.execute(
        sql.SQL("COMMENT ON TABLE {} IS {}").format(table, sql.Literal(f"{found[0]} {found[1]}"))
    )


def remembered(
    connection: Connection, area: Area, datasets: Sequence[Dataset], *, unpacked: bool
) -> Mapping[str, tuple[int, str]]:
    """The digests that were written down of datasets in packs; ``unpacked``: and of those that were."""
    found = {}
    names = [f"{d.id}#" for d in datasets] + ([d.id for d in datasets] if unpacked else [])
    for relname, said in connection.execute(
        "SELECT relname, obj_description(oid, 'pg_class') FROM pg_class"
        " WHERE relnamespace = to_regnamespace(%s) AND relkind = 'r' AND relname = ANY(%s)",
        [f'"{area.schema}"', names],
    ):
        if said:
            items, digest = str(said).split(" ")
            found[str(relname).removesuffix("#")] = int(items), digest
    return found
