"""The sandbox company's database, with nobody in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

if TYPE_CHECKING:
    from tests.conftest import PgServer

SCHEMA = Path("include/sandbox/schema")


@pytest.fixture
def company(pg18: PgServer) -> tuple[PgServer, str]:
    """The server and the name of a fresh database; the schema is made once a session."""

    def build(conninfo: str) -> None:
        with psycopg.connect(conninfo) as conn:
            for file in sorted(SCHEMA.glob("*.sql")):
                conn.execute(file.read_text("utf-8").encode())

    return pg18, pg18.fresh_database("catalogue_company", build)
