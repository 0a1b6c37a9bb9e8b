"""Requests and objections of people passed on to the successor: made, signed and sent bag by bag, and what its answers are worth.

Nothing of ours is changed by them: the items were transferred, and stay so in the books. What an open hold of ours covers is not
asked for: it is evidence wherever it lies. The successor deletes what no statute, hold of its own or row that stays keeps,
restricts the rest, and signs for it. A receipt that it signs later for the bag names what went so. By an objection what a statute
keeps goes on by its clock, restricted; who asks for its deletion later, asks for more, and that is passed on, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from include.cases import book
from include.cases.book import Conn
from include.cases.retention.held import HeldPeople, held_people
from include.cases.rooms import Desk
from include.cases.shutdown import orders, who_asked
from include.cases.workdays import DEFAULT
from include.handover import addressed, asking, exact, heard, register, requests, whose
from include.handover.register import Bag
from include.handover.requests import Request
from include.handover.room import Attest, Record, unrecorded
from include.handover.sending import Way, delivering, lying, request_key, request_receipt_key
from include.handover.shards import At
from include.handover.timely import timely
from include.ledger import attest as attesting
from include.model import ranges
from include.model.errors import BooksDoNotBalance, Refused
from include.model.handover import OBJECTION, REQUEST, BagKind, BagRequest, Consignment, RequestReceipt
from include.model.times import observed_now
from include.stores.postgres.retention.owners import alone
from include.stores.shared import nowhere

MOST = 20_000
"""Items of a request."""
ANSWER = 15
"""Working days that the successor has (law.md E, 16)."""
LAW, OBJECTION_LAW = "PIPL 47; ESL 24", "PIPL 22, 44; ESL 24"
ASKED = "requests passed on"
"""Of the event."""
SHOWN = "quietus-bag-request-receipt/1"


@dataclass
class Outcome:
    """``made``: requests by name; ``left``: bags of which nobody knows whose the items are, while somebody asks."""

    made: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)


def ask(
    desk: Desk, consignment: Consignment, attest: Attest, *, as_of: date, actor: str, at: At = nowhere
) -> Outcome:
    """Make and sign a request about every bag of which people ask for items that are with the successor alone. Again makes none
    of the same, and none is about what an open hold covers. Raises Refused for another consignment, or once nothing is passed on
    any more; NotReachable."""
    number, outcome = consignment.order, Outcome()
    sign(desk, number, attest, at)
    with desk.book() as conn, book.deed(conn, number):
        of = addressed.standing(conn, consignment, ended=True)
        who_asked.still_here(conn, of)
        people, objections = set[bytes](), list[str]()
        for wanted in wanting(desk, conn, number, outcome.left):
            for request in _new(conn, wanted, as_of):
                requests.made(conn, request)
                outcome.made.append(requests.name(wanted.bag.name, request.request))
                objections += outcome.made[-1:] if request.objects else []
            people |= wanted.people
        if outcome.made:
            detail: dict[str, Any] = {"requests": ranges.short(outcome.made), "people": len(people)}
            if objections:
                detail["objections"] = ranges.short(objections)
            orders.say(desk, conn, number, ASKED, as_of, actor, detail)
    at("requests.made")
    sign(desk, number, attest, at)
    return outcome


@dataclass(frozen=True)
class Wanted:
    """``fresh``: items of a bag that people ask to be deleted and no request names yet, in its order, each with whose they are;
    ``objected``: those of who objects, that are in neither; ``held``: how many more an open hold of ours covers: they are asked
    for once it is released. ``people``: who asks for any of it, a token for each of them."""

    bag: Bag
    fresh: Mapping[bytes, set[bytes]]
    held: int
    people: frozenset[bytes] = field(repr=False)
    objected: Mapping[bytes, set[bytes]] = field(default_factory=dict)

    @property
    def items(self) -> int:
        return len(self.fresh) + len(self.objected)


def wanting(desk: Desk, conn: Conn, number: str, left: dict[str, str]) -> Iterator[Wanted]:
    """What people ask for, bag by bag; into ``left`` the bags of which nobody knows whose the items are, and why. Raises
    NotReachable."""
    who, went = asking.who_asks(desk, conn, number), asking.went(conn, number)
    bags = [b for b in register.bags(conn, number) if b.statement.kind is not BagKind.BOOK and b.name in went]
    held = held_people(desk) if who and bags else HeldPeople()
    for bag in bags if who else ():
        dataset = desk.catalogue.dataset(bag.statement.dataset)
        if bag.items and dataset.links and not whose.are_kept(conn, number, bag.name):
            left[bag.name] = (
                "it was packed before it was kept whose its items are: ask the successor on paper"
            )
            continue
        its = conn, number, bag.name, dataset, who, went[bag.name]
        gone = asking.asked_for(*its, alone=alone(desk.catalogue, dataset))
        objected = asking.objected_to(*its, alone=alone(desk.catalogue, dataset))
        said = {**objected, **gone}
        free = asking.but_held(desk, conn, bag, dataset, said, held)
        before = requests.named(conn, number, bag.name) if said else requests.Named()
        fresh, restricted, covered = dict[bytes, set[bytes]](), dict[bytes, set[bytes]](), 0
        for x in register.leaves(conn, bag) or [] if said else []:
            if x not in said or not before.lacks(x.hex(), objected=x not in gone):
                continue
            if x not in free:
                covered += 1
            else:
                (fresh if x in gone else restricted)[x] = said[x]
        yield Wanted(bag, fresh, covered, frozenset(t for of in free.values() for t in of), restricted)


def _new(conn: Conn, wanted: Wanted, as_of: date) -> Iterator[BagRequest]:
    """In requests of bounded size."""
    bag = wanted.bag
    order = bag.statement.order
    number = sum((r.said.bag == bag.name) for r in requests.of_order(conn, order)) if wanted.items else 0
    for form, law, of in ((REQUEST, LAW, wanted.fresh), (OBJECTION, OBJECTION_LAW, wanted.objected)):
        items = list(of)
        for first in range(0, len(items), MOST):
            some = items[first : first + MOST]
            number += 1
            yield BagRequest(
                format=form, order=order, bag=bag.name, request=number, statement=attesting.digest(bag.payload),
                asked=tuple(x.hex() for x in some), people=len({t for x in some for t in of[x]}), law=law, as_of=as_of,
                answer_by=DEFAULT.after(as_of, ANSWER).day, made_at=observed_now(),
            )  # fmt: skip


def sign(desk: Desk, number: str, attest: Attest, at: At = nowhere) -> None:
    """Have every request signed that is not."""
    with desk.book() as conn:
        waiting = [r for r in requests.of_order(conn, number) if r.envelope is None]
    for r in waiting:
        envelope = attest(r.payload)
        body = {
            "order": number, "bag": r.said.bag, "request": r.said.request, "asked": len(r.said.asked),
            "answer_by": r.said.answer_by.isoformat(), "digest": attesting.digest(r.payload),
            **({"objection": True} if r.said.objects else {}),
        }  # fmt: skip
        desk.record(
            "handover.request", None, body, f"handover.request:{number}:{r.said.bag}:{r.said.request}"
        )
        with desk.book() as conn, conn.transaction():
            requests.signed(conn, r, envelope)
        at("requests.signed")


def send(way: Way, consignment: Consignment) -> list[str]:
    """Put every signed request that was not sent beside its bag; their names. Again sends what is left."""
    with way.book() as conn:
        addressed.standing(conn, consignment, ended=True)
        waiting = [
            r for r in requests.of_order(conn, consignment.order) if not r.sent and r.envelope is not None
        ]
    for r in waiting:
        with way.book() as conn, conn.transaction():
            addressed.standing(conn, consignment, ended=True)
            with delivering(f"request {r.name}"):
                way.client.put_object(
                    Bucket=way.bucket, Key=request_key(consignment.order, r.name), Body=r.envelope or b"",
                    ContentType="application/json", ChecksumAlgorithm="SHA256",
                )  # fmt: skip
            way.at("requests.put")
            requests.sent(conn, r)
    return [r.name for r in waiting]


def waiting(conn: Conn, order: str) -> Sequence[str]:
    """Requests that were sent and are not answered."""
    return [r.name for r in requests.of_order(conn, order) if r.sent and not r.answered]


def answer_of(way: Way, order: str, name: str) -> bytes | None:
    """The answer that lies beside a request; None: there is none yet."""
    return lying(way.client, way.bucket, request_receipt_key(order, name), f"request {name}")


def verify(
    conn: Conn, consignment: Consignment, name: str, file: bytes, *, actor: str, record: Record = unrecorded
) -> Request:
    """Verify the answer to the request of this name, and record it: each item was deleted, or is restricted and it is said why.

    Raises LedgerError if it is forged, Refused if it is about another order, bag or request, or this was not sent, or it does not
    say of each item what became of it; BooksDoNotBalance if it names a difference or another root: recorded too, and it waits.
    """
    addressed.standing(conn, consignment, ended=True)
    payload = attesting.opened(file, SHOWN, attesting.public_key(consignment.successor.receipt_key))
    said = exact.read(RequestReceipt, payload, name)
    if said.order != consignment.order or requests.name(said.bag, said.request) != name:
        raise Refused(
            "the answer is about another request", about=f"{consignment.order}/{name}",
            next_step="verify it for that one; nothing was marked",
        )  # fmt: skip
    of = requests.one(conn, consignment.order, said.bag, said.request)
    bag = register.bag(conn, said.order, said.bag)
    if said.digest != attesting.digest(of.payload):
        raise Refused(
            "the answer is to another request than the one that we signed", about=name,
            next_step="ask the successor what it followed; nothing was marked",
        )  # fmt: skip
    if not of.sent:
        raise Refused("the request was not sent yet", about=name, next_step="quietus handover requests send")
    if said.custodian != bag.statement.successor:
        raise Refused(
            "the answer is another company's", about=name, next_step="ask the successor for its own"
        )
    kept = {k.item for k in said.kept}
    if (
        not kept <= set(of.said.asked)
        or len(kept) != len(said.kept)
        or len(kept) + said.deleted != len(of.said.asked)
    ):
        raise Refused(
            "it does not say of each item what became of it", about=name,
            next_step="ask the successor to answer anew; nothing was marked",
        )  # fmt: skip
    differs = said.differences
    body = {
        "order": said.order, "bag": said.bag, "request": said.request, "digest": said.digest, "deleted": said.deleted,
        "kept": len(said.kept), "items": said.items, "root": said.root, "missing": len(differs.missing),
        "changed": len(differs.changed), "extra": len(differs.extra), "done_at": said.done_at.isoformat(),
        "receipt": attesting.digest(file),
    }  # fmt: skip
    with conn.transaction():
        addressed.standing(conn, consignment, ended=True)
        timely(
            said.done_at, since=of.said.made_at, others=requests.times(conn, said.order, said.bag), about=name
        )
        same = (said.items, said.root) in heard.due(conn, bag, said.done_at)
        record(
            "handover.request_receipt", None, body,
            f"handover.request_receipt:{name}:{attesting.digest(file)[:32]}",
        )  # fmt: skip
        good = differs.none and same
        requests.answered(conn, of, file, deleted=said.deleted, kept=len(kept), good=good, actor=actor)
    if not good:
        raise BooksDoNotBalance(
            f"the successor lacks {len(differs.missing)} items, has {len(differs.changed)} changed and"
            f" {len(differs.extra)} that were not sent{'' if same else ', and another root'}", about=name,
            next_step="have the successor follow it again and sign anew",
        )  # fmt: skip
    return of
