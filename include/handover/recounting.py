"""At the successor: the root of a bag computed anew, from what is stored and nothing else, and every difference by digest.

The digests that were noted when the bag was stored only name what differs; the root is of what the tables and buckets have now.
What its own clock let go since is no difference: a proof counts it by its note, and of such a bag nothing is signed anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any, LiteralString

from botocore.exceptions import ClientError
from psycopg import sql

from include.handover import objects, tombstone_keys
from include.handover.book import TOMBSTONE_KEY
from include.handover.custody import Custody, Known, known
from include.handover.items import Growing, Leaves
from include.handover.keyed import KeyedRows
from include.handover.rows import Shape, copied
from include.handover.staying import HOLD, UNDATED
from include.ledger import attest
from include.model.errors import Refused
from include.model.estate import Keys
from include.model.handover import BagKind, BagReceipt, BagStatement, Differences
from include.model.keks import Keks
from include.model.template import Template
from include.model.times import observed_now
from include.stores.postgres.server import Connection, joined, name
from include.stores.s3.items import Item
from include.stores.s3.server import ABSENT, code_of, reaching

NOTHING = b"null"  # the clocks of what nobody sent
PAGE = 2_000  # notes of items that are read at once
_ITS_OWN, _KEPT = "i.notice IS NULL", "i.notice IS NOT NULL AND i.fate = 'kept'"
GONE = "coalesce(CASE WHEN i.request IS NOT NULL THEN i.fate END, '')"  # what its owner's request made of it


@dataclass
class _Count:
    leaves: Leaves
    root: Growing = field(default_factory=Growing)
    missing: list[str] = field(default_factory=list)
    changed: list[tuple[str, str]] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    over: Callable[[bytes, bytes], bool] = lambda _clocks, _holds: False
    ended: int = 0
    asked: list[str] = field(default_factory=list)

    def gone(self, expected: bytes, stored: bytes | None) -> None:
        """One item that its owner had deleted, at once or when nothing kept it any more: it counts as it was, and is named.
        Stored all the same, it is one too many."""
        self.root.add(expected)
        self.asked.append(expected.hex())
        if stored is not None:
            self.more(stored)

    def seen(self, expected: bytes, stored: bytes | None, clocks: bytes, holds: bytes, request: str) -> None:
        """One item, and what its owner's ``request`` made of it: what that deleted is gone by it, and what was kept then is once
        nothing keeps it any more. Gone before, it is missing."""
        if request == "deleted" or (request and stored is None and self.over(clocks, holds)):
            self.gone(expected, stored)
        else:
            self.item(expected, stored, clocks, holds)

    def item(self, expected: bytes, stored: bytes | None, clocks: bytes, holds: bytes) -> None:
        """One item as it is stored; None: it is not."""
        leaf = None if stored is None else self.leaves.of(stored, clocks, holds)
        if leaf != expected and self.over(clocks, holds):
            self.ended += 1
            self.root.add(expected)
            return
        if leaf is None:
            self.missing.append(expected.hex())
            return
        self.root.add(leaf)
        if leaf != expected:
            self.changed.append((expected.hex(), leaf.hex()))

    def more(self, stored: bytes) -> None:
        self.extra.append(self.leaves.of(stored, NOTHING, b"").hex())


def count_again(custody: Custody, statement: BagStatement, payload: bytes) -> tuple[BagReceipt, int]:
    """What a stored bag has now, and how many of its items went, or were cut, after their clocks were over: these count by what
    was noted of them. Raises Refused if the bag was not stored."""
    today, released = custody.today(), frozenset(custody.released())
    with custody.connect(statement.kind, statement.dataset) as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        bag = known(connection, statement.held_as, statement.bag)
        if bag is None or not bag.stored or bag.statement != attest.digest(payload):
            raise Refused("the bag is not stored", about=statement.bag, next_step="quietus handover receive")
        count = _Count(
            Leaves(bag.salt),
            over=lambda clocks, holds: _is_over(statement.held_as, clocks, holds, today, released),
        )
        match bag.kind:
            case BagKind.ROWS:
                _rows(custody, connection, bag, count)
            case BagKind.OBJECTS:
                _objects(custody, connection, bag, count)
            case BagKind.BOOK:
                _book(custody, connection, bag, count)
        _lost(connection, bag, statement, count)
        connection.execute("ROLLBACK")
    receipt = BagReceipt(
        order=statement.order, bag=statement.bag, statement=bag.statement, items=count.root.size,
        root=count.root.root(),
        differences=Differences(
            missing=tuple(count.missing), changed=tuple(count.changed), extra=tuple(count.extra)
        ),
        asked=tuple(count.asked), custodian=statement.successor, stored_at=observed_now(),
    )  # fmt: skip
    return receipt, count.ended


def kept_again(custody: Custody, statement: BagStatement, payload: bytes) -> tuple[int, int]:
    """Of what a notice could only keep of a stored bag: how much is to be there still, and how much of it is, with its digest.
    What may have gone since, by its day, its released hold, or whatever needed it, is only asked for if it is there. Raises
    Refused if the bag was not stored."""
    today, released = custody.today(), frozenset(custody.released())
    due = here = 0
    with custody.connect(statement.kind, statement.dataset) as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        bag = known(connection, statement.held_as, statement.bag)
        if bag is None or not bag.stored or bag.statement != attest.digest(payload):
            raise Refused("the bag is not stored", about=statement.bag, next_step="quietus handover receive")
        rows = connection.execute(
            "SELECT leaf, until, coalesce(why, '') FROM quietus_handover.item"
            " WHERE order_no = %s AND bag = %s AND notice IS NOT NULL AND fate = 'kept'",
            [bag.order, bag.bag],
        ).fetchall()
        because = {bytes(leaf): (until, why) for leaf, until, why in rows}
        leaves = Leaves(bag.salt)
        for expected, stored, clocks, holds in _kept(custody, connection, bag) if because else ():
            there = stored is not None and leaves.of(stored, clocks, holds) == expected
            until, why = because[expected]
            if until is not None or why in UNDATED:
                over = until is None or until < today
            elif why == HOLD:  # it was to go: with the hold it is due, whatever its own clocks say
                over = _is_free(statement.held_as, holds, released) and _no_floor(clocks, today)
            else:
                over = _is_over(statement.held_as, clocks, holds, today, released)
            due += there or not over
            here += there
        connection.execute("ROLLBACK")
    return due, here


def _kept(
    custody: Custody, connection: Connection, bag: Known
) -> Iterator[tuple[bytes, bytes | None, bytes, bytes]]:
    """Each item that a notice could only keep: its digest, itself as it is stored, its clocks and holds."""
    if bag.kind is BagKind.ROWS:
        for leaf, stored, clock, holds, _ in _stored_rows(custody, connection, bag, _KEPT):
            yield leaf, stored, _clocks(bag, clock), holds
    elif bag.kind is BagKind.OBJECTS:
        client, bucket = custody.client(bag.dataset), str(bag.described["bucket"])
        for leaf, clock, holds, text, version, _ in _noted(connection, bag, _KEPT):
            body = json.loads(text or "{}")
            item = Item(body["kind"], body["key"], version or "null", current=False)
            stored = _as_stored(client, bucket, item, body, f"bag {bag.bag}")
            yield leaf, stored, _clocks(bag, clock), holds


def _is_over(order: str, clocks: bytes, holds: bytes, today: date, released: Collection[str]) -> bool:
    """Whether an item was due by today, and no hold that it came under holds it still."""
    return _is_free(order, holds, released) and lawful(clocks, today)


def _is_free(order: str, holds: bytes, released: Collection[str]) -> bool:
    return all(f"{order}/{h}" in released for h in holds.decode().split(",") if h)


def _no_floor(clocks: bytes, today: date) -> bool:
    """Whether no floor forbids by today that what has these clocks goes."""
    said: Any = json.loads(clocks) if clocks else {"running": []}
    if any(r["floor"] and r["ends"] is None for r in said["running"]):
        return False
    return not said.get("earliest") or date.fromisoformat(said["earliest"]) <= today


def lawful(clocks: bytes, today: date) -> bool:
    """Whether what has these clocks could go by today: no floor of them forbids it any more. Without one, once it was due."""
    said: Any = json.loads(clocks) if clocks else None
    if not said or any(r["floor"] and r["ends"] is None for r in said["running"]):
        return False
    day = said.get("earliest") or said.get("due")
    return day is not None and date.fromisoformat(day) <= today


def there_still(custody: Custody, bag: Known, body: str, version: str | None) -> bool:
    """Whether an object that was stored is there, whatever it holds."""
    said = json.loads(body)
    item = Item(said["kind"], said["key"], version or "null", current=False)
    client, bucket = custody.client(bag.dataset), str(bag.described["bucket"])
    with reaching(f"bag {bag.bag}"):
        try:
            if item.kind == "marker":
                return _marker(client, bucket, item, said) is not None
            which: dict[str, Any] = {"VersionId": item.version} if item.version != "null" else {}
            client.head_object(Bucket=bucket, Key=item.key, **which)
        except ClientError as error:
            if code_of(error) in ABSENT:
                return False
            raise
    return True


def _lost(connection: Connection, bag: Known, statement: BagStatement, count: _Count) -> None:
    """If the successor's own notes of items were cut, what is missing has no digest any more; the count says it."""
    row = connection.execute(
        "SELECT count(*), (SELECT items FROM quietus_handover.notice WHERE order_no = %(o)s AND bag = %(b)s"
        " ORDER BY notice DESC LIMIT 1) FROM quietus_handover.item"
        " WHERE order_no = %(o)s AND bag = %(b)s AND notice IS NULL",
        {"o": bag.order, "b": bag.bag},
    ).fetchone()
    if row is not None:
        bound = statement.items if row[1] is None else int(row[1])
        count.missing += ["0" * 64] * max(0, bound - int(row[0]))


