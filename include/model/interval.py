"""When one item may go and when it must: the interval that its rules leave, with the citations that set each end.

Pure. A *floor* is a period that a statute, an administrative regulation or a rule made under their express delegation sets
(PIPL 47 para. 2, F16); nothing else restrains a deletion. A *ceiling* is a day until which an item may stay. Both end on a
last day that still counts, as in ``include.cases.periods``:

* ``earliest``: the first day on which the item may be disposed of, the day after its last floor ends;
* ``latest``: the last day on which it may still be there, when its first ceiling ends; it is due the day after.

A ceiling whose figure is the company's, a standard's or a departmental rule's waits for a statutory floor: law goes before
policy (policy 10). So does one that was declared to (``gives_way``). Two statutes that leave no day are a conflict, which is
explained by the smallest set of rules that collide, and decided by a person. Where only floors bind an item, the law's least
is our most: nothing allows to keep it longer (PIPL 19).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from include.model.estate import Bound
from include.model.policy import Period

DAY = timedelta(days=1)
NO_LONGER = "PIPL 19"


@dataclass(frozen=True)
class Bounded:
    """One limit, resolved for one item. ``ends``: its last day; None: its clock has not started, so it ends never yet."""

    rule: str
    period: str
    floor: bool
    ceiling: bool
    ends: date | None
    law: str
    statutory: bool = False  # as a ceiling
    company: bool = False
    gives_way: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.rule}/{self.period}"

    @classmethod
    def of(cls, bound: Bound, period: Period, ends: date | None) -> Bounded:
        """A bind with its period, whose last day is ``ends``."""
        return cls(
            rule=bound.rule, period=period.name, floor=period.restrains_deletion, ceiling=period.kind != "floor",
            ends=ends, law="; ".join(b.cite for b in period.basis), statutory=period.statutory_end,
            company=period.proposal is not None, gives_way=bound.gives_way,
        )  # fmt: skip


@dataclass(frozen=True)
class Interval:
    """What the rules leave of time. ``earliest`` None: no floor binds, or (``waiting``) one has not started.
    ``latest`` None: nothing says by when it must go, or its clock has not started."""

    earliest: date | None
    latest: date | None
    waiting: bool  # a floor's clock has not started: it must not go, and nobody can say until when
    kept_by: Bounded | None  # the floor that ends last
    ended_by: Bounded | None  # the ceiling that ends first; the floor itself, where only floors bind
    conflict: tuple[Bounded, ...] = ()  # a floor and a ceiling that leave no day, and nothing else
    ruled: bool = True  # some ceiling or floor binds it at all

    def stands(self, as_of: date) -> Standing:
        """Where the item stands on that day, holds apart."""
        if self.conflict:
            return Standing.CONFLICT
        if not self.ruled:
            return Standing.NO_RULE
        if self.waiting or (self.earliest is not None and as_of < self.earliest):
            return Standing.KEPT
        if self.latest is None:
            return Standing.NOT_STARTED
        return Standing.DUE if self.latest < as_of else Standing.ALLOWED


class Standing(StrEnum):
    """Where an item stands on a day."""

    DUE = "due"  # it may go, and the last day on which it may stay is over
    KEPT = "kept by law"  # a floor is not over, or its clock has not started
    ALLOWED = "allowed"  # no floor forbids it, and it need not go yet
    NOT_STARTED = "not started"  # what sets off its clock has not happened
    CONFLICT = "conflict"  # two statutes leave no lawful day
    NO_RULE = "no rule"  # nothing binds it: a fault of the catalogue


def interval(limits: Sequence[Bounded]) -> Interval:
    """The interval that these limits leave an item."""
    floors = [x for x in limits if x.floor]
    ceilings = [x for x in limits if x.ceiling]
    kept_by = max(floors, key=_end) if floors else None
    waiting = kept_by is not None and kept_by.ends is None
    earliest = kept_by.ends + DAY if kept_by is not None and kept_by.ends is not None else None
    if not ceilings:
        latest = kept_by.ends if kept_by is not None else None
        return Interval(earliest, latest, waiting, kept_by, kept_by, ruled=bool(floors))
    if collision := _collision(floors, ceilings):
        return Interval(earliest, min(ceilings, key=_end).ends, waiting, kept_by, collision[1], collision)
    ended_by = min(ceilings, key=lambda x: _extended(x, floors))
    end = _extended(ended_by, floors)
    return Interval(earliest, None if end == date.max else end, waiting, kept_by, ended_by)


def collided(conflict: Sequence[Bounded]) -> str:
    """A collision of a floor and a ceiling, in words."""
    floor, ceiling = conflict
    return f"{ceiling.name} ({ceiling.law}) must be over before {floor.name} ({floor.law}) allows it"


DECIDE = "decide which rule goes first, and declare it in the bind's `gives_way`"


def _end(limit: Bounded) -> date:
    return limit.ends or date.max


def waits_for(ceiling: Bounded, floor: Bounded) -> bool:
    """Whether a ceiling is put off by a floor, and does not collide with it."""
    return not ceiling.statutory or floor.rule in ceiling.gives_way or floor.rule == ceiling.rule


def _extended(ceiling: Bounded, floors: Sequence[Bounded]) -> date:
    """Until when an item may stay under a ceiling, after the floors that it waits for."""
    return max(_end(x) for x in (ceiling, *(f for f in floors if waits_for(ceiling, f))))


def _collision(floors: Sequence[Bounded], ceilings: Sequence[Bounded]) -> tuple[Bounded, ...]:
    """A ceiling that ends before a floor that it does not wait for. Limits are half lines, so if there is no day that all of
    them leave, two already leave none: the pair is minimal. Of several, the tightest ceiling and the longest floor."""
    pairs = [(f, c) for c in ceilings for f in floors if not waits_for(c, f) and _end(c) < _end(f)]
    return min(pairs, key=lambda p: (_end(p[1]), -_end(p[0]).toordinal(), p[0].name, p[1].name), default=())
