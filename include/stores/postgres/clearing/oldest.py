"""What has been due longest comes first in the order of disposal, where tonight not everything of a dataset may go.

Places are given when keys are located, in the order in which a table is gone through: by its key, or by the date that makes its
rows due. Of packs all get new places, for there are a thousand times fewer of them than items. Of a key table either those come
to its beginning that may go tonight, or all others to its end, whichever are fewer, and no other key is written: there is room
before the first place (``FIRST``) and behind the last (``BEHIND``). What goes together keeps one place, that of the item among
them that has been due longest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from psycopg import sql

from include.model.estate import Dataset
from include.stores.postgres.area import Area
from include.stores.postgres.retention.look import Look
from include.stores.postgres.server import Connection, joined

Since = Callable[[Look, Sequence[tuple[Any, ...]]], Sequence[date | None]]
"""The day on which each group of items fell due, by what their look said of them; None: it is not known."""

FIRST = 1 << 40
"""The place of a key table before which there is room for what is to go first."""
BEHIND = 1 << 50
"""Past every place: those of a group of tables come one after the other."""

_PLACES = sql.Identifier("pg_temp", "places")


def packs_first(connection: Connection, area: Area, look: Look, since: Since) -> None:
    """New places for all packs of a dataset."""
    packs, said = area.packs(look.dataset.id), _said(look)
    rows = connection.execute(
        sql.SQL('SELECT "#pack", {} FROM {} ORDER BY "#pack"').format(said, packs)
    ).fetchall()
    days = _days(look, {row[1:] for row in rows}, since)
    old = [row[0] for row in sorted(rows, key=lambda row: days[row[1:]] or date.max)]
    if old == [row[0] for row in rows]:
        return
    behind = max(old) + 1  # the last, so that no place is taken twice meanwhile
    connection.execute(
        sql.SQL(
            'UPDATE {} AS p SET "#pack" = n.new FROM unnest({}::bigint[], {}::bigint[]) AS n(old, new) WHERE p."#pack" = n.old'
        ).format(packs, sql.Literal(old), sql.Literal([*range(behind, behind + len(old))]))
    )


def items_first(
    connection: Connection, area: Area, group: Sequence[Dataset], looks: Mapping[str, Look], since: Since, items: int,
    there: int,
) -> None:  # fmt: skip
    """So many items of a group of datasets, and whatever goes together with them, come before all others. ``there``: how many
    there are."""
    few, parts = 2 * items <= there, []
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
            ).format(
                table, sql.Literal([x[0] for x in found]), sql.Literal([days[x[1:]] for x in found]), row
            )
        )
    with connection.transaction():
        connection.execute(
            sql.SQL(
                "CREATE TEMP TABLE places ON COMMIT DROP AS SELECT item, {} + row_number() OVER (ORDER BY day, item) AS place"
                " FROM (SELECT item, day, sum(n) OVER (ORDER BY day, item) - n AS before FROM"
                "  (SELECT item, min(day) AS day, count(*) AS n FROM ({}) AS k GROUP BY item) AS k) AS k WHERE (before < {}) = {}"
            ).format(
                sql.Literal(0 if few else BEHIND), sql.SQL(" UNION ALL ").join(parts), sql.Literal(items), sql.Literal(few)
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
