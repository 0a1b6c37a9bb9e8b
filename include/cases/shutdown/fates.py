"""What becomes of an item when the service stops: exactly one fate each, with its rule, law and last day. Pure.

To the successor goes only what a law makes the authority keep and hand on: vetting files and the authority's audit logs (RS-03),
certificates with their status (RS-04), signature records (RS-10), as long as their statutory period runs (ESL 23, 24); and the
register that is left of older certificates: whoever asks for the status of an old signature asks whoever took over. Raw
biometrics never go, whatever binds them. Another statutory period keeps an item here, with a custodian; a hold does, too.
An
objection lifts no statutory period (ESL 23, 24), and what else would go of its owner stays here, whoever keeps it. Everything
else is deleted or anonymised (policy 5.6(3)). An upload that was never finished is no object: it can be handed to
nobody, and ends here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from include.cases.retention.due import Judged
from include.cases.retention.limits import Bind, binds, bounded
from include.cases.retention.limits import ends as last_day
from include.model.catalogue import Catalogue
from include.model.estate import Dataset
from include.model.handover import HANDED_OVER, NEVER
from include.model.interval import Bounded, Standing, collided, interval
from include.model.retention import Clock, Group
from include.model.words import Disposition

LAW = "policy 5.6(3)"
HELD_LAW = "policy 5.2"
BIOMETRIC = "raw biometrics that a statute keeps: they do not go to a successor; counsel decides (law.md G)"


@dataclass(frozen=True)
class Fate:
    """``until``: the last day on which it must be kept, by us or by whom it goes to; None: its clock has not started, or nothing
    keeps it. ``waits``: a clock that keeps it has not started. ``odd``: why a person has to decide."""

    disposition: Disposition
    rule: str
    law: str
    until: date | None = None
    waits: bool = False
    odd: str = ""


def is_biometric(catalogue: Catalogue, dataset: Dataset) -> bool:
    """Whether it holds raw biometrics, by what binds it or by what is in it."""
    return any(b.rule in NEVER for b in dataset.binds) or any(
        not set(NEVER).isdisjoint(catalogue.category(c).rules) for c in dataset.all_categories
    )


def fate(catalogue: Catalogue, dataset: Dataset, judged: Judged, t0: date, *, ends: bool) -> Fate:
    """What becomes of a group of items on T0. ``ends``: the relation with everybody ends that day, which starts the clocks that
    wait for the end of an account."""
    of = tuple(binds(catalogue, dataset))
    clocks = _at_the_end(of, judged.clocks, t0) if ends else judged.clocks
    limits = bounded(of, Group(clocks=clocks, held=judged.held, items=judged.items))
    running = [x for x in limits if x.floor and (x.ends is None or x.ends >= t0)]
    handed = [x for x in limits if x.floor and x.rule in HANDED_OVER and (x in running or judged.held)]
    handed += (x for x in _register(of, clocks) if x.ends is None or x.ends >= t0 or judged.held)
    others = [x for x in running if x.rule not in HANDED_OVER]
    if judged.unfinished:
        handed, running = [], others
    if is_biometric(catalogue, dataset):
        handed, odd = [], BIOMETRIC
    else:
        odd = f"it goes to the successor, and {_names(others)} keeps it here as well: decide who keeps what"
    if handed and judged.objected and not any(x.rule in HANDED_OVER for x in running):
        return Fate(Disposition.HOLD, judged.rule, HELD_LAW)
    if handed:
        if judged.interval.conflict:
            odd = f"it goes to the successor, and {collided(judged.interval.conflict)}"
            return _kept(handed, odd, disposition=Disposition.TRANSFER)
        return _kept(handed, odd if others else "", disposition=Disposition.TRANSFER)
    if running:
        return _kept(running, odd if odd is BIOMETRIC else "")
    if judged.held:
        return Fate(Disposition.HOLD, judged.rule, HELD_LAW)
    return _gone(dataset, limits, t0)


def _register(of: Sequence[Bind], clocks: Sequence[Clock]) -> list[Bounded]:
    """The limit of what is left of a cut row, if it is one."""
    return [
        Bounded.of(b.bound, b.period, last_day(b.period, c))
        for b, c in zip(of, clocks, strict=True) if b.rest and c.applies and b.bound.rule in HANDED_OVER
    ]  # fmt: skip


def _gone(dataset: Dataset, limits: Sequence[Bounded], t0: date) -> Fate:
    """By its own rule if that is over, else because the service stops."""
    it = interval(limits)
    rule = it.ended_by.name if it.ended_by else "RS-28/main"
    due = it.stands(t0) is Standing.DUE and it.ended_by is not None
    action = Disposition(dataset.action)
    if (
        action is Disposition.DEIDENTIFY
    ):  # what is only cut is personal still (PIPL 73), and 5.6(3) leaves nothing of that
        action = Disposition.ERASE
    return Fate(action, rule, _law(it.ended_by) if due and it.ended_by else LAW)


def _names(of: Sequence[Bounded]) -> str:
    return ", ".join(sorted(x.name for x in of))


def _at_the_end(of: Sequence[Bind], clocks: Sequence[Clock], t0: date) -> tuple[Clock, ...]:
    return tuple(
        c.model_copy(update={"day": t0}) if c.applies and c.day is None and b.bound.start is None else c
        for b, c in zip(of, clocks, strict=True)
    )


def _kept(floors: Sequence[Bounded], odd: str = "", *, disposition: Disposition = Disposition.RETAIN) -> Fate:
    """By the floor that ends last; one whose clock has not started ends last of all."""
    last = max(floors, key=lambda x: x.ends or date.max)
    return Fate(disposition, last.name, _law(last), last.ends, last.ends is None, odd)


def _law(limit: Bounded) -> str:
    return "company period" if limit.company else limit.law
