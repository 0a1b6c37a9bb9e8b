"""The key tables of a night: which rows are due, in which order they go, and by which rule.

    "<dataset>"    one row per item: ``item`` (the order of disposal), its key, what its clocks said (``#…``), and its fate in
                   the columns of weighing

They lie in the step area, committed, so that whoever proves can join them before and after the deed. A table is filled page by
page of the company's, by its key or by the date that makes its rows due, each a statement with its time-out: no snapshot is
held for the length of a night (``snapshot``). Where rows go by dates of their own, keys are kept by the thousand (``packs``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from psycopg import errors as pg
from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.estate import Dataset
from include.model.flow import Floor
from include.model.words import Disposition
from include.stores.postgres import periods
from include.stores.postgres.area import Area, same_key
from include.stores.postgres.chunks import pack as tied_together
from include.stores.postgres.clearing import packs, partitions
from include.stores.postgres.clearing.packs import FIRST
from include.stores.postgres.clearing.snapshot import Snapshot
from include.stores.postgres.live import ForeignKey, Live
from include.stores.postgres.order import groups
from include.stores.postgres.retention.look import Look
from include.stores.postgres.server import Connection, Server, joined, name, one
from include.stores.postgres.survey import finish

PAGE = 50_000  # rows of a company's table that one statement looks at
ITEM = "item"

_WEIGHED = {
    "disposition": "text", "rule": "text", "law": "text", "until": "date", "waits_for": "text", "hold": "text",
    "ownership": "text",
}  # fmt: skip
"""The columns of weighing."""
_NOT_WEIGHED = sql.SQL(", ".join(f'NULL::{kind} AS "{column}"' for column, kind in _WEIGHED.items()))

Looks = Callable[[Server, Connection, Live], Mapping[str, Look]]
"""What to ask about each dataset of a store: dataset -> look, with today's holds in it."""
Fates = Callable[[Look, Sequence[tuple[Any, ...]]], Sequence[tuple[str, str] | None]]
"""Rule and law of each group of items, by what their look said of them; None: it must not go, and a person decides."""


def locate(
    server: Server, connection: Connection, area: Area, look: Look, fates: Fates, page: int = PAGE,
    pack: int = packs.PACK,
) -> bool:  # fmt: skip
    """Make the dataset's key table, and fill it with everything that is due. False: it was asked, nothing is, and there is no
    table yet (``none_of``). Nothing of it may lie in the area (``drop``)."""
    dataset = look.dataset
    if packs.packable(look):
        return _in_packs(server, connection, area, look, fates, page, pack)
    table = area.table(dataset.id)
    columns = joined(", ", (sql.Identifier(c) for c in (*dataset.key, *look.said)))
    place, pages = 0, 0  # how many so far
    for _, after, upto in look.parts(server, connection, page):
        into = sql.SQL("INSERT INTO {} ({}, {})").format(table, columns, name(ITEM))
        with server.reaching(f"{server.store} {dataset.id}"):
            pages += 1
            if not place:  # on most nights nothing is due of most tables
                if not packs.any_(connection, look, after, upto):
                    continue
                into = sql.SQL("CREATE TABLE {} AS").format(table)
            place += connection.execute(
                sql.SQL("{} SELECT w.*, {} + row_number() OVER () AS {} FROM ({}) AS w").format(
                    into, sql.Literal(FIRST + place), name(ITEM), look.due_rows(look.between(after, upto))
                )
            ).rowcount
            if not place:  # it went meanwhile
                connection.execute(sql.SQL("DROP TABLE {}").format(table))
    if not place:
        return _asked_of_none(connection, area, look, pages)
    with connection.transaction():
        _give_fates(connection, table, look, fates, sql.SQL("count(*)"))
        _key(connection, area, dataset)
    return True


def _asked_of_none(connection: Connection, area: Area, look: Look, pages: int) -> bool:
    """Of a table without a row the question is put nevertheless: if it cannot be asked (a column was renamed since yesterday),
    that is said though nothing is there to be asked about. Whether the key table is made."""
    if not pages:
        connection.execute(_of_none(area, look, asked=True))
    return not pages


