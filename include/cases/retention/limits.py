"""The limits that the catalogue puts on a dataset, with the newest starting day whose period is over on a day.

``last_day`` never runs backwards: what starts later ends no earlier. So one day says it all of a period, whatever it is
counted in, and a store needs no calendar: what started by then is over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import lru_cache

from include.cases.periods import Duration, add_months, last_day
from include.model.catalogue import Bound, Catalogue, Dataset, Period
from include.model.errors import CatalogueError
from include.model.flow import Flow
from include.model.interval import Bounded
from include.model.retention import Clock, Group, Limit, Question
from include.model.times import Counting

DAY = timedelta(days=1)


class Bind(Flow):
    """A bind of a dataset with its period. ``rest``: it is that of what is left of cut rows, and of nothing else."""

    bound: Bound
    period: Period
    rest: bool = False


def binds(catalogue: Catalogue, dataset: Dataset) -> Iterator[Bind]:
    """Its binds, each with its period; that of what is left of cut rows last.

    Raises CatalogueError for one that is not declared, or for a dataset without any.
    """
    if not dataset.binds:
        raise CatalogueError(
            "no retention rule binds it", about=dataset.id, next_step="bind a rule in the catalogue"
        )
    for bound in dataset.all_binds:
        try:
            found = next(p for p in catalogue.rule(bound.rule).periods if p.name == bound.period)
        except (KeyError, StopIteration):
            raise CatalogueError(
                f"it is bound to {bound.rule}/{bound.period}, which is not declared", about=dataset.id,
                next_step="correct the bind in the catalogue",
            ) from None  # fmt: skip
        yield Bind(bound=bound, period=found, rest=dataset.cut is not None and bound is dataset.cut.ends)


def limit(bind: Bind, as_of: date) -> Limit:
    """One bind as a store asks about it."""
    period = bind.period
    minutes, _ = split(period)
    return Limit(
        rule=bind.bound.rule, period=period.name, kind=period.kind, start=bind.bound.start, minutes=minutes,
        over=newest_over(period, as_of), restrains=period.restrains_deletion, statutory=period.statutory_end,
        law="; ".join(b.cite for b in period.basis), company=period.proposal is not None,
        gives_way=bind.bound.gives_way, rest=bind.rest,
    )  # fmt: skip


def question(catalogue: Catalogue, dataset: Dataset, as_of: date, *, everything: bool = False) -> Question:
    """What to ask a store about a dataset."""
    limits = tuple(limit(b, as_of) for b in binds(catalogue, dataset))
    return Question(dataset=dataset.id, as_of=as_of, limits=limits, everything=everything)


def split(period: Period) -> tuple[int, str]:
    """The part of a period that is less than a day, in minutes, and the rest of it as a duration of days."""
    parsed = Duration.parse(period.duration)
    if not parsed.minutes:
        return 0, period.duration
    if parsed.months or period.counting is not Counting.CALENDAR:
        raise CatalogueError(
            f"'{period.duration}' mixes months and hours", about=period.name,
            next_step="write hours alone, or whole days",
        )  # fmt: skip
    return parsed.minutes, f"P{parsed.days}D"


def newest_over(period: Period, as_of: date) -> date:
    """The newest starting day (a part of a day already added) whose last day is before ``as_of``."""
    return _newest_over(split(period)[1], period.counting, as_of)


@lru_cache(
    maxsize=4096
)  # every look asks the same of some hundred binds, and counting working days takes its time
def _newest_over(days: str, counting: Counting, as_of: date) -> date:
    parsed = Duration.parse(days)

    def over(start: date) -> bool:
        return last_day(start, days, counting) < as_of

    low = add_months(as_of, -parsed.months) - (parsed.days + 1) * DAY
    step = 31
    while not over(low):
        low -= step * DAY
        step *= 2
    high = as_of  # nothing ends before it starts
    while (high - low).days > 1:
        middle = low + (high - low).days // 2 * DAY
        low, high = (middle, high) if over(middle) else (low, middle)
    return low


def ends(period: Period, clock: Clock) -> date | None:
    """The last day of a period whose clock a store reported."""
    return last_day(clock.day, split(period)[1], period.counting) if clock.day is not None else None


def bounded(of: tuple[Bind, ...], group: Group) -> tuple[Bounded, ...]:
    """The limits that apply to a group of items, resolved."""
    return resolved([(b, clock) for b, clock in zip(of, group.clocks, strict=True) if clock.applies])


def resolved(applying: Sequence[tuple[Bind, Clock]]) -> tuple[Bounded, ...]:
    """These limits of one item, all of which apply to it. What is left of a cut row ends by its own limit alone: one of the row's
    others may keep it, as long as its clock can be told, but never ends it."""
    cut = any(bind.rest for bind, _ in applying)
    found = []
    for bind, clock in applying:
        it = Bounded.of(bind.bound, bind.period, ends(bind.period, clock))
        found.append(replace(it, ceiling=False) if cut and not bind.rest else it)
    return tuple(found)
