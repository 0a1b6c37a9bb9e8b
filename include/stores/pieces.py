"""How many items are disposed of at a time: learned from what the last ones cost, not fixed.

A piece that is cheap makes the next one larger and one that is dear makes it smaller, twofold at most either way; a piece that
was not half full shows nothing of larger ones. A server that says it is busy, a lock and a time-out halve it.
"""

from __future__ import annotations

from dataclasses import dataclass

FASTEST = 0.001  # seconds: what is quicker is not told apart


@dataclass
class Size:
    """So many ``items`` at a time, ``least`` to ``most``, so that a piece takes about ``quick`` seconds. The defaults are those
    of a database's transaction."""

    items: int = 2_000
    least: int = 100
    most: int = 50_000
    quick: float = 1.0

    def took(self, seconds: float, items: int) -> None:
        """So many items took so long."""
        factor = min(2.0, max(0.5, self.quick / max(seconds, FASTEST)))
        if factor < 1.0 or 2 * items > self.items:  # of packs, a piece is seldom quite full
            self.items = int(min(self.most, max(self.least, self.items * factor)))

    def halve(self) -> bool:
        """Whether it could be made smaller."""
        before, self.items = self.items, max(self.least, self.items // 2)
        return self.items < before