def _clocks(bag: Known, number: int) -> bytes:
    return bag.clocks[number].encode() if 0 <= number < len(bag.clocks) else b""


def _stored_rows(
    custody: Custody, connection: Connection, bag: Known, which: LiteralString
) -> Iterator[tuple[bytes, bytes | None, int, bytes, str]]:
    """Items of a bag in its order: digest, the row as it is stored (None: it is not), clock, holds, and what its owner's request
    made of it."""
    shape = Shape.read(connection, bag.described["address"], tuple(bag.described["key"]))
    keyed = _keyed(custody, bag, shape)
    types = dict(shape.columns)
    same = joined(
        " AND ",
        (
            sql.SQL("t.{} = i.key[{}]::{}").format(sql.Identifier(k), sql.Literal(n), sql.SQL(types[k]))
            for n, k in enumerate(shape.key, 1)
        ),
    )
    of = sql.SQL("i.order_no = {} AND i.bag = {} AND {}").format(
        sql.Literal(bag.order), sql.Literal(bag.bag), sql.SQL(which)
    )
    columns = joined(", ", (name("t", c) for c in shape.names))
    # Each row by its key, whatever the planner thinks of a table that was filled a moment ago.
    mine = sql.SQL(
        "COPY (SELECT encode(i.leaf, 'hex'), t.{first} IS NOT NULL, {gone}, i.clock, i.holds, {columns}"
        " FROM quietus_handover.item AS i LEFT JOIN {table} AS t ON {same} WHERE {of} ORDER BY i.no) TO STDOUT"
    ).format(
        first=sql.Identifier(shape.key[0]), columns=columns, table=name(shape.address), same=same, of=of, gone=sql.SQL(GONE)
    )  # fmt: skip
    for line in copied(connection, mine):
        leaf, there, gone, clock, holds, stored = line.split(b"\t", 5)
        if keyed is not None and there == b"t":
            stored = keyed.row(stored).line
        yield (
            bytes.fromhex(leaf.decode()),
            stored if there == b"t" else None,
            int(clock),
            holds,
            gone.decode(),
        )


