"""A partition of which everything is due goes at once, in one transaction with its receipt.

First it is closed to writers, and only to them, so that what is found of it stays so: it is past, and hardly anybody writes
there. Then, of each of its rows: it was located, the same question says that it is due now, and no hold names its owner. Then it
is detached and dropped, which locks the whole table for a moment; the server itself refuses while a row that stays refers to one.
Whatever stands against it rolls all of it back, and its rows go piece by piece as any others: somebody who writes there or reads
for long, a row that is not due, a trigger that acts on deletions, a subscriber who would keep the rows.

The files are cut to nothing when the transaction commits. Killed before, nothing has happened; after, the receipt says it all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from psycopg import sql

from include.model.errors import Refused
from include.model.flow import Receipt
from include.model.words import Disposition
from include.stores.postgres import books, receipts
from include.stores.postgres.area import Area, same_key
from include.stores.postgres.clearing.partitions import Whole, within
from include.stores.postgres.clearing.piece import UPTO, Piece
from include.stores.postgres.server import Connection, name, one

PARTITION = "partition"
"""Of a receipt's position: the partition that went by it."""
BY_ROWS = "its rows go by themselves, as they do on any night"


def with_its_files(
    connection: Connection, area: Area, piece: Piece, partition: Whole, chunk: int, plan: str
) -> Counter[str]:
    """Everything between the first lock and the commit, in a transaction that sees what others commit (READ COMMITTED): each
    statement is asked of what is there after the lock. Raises Refused, with what stands against it."""
    (dataset,) = piece.datasets
    root, part = (name(a).as_string(connection) for a in (dataset.address, partition.address))
    (why,) = one(
        connection.execute("SELECT quietus.close_partition(to_regclass(%s), to_regclass(%s))", [root, part])
    )
    if why is not None:
        raise Refused(str(why), about=f"{piece.about}, {partition.address}", next_step=BY_ROWS)
    look = within(piece.looks[dataset.id], partition.address)
    there, due = one(
        connection.execute(
            sql.SQL(
                "SELECT (SELECT count(*) FROM {part}), (SELECT count(*) FROM ({due}) AS t JOIN {keys} AS a ON {same}"
                " WHERE a.item > {after} AND a.item <= {upto})"
            ).format(
                part=name(partition.address), due=look.due_rows(sql.SQL("true")), keys=area.table(dataset.id),
                same=same_key("t", "a", dataset), after=sql.Literal(partition.after), upto=sql.Literal(partition.upto),
            )
        )
    )  # fmt: skip
    if {there, due} != {partition.items}:
        raise Refused(
            f"of its {there} rows {due} were located, are due now and not held",
            about=f"{piece.about}, {partition.address}", next_step=BY_ROWS,
        )  # fmt: skip
    before = books.written(connection)
    connection.execute(
        "SELECT quietus.drop_partition(to_regclass(%s), to_regclass(%s), %s, %s, %s)",
        [root, part, piece.step.id, dataset.id, partition.items],
    )
    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    books.compare(f"{piece.about}, piece {chunk}", before, books.written(connection), Counter())
    erased = Counter({Disposition.ERASE.past: partition.items})
    receipts.write(
        connection, piece.step, "dispose", chunk, plan, {dataset.id: {UPTO: partition.upto, **erased}}
    )
    return erased


def told(connection: Connection, receipts_: Sequence[Receipt]) -> tuple[Receipt, ...]:
    """The receipts, each with the partition that went by it."""
    (known,) = one(connection.execute("SELECT to_regclass('quietus.dropped') IS NOT NULL"))
    if not receipts_ or not known:
        return tuple(receipts_)
    rows = connection.execute(
        "SELECT xid::text, partition FROM quietus.dropped WHERE step = %s", [receipts_[0].step]
    )
    of = {str(xid): str(partition) for xid, partition in rows}
    return tuple(
        r.model_copy(update={"position": {**r.position, PARTITION: of[xid]}})
        if (xid := r.position["xid"]) in of else r
        for r in receipts_
    )  # fmt: skip
