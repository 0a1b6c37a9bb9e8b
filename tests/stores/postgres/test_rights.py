"""Each role may do what it needs and no more."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from psycopg import errors as pg

from tests.stores.postgres import making
from tests.stores.postgres.making import BUSINESS, Company, Effect, shop_provisions, step


def restricted(shop: Company, *subjects: str) -> None:
    it = step(*subjects)
    store = shop.store()
    store.open(it)
    store.restrict(it)


def test_a_business_role_cannot_list_who_is_restricted(shop: Company) -> None:
    restricted(shop, "A2")
    for role in BUSINESS:
        for columns in ("subject_id", "count(lifted_at)", "*", "case_no"):
            with pytest.raises(pg.InsufficientPrivilege):
                shop.sql(f"SELECT {columns} FROM quietus.restriction", user=role)
        assert shop.value("SELECT slot BETWEEN 0 AND 65535 FROM quietus.restriction", user=role)
        assert shop.value("SELECT count(*) FROM account.account WHERE id = 'A2'", user=role) == 0
        assert shop.value("SELECT count(*) FROM account.account", user=role) == 7
        assert shop.value("SELECT count(*) FROM cert.application", user=role) == 7  # through another table


def test_what_an_older_version_granted_is_taken_back(shop: Company) -> None:
    shop.sql("GRANT SELECT ON quietus.restriction TO shop_app")
    shop.sql(
        "GRANT UPDATE ON quietus.receipt TO eraser; GRANT INSERT ON ALL TABLES IN SCHEMA account TO eraser"
    )
    shop.install()
    with pytest.raises(pg.InsufficientPrivilege):
        shop.sql("SELECT subject_id FROM quietus.restriction", user="shop_app")
    for statement in (
        "UPDATE quietus.receipt SET counts = '{}'",
        "INSERT INTO account.account VALUES ('B1')",
    ):
        with pytest.raises(pg.InsufficientPrivilege):
            shop.sql(statement, user="eraser")


def test_a_scan_over_everybody_asks_about_the_restricted_only(shop: Company) -> None:
    """Else every query of the company over a whole table would pay a function call a row."""
    shop.sql(
        "INSERT INTO account.account SELECT 'C' || i, 'x', 'y' FROM generate_series(1, 3000) i; ANALYZE account.account"
    )
    restricted(shop, "A2", "A3")
    with psycopg.connect(shop.conninfo(shop.admin), autocommit=True) as connection:
        connection.execute("SET track_functions = 'all'; SET ROLE shop_app")
        with connection.transaction():
            assert connection.execute("SELECT count(*) FROM account.account").fetchone() == (3006,)
            (calls,) = connection.execute(
                "SELECT sum(calls) FROM pg_stat_xact_user_functions WHERE funcname = 'is_restricted'"
            ).fetchone() or (None,)
        assert 2 <= calls <= 10  # and those few whose slot is the same by chance
        plan = connection.execute("EXPLAIN SELECT FROM account.account WHERE id = 'A5'").fetchall()
    assert any("account_pkey" in line for (line,) in plan)


def test_the_eraser_writes_what_the_catalogue_maps_and_nothing_else(shop: Company) -> None:
    it = step("A2")
    shop.cancel(it, shop_provisions())
    for statement in (
        "INSERT INTO account.session VALUES (1, 'A1', 'x')",
        "INSERT INTO account.account VALUES ('B1')",
        "TRUNCATE account.session",
        "UPDATE quietus.receipt SET counts = '{}'",
        "UPDATE quietus.receipt SET plan = ''",
        "DELETE FROM quietus.receipt",
        "DELETE FROM quietus.restriction",
        "UPDATE quietus.restriction SET subject_id = 'A1'",
        "INSERT INTO quietus.epoch VALUES (2, 'x')",
    ):
        with pytest.raises(pg.InsufficientPrivilege):
            shop.sql(statement, user="eraser")


def test_what_effects_and_measures_write_the_eraser_may_write(new_company: Callable[..., Company]) -> None:
    account = making.ACCOUNT.model_copy(
        update={"effects": (Effect(table="account.past", operation="insert", reason="history"),), "cut": None}
    )
    company = new_company(
        making.catalogue(account, measures={"note": (
            "-- not: INSERT INTO account.never\n"
            "INSERT INTO account.note SELECT subject_id FROM cohort ON CONFLICT DO NOTHING"
        )}),
        "CREATE SCHEMA account; CREATE TABLE account.account (id text PRIMARY KEY, name text);"
        "CREATE TABLE account.past (id text); CREATE TABLE account.note (id text PRIMARY KEY);"
        "CREATE TABLE account.never (id text);"
        "CREATE FUNCTION account.keep() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO account.past VALUES (OLD.id); RETURN NULL; END $$;"
        "CREATE TRIGGER keep AFTER DELETE ON account.account FOR EACH ROW EXECUTE FUNCTION account.keep();"
        "INSERT INTO account.account VALUES ('A1', 'x'), ('A2', 'y')",
    )  # fmt: skip
    company.cancel(step("A1"), making.provide(company.catalogue))
    assert company.sql("SELECT id FROM account.past UNION ALL SELECT id FROM account.note") == [
        ("A1",),
        ("A1",),
    ]
    with pytest.raises(pg.InsufficientPrivilege):
        company.sql("INSERT INTO account.never VALUES ('x')", user="eraser")


def test_our_permissive_policy_goes_when_the_company_gets_one(shop: Company) -> None:
    """Permissive policies are ORed: ours beside theirs would void the isolation of their tenants."""
    shop.sql("CREATE POLICY tenant ON sign.folder FOR ALL TO PUBLIC USING (id <= 3)")
    assert shop.value("SELECT count(*) FROM sign.folder", user="shop_app") == 8
    (finding,) = shop.store().preflight()
    assert (finding.code, finding.place) == ("policy_voided", "sign.folder")
    shop.install()
    assert list(shop.store().preflight()) == []
    restricted(shop, "A2")
    assert shop.sql("SELECT id FROM sign.folder ORDER BY 1", user="shop_app") == [(1,), (3,)]


def test_a_restrictive_policy_of_the_company_leaves_ours_in_place(shop: Company) -> None:
    shop.sql("CREATE POLICY tenant ON sign.folder AS RESTRICTIVE FOR ALL TO PUBLIC USING (id <= 3)")
    shop.install()
    assert shop.sql("SELECT id FROM sign.folder ORDER BY 1", user="shop_app") == [(1,), (2,), (3,)]
    assert list(shop.store().preflight()) == []


@pytest.mark.parametrize(
    ("grant", "place"),
    [
        ("GRANT shop_app TO prover", "prover"),
        ("GRANT DELETE ON account.session TO prover", "account.session"),
    ],
)
def test_a_prover_that_may_write_is_found_and_a_membership_is_taken_back(
    shop: Company, grant: str, place: str
) -> None:
    shop.sql(grant)
    try:
        assert (("prover_may_write", place)) in [(f.code, f.place) for f in shop.store().preflight()]
    finally:
        shop.sql("REVOKE DELETE ON account.session FROM prover")
        shop.install()
    assert list(shop.store().preflight()) == []
