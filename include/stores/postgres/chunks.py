"""Cutting a cohort into chunks that are closed: no item, and no foreign key between items, crosses a chunk.

Subjects that own an item together, or whose items refer to each other, are joined (union-find over the few such
pairs); whole groups are then packed into chunks. A group larger than a chunk is a chunk of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from psycopg import sql

from include.model.estate import Dataset
from include.stores.postgres import rest
from include.stores.postgres.area import Area, same_key
from include.stores.postgres.live import Live
from include.stores.postgres.server import Connection, name

# Locks, temporary tables and the time until somebody else may go on grow with a chunk; what is fixed per chunk (some
# hundred statements) is by then a small part.
CHUNK_SUBJECTS = 1000


def assign(
    connection: Connection,
    area: Area,
    step: str,
    live: Live,
    datasets: Sequence[Dataset],
    first: int,
    size: int | None,
) -> None:
    """Write the chunk number, from ``first``, of each subject whose chunk is not done. ``size`` of None: all of
    them are one chunk."""
    subjects = [
        n
        for (n,) in connection.execute(
            sql.SQL("SELECT c.subject_no FROM {} AS c WHERE NOT {} ORDER BY 1").format(
                area.cohort, rest.done(step, "c")
            )
        )
    ]
    if size is None or len(subjects) <= size:
        chunk_of = dict.fromkeys(subjects, 0)
    else:
        chunk_of = pack(subjects, _pairs(connection, area, live, datasets), size)
    connection.execute(
        sql.SQL(
            "UPDATE {} AS c SET chunk = %s + n.chunk FROM unnest(%s::int[], %s::int[]) AS n(subject_no, chunk)"
            " WHERE c.subject_no = n.subject_no"
        ).format(area.cohort),
        [first, subjects, [chunk_of[s] for s in subjects]],
    )


def pack(subjects: Sequence[int], pairs: Iterable[tuple[int, int]], size: int) -> dict[int, int]:
    """Subject -> chunk number from 0, keeping every pair together and chunks at most ``size`` where that can be.

    A pair with somebody who is not among the ``subjects``, being done already, ties nobody."""
    leader = {s: s for s in subjects}

    def find(s: int) -> int:
        while leader[s] != s:
            leader[s] = leader[leader[s]]
            s = leader[s]
        return s

    for a, b in pairs:
        if a not in leader or b not in leader:
            continue
        leader[max(find(a), find(b))] = min(find(a), find(b))
    groups: dict[int, list[int]] = {}
    for s in subjects:
        groups.setdefault(find(s), []).append(s)
    chunk, filled = 0, 0
    found: dict[int, int] = {}
    for members in groups.values():
        if filled and filled + len(members) > size:
            chunk, filled = chunk + 1, 0
        found.update(dict.fromkeys(members, chunk))
        filled += len(members)
    return found


def _pairs(
    connection: Connection, area: Area, live: Live, datasets: Sequence[Dataset]
) -> Iterable[tuple[int, int]]:
    parts: list[sql.Composed] = [
        sql.SQL(
            "SELECT k.subject_no AS a, s.no AS b FROM {} AS k CROSS JOIN LATERAL unnest(k.subject_nos) AS s(no)"
            " WHERE cardinality(k.subject_nos) > 1 AND s.no <> k.subject_no"
        ).format(area.table(d.id))
        for d in datasets
    ]
    of = {d.address: d for d in datasets}
    for key in live.foreign_keys:
        if key.child not in of or key.parent not in of:
            continue
        child, parent = of[key.child], of[key.parent]
        parts.append(
            sql.SQL(
                "SELECT ck.subject_no, pk.subject_no FROM {ck} AS ck JOIN {child} AS ct ON {a}"
                " JOIN {parent} AS pt ON {refers} JOIN {pk} AS pk ON {b} WHERE ck.subject_no <> pk.subject_no"
            ).format(
                ck=area.table(child.id),
                pk=area.table(parent.id),
                child=name(child.address),
                parent=name(parent.address),
                a=same_key("ct", "ck", child),
                b=same_key("pt", "pk", parent),
                refers=sql.SQL(" AND ").join(
                    sql.SQL("{} = {}").format(name("ct", x), name("pt", y))
                    for x, y in zip(key.child_columns, key.parent_columns, strict=True)
                ),
            )
        )
    if not parts:
        return
    yield from connection.execute(
        sql.SQL("SELECT DISTINCT a, b FROM ({}) AS x").format(sql.SQL(" UNION ALL ").join(parts))
    )
