"""A whole policy, declared: loaded from YAML by ``include.catalogue``; frozen, and unknown keys are refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Literal, TypeVar

from include.model.carried import Taken
from include.model.declared import Declared
from include.model.estate import (
    BackupSet,
    Bound,
    Cut,
    Dataset,
    Derived,
    Excepted,
    Measure,
    NotPersonal,
    Part,
    StoreDeclared,
)
from include.model.media import MediaProcedure
from include.model.policy import (
    Category,
    Clause,
    Law,
    OwnRecords,
    Period,
    Recipient,
    RetentionRule,
    Upstream,
)
from include.model.releases import Grading, Release
from include.model.versions import Former, PolicyVersion, formers, longest
from include.model.words import DatasetKind


class Control(Declared):
    """An executable identifier that honours clauses: disabling it turns ``test`` red."""

    id: str
    kind: Literal["rule", "step", "suite", "dag", "guard"]
    code: str  # "include.cases.planner:plan": importable, or "dags/x.py"
    test: str  # "tests/…::test_name"
    what: str


@lru_cache(maxsize=256)  # of each starting point each dataset asks, at each step
def _named_in(text: str, addresses: tuple[str, ...]) -> frozenset[str]:
    """Which of these a text names."""
    return frozenset(a for a in addresses if re.search(rf"\b{re.escape(a)}\b", text))


_Named = TypeVar("_Named", Category, RetentionRule, StoreDeclared, Dataset, Release)


def _by_id(things: tuple[_Named, ...], id: str) -> _Named:
    for thing in things:
        if thing.id == id:
            return thing
    raise KeyError(id)


class Stop(Declared):
    """What a shutdown changes of clocks, from the day collection was closed. ``ended``: relations with everybody ended then;
    ``over``: the order has come to its end, so that this starts every clock, and till then only those of what a floor keeps;
    ``waits``: datasets of which what the law hands over waits for the handover: these floors do not run out here;
    ``purposes``: dataset -> the day on which its purpose ended, with its collection: what a floor kept then, nothing but that
    floor keeps (policy 5.6(3))."""

    closed_on: date
    ended: bool
    over: bool
    waits: frozenset[str]
    purposes: Mapping[str, date] = {}


class Catalogue(Declared):
    """A whole policy, as loaded. ``digest`` is the SHA-256 of its source files, pinned by plans. ``stop``: of a shutdown that is
    under way; no file says it, the case book does. ``taken``: the clocks that came with what was taken over; no file says them,
    the stores do. ``shapes``: by store and place the type of each column that nights judge by, as the case book knows them.
    ``told_apart``: of a simulation, by rule and period the versions of another catalogue by which it asks who accepted what."""

    name: str
    digest: str
    clauses: tuple[Clause, ...]
    categories: tuple[Category, ...]
    rules: tuple[RetentionRule, ...]
    recipients: tuple[Recipient, ...]
    laws: tuple[Law, ...] = ()
    stores: tuple[StoreDeclared, ...]
    datasets: tuple[Dataset, ...]
    not_personal: tuple[NotPersonal, ...]
    exceptions: tuple[Excepted, ...] = ()
    derived: tuple[Derived, ...] = ()
    releases: tuple[Release, ...] = ()
    grading: tuple[Grading, ...] = ()
    backups: tuple[BackupSet, ...]
    measures: tuple[Measure, ...]
    measure_sql: dict[str, str]  # "<id>" and "<id>.proof" -> SQL text
    controls: tuple[Control, ...]
    upstream: tuple[Upstream, ...] = ()
    own_records: tuple[OwnRecords, ...] = ()
    starting_points: dict[str, str]  # name -> SQL text; contract in docs/catalogue.md
    versions: tuple[PolicyVersion, ...] = ()
    media: tuple[MediaProcedure, ...] = ()
    stop: Stop | None = None
    taken: Taken = Taken()
    shapes: Mapping[str, Mapping[str, str]] = {}
    told_apart: Mapping[str, tuple[tuple[str, ...], ...]] = {}

    def dataset(self, id: str) -> Dataset:
        """The dataset with this id, or a part of one. Raises KeyError."""
        try:
            return _by_id(self.datasets, id)
        except KeyError:
            return _by_id(tuple(self._part(d, p) for d in self.datasets for p in d.parts), id)

    def read_by(self, query: str) -> tuple[str, ...]:
        """Datasets whose table a starting point names."""
        named = _named_in(self.starting_points.get(query, ""), tuple(d.address for d in self.datasets))
        return tuple(d.id for d in self.datasets if d.address in named)

    def clocks_from(self, dataset: Dataset) -> frozenset[str]:
        """The other datasets by whose rows it is known when its own clocks began: without them nothing is due of it any more."""
        queries = {
            b.start.query for b in dataset.all_binds if b.start is not None and b.start.query is not None
        }
        read = {d for query in queries for d in self.read_by(query)}
        return frozenset(d for d in read if self.dataset(d).address != dataset.address)

    @property
    def in_parts(self) -> Catalogue:
        """The same with every part as a dataset of its own, as nights work on them. Whoever asks for a table's dataset by its
        address finds the whole, which comes last."""
        parts = tuple(self._part(d, p) for d in self.datasets for p in d.parts)
        if not parts or any(d.part_of for d in self.datasets):
            return self
        return self.model_copy(update={"datasets": (*parts, *self.datasets)})

    def _part(self, of: Dataset, part: Part) -> Dataset:
        """Disposed of as a whole, for nothing of it is left. The floors of its row are its own."""
        floors = tuple(b for b in of.binds if self._restrains(b) and b not in part.binds)
        return Dataset(
            id=f"{of.id}.{part.id}", store=of.store, kind=of.kind, title=f"{of.title}: {part.title}", address=of.address,
            key=of.key, links=of.links, binds=(*part.binds, *floors), action="erase", cut=Cut(set=part.set),
            columns={c: of.columns[c] for c in part.set if c in of.columns}, effects=of.effects, part_of=of.id,
        )  # fmt: skip

    def _restrains(self, bound: Bound) -> bool:
        try:
            return any(p.restrains_deletion for p in self.rule(bound.rule).periods if p.name == bound.period)
        except KeyError:
            return False

    def rule(self, id: str) -> RetentionRule:
        return _by_id(self.rules, id)

    def formers(self, rule: str, period: Period) -> tuple[Former, ...]:
        """What the policy promised of a company period before it was longer, and to whom that holds still."""
        if not period.shortenable or not self.versions:
            return ()
        return formers(self.versions, f"{rule}/{period.name}", period.duration)

    def period_for(self, rule: str, period: Period, accepted: str | None) -> Period:
        """The period of whoever accepted this version of the policy last; None: of whom nobody knows it."""
        of = [f.duration for f in self.formers(rule, period) if accepted not in f.unless]
        each = (period, *(period.model_copy(update={"duration": d}) for d in of))
        return min(each, key=lambda p: longest(p.duration))

    def for_anybody(self, rule: str, period: Period) -> Period:
        """The period of data of which nobody can say who owns it: the shortest that was promised since anybody may have accepted
        it, for nobody's consent to a longer one can be shown."""
        return self.period_for(rule, period, None)

    def category(self, id: str) -> Category:
        return _by_id(self.categories, id)

    def store(self, id: str) -> StoreDeclared:
        return _by_id(self.stores, id)

    def release(self, id: str) -> Release:
        """The release with this id. Raises KeyError."""
        return _by_id(self.releases, id)

    def opened_by(self, keys: str) -> tuple[Dataset, ...]:
        """The datasets whose objects are sealed with keys of this one."""
        return tuple(d for d in self.datasets if d.sealed_by is not None and d.sealed_by.dataset == keys)

    def of_store(self, store: str, *kinds: DatasetKind) -> tuple[Dataset, ...]:
        """The datasets of one store, of these kinds (all kinds if none is named), in declared order."""
        return tuple(d for d in self.datasets if d.store == store and (not kinds or d.kind in kinds))
