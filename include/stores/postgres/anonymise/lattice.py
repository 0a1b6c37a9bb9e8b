"""The least generalisation for which every class is big and mixed enough: a walk over the declared levels, by counts alone.

After Samarati (2001): where rows of small classes may be suppressed, whatever satisfies k and l still does when it is made
coarser, so the lowest height is found by halving. (Rows that were released before make that untrue: a fine label may fall
into one of their classes where a coarse one does not. Then every height is looked at.) Closeness to the whole (t) is not of
that kind, so from there on the walk goes up height by height. Of several nodes at one height, the one that suppresses
fewest rows is taken, then the one with most classes, then the first in the order of the columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

Node = tuple[int, ...]


@dataclass(frozen=True)
class Counted:
    """What one node comes to: rows in classes that are too small or too much alike, rows that stay, and their classes."""

    suppressed: int
    kept: int
    classes: int


@dataclass(frozen=True)
class Lattice:
    """Every node between the finest and the coarsest level of each column."""

    bounds: tuple[tuple[int, int], ...]

    @property
    def least(self) -> int:
        return sum(low for low, _ in self.bounds)

    @property
    def most(self) -> int:
        return sum(high for _, high in self.bounds)

    def at(self, height: int) -> tuple[Node, ...]:
        """Every node whose levels add up to this, in order."""
        return self._by_height.get(height, ())

    @cached_property
    def _by_height(self) -> dict[int, tuple[Node, ...]]:
        found: dict[int, list[Node]] = {}
        for node in self._every(self.bounds):
            found.setdefault(sum(node), []).append(node)
        return {height: tuple(nodes) for height, nodes in found.items()}

    def _every(self, bounds: tuple[tuple[int, int], ...]) -> Iterator[Node]:
        if not bounds:
            yield ()
            return
        low, high = bounds[0]
        for level in range(low, high + 1):
            for rest in self._every(bounds[1:]):
                yield (level, *rest)


def least(
    lattice: Lattice,
    count: Callable[[Node], Counted],
    budget: int,
    close: Callable[[Node], bool],
    *,
    halving: bool,
) -> Node | None:
    """The least general node that suppresses at most ``budget`` rows, keeps some, and is ``close``; None if there is none."""
    low, high = lattice.least, lattice.most
    known: dict[Node, Counted] = {}

    def good(height: int) -> list[Node]:
        for node in lattice.at(height):
            if node not in known:
                known[node] = count(node)
        fit = [n for n in lattice.at(height) if known[n].suppressed <= budget and known[n].kept > 0]
        return sorted(fit, key=lambda n: (known[n].suppressed, -known[n].classes, n))

    while halving and low < high:
        middle = (low + high) // 2
        if good(middle):
            high = middle
        else:
            low = middle + 1
    for height in range(low, lattice.most + 1):
        for node in good(height):
            if close(node):
                return node
    return None
