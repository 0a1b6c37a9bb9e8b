"""A restriction is proved by trying to read and to write as each business role; a flag restricts nothing."""

from __future__ import annotations

from include import proofs
from include.model.flow import Evidence, Step
from include.model.words import Rung, Verdict
from tests.proofs.test_gone import wrong
from tests.stores.postgres import making
from tests.stores.postgres.making import Company, Fixed, step

UNPROVED = {"measure.revoke": Verdict.UNVERIFIED}
STILL_LIVE = """
SELECT c.serial FROM cert.certificate AS c JOIN cohort ON cohort.subject_id = c.account_id
 WHERE c.revoked_on IS NULL AND c.expires_on > %(as_of)s
"""


def restricted(shop: Company, it: Step) -> Evidence:
    (evidence,) = proofs.restricted(shop.catalogue, Fixed(shop.conninfo), it)
    return evidence


def restrict(shop: Company, *subjects: str) -> Step:
    it = step(*subjects)
    store = shop.store()
    store.open(it)
    store.survey(it)
    store.restrict(it)
    return it


def with_proof(shop: Company) -> Company:
    sql = {**shop.catalogue.measure_sql, "revoke.proof": STILL_LIVE}
    shop.catalogue = shop.catalogue.model_copy(update={"measure_sql": sql})
    return shop


def test_every_business_role_reads_and_writes_nothing_of_the_person(shop: Company) -> None:
    it = restrict(with_proof(shop), "A2")
    evidence = restricted(shop, it)
    assert wrong(evidence) == {}
    checks = {c.name: c for c in evidence.checks}
    assert {c.rung for n, c in checks.items() if n.startswith("hidden.")} == {Rung.R1}
    refused = checks["refused.account.session"]
    assert (refused.expected, refused.observed) == (len(making.BUSINESS), len(making.BUSINESS))
    assert checks["measure.revoke"].verdict is Verdict.PASSED


def test_trying_leaves_nothing_behind(shop: Company) -> None:
    it = restrict(shop, "A2")
    before = {d.address: shop.digest(d.address) for d in shop.catalogue.datasets}
    restricted(shop, it)
    assert {d.address: shop.digest(d.address) for d in shop.catalogue.datasets} == before


def test_a_measure_without_a_proof_is_unverified(shop: Company) -> None:
    assert wrong(restricted(shop, restrict(shop, "A2"))) == UNPROVED


def test_a_table_without_its_policy_is_found(shop: Company) -> None:
    it = restrict(with_proof(shop), "A2")
    shop.sql("ALTER TABLE account.session DISABLE ROW LEVEL SECURITY")
    evidence = restricted(shop, it)
    assert wrong(evidence) == {"hidden.account.session": Verdict.FAILED}
    (check,) = [c for c in evidence.checks if c.verdict is Verdict.FAILED]
    assert check.observed == 3 * len(making.BUSINESS)


def test_a_table_that_takes_rows_again_is_found(shop: Company) -> None:
    it = restrict(with_proof(shop), "A2")
    shop.sql("ALTER TABLE account.session DISABLE TRIGGER quietus_restriction")
    shop.sql("DROP POLICY quietus_restriction ON account.session")
    assert wrong(restricted(shop, it)) == {
        "hidden.account.session": Verdict.FAILED,
        "refused.account.session": Verdict.FAILED,
    }


def test_a_certificate_that_lives_on_is_found(shop: Company) -> None:
    it = restrict(with_proof(shop), "A2")
    shop.sql("ALTER TABLE cert.certificate DISABLE TRIGGER quietus_restriction")
    shop.sql("UPDATE cert.certificate SET revoked_on = NULL WHERE account_id = 'A2'")
    assert wrong(restricted(shop, it)) == {"measure.revoke": Verdict.FAILED}


def test_a_materialised_view_that_a_role_may_read_is_found(shop: Company) -> None:
    shop.sql(
        "CREATE MATERIALIZED VIEW account.seen AS SELECT account_id, count(*) FROM account.session GROUP BY 1"
    )
    shop.sql("GRANT SELECT ON account.seen TO shop_app")
    it = restrict(with_proof(shop), "A2")
    assert wrong(restricted(shop, it)) == {"hidden.account.seen.shop_app": Verdict.FAILED}


def test_a_role_that_the_prover_may_not_act_as_leaves_it_unverified(shop: Company) -> None:
    it = restrict(with_proof(shop), "A2")
    shop.sql("REVOKE shop_batch FROM prover")
    try:
        evidence = restricted(shop, it)
    finally:
        shop.install()
    assert set(wrong(evidence).values()) == {Verdict.UNVERIFIED}
    assert {c.dataset for c in evidence.checks if c.verdict is Verdict.UNVERIFIED} == {
        d.id for d in shop.catalogue.datasets
    }
