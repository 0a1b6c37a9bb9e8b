"""The transfer register says what the rest of the company says: who was given what of whom, and on which ground."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from include.catalogue import load
from include.sandbox.people.everybody import makings, rows_of
from include.sandbox.people.transfers import COMMISSIONS, MESSENGERS, REGISTERED, SEAL_MAKERS

TODAY = date(2026, 11, 24)
PEOPLE = 2000  # the sandbox's usual size
KEPT = TODAY - timedelta(days=3 * 365)
CATALOGUE = load()
Rows = list[dict[str, Any]]
Tables = dict[str, Rows]


@pytest.fixture(scope="module")
def tables() -> Tables:
    found: Tables = defaultdict(list)
    for making in makings(PEOPLE, 1, TODAY):
        for table, row in rows_of(making):
            found[table].append(row)
    return found


def left(tables: Tables) -> set[str]:
    return {a["account_id"] for a in tables["account.account"] if a["cancelled_at"]}


def test_each_match_leads_to_its_transfer(tables: Tables) -> None:
    given = {t["vendor_txn_id"]: t for t in tables["partner.transfer"]}
    owner = {a["application_id"]: a["account_id"] for a in tables["ra.application"]}
    gone = left(tables)
    for match in tables["ra.match_result"]:
        account = owner[match["application_id"]]
        if account in gone and match["matched_at"].date() <= KEPT:
            assert match["vendor_txn_id"] not in given, "the record's three years are over"
            continue
        if match["matched_at"].date() < REGISTERED:
            assert match["vendor_txn_id"] not in given, "there was no register yet"
            continue
        transfer = given[match["vendor_txn_id"]]
        assert (transfer["recipient_id"], transfer["account_id"]) == (match["vendor"], account)
        assert transfer["sent_at"] == match["matched_at"]


def test_a_hash_on_a_chain_is_that_of_salt_and_original(tables: Tables) -> None:
    digests = {contract["contract_id"]: contract["digest"] for contract in tables["sign.contract"]}
    assert tables["sign.chain_anchor"]
    for anchor in tables["sign.chain_anchor"]:
        text = anchor["salt"] + digests[anchor["contract_id"]]
        assert anchor["package_hash"] == hashlib.sha256(text.encode()).hexdigest()


def test_whatever_reaches_another_company_is_in_the_register(tables: Tables) -> None:
    """Counted the other way round, from the events, person by person: since it was begun, and not before."""
    owed: Counter[tuple[str, str]] = Counter()
    earlier: set[tuple[str, str]] = set()

    def owe(account: str, recipient: str, at: date) -> None:
        if (at.date() if isinstance(at, datetime) else at) < REGISTERED:
            earlier.add((account, recipient))
        else:
            owed[account, recipient] += 1

    parties = defaultdict(list)
    for party in tables["sign.contract_party"]:
        parties[party["contract_id"]].append(party["account_id"])
    for anchor in tables["sign.chain_anchor"]:
        for account in parties[anchor["contract_id"]]:
            owe(account, anchor["chain"], anchor["anchored_at"])
    commission = {name: id_ for id_, name in COMMISSIONS.items()}
    for case in tables["support.arbitration"]:
        owe(case["account_id"], commission[case["commission"]], case["filed_on"])
        owe(case["account_id"], "fazhenglian", case["filed_on"])
    for line in tables["usage.partner_log"]:
        owe(line["account_id"], line["partner"], line["occurred_at"])
    for code in tables["account.login_code"]:
        owe(code["account_id"], "messengers", code["sent_at"])
    for seal in tables["sign.seal"]:
        owe(seal["account_id"], "seal makers", seal["made_at"])
    for row in tables["ra.bank_card"]:
        owe(row["account_id"], "chinaums", row["verified_at"])
    buyer = {p["purchase_id"]: p["account_id"] for p in tables["billing.purchase"]}
    gone = left(tables)
    for invoice in tables["billing.invoice"]:
        if not (buyer[invoice["purchase_id"]] in gone and invoice["issued_at"].date() <= KEPT):
            owe(buyer[invoice["purchase_id"]], "baiwang", invoice["issued_at"])
    for report in tables["ra.credit_report"]:
        owe(report["account_id"], report["source"], report["received_at"])
    given: Counter[tuple[str, str]] = Counter()
    for t in tables["partner.transfer"]:
        given[t["account_id"], t["recipient_id"]] += 1
        given[t["account_id"], "messengers"] += t["recipient_id"] in MESSENGERS
        given[t["account_id"], "seal makers"] += t["recipient_id"] in SEAL_MAKERS
    assert len({recipient for _, recipient in owed}) > 15
    assert {k: n for k, n in owed.items() if given[k] < n} == {}
    without = {k for k in earlier if not given[k]}
    assert len({recipient for _, recipient in without}) >= 5, (
        "some are told of by the rule for what came before"
    )
    assert min(t["sent_at"].date() for t in tables["partner.transfer"]) >= REGISTERED


def test_it_began_on_the_day_that_the_catalogue_says() -> None:
    assert {r.registered for r in CATALOGUE.recipients} == {REGISTERED}


def test_vehicle_data_went_to_the_one_recipient_that_table_4_4_names_for_it(tables: Tables) -> None:
    checked = {v["account_id"] for v in tables["ra.vehicle_check"] if v["checked_at"].date() >= REGISTERED}
    told = {t["account_id"] for t in tables["partner.transfer"] if "PI-076" in t["categories"]}
    assert checked == told
    assert {t["recipient_id"] for t in tables["partner.transfer"] if "PI-076" in t["categories"]} == {
        "shujubao"
    }


def test_all_26_recipients_are_given_something(tables: Tables) -> None:
    """Also those that are only informed (arbitrators) and those that cannot erase (chains): they are told all the same."""
    assert {t["recipient_id"] for t in tables["partner.transfer"]} == {r.id for r in CATALOGUE.recipients}
    assert len(CATALOGUE.recipients) == 26


def test_nobody_is_given_more_than_its_row_of_table_4_4_lists(tables: Tables) -> None:
    listed = {r.id: set(r.categories) for r in CATALOGUE.recipients}
    for t in tables["partner.transfer"]:
        assert set(t["categories"]) <= listed[t["recipient_id"]], t["recipient_id"]
        assert t["categories"]


def test_a_transfer_names_the_consent_or_the_proceedings_that_it_rests_on(tables: Tables) -> None:
    consents = {c["consent_id"]: c for c in tables["account.consent"]}
    dockets = {a["docket_no"]: a["account_id"] for a in tables["support.arbitration"]}
    cases = set()
    for t in tables["partner.transfer"]:
        cases.add(t["basis_code"])
        if t["basis_code"] == 1:
            consent = consents[t["consent_id"]]
            assert consent["account_id"] == t["account_id"]
            assert consent["purpose"] == "real-name certificate"
            assert consent["given_at"] <= t["sent_at"]
        if t["basis_code"] in (2, 3, 4):
            assert dockets[t["order_no"]] == t["account_id"]
    assert cases == {1, 2, 5, 6}


def test_an_application_of_a_firm_names_it_and_who_acts_for_it_as_its_workspace_does(tables: Tables) -> None:
    firms = {e["account_id"]: e for e in tables["ent.enterprise"]}
    acting = {(x["enterprise_account_id"], x["duty"]): x for x in tables["ent.representative"]}
    seen = 0
    for a in tables["ra.application"]:
        firm = firms.get(a["account_id"])
        if firm is None:
            continue
        seen += 1
        legal, handler = (acting[a["account_id"], duty] for duty in ("legal_representative", "handler"))
        assert (a["enterprise_name"], a["credit_code"]) == (firm["name"], firm["credit_code"])
        assert a["legal_representative_name"] == legal["legal_representative_name"]
        assert a["legal_representative_document_no"] == legal["document_no"]
        assert (a["handler_name"], a["handler_document_no"]) == (
            handler["handler_name"],
            handler["document_no"],
        )
        assert (a["handler_document_type"], a["handler_mobile"]) == (
            handler["document_type"],
            handler["mobile"],
        )
    assert seen > 100


def test_an_application_of_a_natural_person_names_no_firm(tables: Tables) -> None:
    people = {a["account_id"] for a in tables["account.account"] if a["kind"] == "person"}
    named = [a for a in tables["ra.application"] if a["enterprise_name"] or a["handler_name"]]
    assert named and not people & {a["account_id"] for a in named}
