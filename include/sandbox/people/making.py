"""What all rows are made with: the person, today, others, numbers that are nobody else's, and their certificates."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from random import Random
from typing import Any

from include.model.keks import Keks
from include.sandbox.people.person import TERM, Person, source
from include.sandbox.people.values import hexed

Row = tuple[str, dict[str, Any]]  # table, column -> value
Maker = Callable[["Making", Random], Iterator[Row]]
PER_PERSON = 1000  # numbers of each table for one person; nobody has nearly so many rows


@dataclass(frozen=True)
class Application:
    """An application, as the registration authority sees it."""

    application_id: int
    kind: str  # issue, renew, revoke
    submitted: int  # days ago
    granted: bool


@dataclass(frozen=True)
class Certificate:
    """A certificate that was issued. Days are counted from today; what is past is negative."""

    serial: str
    application_id: int
    renews: str | None
    begins: int
    ends: int
    revoked: int | None

    @property
    def status(self) -> str:
        return "revoked" if self.revoked is not None else "valid" if self.ends > 0 else "expired"


@dataclass
class Making:
    """The making of one person's rows. ``other`` gives who is at another position, None beyond the last."""

    person: Person
    seed: int
    today: date
    other: Callable[[int], Person | None]
    keks: Keks = field(default_factory=Keks.made)
    _used: dict[str, int] = field(default_factory=dict)

    def id(self, table: str) -> int:
        """A number for a row of a table, unique in the sandbox."""
        used = self._used[table] = self._used.get(table, 0) + 1
        return self.person.number * PER_PERSON + used

    def has(self, r: Random, share: float) -> bool:
        """Whether this person has what a share of all people have. Some have it all."""
        drawn = r.random()
        return self.person.full or drawn < share

    def ago(self, days: int, r: Random | None = None) -> datetime:
        """So many days before today, by day, at a time of its own. Ahead of today if negative."""
        second = r.randrange(14 * 3600) if r else (self.person.number * 7919 + days * 104_729) % (14 * 3600)
        midnight = datetime(self.today.year, self.today.month, self.today.day, tzinfo=UTC)
        return midnight - timedelta(days=days, seconds=-second - 3600)

    def day(self, days: int) -> date:
        return self.today - timedelta(days=days)

    @property
    def real_name_consent(self) -> int:
        """The number of the consent that everybody gave first: to be checked for a certificate."""
        return self.person.number * PER_PERSON + 1

    # --- certificates, and the applications that led to them -----------------------------------

    @cached_property
    def since(self) -> int:
        """Days since the registration, which came before everything else."""
        return max([self.person.since, *(a.submitted + 3 for a in self.applications)])

    @cached_property
    def certificates(self) -> list[Certificate]:
        return issued(self.seed, self.person)

    @cached_property
    def applications(self) -> list[Application]:
        """In the order of their numbers."""
        p = self.person
        found = [
            Application(c.application_id, "renew" if c.renews else "issue", 2 - c.begins, True)
            for c in self.certificates
        ]
        number = p.number * PER_PERSON + 500
        if p.refused is not None:
            found.append(Application(number, "issue", p.refused, False))
        found += [
            Application(number + n, "revoke", 1 - c.revoked, True)
            for n, c in enumerate(self.certificates, 1)
            if c.revoked is not None
        ]
        return found


def issued(seed: int, p: Person) -> list[Certificate]:
    """Everything that was issued to somebody, each chain from its first certificate to its last."""
    r = source(seed, p.number, "serials")
    found: list[Certificate] = []
    for chain in p.chains:
        before: str | None = None
        for n in range(chain.length):
            ends = chain.ends - (chain.length - 1 - n) * TERM
            last = n == chain.length - 1
            serial = hexed(r, 32).upper()
            number = p.number * PER_PERSON + len(found) + 1
            found.append(
                Certificate(serial, number, before, ends - TERM, ends, chain.revoked if last else None)
            )
            before = serial
    return found


def signing_serial(seed: int, p: Person) -> str | None:
    """The serial that somebody signs with: the last of the first chain."""
    if not p.chains:
        return None
    return issued(seed, p)[p.chains[0].length - 1].serial


def unique(r: Random) -> str:
    return str(uuid.UUID(int=r.getrandbits(128), version=4))


def address_of_net(r: Random) -> str:
    """An address of the networks that documentation may use, or a private one: nobody's."""
    n = r.getrandbits(24)
    return f"10.{n >> 16}.{n >> 8 & 255}.{n & 255 or 1}"


def document(**parts: Any) -> str:
    """A JSON document, as text for COPY."""
    return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
