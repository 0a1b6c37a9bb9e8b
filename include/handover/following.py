"""At the successor: notices about bags that it has. What was deleted with the sender is deleted here, or restricted while a
statute or a hold keeps it; what was changed is stored as it is now. Then the bag is counted again, and a signed receipt says so.

Each notice is one transaction, in the order of its bag's numbers, done once. What does not hold is refused and stops that bag's
notices alone: another key, another bag, a digest that no item of it has, a file that is not what was signed.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from psycopg import sql
from pydantic import ValidationError

from include.handover import fetching, notices, storing, taking
from include.handover.custody import Custody, Known, known
from include.handover.fetching import Inbox
from include.handover.items import Leaves
from include.handover.recounting import count_again
from include.handover.rows import Shape
from include.handover.sealed import Opening
from include.handover.sending import delivering, notice_key, notice_receipt_key, notice_sealed_key
from include.handover.staying import Staying
from include.ledger import attest as attesting
from include.model.errors import LedgerError, NoRoom, NotReachable, QuietusError, Refused
from include.model.handover import BagKind, BagNotice, BagStatement, Kept, NoticeReceipt
from include.model.times import observed_now
from include.stores.postgres.server import Connection, name

FORM = "quietus-bag-notice/1"


@dataclass
class Followed:
    """``receipts``: what was answered; ``refused``: notices that were not followed, and why."""

    receipts: list[NoticeReceipt] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Item:
    """One row of ``quietus_handover.item``."""

    no: int
    key: tuple[str, ...]
    clock: int
    holds: str
    leaf: bytes
    body: str | None
    version: str | None
    going: bool = False  # it was to go, at a word that has not been followed to its end

    @property
    def is_marker(self) -> bool:
        """Of an object: whether it is a delete marker."""
        said: Any = json.loads(self.body or "{}")
        return bool(said.get("kind") == "marker")


@dataclass(frozen=True)
class Brought:
    """What a notice brings in the place of what it removes."""

    clocks: list[str]
    items: list[tuple[bytes, int, str]]


def follow(
    inbox: Inbox, custody: Custody, attest: Callable[[bytes], bytes], order: str, *, as_of: date
) -> Followed:
    """Follow every notice that has arrived, and answer each. Again answers the same. Raises NoRoom, NotReachable."""
    done, stopped = Followed(), set[str]()
    for called in _names(inbox, order):
        bag = called[: called.rindex("-")]
        if bag in stopped:
            done.refused[called] = "the notice before it was not followed"
            continue
        try:
            if (answer := _one(inbox, custody, attest, order, called, as_of)) is not None:
                done.receipts.append(answer)
        except (NoRoom, NotReachable):
            raise
        except QuietusError as error:
            done.refused[called] = str(error)
            stopped.add(bag)
    return done


def last_notices(inbox: Inbox, order: str) -> tuple[dict[str, BagNotice], dict[str, str]]:
    """Of each bag the last notice that has arrived: as it leaves the bag, so it is to be; and what lies there by a notice's name
    and is none that the sender signed, with why. Raises NotReachable."""
    last: dict[str, BagNotice] = {}
    strange: dict[str, str] = {}
    for called in _names(inbox, order):
        try:
            said, _ = _statement(inbox, order, called)
        except NotReachable:
            raise
        except QuietusError as error:
            strange[called] = str(error)
            continue
        if said.bag not in last or said.notice > last[said.bag].notice:
            last[said.bag] = said
    return last, strange


def _one(
    inbox: Inbox, custody: Custody, attest: Callable[[bytes], bytes], order: str, called: str, as_of: date
) -> NoticeReceipt | None:
    """One notice; None: it was followed and answered before, and a later one about the same bag was, too."""
    said, payload = _statement(inbox, order, called)
    of, of_payload = fetching.statement(inbox, order, said.bag)
    if attesting.digest(of_payload) != said.statement:
        raise Refused(
            "it is about another bag than the one of this name", about=called, next_step="ask the sender"
        )
    brought = _brought(inbox, said, called) if said.added else None
    with custody.connect(of.kind, of.dataset) as connection:
        _apply(custody, connection, of, said, payload, brought, as_of)
        row = connection.execute(
            "SELECT deleted, kept FROM quietus_handover.notice WHERE order_no = %s AND bag = %s AND notice = %s",
            [of.held_as, said.bag, said.notice],
        ).fetchone()
        if _last(connection, of.held_as, said.bag) > said.notice:
            return None
    inbox.at("notices.followed")
    deleted, kept = (row[0], row[1]) if row else (0, [])
    counted, _ = count_again(custody, of, of_payload)  # what its own clock let go since counts as it was
    receipt = NoticeReceipt(
        order=order, bag=said.bag, notice=said.notice, digest=attesting.digest(payload), deleted=deleted,
        kept=tuple(Kept.model_validate(k) for k in (json.loads(kept) if isinstance(kept, str) else kept)),
        items=counted.items, root=counted.root, differences=counted.differences, custodian=of.successor, done_at=observed_now(),
    )  # fmt: skip
    envelope = attest(receipt.canonical())
    with delivering(f"notice {called}"):
        inbox.client.put_object(
            Bucket=inbox.bucket, Key=notice_receipt_key(order, called), Body=envelope,
            ContentType="application/json", ChecksumAlgorithm="SHA256",
        )  # fmt: skip
    inbox.at("notices.receipted")
    return receipt


# --- what arrived -----------------------------------------------------------------------------------------


def _names(inbox: Inbox, order: str) -> list[str]:
    return [n for n in fetching.arrived(inbox, f"{order}/notices/") if "-" in n]


def _statement(inbox: Inbox, order: str, called: str) -> tuple[BagNotice, bytes]:
    """What the sender signed. Raises LedgerError for another key, or a notice under another one's name."""
    with delivering(f"notice {called}"):
        file = inbox.client.get_object(Bucket=inbox.bucket, Key=notice_key(order, called))["Body"].read()
    payload = attesting.opened(file, FORM, inbox.sender_key)
    try:
        said = BagNotice.model_validate(json.loads(payload))
    except ValidationError:
        raise LedgerError("the notice is malformed", about=called, next_step="have it sent again") from None
    if (said.order, notices.name(said.bag, said.notice)) != (order, called):
        raise LedgerError(
            "it is about another bag", about=called, next_step="ask the sender; do not follow it"
        )
    return said, payload


