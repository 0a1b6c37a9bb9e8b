"""T0 is never before what was filed allows, whatever happens and in whatever order."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.cases.shutdown.dates import E_GOVERNMENT, FILED, LEADS, Days, Gate, Path
from include.cases.workdays import DEFAULT
from include.ledger import verify_service_books
from include.model.errors import Refused

FIRST = date(2026, 11, 1)
DAY = timedelta(days=1)


def days(path: Path = Path.VOLUNTARY, t0: int = 120) -> Days:
    return Days(path, FIRST, FIRST + t0 * DAY)


Event = tuple[str, int, int]
EVENTS = st.lists(
    st.tuples(
        st.sampled_from([*FILED, Gate.SUCCESSOR_TOLD, "move", "withdrew", "named", "close", "nothing"]),
        st.integers(0, 25),  # days until then
        st.integers(-60, 130),  # a day named, from that day on
    ),
    max_size=25,
)


def after(it: Days, what: str, as_of: date, named: date) -> Days:
    """What one event makes of an order's days; what is refused changes nothing."""
    try:
        match what:
            case "move":
                return it.moved(named, as_of)
            case "withdrew":
                return it.without_successor(as_of)
            case "named":
                return replace(it, successor_since=as_of)
            case "nothing":
                return it
            case "close":
                it.closable(as_of)
                return replace(it, done={**it.done, Gate.CLOSED: as_of})
            case gate:
                return it.passed(Gate(gate), min(named, as_of), as_of)
    except Refused:
        return it


@given(events=EVENTS, t0=st.integers(90, 200))
def test_it_never_stops_before_notice_and_90_and_report_and_60_and_announcement_and_30(
    events: list[Event], t0: int
) -> None:
    it, as_of = days(t0=t0), FIRST
    for what, later, named in events:
        as_of += later * DAY
        before = it
        it = after(it, what, as_of, as_of + named * DAY)
        if Gate.CLOSED in it.done and Gate.CLOSED not in before.done:
            assert set(FILED) <= set(it.done) and as_of >= it.t0
            assert all(as_of >= it.done[g] + n * DAY for g, n in LEADS[Path.VOLUNTARY].items())
        if Gate.CLOSED in it.done:
            assert before.t0 == it.t0 or Gate.CLOSED not in before.done
            continue
        for gate, lead in LEADS[Path.VOLUNTARY].items():
            assert gate not in it.done or it.t0 >= it.done[gate] + lead * DAY
        assert it.t0 >= before.t0 or what == "move"


@given(events=EVENTS)
def test_a_gate_that_was_said_is_never_made_earlier(events: list[Event]) -> None:
    it, as_of = days(), FIRST
    for what, later, named in events:
        as_of += later * DAY
        before, it = it, after(it, what, as_of, as_of + named * DAY)
        assert all(it.done[g] >= d for g, d in before.done.items() if g in it.done)


@given(events=EVENTS)
def test_no_notice_that_counts_is_older_than_the_last_successor_that_withdrew(events: list[Event]) -> None:
    it, as_of, since = days(), FIRST, FIRST
    for what, later, named in events:
        as_of += later * DAY
        if what == "withdrew" and Gate.CLOSED not in it.done:
            since = as_of
        it = after(it, what, as_of, as_of + named * DAY)
        assert it.done.get(Gate.NOTIFIED, since) >= since


def test_a_notice_that_named_who_withdrew_is_not_recorded_again() -> None:
    it = days().passed(Gate.NOTIFIED, FIRST + DAY, FIRST + DAY).without_successor(FIRST + 50 * DAY)
    with pytest.raises(Refused, match="true no more since 2026-12-21"):
        it.passed(Gate.NOTIFIED, FIRST + DAY, FIRST + 50 * DAY)
    assert it.passed(Gate.NOTIFIED, FIRST + 50 * DAY, FIRST + 50 * DAY).t0 == FIRST + 140 * DAY


@given(on=st.integers(0, 200))
def test_a_late_gate_moves_t0_by_as_many_days_as_it_was_late_and_an_early_one_by_none(on: int) -> None:
    it = days()
    for gate, lead in LEADS[Path.VOLUNTARY].items():
        then = it.passed(gate, FIRST + on * DAY, FIRST + on * DAY)
        assert then.t0 - it.t0 == max(0, on + lead - 120) * DAY
        assert (then.t0 > it.t0) == (FIRST + on * DAY > it.due(gate))


def test_what_is_due_when_and_what_is_overdue() -> None:
    it = days(t0=120)
    assert [it.due(g) for g in it.gates] == [FIRST + n * DAY for n in (30, 60, 90, 120)]
    assert it.overdue(FIRST + 30 * DAY) == ()
    assert it.overdue(FIRST + 31 * DAY) == (Gate.NOTIFIED,)
    assert it.overdue(FIRST + 121 * DAY) == it.gates


def test_a_year_that_ends_and_a_leap_day_are_days_like_others() -> None:
    it = Days(Path.VOLUNTARY, date(2027, 12, 1), date(2028, 3, 1))
    assert it.passed(Gate.NOTIFIED, date(2027, 12, 2), date(2027, 12, 2)).t0 == date(2028, 3, 1)
    assert it.passed(Gate.NOTIFIED, date(2027, 12, 3), date(2027, 12, 3)).t0 == date(2028, 3, 2)


def test_it_moves_back_to_the_earliest_lawful_day_and_no_further() -> None:
    it = days(t0=200)
    for gate in FILED:
        it = it.passed(gate, FIRST + 10 * DAY, FIRST + 10 * DAY)
    assert it.moved(FIRST + 100 * DAY, FIRST + 20 * DAY).t0 == FIRST + 100 * DAY
    with pytest.raises(Refused, match=r"notified on 2026-11-11, 90 days.*not before 2027-02-09"):
        it.moved(FIRST + 99 * DAY, FIRST + 20 * DAY)
    with pytest.raises(Refused, match="T0 cannot be"):
        it.moved(FIRST + 110 * DAY, FIRST + 111 * DAY)  # that day is over


