"""What went is gone, and what stays is there; and each of these can fail."""

from __future__ import annotations

import pytest

from include import proofs
from include.model.flow import Evidence, Plan, Step
from include.model.words import Rung, Verdict
from tests.stores.postgres.making import Company, Fixed, shop_provisions, step


def cancelled(shop: Company) -> tuple[Step, Plan]:
    it = step("A2")
    plan, _ = shop.cancel(it, shop_provisions())
    return it, plan


def gone(shop: Company, it: Step, plan: Plan) -> Evidence:
    (evidence,) = proofs.gone(shop.catalogue, Fixed(shop.conninfo), it, plan)
    return evidence


def wrong(evidence: Evidence) -> dict[str, Verdict]:
    return {c.name: c.verdict for c in evidence.checks if c.verdict is not Verdict.PASSED}


@pytest.mark.parametrize("people", [("A2",), ("A1", "A2")], ids=["one", "two who share a contract"])
def test_the_prover_sees_what_was_located(shop: Company, people: tuple[str, ...]) -> None:
    it = step(*people)
    store = shop.store()
    store.open(it)
    store.restrict(it)
    plan, _ = shop.prepare(it, shop_provisions(), store)
    (evidence,) = proofs.baseline(shop.catalogue, Fixed(shop.conninfo), it, plan)
    assert wrong(evidence) == {}
    assert evidence.verdict is Verdict.PASSED
    assert {c.dataset for c in evidence.checks} == {None, *(d.id for d in shop.catalogue.datasets)}


def test_what_went_is_gone(shop: Company) -> None:
    it, plan = cancelled(shop)
    evidence = gone(shop, it, plan)
    assert wrong(evidence) == {}
    assert {(c.name, c.rung) for c in evidence.checks} >= {
        ("gone.account.session", Rung.R2),
        ("kept.cert.certificate", Rung.R0),
        ("cut.account.account", Rung.R2),
        ("cut.sign.folder", Rung.R2),
        ("frozen.cert.certificate", Rung.R0),
    }
    assert evidence.plan == plan.fingerprint()
    names = {c.name for c in evidence.checks}
    assert "kept.sign.contract" in names and "frozen.sign.contract" not in names, "A1 may go on with it"


def test_a_row_that_came_back_is_found_by_name(shop: Company) -> None:
    it, plan = cancelled(shop)
    shop.sql("ALTER TABLE account.session DISABLE TRIGGER ALL")
    shop.sql("INSERT INTO account.session VALUES (21, 'A2', 'x'), (999, 'A2', 'y')")
    evidence = gone(shop, it, plan)
    assert wrong(evidence) == {
        "gone.account.session": Verdict.FAILED,
        "anew.account.session": Verdict.FAILED,
    }


def test_a_question_that_the_server_refuses_is_no_zero_and_its_neighbours_are_answered(shop: Company) -> None:
    it, plan = cancelled(shop)
    shop.sql("ALTER TABLE account.session RENAME TO session_moved")
    try:
        evidence = gone(shop, it, plan)
    finally:
        shop.sql("ALTER TABLE account.session_moved RENAME TO session")
    bad = wrong(evidence)
    assert set(bad.values()) == {Verdict.UNVERIFIED}
    assert {"gone.account.session", "anew.account.session"} <= bad.keys()
    assert {c.dataset for c in evidence.checks if c.name in bad} == {"account.session"}
    assert any(c.verdict is Verdict.PASSED for c in evidence.checks)
