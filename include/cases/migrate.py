"""Bring the case book's schema up to date: ``python -m include.cases.migrate CONNINFO``.

Run as the database's owner, who needs CREATEROLE unless the group roles exist. Running it again changes
nothing. Log-in roles are members of ``quietus_case_writer`` or ``quietus_reader``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from include.model.errors import NotReachable, QuietusError, Refused

MIGRATIONS = Path(__file__).with_name("migrations")
_LOCK = 0x5175_6965_6361  # any constant of ours: two migrations at once wait for each other


def migrate(conninfo: str, revision: str = "head") -> None:
    """Upgrade to a revision. Raises NotReachable, or Refused if the role may not."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine(
        "postgresql+psycopg://",
        poolclass=NullPool,
        creator=lambda: psycopg.connect(conninfo, connect_timeout=10, options="-c lock_timeout=20s"),
    )
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            connection.execute(text("CREATE SCHEMA IF NOT EXISTS casebook"))
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    except psycopg.OperationalError:
        raise _silent() from None
    except DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None)
        if isinstance(error.orig, psycopg.OperationalError) and (
            state is None or state.startswith(("08", "57"))
        ):
            raise _silent() from None
        raise Refused(
            f"the schema could not be brought up to date ({state})", about="case book",
            next_step="run as the database's owner, with CREATEROLE or the group roles made before",
        ) from None  # fmt: skip


def _silent() -> NotReachable:
    return NotReachable(
        "the database does not answer", about="case book", next_step="check the server, then try again"
    )


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m include.cases.migrate CONNINFO\n")
        return 2
    try:
        migrate(arguments[0])
    except QuietusError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
