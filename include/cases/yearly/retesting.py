"""Every set that the catalogue calls anonymous, tried again (RS-27), and what came of it in the ledger. Counts only.

A set in which somebody is found is personal data again (PIPL 73(3), 73(4)): its categories' rules bind it from that day on, and a
person decides whether it is released anew or goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from include.cases.rooms import Desk
from include.model.errors import NotProved
from include.model.times import observed_now
from include.model.words import Verdict

if TYPE_CHECKING:
    from include.proofs.retest import Retested

KIND = "retest"
"""Of the ledger's entry."""
WHAT_TO_DO = (
    "a set that failed is personal data again: give it to nobody, tell who has it, then release it anew or delete it;"
    " one that could not be looked at is not called anonymous until it was (docs/yearly.md)"
)


@dataclass(frozen=True)
class Retests:
    """What came of every set, in the catalogue's order."""

    sets: tuple[Retested, ...]

    @property
    def wrong(self) -> tuple[Retested, ...]:
        """Sets of which it cannot be said that nobody is found."""
        return tuple(s for s in self.sets if s.verdict is not Verdict.PASSED)

    def __str__(self) -> str:
        return "; ".join(_said(s) for s in self.sets) or "the catalogue declares no set without its people"


def retest_all(desk: Desk, *, as_of: date) -> Retests:
    """Try each, and say it in the ledger. Raises NotReachable; then nothing was said."""
    found = Retests(tuple(_each(desk)))
    observed = observed_now().isoformat()
    body = {"as_of": as_of.isoformat(), "observed_at": observed, "sets": [_body(s) for s in found.sets]}
    desk.record(KIND, None, body, f"{KIND}:{observed}")
    return found


def nobody_is_found(found: Retests) -> str:
    """Raises NotProved, naming sets and checks, if it cannot be said of every set."""
    if found.wrong:
        raise NotProved("; ".join(map(_said, found.wrong)), about="anonymised sets", next_step=WHAT_TO_DO)
    return str(found)


def _each(desk: Desk) -> Iterator[Retested]:
    from include.proofs.retest import recount, retest

    for release in desk.catalogue.releases:
        yield retest(desk.catalogue, desk.connections, release)
    for place in desk.catalogue.not_personal:
        if place.at_least:
            yield recount(desk.catalogue, desk.connections, place)


def _said(one: Retested) -> str:
    if one.wrong:
        return f"{one.id} {one.verdict}: " + ", ".join(f"{c.name} ({c.why})" for c in one.wrong)
    if one.why:
        return f"{one.id}: {one.why}"
    if one.measured is None:
        return f"{one.id}: no row counts fewer people than declared{_graded(one)}"
    return f"{one.id}: nobody found, k {one.measured.k} in {one.rows} rows, {one.tries} tries{_graded(one)}"


def _graded(one: Retested) -> str:
    return f"; {one.graded}" if one.graded else ""


def _body(one: Retested) -> dict[str, Any]:
    it = one.measured
    figures = None if it is None else {
        "rows": it.rows, "classes": it.classes, "k": it.k, "l": dict(it.l), "suppressed": it.suppressed,
        "t_thousandths": {column: round(t * 1000) for column, t in it.t.items()},
    }  # fmt: skip
    return {
        "set": one.id,
        "place": one.place,
        "verdict": one.verdict.value,
        "why": one.why,
        "tries": one.tries,
        "measured": figures,
        "grade": one.grade,
        "graded": one.graded,
        "checks": [
            {"name": c.name, "verdict": c.verdict.value, "expected": c.expected, "observed": c.observed, "why": c.why}
            for c in one.checks
        ],
    }  # fmt: skip
