"""The outside world's memory: one SQLite file, that the server, the command line and tests may use at the same time."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCHEMA = Path(__file__).with_name("state.sql")
PATIENCE = 30.0  # seconds for another process's transaction to end
Row = tuple[Any, ...]


class State:
    """Safe to use from several threads, and from several processes each with its own."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._turn = threading.RLock()
        self._db = sqlite3.connect(path, timeout=PATIENCE, check_same_thread=False, isolation_level=None)
        # What is deleted is overwritten, and no journal keeps it: a body that says DELETED has deleted.
        self._db.execute("PRAGMA secure_delete = ON")
        self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.execute("PRAGMA synchronous = OFF")  # a killed process loses nothing; a power cut may
        self._db.execute("PRAGMA cache_size = -65536")  # KiB: bulk loading is in no order
        self._db.executescript(SCHEMA.read_text("utf-8"))

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """One transaction, and nobody else's meanwhile."""
        with self._turn:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[Row]:
        with self._turn:
            return self._db.execute(query, values).fetchall()

    def row(self, query: str, values: Sequence[Any] = ()) -> Row | None:
        found = self.rows(query, values)
        return found[0] if found else None

    def close(self) -> None:
        with self._turn:
            self._db.close()
