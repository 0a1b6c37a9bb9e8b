"""The log in PostgreSQL: install it, append to its queue, read it, prove from it.

The database is whichever the conninfo names; the schema is ``ledger`` (``ledger.sql``). Three group
roles: ``quietus_ledger_writer`` inserts into the queue and sees nothing, ``quietus_sequencer`` gives
entries their index, ``quietus_reader`` reads. Log-in roles are members of one of them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from include.ledger import merkle
from include.ledger.screen import screened
from include.model.errors import LedgerError, NotReachable, Refused
from include.model.flow import Evidence

DDL = Path(__file__).with_name("ledger.sql")
_OPTIONS = "-c statement_timeout=60s -c lock_timeout=20s -c idle_in_transaction_session_timeout=120s"
_CHECKS = 120  # checks in one evidence entry: some 250 bytes each, so half of what an entry may hold
_INSTALL_LOCK = 0x5175_6965_7475  # any constant of ours
_KEY = re.compile(r"[!-~]{1,200}")
_KIND = re.compile(r"[a-z][a-z0-9_.]{0,63}")
_CASE_NO = re.compile(r"CASE-[0-9]{6,}")
_APPEND = """
    INSERT INTO ledger.queue (key, kind, case_no, leaf, digest)
    VALUES (%(key)s, %(kind)s, %(case_no)s, %(leaf)s, %(digest)s)
    ON CONFLICT DO NOTHING"""

Conn = psycopg.Connection[Any]


def connect(conninfo: str | Mapping[str, Any], *, application: str = "quietus-ledger") -> Conn:
    """A connection with time-outs, in autocommit. Raises NotReachable, without quoting the conninfo."""
    try:
        return psycopg.connect(
            conninfo if isinstance(conninfo, str) else make_conninfo(**conninfo),
            autocommit=True,
            connect_timeout=10,
            application_name=application,
            options=_OPTIONS,
        )
    except (psycopg.OperationalError, psycopg.ProgrammingError):
        raise NotReachable(
            "the ledger's database does not answer", next_step="check the server, then try again"
        ) from None


def install(conninfo: str | Mapping[str, Any]) -> None:
    """Make or complete the schema, as its owner. Running it again changes nothing.

    The owner needs CREATEROLE only if the three group roles do not exist yet. Raises LedgerError.
    """
    with connect(conninfo) as conn, conn.transaction():
        try:
            conn.execute("SELECT pg_advisory_xact_lock(%s)", (_INSTALL_LOCK,))
            conn.execute(DDL.read_bytes())
        except psycopg.Error as e:
            raise LedgerError(
                f"the ledger could not be installed ({e.sqlstate})",
                next_step="install as the schema's owner, with CREATEROLE or the group roles made before",
            ) from None


# --- writing ----------------------------------------------------------------------------------


class KeyTaken(Refused):
    """The key was used before, for an entry that says something else."""


@dataclass(frozen=True)
class NewEntry:
    """Something to be logged. ``key`` is stable over retries: the same deed, the same key."""

    key: str
    kind: str
    case_no: str | None
    body: dict[str, Any]


def _row(entry: NewEntry) -> dict[str, Any]:
    body = screened(entry.body)
    for name, shape, value in (
        ("key", _KEY, entry.key),
        ("kind", _KIND, entry.kind),
        ("case number", _CASE_NO, entry.case_no),
    ):
        if value is not None and not shape.fullmatch(value):
            raise Refused(f"the {name} of the entry is malformed", about="ledger entry")
    screened([entry.key, entry.kind])
    # Canonical JSON put together from canonical parts, the keys in order; kind and case are plain ASCII.
    case_no = f'"{entry.case_no}"' if entry.case_no else "null"
    head = b'{"body":%b,"case_no":%b,"kind":"%b"' % (body, case_no.encode(), entry.kind.encode())
    nonce = base64.b64encode(secrets.token_bytes(16))
    return {
        "key": entry.key,
        "kind": entry.kind,
        "case_no": entry.case_no,
        "leaf": b'%b,"nonce":"%b","v":1}' % (head, nonce),
        "digest": hashlib.sha256(head).digest(),
    }


def _refusal(error: psycopg.Error, about: str) -> Exception:
    """What a database error on append means, in words, without the values that it quotes."""
    if error.sqlstate == "QL002":
        return KeyTaken(
            "this key was already used for an entry that says something else",
            about=about,
            next_step="one key for one deed: use another key, or find out what changed between tries",
        )
    if error.sqlstate == "42501":
        return Refused("this role may not append", about=about, next_step="use a ledger writer's connection")
    if isinstance(error, psycopg.errors.IntegrityError):
        return Refused("the key, kind or case number is malformed", about=about)
    return NotReachable(f"the ledger did not take the entry ({error.sqlstate})", about=about)


@contextmanager
def _part_of(conn: Conn) -> Iterator[None]:
    """A savepoint in the caller's transaction; a transaction of its own in autocommit.

    psycopg would commit at the end of the block if the caller's transaction had not begun yet, so
    where the caller commits for himself, it is begun here.
    """
    if not conn.autocommit and conn.info.transaction_status == TransactionStatus.IDLE:
        conn.execute("SELECT")
    with conn.transaction():
        yield


def append(conn: Conn, kind: str, case_no: str | None, body: dict[str, Any], *, key: str) -> bool:
    """Queue one entry in the caller's transaction. True if it is new, False if it was there already.

    It is committed when the caller commits, so it can ride with the deed that it records. Raises
    Refused for a body with anything personal or unsuitable in it and for a role that may not write,
    KeyTaken for a key that was used for something else, NotReachable otherwise. Then nothing was queued,
    and the caller's transaction is still good.
    """
    row = _row(NewEntry(key, kind, case_no, body))
    about = case_no or kind
    try:
        with _part_of(conn):
            if conn.execute(_APPEND, row).rowcount == 1:
                return True
            # The key is taken. Sent again, the row meets its namesake in the trigger and is compared.
            conn.execute(_APPEND, row)
            return False
    except psycopg.Error as e:
        raise _refusal(e, about) from None


def append_many(conn: Conn, entries: Iterable[NewEntry]) -> int:
    """Queue many entries, all or none, in one round of messages; the number that were new."""
    rows = [_row(entry) for entry in entries]
    try:
        with _part_of(conn), conn.cursor() as cursor:
            cursor.executemany(_APPEND, rows)
            new = cursor.rowcount
            if new < len(rows):
                cursor.executemany(_APPEND, rows)
            return new
    except psycopg.Error as e:
        raise _refusal(e, f"{len(rows)} entries") from None


def append_evidence(conn: Conn, evidence: Evidence, *, key: str) -> list[str]:
    """Queue a proof's result; the keys of the entries that it became.

    Long evidence becomes several entries, each with its part of the checks, so that none grows past
    the size limit. Raises as :func:`append` does.
    """
    body = evidence.model_dump(mode="json")
    checks = body["checks"]
    parts = [checks[i : i + _CHECKS] for i in range(0, len(checks), _CHECKS)] or [[]]
    said = [body | {"checks": part, "part": n, "parts": len(parts)} for n, part in enumerate(parts)]
    found = [NewEntry(f"{key}/{n}", "evidence", evidence.case_no, part) for n, part in enumerate(said)]
    append_many(conn, found)
    return [entry.key for entry in found]


# --- reading ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """One entry of the log. ``leaf`` is the canonical JSON that is hashed."""

    index: int
    kind: str
    case_no: str | None
    leaf: bytes
    leaf_hash: bytes
    sequenced_at: datetime

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.leaf)["body"]
        return body


_SELECT = sql.SQL(
    "SELECT e.index, e.kind, e.case_no, e.leaf, e.leaf_hash, e.sequenced_at FROM ledger.entry e "
)


def _entries(conn: Conn, condition: sql.SQL, parameters: Sequence[Any]) -> list[Entry]:
    with conn.cursor(row_factory=tuple_row) as cursor:
        return [Entry(*row) for row in cursor.execute(_SELECT + condition, parameters)]


def entries(conn: Conn, indexes: Sequence[int]) -> list[Entry]:
    """These entries, in order of index. Raises LedgerError if one is not in the log."""
    found = _entries(conn, sql.SQL("WHERE e.index = ANY(%s) ORDER BY e.index"), [list(indexes)])
    missing = set(indexes) - {e.index for e in found}
    if missing:
        raise LedgerError(
            f"the log has no entry {min(missing)}", next_step="run the sequencer, then try again"
        )
    return found


def entries_of_case(conn: Conn, case_no: str) -> list[Entry]:
    """Everything the log says about one case, in order."""
    return _entries(conn, sql.SQL("WHERE e.case_no = %s ORDER BY e.index"), [case_no])


def entry_by_key(conn: Conn, key: str) -> Entry | None:
    """The entry that was appended under this key, once the sequencer has taken it."""
    found = _entries(conn, sql.SQL("WHERE e.key = %s"), [key])
    return found[0] if found else None


def indexes_of_keys(conn: Conn, keys: Sequence[str]) -> dict[str, int]:
    """key -> index for those of the keys that the sequencer has taken."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        cursor.execute("SELECT e.key, e.index FROM ledger.entry e WHERE e.key = ANY(%s)", (list(keys),))
        return dict(cursor.fetchall())


