"""The double-entry check inside the transaction: what the server says it did, against what was planned.

``pg_stat_xact_user_tables`` counts every row that this session wrote, whoever caused it: our statements, cascades,
triggers. Partitions are summed to their root. A BEFORE DELETE trigger that returns NULL shows as too few, a
cascade into a table nobody mapped as too many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from include.model.errors import BooksDoNotBalance, Refused
from include.model.estate import Dataset
from include.stores.postgres.server import Connection, one

Entry = tuple[str, str]  # schema.table, operation

_WRITTEN = """
SELECT coalesce(rn.nspname || '.' || rc.relname, s.schemaname || '.' || s.relname),
       sum(s.n_tup_ins), sum(s.n_tup_upd), sum(s.n_tup_del)
  FROM pg_stat_xact_user_tables AS s
  LEFT JOIN pg_class AS c ON c.oid = s.relid AND c.relispartition
  LEFT JOIN pg_class AS rc ON rc.oid = pg_partition_root(c.oid)
  LEFT JOIN pg_namespace AS rn ON rn.oid = rc.relnamespace
 WHERE s.n_tup_ins + s.n_tup_upd + s.n_tup_del > 0
   AND s.schemaname <> 'quietus' AND s.schemaname !~ '^pg_'
 GROUP BY 1
"""


def written(connection: Connection) -> Counter[Entry]:
    """What this session has written so far and not yet reported: take it before and after, and subtract.

    Raises Refused if the server does not count (``track_counts``): then nothing could be checked.
    """
    if one(connection.execute("SHOW track_counts"))[0] != "on":
        raise Refused(
            "track_counts is off, so what a disposal touches cannot be checked",
            about="the server",
            next_step="set track_counts = on, its default",
        )
    found: Counter[Entry] = Counter()
    for table, inserted, updated, deleted in connection.execute(_WRITTEN):
        found[table, "insert"] += int(inserted)
        found[table, "update"] += int(updated)
        found[table, "delete"] += int(deleted)
    return found


def planned(
    datasets: Sequence[Dataset], updates: Mapping[str, int], deletes: Mapping[str, int]
) -> Counter[Entry]:
    """What must happen: our own rows per table, and the catalogue's declared effects of disposing of them."""
    expected: Counter[Entry] = Counter()
    for dataset in datasets:
        rows = {"update": updates.get(dataset.id, 0), "delete": deletes.get(dataset.id, 0)}
        for operation, n in rows.items():
            expected[dataset.address, operation] += n
        disposed = sum(rows.values())
        for effect in dataset.effects:
            if disposed:
                expected[effect.table, effect.operation] += disposed if effect.per_row else 1
    return expected


def compare(about: str, before: Counter[Entry], after: Counter[Entry], expected: Counter[Entry]) -> None:
    """Raise BooksDoNotBalance, naming each table, its operation, planned and happened, unless they agree."""
    wrong = []
    for entry in sorted(set(after) | set(before) | set(expected)):
        happened = after[entry] - before[entry]
        if happened != expected[entry]:
            wrong.append(f"{entry[0]}: {entry[1]} {expected[entry]} planned, {happened} happened")
    if wrong:
        raise BooksDoNotBalance(
            "the database did not do what was planned, and was rolled back: " + "; ".join(wrong),
            about=about,
            next_step="look for triggers, rules and cascades on these tables; declare an intended effect",
        )
