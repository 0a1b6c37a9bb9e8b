"""Whose the items of a bag are, kept as keyed tokens: once our copy is gone nothing else here says so, and its owner may ask yet.

The token is that by which the case book joins cases of one person (``casebook.case_subject``); the id itself is in memory only.
With the last request that can be passed on the list goes (:mod:`include.cases.shutdown.who_asked`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache

from include.cases import sealing, subjects
from include.cases.book import Conn
from include.cases.keys import KeyStore, Purpose
from include.handover.items import split
from include.handover.rows import unescaped
from include.stores.postgres.retention.owners import BETWEEN

KEPT = b""
"""In the place of a token: that owners of a bag were kept, whether or not it has any."""
PEOPLE = 50_000
"""So many owners' tokens are remembered at most: the rows of one person lie together or do not."""


class Whose:
    """Owners as they are read beside an item -> their tokens."""

    def __init__(self, keys: KeyStore) -> None:
        ref = sealing.current(keys, Purpose.SUBJECT_TOKEN)

        @lru_cache(maxsize=PEOPLE)
        def tokens(field: bytes) -> tuple[bytes, ...]:
            ids = [x for x in unescaped(field).split(BETWEEN) if x]
            return tuple(sealing.digest_each(keys, ref, subjects.KIND, ids))

        self.tokens = tokens


def keep(conn: Conn, order: str, bag: str, owners: Mapping[bytes, bytes]) -> None:
    """``owners``: token -> the digests of its items, one after the other; those of a bag that has some are added. That it was
    kept is noted also of a bag that nobody owns something of."""
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO casebook.handover_owner AS o (order_no, bag, token, leaves) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (order_no, bag, token) DO UPDATE SET leaves = o.leaves || EXCLUDED.leaves",
            [(order, bag, token, leaves) for token, leaves in {KEPT: b"", **owners}.items()],
        )


def by_owner(items: Iterable[tuple[bytes, Collection[bytes]]]) -> dict[bytes, bytes]:
    """Of items, each with its owners: what :func:`keep` takes."""
    found: dict[bytes, bytearray] = {}
    for leaf, owners in items:
        for token in owners:
            found.setdefault(token, bytearray()).extend(leaf)
    return {token: bytes(leaves) for token, leaves in found.items()}


def are_kept(conn: Conn, order: str, bag: str) -> bool:
    """Whether it was kept, while a bag was packed, whose its items are."""
    row = conn.execute(
        "SELECT EXISTS (SELECT FROM casebook.handover_owner WHERE order_no = %s AND bag = %s) AS known",
        (order, bag),
    ).fetchone()
    return bool(row and row["known"])


def bags_of(conn: Conn, order: str, tokens: Collection[bytes]) -> dict[str, set[bytes]]:
    """Bags that have something of these people: bag -> whose."""
    rows = conn.execute(
        "SELECT bag, token FROM casebook.handover_owner WHERE order_no = %s AND token = ANY(%s) ORDER BY bag",
        (order, list(tokens)),
    ).fetchall()
    found: dict[str, set[bytes]] = {}
    for r in rows:
        found.setdefault(str(r["bag"]), set()).add(bytes(r["token"]))
    return found


def goes_with(
    conn: Conn, order: str, bag: str, asking: Collection[bytes], *, alone: bool
) -> dict[bytes, set[bytes]]:
    """Items of a bag that go if these people ask: digest -> who of them owns it. ``alone``: each owner has a say by herself; else
    an item of several goes with its last owner, so all have to ask."""
    rows = conn.execute(
        "SELECT token, leaves FROM casebook.handover_owner WHERE order_no = %s AND bag = %s AND (%s OR token = ANY(%s))",
        (order, bag, not alone, list(asking)),
    ).fetchall()
    found: dict[bytes, set[bytes]] = {}
    for r in rows:
        for leaf in split(bytes(r["leaves"])):
            found.setdefault(leaf, set()).add(bytes(r["token"]))
    return {leaf: who for leaf, who in found.items() if who <= set(asking)}


def owned_by(conn: Conn, order: str, bag: str, tokens: Collection[bytes]) -> set[bytes]:
    """Digests of the items of a bag that one of these people owns, alone or with others."""
    rows = conn.execute(
        "SELECT leaves FROM casebook.handover_owner WHERE order_no = %s AND bag = %s AND token = ANY(%s)",
        (order, bag, list(tokens)),
    ).fetchall()
    return {leaf for r in rows for leaf in split(bytes(r["leaves"]))}
