"""What went is gone, and what stays is there; and each of these can fail."""

from __future__ import annotations

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


def test_the_prover_sees_what_was_located(shop: Company) -> None:
    it = step("A2")
    store = shop.store()
    store.open(it)
    store.restrict(it)
    plan, _ = shop.prepare(it, shop_provisions(), store)
    (evidence,) = proofs.baseline(shop.catalogue, Fixed(shop.conninfo), it, plan)
    assert wrong(evidence) == {}
    assert evidence.verdict is Verdict.PASSED
    assert {c.dataset for c in evidence.checks} == {d.id for d in shop.catalogue.datasets}


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


def test_a_row_that_came_back_is_found_by_name(shop: Company) -> None:
    it, plan = cancelled(shop)
    shop.sql("ALTER TABLE account.session DISABLE TRIGGER ALL")
    shop.sql("INSERT INTO account.session VALUES (21, 'A2', 'x'), (999, 'A2', 'y')")
    evidence = gone(shop, it, plan)
    assert wrong(evidence) == {
        "gone.account.session": Verdict.FAILED,
        "anew.account.session": Verdict.FAILED,
    }
