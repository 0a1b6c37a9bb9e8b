"""What a night meets: a table locked for as long as it lasts, a column that was renamed since yesterday, a week without nights,
somebody's own case about the same rows, a hold that comes while it is at work."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import psycopg
import pytest

from include.cases import book, holds
from include.cases.closing import open_hold
from include.cases.retention import nights
from include.model.errors import NotProved
from include.model.words import CaseState
from include.stores.postgres.clearing.breathing import Breath
from include.stores.postgres.server import Patience
from tests.cases.retention import house as houses
from tests.cases.retention.house import AS_IF, DAY, GONE, TABLES, House
from tests.stores.postgres.making import Company
from tests.stores.sizes import Pieces

SHORT = Patience(statement=60, lock=0.3, settle=1, attempts=2)
WEEK = [DAY + timedelta(days=n) for n in range(1, 8)]


def as_if(new_company: Callable[..., Company]) -> Company:
    undisturbed = new_company(houses.SHOP, houses.SCHEMA, "nights")
    undisturbed.sql(AS_IF)
    return undisturbed


def test_a_table_locked_all_night_is_left_and_named_and_the_next_night_takes_it(
    house: House, new_company: Callable[..., Company]
) -> None:
    undisturbed = as_if(new_company)
    house.begin()
    with psycopg.connect(house.company.conninfo(house.company.admin)) as lock:
        lock.execute("LOCK TABLE u.click IN ROW EXCLUSIVE MODE")  # it can be read, and not be written
        lock.execute("SELECT FROM u.click FOR UPDATE")
        with house.clearing(patience=SHORT):
            first = house.night()
        lock.rollback()
    assert house.counts(first) == {
        d: w for d, w in {**{d: {"erased": n} for d, n in GONE.items()}, "s.ticket": {"erased": 3, "needed": 1}}.items()
        if d != "u.click"
    }  # fmt: skip
    assert house.state(first) is CaseState.WAITING and not house.findings(first)
    assert any(x.startswith("u.click: ") for x in house.left(first))
    second = house.night(WEEK[0])
    assert house.counts(second)["u.click"] == {"erased": GONE["u.click"]}
    assert house.there() == {t: undisturbed.digest(t) for t in TABLES}


def test_a_column_renamed_since_yesterday_stops_its_dataset_and_no_other(
    house: House, new_company: Callable[..., Company]
) -> None:
    undisturbed = as_if(new_company)
    house.company.sql("ALTER TABLE u.click RENAME COLUMN at TO clicked_at")
    for day in (DAY, WEEK[0]):  # what cannot be asked is no zero: neither night is certified
        with pytest.raises(NotProved, match=r"due\.u\.click: .*no column at"):
            house.night(day)
    with house.desk.book() as conn:
        second, first = nights.latest(conn)
    assert set(house.counts(first)) == GONE.keys() - {"u.click"}
    assert any(x.startswith("u.click: ") and "no column at" in x for x in house.left(first))
    house.company.sql("ALTER TABLE u.click RENAME COLUMN clicked_at TO at")
    third = house.night(WEEK[1])
    assert house.counts(third)["u.click"] == {"erased": GONE["u.click"]}
    assert house.there() == {t: undisturbed.digest(t) for t in TABLES}
    assert house.certified == [n.case_no for n in (first, second, third)]


def test_a_week_without_nights_is_made_up_for_at_once_and_nothing_goes_twice(house: House) -> None:
    house.night()
    house.company.sql(
        "INSERT INTO u.visit SELECT 100 + n, id, date '2025-11-23' + n, '/' FROM generate_series(1, 9) n, a.account"
        " WHERE id LIKE '%2'"
    )
    late = house.night(WEEK[6])
    assert house.counts(late)["u.visit"] == {"erased": 7}, "those whose year was over by yesterday"
    assert late.overdue == 1, "the ticket that is needed"
    for day in (WEEK[6], WEEK[6] + timedelta(days=1), WEEK[6] + timedelta(days=2)):
        assert house.counts(house.night(day)).get("u.visit", {}) == {
            WEEK[6]: {}, WEEK[6] + timedelta(days=1): {"erased": 1}, WEEK[6] + timedelta(days=2): {"erased": 1}
        }[day]  # fmt: skip


def test_a_row_by_which_alone_the_owner_of_a_held_one_is_known_does_not_go(house: House) -> None:
    """The note leads to its owner through its ticket, and the database knows of no foreign key."""
    house.company.sql("ALTER TABLE s.note DROP CONSTRAINT note_ticket_id_fkey")
    open_hold(
        house.desk, basis="court", document_no="7", issuing_body="court", law="law", as_of=DAY, actor="ops/li",
        account_ids=frozenset({"acct_000000000003"}), datasets=frozenset({"s.note"}),
    )  # fmt: skip
    first = house.night()
    assert house.counts(first)["s.ticket"] == {"erased": 3, "needed": 1}
    assert any(x.startswith("s.ticket: ") for x in house.left(first))
    in_a_year = house.night(DAY + timedelta(days=370))
    assert house.company.sql("SELECT id FROM s.note") == [(3,)], "it is held, and its year is over"
    assert in_a_year.held == 1


def test_a_hold_that_comes_while_the_night_is_at_work_is_obeyed(house: House) -> None:
    """Between locating and the deed; and, of another person, between two pieces."""
    two, four = "acct_000000000002", "acct_000000000004"
    to_come = [four]

    def hold(who: str) -> None:
        open_hold(
            house.desk, basis="court", document_no="7", issuing_body="court", law="law", as_of=DAY, actor="ops/li",
            account_ids=frozenset({who}),
        )  # fmt: skip

    def at(here: str) -> None:
        if here == "clearing.after_commit" and to_come:
            hold(to_come.pop())

    def old(who: str) -> list[int]:
        there = "SELECT id FROM u.visit WHERE account_id = %s AND at < '2025-11-24' ORDER BY 1"
        return [n for (n,) in house.company.sql(there, who)]

    assert (old(two), old(four)) == ([1, 19, 37, 55], [3, 21, 39, 57])
    with house.clearing(size=Pieces(2), at=at):
        night = house.night(before=lambda: hold(two))
    assert (old(two), old(four)) == ([1, 19, 37, 55], [21, 39, 57]), "the first piece was 1 and 3"
    assert house.counts(night)["u.visit"] == {"erased": 23, "not_due": 7}
    assert house.state(night) is CaseState.WAITING and not house.findings(night)
    with house.desk.book() as conn, book.deed(conn, "hold"):
        for order in holds.listing(conn):
            holds.release(conn, str(order["hold"]), document="8", as_of=WEEK[0], actor="ops/li")
    assert house.counts(house.night(WEEK[0]))["u.visit"] == {"erased": 7}


def test_the_case_tells_that_a_standby_was_waited_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    behind = ["0/1"]
    monkeypatch.setattr(Breath, "_too_far_behind", lambda *_: behind.pop() if behind else None)
    house.night()
    told = "SELECT detail FROM casebook.event WHERE what = 'waited for standbys'"
    assert house.sql(told) == [({"company": {"pieces": 1, "seconds": 1}},)]
