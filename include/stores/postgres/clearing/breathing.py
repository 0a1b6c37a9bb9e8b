"""Waiting for standbys: whoever deletes by the thousand stands still while one of them is too far behind, but not for ever, since
what is due must go. One that does not move is waited for once, not before each piece.

The eraser may not read how far a standby is; a function of ours tells it how far the last of them is, and nothing else.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from include.stores.postgres.server import Connection, one

LAG = 64 << 20  # bytes that a standby may be behind before we wait for it
REST, PATIENCE = 0.5, 300.0  # seconds between looks at a standby; and of all waiting for one, per piece

SECONDS, PIECES, GAVE_UP, UNSEEN = "seconds", "pieces", "gave_up", "unseen"
"""What is told of waiting: for how long, before how many pieces, how often it was given up, and of how many standbys it is not
shown how far they are (without the function: whether there are any)."""


@dataclass
class Breath:
    """``waited``: what is told of all the waiting so far; nothing, if there was none. ``asleep`` is called while we wait: it may
    raise, if somebody stops us."""

    asleep: Callable[[], None]
    lag: int = LAG
    patience: float = PATIENCE
    rest: float = REST
    waited: Counter[str] = field(default_factory=Counter)
    _stands: str | None = field(default=None, init=False)  # where one stood that was given up

    def take(self, connection: Connection) -> None:
        """Return when no standby is too far behind, or none of them is worth more waiting."""
        began = time.monotonic()
        waits = False
        try:
            while (at := self._too_far_behind(connection)) is not None and at != self._stands:
                waits = True
                if time.monotonic() - began >= self.patience:
                    self.waited[GAVE_UP] += 1
                    self._stands = at
                    return
                self.asleep()
                time.sleep(self.rest)
        finally:
            if waits:
                self.waited[PIECES] += 1
                self.waited[SECONDS] += max(1, round(time.monotonic() - began))

    def _too_far_behind(self, connection: Connection) -> str | None:
        """Where the last of the standbys is, if that is too far behind."""
        (known,) = one(connection.execute("SELECT to_regproc('quietus.furthest_behind') IS NOT NULL"))
        if not known:  # an older version of us is installed there
            self.waited[UNSEEN] = max(1, self.waited[UNSEEN])
            return None
        behind, at, hidden = one(
            connection.execute("SELECT bytes, replayed::text, hidden FROM quietus.furthest_behind()")
        )
        if hidden:
            self.waited[UNSEEN] = max(int(hidden), self.waited[UNSEEN])
        return str(at) if behind is not None and behind >= self.lag else None