def _rows(custody: Custody, connection: Connection, bag: Known, count: _Count) -> None:
    for expected, stored, clock, holds, gone in _stored_rows(custody, connection, bag, _ITS_OWN):
        count.seen(expected, stored, _clocks(bag, clock), holds, gone)
    shape = Shape.read(connection, bag.described["address"], tuple(bag.described["key"]))
    keyed = _keyed(custody, bag, shape)
    columns = joined(", ", (name("t", c) for c in shape.names))
    text = joined(", ", (sql.SQL("t.{}::text").format(sql.Identifier(k)) for k in shape.key))
    others = sql.SQL(
        "COPY (SELECT {columns} FROM {table} AS t WHERE {within} AND NOT EXISTS (SELECT FROM quietus_handover.item AS i"
        " WHERE i.dataset = {dataset} AND i.key = ARRAY[{text}] AND (i.notice IS NULL OR i.fate = 'kept'))) TO STDOUT"
    ).format(
        columns=columns, table=name(shape.address), within=_within(bag, shape), dataset=sql.Literal(bag.dataset),
        text=text,
    )  # fmt: skip
    for line in copied(connection, others):
        count.more(line if keyed is None else keyed.row(line).line)


def _keyed(custody: Custody, bag: Known, shape: Shape) -> KeyedRows | None:
    """Of keys: what opens them here, for their digests are of themselves and not of what wraps them."""
    if "keys" not in bag.described:
        return None
    keys = Keys.model_validate(bag.described["keys"])
    return KeyedRows(shape, keys, Keks.of(custody.connections), bag.salt)


def _within(bag: Known, shape: Shape) -> sql.Composable:
    """The range of keys that the bag is about."""
    types = dict(shape.columns)
    by = joined(", ", (name("t", k) for k in shape.key))
    parts: list[sql.Composable] = []
    for sign, end in ((sql.SQL(">"), bag.described["after"]), (sql.SQL("<="), bag.described["upto"])):
        if end is not None:
            values = joined(
                ", ",
                (
                    sql.SQL("{}::{}").format(sql.Literal(v), sql.SQL(types[k]))
                    for k, v in zip(shape.key, end, strict=True)
                ),
            )
            parts.append(sql.SQL("({}) {} ({})").format(by, sign, values))
    return joined(" AND ", parts) if parts else sql.SQL("true")


