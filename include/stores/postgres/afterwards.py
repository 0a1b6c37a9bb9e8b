"""After the transactions of a disposal: copies and statistics that the database keeps by itself are renewed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from include.model.catalogue import Catalogue
from include.model.words import DatasetKind
from include.stores.postgres.server import Connection


def afterwards(
    connection: Connection,
    catalogue: Catalogue,
    store: str,
    changed: Collection[str],
    stale: Collection[str],
    at: Callable[[str], None] = lambda _: None,
) -> None:
    """Refresh the materialised views over the ``changed`` datasets; renew the statistics of ``stale`` ones and of the views.

    A view keeps rows that are gone until it is refreshed, and statistics (``pg_stats``) keep their most common values until they
    are renewed: also those of a table whose rows stay, which may still hold what the person corrected there, and those of
    unlogged tables. Outside the deed's transactions: both lock, and both can be done again.
    """
    views = [x.address for x in catalogue.derived if x.store == store and not set(changed).isdisjoint(x.of)]
    for view in views:
        connection.execute("SELECT quietus.refresh(to_regclass(%s)::regclass)", [_quoted(view)])
        at("dispose.after_refresh")
    every = catalogue.of_store(store, DatasetKind.TABLE)
    renew(connection, [*(d.address for d in every if d.id in stale), *views], [d.address for d in every])


def renew(connection: Connection, tables: Sequence[str], every: Sequence[str] = ()) -> None:
    """Renew the statistics of these tables and views, and of those among ``every`` that are unlogged. In one transaction."""
    connection.execute(_RENEW, {"tables": [_quoted(t) for t in tables], "every": [_quoted(t) for t in every]})


# A crash or a restore empties an unlogged table, and leaves its statistics: nobody's rows are found there any more, and their
# values are. In one order, for each table stays locked until the last is done.
_RENEW = """
SELECT quietus.renew_statistics(array_agg(c.oid::regclass ORDER BY c.oid)) FROM pg_class AS c
 WHERE c.oid = ANY(ARRAY(SELECT to_regclass(t)::oid FROM unnest(%(tables)s::text[]) AS u(t)))
    OR c.relpersistence = 'u' AND c.oid = ANY(ARRAY(SELECT to_regclass(t)::oid FROM unnest(%(every)s::text[]) AS u(t)))
HAVING count(*) > 0
"""


def _quoted(address: str) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in address.split("."))
