"""A night that may not take everything takes what has been due longest: over all datasets, and within each."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta

import psycopg
import pytest

from include.cases.retention import backlog
from include.model.estate import Bound, Start
from tests.cases.retention.house import DAY, DUE, House
from tests.cases.retention.test_breaker import visits
from tests.cases.retention.test_night_meets import SHORT
from tests.cases.retention.test_night_undecided import bound
from tests.stores.sizes import Pieces

ALL = ("s.note", "s.ticket", "u.visit", "u.click", "a.account")


def there(house: House, table: str) -> list[int]:
    return [
        int(str(x[0]).removeprefix("acct_")) for x in house.company.sql(f"SELECT id FROM {table} ORDER BY id")
    ]


def test_of_all_datasets_the_one_that_has_been_due_longest_goes_first(house: House) -> None:
    house.company.sql("UPDATE u.click SET at = '2020-01-01' WHERE at < '2025-11-24'")
    house.company.sql("UPDATE u.visit SET at = '2021-01-01' WHERE id IN (31, 37)")
    night = house.night(budget=DUE["u.click"] + 2)
    assert house.counts(night) == {"u.click": {"erased": DUE["u.click"]}, "u.visit": {"erased": 2}}
    assert not {31, 37} & set(there(house, "u.visit"))
    assert house.left(night) == [], "what a person left for the nights after is no fault"
    rest = house.night(DAY + timedelta(days=1))
    assert rest.remaining == 1 and not set(there(house, "u.visit")) & set(range(1, 60, 2))


def test_what_one_dataset_gives_back_another_may_have(house: House) -> None:
    house.company.sql("UPDATE s.ticket SET closed = '2020-01-01' WHERE closed < '2025-11-24'")
    house.company.sql("UPDATE s.note SET written = '2026-11-23'")  # all tickets are needed
    night = house.night(budget=4)
    assert house.counts(night)["s.ticket"] == {"needed": 4} and night.gone == 4


@pytest.mark.parametrize(("budget", "left"), [(3, [1, 3, 4, 5, 6, 7, 8]), (8, [1, 3])])
def test_within_a_key_table_too(house: House, budget: int, left: list[int]) -> None:
    """Accounts have a key each; the higher its number, the longer one of these left ago, but for the second."""
    for table in ALL[:-1]:
        house.company.sql(f"DELETE FROM {table}")
    house.company.sql(
        "UPDATE a.account SET ended = date '2026-10-01' - right(id, 2)::int - CASE id WHEN 'acct_000000000002' THEN 90 ELSE 0 END"
    )
    night = house.night(budget=budget)
    assert house.counts(night) == {"a.account": {"erased": budget}}
    assert there(house, "a.account") == left


def test_rows_that_go_together_go_with_the_one_that_has_been_due_longest(house: House) -> None:
    house.company.sql("DELETE FROM s.note; ALTER TABLE s.ticket ADD of int REFERENCES s.ticket DEFERRABLE")
    house.company.sql("UPDATE u.visit SET at = '2026-11-23'; UPDATE u.click SET at = '2026-11-23'")
    house.company.sql("UPDATE a.account SET ended = NULL")
    house.company.sql("UPDATE s.ticket SET closed = '2020-01-01', of = 5 WHERE id = 7")
    house.company.sql("UPDATE s.ticket SET closed = '2025-11-01' WHERE id = 5")
    with house.clearing(page=2):  # by their keys, two at a time
        night = house.night(budget=2)
    assert house.counts(night) == {"s.ticket": {"erased": 2}}
    assert not {5, 7} & set(there(house, "s.ticket")) and {1, 3} <= set(there(house, "s.ticket"))


@pytest.mark.parametrize("before", [0, 4])
def test_so_does_a_night_by_a_plan_of_stages(house: House, before: int) -> None:
    """``before``: visits that go tonight by an earlier date than all others."""
    house.company.sql("UPDATE s.note SET written = '2025-01-01'")
    visits(house, 600)
    house.company.sql("UPDATE u.click SET at = '2019-06-01' WHERE at < '2025-11-24'")
    if before:
        house.company.sql(
            f"UPDATE u.visit SET at = '2019-01-01' WHERE id > (SELECT max(id) - {before} FROM u.visit)"
        )
    plan = backlog.propose(house.desk, rate=DUE["u.click"] + before, until=None, as_of=DAY, actor="ops/li")
    backlog.approve(house.desk, plan.number, as_of=DAY, actor="legal/wang")
    night = house.night()
    went = {"u.click": {"erased": DUE["u.click"]}} | ({"u.visit": {"erased": before}} if before else {})
    assert house.counts(night) == went


BY_VISITS = (
    "SELECT k.id AS click_id, (SELECT max(v.at) FROM u.visit AS v WHERE v.account_id = k.account_id) AS started_at"
    " FROM cohort AS s JOIN u.click AS k ON k.account_id = s.subject_id"
)


def clicks_by_visits(house: House) -> None:
    """Clicks go a year after the last visit of their account, which are a year old as well."""
    for table in ("s.note", "s.ticket", "u.visit", "u.click"):
        house.company.sql(f"DELETE FROM {table}")
    house.company.sql("UPDATE a.account SET ended = NULL")
    for i in range(1, 7):
        house.company.sql(f"INSERT INTO u.visit VALUES ({i}, 'acct_00000000000{i}', '2025-01-01', '/')")
        house.company.sql(f"INSERT INTO u.click VALUES ({i}, 'acct_00000000000{i}', '2024-01-01')")
    catalogue = house.company.catalogue.model_copy(update={"starting_points": {"visited": BY_VISITS}})
    start = Start(query="visited", on={"id": "click_id"})
    house.company.catalogue = bound(catalogue, "u.click", Bound(rule="RS-12", start=start))


@pytest.mark.parametrize("budget", range(1, 12))
def test_what_says_when_a_clock_began_goes_after_all_that_it_is_said_of(house: House, budget: int) -> None:
    """Else what is left for the nights after would be due no more."""
    clicks_by_visits(house)
    night = house.night(budget=budget)
    assert (night.due, night.gone, night.remaining) == (12, budget, 12 - budget)
    assert house.counts(night).get("u.visit", {}).get("erased", 0) == max(0, budget - 6)
    rest = house.night(DAY + timedelta(days=1))
    assert (there(house, "u.click"), there(house, "u.visit"), rest.remaining) == ([], [], 0)


def test_and_so_it_does_where_that_is_in_somebodys_hands(house: House) -> None:
    clicks_by_visits(house)
    house.begin()
    with psycopg.connect(house.company.conninfo(house.company.admin)) as other:
        other.execute("LOCK TABLE u.click IN ROW EXCLUSIVE MODE")
        other.execute("SELECT FROM u.click FOR UPDATE")
        with house.clearing(patience=SHORT):
            night = house.night()
        other.rollback()
    assert night.gone == 0 and len(there(house, "u.visit")) == 6
    assert any("u.visit: its rows say when those of u.click began" in x for x in house.left(night))
    assert house.night(DAY + timedelta(days=1)).gone == 12


TICKETS = range(100, 120)


def tickets(house: House, *needed: int) -> None:
    """Twenty that refer to each other, so that each has a key; the higher its number, the longer it has been due."""
    house.company.sql("DELETE FROM s.note; DELETE FROM s.ticket; UPDATE a.account SET ended = NULL")
    house.company.sql("ALTER TABLE s.ticket ADD of int REFERENCES s.ticket DEFERRABLE")
    house.company.sql("UPDATE u.visit SET at = '2026-11-23'; UPDATE u.click SET at = '2026-11-23'")
    house.company.sql(
        "INSERT INTO s.ticket SELECT i, 'acct_000000000001', date '2024-01-01' - i, 'b' FROM generate_series(100, 119) AS i"
    )
    for n, ticket in enumerate(needed):
        house.company.sql(f"INSERT INTO s.note VALUES ({100 + n}, {ticket}, '2026-11-23')")


@pytest.mark.parametrize("budget", [1, 3, 9, 12])
@pytest.mark.parametrize("needed", [(118, 119), (119, 117, 115, 114), tuple(range(110, 120))])
def test_and_so_do_those_behind_the_ones_that_stay(
    house: House, budget: int, needed: tuple[int, ...]
) -> None:
    tickets(house, *needed)
    with house.clearing(page=2, size=Pieces(2)):
        night = house.night(budget=budget)
    goes = [x for x in reversed(TICKETS) if x not in needed][:budget]
    assert sorted(set(TICKETS) - set(there(house, "s.ticket"))) == sorted(goes)
    assert night.gone == len(goes)


class Killed(BaseException):
    """As if by the kernel: nobody catches it."""


@pytest.mark.parametrize("killed", range(6))
def test_and_so_do_those_that_go_in_place_of_another_datasets(house: House, killed: int) -> None:
    """Four tickets are older than all notes and stay, for others need them; so four notes more may go, after them. ``killed``:
    after how many pieces; 0: not."""
    house.company.sql("UPDATE s.ticket SET closed = '2010-01-01' WHERE closed < '2025-11-24'")
    house.company.sql("UPDATE s.note SET written = '2026-11-23'; UPDATE a.account SET ended = NULL")
    house.company.sql("ALTER TABLE s.note ADD of int REFERENCES s.note DEFERRABLE")
    house.company.sql("UPDATE u.visit SET at = '2026-11-23'; UPDATE u.click SET at = '2026-11-23'")
    house.company.sql(
        "INSERT INTO s.note SELECT i, 2, date '2024-01-01' - i FROM generate_series(100, 119) AS i"
    )
    pieces: list[str] = []

    def at(point: str) -> None:
        pieces.extend([point] if point == "clearing.after_commit" else [])
        if killed and len(pieces) == killed:
            pieces.append("")
            raise Killed

    with house.clearing(page=2, size=Pieces(2), at=at):
        with pytest.raises(Killed) if killed else nullcontext():
            house.night(budget=7)
        night = house.night() if killed else house.of_last()
    assert house.counts(night) == {"s.note": {"erased": 7}, "s.ticket": {"needed": 4}}
    assert [n for n in there(house, "s.note") if n >= 100] == [*range(100, 113)]
