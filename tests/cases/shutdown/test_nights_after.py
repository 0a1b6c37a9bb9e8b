"""Nights go on after T0: for what a custodian keeps the relation ended that day, and what goes to the successor waits for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import product

import pytest

from include.cases.periods import last_day
from include.cases.retention import night as nightly
from include.cases.retention.due import see
from include.cases.retention.limits import question
from include.cases.retention.stopped import stopped as as_stopped
from include.cases.shutdown.residual import residual
from include.model.catalogue import Stop
from include.model.estate import Bound, Part
from include.model.interval import Standing
from include.model.times import Counting
from tests.cases.retention.house import House
from tests.cases.shutdown.conftest import SHOP, logging
from tests.cases.shutdown.test_books import Stopped, stopped
from tests.cases.shutdown.test_closing import T0, close, company, gatekeeper, ready, withdraw

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "stopped"]  # fixtures

# Three years after T0 what RS-22 keeps of whoever had an account is over, five years after their dates the visits.
CLICKS_OVER, VISITS_OVER = date(2030, 3, 5), date(2031, 11, 24)


def due(house: House, day: date) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in nightly.look(house.desk, day).rows:
        found[row.dataset] = found.get(row.dataset, 0) + row.due
    return {d: n for d, n in found.items() if n}


def test_what_a_custodian_keeps_falls_due_though_nobody_cancelled(stopped: Stopped) -> None:
    house = stopped.house
    assert "u.click" not in due(house, CLICKS_OVER - timedelta(days=1))
    assert due(house, CLICKS_OVER)["u.click"] == 20
    assert due(house, CLICKS_OVER)["a.account"] == 1, (
        "what no law keeps goes by the order, and not by a night"
    )
    night = house.night(CLICKS_OVER)
    if night.waits_for_a_person:
        assert night.case_no is not None
        nightly.approve(house.desk, night.case_no, as_of=CLICKS_OVER, actor="ops/li")
        night = house.night(CLICKS_OVER)
    assert house.counts(night)["u.click"] == {"erased": 20}
    assert company(house, "SELECT count(*) FROM u.visit") == [(60,)]


def test_a_floor_that_ends_before_the_successor_has_it_makes_nothing_due(stopped: Stopped) -> None:
    house = stopped.house
    assert "u.visit" not in due(house, VISITS_OVER)
    house.sql("UPDATE casebook.shutdown_order SET ended_on = %s", T0)
    assert due(house, VISITS_OVER)["u.visit"] == 60, (
        "once the order is over, what was left behind is due as ever"
    )
    assert due(house, VISITS_OVER)["a.account"] == 10


DAY = timedelta(days=1)
# On T0 the floor of the first was over, of the second it ends that day, of the third a month later; of each the company's own
# limit comes half a year after.
FREE, LAST, RUNS = (date(2026, 8, 4), T0 - timedelta(days=181), date(2026, 10, 4))
CLICKS = f"UPDATE u.click SET at = CASE WHEN id <= 5 THEN date '{FREE}' WHEN id <= 12 THEN date '{LAST}' ELSE date '{RUNS}' END"


def ends(start: date, period: str) -> date:
    return last_day(start, period, Counting.CALENDAR)


def logged(house: House) -> None:
    house.company = replace(house.company, catalogue=logging(house.company.catalogue))


def test_what_only_a_floor_keeps_goes_the_day_after_it_whatever_longer_limit_the_company_had(
    house: House,
) -> None:
    logged(house)
    company(house, CLICKS)
    number = ready(house)
    assert ends(FREE, "P6M") < T0 == ends(LAST, "P6M") < ends(RUNS, "P6M")
    assert "u.click" not in due(house, T0 + DAY), (
        "while the service runs it has until the company's own limit"
    )
    close(house, number)
    assert "u.click" not in due(house, T0), "what was free to go on T0 goes by the order, and not by a night"
    assert due(house, T0 + DAY)["u.click"] == 7
    over = ends(RUNS, "P6M")
    (kept,) = [k for k in residual(house.desk, number).kept if k.dataset == "u.click"]
    assert (kept.items, kept.first, kept.last) == (15, T0, over)
    assert due(house, over)["u.click"] == 7 and due(house, over + DAY)["u.click"] == 15
    night = house.night(over + DAY)
    assert house.counts(night)["u.click"] == {"erased": 15}
    assert company(house, "SELECT count(*) FROM u.click") == [(5,)]
    assert not [k for k in residual(house.desk, number).kept if k.dataset == "u.click"]


def test_an_order_about_a_service_ends_the_purpose_of_its_own_data_alone(house: House) -> None:
    logged(house)
    company(house, CLICKS)
    close(house, ready(house, services=("cert",)))
    stop = as_stopped(house.desk).stop
    assert stop is not None and dict(stop.purposes) == {"u.visit": T0}
    assert "u.click" not in due(house, T0 + DAY)
    house.sql("UPDATE casebook.shutdown_order SET services = '{log}'")
    assert due(house, T0 + DAY)["u.click"] == 7


def test_sql_and_the_calendar_agree_of_every_day_since(house: House) -> None:
    """Rows of which floors and limits end on any side of T0, and of each other; and one whose clock has not started."""
    logged(house)
    starts = [T0 - timedelta(days=n) for n in (1, 180, 181, 182, 240, 243, 244, 364, 365, 366, 400)]
    company(house, "TRUNCATE u.click, s.ticket, s.note")
    for i, start in enumerate([*starts, None]):
        at = f"'{start}'" if start else "NULL"
        company(house, f"INSERT INTO u.click VALUES ({i}, 'acct_000000000001', {at})")
        company(house, f"INSERT INTO s.ticket VALUES ({i}, 'acct_000000000001', {at}, 'b')")
    close(house, ready(house))
    catalogue = as_stopped(house.desk)

    def expected(periods: tuple[str, ...], day: date) -> int:
        """A reader of the policy: no floor runs, and either one did on T0, or the company's limit is over."""
        found = 0
        for start in starts:
            floors = [ends(start, p) for p in periods]
            found += max(floors) < day and (max(floors) >= T0 or ends(start, "P12M") < day)
        return found

    edges = {ends(s, p) for s, p in product(starts, ("P6M", "P8M", "P12M"))}
    days = sorted({d + n * DAY for d in edges for n in (0, 1) if d + n * DAY >= T0})
    assert len(days) > 20
    for day in days:
        by_sql = due(house, day)
        for dataset, periods in (("u.click", ("P6M",)), ("s.ticket", ("P6M", "P8M"))):
            assert by_sql.get(dataset, 0) == expected(periods, day), (dataset, day)
    for day in days[::3]:
        everything = see(catalogue, house, day, everything=True).judged  # type: ignore[arg-type]
        for dataset, periods in (("u.click", ("P6M",)), ("s.ticket", ("P6M", "P8M"))):
            plain = [j for j in everything if j.dataset == dataset and j.interval.stands(day) is Standing.DUE]
            assert sum(j.items for j in plain) == expected(periods, day), (dataset, day)
            assert {j.rule for j in plain} <= {"RS-28/main", "RS-13/register"}


