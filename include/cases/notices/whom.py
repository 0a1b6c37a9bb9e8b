"""Whom to tell. No entry in the register is not nobody.

The register has what each recipient is given since a day of its own, and for as long as its rule keeps it. Whoever's
service the person used before that is told without an entry. A row that names a recipient after that day, without an
entry, is a hole in the register: it is told as well, since it has the data, and the hole is a finding. Without a register
everybody is told to whom such data as we located is given.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Protocol

from include.cases.notices.composing import Given
from include.model.catalogue import Catalogue
from include.model.declared import CategoryId
from include.model.errors import CatalogueError
from include.model.flow import Plan
from include.model.notices import Identity
from include.model.policy import Recipient


@dataclass(frozen=True)
class Used:
    """That a recipient's service was used. ``days``: of each dataset that shows it the day of its first row, None where
    nothing says when. ``named``: a row names this recipient, and no other can be meant."""

    days: tuple[date | None, ...]
    named: bool = False


class Company(Protocol):
    """What the company's data says of its recipients (``register``)."""

    def given(self, subjects: Sequence[str]) -> Mapping[str, Given] | None:
        """By recipient; None: there is no register."""

    def since(self, subjects: Sequence[str]) -> date | None:
        """Since when the first of these people is here; None: nothing says so."""

    def forgets(self, day: date, as_of: date) -> bool:
        """Whether the register may have dropped by now what it had of that day."""

    def used(self, recipient: Recipient, subjects: Sequence[str], located: frozenset[str]) -> Used | None:
        """Whether and when the person used its service."""

    def identities(self, recipient: Recipient, subjects: Sequence[str]) -> tuple[Identity, ...]:
        """By what else it knows the person, and nobody else."""


@dataclass(frozen=True)
class ToTell:
    """One recipient that is to be told, and what it was given. ``hole``: the register should have said so, and did not."""

    recipient: Recipient
    given: Given
    hole: bool = False

    def about(self, categories: Collection[CategoryId]) -> ToTell | None:
        """The same about these categories alone; None if it was given none of them."""
        given = tuple(c for c in self.given.categories(self.recipient) if c in categories)
        return replace(self, given=replace(self.given, fields=given)) if given else None

    @property
    def beyond(self) -> tuple[CategoryId, ...]:
        """What it was given though its row of the policy's table does not list it."""
        return tuple(c for c in self.given.categories(self.recipient) if c not in self.recipient.categories)

    @property
    def unread(self) -> int:
        """How many fields of what it was given are neither a category nor words of its row."""
        return self.given.unread(self.recipient)


def whom(
    catalogue: Catalogue, company: Company, plan: Plan, subjects: Sequence[str], as_of: date
) -> tuple[ToTell, ...]:
    """Everybody who is to be told, in the catalogue's order. Raises CatalogueError if the register names somebody that
    the catalogue does not know: who was given data and cannot be told is no reason to say that all were."""
    register = company.given(subjects)
    located = frozenset(x.dataset for x in plan.located if x.items)
    if unknown := sorted((register or {}).keys() - {r.id for r in catalogue.recipients}):
        raise CatalogueError(
            f"the register names {len(unknown)} recipients that the catalogue does not, such as {unknown[0]}",
            about=plan.case_no, next_step="declare them in recipients.yaml, with how they are told",
        )  # fmt: skip
    if register is None:
        kinds = {c for d in catalogue.datasets if d.id in located for c in d.all_categories}
        told = [ToTell(r, Given(r.id, 0)) for r in catalogue.recipients if not kinds.isdisjoint(r.categories)]
    else:
        here = company.since(subjects)
        told = [
            one
            for r in catalogue.recipients
            if (one := _by_register(company, r, register.get(r.id), here, subjects, located, as_of))
        ]
    return tuple(
        replace(t, given=replace(t.given, identities=company.identities(t.recipient, subjects))) for t in told
    )


def _by_register(
    company: Company, recipient: Recipient, entry: Given | None, here: date | None, subjects: Sequence[str],
    located: frozenset[str], as_of: date,
) -> ToTell | None:  # fmt: skip
    def before(day: date | None) -> bool:
        """Whether what went out on that day, or since the person is here, may be missing in the register."""
        day = day or here
        if day is None or recipient.registered is None:
            return True
        return day < recipient.registered or company.forgets(day, as_of)

    if entry is not None and not before(None):
        return ToTell(recipient, entry)
    used = company.used(recipient, subjects, located)
    earlier = any(before(day) for day in (used.days if used else () if recipient.used_when else (None,)))
    if entry is not None:
        # What went out before the register may be anything that such a recipient is given.
        widened = earlier and entry.fields
        return ToTell(
            recipient, replace(entry, fields=(*entry.fields, *recipient.categories)) if widened else entry
        )
    if used is None or not (earlier or used.named):
        return None
    return ToTell(recipient, Given(recipient.id, 0), hole=not earlier)
