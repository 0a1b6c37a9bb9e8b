"""One person's way through the verbs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from include.model.catalogue import Cut
from include.model.flow import Held
from include.model.words import Disposition, Ownership
from tests.stores.postgres import making
from tests.stores.postgres.making import ACCOUNT, Company, fates, shop_provisions, step

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


def test_a_person_goes_but_for_what_law_and_others_keep(shop: Company) -> None:
    it = step("A2")  # owns contract 2 alone, shares contract 1 with A1; certificate live until 2027
    plan, receipt = shop.cancel(it, shop_provisions())

    assert fates(plan) == {
        "account.account": {"anonymise": 1},  # kept as a key only: certificates refer to it
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
    assert (kept.items, kept.waits_for) == (2, "HOLD-000001")


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