def _brought(inbox: Inbox, said: BagNotice, called: str) -> Brought:
    """The sealed file, if it is the one that was signed."""
    with delivering(f"notice {called}"):
        body = inbox.client.get_object(Bucket=inbox.bucket, Key=notice_sealed_key(said.order, called))["Body"]
        sealed = body.read(said.bytes + 1)
    if len(sealed) != said.bytes or attesting.digest(sealed) != said.sealed:
        raise LedgerError(
            "what it brings is not what was signed", about=called, next_step="do not open it; have it sent again"
        )  # fmt: skip
    stream = Opening(io.BytesIO(sealed), inbox.key, inbox.certificate)
    plain = b"".join(iter(lambda: stream.read(1 << 20), b""))
    try:
        it = json.loads(plain)
        mine = (it["order"], it["bag"], it["notice"]) == (said.order, said.bag, said.notice)
        items = [(str(line).encode(), int(clock), str(holds)) for line, clock, holds in it["items"]]
        clocks = [str(c) for c in it["clocks"]]
        mine = mine and len(items) == said.added and all(0 <= c < len(clocks) for _, c, _ in items)
    except (ValueError, KeyError, TypeError):
        mine = False
    if not mine:
        raise LedgerError("what it brings is of another notice", about=called, next_step="ask the sender")
    return Brought(clocks, items)


# --- what is done -----------------------------------------------------------------------------------------


