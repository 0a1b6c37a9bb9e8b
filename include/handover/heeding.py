"""At the successor: requests about bags that it has, of people who turned to the sender. What no statute or hold keeps is
deleted, and the rest restricted; the bag is counted again, and a signed receipt says so.

Each request is one transaction, done once. An item that is gone so is one of the bag still, in its root and by its digest, which
every later receipt names: it was received, and then its owner had it deleted. What a statute keeps of who *objects* to the
handover is as if it had come so: restricted, and it goes by its clock; of who asks for its deletion it goes the day after.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date

from pydantic import ValidationError

from include.handover import fetching, marking, taking
from include.handover.custody import Custody, Known, known
from include.handover.fetching import Inbox
from include.handover.following import Item
from include.handover.recounting import count_again
from include.handover.sending import delivering, request_key, request_receipt_key
from include.handover.staying import Staying, floor
from include.ledger import attest as attesting
from include.model.catalogue import Catalogue
from include.model.errors import LedgerError, NoRoom, NotReachable, QuietusError, Refused
from include.model.handover import OBJECTION, REQUEST, BagRequest, Kept, RequestReceipt, Restricted
from include.model.times import observed_now
from include.stores.postgres.server import Connection

FORMS = (REQUEST, OBJECTION)


@dataclass
class Heeded:
    """``receipts``: what was answered; ``refused``: requests that were not followed, and why."""

    receipts: list[RequestReceipt] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def heed(
    inbox: Inbox, custody: Custody, attest: Callable[[bytes], bytes], order: str, *, as_of: date
) -> Heeded:
    """Follow every request that has arrived, and answer each. Again answers the same. Raises NoRoom, NotReachable."""
    done = Heeded()
    for called in children_first(custody.catalogue, fetching.arrived(inbox, f"{order}/requests/")):
        try:
            done.receipts.append(_one(inbox, custody, attest, order, called, as_of))
        except (NoRoom, NotReachable):
            raise
        except QuietusError as error:
            done.refused[called] = str(error)
    return done


def children_first(catalogue: Catalogue, names: Iterable[str]) -> list[str]:
    """Requests in the order in which a row goes before the one that it needs, so that this need not stay for it. What is of no
    dataset comes last, and is refused."""
    datasets = {d.id: d for d in catalogue.datasets}

    def depth(id_: str) -> int:
        of = datasets.get(id_)
        links = of.links if of is not None and of.accounts is None else ()  # an account is its own
        return max((1 + (depth(x.via) if x.via is not None else 0) for x in links), default=0)

    return sorted(names, key=lambda called: (-depth(called.rsplit("-", 2)[0]), called))


def _one(
    inbox: Inbox, custody: Custody, attest: Callable[[bytes], bytes], order: str, called: str, as_of: date
) -> RequestReceipt:
    said, payload = _statement(inbox, order, called)
    of, of_payload = fetching.statement(inbox, order, said.bag)
    if attesting.digest(of_payload) != said.statement:
        raise Refused(
            "it is about another bag than the one of this name", about=called, next_step="ask the sender"
        )
    with custody.connect(of.kind, of.dataset) as connection:
        # An answer stands if we know that we followed: an estate that was restored since has to follow it again.
        answer = _answered(inbox, order, called, payload)
        if answer is not None and _is_followed(connection, of.held_as, said):
            return answer
        deleted, kept = _apply(custody, connection, of.held_as, said, payload, as_of)
    inbox.at("requests.followed")
    counted, _ = count_again(custody, of, of_payload)  # what its own clock let go since counts as it was
    receipt = RequestReceipt(
        order=order, bag=said.bag, request=said.request, digest=attesting.digest(payload), deleted=deleted, kept=kept,
        items=counted.items, root=counted.root, differences=counted.differences, custodian=of.successor, done_at=observed_now(),
    )  # fmt: skip
    envelope = attest(receipt.canonical())
    with delivering(f"request {called}"):
        inbox.client.put_object(
            Bucket=inbox.bucket, Key=request_receipt_key(order, called), Body=envelope, ContentType="application/json",
            ChecksumAlgorithm="SHA256",
        )  # fmt: skip
    inbox.at("requests.receipted")
    return receipt


def _answered(inbox: Inbox, order: str, called: str, payload: bytes) -> RequestReceipt | None:
    """Our answer to this very request, if it lies there and names no difference: it stands, and the bag is not counted again."""
    said = fetching.our_word(inbox, request_receipt_key(order, called), RequestReceipt)
    right = said is not None and said.digest == attesting.digest(payload) and said.differences.none
    return said if right else None


def _statement(inbox: Inbox, order: str, called: str) -> tuple[BagRequest, bytes]:
    """What its sender signed. Raises LedgerError."""
    with delivering(f"request {called}"):
        file = inbox.client.get_object(Bucket=inbox.bucket, Key=request_key(order, called))["Body"].read()
    form = attesting.form_of(file)
    payload = attesting.opened(file, form if form in FORMS else REQUEST, inbox.sender_key)
    try:
        said = BagRequest.model_validate(json.loads(payload))
    except ValidationError:
        raise LedgerError("the request is malformed", about=called, next_step="ask the sender") from None
    if said.order != order or f"{said.bag}-{said.request:04d}" != called:
        raise LedgerError(
            "it is about another bag, or of another number", about=called, next_step="ask the sender"
        )
    return said, payload


def _apply(
    custody: Custody, connection: Connection, order: str, said: BagRequest, payload: bytes, as_of: date
) -> tuple[int, tuple[Kept, ...]]:
    """In one transaction. Objects are none (:mod:`taking`): what went before it was undone stays gone, and is known to."""
    with connection.transaction():
        connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('quietus_handover ' || %s || '/' || %s, 0))",
            [order, said.bag],
        )
        bag = known(connection, order, said.bag)
        if bag is None or not bag.stored or bag.statement != said.statement:
            raise Refused(
                "the bag is not stored here", about=said.bag, next_step="quietus handover receive, then again"
            )
        if (before := _done(connection, bag, said, payload)) is not None:
            return before
        connection.execute("SET LOCAL session_replication_role = replica")
        deleted, kept = 0, list[Kept]()
        items = _items(connection, bag, said)
        staying = Staying.of(custody, connection, bag, as_of)
        there = [it for it, gone in items if not gone]
        stay = taking.take(custody, connection, bag, there, staying)
        marking.mark(custody, bag, [it for it in there if it.no in stay])
        for it, _ in items:
            if (stays := stay.get(it.no)) is not None:
                kept.append(stays)
            else:
                deleted += 1
            if said.objects and stays is not None and floor(bag, it, as_of) is not None:
                _restrict(connection, bag, it)
            else:
                _note(connection, bag, said, it, stays)
        connection.execute(
            "INSERT INTO quietus_handover.request (order_no, bag, request, digest, deleted, kept)"
            " VALUES (%s, %s, %s, %s, %s, %s::jsonb)",
            [bag.order, said.bag, said.request, attesting.digest(payload), deleted,
             json.dumps([k.model_dump(mode="json") for k in kept])],
        )  # fmt: skip
        staying.holds_are_the_same()
        custody.at("requests.before_commit")
    return deleted, tuple(kept)


def _is_followed(connection: Connection, order: str, said: BagRequest) -> bool:
    return bool(
        connection.execute(
            "SELECT FROM quietus_handover.request WHERE order_no = %s AND bag = %s AND request = %s",
            [order, said.bag, said.request],
        ).rowcount
    )


def _done(
    connection: Connection, bag: Known, said: BagRequest, payload: bytes
) -> tuple[int, tuple[Kept, ...]] | None:
    row = connection.execute(
        "SELECT digest, deleted, kept FROM quietus_handover.request WHERE order_no = %s AND bag = %s AND request = %s",
        [bag.order, said.bag, said.request],
    ).fetchone()
    if row is None:
        return None
    if row[0] != attesting.digest(payload):
        raise Refused(
            "another request of this number was followed", about=said.bag, next_step="ask the sender"
        )
    kept = json.loads(row[2]) if isinstance(row[2], str) else row[2]
    return int(row[1]), tuple(Kept.model_validate(k) for k in kept)


def _items(connection: Connection, bag: Known, said: BagRequest) -> list[tuple[Item, bool]]:
    """The items that it names, and whether each is gone already: by a notice, or since it was received. Raises Refused if one is
    none of this bag's: then it is about another."""
    wanted = [bytes.fromhex(x) for x in said.asked]
    rows = connection.execute(
        "SELECT no, key, clock, holds, leaf, body, version, coalesce(why = %s, false), coalesce(fate, '')"
        " FROM quietus_handover.item"
        " WHERE order_no = %s AND bag = %s AND leaf = ANY(%s) ORDER BY no",
        [taking.GOING, bag.order, said.bag, wanted],
    ).fetchall()
    found = [
        (Item(r[0], tuple(r[1]), r[2], r[3], bytes(r[4]), *r[5:8]), r[8] not in ("", "kept")) for r in rows
    ]
    if sorted(i.leaf for i, _ in found) != sorted(wanted):
        raise Refused(
            "it names items that this bag does not have", about=said.bag, next_step="ask the sender; nothing was changed"
        )  # fmt: skip
    return found


def _restrict(connection: Connection, bag: Known, it: Item) -> None:
    """An item whose owner objects, and which a statute keeps: nothing else about it is another. What was to go stays so."""
    connection.execute(
        "UPDATE quietus_handover.item SET restricted = coalesce(restricted, %s)"
        " WHERE order_no = %s AND bag = %s AND no = %s AND fate IS NULL",
        [Restricted.OBJECTION.value, bag.order, bag.bag, it.no],
    )


def _note(connection: Connection, bag: Known, said: BagRequest, it: Item, kept: Kept | None) -> None:
    connection.execute(
        "UPDATE quietus_handover.item SET request = %s, fate = %s, until = %s, why = %s,"
        " restricted = CASE WHEN %s THEN coalesce(restricted, %s) ELSE restricted END"
        " WHERE order_no = %s AND bag = %s AND no = %s AND (fate IS NULL OR fate = 'kept')",
        [
            said.request,
            "kept" if kept else "deleted",
            kept and kept.until,
            kept and kept.why,
            kept is not None,
            Restricted.OBJECTION.value if said.objects else "request",
            bag.order,
            bag.bag,
            it.no,
        ],
    )
