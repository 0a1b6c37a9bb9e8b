"""Page after page as of one moment: so no row is seen twice because somebody set its date later meanwhile.

Not for the length of a night: what a snapshot sees no vacuum clears away, in no table of the cluster. Whoever reads for longer
goes on in another one, and has to look whether a row came twice.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import psycopg

from include.stores.postgres.server import Connection

LONGEST = 5.0  # seconds


@dataclass
class Snapshot:
    """A transaction, or several one after the other; left by an exception, the last one is rolled back."""

    connection: Connection
    longest: float = LONGEST
    taken: int = field(default=0, init=False)  # how many there were

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(kind, error, trace)

    def page(self) -> None:
        """Before each page: another snapshot, if this one was held for long enough."""
        if time.monotonic() - self._began >= self.longest:
            self._end(None, None, None)
            self._begin()

    def _begin(self) -> None:
        self.connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        self._transaction = self.connection.transaction()
        self._transaction.__enter__()
        self._began = time.monotonic()
        self.taken += 1

    def _end(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._transaction.__exit__(kind, error, trace)
        finally:
            if not self.connection.closed and not self.connection.broken:
                self.connection.isolation_level = None
