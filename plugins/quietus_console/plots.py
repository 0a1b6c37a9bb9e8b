"""Bars of counts as the geometry of an SVG: made on the server, so that a page has nothing to load. The template draws them.

A bar is stacked by kind. One column may be far above all others (the first night has the backlog): it is cut at the top of the
scale and marked, so that the others can be told apart; its number is told in words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 960.0, 200.0  # of the field of the bars, in the picture's own units
KINDS = 5  # that have a colour of their own; the others share one
FEW = 10  # columns that have a label each
OTHERS = "…"


@dataclass(frozen=True)
class Scale:
    """Counts to heights. ``top``: the count at the upper edge of the field."""

    top: int
    step: int

    @classmethod
    def of(cls, most: int) -> Scale:
        """A scale that reaches ``most`` with two to five lines, at 1, 2 or 5 times a power of ten."""
        most = max(most, 1)
        step = next(
            s
            for tens in range(len(str(most)) + 1)
            for one in (1, 2, 5)
            if -(-most // (s := one * 10**tens)) <= 5
        )
        return cls(-(-most // step) * step, step)

    def height(self, count: int) -> float:
        """How high a bar of that count is; at most the field."""
        return min(count, self.top) * HEIGHT / self.top

    @property
    def lines(self) -> list[tuple[int, float]]:
        """Counts that have a line, and how far it is below the upper edge."""
        return [(n, HEIGHT - self.height(n)) for n in range(0, self.top + 1, self.step)]


@dataclass(frozen=True)
class Piece:
    """One kind's part of a bar. ``y``: its upper edge, below that of the field."""

    kind: int
    y: float
    height: float


@dataclass(frozen=True)
class Bar:
    """One column. ``cut``: it goes on above the field."""

    label: str
    x: float
    width: float
    total: int
    pieces: tuple[Piece, ...]
    cut: bool


@dataclass(frozen=True)
class Plot:
    """What the template draws. ``kinds``: names of the colours, the most frequent first; what has none is ``OTHERS``."""

    kinds: tuple[str, ...]
    bars: tuple[Bar, ...]
    scale: Scale

    @property
    def labels(self) -> list[tuple[float, str, str]]:
        """What stands under the field: where, what, and which part of the text is there. All if there is room, else the ends."""
        if len(self.bars) <= FEW:
            return [(bar.x + bar.width / 2, bar.label, "middle") for bar in self.bars]
        return [(0.0, self.bars[0].label, "start"), (WIDTH, self.bars[-1].label, "end")]


def plot(columns: Sequence[tuple[str, Mapping[str, int]]], *, cut_first: bool = False) -> Plot:
    """Bars for (label, counts by kind), from left to right. ``cut_first``: the first one does not set the scale, if another is
    above zero."""
    all_: Counter[str] = Counter()
    for _, counts in columns:
        all_.update(counts)
    named = [k for k, n in sorted(all_.items(), key=lambda x: (-x[1], x[0])) if n > 0]
    if len(named) > KINDS + 1:
        named = [*named[:KINDS], OTHERS]
    totals = [sum(c.values()) for _, c in columns]
    scale = Scale.of((max(totals[1:], default=0) if cut_first else 0) or max(totals, default=0))
    slot = WIDTH / max(len(columns), FEW)
    bars = tuple(
        Bar(
            label,
            i * slot + slot * 0.1,
            slot * 0.8,
            totals[i],
            _pieces(counts, named, scale),
            totals[i] > scale.top,
        )
        for i, (label, counts) in enumerate(columns)
    )
    return Plot(tuple(named), bars, scale)


def _pieces(counts: Mapping[str, int], named: Sequence[str], scale: Scale) -> tuple[Piece, ...]:
    """From the bottom up, the most frequent kind first; heights are differences of sums, so that they add up to the bar's."""
    of = [0] * len(named)
    for kind, n in counts.items():
        if n > 0:
            of[named.index(kind) if kind in named else len(named) - 1] += n
    pieces, below = [], 0
    for which, n in enumerate(of):
        low, high = scale.height(below), scale.height(below + n)
        if high > low:
            pieces.append(Piece(which, HEIGHT - high, high - low))
        below += n
    return tuple(pieces)
