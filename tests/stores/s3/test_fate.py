"""Floors end on the right day, and doubt keeps the item."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.model.errors import CatalogueError
from include.model.estate import Start
from include.model.flow import NOT_REACHED, Floor, Held, Provision, Reach
from include.model.times import Counting
from include.model.words import Disposition
from include.stores.s3.fate import NOT_STARTED, Judge, day_of, joined, until
from include.stores.s3.items import Item

AS_OF = date(2026, 11, 24)


def floor(duration: str = "P6M", counting: Counting = Counting.CALENDAR, start: Start | None = None) -> Floor:
    return Floor(
        rule="RS-12", period="main", duration=duration, counting=counting, start=start, law="CSL 23(3)"
    )


@pytest.mark.parametrize(
    ("duration", "counting", "start", "end"),
    [
        ("P6M", Counting.CALENDAR, date(2026, 8, 31), date(2027, 2, 28)),
        ("P5Y", Counting.CALENDAR, date(2024, 2, 29), date(2029, 2, 28)),
        ("P1Y1M", Counting.CALENDAR, date(2026, 12, 31), date(2028, 1, 31)),
        ("P2W3D", Counting.CALENDAR, date(2026, 11, 24), date(2026, 12, 11)),
        ("PT36H", Counting.CALENDAR, date(2026, 11, 24), date(2026, 11, 26)),
        ("P30Y", Counting.FISCAL_YEARS, date(2026, 1, 2), date(2056, 12, 31)),
    ],
)
def test_a_floor_ends_on(duration: str, counting: Counting, start: date, end: date) -> None:
    assert until(floor(duration, counting), start) == end


def test_working_days_need_a_calendar() -> None:
    with pytest.raises(CatalogueError, match="calendar"):
        until(floor("P3D", Counting.PRC_WORKING_DAYS), AS_OF)
    assert until(floor("P3D", Counting.PRC_WORKING_DAYS), AS_OF, lambda _, d: d + timedelta(9)) == date(
        2026, 12, 3
    )


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-01-05", date(2026, 1, 5)),
        ("2026-01-05T20:00:00Z", date(2026, 1, 6)),  # past midnight in the PRC
        ("2026-01-05T20:00:00+08:00", date(2026, 1, 5)),
        ("2026-01-05 20:00:00", date(2026, 1, 5)),
        ("1767643200", date(2026, 1, 6)),
        ("1767643200000", date(2026, 1, 6)),
        (datetime(2026, 1, 5, 20, tzinfo=UTC), date(2026, 1, 6)),
        ("yesterday", None), ("", None), (None, None), ("2026-13-01", None),
    ],
)  # fmt: skip
def test_a_time_has_a_prc_date_or_none(text: object, day: date | None) -> None:
    assert day_of(text) == day


def judged(item: Item, *floors: Floor, rows: Mapping[tuple[str, ...], date | str] | None = None,
           holds: tuple[Held, ...] = (), reaches: Reach | None = None, began: date | None = None) -> Item:  # fmt: skip
    provision = Provision(dataset="d", disposition=Disposition.ERASE, rule="RS-01", law="PIPL 47",
                          floors=floors, holds=holds, reaches=reaches)  # fmt: skip
    return Judge(provision, AS_OF, began or AS_OF, lambda start: rows or {}).weigh(item)


def item(**values: str | None) -> Item:
    return Item("record", "k", "v", True, subjects=(0,), values=dict(values))


@given(st.dates(date(2000, 1, 1), date(2040, 1, 1)))
def test_an_item_goes_the_day_after_its_floor_and_not_a_day_earlier(began: date) -> None:
    got = judged(item(at=began.isoformat()), floor(start=Start(column="at")))
    end = until(floor(), began)
    assert (got.disposition is Disposition.ERASE) == (end < AS_OF)
    assert got.until == (None if end < AS_OF else end)


@pytest.mark.parametrize("began", [date(2022, 11, 23), date(2024, 1, 1), None])
def test_what_starts_with_the_case_runs_from_its_first_step_and_not_anew(began: date | None) -> None:
    got = judged(item(at=None), floor("P3Y"), began=began)
    end = until(floor("P3Y"), began or AS_OF)
    assert (got.disposition is Disposition.ERASE) == (end < AS_OF)
    assert got.until == (None if end < AS_OF else end)


@pytest.mark.parametrize("value", [None, "", "yesterday"])
def test_a_time_that_is_missing_or_unreadable_keeps_the_item(value: str | None) -> None:
    got = judged(item(at=value), floor(start=Start(column="at")))
    assert (got.disposition, got.until) == (Disposition.RETAIN, None)


def test_the_latest_of_several_floors_counts_and_an_unstarted_one_outlasts_all() -> None:
    column, query = Start(column="at"), Start(query="ended", on={"no": "serial"})
    young = item(at="2026-11-01", no="7")
    assert judged(young, floor("P1M", start=column), floor("P2Y", start=column)).until == date(2028, 11, 1)
    got = judged(young, floor(start=column), floor("P5Y", start=query), rows={("7",): NOT_STARTED})
    assert (got.disposition, got.until) == (Disposition.RETAIN, None)
    assert (
        judged(young, floor("P5Y", start=query), rows={("8",): NOT_STARTED}).disposition is Disposition.ERASE
    )


def test_a_hold_comes_before_everything() -> None:
    got = judged(
        item(at=None),
        floor(start=Start(column="at")),
        holds=(Held(hold="HOLD-000001", subject_nos=(0,), law="L"),),
    )
    assert (got.disposition, got.hold) == (Disposition.HOLD, "HOLD-000001")


def test_of_several_starting_points_the_latest_counts() -> None:
    start = Start(query="q", on={"mine": "theirs"})

    def row(day: date | None) -> dict[str, object]:
        return {"theirs": 7, "started_at": day}

    assert joined(start, [row(date(2026, 1, 1)), row(date(2025, 1, 1))]) == {("7",): date(2026, 1, 1)}
    assert joined(start, [row(date(2026, 1, 1)), row(None), row(date(2027, 1, 1))]) == {("7",): NOT_STARTED}


@pytest.mark.parametrize(
    ("only", "fate"),
    [(None, Disposition.RETAIN), (("partner", "insurer"), Disposition.RETAIN), (("partner", "bank"), Disposition.ERASE)],
)  # fmt: skip
def test_what_a_step_does_not_reach_is_left_whatever_its_floors_and_holds(only, fate) -> None:
    held = (Held(hold="HOLD-000001", subject_nos=(0,), law="l"),) if fate is Disposition.RETAIN else ()
    weighed = judged(item(partner="bank"), holds=held, reaches=Reach(only=only, law="own contract"))
    assert weighed.disposition is fate
    if fate is Disposition.RETAIN:
        assert (weighed.law, weighed.waits_for, weighed.hold) == ("own contract", NOT_REACHED, None)
