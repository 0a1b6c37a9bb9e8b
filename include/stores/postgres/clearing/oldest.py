"""What has been due longest comes first in the order of disposal, where tonight not everything of a dataset may go.

Places are given when keys are located, in the order in which a table is gone through: by its key, or by the date that makes its
rows due. Of packs all get new places, for there are a thousand times fewer of them than items. Of a key table either those come
to its beginning that may go tonight, or all others to its end, whichever are fewer, and no other key is written: there is room
before the first place (``FIRST``) and behind the last (``BEHIND``). What goes together keeps one place, that of the item among
them that has been due longest.

Where some of those stay after all (others need them), or there comes to be more to take, the rest is put in order again behind
what was come to: each time twice as many, so that a million that stay are not gone through a thousand times.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from psycopg import sql

from include.model.estate import Dataset
from include.stores.postgres.area import Area
from include.stores.postgres.clearing import packs
from include.stores.postgres.clearing.packs import FIRST
from include.stores.postgres.retention.look import Look
from include.stores.postgres.server import Connection, joined, one

Since = Callable[[Look, Sequence[tuple[Any, ...]]], Sequence[date | None]]
"""The day on which each group of items fell due, by what their look said of them; None: it is not known."""

BEHIND = 1 << 50
"""Past every place: those of a group of tables come one after the other."""

_PLACES = sql.Identifier("pg_temp", "places")


def oldest_first(
    connection: Connection, area: Area, group: Sequence[Dataset], looks: Mapping[str, Look], since: Since, most: int,
    after: int,
) -> int | None:  # fmt: skip
    """Put what lies after a place that was dealt with in order, of a group of datasets of which so many items may still go. Up
    to which place it is now; None: to the end, or all of it may go."""
    if packs.packed(connection, area, group):
        if not after:  # packs, and what they are unpacked into, are in order as a whole
            _packs_first(connection, area, looks[group[0].id], since)
        return None
    if (edge := _last(connection, area, group, after)) is not None:
        return edge  # of another try of this night
    there = _behind(connection, area, group, after)
    if most >= there:
        return None
    few = after < FIRST and 2 * max(most, after) <= there
    _items_first(connection, area, group, looks, since, max(most, after) if few else most, after, few=few)
    return _last(connection, area, group, after) if few else None


def _last(connection: Connection, area: Area, group: Sequence[Dataset], after: int) -> int | None:
    """The last place before all keys as they were located."""
    each = [
        sql.SQL("(SELECT max(item) FROM {} WHERE item > {} AND item <= {})").format(
            area.table(d.id), sql.Literal(after), sql.Literal(FIRST)
        )
        for d in group
    ]
    (edge,) = one(connection.execute(sql.SQL("SELECT greatest({})").format(joined(", ", each))))
    return None if edge is None else int(edge)


def _behind(connection: Connection, area: Area, group: Sequence[Dataset], after: int) -> int:
    """How many items lie after a place."""
    each = [
        sql.SQL("(SELECT count(*) FROM {} WHERE item > {})").format(area.table(d.id), sql.Literal(after))
        for d in group
    ]
    (items,) = one(connection.execute(sql.SQL("SELECT {}").format(sql.SQL(" + ").join(each))))
    return int(items)


def _packs_first(connection: Connection, area: Area, look: Look, since: Since) -> None:
    """New places for all packs of a dataset."""
    table, said = area.packs(look.dataset.id), _said(look)
    rows = connection.execute(
        sql.SQL('SELECT "#pack", {} FROM {} ORDER BY "#pack"').format(said, table)
    ).fetchall()
    days = _days(look, {row[1:] for row in rows}, since)
    old = [row[0] for row in sorted(rows, key=lambda row: days[row[1:]] or date.max)]
    if old == [row[0] for row in rows]:
        return
    behind = max(old) + 1  # the last, so that no place is taken twice meanwhile
    connection.execute(
        sql.SQL(
            'UPDATE {} AS p SET "#pack" = n.new FROM unnest({}::bigint[], {}::bigint[]) AS n(old, new) WHERE p."#pack" = n.old'
        ).format(table, sql.Literal(old), sql.Literal([*range(behind, behind + len(old))]))
    )


def _items_first(
    connection: Connection, area: Area, group: Sequence[Dataset], looks: Mapping[str, Look], since: Since, items: int,
    after: int, *, few: bool,
) -> None:  # fmt: skip
    """So many items of what lies after a place, and whatever goes together with them, come before all others of it. ``few``: they
    get new places, by their days; else the others do."""
    parts = []
    for dataset in group:
        look, table = looks[dataset.id], area.table(dataset.id)
        row = sql.SQL("ROW({})::text").format(_said(look))
        found = connection.execute(
            sql.SQL("SELECT DISTINCT {}, {} FROM {}").format(row, _said(look), table)
        ).fetchall()
        days = _days(look, {x[1:] for x in found}, since)
        parts.append(
            sql.SQL(
                "SELECT k.item, n.day FROM {} AS k JOIN unnest({}::text[], {}::date[]) AS n(said, day) ON n.said = {}"
                " WHERE k.item > {}"
            ).format(
                table,
                sql.Literal([x[0] for x in found]),
                sql.Literal([days[x[1:]] for x in found]),
                row,
                sql.Literal(after),
            )
        )
    ends = joined(", ", (sql.SQL("(SELECT max(item) FROM {})").format(area.table(d.id)) for d in group))
    before = sql.Literal(after) if few else sql.SQL("greatest({}, {})").format(sql.Literal(BEHIND), ends)
    with connection.transaction():
        connection.execute(
            sql.SQL(
                "CREATE TEMP TABLE places ON COMMIT DROP AS SELECT item, {} + row_number() OVER (ORDER BY day, item) AS place"
                " FROM (SELECT item, day, sum(n) OVER (ORDER BY day, item) - n AS before FROM"
                "  (SELECT item, min(day) AS day, count(*) AS n FROM ({}) AS k GROUP BY item) AS k) AS k WHERE (before < {}) = {}"
            ).format(
                before, sql.SQL(" UNION ALL ").join(parts), sql.Literal(items), sql.Literal(few)
            )
        )  # fmt: skip
        for dataset in group:
            connection.execute(
                sql.SQL("UPDATE {} AS k SET item = p.place FROM {} AS p WHERE k.item = p.item").format(
                    area.table(dataset.id), _PLACES
                )
            )


def _said(look: Look) -> sql.Composed:
    return joined(", ", (sql.Identifier(c) for c in look.said))


def _days(
    look: Look, said: set[tuple[Any, ...]], since: Since
) -> dict[tuple[Any, ...], date | None]:  # fmt: skip
    groups = list(said)
    return dict(zip(groups, since(look, [(*x, 1) for x in groups]), strict=True))
