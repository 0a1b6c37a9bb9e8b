"""At the successor: items of a bag are taken away, at the word of their sender or owner, except what stays (:mod:`staying`).

Rows go in the caller's transaction. Objects are no transaction: they go a batch at a time, and before each our holds are asked
again and what goes is noted, and committed, as going. So a hold that comes in the midst keeps all that is there still; and what
is said to be kept is there, or it is known that it went before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from psycopg import sql

from include.handover.custody import Custody, Known
from include.handover.recounting import there_still
from include.handover.rows import Shape
from include.handover.staying import HIDES, LOCK, Staying
from include.model.errors import Refused
from include.model.handover import BagKind, Kept
from include.model.times import prc_date
from include.stores.postgres.server import Connection, joined, name
from include.stores.s3.items import Item as Version
from include.stores.s3.server import Patience, delete_versions
from include.stores.s3.site import lock_of

if TYPE_CHECKING:
    from include.handover.following import Item

BATCH = 200
"""So many objects go at most between two looks at our holds."""
GOING = "it is being deleted"
"""Why of an item that has no fate yet: it was to go when this was noted, by the holds of then."""


def take(
    custody: Custody, connection: Connection, bag: Known, items: Sequence[Item], staying: Staying
) -> dict[int, Kept]:
    """Take them away. Number of each that stays -> why. Raises Refused if a hold was opened or changed meanwhile, if something
    that is to stay is not there, or if the store lets nobody delete and no lock says why; NotReachable."""
    stay = staying(items)
    if bag.kind is BagKind.ROWS:
        rows(connection, bag, [it for it in items if it.no not in stay])
        return stay
    return _Objects(custody, bag, staying).take(items, stay)


def rows(connection: Connection, bag: Known, items: Sequence[Item]) -> None:
    """Delete rows, whatever refers to them."""
    shape = Shape.read(connection, bag.described["address"], tuple(bag.described["key"]))
    types = dict(shape.columns)
    same = joined(
        " AND ",
        [sql.SQL("{} = %s::{}").format(sql.Identifier(k), sql.SQL(types[k])) for k in shape.key],
    )
    statement = sql.SQL("DELETE FROM {} WHERE {}").format(name(shape.address), same)
    connection.cursor().executemany(statement, [list(it.key) for it in items])


class _Objects:
    """Versions and delete markers of one bag."""

    def __init__(self, custody: Custody, bag: Known, staying: Staying) -> None:
        self.custody, self.bag, self.staying = custody, bag, staying
        self.client, self.bucket = custody.client(bag.dataset), str(bag.described["bucket"])
        self.about, self.patience = f"bag {bag.bag}", Patience()

    def take(self, items: Sequence[Item], stay: dict[int, Kept]) -> dict[int, Kept]:
        went = self._went(items, stay)
        stay = {no: why for no, why in stay.items() if no not in went}
        going = [it for it in items if it.no not in stay and it.no not in went]
        self._go([it for it in going if not it.is_marker], stay)
        hidden = {it.key[0]: stay[it.no] for it in going if it.no in stay}
        for it in going:  # without its marker what a lock keeps would come to light again
            if it.is_marker and (kept := hidden.get(it.key[0])) is not None:
                stay[it.no] = Kept(item=it.leaf.hex(), why=HIDES, until=kept.until)
        self._go([it for it in going if it.no not in stay and it.is_marker], stay)
        return stay

    def _went(self, items: Sequence[Item], stay: dict[int, Kept]) -> set[int]:
        """Numbers of those that are to stay by now and went before, by this very word. Raises Refused for what is not there and
        did not go so: nobody signs that it is kept."""
        away = [
            it for it in items
            if it.no in stay and not there_still(self.custody, self.bag, it.body or "{}", it.version)
        ]  # fmt: skip
        if lost := [it for it in away if not it.going]:
            raise Refused(
                f"{len(lost)} of its objects are to be kept ({stay[lost[0].no].why}), and are gone, though nobody asked for it",
                about=self.bag.bag,
                next_step="find out who deleted them; have the bag sent again (`send --again`), receive it, then follow this",
            )  # fmt: skip
        return {it.no for it in away}

    def _go(self, items: Sequence[Item], stay: dict[int, Kept]) -> None:
        for at in range(0, len(items), BATCH):
            batch = items[at : at + BATCH]
            self.staying.holds_are_the_same()
            self._note(batch)
            self.custody.at("taking.noted")
            self._delete(batch, stay)
            self.custody.at("taking.batch")

    def _note(self, batch: Sequence[Item]) -> None:
        """In a transaction of its own: it is to be known also if the caller's is undone."""
        with self.custody.connect(self.bag.kind, self.bag.dataset) as aside:
            aside.execute(
                "UPDATE quietus_handover.item SET why = %s WHERE order_no = %s AND bag = %s AND no = ANY(%s)",
                [GOING, self.bag.order, self.bag.bag, [it.no for it in batch]],
            )

    def _delete(self, batch: Sequence[Item], stay: dict[int, Kept]) -> None:
        by = {(it.key[0], it.version or "null"): it for it in batch}
        try:
            left = delete_versions(self.client, self.bucket, list(by), self.patience, self.about).left
        except Refused:  # all of it at once
            left = dict.fromkeys(by, "AccessDenied")
        for (key, version), code in left.items():
            it = by[key, version]
            until, legal_hold = None, False
            if not it.is_marker:
                until, legal_hold = lock_of(
                    self.client, self.bucket, Version("version", key, version, current=False)
                )
            if until is None and not legal_hold:
                raise Refused(
                    f"the store does not let the custodian delete an object ({code}), and no lock says why", about=self.bag.bag,
                    next_step="let the custodian's log-in delete versions and read their locks, then follow it again",
                )  # fmt: skip
            stay[it.no] = Kept(
                item=it.leaf.hex(), why=LOCK, until=None if legal_hold or until is None else prc_date(until)
            )
