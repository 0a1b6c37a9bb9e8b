"""The small company on each server, ready for use. A copy of a prepared database per test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.conftest import PgServer
from tests.stores.postgres import making
from tests.stores.postgres.making import BUSINESS, Company

ADMIN = "quietus_admin"


@pytest.fixture
def new_company(pg_server: PgServer) -> Iterator[Callable[..., Company]]:
    """``new_company(catalogue, ddl, template)``: a database with this schema, with Quietus installed."""
    made: list[str] = []
    for role in BUSINESS:
        pg_server.add_role(role)

    def new(
        catalogue: making.Catalogue, ddl: str, template: str = "", *, install: bool = True, **options: object
    ) -> Company:
        def build(conninfo: str) -> None:
            with psycopg.connect(conninfo, autocommit=True) as connection:
                connection.execute(ddl)  # type: ignore[arg-type]
            if install:
                making.install(conninfo, catalogue, "company")

        name = pg_server.fresh_database(template, build) if template else pg_server.fresh_database()
        made.append(name)
        if not template:
            build(pg_server.conninfo(name))
        # A database's own privileges are not copied from its template.
        with pg_server.admin() as connection:
            connection.execute(f"GRANT CREATE ON DATABASE {name} TO eraser")
        return Company(lambda role: pg_server.conninfo(name, role), catalogue, ADMIN, dict(options))

    with pg_server.memberships_apart():
        yield new
        for name in made:
            pg_server.drop_database(name)


@pytest.fixture
def shop(new_company: Callable[..., Company]) -> Company:
    """Eight people of the small company."""
    return new_company(making.SHOP, making.SCHEMA + making.PEOPLE.format(n=8), "shop8")
