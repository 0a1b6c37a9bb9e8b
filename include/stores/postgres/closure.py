"""Referential closure: a row that stays keeps the rows it refers to.

Erasing a certificate's application while the certificate must stay would break the foreign key (or, with ON
DELETE CASCADE, erase the certificate with it). So, child tables first, every parent row to be erased that a
staying row refers to is kept for as long as that row: RETAIN with its law and date, or, if the dataset declares
a ``cut``, DEIDENTIFY: kept as a key only. A child that stays may be one that this step did not locate at all,
being somebody else's or a departed owner's.

A hold on a child is another matter than the child's law and date: it may be confidential, and it may be released
tomorrow. So the parent's ``hold`` column notes it, while its fate is what it would be without the hold, if that
keeps it at all; only a parent that nothing else keeps is kept on the hold's law, waiting for the hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from psycopg import sql

from include.model.estate import Dataset
from include.model.flow import others_rows
from include.model.words import Disposition
from include.stores.postgres.area import Area, same_key
from include.stores.postgres.changes import changes
from include.stores.postgres.live import ForeignKey, Live
from include.stores.postgres.order import groups
from include.stores.postgres.server import Connection, name
from include.stores.postgres.weigh import Judging


def close_over_references(
    connection: Connection, area: Area, live: Live, datasets: Sequence[Dataset], judging: Judging
) -> None:
    """Keep what staying rows refer to, to a fixpoint. Circles of tables are repeated until nothing changes."""
    by_address = {d.address: d for d in datasets}
    keys = [k for k in live.foreign_keys if k.child in by_address and k.parent in by_address]
    counts = _counts(connection, area, datasets)
    for group in groups(datasets, live.foreign_keys):
        addresses = {d.address for d in group}
        inner = [k for k in keys if k.child in addresses and k.parent in addresses]
        outer = [k for k in keys if k.child in addresses and k.parent not in addresses]
        again = bool(inner)
        while again:
            again = False
            for key in inner:
                again = _keep(connection, area, by_address, key, judging, counts) or again
        for key in outer:
            _keep(connection, area, by_address, key, judging, counts)


def _counts(connection: Connection, area: Area, datasets: Sequence[Dataset]) -> dict[str, list[int]]:
    """Dataset -> [rows that could still be kept longer, rows that stay in some form]."""
    if not datasets:
        return {}
    parts = [
        sql.SQL(
            "SELECT {}, count(*) FILTER (WHERE disposition IN ('erase', 'retain')),"
            " count(*) FILTER (WHERE disposition <> 'erase') FROM {}"
        ).format(sql.Literal(d.id), area.table(d.id))
        for d in datasets
    ]
    return {d: [a, b] for d, a, b in connection.execute(sql.SQL(" UNION ALL ").join(parts))}


def _keep(
    connection: Connection,
    area: Area,
    by_address: Mapping[str, Dataset],
    key: ForeignKey,
    judging: Judging,
    counts: dict[str, list[int]],
) -> bool:
    """Follow one foreign key once. Says whether a parent's fate changed."""
    child, parent = by_address[key.child], by_address[key.parent]
    covered = _covered(key, child, parent)
    if not counts[parent.id][0] or (covered and not counts[child.id][1]):
        return False
    cut = judging.provisions[parent.id].cut
    holds = any(p.holds for p in judging.provisions.values())
    pk = sql.SQL(", ").join(name("p", k) for k in parent.key)
    cursor = connection.execute(
        _KEEP.format(
            keys=area.table(parent.id),
            children=area.table(child.id),
            parent=name(parent.address),
            child=name(child.address),
            pk=pk,
            p_pt=same_key("p", "pt", parent),
            up_n=same_key("up", "n", parent),
            refers=sql.SQL(" AND ").join(
                sql.SQL("{} = {}").format(name("ct", a), name("pt", b))
                for a, b in zip(key.child_columns, key.parent_columns, strict=True)
            ),
            k_ct=same_key("k", "ct", child),
            first=name("k", child.key[0]),
            stays=_stays(area, key, child, judging),
            not_self=sql.SQL("AND NOT ({})").format(same_key("ct", "pt", parent))
            if child.id == parent.id
            else sql.SQL(""),
            kept=sql.Literal((Disposition.DEIDENTIFY if cut else Disposition.RETAIN).value),
            dated=sql.SQL("NULL") if cut else sql.SQL("n.until"),
            waiting=sql.SQL("NULL") if cut else sql.SQL("n.waits_for"),
            rule=sql.Literal(judging.provisions[parent.id].rule),
            law=sql.Literal(judging.shared_law),
            needed=sql.Literal(f"; needed by {child.id}"),
            cut_law=sql.Literal(judging.provisions[parent.id].law),
            only_held=_ONLY_HELD if holds else sql.SQL("false"),
            held_for=sql.SQL("min(k.hold) OVER (PARTITION BY {})").format(pk)
            if holds
            else sql.SQL("NULL::text"),
            key_stays=sql.Literal(f"rows of {child.id} that stay in part"),
            others=sql.Literal(others_rows(child.id)),
        )
    )
    if cursor.rowcount:
        counts[parent.id][1] += cursor.rowcount
    return bool(cursor.rowcount)


