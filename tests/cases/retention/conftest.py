"""The small shop, and the case book of its nights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from include.cases.keys import FileKeyStore
from tests.cases.retention import house as houses
from tests.cases.retention.house import House
from tests.conftest import PgServer
from tests.stores.postgres.conftest import new_company
from tests.stores.postgres.making import Company

__all__ = ["new_company"]


@pytest.fixture
def pg_server(pg18: PgServer) -> PgServer:
    """Nights on each PostgreSQL are tried where its store is."""
    return pg18


@pytest.fixture
def house(new_company: Callable[..., Company], pg18: PgServer, case_book: str, tmp_path: Path) -> House:
    company = new_company(houses.SHOP, houses.SCHEMA, "nights")
    return House(
        company=company,
        records=lambda role: pg18.conninfo(case_book, role),
        keys=FileKeyStore(tmp_path / "keys", b"k" * 32),
    )
