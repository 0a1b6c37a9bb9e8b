"""How many items a night may still take, over all its stores: by a person's number for that night, and by a plan of stages."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Budget:
    """``left``: of the whole night (None: all). ``rate``: of what a plan of stages covers, over all the datasets of the ``plan``;
    ``free``: of each dataset, what goes besides. A dataset that the plan does not name goes as ever."""

    left: int | None
    rate: int = 0
    free: Counter[str] = field(default_factory=Counter)
    plan: frozenset[str] = frozenset()
    _lent: Counter[str] = field(default_factory=Counter, repr=False)  # what each took of the rate

    def take(self, wanted: int, *datasets: str) -> int:
        """How many of these items it may, of datasets that go together; fewer than none gives back what was not used."""
        taken = wanted if self.left is None else min(wanted, self.left)
        if self.plan.intersection(datasets):
            taken = self._staged(taken, datasets) if taken > 0 else self._given_back(taken, datasets)
        if self.left is not None:
            self.left -= taken
        return taken

    def gone(self, dataset: str, items: int) -> None:
        """So many went already, by a run that was stopped."""
        if self.left is not None:
            self.left = max(0, self.left - items)
        if dataset in self.plan:
            self._staged(items, (dataset,))

    def _staged(self, wanted: int, datasets: tuple[str, ...]) -> int:
        taken = 0
        for dataset in datasets:
            of = min(wanted - taken, self.free[dataset])
            self.free[dataset] -= of
            taken += of
        lent = min(wanted - taken, self.rate)
        self.rate -= lent
        self._lent[datasets[0]] += lent
        return taken + lent

    def _given_back(self, wanted: int, datasets: tuple[str, ...]) -> int:
        lent = min(-wanted, self._lent[datasets[0]])
        self.rate += lent
        self._lent[datasets[0]] -= lent
        self.free[datasets[0]] += -wanted - lent
        return wanted
