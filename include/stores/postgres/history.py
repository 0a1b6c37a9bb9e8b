"""Where the database's log stands, and of which history that is."""

from __future__ import annotations

from dataclasses import replace
from typing import LiteralString

from psycopg import sql

from include.model.backups import lsn
from include.model.history import History
from include.stores.postgres.server import Connection, one

_COUNTER = "(SELECT max(no) FROM quietus.epoch)"
_NOW = """
SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system()),
       ('x' || left(pg_walfile_name(here.lsn), 8))::bit(32)::int,
       {counter}, here.lsn::text, clock_timestamp()
  FROM (SELECT pg_current_wal_insert_lsn() AS lsn) AS here"""


def now(connection: Connection, counter: LiteralString = _COUNTER) -> History:
    """After a commit it is past what was committed; read late it is only further on."""
    system, timeline, counter_, position, moment = one(
        connection.execute(sql.SQL(_NOW).format(counter=sql.SQL(counter)))
    )
    return History(system, timeline, counter_, lsn(position), moment)


def on_disk(connection: Connection, *, counted: bool = True) -> History:
    """The same, but its position is what no crash takes back: to be held against what it says later. Not ``counted``: a
    database that we may not change has no counter of ours, and says 0."""
    (flushed,) = one(connection.execute("SELECT pg_current_wal_flush_lsn()::text"))
    return replace(now(connection, _COUNTER if counted else "0"), position=lsn(flushed))


def disposed(connection: Connection, steps: tuple[str, ...]) -> bool:
    """Whether every one of these steps has the receipt of a disposal here."""
    (missing,) = one(
        connection.execute(
            "SELECT count(*) FROM unnest(%s::text[]) AS s(step)"
            " WHERE NOT EXISTS (SELECT FROM quietus.receipt r WHERE r.step = s.step AND r.verb = 'dispose')",
            [list(steps)],
        )
    )
    return bool(missing == 0)
