"""Making room: whoever deletes by the thousand stands still while a standby is too far behind, or while the server works for too
many others, but not for ever, since what is due must go. A standby that does not move is waited for once, not before each piece;
of a server that stays busy each later piece leaves one rest.

The eraser may not read how far a standby is, nor what others do; functions of ours tell it how far the last of them is and how
many are at work, and nothing else.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql

from include.stores.postgres.server import Connection, joined, name, one

LAG = 64 << 20  # bytes that a standby may be behind before we wait for it
SHARE = 0.25  # of the sessions that the server allows: how many may be at work beside ours before we wait
REST, PATIENCE = 0.5, 300.0  # seconds between two looks; and of all waiting, per piece and for whom

STANDBYS, OTHERS = "standbys", "others"
"""For whom it is waited."""

SECONDS, PIECES, GAVE_UP, UNSEEN = "seconds", "pieces", "gave_up", "unseen"
"""What is told of waiting: for how long, before how many pieces, how often it was given up, and of how many standbys or sessions
it is not shown what they do (without the function: whether there are any)."""


@dataclass
class Breath:
    """``waited``: what is told of all the waiting so far, by for whom. ``asleep`` is called while we wait: it may raise, if
    somebody stops us."""

    asleep: Callable[[], None]
    lag: int = LAG
    share: float = SHARE
    patience: float = PATIENCE
    rest: float = REST
    waited: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    _stands: str | None = field(default=None, init=False)  # where one stood that was given up

    @property
    def told(self) -> Mapping[str, Mapping[str, int]]:
        """What there was of it."""
        return {whom: dict(said) for whom, said in self.waited.items() if said}

    def take(self, connection: Connection) -> None:
        """Return when no standby is too far behind and the server is not too busy, or neither is worth more waiting."""
        if (at := self._while(STANDBYS, self._too_far_behind, connection, self.patience)) is not None:
            self._stands = at
        busy_still = self.waited[OTHERS][GAVE_UP] > 0
        self._while(OTHERS, self._busy, connection, 0 if busy_still else self.patience)

    def _while(
        self, whom: str, reason: Callable[[Connection], str | None], connection: Connection, patience: float
    ) -> str | None:
        """Wait while there is a reason, and one rest at least; the reason that there still is when it is given up."""
        began = time.monotonic()
        waits = False
        try:
            while (why := reason(connection)) is not None:
                if waits and time.monotonic() - began >= patience:
                    self.waited[whom][GAVE_UP] += 1
                    return why
                waits = True
                self.asleep()
                time.sleep(self.rest)
            return None
        finally:
            if waits:
                self.waited[whom][PIECES] += 1
                self.waited[whom][SECONDS] += max(1, round(time.monotonic() - began))

    def _too_far_behind(self, connection: Connection) -> str | None:
        """Where the last of the standbys is, if that is too far behind and it moved since it was given up."""
        behind, at = self._said(connection, STANDBYS, "furthest_behind", "bytes", "replayed") or (None, None)
        return str(at) if behind is not None and behind >= self.lag and str(at) != self._stands else None

    def _busy(self, connection: Connection) -> str | None:
        """How many others are at work, if they are too many."""
        others, allowed = self._said(connection, OTHERS, "at_work", "others", "allowed") or (0, 1)
        return str(others) if others > self.share * allowed else None

    def _said(
        self, connection: Connection, whom: str, function: str, *columns: str
    ) -> tuple[Any, ...] | None:
        """What a function of ours says of them; None: an older version of us is installed there."""
        (known,) = one(connection.execute("SELECT to_regproc(%s) IS NOT NULL", [f"quietus.{function}"]))
        if not known:
            self._unseen(whom, 1)
            return None
        query = sql.SQL("SELECT {}, hidden FROM {}()").format(
            joined(", ", map(sql.Identifier, columns)), name(f"quietus.{function}")
        )
        *said, hidden = one(connection.execute(query))
        self._unseen(whom, hidden)
        return tuple(said)

    def _unseen(self, whom: str, n: int) -> None:
        if n:
            self.waited[whom][UNSEEN] = max(n, self.waited[whom][UNSEEN])
