"""What is handed over when the authority stops, and what comes back: the words between a shutdown order and its bags.

A :class:`Consignment` is frozen: an order's number, from whom to whom, the day T0 by which clocks are judged, and the datasets
with the rule by which each goes. A :class:`BagStatement` is what we sign of one sealed bag, a :class:`BagReceipt` what the
successor signs of what it has stored. None of them holds a personal value: items are counted, and named by salted digests.

Law: Electronic Signature Law 23 (a successor takes over), 24 (what is kept, five years after a certificate's end); PIPL 22.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
    model_validator,
)

from include.model.declared import CategoryId, DatasetId, Ident, RuleId
from include.model.flow import Flow

OrderNo = Annotated[str, StringConstraints(pattern=r"^SO-\d{4,}(-\d+)?$")]
BagName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.]*-\d{5}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Pem = Annotated[str, StringConstraints(pattern=r"^-----BEGIN [A-Z ]+-----\n")]

HANDED_OVER: tuple[RuleId, ...] = ("RS-03", "RS-04", "RS-10")
"""The rules of which items go to a successor (ESL 23, 24; law.md D.5). The authority's audit logs are bound by RS-03."""

NEVER: tuple[RuleId, ...] = ("RS-07",)
"""The rules of raw biometrics: no item of a dataset that one of them binds goes, whatever else binds it."""

KEY_MATERIAL: tuple[CategoryId, ...] = ("PI-044",)
"""The kinds of what a signatory signs with, private keys among them: shown in no data room (ESL 13)."""


REQUEST: Literal["quietus-bag-request/1"] = "quietus-bag-request/1"
OBJECTION: Literal["quietus-bag-objection/1"] = "quietus-bag-objection/1"
"""The formats of what people ask a successor for, passed on by whoever handed over to it."""


class BagKind(StrEnum):
    """What a bag has inside."""

    ROWS = "rows"  # of one table
    OBJECTS = "objects"  # of one bucket's dataset: every version, with its metadata
    BOOK = "book"  # of the case book: holds, tombstones, recipients that still have to answer


class BagState(StrEnum):
    """How far a bag has come. It only goes forward."""

    PACKED = "packed"  # sealed and signed, on our disk
    SENT = "sent"  # whole in the successor's bucket
    RECEIVED = "received"  # by a verified receipt without any difference


class Successor(Flow):
    """Who takes over. ``certificate``: to which bags are encrypted (X.509, RSA); ``receipt_key``: the Ed25519 public key that
    its receipts are signed with. Both are exchanged by people, on paper, before anything is packed."""

    name: Annotated[str, StringConstraints(min_length=1)]
    contact: Annotated[str, StringConstraints(min_length=1)]
    certificate: Pem
    receipt_key: Pem


class Consigned(Flow):
    """A dataset, and the bind by which its items go. An item that this bind does not reach stays with us, and so does one of
    which the last day is over and that nothing holds: that one is to be deleted, not handed over."""

    dataset: DatasetId
    rule: RuleId
    period: Ident = "main"


