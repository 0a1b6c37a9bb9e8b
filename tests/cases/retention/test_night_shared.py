"""A contract with two parties, each known by a row of its own that goes sooner than the contract may."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from include.cases.keys import FileKeyStore
from include.model.estate import Bound, Cut, Link
from include.model.words import LegalRank, Ownership
from tests.cases.retention import house as houses
from tests.cases.retention.house import House
from tests.cases.small import rule
from tests.conftest import PgServer
from tests.stores.postgres.making import Company, dataset, own

FIRST, LAST = date(2026, 11, 10), date(2026, 11, 20)  # when their accounts ended
SCHEMA = (
    houses.SCHEMA
    + """
CREATE TABLE s.deal (id int PRIMARY KEY, body text);
CREATE TABLE s.party (id int PRIMARY KEY, deal_id int REFERENCES s.deal, account_id text, signer text);
GRANT SELECT, INSERT, UPDATE, DELETE ON s.deal, s.party TO shop_app, shop_batch;
INSERT INTO s.deal VALUES (1, 'body');
INSERT INTO s.party VALUES (1, 1, 'acct_000000000001', 'one'), (2, 1, 'acct_000000000002', 'two');
DELETE FROM s.note; DELETE FROM s.ticket; DELETE FROM u.visit; DELETE FROM u.click; DELETE FROM a.account WHERE ended IS NOT NULL;
"""
)


@pytest.fixture
def house(new_company: Callable[..., Company], pg18: PgServer, case_book: str, tmp_path: Path) -> House:
    parties = Link(via="s.party", on={"id": "deal_id"}, ownership=Ownership.SHARED)
    catalogue = houses.SHOP.model_copy(
        update={
            "rules": (*houses.SHOP.rules, rule("RS-09", "P15D", "ceiling", LegalRank.LAW, "PIPL 47")),
            "datasets": (
                *houses.SHOP.datasets,
                dataset("s.deal", "id", parties, cut=Cut(set={"body": None}), binds=(Bound(rule="RS-01"),)),
                dataset("s.party", "id", own("account_id"), cut=Cut(set={"signer": None}), binds=(Bound(rule="RS-09"),)),
            ),
        }
    )  # fmt: skip
    return House(
        company=new_company(catalogue, SCHEMA, "shared"), records=lambda role: pg18.conninfo(case_book, role),
        keys=FileKeyStore(tmp_path / "keys", b"k" * 32),
    )  # fmt: skip


def leave(house: House, account: int, day: date) -> None:
    house.company.sql("UPDATE a.account SET ended = %s WHERE id = %s", day, f"acct_{account:012}")


def there(house: House) -> tuple[object, object]:
    """The bodies of contracts, and by party who signed."""
    return (
        [body for (body,) in house.company.sql("SELECT body FROM s.deal")],
        dict(house.company.sql("SELECT id, signer FROM s.party ORDER BY id")),
    )


def test_it_goes_thirty_days_after_the_last_of_them_left_and_not_after_the_first(house: House) -> None:
    leave(house, 1, FIRST)
    leave(house, 2, LAST)
    played = []
    for day, found in (
        (date(2026, 11, 26), (["body"], {1: None, 2: "two"})),  # fifteen days after the first left
        (date(2026, 12, 6), (["body"], {1: None, 2: None})),  # and after the last
        (date(2026, 12, 20), (["body"], {1: None, 2: None})),  # the contract's last day
        (date(2026, 12, 21), ([None], {1: None, 2: None})),  # what it said is gone; keys alone are left
    ):
        night = house.night(day)
        assert there(house) == found, day
        played.append(night)
    assert [n.remaining for n in played[:-1]] == [0, 0, 0]
    for day in (
        date(2026, 12, 22),
        date(2026, 12, 23),
    ):  # both together, for each leads to the other; then the accounts
        played.append(house.night(day))
    assert there(house) == ([], {})
    assert house.company.sql("SELECT count(*) FROM a.account WHERE ended IS NOT NULL") == [(0,)]
    assert {n.case_no for n in played if n.case_no} == set(house.certified)
    assert (played[-1].remaining, house.left(played[-1])) == (0, [])


def test_of_whoever_is_still_there_it_is_kept_though_his_row_fell_due(house: House) -> None:
    """The second party's row goes by a date of its own: the account did not end, and the contract is that party's."""
    leave(house, 1, FIRST)
    house.company.sql("ALTER TABLE s.party ADD COLUMN since date DEFAULT '2026-01-01'")
    party = house.company.catalogue.dataset("s.party")
    by_date = party.model_copy(
        update={"binds": (Bound.model_validate({"rule": "RS-09", "start": {"column": "since"}}),)}
    )
    house.company.catalogue = house.company.catalogue.model_copy(
        update={
            "datasets": tuple(by_date if d.id == party.id else d for d in house.company.catalogue.datasets)
        }
    )
    house.night(date(2026, 11, 26))
    assert there(house) == (["body"], {1: None, 2: None})
    house.night(date(2026, 12, 30))
    assert there(house) == (["body"], {1: None, 2: None}), "one of its owners has not left"
