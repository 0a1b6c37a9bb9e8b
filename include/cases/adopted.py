"""Tombstones of an authority whose successor we are: keyed digests of whom it deleted, with the keys that came along.

Its keys are in our key store under names of their own, and are used for nothing but finding these tombstones. They end by the
day that ran when they were made; then their keys do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

from include.cases import sealing
from include.cases.book import Conn
from include.cases.keys import Destroyed, KeyRef, KeyStore
from include.model.errors import Refused


@dataclass(frozen=True)
class Adopted:
    """One that came. ``key_name``: of the key in our store that it was made with; ``case_ref``: whose case."""

    kind: str
    token: bytes = field(repr=False)
    key_name: str
    case_ref: str
    made_on: date
    ends_on: date


def adopt(conn: Conn, keys: KeyStore, order: str, came: Iterable[Adopted], as_of: date) -> int:
    """Have them beside our own; how many were new. One whose last day is over is not taken. Again changes nothing. Raises Refused
    if a key is not in our store."""
    new = 0
    known: set[str] = set()
    for stone in came:
        if stone.ends_on < as_of:
            continue
        if stone.key_name not in known:
            if not keys.versions(stone.key_name):
                raise Refused(
                    "the key of its tombstones is not in our key store", about=order,
                    next_step="receive the bag book.tombstone_key with the key store at hand, then adopt again",
                )  # fmt: skip
            conn.execute(
                "INSERT INTO casebook.adopted_key (key_name, order_no) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                (stone.key_name, order),
            )
            known.add(stone.key_name)
        new += conn.execute(
            "INSERT INTO casebook.adopted_tombstone (order_no, kind, token, key_name, case_ref, made_on, ends_on)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (order, stone.kind, stone.token, stone.key_name, stone.case_ref, stone.made_on, stone.ends_on),
        ).rowcount
    return new


def buried_since(
    conn: Conn, keys: KeyStore, values: Sequence[str], kind: str
) -> dict[str, list[tuple[str, date]]]:
    """By which of these values such a tombstone is there: order and case, and the day of each, the oldest first."""
    found: dict[str, list[tuple[str, date]]] = {}
    for name in _living(conn):
        for ref in keys.versions(name):
            wanted = dict(zip(sealing.digest_each(keys, ref, kind, values), values, strict=True))
            rows = conn.execute(
                "SELECT t.token, t.order_no || ' ' || t.case_ref AS of, t.made_on FROM casebook.adopted_tombstone t"
                " JOIN unnest(%s::bytea[]) AS w(token) USING (token) WHERE t.kind = %s AND t.key_name = %s"
                " ORDER BY t.made_on, t.case_ref",
                (list(wanted), kind, name),
            ).fetchall()
            for row in rows:
                found.setdefault(wanted[bytes(row["token"])], []).append((str(row["of"]), row["made_on"]))
    return found


def expire(conn: Conn, as_of: date) -> int:
    """Drop those past their last day, and of settled findings by them whose they were; how many tombstones."""
    gone = conn.execute("DELETE FROM casebook.adopted_tombstone WHERE ends_on < %s", (as_of,)).rowcount
    forget_places(conn)
    return gone


def forget_places(conn: Conn) -> int:
    """Of a settled finding whose tombstone is gone only table or bucket stays, not whose rows they were; of how many. An open one
    is settled by the next nightly look, which then asks this."""
    return conn.execute(
        "UPDATE casebook.adopted_finding SET place = dataset WHERE finding = ANY(%s)", (places(conn),)
    ).rowcount


def places(conn: Conn) -> list[int]:
    """Settled findings that say whose rows they were, though the tombstone is gone."""
    rows = conn.execute(
        "SELECT finding FROM casebook.adopted_finding WHERE settled_at IS NOT NULL AND place <> dataset AND NOT EXISTS"
        " (SELECT FROM casebook.adopted_tombstone AS t WHERE t.order_no || ' ' || t.case_ref = of_case)"
    ).fetchall()
    return [int(r["finding"]) for r in rows]


def unneeded(conn: Conn, keys: KeyStore) -> tuple[KeyRef, ...]:
    """Keys that live, and that no such tombstone needs any more."""
    rows = conn.execute(
        "SELECT key_name FROM casebook.adopted_key k WHERE NOT EXISTS"
        " (SELECT FROM casebook.adopted_tombstone t WHERE t.key_name = k.key_name) ORDER BY key_name"
    ).fetchall()
    return tuple(ref for row in rows for ref in keys.versions(str(row["key_name"])))


def end_keys(
    conn: Conn, keys: KeyStore, as_of: date, say: Callable[[Destroyed], None]
) -> tuple[str, ...]:  # fmt: skip
    """Destroy them; their numbers. Killed anywhere, the next run does the rest."""
    gone = []
    for ref in unneeded(conn, keys):
        keys.destroy(ref.id)
        gone.append(ref.id)
    for name in _names(conn):
        for destroyed in keys.destroyed(name):
            say(destroyed)
            conn.execute(
                "UPDATE casebook.adopted_key SET ended_on = %s WHERE key_name = %s AND ended_on IS NULL", (as_of, name)
            )  # fmt: skip
    return tuple(gone)


def _living(conn: Conn) -> list[str]:
    return [
        str(r["key_name"])
        for r in conn.execute("SELECT DISTINCT key_name FROM casebook.adopted_tombstone ORDER BY key_name")
    ]


def _names(conn: Conn) -> list[str]:
    rows = conn.execute(
        "SELECT key_name FROM casebook.adopted_key WHERE ended_on IS NULL ORDER BY key_name"
    ).fetchall()
    return [str(r["key_name"]) for r in rows]