def _apply(
    custody: Custody, connection: Connection, of: BagStatement, said: BagNotice, payload: bytes, brought: Brought | None,
    as_of: date,
) -> None:  # fmt: skip
    """In one transaction. Objects are none (:mod:`taking`): what went before it was undone stays gone, and is known to."""
    with connection.transaction():
        connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('quietus_handover ' || %s || '/' || %s, 0))",
            [of.held_as, said.bag],
        )
        bag = known(connection, of.held_as, said.bag)
        if bag is None or not bag.stored or bag.statement != said.statement:
            raise Refused(
                "the bag is not stored here", about=said.bag, next_step="quietus handover receive, then again"
            )
        if _is_done(connection, bag, said, payload):
            return
        items = _items(connection, bag, said)
        add = _added(connection, bag, brought) if brought is not None else []
        replaced = {key for key, *_ in add}
        connection.execute("SET LOCAL session_replication_role = replica")
        _replaced(connection, bag, [it for it in items if it.key and it.key in replaced], add)
        staying = Staying.of(custody, connection, bag, as_of)
        asked = [it for it in items if it.key and it.key not in replaced]
        stay = taking.take(custody, connection, bag, asked, staying)
        kept, deleted = [], 0
        for it in items:
            # Without a key it is gone by its own clock, and nothing but its digest is noted.
            if it.key and it.key in replaced:
                _note(connection, bag, said, it, "replaced")
            elif it.no in stay:
                kept.append(stay[it.no])
                _note(connection, bag, said, it, "kept", stay[it.no])
            else:
                deleted += 1
                _note(connection, bag, said, it, "deleted")
        if brought is not None:
            _add(connection, bag, said, brought, add, {it.key: it.version for it in items})
        connection.execute(
            "INSERT INTO quietus_handover.notice (order_no, bag, notice, digest, items, deleted, kept)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s::jsonb)",
            [bag.order, said.bag, said.notice, attesting.digest(payload), said.items, deleted,
             json.dumps([k.model_dump(mode="json") for k in kept])],
        )  # fmt: skip
        staying.holds_are_the_same()
        custody.at("notices.before_commit")


def _last(connection: Connection, order: str, bag: str) -> int:
    row = connection.execute(
        "SELECT coalesce(max(notice), 0) FROM quietus_handover.notice WHERE order_no = %s AND bag = %s",
        [order, bag],
    ).fetchone()
    return int(row[0]) if row else 0


def _is_done(connection: Connection, bag: Known, said: BagNotice, payload: bytes) -> bool:
    row = connection.execute(
        "SELECT digest FROM quietus_handover.notice WHERE order_no = %s AND bag = %s AND notice = %s",
        [bag.order, said.bag, said.notice],
    ).fetchone()
    if row is not None:
        if row[0] != attesting.digest(payload):
            raise Refused(
                "another notice of this number was followed", about=said.bag, next_step="ask the sender"
            )
        return True
    if (last := _last(connection, bag.order, said.bag)) + 1 != said.notice:
        raise Refused(
            f"notice {last + 1} of this bag comes first", about=said.bag, next_step="have it sent, then follow both"
        )  # fmt: skip
    return False


def _items(connection: Connection, bag: Known, said: BagNotice) -> list[Item]:
    """The items that it names. Raises Refused if one is none of this bag's: then it is about another."""
    wanted = [bytes.fromhex(x) for x in said.removed]
    rows = connection.execute(
        "SELECT no, key, clock, holds, leaf, body, version, coalesce(why = %s, false) FROM quietus_handover.item"
        " WHERE order_no = %s AND bag = %s AND leaf = ANY(%s) AND notice IS NULL ORDER BY no",
        [taking.GOING, bag.order, said.bag, wanted],
    ).fetchall()
    found = [Item(r[0], tuple(r[1]), r[2], r[3], bytes(r[4]), *r[5:]) for r in rows]
    if sorted(i.leaf for i in found) != sorted(wanted):
        raise Refused(
            "it names items that this bag does not have", about=said.bag, next_step="ask the sender; nothing was changed"
        )  # fmt: skip
    return found