def none_of(connection: Connection, area: Area, looks: Sequence[Look]) -> None:
    """Key tables without a row, in one statement."""
    if looks:
        connection.execute(joined("; ", (_of_none(area, look, asked=False) for look in looks)))


def _of_none(area: Area, look: Look, *, asked: bool) -> sql.Composed:
    """A key table without a row. ``asked``: by the question itself."""
    rows: sql.Composable
    if asked:
        rows = look.due_rows(sql.SQL("false"))
    else:
        rows = sql.SQL("SELECT {}, {} FROM {} AS t").format(
            joined(", ", (name("t", k) for k in look.dataset.key)),
            joined(", ", (sql.SQL("NULL::{} AS {}").format(_kind(c), sql.Identifier(c)) for c in look.said)),
            name(look.dataset.address),
        )  # fmt: skip
    return sql.SQL(
        "CREATE TABLE {} AS SELECT w.*, NULL::bigint AS {}, {} FROM ({}) AS w WITH NO DATA"
    ).format(area.table(look.dataset.id), name(ITEM), _NOT_WEIGHED, rows)


def _kind(said: str) -> sql.SQL:
    """The type of a column by which a look says why a row is due."""
    return sql.SQL("boolean" if said.startswith("#applies") else "date" if said.startswith("#day") else "int")


def _unweighed() -> sql.Composed:
    """The columns of weighing, of a table without a row."""
    return joined(
        ", ", (sql.SQL("ADD COLUMN {} {}").format(name(c), sql.SQL(t)) for c, t in _WEIGHED.items())
    )


def _in_packs(
    server: Server, connection: Connection, area: Area, look: Look, fates: Fates, page: int, pack: int
) -> bool:
    place, made = 0, False
    with Snapshot(connection) as snapshot:
        parts, why_not = partitions.parted(connection, look)
        pages = 0
        for part, is_past in parts:
            began = place
            for _, after, upto in part.parts(server, connection, page):
                pages += 1
                with server.reaching(f"{server.store} {part.dataset.address}"):
                    # On most nights nothing is due of most tables, and none is made to hold nothing. Where a date says which
                    # rows to read, these are what is due; but of a small table it was not asked whether there are any.
                    by_date = part.paged_by != part.dataset.key and upto is not None
                    if made or by_date or packs.any_(connection, part, after, upto):
                        if not made:
                            packs.make(connection, area, look)
                            made = True
                        place += packs.fill(connection, area, part, after, upto, place, pack)
                    snapshot.page()
            if is_past and place > began:
                partitions.note_if_whole(connection, area, part, began, place)
    if not place:
        if made:
            drop(connection, area, look.dataset)
        return _asked_of_none(connection, area, look, pages)
    with connection.transaction():
        _give_fates(connection, area.packs(look.dataset.id), look, fates, sql.SQL('sum("#items")::bigint'))
        if why_not:
            partitions.note_why_not(connection, area, look.dataset, why_not)
        once = snapshot.taken == 1 or (len(parts) == 1 and look.paged_by == look.dataset.key)
        if not packs.finish(connection, area, look, once=once):
            unpack(connection, area, look.dataset, 0)
    return True


def unpack(connection: Connection, area: Area, dataset: Dataset, after: int) -> None:
    """A key table in place of packs, from which single items may leave. ``after``: the last place that was dealt with."""
    with connection.transaction():
        packs.unpack(connection, area, dataset, after)
        _key(connection, area, dataset)


def _key(connection: Connection, area: Area, dataset: Dataset) -> None:
    """That every item is named once, and an index by which the table is gone through in order."""
    try:
        with connection.transaction():
            finish(connection, area, dataset)
    except pg.UniqueViolation:
        _once_each(connection, area.table(dataset.id), dataset)
        finish(connection, area, dataset)
    connection.execute(sql.SQL("CREATE INDEX ON {} ({})").format(area.table(dataset.id), name(ITEM)))