def latest_of_kind(conn: Conn, kind: str) -> int | None:
    """The index of the last entry of a kind that is about no case; None if there is none."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(
            "SELECT max(index) FROM ledger.entry WHERE case_no IS NULL AND kind = %s", (kind,)
        ).fetchone()
    return None if row is None or row[0] is None else int(row[0])


def entries_of_kind(conn: Conn, kind: str) -> list[Entry]:
    """Every entry of a kind that is about no case, in order."""
    return _entries(conn, sql.SQL("WHERE e.case_no IS NULL AND e.kind = %s ORDER BY e.index"), [kind])


def size(conn: Conn) -> int:
    """How many entries the log has. Indexes are dense, so the last one tells."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute("SELECT coalesce(max(index) + 1, 0) FROM ledger.entry").fetchone()
    return int(row[0]) if row else 0


def latest_checkpoint(conn: Conn) -> tuple[int, str] | None:
    """(size, note) of the largest signed head that is stored."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute("SELECT size, note FROM ledger.checkpoint ORDER BY size DESC LIMIT 1").fetchone()
    return (int(row[0]), str(row[1])) if row else None


# --- proving ----------------------------------------------------------------------------------


def stored_nodes(conn: Conn, positions: Sequence[merkle.Position]) -> merkle.NodeReader:
    """A reader over these nodes, fetched in two statements however many they are."""
    wanted = sorted(set(positions))
    found: dict[merkle.Position, bytes] = {}
    with conn.cursor(row_factory=tuple_row) as cursor:
        leaves = [index for level, index in wanted if level == 0]
        if leaves:
            cursor.execute("SELECT 0, index, leaf_hash FROM ledger.entry WHERE index = ANY(%s)", (leaves,))
            found |= {(level, index): node for level, index, node in cursor}
        inner = [position for position in wanted if position[0]]
        if inner:
            cursor.execute(
                """SELECT n.level, n.index, n.hash
                   FROM unnest(%s::smallint[], %s::bigint[]) AS wanted(level, index)
                   JOIN ledger.node n USING (level, index)""",
                ([level for level, _ in inner], [index for _, index in inner]),
            )
            found |= {(level, index): node for level, index, node in cursor}

    def read(level: int, index: int) -> bytes:
        try:
            return found[level, index]
        except KeyError:
            raise LedgerError(
                f"the log lacks the node at level {level}, index {index}",
                next_step="audit the log against its anchors: something was removed",
            ) from None

    return read


def root_at(conn: Conn, size: int) -> bytes:
    """The root over the first ``size`` entries."""
    return merkle.root(size, stored_nodes(conn, merkle.positions([(0, size)])))


def inclusion_proofs(conn: Conn, indexes: Sequence[int], size: int) -> dict[int, list[bytes]]:
    """index -> audit path in the tree of ``size`` entries. Raises LedgerError for an index not in it."""
    outside = [index for index in indexes if not 0 <= index < size]
    if outside:
        raise LedgerError(f"entry {outside[0]} is not among the first {size} entries")
    ranges = [r for index in indexes for r in merkle.inclusion_ranges(index, size)]
    read = stored_nodes(conn, merkle.positions(ranges))
    return {index: merkle.inclusion_proof(index, size, read) for index in indexes}


def consistency_proof(conn: Conn, old: int, new: int) -> list[bytes]:
    """The proof that the log of ``new`` entries extends that of ``old``."""
    read = stored_nodes(conn, merkle.positions(merkle.consistency_ranges(old, new)))
    return merkle.consistency_proof(old, new, read)


def stream(conn: Conn, *, batch: int = 2000) -> Iterator[Entry]:
    """Every entry in order, without holding them all: for an audit of the whole log."""
    after = -1
    while True:
        page = _entries(conn, sql.SQL("WHERE e.index > %s ORDER BY e.index LIMIT %s"), [after, batch])
        yield from page
        if len(page) < batch:
            return
        after = page[-1].index
