"""A case book on a real server: one migrated database a test, copied from a template."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from include.cases.migrate import migrate
from tests.conftest import PgServer

ROLES = {"case_writer": "quietus_case_writer", "reader": "quietus_reader"}


def build(conninfo: str) -> None:
    import psycopg
    from psycopg import sql

    migrate(conninfo)
    with psycopg.connect(conninfo) as conn:
        for login, group in ROLES.items():
            conn.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(login)))


@pytest.fixture
def case_book(pg18: PgServer) -> Iterator[str]:
    """The name of a fresh, migrated case book. It goes with the test: a thousand of them are ten gigabytes."""
    for login in ROLES:
        pg18.add_role(login)
    name = pg18.fresh_database("case_book", build)
    yield name
    pg18.drop_database(name)


@pytest.fixture
def database(pg18: PgServer, case_book: str) -> str:
    """Its conninfo as the owner."""
    return pg18.conninfo(case_book)


@pytest.fixture
def writer(pg18: PgServer, case_book: str) -> str:
    return pg18.conninfo(case_book, "case_writer")


@pytest.fixture
def reader(pg18: PgServer, case_book: str) -> str:
    return pg18.conninfo(case_book, "reader")
