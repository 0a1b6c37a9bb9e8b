"""Tombstones that were made after theirs were packed: whom a case deletes meanwhile the successor holds back, too (PIPL 47;
policy 5.6). They go in bags of their own behind the last, with each version of their key that did not go yet; sealed, signed
and receipted as any bag is. Told until the ledger is handed to its custodian: from then on nobody is here who could sign.

Which have gone is known by the digests that were kept of each bag, and by nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import takewhile

import rfc8785

from include.cases.book import Conn
from include.handover import book, register, tombstone_keys
from include.handover.items import Leaves
from include.handover.register import Bag
from include.model.handover import BagState

TOMBSTONE = "book.tombstone"
BAGS = (TOMBSTONE, book.TOMBSTONE_KEY)


class _Gone:
    """What a bag has, by its digests."""

    def __init__(self, conn: Conn, salts: dict[str, bytes], bag: Bag) -> None:
        self._leaves, self._has = Leaves(salts[bag.name]), frozenset(register.leaves(conn, bag) or ())

    def has(self, line: bytes) -> bool:
        return self._leaves.of(line, b"null", b"") in self._has


def fresh(conn: Conn, order: str) -> Iterator[bytes]:
    """Lines of the tombstones that are in no bag of an order; none before those that were there first are packed wholly. One
    whose last day was set since has gone: the day on which it was made went with it, from which the successor counts."""
    bags, salts = register.bags(conn, order, TOMBSTONE), register.salts(conn, order)
    first = [*takewhile(lambda b: not b.last, bags), *[b for b in bags if b.last][:1]]
    if not first or not first[-1].last:
        return
    later = [_Gone(conn, salts, b) for b in bags[len(first) :]]
    after = ""
    for bag in first:  # one bag's digests at a time, however many there are
        gone = (_Gone(conn, salts, bag), *later)
        upto = bag.upto[0] if bag.upto is not None else None
        for _, line, _ in book.records(conn, TOMBSTONE, after, upto):
            if not any(g.has(line) or g.has(_undated(line)) for g in gone):
                yield line
        after = upto or after


def fresh_keys(conn: Conn, keys: tombstone_keys.Keys, order: str) -> frozenset[int]:
    """Versions of the key that a tombstone needs and no bag of an order has. Raises Refused if one is not at hand."""
    salts = register.salts(conn, order)
    bags = [(salts[b.name], _Gone(conn, salts, b)) for b in register.bags(conn, order, book.TOMBSTONE_KEY)]
    return frozenset(
        version for version, secret in tombstone_keys.wanted(conn, keys).items()
        if not any(gone.has(tombstone_keys.line(version, salt, secret)) for salt, gone in bags)
    )  # fmt: skip


def open_(conn: Conn, order: str) -> dict[str, tuple[int, str]]:
    """What the successor does not know yet, or did not sign for: bag (or, in none, the dataset) -> how many, and why."""
    found = {
        b.name: (b.items, "of tombstones, which the successor did not sign for")
        for part in BAGS
        for b in register.bags(conn, order, part)
        if b.state is not BagState.RECEIVED
    }
    if new := sum(1 for _ in fresh(conn, order)):
        found[TOMBSTONE] = (new, "made since tombstones were packed, and not sent")
    return found


def _undated(line: bytes) -> bytes:
    said = json.loads(line)
    return line if said["expires_on"] is None else rfc8785.dumps(said | {"expires_on": None})
