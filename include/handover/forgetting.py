"""At a successor: what it noted of items that are gone. Of a row its key, of an object its name: they lead to somebody, and
nothing is left of what they were noted for. The digest of each stays, by which a bag is counted, and names nobody.

Gone is what is not stored any more and could lawfully go by its clock, or what a notice deleted. What is missing before its time
is no business of this: ``prove`` names it, by its note.
"""

from __future__ import annotations

from psycopg import sql

from include.handover.adopting import whose
from include.handover.custody import Custody, Known, known
from include.handover.recounting import lawful, there_still
from include.handover.rows import Shape
from include.model.handover import BagKind
from include.model.words import DatasetKind
from include.stores.postgres.server import Connection, joined, name

_FORGET = "UPDATE quietus_handover.item SET key = '{}', body = NULL, path = NULL, fate = 'ended' WHERE order_no = %s AND bag = %s"
_BAGS = "SELECT bag FROM quietus_handover.bag WHERE order_no = %s AND kind <> 'book' AND stored_at IS NOT NULL ORDER BY bag"
_BY_A_NOTICE = " AND fate = 'deleted'"
_ROWS = " AND (notice IS NULL OR fate = 'kept') AND key <> '{}' AND clock = ANY(%s)"
_THESE = " AND no = ANY(%s)"
_NOTED = (
    "SELECT no, clock, body, version FROM quietus_handover.item WHERE order_no = %s AND bag = %s"
    " AND (notice IS NULL OR fate = 'kept') AND body IS NOT NULL"
)


def forget(custody: Custody, order: str, *, sender: str | None = None) -> int:
    """Of how many items nothing but a digest is noted from now on. Again finds what is gone since. ``sender``: as in
    :func:`include.handover.adopting.whose`. Raises Refused, NotReachable."""
    held, done = whose(custody, order, sender), 0
    for store in custody.catalogue.stores:
        tables = custody.catalogue.of_store(store.id, DatasetKind.TABLE)
        if not tables:
            continue
        with custody.connect(BagKind.ROWS, tables[0].id) as connection:
            for (bag,) in connection.execute(_BAGS, [held]).fetchall():
                if (of := known(connection, held, str(bag))) is not None:
                    done += _one(custody, connection, of)
    return done


def _one(custody: Custody, connection: Connection, bag: Known) -> int:
    over = [n for n, text in enumerate(bag.clocks) if lawful(text.encode(), custody.today())]
    with connection.transaction():
        done = connection.execute(_FORGET + _BY_A_NOTICE, [bag.order, bag.bag]).rowcount
        if bag.kind is BagKind.OBJECTS:
            gone = _gone_objects(custody, connection, bag, frozenset(over))
            return done + connection.execute(_FORGET + _THESE, [bag.order, bag.bag, gone]).rowcount
        shape = Shape.read(connection, bag.described["address"], tuple(bag.described["key"]))
        types = dict(shape.columns)
        same = joined(
            " AND ",
            (
                sql.SQL("t.{} = item.key[{}]::{}").format(
                    sql.Identifier(k), sql.Literal(n), sql.SQL(types[k])
                )
                for n, k in enumerate(shape.key, 1)
            ),
        )
        statement = sql.SQL("{} AND NOT EXISTS (SELECT FROM {} AS t WHERE {})").format(
            sql.SQL(_FORGET + _ROWS), name(shape.address), same
        )
        return done + connection.execute(statement, [bag.order, bag.bag, over]).rowcount


def _gone_objects(custody: Custody, connection: Connection, bag: Known, over: frozenset[int]) -> list[int]:
    rows = connection.execute(_NOTED, [bag.order, bag.bag]).fetchall()
    return [
        int(no) for no, clock, body, version in rows
        if clock in over and not there_still(custody, bag, str(body), version)
    ]  # fmt: skip
