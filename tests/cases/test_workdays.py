"""Working days in the PRC, known and not yet known."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from include.cases.workdays import DEFAULT, Workdays, Year, load
from include.model.errors import CatalogueError

DAY = timedelta(days=1)


class NobodyKnows(Workdays):
    """The calendar before any notice was published."""

    def known(self, day: date) -> bool | None:
        return None


def days(first: date, last: date) -> list[date]:
    return [first + n * DAY for n in range((last - first).days + 1)]


def test_a_make_up_saturday_is_worked_and_its_bridge_day_is_not() -> None:
    assert DEFAULT.known(date(2026, 10, 10)) is True  # Saturday, made up
    assert DEFAULT.known(date(2026, 10, 7)) is False  # Wednesday, bridge day
    assert DEFAULT.known(date(2025, 1, 26)) is True  # Sunday before Spring Festival
    assert DEFAULT.known(date(2026, 10, 17)) is False  # an ordinary Saturday


def test_both_libraries_agree_on_every_day_since_2008() -> None:
    assert [d for d in days(date(2008, 1, 1), date(2026, 12, 31)) if DEFAULT.known(d) is None] == []


def test_nobody_knows_2027_and_2028_yet() -> None:
    assert DEFAULT.known(date(2027, 1, 4)) is None
    assert DEFAULT.known(date(2028, 6, 1)) is None


def test_a_provisional_deadline_has_never_been_later_than_the_real_one() -> None:
    blind = NobodyKnows()
    late = [
        start
        for start in days(date(2008, 1, 1), date(2026, 11, 20))
        if blind.after(start, 15).day > DEFAULT.after(start, 15).day
        or blind.moved_on(start).day > DEFAULT.moved_on(start).day
    ]
    assert late == []


def test_a_provisional_deadline_says_so_and_a_known_one_does_not() -> None:
    known, open_ = DEFAULT.after(date(2026, 11, 24), 15), DEFAULT.after(date(2026, 12, 21), 15)
    assert (known.day, known.provisional, known.why) == (date(2026, 12, 15), False, "")
    assert open_.provisional
    assert "2027" in open_.why and "earliest" in open_.why


def test_the_holiday_itself_is_off_even_in_a_provisional_year() -> None:
    assert not DEFAULT.may_be_worked(date(2027, 10, 1))
    assert not DEFAULT.may_be_worked(date(2027, 2, 6))
    assert DEFAULT.may_be_worked(date(2027, 2, 8)) is False
    assert DEFAULT.may_be_worked(date(2027, 7, 5))
    assert not DEFAULT.may_be_worked(date(2027, 7, 10))  # a Saturday far from any holiday


def test_a_published_notice_ends_the_doubt_and_overrides_the_libraries() -> None:
    notice = Year(frozenset({date(2027, 1, 1)}), frozenset({date(2027, 1, 9)}), "test notice")
    calendar = Workdays({2027: notice})
    assert calendar.known(date(2027, 1, 9)) is True
    assert calendar.known(date(2027, 1, 10)) is False
    assert calendar.known(date(2027, 1, 1)) is False
    assert not calendar.after(date(2026, 12, 21), 15).provisional


@pytest.mark.parametrize(
    "text",
    [
        "years: {2027: {notice: x, rest: [2026-01-01], work: []}}",
        "years: {2027: {notice: x, rest: [], work: [2027-01-04]}}",  # a Monday cannot be made up
        "years: {2027: {rest: [], work: []}}",
        "years: [",
    ],
)
def test_a_wrong_notice_is_refused_by_file_name(tmp_path, text) -> None:
    file = tmp_path / "prc_holidays.yaml"
    file.write_text(text)
    with pytest.raises(CatalogueError, match=r"prc_holidays\.yaml"):
        load(file)
