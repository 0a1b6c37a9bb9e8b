"""Of any shop, what is left after a disposal is what a reader of the policy would have left, row by row."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.cases.periods import last_day
from include.cases.shutdown import approving, breaker, disposing, located, needles, orders
from include.model.errors import Refused
from include.model.times import Counting
from tests.cases.retention.house import House
from tests.cases.shutdown.test_closing import T0, company
from tests.cases.shutdown.test_orders import TOLD

pytestmark = pytest.mark.postgres

DAYS = st.one_of(
    st.none(),
    st.sampled_from([T0 - timedelta(days=n) for n in (1, 364, 365, 366, 1095, 1096, 1097, 1826, 1827, 2500)]),
)
WHO = st.integers(1, 4)
ROWS = st.lists(st.tuples(WHO, DAYS), max_size=6)
SHOPS = st.fixed_dictionaries(
    {"ended": st.lists(DAYS, min_size=4, max_size=4), "visits": ROWS, "clicks": st.lists(WHO, max_size=4),
     "tickets": ROWS, "notes": st.lists(st.tuples(st.integers(0, 5), DAYS), max_size=5)}
)  # fmt: skip


def runs(start: date | None, period: str) -> bool:
    """Whether a statute's period that starts then keeps something on T0. One whose clock has not started does."""
    return start is None or last_day(start, period, Counting.CALENDAR) >= T0


def left(shop: dict[str, list[Any]]) -> dict[str, set[Any]]:
    """What stays of each table, by id; accounts with whether their name does."""
    tickets = dict(enumerate(shop["tickets"]))
    notes = {i: (t, d) for i, (t, d) in enumerate(shop["notes"]) if t in tickets}
    kept_notes = {i for i, (_, d) in notes.items() if runs(d, "P5Y")}
    kept_tickets = {
        i for i, (_, d) in tickets.items() if runs(d, "P1Y") or any(notes[n][0] == i for n in kept_notes)
    }
    clicks = {i for i, who in enumerate(shop["clicks"]) if runs(shop["ended"][who - 1] or T0, "P3Y")}
    waits = any(runs(d, "P5Y") for _, d in shop["visits"])  # then the whole table does
    visits = set(range(len(shop["visits"]))) if waits else set()
    whole = {shop["visits"][i][0] for i in visits}
    keys = {shop["clicks"][i] for i in clicks} | {tickets[i][0] for i in kept_tickets}
    accounts = {(who, who in whole) for who in whole | keys}
    return {
        "u.visit": visits,
        "u.click": clicks,
        "s.ticket": kept_tickets,
        "s.note": kept_notes,
        "a.account": accounts,
    }


def fill(house: House, shop: dict[str, list[Any]]) -> None:
    def day(d: date | None) -> str:
        return f"'{d}'" if d else "NULL"

    said = ["TRUNCATE a.account, u.visit, u.click, s.ticket, s.note"]
    said += [
        f"INSERT INTO a.account VALUES ('{n}', 'name', {day(d)})" for n, d in enumerate(shop["ended"], 1)
    ]
    said += [
        f"INSERT INTO u.visit VALUES ({i}, '{w}', {day(d)}, '/')" for i, (w, d) in enumerate(shop["visits"])
    ]
    said += [f"INSERT INTO u.click VALUES ({i}, '{w}', NULL)" for i, w in enumerate(shop["clicks"])]
    said += [
        f"INSERT INTO s.ticket VALUES ({i}, '{w}', {day(d)}, 'b')" for i, (w, d) in enumerate(shop["tickets"])
    ]
    said += [
        f"INSERT INTO s.note VALUES ({i}, {t}, {day(d)})"
        for i, (t, d) in enumerate(shop["notes"]) if t < len(shop["tickets"])
    ]  # fmt: skip
    for statement in said:
        company(house, statement)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shop=SHOPS)
def test_what_is_left_is_what_a_reader_would_have_left(house: House, shop: dict[str, list[Any]]) -> None:
    house.sql(
        "UPDATE casebook.shutdown_order SET ended_on = %s WHERE ended_on IS NULL", T0
    )  # the example before
    fill(house, shop)
    number = orders.open_order(
        house.desk, replace(TOLD, t0=T0), as_of=T0 - timedelta(days=95), actor="legal/zhao"
    )
    approving.approve(house.desk, number, as_of=T0 - timedelta(days=95), actor="board/qian")
    house.sql(
        "UPDATE casebook.shutdown_order SET closed_on = %s, closing_at = now() WHERE number = %s", T0, number
    )
    assert located.locate(house.desk, number, as_of=T0, actor="ops/wu") == {}
    needles.gather(house.desk, number, as_of=T0, actor="ops/wu")
    for who in TOLD.approvers:
        breaker.approve(house.desk, number, as_of=T0, actor=who)
    try:
        disposing.run(house.desk, number, as_of=T0, actor="ops/wu")
    except Refused as refused:
        assert "nothing that goes to nobody" in str(refused)
    expected = left(shop)
    for table in ("u.visit", "u.click", "s.ticket", "s.note"):
        assert {i for (i,) in company(house, f"SELECT id FROM {table}")} == expected[table], table
    names = company(house, "SELECT id::int, name IS NOT NULL FROM a.account")
    assert set(names) == expected["a.account"]
