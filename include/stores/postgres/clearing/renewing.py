"""While the next table's rows go, the statistics of the last one are renewed, on a connection of their own.

Statistics keep values of rows that are gone until they are renewed, and the server reads as much for that whether a thousand rows
went or a million: of two large tables it takes longer than to find what is due in them. Nothing that follows needs it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psycopg

from include.model.errors import QuietusError
from include.model.estate import Dataset
from include.stores.postgres.afterwards import renew
from include.stores.postgres.server import Connection, Server


@dataclass
class Renewing:
    """``datasets``: all that the store has; what a deed on one of them is declared to write elsewhere is never renewed ahead.
    ``in_files``: those whose partitions may go whole. Such a one is locked with all that refers to it, and would wait for us with
    the company's own work behind it: nothing is begun before the last of them is done."""

    server: Server
    datasets: Sequence[Dataset]
    in_files: Collection[str] = ()
    _pool: ThreadPoolExecutor = field(init=False, repr=False)
    _begun: dict[str, Future[None]] = field(default_factory=dict, init=False, repr=False)
    _at_work: Connection | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="statistics")
        self._fed = {e.table for d in self.datasets for e in d.effects}

    def begin(self, done: Sequence[Dataset], to_come: Sequence[Dataset]) -> None:
        """Rows of ``done`` went, and none will any more before those of ``to_come`` have."""
        if any(d.id in self.in_files for d in to_come):
            return
        later = {d.address for d in to_come} | self._fed
        for address in {d.address for d in done} - later - self._begun.keys():
            self._begun[address] = self._pool.submit(self._renew, address)

    def renewed(self) -> frozenset[str]:
        """The addresses of which the statistics are those of now; waits for what was begun. What failed is not among them: it is
        tried once more at the end, like all the others."""
        return frozenset(a for a, future in self._begun.items() if _succeeded(future))

    def _renew(self, address: str) -> None:
        with self.server.connect() as connection, self.server.reaching(f"{self.server.store} {address}"):
            self._at_work = connection
            try:
                renew(connection, [address])
            finally:
                self._at_work = None

    def give_up(self) -> None:
        """Whoever stops a night does not wait for a large table to be read."""
        if (connection := self._at_work) is not None:
            with suppress(psycopg.Error):
                connection.cancel()

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def renewing(server: Server, datasets: Sequence[Dataset], in_files: Collection[str]) -> Iterator[Renewing]:
    """Nothing of it runs any more when this is left, however it is left."""
    ahead = Renewing(server, datasets, in_files)
    try:
        yield ahead
    except BaseException:
        ahead.give_up()
        raise
    finally:
        ahead.close()


def _succeeded(future: Future[None]) -> bool:
    try:
        future.result()
    except QuietusError:
        return False
    return True