def _note(
    connection: Connection, bag: Known, said: BagNotice, it: Item, fate: str, kept: Kept | None = None
) -> None:
    connection.execute(
        "UPDATE quietus_handover.item SET notice = %s, fate = %s, until = %s, why = %s,"
        " restricted = CASE WHEN %s THEN coalesce(restricted, 'notice') ELSE restricted END"
        " WHERE order_no = %s AND bag = %s AND no = %s",
        [
            said.notice,
            fate,
            kept and kept.until,
            kept and kept.why,
            kept is not None,
            bag.order,
            said.bag,
            it.no,
        ],
    )


Added = tuple[tuple[str, ...], bytes, int, str]  # key, line, clock, holds


def _replaced(connection: Connection, bag: Known, items: Sequence[Item], add: Sequence[Added]) -> None:
    """What makes room for what comes in its place. Raises Refused if that is another object."""
    if bag.kind is BagKind.ROWS:
        taking.rows(connection, bag, items)
        return
    bodies = {line for _, line, _, _ in add}
    if any(
        (it.body or "").encode() not in bodies for it in items
    ):  # else the same version, under other clocks
        raise Refused("it changes an object, which nobody can", about=bag.bag, next_step="ask the sender")


def _added(connection: Connection, bag: Known, brought: Brought) -> list[Added]:
    if bag.kind is BagKind.OBJECTS:
        old = {
            str(b): tuple(k)
            for b, k in connection.execute(
                "SELECT body, key FROM quietus_handover.item WHERE order_no = %s AND bag = %s AND notice IS NULL",
                [bag.order, bag.bag],
            ).fetchall()
        }
        found = [(old.get(line.decode(), ()), line, clock, holds) for line, clock, holds in brought.items]
        if any(not key for key, *_ in found):
            raise Refused("it brings an object, which none does", about=bag.bag, next_step="ask the sender")
        return found
    shape = Shape.read(connection, bag.described["address"], tuple(bag.described["key"]))
    return [(tuple(shape.key_of(line)), line, clock, holds) for line, clock, holds in brought.items]


def _add(
    connection: Connection, bag: Known, said: BagNotice, brought: Brought, add: list[Added],
    versions: dict[tuple[str, ...], str | None],
) -> None:  # fmt: skip
    """Store what it brings, as the bag's own items are, behind the last of them."""
    if bag.kind is BagKind.ROWS:
        shape = Shape.read(connection, bag.described["address"], tuple(bag.described["key"]))
        into = sql.SQL("COPY {} ({}) FROM STDIN").format(
            name(shape.address), sql.SQL(", ").join(sql.Identifier(c) for c in shape.names)
        )
        with connection.cursor().copy(into) as copy:
            for _, line, _, _ in add:
                copy.write(line + b"\n")
    first = len(bag.clocks)
    connection.execute(
        "UPDATE quietus_handover.bag SET clocks = clocks || %s::text[] WHERE order_no = %s AND bag = %s",
        [brought.clocks, bag.order, bag.bag],
    )
    row = connection.execute(
        "SELECT coalesce(max(no) + 1, 0) FROM quietus_handover.item WHERE order_no = %s AND bag = %s",
        [bag.order, bag.bag],
    ).fetchone()
    no, leaves, only = int(row[0]) if row else 0, Leaves(bag.salt), storing.only_stored(brought.clocks)
    connection.cursor().executemany(
        "INSERT INTO quietus_handover.item (order_no, bag, no, dataset, key, clock, holds, leaf, body, version,"
        " restricted, path) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, (SELECT path FROM quietus_handover.item"
        " WHERE order_no = %s AND bag = %s AND key = %s::text[] LIMIT 1))",
        [
            (bag.order, said.bag, no + i, bag.dataset, list(key), first + clock, holds,
             leaves.of(line, brought.clocks[clock].encode(), holds.encode()),
             line.decode() if bag.kind is BagKind.OBJECTS else None, versions.get(key), only[clock],
             bag.order, said.bag, list(key))
            for i, (key, line, clock, holds) in enumerate(add)
        ],
    )  # fmt: skip
