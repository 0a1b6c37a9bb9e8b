"""The made-up people without any server: valid values, deterministic rows, and the hard cases as they are named."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import date, timedelta
from typing import Any

import phonenumbers
import pytest
from cryptography import x509
from stdnum import luhn
from stdnum.cn import ric, uscc

from include.model.screening import kind_of_identifier
from include.sandbox.people import cases
from include.sandbox.people.authority import BETWEEN, LISTS, Revoked, authority
from include.sandbox.people.everybody import all_rows, makings, rows_of
from include.sandbox.people.files import files_of, open_upload
from include.sandbox.people.making import PER_PERSON, Row

TODAY = date(2026, 11, 24)
PEOPLE = 400
Rows = list[dict[str, Any]]


def made(people: int = PEOPLE, seed: int = 1, today: date = TODAY) -> list[list[Row]]:
    return [list(rows_of(m)) for m in makings(people, seed, today)]


def unwrapped(people: list[list[Row]]) -> list[list[Row]]:
    """Without what is drawn anew whenever a key is wrapped."""
    return [[(t, {c: v for c, v in row.items() if c != "wrapped"}) for t, row in rows] for rows in people]


@pytest.fixture(scope="module")
def everybody() -> list[list[Row]]:
    return made()


@pytest.fixture(scope="module")
def tables(everybody: list[list[Row]]) -> dict[str, Rows]:
    found: dict[str, Rows] = defaultdict(list)
    for rows in everybody:
        for table, row in rows:
            found[table].append(row)
    return found


class Case:
    """A hard case: its rows in a table, by its name."""

    def __init__(self, tables: dict[str, Rows], name: str) -> None:
        self.id = cases.hard_cases(1)[name]
        self._tables = tables

    def __getitem__(self, table: str) -> Rows:
        return [row for row in self._tables[table] if row.get("account_id") == self.id]

    def one(self, table: str) -> dict[str, Any]:
        (row,) = self[table]
        return row

    @property
    def has(self) -> set[str]:
        return {
            table for table, rows in self._tables.items() if any(r.get("account_id") == self.id for r in rows)
        }

    def live(self) -> Rows:
        return [c for c in self["cert.certificate"] if c["status"] == "valid"]

    def last_end(self) -> date:
        return max(
            min(c["not_after"], c["revoked_at"] or c["not_after"]) for c in self["cert.certificate"]
        ).date()


# --- values -----------------------------------------------------------------------------------------


def test_id_numbers_are_valid_and_say_the_same_as_the_card(tables: dict[str, Rows]) -> None:
    assert len(tables["ra.id_card"]) > PEOPLE
    for card in tables["ra.id_card"]:
        number = card["citizen_id"]
        assert ric.is_valid(number), number
        assert ric.get_birth_date(number) == card["birth_date"]
        assert (int(number[16]) % 2 == 0) == (card["sex"] == "女")
    for guardian in tables["account.guardian_consent"]:
        assert ric.is_valid(guardian["guardian_document_no"])
    for representative in tables["ent.representative"]:
        assert ric.is_valid(representative["document_no"])


def test_phones_are_valid_mobile_numbers_of_china(tables: dict[str, Rows]) -> None:
    mobiles = [
        row["mobile"]
        for table in ("account.person", "ent.contact", "ent.representative")
        for row in tables[table]
    ]
    mobiles += [row["old_mobile"] for row in tables["account.person_history"]]
    for mobile in mobiles:
        number = phonenumbers.parse(mobile, "CN")
        assert phonenumbers.is_valid_number(number), mobile
        assert phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.MOBILE


def test_credit_codes_and_cards_have_valid_check_digits(tables: dict[str, Rows]) -> None:
    assert tables["ent.enterprise"]
    assert all(uscc.is_valid(row["credit_code"]) for row in tables["ent.enterprise"])
    cards = tables["ra.bank_card"] + tables["ent.representative_card"]
    assert cards
    assert all(luhn.is_valid(row["card_no"]) for row in cards)


def test_phones_are_shared_only_where_a_hard_case_wants_it(tables: dict[str, Rows]) -> None:
    by_mobile = defaultdict(set)
    for row in tables["account.person"]:
        by_mobile[row["mobile"]].add(row["account_id"])
    ids = cases.hard_cases(1)
    shared = [who for who in by_mobile.values() if len(who) > 1]
    assert shared == [{ids["same_phone_a"], ids["same_phone_b"]}]


def test_account_ids_are_opaque(tables: dict[str, Rows]) -> None:
    ids = [row["account_id"] for row in tables["account.account"]]
    assert len(set(ids)) == PEOPLE
    for id_ in ids:
        assert re.fullmatch(r"acct_[0-9a-hjkmnp-tv-z]{12}", id_)
        assert kind_of_identifier(id_) is None


def test_an_account_id_follows_from_seed_and_position_alone() -> None:
    one, other = (
        [next(r["account_id"] for t, r in rows if t == "account.account") for rows in made(60, 3, day)]
        for day in (TODAY, TODAY - timedelta(days=400))
    )
    assert one == other


# --- determinism ------------------------------------------------------------------------------------


def test_the_same_seed_and_day_make_the_same_rows(everybody: list[list[Row]]) -> None:
    assert unwrapped(made()) == unwrapped(everybody)


def test_another_seed_makes_other_people(everybody: list[list[Row]]) -> None:
    other = made(seed=2)
    assert cases.hard_cases(1).keys() == cases.hard_cases(2).keys()
    assert not set(cases.hard_cases(1).values()) & set(cases.hard_cases(2).values())
    assert all(a != b for a, b in zip(everybody, other, strict=True))


def test_more_people_do_not_change_those_who_were_there(everybody: list[list[Row]]) -> None:
    # The last few had nobody after them to sign with or to act for them.
    assert unwrapped(made(60)[:55]) == unwrapped(everybody[:55])


def test_files_are_deterministic_too() -> None:
    def files() -> list[object]:
        return [f for m in makings(50, 1, TODAY) for f in files_of(m, list(rows_of(m)))]

    assert files() == files()


# --- rows -------------------------------------------------------------------------------------------


def test_every_row_of_a_table_has_the_same_columns(tables: dict[str, Rows]) -> None:
    for table, rows in tables.items():
        assert len({tuple(row) for row in rows}) == 1, table


def test_nobody_runs_out_of_numbers(everybody: list[list[Row]]) -> None:
    for rows in everybody:
        counted: dict[str, int] = defaultdict(int)
        for table, _ in rows:
            counted[table] += 1
        assert max(counted.values()) < PER_PERSON // 4


def test_certificates_make_sense_in_time(tables: dict[str, Rows]) -> None:
    for c in tables["cert.certificate"]:
        assert c["not_before"] < c["not_after"]
        assert c["not_before"].date() <= TODAY
        if c["revoked_at"]:
            assert c["status"] == "revoked"
            assert c["not_before"] < c["revoked_at"] <= c["not_after"]
        else:
            assert (c["status"] == "valid") == (c["not_after"].date() > TODAY)
    registered = {a["account_id"]: a["registered_at"] for a in tables["account.account"]}
    for a in tables["ra.application"]:
        assert registered[a["account_id"]] < a["submitted_at"] <= a["decided_at"]


def test_all_who_left_have_no_live_certificate(tables: dict[str, Rows]) -> None:
    left = {a["account_id"] for a in tables["account.account"] if a["cancelled_at"]}
    assert len(left) > 3
    assert not [c for c in tables["cert.certificate"] if c["account_id"] in left and c["status"] == "valid"]
    assert not [p for p in tables["account.person"] if p["account_id"] in left]


def test_free_text_names_people_and_their_phones(tables: dict[str, Rows]) -> None:
    people = {p["account_id"]: p for p in tables["account.person"]}
    tickets = [t for t in tables["support.ticket"] if t["account_id"] in people]
    named = [t for t in tickets if people[t["account_id"]]["full_name"] in t["content"]]
    assert len(named) > len(tickets) / 2
    assert any(people[t["account_id"]]["mobile"] in t["content"] for t in tickets)


# --- hard cases -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def case(tables: dict[str, Rows]) -> Any:
    return lambda name: Case(tables, name)


def test_ordinary_has_rows_almost_everywhere(case: Any, tables: dict[str, Rows]) -> None:
    of_accounts = {table for table, rows in tables.items() if "account_id" in rows[0]}
    nothing = of_accounts - case("ordinary").has
    assert nothing == {
        "account.minor", "account.guardian_consent", "ent.enterprise", "ent.representative", "ent.access_grant",
    }  # fmt: skip


def test_ordinary_holds_a_live_certificate_at_the_end_of_a_chain_of_three(case: Any) -> None:
    first, second, third = sorted(case("ordinary")["cert.certificate"], key=lambda c: c["not_before"])
    assert (first["renews_serial"], second["renews_serial"], third["renews_serial"]) == (
        None, first["serial"], second["serial"],
    )  # fmt: skip
    assert [c["status"] for c in (first, second, third)] == ["expired", "expired", "valid"]
    assert not case("ordinary")["account.minor"]


def test_ordinary_and_cosigner_signed_one_contract(case: Any) -> None:
    theirs = {p["contract_id"] for p in case("cosigner")["sign.contract_party"]}
    (shared,) = theirs & {p["contract_id"] for p in case("ordinary")["sign.contract_party"]}
    for name in ("ordinary", "cosigner"):
        assert shared in {s["contract_id"] for s in case(name)["sign.signature"]}


def test_ordinary_is_not_in_dispute(case: Any) -> None:
    assert all(row["closed_on"] for row in case("ordinary")["support.arbitration"])


def test_ordinary_has_log_records_on_both_sides_of_six_months(case: Any) -> None:
    days = [row["occurred_at"].date() for row in case("ordinary")["usage.access_log"]]
    assert min(days) < TODAY - timedelta(days=190)
    assert max(days) > TODAY - timedelta(days=60)


def test_neighbour_shares_nothing_with_ordinary(case: Any) -> None:
    one, other = case("ordinary").one("account.person"), case("neighbour").one("account.person")
    for column in ("full_name", "document_no", "mobile", "email"):
        assert one[column] != other[column]


def test_minors_are_of_their_age_and_one_has_a_guardians_consent(case: Any) -> None:
    for name, consented in (("minor_with_consent", 1), ("minor_without_consent", 0)):
        assert case(name).one("account.minor")["under_14"] is True
        assert len(case(name)["account.guardian_consent"]) == consented
        assert ric.get_birth_date(case(name).one("account.person")["document_no"]) > date(2012, 11, 24)


def test_a_minor_of_sixteen_is_told_from_those_under_fourteen(case: Any) -> None:
    said = case("minor_of_16").one("account.minor")
    assert (said["under_14"], said["aged_14_to_18"]) == (False, True)
    assert not case("minor_of_16")["account.guardian_consent"]


def test_chain_was_renewed_three_times_and_lives(case: Any) -> None:
    certificates = case("chain")["cert.certificate"]
    assert len(certificates) == 4
    assert len([c for c in certificates if c["renews_serial"]]) == 3
    assert len(case("chain").live()) == 1


def test_expired_last_month_and_six_years_ago(case: Any) -> None:
    assert case("expired_last_month").last_end() == TODAY - timedelta(days=30)
    assert case("expired_six_years").last_end() == TODAY - timedelta(days=6 * 366)
    assert not case("expired_last_month").live()
    assert not case("expired_six_years").live()


def test_arbitration_is_open(case: Any) -> None:
    assert [row["closed_on"] for row in case("arbitration")["support.arbitration"]] == [None]


def test_two_people_have_one_phone(case: Any) -> None:
    assert (
        case("same_phone_a").one("account.person")["mobile"]
        == case("same_phone_b").one("account.person")["mobile"]
    )


def test_a_phone_was_recycled(case: Any) -> None:
    then = case("recycled_phone_old").one("account.person_history")["old_mobile"]
    assert then == case("recycled_phone_new").one("account.person")["mobile"]
    assert then != case("recycled_phone_old").one("account.person")["mobile"]


def test_the_enterprise_is_represented_by_a_customer(case: Any, tables: dict[str, Rows]) -> None:
    firm, person = case("enterprise"), case("representative")
    assert firm.one("account.account")["kind"] == "enterprise"
    assert not firm["account.person"]
    acting = [r for r in tables["ent.representative"] if r["enterprise_account_id"] == firm.id]
    assert {r["duty"] for r in acting} == {"legal_representative", "handler"}
    assert {r["account_id"] for r in acting} == {person.id}
    assert {r["document_no"] for r in acting} == {person.one("account.person")["document_no"]}
    assert person.live()
    assert firm.id in {g["enterprise_account_id"] for g in person["ent.access_grant"]}


def test_some_representatives_are_customers_without_a_declared_link(tables: dict[str, Rows]) -> None:
    customers = {p["document_no"] for p in tables["account.person"]}
    assert [
        r for r in tables["ent.representative"] if r["account_id"] is None and r["document_no"] in customers
    ]


def test_namesakes_share_a_name_and_nothing_else(case: Any) -> None:
    a, b = (case(name).one("account.person") for name in ("namesake_a", "namesake_b"))
    assert a["full_name"] == b["full_name"]
    assert a["document_no"] != b["document_no"]


def test_cancelled_has_what_the_law_keeps_and_nothing_else(case: Any) -> None:
    gone = case("cancelled")
    assert gone.one("account.account")["cancelled_at"]
    assert gone.one("account.account")["user_name"] is None
    assert all(c["withdrawn_at"] for c in gone["account.consent"])
    assert gone.has <= {
        "account.account", "account.consent", "ra.application", "cert.certificate", "usage.access_log",
        "billing.purchase", "partner.transfer",
    }  # fmt: skip
    assert {c["status"] for c in gone["cert.certificate"]} == {"revoked"}


def test_sole_trader_is_a_person_and_a_firm(case: Any) -> None:
    assert case("sole_trader").one("account.account")["kind"] == "sole_trader"
    assert case("sole_trader").one("account.person")
    assert case("sole_trader").one("ent.enterprise")


def test_no_certificate_has_none(case: Any) -> None:
    assert case("no_certificate")["account.person"]
    assert not case("no_certificate")["cert.certificate"]
    assert len(case("no_certificate")["ra.application"]) == 1, "asked for one, and was refused"


def test_bare_is_an_account_and_nothing_else(case: Any) -> None:
    assert case("bare").has == {"account.account"}


def test_only_ordinary_has_an_upload_that_never_ended() -> None:
    uploads = [u for m in makings(PEOPLE, 1, TODAY) if (u := open_upload(m))]
    assert [key.split("/")[0] for _, key, _ in uploads] == [cases.hard_cases(1)["ordinary"]]


@pytest.mark.parametrize("seed", range(2, 12))
def test_the_hard_cases_are_hard_with_any_seed(seed: int) -> None:
    everybody = list(makings(50, seed, TODAY))
    people = {name: everybody[n].person for n, name in enumerate(cases.ORDER)}
    assert people["minor_with_consent"].age(TODAY) == 13
    assert people["minor_without_consent"].age(TODAY) == 12
    assert people["minor_of_16"].age(TODAY) == 16
    grown = [p for name, p in people.items() if not name.startswith("minor")]
    assert all(p.age(TODAY) >= 18 for p in grown)
    assert [name for name, p in people.items() if p.left] == ["cancelled"]
    assert [name for name, p in people.items() if p.in_arbitration] == ["arbitration"]
    assert {p.kind for name, p in people.items() if name not in ("enterprise", "sole_trader")} == {"person"}
    rows = [r for m in everybody for t, r in rows_of(m) if t == "sign.contract_party"]
    ids = cases.hard_cases(seed)
    assert {ids["ordinary"], ids["cosigner"]} <= {r["account_id"] for r in rows}


# --- revocation lists -----------------------------------------------------------------------------------


def published(people: int) -> tuple[Rows, Rows]:
    """The lists, and who is on them."""
    rows = [(t, row) for t, row in all_rows(people, 1, TODAY) if t in ("cert.crl", "cert.crl_listed")]
    return [row for t, row in rows if t == "cert.crl"], [row for t, row in rows if t == "cert.crl_listed"]


def test_there_are_a_few_lists_and_none_that_lists_nobody() -> None:
    for people in (50, PEOPLE):
        lists, listed = published(people)
        assert 0 < len(lists) <= LISTS
        on = {row["crl_number"]: len(x509.load_der_x509_crl(row["der"])) for row in lists}
        assert list(on) == list(range(1, len(lists) + 1)) and min(on.values()) > 0
        assert on == {n: sum(row["crl_number"] == n for row in listed) for n in on}
    assert len(published(50)[0]) < LISTS, "quarters without anybody have none"


def test_a_list_has_who_was_revoked_by_then_and_one_more_after_it_expired(tables: dict[str, Rows]) -> None:
    lists, listed = published(PEOPLE)
    revoked = [c for c in tables["cert.certificate"] if c["revoked_at"] is not None]
    for row in lists:
        at, before = row["this_update"], row["this_update"] - timedelta(days=BETWEEN)
        on = {c["serial"] for c in revoked if c["revoked_at"] <= at and before < c["not_after"]}
        assert on == {x["serial"] for x in listed if x["crl_number"] == row["crl_number"]}


def test_the_same_seed_signs_the_same_bytes() -> None:
    assert published(50) == published(50)
    day = published(50)[0][0]["this_update"]
    one = [Revoked("0A", day, day)]
    assert authority(1).crl(1, day, one) != authority(2).crl(1, day, one)
