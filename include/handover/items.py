"""What an item is in bytes, its salted digest, and the root over a bag's items, which grows without keeping them.

An item's bytes are what is stored of it (a row's COPY line, an object's description with its content's digest, a record of the
case book), a newline, the canonical JSON of its clocks, a newline, and the numbers of its holds. Its digest is RFC 6962's leaf
hash over the bag's salt and these bytes: without the salt, which travels sealed, nobody can guess a row from a receipt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from include.ledger.merkle import EMPTY_ROOT, node_hash

SALT = 32  # bytes
LEAF = 32


def split(listed: bytes) -> list[bytes]:
    """Digests that were kept one after the other."""
    return [listed[i : i + LEAF] for i in range(0, len(listed), LEAF)]


class Leaves:
    """The digests of a bag's items. Made once a bag: the salt is hashed once, and its state copied."""

    def __init__(self, salt: bytes) -> None:
        if len(salt) != SALT:
            raise ValueError(f"a salt has {SALT} bytes")
        self._begun = hashlib.sha256(b"\x00" + salt)

    def of(self, stored: bytes, clocks: bytes, holds: bytes) -> bytes:
        """``holds``: their numbers, sorted, with commas between."""
        found = self._begun.copy()
        found.update(b"%b\n%b\n%b" % (stored, clocks, holds))
        return found.digest()


class Growing:
    """RFC 6962's root of a list that is seen once, in memory that grows with the logarithm of its length."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self.size = 0
        self._peaks: list[bytes] = []  # roots of the perfect subtrees, the largest first
        for leaf in leaves:
            self.add(leaf)

    def add(self, leaf: bytes) -> None:
        """One more leaf hash."""
        size = self.size
        while size & 1:  # the newest peak is as large as what was just made: join them
            leaf = node_hash(self._peaks.pop(), leaf)
            size >>= 1
        self._peaks.append(leaf)
        self.size += 1

    def root(self) -> str:
        """The root of what was added so far, in hex."""
        found: bytes | None = None
        for peak in reversed(self._peaks):
            found = peak if found is None else node_hash(peak, found)
        return (EMPTY_ROOT if found is None else found).hex()
