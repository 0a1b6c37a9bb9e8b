"""A role that the catalogue does not declare, and that may read or write the person's rows, is found by name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from include.model.estate import PastRestriction
from include.model.flow import Evidence
from include.model.words import Verdict
from tests.conftest import PgServer
from tests.proofs.test_restricted import restrict, restricted, unproved, with_proof
from tests.stores.postgres.making import Company


@pytest.fixture(scope="module")
def pg_server(pg18: PgServer) -> PgServer:
    """Rights and policies are kept alike in both versions; ``test_restricted`` asks both of them."""
    return pg18


@pytest.fixture
def stranger(shop: Company) -> Iterator[str]:
    shop.sql("CREATE ROLE shop_stranger NOLOGIN")
    yield "shop_stranger"
    shop.sql("DROP OWNED BY shop_stranger; DROP ROLE shop_stranger")


def undeclared(evidence: Evidence) -> dict[str, tuple[Verdict, str]]:
    return {
        c.dataset or c.name: (c.verdict, c.why)
        for c in evidence.checks
        if c.name.startswith("undeclared.") and c.verdict is not Verdict.PASSED
    }


@pytest.mark.parametrize("deed", ["SELECT", "SELECT (ip)", "DELETE"])
def test_a_role_that_nobody_declared_is_found(shop: Company, stranger: str, deed: str) -> None:
    it = restrict(with_proof(shop), "A2", "A4")
    shop.sql(f"GRANT USAGE ON SCHEMA account TO {stranger}; GRANT {deed} ON account.session TO {stranger}")
    ((dataset, (verdict, why)),) = undeclared(restricted(shop, it)).items()
    assert (dataset, verdict) == ("account.session", Verdict.FAILED)
    assert f"{stranger} may {deed.split(maxsplit=1)[0]}" in why and "6 rows" in why


def test_what_everybody_may_is_every_roles_right(shop: Company, stranger: str) -> None:
    it = restrict(with_proof(shop), "A2")
    shop.sql(f"GRANT USAGE ON SCHEMA sign TO {stranger}; GRANT SELECT ON sign.folder TO PUBLIC")
    assert set(undeclared(restricted(shop, it))) == {"sign.folder"}


def test_one_partition_is_enough(shop: Company, stranger: str) -> None:
    it = restrict(with_proof(shop), "A2")
    shop.sql(f"GRANT USAGE ON SCHEMA log TO {stranger}; GRANT SELECT ON log.access_new TO {stranger}")
    ((dataset, (_, why)),) = undeclared(restricted(shop, it)).items()
    assert dataset == "log.access" and "1 rows" in why


def test_a_member_of_a_declared_role_is_held_by_the_same_policy_and_the_trigger_holds_everybody(
    shop: Company, stranger: str
) -> None:
    it = restrict(with_proof(shop), "A2")
    shop.sql(f"GRANT shop_app TO {stranger}")
    evidence = restricted(shop, it)
    assert unproved(evidence) == {}
    (check,) = [c for c in evidence.checks if c.name == "undeclared.account.session"]
    assert f"not tried: {stranger}" in check.why
    shop.sql(f"REVOKE shop_app FROM {stranger}; GRANT USAGE ON SCHEMA account TO {stranger};"
             f" GRANT INSERT ON account.session TO {stranger}")  # fmt: skip
    assert undeclared(restricted(shop, it)) == {}
    shop.sql("ALTER TABLE account.session DISABLE TRIGGER quietus_restriction")
    assert set(undeclared(restricted(shop, it))) == {"account.session"}


def test_where_a_policy_of_the_company_decides_nobody_can_say(shop: Company, stranger: str) -> None:
    it = restrict(with_proof(shop), "A2")
    shop.sql(f"GRANT USAGE ON SCHEMA account TO {stranger}; GRANT SELECT ON account.session TO {stranger};"
             f" CREATE POLICY theirs ON account.session TO {stranger} USING (ip = '10.0.0.1')")  # fmt: skip
    ((dataset, (verdict, why)),) = undeclared(restricted(shop, it)).items()
    assert (dataset, verdict) == ("account.session", Verdict.UNVERIFIED)
    assert stranger in why
    shop.sql("DROP POLICY quietus_base ON account.session; DROP POLICY theirs ON account.session")
    shop.sql(f"ALTER ROLE {stranger} BYPASSRLS")
    ((_, (verdict, _)),) = undeclared(restricted(shop, it)).items()
    assert verdict is Verdict.FAILED


def test_a_copy_that_an_undeclared_role_may_read_is_found(shop: Company, stranger: str) -> None:
    shop.sql(
        "CREATE MATERIALIZED VIEW account.seen AS SELECT account_id, count(*) FROM account.session GROUP BY 1"
    )
    shop.sql(f"GRANT USAGE ON SCHEMA account TO {stranger}; GRANT SELECT ON account.seen TO {stranger}")
    it = restrict(with_proof(shop), "A2")
    assert unproved(restricted(shop, it)) == {f"undeclared.account.seen.{stranger}": Verdict.FAILED}


def test_a_role_that_is_declared_to_be_past_any_restriction_is_said_and_nothing_is_called_hidden(
    shop: Company, stranger: str
) -> None:
    shop.sql(
        "CREATE MATERIALIZED VIEW account.seen AS SELECT account_id, count(*) FROM account.session GROUP BY 1"
    )
    shop.sql(f"ALTER ROLE {stranger} BYPASSRLS; GRANT USAGE ON SCHEMA account TO {stranger};"
             f" GRANT SELECT ON account.session, account.seen TO {stranger}")  # fmt: skip
    said = PastRestriction(role=stranger, reason="it makes the nightly dump")
    (store,) = shop.catalogue.stores
    shop.catalogue = shop.catalogue.model_copy(
        update={"stores": (store.model_copy(update={"past_restriction": (said,)}),)}
    )
    evidence = restricted(shop, restrict(with_proof(shop), "A2"))
    assert undeclared(evidence) == {}
    found = {c.name: c for c in evidence.checks if c.name.endswith(f".{stranger}")}
    assert {name: (c.verdict, c.dataset) for name, c in found.items()} == {
        f"enforced.account.session.{stranger}": (Verdict.UNVERIFIED, "account.session"),
        f"enforced.account.seen.{stranger}": (Verdict.UNVERIFIED, None),
    }
    assert all("it makes the nightly dump" in c.why for c in found.values())
