"""What a night found, in words and numbers. It knows neither the planter nor the proofs: the case book reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    FOUND = "found"
    MISSED = "missed"
    NOT_APPLICABLE = "not_applicable"


@dataclass(frozen=True)
class Result:
    """One kind in one store. ``proof``: the kind of evidence that must find it."""

    store: str
    kind: str
    proof: str
    planted: int
    found: int
    outcome: Outcome
    why: str = ""


@dataclass(frozen=True)
class Judged:
    """A night's results; how many places were named; and the places that were named in vain."""

    results: tuple[Result, ...]
    strangers: tuple[str, ...] = field(default=())

    @property
    def planted(self) -> int:
        return sum(r.outcome is not Outcome.NOT_APPLICABLE for r in self.results)

    @property
    def found(self) -> int:
        return sum(r.outcome is Outcome.FOUND for r in self.results)

    @property
    def missed(self) -> tuple[Result, ...]:
        return tuple(r for r in self.results if r.outcome is Outcome.MISSED)

    @property
    def named(self) -> int:
        return self.found + len(self.strangers)

    @property
    def passed(self) -> bool:
        """Everything was found, something was there to find, and nobody was named in vain."""
        return bool(self.planted) and not self.missed and not self.strangers