class Consignment(Flow):
    """What goes to whom. ``as_of``: T0, the day by which clocks are judged. ``sender``: who hands over, as the successor knows
    it. ``datasets``: in the order in which they are packed; none twice."""

    order: OrderNo
    sender: Annotated[str, StringConstraints(min_length=1)]
    successor: Successor
    as_of: date
    datasets: Annotated[tuple[Consigned, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _once(self) -> Self:
        named = [d.dataset for d in self.datasets]
        if len(set(named)) != len(named):
            raise ValueError("a dataset is consigned twice")
        if wrong := sorted({d.rule for d in self.datasets} - set(HANDED_OVER)):
            raise ValueError(f"{', '.join(wrong)} is not handed over; only {', '.join(HANDED_OVER)} are")
        return self


class Running(Flow):
    """One clock of an item, as it runs: the successor's retention goes on from here and never starts again.

    ``started`` None: it has not started (a certificate that lives). ``ends``: its last day, where it has started. ``floor``:
    the item must not go before; ``ceiling``: it must have gone after. ``company``: a figure of ours, and no law.
    """

    rule: RuleId
    period: Ident
    started: date | None
    ends: date | None
    floor: bool
    ceiling: bool
    law: str
    company: bool


class Restricted(StrEnum):
    """Why an item may only be stored and protected (PIPL 47 para. 2)."""

    OBJECTION = (
        "objection"  # its owner objects to the handover, which lifts no duty to keep and hand on (ESL 23, 24)
    )
    CASE = "case"  # its owner's relation with us has ended, by a case


class Clocks(Flow):
    """All clocks of an item, and what they leave. ``earliest``: the first day on which it may go; ``due``: the first day on
    which it must have gone; ``by``: the rule that says so, with its law. ``restricted``: not written where it is None, so that
    bags from before there was such a word give the same digests."""

    running: tuple[Running, ...]
    earliest: date | None
    due: date | None
    by: str
    law: str
    restricted: Restricted | None = None

    @model_serializer(mode="wrap")
    def _told(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        said: dict[str, Any] = handler(self)
        if said["restricted"] is None:
            del said["restricted"]
        return said


class BagStatement(Flow):
    """What we sign of a bag, and send beside it. Digests of the sealed file can be checked before it is opened, ``root`` only
    after: over all items, in their order (docs/handover.md). ``recipient``: SHA-256 of the certificate (DER) it is sealed to."""

    format: Literal["quietus-bag/1"] = "quietus-bag/1"
    order: OrderNo
    bag: BagName
    kind: BagKind
    dataset: str
    sender: str
    successor: str
    recipient: Sha256
    as_of: date
    items: Annotated[int, Field(ge=0)]
    root: Sha256
    bytes: Annotated[int, Field(gt=0)]
    sha256: Sha256
    catalogue: str
    packed_at: datetime

    @property
    def held_as(self) -> str:
        """By which a successor knows the order: two authorities may give one number."""
        return held_as(self.sender, self.order)


def held_as(sender: str, order: str) -> str:
    """An order as its successor knows it: by whose it is, as they signed, and its number."""
    return f"{sender}/{order}"


class Differences(Flow):
    """What differs between the bag and what is stored, item by item: by salted digest, never by value.

    ``changed``: the digest in the bag, and that of what is stored. ``extra``: stored as of this bag, and not in it."""

    missing: tuple[Sha256, ...] = ()
    changed: tuple[tuple[Sha256, Sha256], ...] = ()
    extra: tuple[Sha256, ...] = ()

    @property
    def none(self) -> bool:
        return not (self.missing or self.changed or self.extra)


class BagReceipt(Flow):
    """What the successor signs of a bag. ``statement``: SHA-256 of the statement that it received; ``root`` and ``items``: of
    what it reads back from its own stores. ``asked``: digests of items that it deleted since, as we asked it to by a
    :class:`BagRequest`; they count as they were, and are named. Not written where there is none."""

    format: Literal["quietus-bag-receipt/1"] = "quietus-bag-receipt/1"
    order: OrderNo
    bag: BagName
    statement: Sha256
    items: Annotated[int, Field(ge=0)]
    root: Sha256
    differences: Differences
    asked: tuple[Sha256, ...] = ()
    custodian: str
    stored_at: datetime

    @model_serializer(mode="wrap")
    def _told(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        said: dict[str, Any] = handler(self)
        if not said["asked"]:
            del said["asked"]
        return said


class BagNotice(Flow):
    """What became of items of a bag after it was packed, told to the successor: these digests are no item of it any more.

    ``notice``: 1, 2, … of the bag; ``statement``: SHA-256 of the bag's; ``removed``: in the order of the bag; ``added``: how many
    items the sealed file brings in their place (``sealed``, ``bytes``); ``items`` and ``root``: of the bag from then on: what is
    left of it in its order, then what is added. A removed item whose key none of the added has was deleted with us.
    """

    format: Literal["quietus-bag-notice/1"] = "quietus-bag-notice/1"
    order: OrderNo
    bag: BagName
    notice: Annotated[int, Field(ge=1)]
    statement: Sha256
    removed: tuple[Sha256, ...]
    added: Annotated[int, Field(ge=0)]
    sealed: Sha256 | None = None
    bytes: Annotated[int, Field(ge=0)] = 0
    items: Annotated[int, Field(ge=0)]
    root: Sha256
    as_of: date
    made_at: datetime


class Kept(Flow):
    """An item of a notice that the successor may not delete yet: it is restricted instead. ``until``: the last day; None: not
    known yet."""

    item: Sha256
    why: str
    until: date | None = None


class NoticeReceipt(Flow):
    """What the successor signs of a notice: ``deleted`` items are gone there, ``kept`` are restricted, ``items`` and ``root`` are
    of what it reads back of the bag. ``digest``: SHA-256 of the notice."""

    format: Literal["quietus-bag-notice-receipt/1"] = "quietus-bag-notice-receipt/1"
    order: OrderNo
    bag: BagName
    notice: Annotated[int, Field(ge=1)]
    digest: Sha256
    deleted: Annotated[int, Field(ge=0)]
    kept: tuple[Kept, ...] = ()
    items: Annotated[int, Field(ge=0)]
    root: Sha256
    differences: Differences
    custodian: str
    done_at: datetime


class BagRequest(Flow):
    """Items of a bag that the successor is asked to delete, since their owners ask for it and our copy of them is gone: it has
    the only one (PIPL 47; ESL 24 binds it as it bound us). ``request``: 1, 2, … of the bag; ``statement``: SHA-256 of the bag's;
    ``asked``: digests of items; ``people``: how many ask; ``answer_by``: the day on which an answer is due.

    ``format``: :data:`OBJECTION` if their owners object to the handover and ask for no deletion (PIPL 22): then what a statute
    keeps goes on by its clock, restricted, as if it had come so. A format of its own, so that nobody takes one for the other."""

    format: Literal["quietus-bag-request/1", "quietus-bag-objection/1"] = "quietus-bag-request/1"
    order: OrderNo
    bag: BagName
    request: Annotated[int, Field(ge=1)]
    statement: Sha256
    asked: Annotated[tuple[Sha256, ...], Field(min_length=1)]
    people: Annotated[int, Field(ge=1)]
    law: str
    as_of: date
    answer_by: date
    made_at: datetime

    @property
    def objects(self) -> bool:
        """Whether it is an objection."""
        return self.format == OBJECTION


class RequestReceipt(Flow):
    """What the successor signs of a request, an objection too: ``deleted`` items are gone there, ``kept`` are restricted,
    ``items`` and ``root`` are of what it reads back of the bag, as in a :class:`BagReceipt`. ``digest``: SHA-256 of the
    request."""

    format: Literal["quietus-bag-request-receipt/1"] = "quietus-bag-request-receipt/1"
    order: OrderNo
    bag: BagName
    request: Annotated[int, Field(ge=1)]
    digest: Sha256
    deleted: Annotated[int, Field(ge=0)]
    kept: tuple[Kept, ...] = ()
    items: Annotated[int, Field(ge=0)]
    root: Sha256
    differences: Differences
    custodian: str
    done_at: datetime
