"""What another catalogue would change: for every item the night on which it falls due, now and then. Read only.

It tells what nights would do. They judge each item by what its owner accepted (``include.model.versions``): a longer period of
the company's own reaches whoever accepted a version of the policy that says it, and nobody else (clauses 94 and 131); one that a
statute lengthens reaches everybody (68, 101), and so does a shorter one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from include.cases.retention.due import Seen
from include.cases.retention.forecast import due_on
from include.cases.retention.limits import Bind, binds, resolved, split
from include.model.catalogue import Catalogue
from include.model.errors import CatalogueError
from include.model.estate import Dataset
from include.model.interval import Interval, interval
from include.model.retention import Clock


class Change(StrEnum):
    """What becomes of the night on which items fall due."""

    EARLIER = "earlier"
    LATER_BY_LAW = "later, by law"
    BY_LAW_ALONE = "later, by law; not later than that: not accepted"
    ACCEPTED = "later: accepted"
    LATER = "later, for everybody: what ended it ends it no more"
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


def telling_apart(now: Catalogue, then: Catalogue) -> Catalogue:
    """The present catalogue, which asks stores of every item who accepted what the other one goes by, too."""
    found: dict[str, tuple[tuple[str, ...], ...]] = {}
    for rule in then.rules:
        for period in rule.periods:
            if of := tuple(f.unless for f in then.formers(rule.id, period) if f.unless):
                found[f"{rule.id}/{period.name}"] = of
    return now.model_copy(update={"told_apart": found})


def apart(now: Catalogue, then: Catalogue) -> dict[str, str]:
    """Datasets of which nobody can say what would change, and why: what the other catalogue goes by was not asked of them."""
    ours = {d.id: d for d in now.in_parts.datasets}
    theirs = {d.id: d for d in then.in_parts.datasets}
    found = dict.fromkeys(ours.keys() - theirs.keys(), "the other catalogue does not have it")
    found |= dict.fromkeys(
        theirs.keys() - ours.keys(), "only the other catalogue has it, so that nothing of it was looked at"
    )
    for id in sorted(ours.keys() & theirs.keys()):
        if why := _why_apart(now, ours[id], then, theirs[id]):
            found[id] = why
    return dict(sorted(found.items()))


def _why_apart(now: Catalogue, ours: Dataset, then: Catalogue, theirs: Dataset) -> str | None:
    if any(
        getattr(ours, x) != getattr(theirs, x) for x in ("store", "address", "prefix", "key", "links", "cut")
    ):
        return "in the other catalogue it lies elsewhere, leads to others or is cut otherwise"
    try:
        asked = {_started_by(b) for b in binds(now, ours)}
        for bind in binds(then, theirs):
            if _started_by(bind) not in asked:
                return f"{bind.bound.rule}/{bind.period.name} starts by what the present catalogue does not ask for"
    except CatalogueError as error:
        return str(error)
    return None


def moved(now: Catalogue, then: Catalogue, seen: Seen, first: date, last: date) -> Iterator[Moved]:
    """What of ``seen`` (everything, under ``now``, by :func:`telling_apart`) goes between two nights under one catalogue and not
    on the same night under the other, or would, had its owner accepted it. What is due before the first goes on the first: a
    shorter period has a backlog of its own. What is :func:`apart` is left out."""
    left_out, sides = apart(now, then), dict[str, tuple[_Side, _Side]]()
    found: Counter[tuple[str, str, Change, date | None, date | None]] = Counter()
    for it in seen.judged:
        if it.held or it.dataset in left_out:
            continue
        if it.dataset not in sides:
            sides[it.dataset] = _Side.of(now, it.dataset), _Side.of(then, it.dataset)
        ours, theirs = sides[it.dataset]
        clocks = dict(zip((_started_by(b) for b in ours.binds), it.clocks, strict=True))
        after = theirs.judged(clocks)
        one, two = due_on(it.interval), due_on(after)
        was, by_itself = ours.by_itself(clocks), theirs.by_itself(clocks)
        held_back = _later(by_itself, two) and (by_itself != was or one != two)
        if _night(one, first, last) != _night(two, first, last):
            accepted = _later(two, due_on(theirs.judged(clocks, accepted=False)))
            change = _change(one, two, after, accepted=accepted, held_back=held_back)
        elif held_back and _night(by_itself, first, last) != _night(two, first, last):
            change = Change.NOT_LATER
        else:
            continue
        found[it.dataset, _rule(after) or it.rule, change, _from(one, first), _from(two, first)] += it.items
    for (id, rule, change, one, two), n in sorted(found.items(), key=_order):
        yield Moved(id, rule, change, n, one, two)


@dataclass(frozen=True)
class _Side:
    """A dataset under one catalogue. ``plain``: its binds, had nobody been promised anything before."""

    binds: tuple[Bind, ...]
    plain: tuple[Bind, ...]

    @classmethod
    def of(cls, catalogue: Catalogue, dataset: str) -> _Side:
        declared = catalogue.dataset(dataset)
        without = catalogue.model_copy(update={"versions": (), "told_apart": {}})
        return cls(tuple(binds(catalogue, declared)), tuple(binds(without, declared)))

    def judged(self, clocks: Mapping[str, Clock], *, accepted: bool = True) -> Interval:
        """By what its owner accepted; or as if that were nothing."""
        return _interval(self.binds, clocks, accepted=accepted)

    def by_itself(self, clocks: Mapping[str, Clock]) -> date | None:
        """The night by what the catalogue says now, whoever accepted it."""
        return due_on(_interval(self.plain, clocks))


def _interval(of: Sequence[Bind], clocks: Mapping[str, Clock], *, accepted: bool = True) -> Interval:
    applying = [(bind, clocks[_started_by(bind, unless=accepted)]) for bind in of]
    return interval(resolved([(bind, clock) for bind, clock in applying if clock.applies]))


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


def _later(one: date | None, other: date | None) -> bool:
    return (one or date.max) > (other or date.max)


def _change(
    one: date | None, two: date | None, after: Interval, *, accepted: bool, held_back: bool
) -> Change:
    if two is None:
        return Change.NO_MORE
    if one is None:
        return Change.NEWLY
    if two < one:
        return Change.EARLIER
    if _by_law(after):
        return Change.BY_LAW_ALONE if held_back else Change.LATER_BY_LAW
    return Change.ACCEPTED if accepted else Change.LATER


def _by_law(it: Interval) -> bool:
    """Whether a statute says the day: a floor that something waits for, or a last day of its own."""
    if it.kept_by is not None and it.latest == it.kept_by.ends:
        return True
    return it.ended_by is not None and it.ended_by.statutory


def _rule(it: Interval) -> str | None:
    return it.ended_by.name if it.ended_by else None


def _started_by(bind: Bind, *, unless: bool = True) -> str:
    """What a clock is: where it starts, the part of a day that was added to it, and (``unless``) of whom it never starts. What
    came along with items is a clock of its own, and where some did, so is each bind: these are not under it."""
    start = bind.bound.start
    of = "what is left, " if bind.rest else ""
    if bind.carried is not None:
        of = f"{bind.carried.model_dump_json()} {of}"
    elif bind.mixed:
        of = f"{bind.bound.rule}/{bind.period.name} {of}"
    but = f", unless {bind.unless}" if bind.unless and unless else ""
    return (
        f"{of}{split(bind.period)[0]} {start.model_dump_json() if start is not None else 'the account'}{but}"
    )
