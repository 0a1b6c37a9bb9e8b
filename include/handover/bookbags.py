"""Bags of the case book: open holds, tombstones with the key that they are made with, recipients that still have to answer.

Each part is small, so it is one bag and never sharded.
"""

from __future__ import annotations

from include.handover import addressed, book, register, tombstone_keys
from include.handover.room import Outcome, Room
from include.handover.shards import Packed, Shard
from include.model.errors import QuietusError
from include.model.handover import BagKind, Consignment


def pack(room: Room, consignment: Consignment, outcome: Outcome) -> None:
    """Pack each part that is not packed yet. A key that is not at hand stops its own bag alone."""
    for part in book.BAGS:
        with room.book() as conn:
            if register.bags(conn, consignment.order, part):
                continue
            keyed = part == book.TOMBSTONE_KEY
            number = register.next_shard(conn, consignment.order, part)
            home = room.of(consignment.order)
            shard = Shard(home, consignment, part, BagKind.BOOK, number, "book.jsonl", keyed=keyed)
            try:
                if keyed:
                    tombstone_keys.add(conn, room.keys, shard)
                else:
                    for line in book.records(conn, part):
                        shard.add(line, b"null", b"")
            except QuietusError as error:
                shard.discard()
                outcome.left[part] = str(error)
                continue
        finish(room, consignment, shard.seal(room.catalogue.digest, {}, upto=None, last=True), outcome)


def finish(room: Room, consignment: Consignment, packed: Packed, outcome: Outcome) -> None:
    """From here on the bag is finished."""
    room.at("handover.sealed")
    with room.book() as conn, conn.transaction():
        addressed.standing(conn, consignment)
        register.packed(conn, consignment, packed)
    outcome.made.append(packed.statement.bag)
    room.at("handover.packed")
