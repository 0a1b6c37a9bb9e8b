"""The small shop of the nights, under rules of which some go to a successor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from include.cases.keys import FileKeyStore
from include.model.catalogue import Accounts, Bound, Catalogue, Category, Column, Cut, Start
from include.model.words import LegalRank
from tests.cases.retention import house as houses
from tests.cases.retention.house import House
from tests.cases.small import rule
from tests.conftest import PgServer
from tests.stores.postgres.conftest import new_company
from tests.stores.postgres.making import Company, catalogue, dataset, own, via

__all__ = ["new_company"]

LAW = LegalRank.LAW


def _by(rule_id: str, column: str | None) -> Bound:
    return Bound(rule=rule_id, start=Start(column=column) if column else None)


SHOP: Catalogue = catalogue(
    dataset("a.account", "id", own("id"), cut=Cut(set={"name": None}), accounts=Accounts(ended="ended"),
            columns={"name": Column(category="PI-001")}),
    dataset("u.visit", "id", own("account_id"), binds=(_by("RS-03", "at"),), columns={"path": Column(category="PI-002")}),
    dataset("u.click", "id", own("account_id"), binds=(_by("RS-22", None),)),
    dataset("s.ticket", "id", own("account_id"), binds=(_by("RS-12", "closed"),)),
    dataset("s.note", "id", via("s.ticket", ticket_id="id"), binds=(_by("RS-07", None), _by("RS-03", "written"))),
).model_copy(
    update={
        "rules": (
            rule("RS-01", "P30D", "ceiling", LAW, "PIPL 47"), rule("RS-03", "P5Y", "both", LAW, "ESL 24"),
            rule("RS-07", "P1D", "ceiling", LAW, "PIPL 19"), rule("RS-12", "P1Y", "both", LAW, "CSL 23(3)"),
            rule("RS-22", "P3Y", "both", LAW, "PIPL 56"),
        ),
        "categories": tuple(
            Category(id=i, service=s, zh=i, en=i, sensitive=False, rules=(r,))
            for i, s, r in [("PI-001", "reg", "RS-01"), ("PI-002", "cert", "RS-03")]
        ),
    }
)  # fmt: skip


@pytest.fixture
def pg_server(pg18: PgServer) -> PgServer:
    """Orders are about each store's own verbs; those are tried on each PostgreSQL where they are."""
    return pg18


@pytest.fixture
def house(new_company: Callable[..., Company], pg18: PgServer, case_book: str, tmp_path: Path) -> House:
    return House(
        company=new_company(SHOP, houses.SCHEMA, "shutdown"),
        records=lambda role: pg18.conninfo(case_book, role),
        keys=FileKeyStore(tmp_path / "keys", b"k" * 32),
    )
