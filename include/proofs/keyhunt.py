"""Every key that can be found in a company's databases, to be tried on a ciphertext that nothing should open.

The rows of every table of keys, whoever's they are; and what looks like a key in any other table, declared or not: a
column's value as long as a wrapped key or a bare one, binary, in hex or in base64. Not seen: a key inside a longer value.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

import psycopg
from psycopg import sql

from include.model import sealed
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import NotReachable, Refused, Unopened
from include.model.estate import Dataset
from include.model.keks import Keks
from include.model.words import StoreKind
from include.proofs.ciphertexts import Sample
from include.proofs.everybody import everybodys
from include.proofs.server import Connection, Reader, meaning
from include.proofs.tables import quoted

MOST_TRIES = 2_000_000  # keys x ciphertexts; a try takes some 50 microseconds (bench/keys.py)
MOST_LIKE = 200_000  # values of one table that are as long as a key: digests in hex are
LENGTHS = (sealed.KEY_BYTES, sealed.WRAPPED_BYTES)
_WRITTEN = sorted({n for b in LENGTHS for n in (2 * b, 2 * b + 2, -(-b // 3) * 4, -(-b * 4 // 3))})
_TEXTS = ("text", "varchar", "bpchar")


@dataclass(frozen=True)
class Wrapped:
    """A row of a table of keys."""

    key_id: UUID
    kek: str
    wrapped: bytes = field(repr=False)


@dataclass
class Found:
    """All that may be a key. ``blind``: what could not be looked at, or not be tried."""

    keks: Keks
    rows: list[Wrapped] = field(default_factory=list)
    loose: set[bytes] = field(default_factory=set, repr=False)
    blind: list[str] = field(default_factory=list)

    def opens(self, sample: Sample) -> bool:
        """Whether anything that was found opens a ciphertext."""
        return any(
            sealed.opens(key, sample.path, sample.start, last=sample.last)
            for key in self._data_keys(sample.key_id)
        )

    def _data_keys(self, key_id: UUID) -> Iterator[bytes]:
        """Each that unwraps, as its own row says or as the one that the ciphertext names; and each that is bare."""
        for row in self.rows:
            yield from self._unwrapped(row.wrapped, row.key_id, key_id)
        for candidate in self.loose:
            yield from self._unwrapped(candidate, key_id)
        yield from (c for c in self.loose if len(c) == sealed.KEY_BYTES)

    def _unwrapped(self, wrapped: bytes, *numbers: UUID) -> Iterator[bytes]:
        """The key in it, if any of ours opens it under the first of these numbers that fits."""
        for number in numbers:
            for kek in self.keks.by_name.values():
                try:
                    yield sealed.unwrap(kek, number, wrapped)
                except Unopened:
                    continue
                return

    def tries(self, samples: int) -> int:
        return (len(self.rows) + len(self.loose)) * samples


def hunt(catalogue: Catalogue, connections: Connections, *, everywhere: bool = True) -> Found:
    """Look through every database of the catalogue. ``everywhere``: else through the tables of keys alone, and it says so. Raises
    NotReachable if one does not answer, Refused without the key-encryption keys: with none of them nothing can be tried."""
    found = Found(Keks.of(connections))
    if not everywhere:
        found.blind.append(
            "a run by the minute tries the tables of keys, and does not look through all others for a key"
        )
    for store in catalogue.stores:
        if store.kind is StoreKind.POSTGRES and catalogue.of_store(store.id):
            reader = Reader.of(connections, store.id, store.connection)
            with reader.connect() as connection, reader.reaching():
                declared = {d.address: d for d in catalogue.of_store(store.id)}
                _database(connection, reader, declared, found, everywhere=everywhere)
    strange = sum(row.kek not in found.keks.by_name for row in found.rows)
    if strange:
        found.blind.append(
            f"{strange} keys were wrapped with a key-encryption key that the prover is not given"
        )
    return found


def _database(
    connection: Connection, reader: Reader, declared: dict[str, Dataset], found: Found, *, everywhere: bool
) -> None:
    for address, kind, there in everybodys(connection, copies=True):
        dataset = declared.get(address)
        if not everywhere and (dataset is None or dataset.keys is None):
            continue
        if kind == "f":
            found.blind.append(f"{address} is a foreign table: its data lives elsewhere")
            continue
        try:
            if dataset is not None and dataset.keys is not None:
                found.rows += key_rows(connection, dataset)
            _candidates(connection, address, there, found)
        except psycopg.Error as error:
            why = meaning(error, reader.about)
            if isinstance(why, NotReachable):
                raise why from None
            found.blind.append(f"{address}: {why.what}")
    found.loose -= {row.wrapped for row in found.rows}


def key_rows(connection: Connection, keys: Dataset, of: sql.Composable | None = None) -> list[Wrapped]:
    """The rows of a table of keys, all or those that a condition on ``t`` names."""
    assert keys.keys is not None  # noqa: S101 (asked before)
    statement = sql.SQL("SELECT t.{}::text, t.{}, t.{} FROM {} AS t WHERE {}").format(
        sql.Identifier(keys.keys.id), sql.Identifier(keys.keys.kek), sql.Identifier(keys.keys.wrapped),
        quoted(keys.address), of or sql.SQL("true"),
    )  # fmt: skip
    return [
        Wrapped(UUID(i), str(kek), bytes(w)) for i, kek, w in connection.execute(statement) if w is not None
    ]


def _candidates(connection: Connection, address: str, there: dict[str, str], found: Found) -> None:
    """Values as long as a key, decoded if they are text; by one scan of the table."""
    binary = [c for c, kind in there.items() if kind == "bytea"]
    texts = [c for c, kind in there.items() if kind in _TEXTS]
    cells = [sql.SQL("(t.{}, NULL::text)").format(sql.Identifier(c)) for c in binary]
    cells += [sql.SQL("(NULL::bytea, t.{}::text)").format(sql.Identifier(c)) for c in texts]
    if not cells:
        return
    statement = sql.SQL(
        "SELECT DISTINCT v.raw, v.said FROM {} AS t CROSS JOIN LATERAL (VALUES {}) AS v (raw, said)"
        " WHERE octet_length(v.raw) = ANY(%s) OR length(v.said) = ANY(%s) LIMIT %s"
    ).format(quoted(address), sql.SQL(", ").join(cells))
    rows = connection.execute(statement, [list(LENGTHS), _WRITTEN, MOST_LIKE + 1]).fetchall()
    if len(rows) > MOST_LIKE:
        found.blind.append(f"{address} has more than {MOST_LIKE:,} values that may be keys")
    for raw, said in rows:
        found.loose.update([bytes(raw)] if raw is not None else _decoded(str(said)))


def _decoded(text: str) -> Iterator[bytes]:
    for decode in (_hex, _base64):
        try:
            value = decode(text)
        except (ValueError, binascii.Error):
            continue
        if len(value) in LENGTHS:
            yield value


def _hex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("\\x").removeprefix("0x"))


def _base64(text: str) -> bytes:
    bare = text.rstrip("=")
    urlsafe = b"-_" if {"-", "_"} & set(bare) else None
    return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=urlsafe, validate=True)


__all__ = ["Found", "Refused", "Wrapped", "hunt", "key_rows"]
