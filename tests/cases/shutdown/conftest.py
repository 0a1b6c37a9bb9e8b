"""The small shop of the nights, under rules of which some go to a successor."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from include.cases.keys import FileKeyStore
from include.model.catalogue import Catalogue
from include.model.estate import Accounts, Bound, Column, Cut, Start
from include.model.policy import Category, Proposal, RetentionRule
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


LOG, USED = "RS-13", "RS-14"
"""Rules of which a floor is shorter than the company's own limit; and another floor, two months longer."""
LOGGED: tuple[Bound, ...] = (_by(LOG, "at"), Bound(rule=LOG, period="register", start=Start(column="at")))


def owned(of: RetentionRule) -> RetentionRule:
    """The same, whose company periods somebody answers for."""
    proposal = Proposal(owner="legal", approved_on=date(2026, 1, 1))
    periods = (p.model_copy(update={"proposal": proposal}) if p.proposal else p for p in of.periods)
    return of.model_copy(update={"periods": tuple(periods)})


def logging(shop: Catalogue, *datasets: str) -> Catalogue:
    """The same, of which a law keeps clicks half a year and the company a year; tickets also by another floor. ``datasets``: of
    these alone, if any is named."""
    tickets = (
        _by(LOG, "closed"),
        _by(USED, "closed"),
        Bound(rule=LOG, period="register", start=Start(column="closed")),
    )
    clicks = {"columns": {"at": Column(category="PI-003")}, "binds": LOGGED}
    changed: dict[str, dict[str, object]] = {"u.click": clicks, "s.ticket": {"binds": tickets}}
    return shop.model_copy(
        update={
            "datasets": tuple(
                d.model_copy(update=changed.get(d.id, {})) if d.id in (datasets or changed) else d for d in shop.datasets
            ),
            "rules": (
                *shop.rules, owned(rule(LOG, "P6M", "floor", LAW, "CSL 23(3)", register="P12M")),
                rule(USED, "P8M", "floor", LAW, "ECL 31"),
            ),
            "categories": (
                *shop.categories,
                Category(id="PI-003", service="log", zh="log", en="log", sensitive=False, rules=(LOG,), rung=2),
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
