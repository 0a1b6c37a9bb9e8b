"""Step receipts: written in the transaction that does the deed, completed with its WAL position after the commit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Literal

from include.model.flow import Receipt, Step
from include.model.times import observed_now
from include.stores.postgres.server import Connection

Verb = Literal["restrict", "dispose"]


def write(
    connection: Connection,
    step: Step,
    verb: Verb,
    chunk: int,
    plan: str,
    counts: Mapping[str, Mapping[str, int]],
) -> None:
    """Write a receipt inside the deed's transaction. A second one for the same chunk is a unique violation."""
    connection.execute(
        "INSERT INTO quietus.receipt (step, verb, chunk, plan, counts, epoch)"
        " VALUES (%s, %s, %s, %s, %s, (SELECT max(no) FROM quietus.epoch))",
        [step.id, verb, chunk, plan, json.dumps(counts)],
    )


def stamp(connection: Connection, step: str) -> None:
    """Note where the log stands after the commit. Reading it late is safe: a later position is further on."""
    connection.execute(
        "UPDATE quietus.receipt SET committed_at = clock_timestamp(), lsn = pg_current_wal_insert_lsn(),"
        " timeline = left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) WHERE step = %s AND lsn IS NULL",
        [step],
    )


def renewed(connection: Connection, step: str, plan: str) -> None:
    """Note, once, where the log stands after views and statistics were renewed."""
    connection.execute(
        "UPDATE quietus.receipt SET renewed_lsn = pg_current_wal_insert_lsn()"
        " WHERE step = %s AND verb = 'dispose' AND plan = %s AND renewed_lsn IS NULL",
        [step, plan],
    )


def read(connection: Connection, step: str, store: str) -> tuple[Receipt, ...]:
    """Every receipt of the step, restriction first, then chunks in order."""
    return tuple(
        Receipt(
            step=step,
            store=store,
            verb=verb,
            chunk=chunk,
            plan=plan,
            counts=counts,
            position={"xid": xid, "lsn": lsn or "", "timeline": timeline or "", "epoch": str(epoch)},
            done_at=done_at,
        )
        for verb, chunk, plan, counts, xid, lsn, timeline, epoch, done_at in connection.execute(
            "SELECT verb, chunk, plan, counts, xid::text, lsn::text, timeline, epoch, done_at"
            " FROM quietus.receipt WHERE step = %s ORDER BY verb = 'dispose', chunk",
            [step],
        )
    )


def total(step: str, store: str, plan: str, receipts: Sequence[Receipt]) -> Receipt:
    """The chunks of one plan as one receipt; of a single chunk, that chunk's own. A cohort of nobody has no chunk, and
    nothing was done."""
    if not receipts:
        return Receipt(
            step=step, store=store, verb="dispose", plan=plan, counts={}, position={"chunks": "0"},
            done_at=observed_now(),
        )  # fmt: skip
    if len(receipts) == 1:
        return receipts[0]
    counts: dict[str, dict[str, int]] = {}
    for receipt in receipts:
        for dataset, what in receipt.counts.items():
            of = counts.setdefault(dataset, {})
            for done, items in what.items():
                of[done] = of.get(done, 0) + items
    last = receipts[-1]
    return Receipt(
        step=step,
        store=store,
        verb="dispose",
        chunk=last.chunk,
        plan=plan,
        counts=counts,
        position={**last.position, "chunks": str(len(receipts))},
        done_at=last.done_at,
    )
