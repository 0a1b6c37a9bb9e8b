"""One person's way through the verbs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from include.model.estate import Cut
from include.model.flow import Floor, Held, Line
from include.model.times import Counting
from include.model.words import Disposition, Ownership
from tests.stores.postgres import making
from tests.stores.postgres.making import (
    ACCOUNT,
    TODAY,
    Company,
    fates,
    holding,
    provide,
    shop_provisions,
    step,
)

TABLES = (
    "account.account",
    "account.session",
    "sign.contract",
    "sign.party",
    "sign.page",
    "cert.certificate",
    "cert.application",
    "log.access",
    "sign.folder",
)


def test_preflight_of_a_sound_company_finds_nothing(shop: Company) -> None:
    assert list(shop.store().preflight()) == []


def test_what_starts_with_the_case_runs_from_its_first_step_and_not_anew(shop: Company) -> None:
    """The case wakes for something else: its three years are not three more."""
    relation = Floor(
        rule="RS-22", period="main", duration="P3Y", counting=Counting.CALENDAR, start=None, law="PIPL 56"
    )
    provisions = provide(shop.catalogue, account_session=(relation,))
    for since, until in (
        (None, TODAY.replace(year=2029)),
        (date(2024, 1, 1), date(2027, 1, 1)),
        (date(2022, 1, 1), None),
    ):
        it = step("A2").model_copy(update={"since": since})
        store = shop.store()
        store.open(it)
        store.restrict(it)
        store.settle(it)
        (line,) = shop.prepare(it, provisions, store)[0].lines_of("account.session")
        assert (line.disposition, line.until) == (Disposition.RETAIN if until else Disposition.ERASE, until)
        assert line.waits_for is None


def test_a_person_goes_but_for_what_law_and_others_keep(shop: Company) -> None:
    it = step("A2")  # owns contract 2 alone, shares contract 1 with A1; certificate live until 2027
    plan, receipt = shop.cancel(it, shop_provisions())

    assert fates(plan) == {
        "account.account": {"deidentify": 1},  # kept as a key only: certificates refer to it
        "account.session": {"erase": 3},
        "sign.party": {"erase": 2},
        "sign.contract": {"erase": 1, "retain": 1},
        "sign.page": {"erase": 2, "retain": 2},
        "cert.certificate": {"retain": 2},
        "cert.application": {"retain": 1},
        "log.access": {"erase": 1, "retain": 1},
        "sign.folder": {"erase": 1, "unlink": 1},
    }
    # Restricting revoked the live certificate today, so its five years end on this day in 2031.
    (line,) = plan.lines_of("cert.application")
    assert line.until == date(2031, 11, 24)
    (access,) = [x for x in plan.lines_of("log.access") if x.disposition is Disposition.RETAIN]
    assert access.until == date(2027, 5, 1)
    assert receipt.counts["account.session"] == {"erased": 3}
    assert receipt.position["lsn"] and receipt.position["xid"]

    assert shop.sql("SELECT * FROM account.account WHERE id = 'A2'") == [("A2", None, None)]
    assert shop.value("SELECT count(*) FROM account.session WHERE account_id = 'A2'") == 0
    assert shop.value("SELECT count(*) FROM sign.contract WHERE id = 1") == 1
    assert shop.value("SELECT count(*) FROM sign.contract WHERE id = 2") == 0
    assert shop.sql("SELECT owner_id, viewer_id FROM sign.folder WHERE id = 1") == [("A1", None)]


def test_nothing_of_anybody_else_changes(shop: Company) -> None:
    others = {
        "account.account": "id <> 'A2'",
        "account.session": "account_id <> 'A2'",
        "sign.contract": "id <> 2",
        "sign.party": "account_id <> 'A2'",
        "sign.page": "contract_id <> 2",
        "cert.certificate": "account_id <> 'A2'",
        "cert.application": "serial <> 'S2b'",
        "log.access": "account_id <> 'A2'",
        "sign.folder": "owner_id <> 'A2' AND id <> 1",
    }
    assert set(others) == set(TABLES)
    before = {table: shop.digest(table, where) for table, where in others.items()}
    shop.cancel(step("A2"), shop_provisions())
    assert {table: shop.digest(table, where) for table, where in others.items()} == before


def test_a_second_step_finds_nothing_left_to_do(shop: Company) -> None:
    shop.cancel(step("A1"), shop_provisions())
    before = {table: shop.digest(table) for table in TABLES}
    plan, _ = shop.cancel(step("A1"), shop_provisions())
    assert {table: shop.digest(table) for table in TABLES} == before
    assert all(
        not x.disposition.changes_data or x.dataset == ACCOUNT.id or x.dataset == "cert.certificate"
        for x in plan.lines
    )


def test_the_same_dispose_again_is_its_receipt(shop: Company) -> None:
    it = step("A3")
    plan, receipt = shop.cancel(it, shop_provisions())
    assert shop.store().dispose(it, plan) == receipt
    assert [r.verb for r in shop.store().receipts(it)] == ["restrict", "dispose"]


def test_closing_drops_the_area_and_keeps_the_receipts(shop: Company) -> None:
    it = step("A4")
    shop.cancel(it, shop_provisions())
    shop.store().close(it)
    shop.store().close(it)
    assert shop.value("SELECT to_regnamespace(%s)::text", f"q_{it.id}") is None
    assert len(shop.store().receipts(it)) == 2


def test_of_two_needs_that_last_as_long_the_plan_and_the_disposal_name_the_same(shop: Company) -> None:
    # Contract 1 is needed by the party rows of A1 and A2, each held by an order of its own; contract 2 by that of A2.
    holds = tuple(
        Held(hold=f"HOLD-00000{n}", subject_nos=(no,), law="Arb. Law 58") for n, no in ((2, 0), (1, 1))
    )
    provisions = [
        p.model_copy(update={"holds": holds}) if p.dataset == "sign.party" else p for p in shop_provisions()
    ]
    plan, _ = shop.cancel(step("A1", "A2"), provisions)
    (kept,) = [x for x in plan.lines_of("sign.contract") if x.disposition is Disposition.RETAIN]
    assert (kept.items, kept.waits_for, kept.kept_for) == (2, "HOLD-000001", "HOLD-000001")


def test_what_a_hold_keeps_says_so_and_what_is_kept_anyway_says_what_it_would_without(shop: Company) -> None:
    """A hold may be confidential: nothing of it may stand where the person reads the law and the date."""
    without, _ = shop.prepare(step("A2"), shop_provisions())

    # The account is cut either way: for the five years of the certificates, or for the hold alone.
    plan, _ = shop.prepare(step("A2"), holding(shop_provisions(), "cert.certificate", 0))
    (held,) = plan.lines_of("cert.certificate")
    assert (held.disposition, held.hold, held.kept_for) == (Disposition.HOLD, "HOLD-000001", None)
    (account,) = plan.lines_of("account.account")
    assert (account.disposition, account.law, account.kept_for) == (
        Disposition.DEIDENTIFY, "PIPL 47", "HOLD-000001",
    )  # fmt: skip

    # The certificates have a period of their own: a hold on an application changes nothing that is said of them.
    plan, _ = shop.prepare(step("A2"), holding(shop_provisions(), "cert.application", 0))
    assert [x for x in plan.lines if x.hold] == list(plan.lines_of("cert.application"))
    (noted,) = [x for x in plan.lines if x.kept_for]
    assert noted.dataset == "cert.certificate"
    for dataset in ("cert.certificate", "account.account"):
        said: dict[Line, int] = {}
        for line in plan.lines_of(dataset):
            as_if = line.model_copy(update={"kept_for": None, "items": 1})
            said[as_if] = said.get(as_if, 0) + line.items
        assert {x.model_copy(update={"items": n}) for x, n in said.items()} == set(without.lines_of(dataset))


def test_what_a_dataset_outside_the_step_refers_to_stays(shop: Company) -> None:
    # A folder that V may see names V; on a night that works on accounts alone nobody takes the name out.
    shop.sql(
        "INSERT INTO account.account VALUES ('V', 'name', '13900000');"
        "UPDATE sign.folder SET viewer_id = 'V' WHERE id = 3; UPDATE sign.folder SET viewer_id = 'A1' WHERE id <> 3;"
        "ALTER TABLE sign.folder ADD FOREIGN KEY (viewer_id) REFERENCES account.account"
    )
    (account,) = [p for p in shop_provisions() if p.dataset == "account.account"]
    plan, _ = shop.cancel(step("V"), [account.model_copy(update={"cut": None})])
    assert fates(plan) == {"account.account": {"retain": 1}}
    assert shop.value("SELECT viewer_id FROM sign.folder WHERE id = 3") == "V"


def test_a_link_that_names_somebody_else_still_holds_what_it_refers_to(
    new_company: Callable[..., Company],
) -> None:
    # A2 owns the desk that is called after A3. A folder that both may see stands on it: only A2 is taken out of it.
    company = new_company(
        making.catalogue(
            making.dataset("co.desk", "name", making.own("owner_id")),
            making.dataset(
                "co.folder", "id",
                making.own("viewer_id", Ownership.ACCESS_ONLY), making.own("other_id", Ownership.ACCESS_ONLY),
                action="unlink", cut=Cut(set={"viewer_id": None, "other_id": None}),
            ),
        ),
        "CREATE SCHEMA co; CREATE TABLE co.desk (name text PRIMARY KEY, owner_id text);"
        "CREATE TABLE co.folder (id int PRIMARY KEY, viewer_id text REFERENCES co.desk, other_id text);"
        "INSERT INTO co.desk VALUES ('A3', 'A2'); INSERT INTO co.folder VALUES (1, 'A3', 'A2')",
    )  # fmt: skip
    plan, _ = company.cancel(step("A2"), making.provide(company.catalogue))
    assert fates(plan) == {"co.desk": {"retain": 1}, "co.folder": {"unlink": 1}}
    assert company.sql("SELECT * FROM co.folder") == [(1, "A3", None)]


def test_statistics_are_renewed_where_rows_stay_too(shop: Company) -> None:
    """Else they go on telling what a row said before the person had it corrected."""
    shop.sql("UPDATE cert.application SET id_card = 'before'")
    shop.sql("ANALYZE cert.application")
    shop.sql("UPDATE cert.application SET id_card = 'corrected'")
    plan, _ = shop.cancel(step("A2"), shop_provisions())
    assert fates(plan)["cert.application"] == {"retain": 1}
    said = shop.value(
        "SELECT most_common_vals::text FROM pg_stats WHERE tablename = 'application' AND attname = 'id_card'"
    )
    assert said == "{corrected}"


def test_statistics_of_what_the_step_empties_go_too(shop: Company) -> None:
    """ANALYZE of a table without rows leaves what it knew; of the last person's rows that is their values."""
    only_one_is_left(shop)
    shop.sql("CREATE STATISTICS account.pairs (mcv) ON account_id, ip FROM account.session")
    shop.sql("ANALYZE account.session; ANALYZE log.access; ANALYZE account.account")
    assert stored(shop, "session") and stored(shop, "access") and stored(shop, "access_old") and pairs(shop)
    shop.cancel(step("A2"), shop_provisions())
    assert (
        shop.value("SELECT count(*) FROM account.session")
        == shop.value("SELECT count(*) FROM log.access")
        == 0
    )
    assert not stored(shop, "session") and not stored(shop, "access%") and not pairs(shop)
    assert stored(shop, "account"), "where rows are left, so is what the planner knows of them"


