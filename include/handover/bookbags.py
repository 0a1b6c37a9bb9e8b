"""Bags of the case book: open holds, tombstones with the key that they are made with, recipients that still have to answer.

Of bounded size, as all bags: each part is read in order of its records' ids, in one snapshot a run, and goes on after the last
finished bag. The keys are few, and one bag.
"""

from __future__ import annotations

import psycopg

from include.cases.book import Conn
from include.handover import addressed, book, buried, register, tombstone_keys
from include.handover.room import Outcome, Room
from include.handover.shards import Packed, Shard
from include.model.errors import NotReachable, QuietusError
from include.model.handover import BagKind, Consignment


def pack(room: Room, consignment: Consignment, outcome: Outcome) -> None:
    """Pack of each part what is not packed yet, and what of tombstones came since. A key that is not at hand stops its own bag
    alone."""
    for part in book.PARTS:
        with room.book() as conn:
            done = register.bags(conn, consignment.order, part)
        if not (done and done[-1].last):
            _part(room, consignment, part, done[-1].upto if done else None, outcome)
    later(room, consignment, outcome)


def later(room: Room, consignment: Consignment, outcome: Outcome) -> None:
    """The keys of tombstones; and, once the tombstones that were there first are packed, those that were made since, with their
    keys. A bag of keys for every order, if it is empty."""
    try:
        _keys(room, consignment, outcome)
    except QuietusError as error:
        outcome.left[book.TOMBSTONE_KEY] = str(error)
    with room.book() as conn:
        conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        shard: Shard | None = None
        for line in buried.fresh(conn, consignment.order):
            shard = shard or _shard(room, conn, consignment, buried.TOMBSTONE)
            shard.add(line, b"null", b"")
            if shard.size >= room.bounds.bytes:
                finish(room, consignment, _sealed(room, shard), outcome)
                # In the snapshot the bag that was finished a moment ago is not there.
                shard = _shard(room, conn, consignment, buried.TOMBSTONE, shard.number + 1)
        conn.execute("ROLLBACK")
    if shard is not None and shard.items:
        finish(room, consignment, _sealed(room, shard), outcome)
    elif shard is not None:
        shard.discard()


def _keys(room: Room, consignment: Consignment, outcome: Outcome) -> None:
    with room.book() as conn:
        there = bool(register.bags(conn, consignment.order, book.TOMBSTONE_KEY))
        new = buried.fresh_keys(conn, room.keys, consignment.order)
        if there and not new:
            return
        shard = _shard(room, conn, consignment, book.TOMBSTONE_KEY)
        try:
            tombstone_keys.add(conn, room.keys, shard, new)
        except QuietusError:
            shard.discard()
            raise
    finish(room, consignment, _sealed(room, shard), outcome)


def _sealed(room: Room, shard: Shard) -> Packed:
    return shard.seal(room.catalogue.digest, {}, upto=None, last=True)


def _part(
    room: Room, consignment: Consignment, part: str, after: tuple[str, ...] | None, outcome: Outcome
) -> None:
    """Bag after bag. What a bag has is read in one snapshot with what follows it: a record that comes meanwhile is in none."""
    with room.book() as conn:
        conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        shard = _shard(room, conn, consignment, part)
        for id_, line, more in book.records(conn, part, after[0] if after else ""):
            shard.add(line, b"null", b"")
            if more and shard.size >= room.bounds.bytes:
                upto = (id_,)
                packed = shard.seal(room.catalogue.digest, _range(after, upto), upto=upto, last=False)
                finish(room, consignment, packed, outcome)
                after, shard = upto, _shard(room, conn, consignment, part, shard.number + 1)
        conn.execute("ROLLBACK")
    packed = shard.seal(room.catalogue.digest, _range(after, None), upto=None, last=True)
    finish(room, consignment, packed, outcome)


def _range(after: tuple[str, ...] | None, upto: tuple[str, ...] | None) -> dict[str, list[str] | None]:
    return {"after": list(after) if after else None, "upto": list(upto) if upto else None}


def _shard(room: Room, conn: Conn, consignment: Consignment, part: str, number: int | None = None) -> Shard:
    number = number or register.next_shard(conn, consignment.order, part)
    home, keyed = room.of(consignment.order), part == book.TOMBSTONE_KEY
    return Shard(home, consignment, part, BagKind.BOOK, number, "book.jsonl", keyed=keyed)


def finish(room: Room, consignment: Consignment, packed: Packed, outcome: Outcome) -> None:
    """From here on the bag is finished. Its file gets its name behind its row, of which there can be one, and before that is
    committed: so the file of this name is the one that the row is about, or there is no row. Raises NotReachable."""
    room.at("handover.sealed")
    with room.book() as conn, conn.transaction():
        addressed.standing(conn, consignment, ended=True)
        try:
            register.packed(conn, consignment, packed)
        except psycopg.errors.UniqueViolation:
            raise NotReachable(
                "another run packed it meanwhile", about=packed.statement.bag, next_step="run it again: finished bags are kept"
            ) from None  # fmt: skip
        packed.named()
    outcome.made.append(packed.statement.bag)
    room.at("handover.packed")
