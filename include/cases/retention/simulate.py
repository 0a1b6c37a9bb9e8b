"""What another catalogue would change: for every item the day on which it falls due, now and then. Read only.

A longer period of the company's own never reaches people who have not accepted the policy version that brought it (clauses 94
and 131); one that a statute lengthens reaches everybody (68, 101); a shorter one does, too. Which version an account accepted
stands with the account; until stores group by it, nobody is counted as having accepted, which is the side that keeps less.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from include.cases.retention.due import Seen
from include.cases.retention.forecast import due_on
from include.cases.retention.limits import Bind, binds, resolved, split
from include.model.catalogue import Catalogue, Dataset
from include.model.errors import CatalogueError
from include.model.interval import Bounded, Interval, interval
from include.model.retention import Clock


class Change(StrEnum):
    """What becomes of the day on which items fall due."""

    EARLIER = "earlier"
    LATER_BY_LAW = "later, by law"
    NOT_LATER = "not later: not accepted"
    NEWLY = "newly due"
    NO_MORE = "no more due"


@dataclass(frozen=True)
class Moved:
    dataset: str
    rule: str
    change: Change
    items: int
    before: date | None
    after: date | None


def moved(now: Catalogue, then: Catalogue, seen: Seen, first: date, last: date) -> Iterator[Moved]:
    """What of ``seen`` (everything, under ``now``) goes between two nights under one catalogue and not on the same night under
    the other. What is due before the first goes on the first: a shorter period has a backlog of its own. Raises
    CatalogueError where the other starts clocks that were not asked about."""
    found: Counter[tuple[str, str, Change, date | None, date | None]] = Counter()
    for it in seen.judged:
        if it.held:
            continue
        dataset = now.dataset(it.dataset)
        other = _other(then, dataset)
        clocks = dict(zip((_started_by(b) for b in binds(now, dataset)), it.clocks, strict=True))
        after = interval(_resolved(then, other, clocks))
        one, two = due_on(it.interval), due_on(after)
        if _night(one, first, last) == _night(two, first, last):
            continue
        change = _change(one, two, after)
        found[it.dataset, _rule(after) or it.rule, change, _from(one, first), _from(two, first)] += it.items
    for (id, rule, change, one, two), n in sorted(found.items(), key=_order):
        yield Moved(id, rule, change, n, one, two)


def _order(
    it: tuple[tuple[str, str, Change, date | None, date | None], int],
) -> tuple[str, str, str, date, date]:
    id, rule, change, before, after = it[0]
    return id, rule, change, after or date.max, before or date.max


def _from(day: date | None, first: date) -> date | None:
    return max(day, first) if day is not None else None


def _night(day: date | None, first: date, last: date) -> date | None:
    """The night of these on which something goes."""
    return None if day is None or day > last else max(day, first)


def _change(one: date | None, two: date | None, after: Interval) -> Change:
    if two is None:
        return Change.NO_MORE if after.kept_by is not None or one is None else Change.NOT_LATER
    if one is None:
        return Change.NEWLY
    if two < one:
        return Change.EARLIER
    by_law = after.kept_by is not None and after.latest == after.kept_by.ends
    return Change.LATER_BY_LAW if by_law else Change.NOT_LATER


def _rule(it: Interval) -> str | None:
    return it.ended_by.name if it.ended_by else None


def _other(then: Catalogue, dataset: Dataset) -> Dataset:
    try:
        return then.dataset(dataset.id)
    except KeyError:
        raise CatalogueError(
            "the other catalogue does not have it", about=dataset.id, next_step="a rule change keeps the map"
        ) from None


def _started_by(bind: Bind) -> str:
    """What a clock is: where it starts, and the part of a day that was added to it."""
    start = bind.bound.start
    of = "what is left, " if bind.rest else ""
    return f"{of}{split(bind.period)[0]} {start.model_dump_json() if start is not None else 'the account'}"


def _resolved(then: Catalogue, dataset: Dataset, clocks: dict[str, Clock]) -> tuple[Bounded, ...]:
    found = []
    for bind in binds(then, dataset):
        clock = clocks.get(_started_by(bind))
        if clock is None:
            raise CatalogueError(
                f"{bind.bound.rule}/{bind.period.name} starts by what the present catalogue does not ask for",
                about=dataset.id, next_step="change periods alone, or try the new start in a sandbox",
            )  # fmt: skip
        if clock.applies:
            found.append((bind, clock))
    return resolved(found)
