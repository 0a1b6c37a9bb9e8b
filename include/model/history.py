"""Where a store's own history stands: what a position in its log means, and of which history it is.

A position can be compared only within one history. A restore or a failover begins another: under a new identifier (a dump), a new
timeline (recovery, a standby that took over), or, from a snapshot of the machine, under neither; then only the counter that
Quietus keeps in the store itself is lower than before, or the log is shorter.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class History:
    """``position``: bytes of log so far; ``counter``: how often Quietus began a new count there; ``moment``: by the
    store's clock."""

    system: int
    timeline: int
    counter: int
    position: int
    moment: datetime

    def goes_on_from(self, before: History) -> bool:
        """Whether it is the same history, further on or as far: what was done then is still done."""
        return (
            self.system == before.system
            and self.timeline == before.timeline
            and self.counter >= before.counter
            and self.position >= before.position
        )


@dataclass(frozen=True)
class Deed:
    """One receipt, by what both the store and the book know it by. What is done again after a restore bears the same
    name, and is as good."""

    step: str
    verb: str
    chunk: int


@runtime_checkable
class Historied(Protocol):
    """A store that has a log with positions."""

    def history(self) -> History:
        """Where it stands now. Read after a commit, its position is past what was committed. Raises NotReachable."""

    def has_receipts(self, steps: tuple[str, ...]) -> bool:
        """Whether the disposals of all these steps are still in it, by its own receipts. Raises NotReachable."""
