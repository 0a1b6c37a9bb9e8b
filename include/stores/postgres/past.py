"""A database's own history, and its quarantine: what is asked and done where it may have been restored.

Who calls these is the eraser. What needs more rights than his are functions of the schema's owner
(``sql/quarantine.sql``), each of which does one thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import NotReachable, Refused
from include.model.estate import Dataset
from include.model.history import Deed, History
from include.model.times import prc_date
from include.model.words import Role
from include.stores.postgres import history
from include.stores.postgres.area import Area
from include.stores.postgres.server import Connection, Patience, Server, name, one

REPLAYED = "replayed"
NIGHTLY = "nightly"
BATCH = 10_000  # account ids that are handed on at once


@dataclass(frozen=True)
class Quarantine:
    """What a quarantine came to. ``open_to``: roles that may still connect, and must not; ``ended``: their sessions."""

    open_to: tuple[str, ...]
    ended: int


class Past:
    """Asks one PostgreSQL store where it stands, closes it, and opens it again."""

    def __init__(
        self, catalogue: Catalogue, store: str, connections: Connections, patience: Patience | None = None
    ) -> None:
        self.store = store
        self._catalogue = catalogue
        self.declared = catalogue.store(store)
        connection = self.declared.connection
        self._server = Server(lambda: connections.postgres(connection, Role.ERASER), store, patience)

    def history(self) -> History:
        """Where it stands now. Raises NotReachable; a standby that follows another server cannot say, either."""
        with self._asking() as connection:
            if one(connection.execute("SELECT pg_is_in_recovery()"))[0]:
                raise NotReachable(
                    "the server is in recovery, or follows another one", about=f"store {self.store}",
                    next_step="let recovery end, or point the connection at the primary",
                )  # fmt: skip
            return history.on_disk(connection, counted=self.declared.modifiable)

    def go_forward(self, reason: str, beyond: int = 0) -> int:
        """One more in our counter, past ``beyond``; the new number, committed."""
        with self._asking() as connection:
            return int(one(connection.execute("SELECT quietus.go_forward(%s, %s)", [reason, beyond]))[0])

    def counted_on(self) -> date:
        """The day (in China) of the last step of our counter here."""
        with self._asking() as connection:
            last = one(connection.execute("SELECT max(started_at) FROM quietus.epoch"))[0]
        return prc_date(last)

    def lacks(self, deeds: Iterable[Deed]) -> tuple[Deed, ...]:
        """Which of these the store has no receipt of."""
        known = list(deeds)
        with self._asking() as connection:
            there = {
                Deed(step, verb, chunk)
                for step, verb, chunk in connection.execute(
                    "SELECT r.step, r.verb, r.chunk FROM quietus.receipt AS r"
                    " JOIN unnest(%s::text[], %s::text[], %s::int[]) AS k(step, verb, chunk) USING (step, verb, chunk)",
                    [[d.step for d in known], [d.verb for d in known], [d.chunk for d in known]],
                )
            }
        return tuple(d for d in known if d not in there)

    def people(self) -> Iterator[tuple[str, ...]]:
        """Everybody this store may know, by account id, in batches: its accounts, else whoever its rows name; and whom
        its restriction list names, whose account may be gone while something that the law kept is not."""
        with self._asking() as connection, connection.transaction():
            parts: list[sql.Composable] = [
                sql.SQL("SELECT {}::text AS id FROM {} WHERE {} IS NOT NULL").format(
                    name(column), name(dataset.address), name(column)
                )
                for dataset, column in self._naming()
            ]
            parts.append(sql.SQL("SELECT subject_id FROM quietus.restriction"))
            with connection.cursor() as cursor:
                cursor.execute(
                    sql.SQL(
                        "DECLARE people NO SCROLL CURSOR FOR SELECT id FROM ({}) AS p(id) GROUP BY id ORDER BY id"
                    ).format(sql.SQL(" UNION ALL ").join(parts))
                )
                while rows := cursor.execute(f"FETCH {BATCH} FROM people").fetchall():
                    yield tuple(str(row[0]) for row in rows)

    def cohort(self, step: str) -> tuple[str, ...] | None:
        """Who a step was opened with here; None if it is not open."""
        area = Area.of(step)
        with self._asking() as connection:
            if one(connection.execute("SELECT to_regclass(%s)", [f'"{area.schema}".cohort']))[0] is None:
                return None
            rows = connection.execute(
                sql.SQL("SELECT subject_id FROM {} ORDER BY subject_no").format(area.cohort)
            ).fetchall()
        return tuple(str(row[0]) for row in rows)

    def quarantine(self) -> Quarantine:
        """No application connects any more, and none is connected. Again does what is left to do.

        Raises Refused if the server does not let it: whoever installed us may then not revoke what he did not grant.
        """
        with self._asking() as connection:
            still = {role for (role,) in connection.execute("SELECT role FROM quietus.quarantine()")}
            ended = int(one(connection.execute("SELECT quietus.end_sessions()"))[0])
        return Quarantine(tuple(sorted(still & set(self.declared.business_roles))), ended)

    def quarantined(self) -> bool:
        """Whether a quarantine is open here."""
        with self._asking() as connection:
            return bool(
                one(
                    connection.execute(
                        "SELECT EXISTS (SELECT FROM quietus.closed AS c WHERE c.lifted_at IS NULL)"
                    )
                )[0]
            )

    def release(self) -> None:
        """Give the database back to those who could connect before. Raises Refused unless a replay ended since."""
        with self._asking() as connection:
            if not one(connection.execute("SELECT quietus.release()"))[0]:
                raise Refused(
                    "nothing was replayed since the quarantine began", about=f"store {self.store}",
                    next_step=f"run `quietus replay run {self.store}`, which releases it at its end",
                )  # fmt: skip

    def _naming(self) -> list[tuple[Dataset, str]]:
        tables = [d for d in self._catalogue.of_store(self.store) if "." in d.address]
        home = [(d, d.key[0]) for d in tables if d.accounts is not None]
        return home or [(d, link.column) for d in tables for link in d.links if link.column]

    @contextmanager
    def _asking(self) -> Iterator[Connection]:
        with self._server.connect() as connection, self._server.reaching():
            yield connection
