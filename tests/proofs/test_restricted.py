"""A restriction is proved by trying to read and to write as each business role; a flag restricts nothing."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import errors

from include import proofs
from include.model.flow import Evidence, Step
from include.model.words import Rung, Verdict
from include.proofs.hiding import must_hide
from include.proofs.relational import opened
from tests.proofs.test_gone import wrong
from tests.stores.postgres import making
from tests.stores.postgres.making import Company, Fixed, step

SESSION = ("hidden.account.session", "refused.account.session")
UNPROVED = {"measure.revoke": Verdict.UNVERIFIED}
OPEN = {f"enforced.{d}": Verdict.UNVERIFIED for d in ("sign.contract", "sign.page", "sign.folder")}
"""Of A2: a contract with A1 and its pages, and a folder of A1's that is shown to A2. These stay open to A1."""
STILL_LIVE = """
SELECT c.serial FROM cert.certificate AS c JOIN cohort ON cohort.subject_id = c.account_id
 WHERE c.revoked_on IS NULL AND c.expires_on > %(as_of)s
"""


def restricted(shop: Company, it: Step) -> Evidence:
    (evidence,) = proofs.restricted(shop.catalogue, Fixed(shop.conninfo), it)
    return evidence


def unproved(evidence: Evidence) -> dict[str, Verdict]:
    """What is wrong, but for what stays open to others and says so."""
    return {name: verdict for name, verdict in wrong(evidence).items() if name not in OPEN}


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
    assert unproved(evidence) == {}
    checks = {c.name: c for c in evidence.checks}
    assert {c.rung for n, c in checks.items() if n.startswith("hidden.")} == {Rung.R1}
    refused = checks["refused.account.session"]
    assert (refused.expected, refused.observed) == (3 * len(making.BUSINESS),) * 2  # add, change, delete
    assert checks["undeclared.account.session"].why.startswith("past any restriction")
    assert checks["measure.revoke"].verdict is Verdict.PASSED


def test_what_stays_open_to_others_is_said_and_claimed_by_nobody(shop: Company) -> None:
    """The prover sees that A1 still reads the contract, so of no row of that dataset may it be said that it is hidden."""
    evidence = restricted(shop, restrict(with_proof(shop), "A2"))
    assert wrong(evidence) == OPEN
    said = {c.name: (c.rung, c.why) for c in evidence.checks if c.name in OPEN}
    assert said["enforced.sign.contract"] == (Rung.R1, "1 rows are others' too, and open to them")
    assert shop.value("SELECT count(*) FROM sign.contract WHERE id IN (1, 2)", user="shop_app") == 1
    both = restricted(shop, restrict(shop, "A1", "A2"))
    assert "enforced.sign.contract" not in wrong(both), "nobody else owns it"


def test_trying_leaves_nothing_behind(shop: Company) -> None:
    it = restrict(shop, "A2")
    before = {d.address: shop.digest(d.address) for d in shop.catalogue.datasets}
    restricted(shop, it)
    assert {d.address: shop.digest(d.address) for d in shop.catalogue.datasets} == before


def test_a_measure_without_a_proof_is_unverified(shop: Company) -> None:
    assert unproved(restricted(shop, restrict(shop, "A2"))) == UNPROVED


def test_a_table_without_its_policy_is_found(shop: Company) -> None:
    it = restrict(with_proof(shop), "A2")
    shop.sql("ALTER TABLE account.session DISABLE ROW LEVEL SECURITY")
    evidence = restricted(shop, it)
    # The trigger still refuses what is added and changed; nothing but the policy stops a deletion.
    assert unproved(evidence) == dict.fromkeys(SESSION, Verdict.FAILED)
    hidden, refused = (next(c for c in evidence.checks if c.name == name) for name in SESSION)
    assert hidden.observed == 3 * len(making.BUSINESS)
    assert (refused.expected, refused.observed) == (6, 4)
    assert "shop_app deletes, shop_batch deletes" in refused.why