def test_statistics_of_an_unlogged_table_that_a_crash_emptied_go_too(shop: Company) -> None:
    """Nothing of the person is located there any more, and their values are."""
    shop.sql("ALTER TABLE sign.folder SET UNLOGGED; ANALYZE sign.folder; TRUNCATE sign.folder")
    assert stored(shop, "folder")
    plan, _ = shop.cancel(step("A2"), shop_provisions())
    assert "sign.folder" not in fates(plan)
    assert not stored(shop, "folder")


def test_without_a_superuser_they_go_where_the_server_has_a_function_for_it(shop: Company) -> None:
    only_one_is_left(shop)
    shop.sql("ANALYZE account.session")
    shop.sql("DELETE FROM account.session")
    shop.sql("ALTER TABLE account.session OWNER TO shop_batch; GRANT USAGE ON SCHEMA quietus TO shop_batch")
    for function in ("renew_statistics(regclass[])", "forget_statistics_of_the_empty(oid[])"):
        shop.sql(f"GRANT EXECUTE ON FUNCTION quietus.{function} TO shop_batch")
    shop.sql("ALTER FUNCTION quietus.renew_statistics(regclass[]) OWNER TO shop_batch")
    shop.sql("SELECT quietus.renew_statistics(ARRAY['account.session'::regclass])")
    assert bool(stored(shop, "session")) == (shop.value("SHOW server_version_num") < "180000")


def only_one_is_left(shop: Company) -> None:
    """A2's sessions and accesses are the last ones, and nothing keeps them."""
    shop.sql(
        "DELETE FROM account.session WHERE account_id <> 'A2'; UPDATE account.session SET ip = '10.9.9.9'"
    )
    shop.sql("DELETE FROM log.access WHERE account_id <> 'A2' OR path = '/new'")


def stored(shop: Company, table: str) -> list[tuple[object, ...]]:
    return shop.sql(
        "SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats WHERE tablename LIKE %s", table
    )


def pairs(shop: Company) -> list[tuple[object, ...]]:
    return shop.sql(
        "SELECT most_common_vals FROM pg_stats_ext"
        " WHERE statistics_name = 'pairs' AND most_common_vals IS NOT NULL"
    )
