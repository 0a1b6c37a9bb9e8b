"""The one process that gives entries their index, and publishes the signed head.

Database sequences leave gaps and commit out of order; a log may have neither. So writers only queue,
and whoever holds the advisory lock copies what is queued to the log, a batch to a transaction: the
entries, the tree nodes that became complete, and how far it came, all or nothing. Killed anywhere, the
next run finds the last committed batch and goes on; what is in the log is never read from the queue
again (``queue_id`` is unique), and what is not in the log is (see ``_TAKE``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import psycopg
from psycopg.rows import tuple_row

from include.ledger import log, merkle
from include.ledger.checkpoint import Checkpoint
from include.model.errors import LedgerError, NotReachable, Refused

_LOCK = int.from_bytes(hashlib.sha256(b"quietus.ledger.sequencer").digest()[:8], "big", signed=True)

# Transaction ids order the queue by *beginning*, so a row can become visible behind rows that were
# taken already, but only with a transaction id that was still running then. The horizon is the point
# before which nothing can appear any more; behind it, rows already taken are left out one by one.
_TAKE = """
    INSERT INTO ledger.entry (index, queue_id, key, kind, case_no, leaf, leaf_hash)
    SELECT %(size)s + row_number() OVER (ORDER BY q.xid, q.id) - 1,
           q.id, q.key, q.kind, q.case_no, q.leaf, sha256('\\x00'::bytea || q.leaf)
    FROM (
        SELECT q.* FROM ledger.queue q
        WHERE (q.xid, q.id) > (%(xid)s::text::xid8, %(id)s)
          AND NOT EXISTS (SELECT FROM ledger.entry e WHERE e.queue_id = q.id)
        ORDER BY q.xid, q.id
        LIMIT %(limit)s
    ) q
    RETURNING index, queue_id, leaf_hash"""
_HORIZON = """
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text, q.xid::text, q.id
    FROM ledger.queue q WHERE q.id = %s"""

Progress = Callable[[str], None]


def _silent(_: str) -> None:
    """Nobody watches."""


@contextmanager
def _alone(conn: log.Conn) -> Iterator[bool]:
    """Whether we are the sequencer. The lock goes with the session, however the session ends."""
    row = conn.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
    mine = bool(row and row[0])
    try:
        yield mine
    finally:
        if mine and not conn.closed:
            conn.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def sequence(conn: log.Conn, *, batch: int = 5000, progress: Progress = _silent) -> int:
    """Take everything queued into the log; the number of entries taken.

    ``conn`` is in autocommit and belongs to a sequencer. Another sequencer at work means 0: it will
    take what is queued. ``progress`` is told each point that is passed ("locked", "entries", "nodes",
    "committing", "committed"). Raises NotReachable; then at most the last batch was undone.
    """
    if not conn.autocommit:
        raise LedgerError("the sequencer needs a connection in autocommit: it commits batch by batch")
    taken = 0
    try:
        with _alone(conn) as mine:
            if not mine:
                return 0
            progress("locked")
            while True:
                # REPEATABLE READ, begun under the lock: one view of the queue for the whole batch.
                with conn.transaction():
                    conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                    got = _one_batch(conn, batch, progress)
                    progress("committing")
                progress("committed")
                taken += got
                if got < batch:
                    return taken
    except psycopg.Error as e:
        raise NotReachable(
            f"the sequencer was interrupted ({e.sqlstate or 'connection lost'})",
            about="ledger",
            next_step="run it again: it resumes after the last committed batch",
        ) from None


def _one_batch(conn: log.Conn, limit: int, progress: Progress) -> int:
    with conn.cursor(row_factory=tuple_row) as cursor:
        size = log.size(conn)
        cluster, xid, id = _start(cursor)
        cursor.execute(_TAKE, {"size": size, "xid": xid, "id": id, "limit": limit})
        rows = sorted(cursor.fetchall())
        if not rows:
            return 0
        progress("entries")
        read = log.stored_nodes(conn, merkle.positions([(0, size)]))
        with cursor.copy("COPY ledger.node (level, index, hash) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["int2", "int8", "bytea"])
            for node in merkle.grow(size, [leaf for _, _, leaf in rows], read):
                copy.write_row(node)
        progress("nodes")
        xmin, last_xid, last_id = cursor.execute(_HORIZON, (rows[-1][1],)).fetchone() or ("0", "0", 0)
        # A short batch emptied the queue as far as we saw; a full one only up to its last row. Rows of
        # one transaction appear together, so within a finished transaction the row id is a horizon too.
        if int(last_xid) < int(xmin) and len(rows) == limit:
            horizon = (last_xid, last_id)
        else:
            horizon = (str(min(int(xmin), int(last_xid)) if len(rows) == limit else int(xmin)), 0)
        cursor.execute(
            """INSERT INTO ledger.batch (size_after, first_index, horizon_xid, horizon_id, cluster)
               VALUES (%s, %s, %s::text::xid8, %s, %s)""",
            (size + len(rows), size, *horizon, cluster),
        )
        return len(rows)


def _start(cursor: psycopg.Cursor[Any]) -> tuple[int, str, int]:
    """(this cluster, transaction id, queue id) to take from: the last horizon, if it was made here."""
    row = cursor.execute("SELECT system_identifier FROM pg_control_system()").fetchone()
    cluster = int(row[0]) if row else 0
    row = cursor.execute(
        """SELECT b.horizon_xid::text, b.horizon_id FROM ledger.batch b
           WHERE b.size_after = (SELECT max(size_after) FROM ledger.batch)
             AND b.cluster = %s AND b.horizon_xid <= pg_snapshot_xmax(pg_current_snapshot())""",
        (cluster,),
    ).fetchone()
    return (cluster, str(row[0]), int(row[1])) if row else (cluster, "0", 0)


# --- publishing -------------------------------------------------------------------------------


class HeadSigner(Protocol):
    """What publishing needs of the signer: see ``signer.SignerClient``."""

    def head(self) -> tuple[int, str | None]:
        """(size, note) of the last head that it signed; (0, None) before the first."""

    def extend(self, size: int, root: bytes, proof: list[bytes]) -> str:
        """The signed head of this extension. Raises Refused."""


def publish(conn: log.Conn, signer: HeadSigner, *, progress: Progress = _silent) -> tuple[int, str]:
    """Have the present head signed, and store it: (size, note).

    The proof starts from what the *signer* remembers, so a run killed between signing and storing
    resumes. Raises LedgerError if the log is shorter than a head that was already signed, Refused if
    the signer finds that the log was rewritten, NotReachable.
    """
    try:
        size, note = _signed(conn, signer)
        progress("signed")
        conn.execute(
            """INSERT INTO ledger.checkpoint (size, root, note) VALUES (%s, %s, %s)
               ON CONFLICT (size) DO NOTHING""",
            (size, log.root_at(conn, size), note),
        )
        progress("stored")
    except psycopg.Error as e:
        raise NotReachable(
            f"the head could not be stored ({e.sqlstate or 'connection lost'})",
            about="ledger",
            next_step="try again",
        ) from None
    return size, note


def _signed(conn: log.Conn, signer: HeadSigner) -> tuple[int, str]:
    while True:
        # First what was signed, then what there is: the log only grows, so the other way round another
        # publisher in between would look like lost entries.
        signed_size, signed = signer.head()
        size = log.size(conn)
        if size == 0 and signed is None:
            raise LedgerError(
                "the log is empty; there is no head to sign", next_step="append something first"
            )
        if signed_size > size:
            raise LedgerError(
                f"the log has {size} entries, but a head of {signed_size} was signed: entries were lost",
                about="ledger",
                next_step="stop writing; restore the ledger's database to a later point",
            )
        root = log.root_at(conn, size)
        if signed is not None and signed_size == size:
            if Checkpoint.of_text(signed.rpartition("\n\n")[0] + "\n").root != root:
                raise LedgerError(
                    "the log was rewritten: its root is not the one that was signed at this size",
                    about="ledger",
                    next_step="audit the log against its anchors",
                )
            return size, signed
        try:
            return size, signer.extend(size, root, log.consistency_proof(conn, signed_size, size))
        except Refused:
            if signer.head()[0] == signed_size:
                raise
            # Another publisher was quicker, and our proof is from a head that is no longer the last.