def test_rows_that_can_be_changed_again_are_found(shop: Company) -> None:
    it = restrict(with_proof(shop), "A2", "A4")
    shop.sql("ALTER TABLE cert.certificate DISABLE TRIGGER quietus_restriction")
    shop.sql("ALTER TABLE cert.certificate DISABLE ROW LEVEL SECURITY")
    before = shop.digest("cert.certificate")
    (check,) = [c for c in restricted(shop, it).checks if c.name == "refused.cert.certificate"]
    for role in making.BUSINESS:
        assert all(f"{role} {deed}" in check.why for deed in ("adds", "changes", "deletes"))
    assert check.observed == 0
    assert shop.digest("cert.certificate") == before


def test_what_a_role_may_write_but_not_aim_at_a_person_is_unverified(shop: Company) -> None:
    it = restrict(with_proof(shop), "A2")
    shop.sql("REVOKE SELECT ON account.session FROM shop_batch")
    evidence = restricted(shop, it)
    assert unproved(evidence) == {"hidden.account.session": Verdict.UNVERIFIED}
    assert "shop_batch may write here without reading whose a row is" in str(evidence.checks)


def test_a_table_that_takes_rows_again_is_found(shop: Company) -> None:
    it = restrict(with_proof(shop), "A2")
    shop.sql("ALTER TABLE account.session DISABLE TRIGGER quietus_restriction")
    shop.sql("DROP POLICY quietus_restriction ON account.session")
    assert unproved(restricted(shop, it)) == {
        "hidden.account.session": Verdict.FAILED,
        "refused.account.session": Verdict.FAILED,
    }


def test_a_certificate_that_lives_on_is_found(shop: Company) -> None:
    it = restrict(with_proof(shop), "A2")
    shop.sql("ALTER TABLE cert.certificate DISABLE TRIGGER quietus_restriction")
    shop.sql("UPDATE cert.certificate SET revoked_on = NULL WHERE account_id = 'A2'")
    assert unproved(restricted(shop, it)) == {"measure.revoke": Verdict.FAILED}


def test_a_materialised_view_that_a_role_may_read_is_found(shop: Company) -> None:
    shop.sql(
        "CREATE MATERIALIZED VIEW account.seen AS SELECT account_id, count(*) FROM account.session GROUP BY 1"
    )
    shop.sql("GRANT SELECT ON account.seen TO shop_app")
    it = restrict(with_proof(shop), "A2")
    assert unproved(restricted(shop, it)) == {"hidden.account.seen.shop_app": Verdict.FAILED}


def test_a_role_that_may_not_read_the_key_is_looked_at_by_what_it_may_read(shop: Company) -> None:
    shop.sql("REVOKE SELECT ON account.session FROM shop_batch")
    shop.sql("GRANT SELECT (account_id) ON account.session TO shop_batch")
    it = restrict(with_proof(shop), "A2")
    assert unproved(restricted(shop, it)) == {}
    shop.sql("ALTER TABLE account.session DISABLE ROW LEVEL SECURITY")
    evidence = restricted(shop, it)
    assert unproved(evidence) == dict.fromkeys(SESSION, Verdict.FAILED)
    assert next(c.observed for c in evidence.checks if c.name == "hidden.account.session") == 3 + 3
    shop.sql("REVOKE SELECT ON account.session FROM shop_batch")
    shop.sql("GRANT SELECT (ip) ON account.session TO shop_batch")
    evidence = restricted(shop, it)
    assert unproved(evidence) == {"hidden.account.session": Verdict.UNVERIFIED}
    assert "shop_batch may read some columns (ip)" in str(evidence.checks)


def test_writes_are_tried_for_several_of_a_cohort(shop: Company) -> None:
    it = restrict(with_proof(shop), "A2", "A4", "A6")
    evidence = restricted(shop, it)
    assert unproved(evidence) == {}
    refused = next(c for c in evidence.checks if c.name == "refused.account.session")
    assert (refused.expected, refused.observed) == ((3 + 2) * len(making.BUSINESS),) * 2


