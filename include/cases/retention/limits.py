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
from include.model.carried import WITHOUT_ITS_ACCOUNT, Carried, Side, unstarted
from include.model.catalogue import Catalogue
from include.model.errors import CatalogueError
from include.model.estate import Bound, Dataset, Start
from include.model.flow import Flow
from include.model.handover import HANDED_OVER
from include.model.interval import Bounded
from include.model.policy import Basis, Period, Proposal
from include.model.retention import Clock, Group, Limit, Question
from include.model.times import Counting
from include.model.words import LegalRank

DAY = timedelta(days=1)


PURPOSE_OVER, NO_PURPOSE = ("RS-28", "main"), "policy 5.6(3)"
"""By which something goes that nothing but a floor kept since its service ended."""


class Bind(Flow):
    """A bind of a dataset with its period. ``rest``: it is that of what is left of cut rows, and of nothing else. ``purpose``: of
    a floor, the day on which the dataset's purpose ended: an item goes with the last of its floors that ran then. ``unless``: the
    period is a former, shorter one, which holds unless all owners accepted one of these versions of the policy. ``carried``: it
    came along with items, and the day that a store tells of it is its last; ``mixed``: of a dataset with such items, which are
    under it only if a clock of its name came that had not started."""

    bound: Bound
    period: Period
    rest: bool = False
    purpose: date | None = None
    unless: tuple[str, ...] = ()
    carried: Carried | None = None
    mixed: bool = False


def binds(catalogue: Catalogue, dataset: Dataset) -> Iterator[Bind]:
    """Its binds, each with its period, after the shorter ones that hold still for whoever has not accepted it; that of what is
    left of cut rows last. Before them all what came along with items that were taken over (``Catalogue.taken``): these are judged
    by that, and by a bind of its own only where that waits for its clock to start.

    Raises CatalogueError for one that is not declared, or for a dataset without any; and if what came along cannot be read, or
    nothing here could ever start it.
    """
    yield from _carried(catalogue, dataset)
    if not dataset.binds:
        raise CatalogueError(
            "no retention rule binds it", about=dataset.id, next_step="bind a rule in the catalogue"
        )
    purpose = None if catalogue.stop is None else catalogue.stop.purposes.get(dataset.id)
    for bound in dataset.all_binds:
        try:
            found = next(p for p in catalogue.rule(bound.rule).periods if p.name == bound.period)
        except (KeyError, StopIteration):
            raise CatalogueError(
                f"it is bound to {bound.rule}/{bound.period}, which is not declared", about=dataset.id,
                next_step="correct the bind in the catalogue",
            ) from None  # fmt: skip
        rest = dataset.cut is not None and bound is dataset.cut.ends
        # What is `both` ends an item by itself; what is left of a cut row has an end of its own.
        floor = found.kind == "floor" and found.restrains_deletion and not rest
        if rest:  # no account leads to it any more, so that nobody can be shown to have accepted more
            found = catalogue.for_anybody(bound.rule, found)
        else:
            yield from _former(catalogue, bound, found)
        mixed = bool(came := catalogue.taken.of(dataset.whole))
        if bound.start is None and any(
            x.side is Side.WAITS and x.name == f"{bound.rule}/{found.name}" for x in came
        ):
            found = _without_account(found)
        yield Bind(bound=bound, period=found, rest=rest, purpose=purpose if floor else None, mixed=mixed)


def _without_account(period: Period) -> Period:
    """The same, which says on which law it counts of what came without its account. That changes nothing of what it is: its rank
    is that of what it rests on."""
    rank = period.basis[0].rank if period.basis else LegalRank.COMPANY
    told = Basis(cite=WITHOUT_ITS_ACCOUNT, rank=rank)
    return period.model_copy(update={"basis": (*period.basis, told)})