def drop(connection: Connection, area: Area, dataset: Dataset) -> None:
    """Whatever was located of a dataset before, in packs or not."""
    packs.drop(connection, area, dataset)
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(area.table(dataset.id)))


def _once_each(connection: Connection, table: sql.Identifier, dataset: Dataset) -> None:
    """A table that is gone through by a date is seen to have a row twice, if somebody sets its date later meanwhile. What was
    seen last counts."""
    connection.execute(
        sql.SQL("DELETE FROM {} AS a USING {} AS b WHERE {} AND a.item < b.item").format(
            table, table, same_key("a", "b", dataset)
        )
    )


def nothing(connection: Connection, area: Area, dataset: Dataset) -> None:
    """An empty key table: of a dataset that is not worked on tonight, so that whoever proves sees that none of it was to go.
    Nothing of it may lie in the area (``drop``)."""
    table = area.table(dataset.id)
    connection.execute(
        sql.SQL("CREATE TABLE {} AS SELECT {} FROM {} WITH NO DATA").format(
            table, joined(", ", (name(k) for k in dataset.key)), name(dataset.address)
        )
    )
    connection.execute(
        sql.SQL("ALTER TABLE {} ADD COLUMN {} bigint, {}").format(table, name(ITEM), _unweighed())
    )


def _give_fates(
    connection: Connection, table: sql.Identifier, look: Look, fates: Fates, items: sql.Composable
) -> None:
    """The columns of weighing: most rows have one rule and one law, so these are defaults; the others are updated. ``items``:
    how many items the rows of a group stand for."""
    said = joined(", ", (sql.Identifier(c) for c in look.said))
    groups = connection.execute(
        sql.SQL("SELECT {said}, {items} FROM {} GROUP BY {said}").format(table, said=said, items=items)
    ).fetchall()
    judged = list(zip(groups, fates(look, groups), strict=True))
    weight: dict[tuple[str, str], int] = {}
    for group, fate in judged:
        if fate is not None:
            weight[fate] = weight.get(fate, 0) + group[-1]
    usual = max(weight, key=lambda f: (weight[f], f), default=("", ""))
    values = {
        "disposition": Disposition(look.dataset.action).value, "rule": usual[0], "law": usual[1], "waits_for": None,
        "hold": None, "ownership": "sole",
    }  # fmt: skip
    adds = [
        sql.SQL("ADD COLUMN {} text DEFAULT {}").format(name(c), sql.Literal(v)) for c, v in values.items()
    ]
    adds.append(sql.SQL("ADD COLUMN {} date").format(name("until")))
    connection.execute(sql.SQL("ALTER TABLE {} {}").format(table, joined(", ", adds)))
    if look.rest is not None:
        connection.execute(
            sql.SQL("UPDATE {} SET disposition = {} WHERE {}").format(
                table, sql.Literal(Disposition.ERASE.value), look.goes_whole()
            )
        )
    if look.rest is not None and f"#day{look.rest}" in look.said:
        connection.execute(
            sql.SQL("UPDATE {} SET until = {} WHERE disposition = {}").format(
                table, _rest_until(look, look.rest), sql.Literal(Disposition.DEIDENTIFY.value)
            )
        )
    for group, fate in judged:
        if fate == usual:
            continue
        same = joined(
            " AND ",
            (sql.SQL("{} IS NOT DISTINCT FROM {}").format(sql.Identifier(c), sql.Literal(v))
             for c, v in zip(look.said, group[:-1], strict=True)),
        )  # fmt: skip
        if fate is None:
            connection.execute(sql.SQL("DELETE FROM {} WHERE {}").format(table, same))
        else:
            connection.execute(
                sql.SQL("UPDATE {} SET rule = {}, law = {} WHERE {}").format(
                    table, *map(sql.Literal, fate), same
                )
            )