UNABLE = {
    "it is not there": 'DROP FUNCTION quietus."as shop_batch"',
    "the prover may not use it": 'REVOKE ALL ON FUNCTION quietus."as shop_batch" FROM prover',
    "it runs as the prover": 'ALTER FUNCTION quietus."as shop_batch" SECURITY INVOKER',
    "it runs as somebody else": 'ALTER FUNCTION quietus."as shop_batch" OWNER TO shop_app',
    "it looks elsewhere": 'ALTER FUNCTION quietus."as shop_batch" SET search_path = account',
}


@pytest.mark.parametrize("why", UNABLE)
def test_a_role_that_the_prover_may_not_act_as_leaves_it_unverified(shop: Company, why: str) -> None:
    it = restrict(with_proof(shop), "A2")
    shop.sql(UNABLE[why])
    evidence = restricted(shop, it)
    assert set(unproved(evidence).values()) == {Verdict.UNVERIFIED}
    assert {c.dataset for c in evidence.checks if c.verdict is Verdict.UNVERIFIED} == {
        d.id for d in shop.catalogue.datasets
    }


def test_the_prover_can_write_nothing_not_even_as_a_business_role(shop: Company) -> None:
    """Read-only is a setting that the prover may change; that it lacks every right to write is not."""

    def attempt(statement: str, *parameters: object) -> Any:
        with psycopg.connect(shop.conninfo("prover")) as connection:
            connection.read_only = False
            return connection.execute(statement, parameters).fetchone()  # type: ignore[arg-type]

    insert = "INSERT INTO account.account VALUES ('B1')"
    for statement in ("SET ROLE shop_app", insert, "DELETE FROM account.session"):
        with pytest.raises(errors.InsufficientPrivilege):
            attempt(statement)
    before = shop.digest("account.account")
    act = "SELECT n, code FROM quietus.\"as shop_app\"(%s, '{}')"
    assert attempt(act, f"WITH w AS ({insert}) SELECT 1") == (1, None)
    for way_out in ("COMMIT", "SET ROLE prover", "SET SESSION AUTHORIZATION prover"):
        assert attempt(act, way_out)[1] is not None
    assert shop.digest("account.account") == before


def test_one_business_role_cannot_act_as_another(shop: Company) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        shop.sql("SELECT quietus.\"as shop_batch\"('SELECT 1', '{}')", user="shop_app")


# --- the people of the step -----------------------------------------------------------------------


def test_the_restriction_is_proved_of_the_people_of_the_step_whatever_the_step_area_says(
    shop: Company,
) -> None:
    it = restrict(with_proof(shop), "A2")
    shop.sql(f"UPDATE q_{it.id}.cohort SET subject_id = 'A4'; TRUNCATE q_{it.id}.\"account.session\"")
    assert unproved(restricted(shop, it)) == {}
    shop.sql("ALTER TABLE account.session DISABLE ROW LEVEL SECURITY")
    assert set(unproved(restricted(shop, it))) == set(SESSION)
    other = it.model_copy(update={"subjects": ("A4",)})
    assert "listed.company" in wrong(restricted(shop, other))


def test_a_contract_with_another_party_is_not_asked_to_be_hidden(shop: Company) -> None:
    # A3 and A4 sign contract 3; A4 alone signs 4. Of both together, both are hidden.
    for subjects, n in ((("A4",), 1), (("A3", "A4"), 2)):
        tables = opened(shop.catalogue, Fixed(shop.conninfo), step(*subjects), shop.catalogue.stores[0])
        with tables[0].connect() as connection:
            found = must_hide(connection, tables[1], making.CONTRACT)
            pages = must_hide(connection, tables[1], making.PAGE)
        assert (len(found.keys), len(pages.keys)) == (n, 2 * n)