def test_a_part_of_a_row_waits_as_the_row_does() -> None:
    part = Part(id="path", title="its path", set={"path": None}, binds=(Bound(rule="RS-01"),))
    datasets = tuple(
        d.model_copy(update={"parts": (part,)}) if d.id == "u.visit" else d for d in SHOP.datasets
    )
    stop = Stop(closed_on=T0, ended=True, over=False, waits=frozenset({"u.visit"}))
    of = SHOP.model_copy(update={"datasets": datasets, "stop": stop}).in_parts

    def floor(dataset: str, day: date) -> date:
        asked = question(of, of.dataset(dataset), day)
        return next(x.over for x in asked.limits if x.rule == "RS-03")

    assert floor("u.visit", VISITS_OVER) == floor("u.visit", T0)
    assert floor("u.visit.path", VISITS_OVER) == floor("u.visit.path", T0)


def test_what_an_order_changes_begins_with_the_end_of_collection_and_ends_with_its_withdrawal(
    house: House,
) -> None:
    assert as_stopped(house.desk).stop is None
    number = ready(house)
    assert as_stopped(house.desk).stop is None
    house.sql("UPDATE casebook.shutdown_order SET closed_on = %s, closing_at = now()", T0)
    assert as_stopped(house.desk).stop == Stop(
        closed_on=T0, ended=True, over=False, waits=frozenset({"u.visit"}), purposes={d.id: T0 for d in SHOP.datasets}
    )  # fmt: skip
    withdraw(house, number)
    assert as_stopped(house.desk).stop is None