def _rest_until(look: Look, rest: int) -> sql.Composed:
    """The last day of what is left of a cut row, by the day that its clock started."""
    limit = look.question.limits[rest]
    period = next(p for p in look.catalogue.rule(limit.rule).periods if p.name == limit.period)
    period = look.catalogue.for_anybody(limit.rule, period)
    floor = Floor(
        rule=limit.rule, period=period.name, duration=period.duration, counting=period.counting, start=limit.start,
        law=limit.law,
    )  # fmt: skip
    return periods.until(floor, sql.Identifier(f"#day{rest}"), "date")


def in_order(
    catalogue: Catalogue, datasets: Sequence[Dataset], live: Live
) -> tuple[tuple[Dataset, ...], ...]:
    """Groups of datasets in the order of disposal: what refers to a row goes before it, by a foreign key or by a link of the
    catalogue, and so does that whose clock begins by it. The accounts go last, for by them it is known when everything else
    ended."""
    found = [*live.foreign_keys]
    for dataset in datasets:
        above = {catalogue.dataset(link.via).address for link in dataset.links if link.via}
        above |= {d.address for d in datasets if d.accounts is not None and d.id != dataset.id}
        found += [
            ForeignKey("", dataset.address, (), address, (), "a", deferrable=False) for address in above
        ]
    clocks = (
        (d.address, catalogue.dataset(of).address)
        for d in datasets
        for of in sorted(catalogue.clocks_from(d))
    )
    return groups(datasets, found, clocks)


def inner(datasets: Sequence[Dataset], live: Live) -> tuple[ForeignKey, ...]:
    """The foreign keys within a group of datasets."""
    here = {d.address for d in datasets}
    return tuple(k for k in live.foreign_keys if k.child in here and k.parent in here)


def tie(connection: Connection, area: Area, datasets: Sequence[Dataset], keys: Sequence[ForeignKey]) -> None:
    """Give rows that refer to each other one and the same place in the order, over all datasets of a group: they go in one
    transaction. Rows that nothing ties keep places of their own."""
    shift = 0
    for dataset in datasets:  # places that are distinct over the group
        table = area.table(dataset.id)
        connection.execute(sql.SQL("UPDATE {} SET item = item + {}").format(table, sql.Literal(shift)))
        (shift,) = one(connection.execute(sql.SQL("SELECT coalesce(max(item), {}) FROM {}").format(
            sql.Literal(shift), table)))  # fmt: skip
    of = {d.address: d for d in datasets}
    parts = [_pairs(area, of[k.child], of[k.parent], k) for k in keys]
    pairs = connection.execute(sql.SQL(" UNION ").join(parts)).fetchall()
    tied = sorted({x for pair in pairs for x in pair})
    place = tied_together(tied, pairs, 1)  # one group each; its number says which
    leader: dict[int, int] = {}
    for item in tied:
        leader.setdefault(place[item], item)
    for dataset in datasets:
        connection.execute(
            sql.SQL(
                "UPDATE {} AS k SET item = n.leader FROM unnest(%s::bigint[], %s::bigint[]) AS n(item, leader)"
                " WHERE k.item = n.item AND n.leader <> n.item"
            ).format(area.table(dataset.id)),
            [tied, [leader[place[x]] for x in tied]],
        )


def _pairs(area: Area, child: Dataset, parent: Dataset, key: ForeignKey) -> sql.Composed:
    refers = joined(
        " AND ",
        (sql.SQL("{} = {}").format(name("ct", a), name("pt", b))
         for a, b in zip(key.child_columns, key.parent_columns, strict=True)),
    )  # fmt: skip
    return sql.SQL(
        "SELECT ck.item AS a, pk.item AS b FROM {ck} AS ck JOIN {child} AS ct ON {c} JOIN {parent} AS pt ON {refers}"
        " JOIN {pk} AS pk ON {p} WHERE ck.item <> pk.item"
    ).format(
        ck=area.table(child.id), child=name(child.address), c=same_key("ct", "ck", child), refers=refers,
        parent=name(parent.address), pk=area.table(parent.id), p=same_key("pt", "pk", parent),
    )  # fmt: skip
