"""Which of the items that are there are of people who object to the handover: counted by the stores, so that a count has the
fates by which bags are packed. Asked only while somebody objects.

A group of items says whether a hold names them, and not whose they are. So the same question is put twice more, as if a hold
named the objectors, alone and beside the holds that there are: how many are of both follows from the three.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from include.cases.retention.due import Judged, see
from include.cases.retention.held import HeldPeople
from include.cases.rooms import Desk
from include.cases.shutdown.objecting import objectors
from include.model.catalogue import Catalogue
from include.model.estate import Dataset
from include.model.retention import Clock

Key = tuple[str, tuple[Clock, ...], bool]


@dataclass(frozen=True)
class _Also(HeldPeople):
    """The holds, and these people beside them."""

    also: frozenset[str] = field(default=frozenset(), repr=False)

    def of(self, *datasets: Dataset) -> tuple[bool, tuple[str, ...]]:
        everybody, people = super().of(*datasets)
        return everybody, tuple(sorted(self.also.union(people)))

    def mark(self, *datasets: Dataset) -> None:
        return None


def told_apart(
    desk: Desk, catalogue: Catalogue, number: str, judged: Sequence[Judged], held: HeldPeople, as_of: date
) -> list[Judged]:
    """The same items, those of objectors in groups of their own. ``judged``: as :func:`see` gave them by ``catalogue``, ``held``
    and ``as_of``. Raises NotReachable."""
    who = objectors(desk, number)
    if not who:
        return list(judged)
    of_holds = _held(judged)
    theirs = _held(_seen(desk, catalogue, _Also(also=who, released=held.released), as_of))
    either = _held(
        _seen(desk, catalogue, _Also(held.orders, held.people, released=held.released, also=who), as_of)
    )
    found: list[Judged] = []
    for it in judged:
        key = _key(it)
        free = either[key] - of_holds[key]
        n = max(0, min(it.items, theirs[key] - free if it.held else free))
        found += [replace(it, items=k, objected=o) for k, o in ((it.items - n, False), (n, True)) if k]
    return found


def _seen(desk: Desk, catalogue: Catalogue, held: HeldPeople, as_of: date) -> list[Judged]:
    return see(catalogue, desk.connections, as_of, held=held, everything=True, bare=True).judged


def _held(judged: Sequence[Judged]) -> Counter[Key]:
    found = Counter[Key]()
    for it in judged:
        if it.held:
            found[_key(it)] += it.items
    return found


def _key(it: Judged) -> Key:
    return it.dataset, it.clocks, it.unfinished