def _covered(key: ForeignKey, child: Dataset, parent: Dataset) -> bool:
    """Whether the child's own link is this very key, so that every row that refers to a located row is located."""
    pairs = dict(zip(key.child_columns, key.parent_columns, strict=True))
    if any(link.via == parent.id and link.on == pairs for link in child.links):
        return True
    mine = {link.column for link in child.links}
    theirs = {link.column for link in parent.links}
    return (
        len(pairs) == 1
        and all(link.column is not None for link in parent.links)
        and set(pairs) <= mine
        and theirs == set(pairs.values())
    )


def _stays(area: Area, key: ForeignKey, child: Dataset, judging: Judging) -> sql.Composable:
    """Whether the child row ``ct`` still refers to its parent when all is done. ``k`` is null if it was not located."""
    freed = []
    if child.id not in judging.idle:  # a row of a dataset that is not in this step stays as it is
        for change in changes(area, child, judging.provisions[child.id].cut, "ct"):
            frees = change.frees(key.child_columns)
            if frees is not None:
                freed.append(sql.SQL("NOT {}").format(frees))
    return sql.SQL(" AND ").join([sql.SQL("k.disposition <> 'erase'"), *freed])


# A located child that only a hold keeps: held itself, kept for a held row, or cut instead of erased for one. (A row
# that is cut for another need as well notes no hold.)
_ONLY_HELD = sql.SQL(
    "coalesce(k.hold IS NOT NULL AND (k.disposition IN ('hold', 'deidentify') OR k.waits_for = k.hold), false)"
)

# The latest need wins, and any before one that is a hold only; one without a date outlasts all. A kept child that
# is itself ``deidentify`` or ``unlink`` has a date of its own only where what is left of it has an end; without one the parent
# waits for that row. The order is total,
# or the disposal could word a fate otherwise than the plan did, and call it a drift. ``up`` is only ever moved to a
# later fate, and notes a hold once, so the repetition over circles ends.
_KEEP = sql.SQL("""
UPDATE {keys} AS up
   SET disposition = CASE WHEN n.decides AND up.disposition = 'erase' THEN {kept} ELSE up.disposition END,
       rule = CASE WHEN n.decides THEN n.rule ELSE up.rule END,
       law = CASE WHEN NOT n.decides THEN up.law
                  WHEN n.only_held AND {kept} = 'deidentify' THEN {cut_law} ELSE n.law END,
       hold = CASE WHEN up.disposition <> 'retain' AND {kept} = 'deidentify' AND NOT n.only_held THEN NULL
                   ELSE coalesce(up.hold, n.hold) END,
       until = CASE WHEN NOT n.decides THEN up.until WHEN up.disposition <> 'retain' THEN {dated} ELSE n.until END,
       waits_for = CASE WHEN NOT n.decides THEN up.waits_for
                        WHEN up.disposition <> 'retain' THEN {waiting} ELSE n.waits_for END
  FROM (SELECT f.*, f.fate = 'erase' OR (NOT f.only_held AND (
                   f.was_only_held OR (f.was_until IS NOT NULL AND (f.until IS NULL OR f.until > f.was_until))
               )) AS decides
          FROM (SELECT DISTINCT ON ({pk}) {pk}, p.disposition AS fate, p.until AS was_until,
                       coalesce(p.disposition = 'deidentify' OR p.waits_for = p.hold, false) AS was_only_held,
                       p.hold AS was_hold,
                       {only_held} AS only_held, {held_for} AS hold,
                       coalesce(k.rule, {rule}) AS rule,
                       CASE WHEN position({needed} IN k.law) > 0 THEN k.law
                            ELSE coalesce(k.law, {law}) || {needed} END AS law,
                       k.until,
                       CASE WHEN k.until IS NULL
                            THEN coalesce(CASE WHEN {only_held} THEN k.hold END, k.waits_for,
                                          CASE WHEN {first} IS NULL THEN {others} ELSE {key_stays} END)
                        END AS waits_for
                  FROM {keys} AS p
                  JOIN {parent} AS pt ON {p_pt}
                  JOIN {child} AS ct ON {refers} {not_self}
                  LEFT JOIN {children} AS k ON {k_ct}
                 WHERE (p.disposition IN ('erase', 'retain')
                        OR (p.disposition = 'deidentify' AND p.hold IS NOT NULL))
                   AND ({first} IS NULL OR ({stays}))
                 ORDER BY {pk}, only_held, k.until DESC NULLS FIRST, k.rule NULLS LAST, k.law, k.waits_for,
                          k.hold) AS f) AS n
 WHERE {up_n} AND (n.decides OR (n.was_hold IS NULL AND n.hold IS NOT NULL))
""")
