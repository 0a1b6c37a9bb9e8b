"""What people tell of a shutdown, and what of it is refused: nothing that is missing, and nothing of a person (PIPL 6)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from include.cases import book
from include.cases.shutdown.dates import Path
from include.model.catalogue import Catalogue
from include.model.errors import Refused
from include.model.screening import kind_of_identifier

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Paper:
    """A document: its number, and the SHA-256 of the file."""

    number: str
    digest: str


@dataclass(frozen=True)
class Successor:
    """Who takes over. ``certificate``: SHA-256 of the certificate (DER) that bags are to be sealed to. ``contact`` is what people
    are told (PIPL 22): an office, not somebody's own number."""

    name: str
    contact: str
    certificate: str


@dataclass(frozen=True)
class Custodian:
    """Who keeps what can neither go nor be deleted yet."""

    name: str
    contact: str


@dataclass(frozen=True)
class Told:
    """What an order says. ``services``: none is the whole company. ``successor`` None: the ministry was asked to arrange one, on
    the day ``ministry_asked_on``. ``e_government``: it has certificates for e-government, which have a regulator of their own."""

    path: Path
    reason: str
    decided_on: date
    t0: date
    paper: Paper
    approvers: tuple[str, str]
    services: tuple[str, ...] = ()
    successor: Successor | None = None
    ministry_asked_on: date | None = None
    custodian: Custodian | None = None
    e_government: bool = False


def checked(catalogue: Catalogue, told: Told, as_of: date) -> None:
    """Raises Refused for an order that cannot be so."""
    checked_paper(told.paper, "shutdown")
    if told.decided_on > as_of:
        raise Refused(
            "the decision has not been taken yet", about="shutdown", next_step="open it once it was"
        )
    if told.ministry_asked_on is not None and told.ministry_asked_on > as_of:
        raise Refused(
            "the ministry has not been asked yet", about="shutdown", next_step="open it once it was"
        )
    one, two = (book.checked_actor(a) for a in told.approvers)
    if book.person(one) == book.person(two):
        raise Refused(
            "two people approve a shutdown, not one twice", about="shutdown", next_step="name a second approver"
        )  # fmt: skip
    known = {c.service for c in catalogue.categories}
    if unknown := sorted(set(told.services) - known):
        raise Refused(
            f"the catalogue has no service {', '.join(unknown)}", about="shutdown",
            next_step=f"name some of: {', '.join(sorted(known))}; or none, for the whole company",
        )  # fmt: skip
    if (told.successor is None) == (told.ministry_asked_on is None):
        raise Refused(
            "somebody takes over, or the ministry was asked to arrange it (ESL 23)", about="shutdown",
            next_step="name the successor, or the day on which the ministry was asked",
        )  # fmt: skip
    checked_text("reason", told.reason)
    if told.successor is not None:
        checked_successor(told.successor)
    if told.custodian is not None:
        checked_text("custodian", told.custodian.name)
        checked_contact("custodian's contact", told.custodian.contact)


def checked_successor(who: Successor) -> None:
    checked_text("successor", who.name)
    checked_contact("successor's contact", who.contact)
    if not _DIGEST.fullmatch(who.certificate):
        raise Refused(
            "the digest of the successor's certificate is no SHA-256", about="shutdown",
            next_step="give the SHA-256 of the certificate (DER) as 64 hex digits",
        )  # fmt: skip


def checked_paper(paper: Paper, about: str) -> None:
    checked_text("document number", paper.number)
    if not _DIGEST.fullmatch(paper.digest):
        raise Refused(
            "the document's digest is no SHA-256", about=about, next_step="give the SHA-256 of the file as 64 hex digits"
        )  # fmt: skip


def checked_text(name: str, text: str) -> None:
    if not text.strip():
        raise Refused(f"the {name} is missing", about="shutdown", next_step=f"give the {name}")
    if kind := kind_of_identifier(text, account_ids=True):
        raise Refused(f"the {name} holds {kind}", about="shutdown", next_step="keep people out of it")


def checked_contact(name: str, text: str) -> None:
    """What people are told: an office's address, number or mailbox. Not somebody's own mobile number."""
    if not text.strip():
        raise Refused(
            f"the {name} is missing (PIPL 22)",
            about="shutdown",
            next_step="give the office people can turn to",
        )
    kind = kind_of_identifier(text, account_ids=True)
    if kind not in (None, "an e-mail address"):
        raise Refused(f"the {name} holds {kind}", about="shutdown", next_step="give an office, not a person")