def _noted(
    connection: Connection, bag: Known, which: LiteralString = _ITS_OWN
) -> Iterator[tuple[bytes, int, bytes, str | None, str | None, str]]:
    """As they come, however many there are: by a cursor of the server."""
    with connection.cursor("noted") as cursor:
        cursor.itersize = PAGE
        cursor.execute(
            f"SELECT leaf, clock, holds, body, version, {GONE} FROM quietus_handover.item AS i"  # noqa: S608
            f" WHERE order_no = %s AND bag = %s AND {which} ORDER BY no",
            [bag.order, bag.bag],
        )
        for leaf, clock, holds, body, version, gone in cursor:
            yield bytes(leaf), clock, holds.encode(), body, version, gone


def _objects(custody: Custody, connection: Connection, bag: Known, count: _Count) -> None:
    client, bucket, about = custody.client(bag.dataset), str(bag.described["bucket"]), f"bag {bag.bag}"
    mine = {(str(k), str(v)) for k, v in connection.execute(
        "SELECT key[1], coalesce(version, 'null') FROM quietus_handover.item WHERE order_no = %s AND bag = %s AND fate = 'kept'",
        [bag.order, bag.bag],
    ).fetchall()}  # fmt: skip
    for leaf, clock, holds, text, version, gone in _noted(connection, bag):
        if text is None:  # it ended, and nothing but its digest is noted
            count.seen(leaf, None, _clocks(bag, clock), holds, gone)
            continue
        body = json.loads(text)
        if gone == "deleted":
            count.gone(leaf, None)  # stored all the same, it is found below
            continue
        mine.add((body["key"], version or "null"))
        item = Item(body["kind"], body["key"], version or "null", current=False)
        count.seen(leaf, _as_stored(client, bucket, item, body, about), _clocks(bag, clock), holds, gone)
    strange: list[Item] = []
    after, upto = (end[0] if end else None for end in (bag.described["after"], bag.described["upto"]))
    base = Template(custody.catalogue.dataset(bag.dataset).prefix).prefix(
        {}
    )  # what lies beside it is another dataset's
    for group in objects.groups(client, bucket, base, after, about):
        if upto is not None and group[0].key > upto:
            break
        strange += (item for item in group if (item.key, item.version) not in mine)
        if len(strange) >= PAGE:
            _nobodys(connection, bag, strange, count)
            strange = []
    _nobodys(connection, bag, strange, count)


def _nobodys(connection: Connection, bag: Known, strange: list[Item], count: _Count) -> None:
    """Of what is none of a bag: what no other brought, by whatever order of its sender's or of another authority's, is too many.
    Each is asked for by its key (an item's has its number in the bag behind it), however many others there are."""
    rows = connection.execute(
        "SELECT i.key[1], coalesce(i.version, 'null') FROM unnest(%s::text[]) AS k(key) JOIN quietus_handover.item AS i"
        " ON i.dataset = %s AND i.key > ARRAY[k.key] AND i.key < ARRAY[k.key, 'a'] WHERE (i.order_no, i.bag) <> (%s, %s)"
        " AND (i.fate IS NULL OR i.fate = 'kept')",
        [sorted({item.key for item in strange}), bag.dataset, bag.order, bag.bag],
    ).fetchall() if strange else []  # fmt: skip
    others = {(str(key), str(version)) for key, version in rows}
    for item in strange:
        if (item.key, item.version) not in others:
            count.more(objects.marker(item.key, objects.origin_of(item)))


def _as_stored(client: Any, bucket: str, item: Item, body: dict[str, Any], about: str) -> bytes | None:
    with reaching(about):
        try:
            if item.kind == "marker":
                return _marker(client, bucket, item, body)
            version = objects.read_raw(client, bucket, item)
            for _ in version.octets():
                pass
        except ClientError as error:
            if code_of(error) in ABSENT:
                return None
            raise
    return version.stored_of(body)


def _marker(client: Any, bucket: str, item: Item, body: dict[str, Any]) -> bytes | None:
    answer = client.list_object_versions(Bucket=bucket, Prefix=item.key)
    there = any(
        m["Key"] == item.key and m["VersionId"] == item.version for m in answer.get("DeleteMarkers", [])
    )
    return objects.marker(item.key, body["origin"]) if there else None


def _book(custody: Custody, connection: Connection, bag: Known, count: _Count) -> None:
    for leaf, clock, holds, body, _, _ in _noted(connection, bag):
        if body is None:
            continue
        stored: bytes | None = body.encode()
        if bag.dataset == TOMBSTONE_KEY:
            stored = tombstone_keys.again(custody.key_store(), bag.order, bag.salt, body)
        count.item(leaf, stored, _clocks(bag, clock), holds)