def test_before_the_day_that_people_were_told_it_moves_only_with_a_notice_of_its_own() -> None:
    it = replace(days(t0=200), told=FIRST + 200 * DAY)
    for gate in FILED:
        it = it.passed(gate, FIRST + 10 * DAY, FIRST + 10 * DAY)
    with pytest.raises(Refused, match=r"notified not done by 2026-11-21, 90 days"):
        it.moved(FIRST + 109 * DAY, FIRST + 20 * DAY)
    earlier = it.moved(FIRST + 110 * DAY, FIRST + 20 * DAY)
    assert earlier.open == (Gate.NOTIFIED, Gate.CLOSED) and earlier.t0 == FIRST + 110 * DAY
    with pytest.raises(Refused, match="true no more since 2026-11-21"):
        earlier.passed(Gate.NOTIFIED, FIRST + 19 * DAY, FIRST + 20 * DAY)
    later = it.moved(FIRST + 230 * DAY, FIRST + 20 * DAY)
    assert (
        later.open == (Gate.CLOSED,) and later.moved(FIRST + 200 * DAY, FIRST + 21 * DAY).open == later.open
    )


def test_what_is_not_filed_yet_counts_as_if_it_were_filed_today() -> None:
    it = days(t0=200)
    with pytest.raises(Refused, match="notified not done by 2026-11-21, 90 days"):
        it.moved(FIRST + 109 * DAY, FIRST + 20 * DAY)
    assert it.moved(FIRST + 110 * DAY, FIRST + 20 * DAY).t0 == FIRST + 110 * DAY


def test_a_revoked_licence_waits_for_nothing() -> None:
    it = days(Path.LICENCE_REVOKED, t0=0)
    assert it.overdue(FIRST + DAY) == it.gates
    it.closable(FIRST)  # at once, whatever else is not done
    assert it.passed(Gate.NOTIFIED, FIRST + 9 * DAY, FIRST + 9 * DAY).t0 == FIRST
    with pytest.raises(Refused, match="only a later decision"):
        days(Path.LICENCE_REVOKED, t0=5).moved(FIRST + DAY, FIRST)
    with pytest.raises(Refused, match="has not come"):
        days(Path.LICENCE_REVOKED, t0=5).closable(FIRST)


def test_people_are_told_of_a_successor_that_was_named_after_the_notice() -> None:
    told = days().passed(Gate.NOTIFIED, FIRST + DAY, FIRST + DAY)
    assert Gate.SUCCESSOR_TOLD not in told.gates
    with pytest.raises(Refused, match="told of the successor with the notice itself"):
        told.passed(Gate.SUCCESSOR_TOLD, FIRST + DAY, FIRST + DAY)
    named = Days(told.path, FIRST, told.t0, told.done, FIRST + 5 * DAY)
    assert Gate.SUCCESSOR_TOLD in named.open
    with pytest.raises(Refused, match="nobody could be told before 2026-11-06"):
        named.passed(Gate.SUCCESSOR_TOLD, FIRST + 4 * DAY, FIRST + 9 * DAY)
    assert Gate.SUCCESSOR_TOLD not in named.passed(Gate.SUCCESSOR_TOLD, FIRST + 5 * DAY, FIRST + 9 * DAY).open


def test_certificates_for_e_government_have_a_second_regulator_who_is_told_first() -> None:
    it = Days(Path.VOLUNTARY, date(2027, 1, 1), date(2027, 4, 15), e_government=True)
    assert Gate.REPORTED_E_GOVERNMENT in it.gates and it.due(Gate.REPORTED_E_GOVERNMENT) == date(2027, 1, 5)
    for gate in FILED:
        it = it.passed(gate, date(2027, 1, 2), date(2027, 4, 15))
    with pytest.raises(Refused, match="not done yet: reported_e_government"):
        it.closable(date(2027, 4, 15))
    late = it.passed(Gate.REPORTED_E_GOVERNMENT, date(2027, 2, 1), date(2027, 4, 15))
    assert late.t0 == date(2027, 2, 1) + 100 * DAY, "late, it moves T0 like any other"
    assert "reported_e_government on 2027-02-01, 100 days" in late.why(date(2027, 4, 15))
    revoked = Days(Path.LICENCE_REVOKED, date(2027, 1, 1), date(2027, 1, 1), e_government=True)
    assert revoked.overdue(date(2027, 1, 2)) and revoked.due(Gate.REPORTED_E_GOVERNMENT) == date(2027, 1, 1)
    with pytest.raises(Refused, match="no certificates for e-government"):
        Days(Path.VOLUNTARY, date(2027, 1, 1), date(2027, 4, 15)).passed(
            Gate.REPORTED_E_GOVERNMENT, date(2027, 1, 2), date(2027, 1, 2)
        )


def test_sixty_working_days_of_any_known_calendar_are_over_before_the_second_regulators_days() -> None:
    """From every day since 2009 of which the calendar is known; the verifier wants no more than the gate."""
    known = [
        due.day - day
        for day in (date(2009, 1, 1) + n * DAY for n in range(6700))
        if not (due := DEFAULT.after(day, 60)).provisional
    ]
    assert len(known) > 6000 and max(known) <= E_GOVERNMENT * DAY
    assert DEFAULT.after(date(2026, 1, 30), 60).day == date(2026, 5, 6)
    assert verify_service_books.E_GOVERNMENT_DAYS <= E_GOVERNMENT
