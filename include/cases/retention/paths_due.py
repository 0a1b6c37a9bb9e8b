"""What a night asks about objects: whether the paths that a bucket has are due, by what the database knows of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from include.cases.retention.asking import Asking
from include.cases.retention.due import answering
from include.cases.retention.held import HeldPeople
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.estate import Dataset
from include.model.words import Role
from include.stores.postgres.live import Live
from include.stores.postgres.retention.paths import Values
from include.stores.postgres.server import Connection, Server


@dataclass
class PathsDue:
    """Of paths of a dataset, those that are due and not held, each with its rule and law; asked as the eraser, or another role.

    ``holds``: what is another after any hold came, went or was narrowed; whom they name is resolved only then. The schema is read
    once, as whoever clears the tables beside them reads it once.
    """

    about: Asking
    connections: Connections
    holds: Callable[[], object] = lambda: None
    role: Role = Role.ERASER
    _held: tuple[object, HeldPeople] | None = field(default=None, init=False, repr=False)
    _live: dict[str, Live] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, dataset: Dataset, paths: Sequence[Values]) -> Mapping[Values, tuple[str, str]]:
        if not paths:
            return {}
        of = len(paths[0])
        with asking(self.about.catalogue, self.connections, dataset, self.role) as (server, connection):
            live = self._live.get(server.store) or self._live.setdefault(server.store, Live.read(connection))
            look = self.about.paths(server, connection, live, dataset, self._of_now())
            look = look.of(dict.fromkeys(paths, 1))
            rows = connection.execute(look.due_rows(look.between(None, None))).fetchall()
        said = list(dict.fromkeys(tuple(row[of + 1 :]) for row in rows))
        fates = dict(zip(said, self.about.fates(look, [(*x, 1) for x in said]), strict=True))
        found = {tuple(map(str, row[:of])): fates[tuple(row[of + 1 :])] for row in rows}
        return {path: fate for path, fate in found.items() if fate is not None}

    def _of_now(self) -> HeldPeople:
        now = self.holds()
        if self._held is None or self._held[0] != now:
            self._held = now, self.about.held()
        return self._held[1]


@contextmanager
def asking(
    catalogue: Catalogue, connections: Connections, dataset: Dataset, role: Role = Role.ERASER
) -> Iterator[tuple[Server, Connection]]:
    """The database that answers for a dataset of objects, in a session that cannot write."""
    store = catalogue.store(answering(catalogue, dataset))
    server = Server(lambda: connections.postgres(store.connection, role), store.id)
    with server.connect() as connection, server.reaching(f"{store.id} {dataset.id}"):
        connection.execute("SET default_transaction_read_only = on")
        yield server, connection
