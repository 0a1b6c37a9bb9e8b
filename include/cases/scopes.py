"""What a hold covers, and that it never covers more than it says (law.md E, "never widens").

A scope has two sides: *whom* (all subjects of some cases, or single subjects; none: everybody) and *what* (categories,
datasets, or everything these people have). A row is the smallest thing that can be held, so a hold on a
category holds every row that carries it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from include.model.catalogue import Catalogue
from include.model.declared import CategoryId
from include.model.errors import Refused
from include.model.estate import Dataset
from include.model.flow import Held


class HoldBasis(StrEnum):
    """Policy 5.2(1)-(3), and a dispute of our own (policy 10; only its dated, disputed scope)."""

    COURT = "court"
    AUTHORITY = "authority"
    STATUTE = "statute"
    DISPUTE = "dispute"


@dataclass(frozen=True)
class Kinds:
    """Categories of data; None: all that there are."""

    named: frozenset[CategoryId] | None = frozenset()

    def __contains__(self, category: CategoryId) -> bool:
        return self.named is None or category in self.named

    def __or__(self, other: Kinds) -> Kinds:
        if self.named is None or other.named is None:
            return Kinds(None)
        return Kinds(self.named | other.named)


@dataclass(frozen=True)
class Scope:
    """The items of a hold. An empty side means: not narrowed on that side.

    ``subjects`` are keyed tokens of account ids, never the ids; ``cases`` are case numbers. ``came``: numbers of holds of an
    authority whose successor we are, each with its order: the items that came along under one, whosever they are, and no others.
    """

    cases: frozenset[str] = frozenset()
    subjects: frozenset[str] = field(default=frozenset(), repr=False)
    categories: frozenset[str] = frozenset()
    datasets: frozenset[str] = frozenset()
    came: frozenset[str] = frozenset()

    @property
    def empty(self) -> bool:
        return not (self.whom or self.categories or self.datasets)

    @property
    def everybody(self) -> bool:
        """Whether it covers its items whosever they are."""
        return not self.whom

    @property
    def whom(self) -> frozenset[str]:
        """Its cases and people, and what came along under it."""
        return self.cases | self.subjects | self.came

    @property
    def what(self) -> frozenset[str]:
        """Its categories and datasets."""
        return self.categories | self.datasets

    @property
    def over_everything(self) -> bool:
        """Whether it holds all that its people have."""
        return not (self.categories or self.datasets)

    def covers(self, dataset: Dataset) -> bool:
        """Whether rows of this dataset are among its items (whoever they belong to)."""
        if self.over_everything:
            return True
        return not self.datasets.isdisjoint({dataset.id, dataset.whole}) or not self.categories.isdisjoint(
            dataset.all_categories
        )

    def kinds(self, catalogue: Catalogue) -> Kinds:
        """The categories that it covers wherever they are, also with others."""
        if self.over_everything:
            return Kinds(None)
        there = (catalogue.dataset(d).all_categories for d in self.datasets)
        return Kinds(self.categories.union(*there))

    def subject_nos(self, case_no: str, tokens: tuple[str, ...]) -> tuple[int, ...]:
        """Which subjects of a case it covers, by position; ``tokens`` are the case's, in order."""
        if self.everybody or case_no in self.cases:
            return tuple(range(len(tokens)))
        return tuple(no for no, token in enumerate(tokens) if token in self.subjects)

    def within(self, wider: Scope) -> bool:
        """Whether it covers nothing that ``wider`` does not: each side is a part of the other's."""
        return _whom_within(self, wider) and _what_within(self, wider)


def _whom_within(a: Scope, b: Scope) -> bool:
    if b.everybody:
        return True
    return bool(a.whom) and a.cases <= b.cases and a.subjects <= b.subjects and a.came <= b.came


def _what_within(a: Scope, b: Scope) -> bool:
    if b.over_everything:
        return True
    return not a.over_everything and a.categories <= b.categories and a.datasets <= b.datasets


@dataclass(frozen=True)
class HoldOrder:
    """An open hold as the planner needs it. ``law`` is printed on plan and certificate."""

    number: str
    basis: HoldBasis
    law: str
    scope: Scope
    confidential: bool = False  # clause 123: the requester may not be told

    def held(self, dataset: Dataset, case_no: str, tokens: tuple[str, ...]) -> Held | None:
        """This hold, resolved to one dataset and the subjects of one case; None if it covers neither."""
        if not self.scope.covers(dataset):
            return None
        if self.scope.came:
            return Held(hold=self.number, subject_nos=(), law=self.law, came=tuple(sorted(self.scope.came)))
        nos = self.scope.subject_nos(case_no, tokens)
        return Held(hold=self.number, subject_nos=nos, law=self.law) if nos else None


def narrowed(hold: HoldOrder, to: Scope) -> Scope:
    """A smaller scope for an open hold. Raises Refused if it would cover anything new."""
    if to.empty:
        raise Refused(
            "an empty scope would hold everybody", about=hold.number, next_step="release the hold instead"
        )
    if not to.within(hold.scope):
        raise Refused(
            "a hold never widens beyond its items",
            about=hold.number,
            next_step="open a hold of its own for the new items, with its own document",
        )
    return to
