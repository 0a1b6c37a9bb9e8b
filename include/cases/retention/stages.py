"""How many items a night may still take, over all its stores: by a person's number for that night, and by a plan of stages.

What has been due longest goes first: of a number that does not reach for everything, each dataset is kept as many items as it has
up to the day up to which the number reaches (``oldest_first``). What one of them gives back, whoever comes next may have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass
class Budget:
    """``left``: of the whole night (None: all). ``rate``: of what a plan of stages covers, over all the datasets of the ``plan``;
    ``free``: of each dataset, what goes besides. A dataset that the plan does not name goes as ever."""

    left: int | None
    rate: int = 0
    free: Counter[str] = field(default_factory=Counter)
    plan: frozenset[str] = frozenset()
    _lent: Counter[str] = field(default_factory=Counter, repr=False)  # what each took of the rate
    _kept: Counter[str] = field(default_factory=Counter, repr=False)  # of ``left``, for each
    _kept_of_rate: Counter[str] = field(default_factory=Counter, repr=False)

    def oldest_first(
        self, ages: Mapping[tuple[str, datetime], int], located: Mapping[str, int], under: Mapping[str, int]
    ) -> None:
        """Keep for each dataset what has been due longest. ``ages``: dataset and since when it has been due -> items;
        ``located``: how many there are of each, in the order in which they are come to; ``under``: how many of each the plan
        covers, which are its oldest."""
        # Of one day objects come before what leads to them.
        come = {dataset: n for n, dataset in enumerate(located)}
        oldest = sorted(ages, key=lambda x: (x[1], come.get(x[0], len(come)), x[0]))
        ages = {x: ages[x] for x in oldest}
        if self.plan:
            self._kept_of_rate = _shares(ages, under, self.rate)
        if self.left is not None:
            may = {
                d: min(n, self.free[d] + self._kept_of_rate[d]) if d in self.plan else n
                for d, n in located.items()
            }
            self._kept = _shares(ages, may, self.left)  # none for what the plan keeps from going

    def at_most(self, *datasets: str) -> int | None:
        """How many items of datasets that go together may go now; None: all of them."""
        most = None if self.left is None else _open(self.left, self._kept, datasets)
        if self.plan.intersection(datasets):
            staged = sum(self.free[d] for d in datasets) + _open(self.rate, self._kept_of_rate, datasets)
            most = staged if most is None else min(most, staged)
        return most

    def let_go(self) -> bool:
        """Keep nothing for anybody any more; whether something that was kept may go still."""
        kept, self._kept, self._kept_of_rate = self._kept or self._kept_of_rate, Counter(), Counter()
        return bool(kept) and (self.rate if self.left is None else self.left) > 0

    def take(self, wanted: int, *datasets: str) -> int:
        """How many of these items it may, of datasets that go together; fewer than none gives back what was not used."""
        taken = wanted
        if self.left is not None and wanted > 0:
            taken = min(wanted, _open(self.left, self._kept, datasets))
        if self.plan.intersection(datasets):
            if taken > 0:
                taken = self._staged(taken, datasets, _open(self.rate, self._kept_of_rate, datasets))
            else:
                taken = self._given_back(taken, datasets)
        if self.left is not None:
            self.left -= taken
            _used(self._kept, taken, datasets)
        return taken

    def gone(self, dataset: str, items: int) -> None:
        """So many went already, by a run that was stopped, whatever is kept for others: nothing may have been any more."""
        if self.left is not None:
            self.left = max(0, self.left - items)
            _used(self._kept, items, (dataset,))
        if dataset in self.plan:
            self._staged(items, (dataset,), self.rate)

    def _staged(self, wanted: int, datasets: tuple[str, ...], rate: int) -> int:
        """How many of these items go by the plan: what goes besides first, then so many of the rate."""
        taken = 0
        for dataset in datasets:
            of = min(wanted - taken, self.free[dataset])
            self.free[dataset] -= of
            taken += of
        lent = min(wanted - taken, rate)
        self.rate -= lent
        _used(self._kept_of_rate, lent, datasets)
        self._lent[datasets[0]] += lent
        return taken + lent

    def _given_back(self, wanted: int, datasets: tuple[str, ...]) -> int:
        lent = min(-wanted, self._lent[datasets[0]])
        self.rate += lent
        self._lent[datasets[0]] -= lent
        self.free[datasets[0]] += -wanted - lent
        return wanted


def _shares(
    ages: Mapping[tuple[str, datetime], int], there: Mapping[str, int], number: int
) -> Counter[str]:  # fmt: skip
    """Of so many items how many each dataset has, by their ages, the oldest first."""
    left, found = Counter(dict(there)), Counter[str]()
    for (dataset, _), items in ages.items():
        few = min(items, left[dataset], number)
        left[dataset] -= few
        found[dataset] += few
        number -= few
    return +found


def _open(number: int, kept: Counter[str], datasets: Collection[str]) -> int:
    """What of a number is kept for nobody else."""
    return max(0, number - sum(n for d, n in kept.items() if d not in datasets))


def _used(kept: Counter[str], taken: int, datasets: Iterable[str]) -> None:
    """What was taken is not kept any more; what is given back is anybody's."""
    for dataset in datasets:
        few = min(max(0, taken), kept[dataset])
        kept[dataset] -= few
        taken -= few
