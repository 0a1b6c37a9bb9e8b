"""The keys of suppression tombstones, so that a successor, too, holds back people whose data was deleted.

A tombstone is a keyed digest: without its key it finds nobody. Each version of the key that a tombstone still needs goes along,
wrapped like any key of a bag (``keyed``), and is kept in the successor's own key store, under a name of its own: neither side's
key is ever taken for the other's. PIPL 47, and policy 5.6: who was deleted does not come back by the way of a successor.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container
from typing import Any
from uuid import UUID

import rfc8785

from include.cases import tombstones
from include.cases.book import Conn
from include.cases.keys import KeyStore, Purpose
from include.handover.keyed import Transit, digest
from include.handover.shards import Shard
from include.model.errors import LedgerError, Refused, Unopened

Keys = KeyStore | None


def wanted(conn: Conn, keys: Keys) -> dict[int, bytes]:
    """Every version that a tombstone needs, and its key. Raises Refused if one is not at hand."""
    needed = tombstones.versions_needed(conn)
    if not needed:
        return {}
    if keys is None:
        raise Refused(
            "there are tombstones, and no key store is at hand", about="tombstones", next_step="give the connection key_store"
        )  # fmt: skip
    living = {r.version: r for r in keys.versions(Purpose.TOMBSTONE.value)}
    for version in sorted(needed):
        if version not in living:
            raise Refused(
                f"version {version} of their key is not in the key store", about="tombstones",
                next_step="restore the key store; tombstones whose key is gone find nobody",
            )  # fmt: skip
    return {v: keys.secret(living[v].id, Purpose.TOMBSTONE) for v in sorted(needed)}


def add(conn: Conn, keys: Keys, shard: Shard, only: Container[int] | None = None) -> None:
    """Every version that a tombstone needs, or ``only`` these of them, as an item of the bag. Raises Refused if one is not at
    hand."""
    for version, secret in wanted(conn, keys).items():
        if only is None or version in only:
            shard.key(_number(version), secret)
            shard.add(line(version, shard.salt, secret), b"null", b"")


def keep(
    keys: KeyStore, order: str, sender: str, salt: bytes, said: bytes, wrapped: bytes, transit: Transit
) -> None:
    """At the successor: one key into its own key store, wrapped anew. Again changes nothing. Raises LedgerError if it is not the
    key that its line says."""  # fmt: skip
    try:
        version = int(json.loads(said)["version"])
        secret = transit.unwrap(_number(version), wrapped)
        if line(version, salt, secret) != said:
            raise ValueError
    except (Unopened, ValueError, KeyError, TypeError):
        raise LedgerError(
            "a key of the tombstones does not open, or is another than its line says", about=order,
            next_step="nothing was stored; have the bag packed anew",
        ) from None  # fmt: skip
    keys.keep(name_of(order, version), f"handed over by {sender}", Purpose.TOMBSTONE, secret)


def again(keys: KeyStore, order: str, salt: bytes, body: str) -> bytes | None:
    """The line of a key as it is kept now; None: it is not."""
    said: Any = json.loads(body)
    version = int(said["version"])
    try:
        return line(version, salt, keys.secret(f"{name_of(order, version)}.v1", Purpose.TOMBSTONE))
    except Refused:
        return None


def name_of(order: str, version: int) -> str:
    """What a successor calls a key that came with an order (``held_as``): a file's name says no company, but keeps two apart."""
    sender, _, number = order.rpartition("/")
    whose = hashlib.sha256(sender.encode()).hexdigest()[:12]
    return f"{Purpose.TOMBSTONE.value}-{whose}-{number.lower()}-{version}"


def line(version: int, salt: bytes, secret: bytes) -> bytes:
    """What a bag says of a version: its key's digest, under the bag's salt."""
    told: Any = {
        "id": f"{version:06d}",
        "version": version,
        "digest": digest(salt, _number(version), secret).hex(),
    }
    return rfc8785.dumps(told)


def _number(version: int) -> UUID:
    return UUID(int=version)