def _carried(catalogue: Catalogue, dataset: Dataset) -> Iterator[Bind]:
    if (why := catalogue.taken.unread.get(dataset.whole)) is not None:
        raise CatalogueError(
            f"with which clocks its items came could not be read: {why}", about=dataset.id,
            next_step="see to its database; nothing of it goes meanwhile",
        )  # fmt: skip
    came = catalogue.taken.of(dataset.whole)
    unstarted(catalogue.dataset(dataset.whole), came)
    # Columns that fall due by themselves do so as everybody's: with the row came what forbids that, and when the row is due.
    wanted = (Side.FLOOR,) if dataset.part_of else (Side.FLOOR, Side.DUE)
    for it in came:
        if it.side in wanted:
            bound = Bound(rule=it.rule, period=it.period, start=Start())
            yield Bind(bound=bound, period=_last_day(it), carried=it)


def _last_day(it: Carried) -> Period:
    """Of no length: what came is a last day, and no start that could be counted from again."""
    rank = LegalRank.LAW if it.side is Side.FLOOR else LegalRank.COMPANY
    return Period(
        name=it.period, duration="P0D", kind="floor" if it.side is Side.FLOOR else "ceiling",
        basis=(Basis(cite=it.law, rank=rank),), proposal=Proposal(owner="its sender") if it.company else None,
    )  # fmt: skip


def _former(catalogue: Catalogue, bound: Bound, period: Period) -> Iterator[Bind]:
    """The periods beside the present one. Each applies by itself: the first that is over ends an item."""
    of = catalogue.formers(bound.rule, period)
    for former in of:
        shorter = period.model_copy(update={"duration": former.duration})
        yield Bind(bound=bound, period=shorter, unless=former.unless)
    for unless in catalogue.told_apart.get(f"{bound.rule}/{period.name}", ()) if period.shortenable else ():
        if unless not in {
            f.unless for f in of
        }:  # as long as the present one, it changes nothing but what is asked
            yield Bind(bound=bound, period=period, unless=unless)


def limit(bind: Bind, as_of: date) -> Limit:
    """One bind as a store asks about it."""
    period = bind.period
    minutes, _ = split(period)
    return Limit(
        rule=bind.bound.rule, period=period.name, kind=period.kind, start=bind.bound.start, minutes=minutes,
        over=newest_over(period, as_of), restrains=period.restrains_deletion, statutory=period.statutory_end,
        law="; ".join(b.cite for b in period.basis), company=period.proposal is not None,
        gives_way=bind.bound.gives_way, rest=bind.rest,
        closed=None if bind.purpose is None else newest_over(period, bind.purpose), unless=bind.unless,
        carried=bind.carried,
    )  # fmt: skip


def question(
    catalogue: Catalogue, dataset: Dataset, as_of: date, *, everything: bool = False, bare: bool = False
) -> Question:  # fmt: skip
    """What to ask a store about a dataset."""
    limits = tuple(limit(b, _by(catalogue, dataset, b, as_of)) for b in binds(catalogue, dataset))
    return Question(dataset=dataset.id, as_of=as_of, limits=limits, everything=everything, bare=bare)


def _by(catalogue: Catalogue, dataset: Dataset, bind: Bind, as_of: date) -> date:
    """The day by which a limit is judged. A floor by which items go to a successor stands still while they wait for that: were
    they deleted here meanwhile, they would be in neither place."""
    stop = catalogue.stop
    if stop is None or dataset.whole not in stop.waits or bind.bound.rule not in HANDED_OVER:
        return as_of
    return min(as_of, stop.closed_on) if bind.period.restrains_deletion else as_of


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
    others may keep it, as long as its clock can be told, but never ends it. Where the purpose ended, a floor that ran then is
    also the most: a ceiling ends with it, that waits for the other floors as the company's own do."""
    left = next((f"{bind.bound.rule}/{bind.period.name}" for bind, _ in applying if bind.rest), None)
    cut = left is not None
    found, purposes = [], []
    for bind, clock in applying:
        it = Bounded.of(bind.bound, bind.period, ends(bind.period, clock))
        ends_it = bind.rest or (bind.carried is not None and bind.carried.name == left)
        found.append(replace(it, ceiling=False) if cut and not ends_it else it)
        if bind.purpose is not None and it.ends is not None and it.ends >= bind.purpose and not cut:
            purposes.append(Bounded(*PURPOSE_OVER, floor=False, ceiling=True, ends=it.ends, law=NO_PURPOSE))
    return (*found, *purposes)
