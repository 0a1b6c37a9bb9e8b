"""The two clocks of a case, over four years."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.cases import clocks
from include.cases.workdays import DEFAULT
from include.model.words import Ground

DAYS = st.dates(date(2025, 1, 1), date(2028, 12, 31))


@pytest.mark.parametrize(
    ("verified", "reply"),
    [
        (date(2026, 11, 24), date(2026, 12, 24)),  # a Thursday
        (date(2026, 8, 14), date(2026, 9, 14)),  # the 13th is a Sunday
        (date(2026, 9, 1), date(2026, 10, 8)),  # falls into National Day, moves behind the week
        (date(2026, 9, 10), date(2026, 10, 10)),  # a Saturday, but a made-up one: does not move
        (date(2025, 12, 2), date(2026, 1, 4)),  # New Year; the Sunday after is made up
    ],
)
def test_the_reply_is_due_after_thirty_days_and_moves_off_a_day_off(verified, reply) -> None:
    assert clocks.reply_due(verified).day == reply


@pytest.mark.parametrize(
    ("verified", "finish"),
    [
        (date(2026, 11, 24), date(2026, 12, 15)),
        (date(2026, 9, 18), date(2026, 10, 15)),  # Sun 20 Sep and Sat 10 Oct are worked, 1-7 Oct off
        (date(2025, 1, 10), date(2025, 2, 7)),  # a make-up Sunday before Spring Festival
        (date(2026, 2, 13), date(2026, 3, 12)),  # Sat 14 and Sat 28 Feb are worked
    ],
)
def test_a_cancellation_is_finished_in_fifteen_working_days(verified, finish) -> None:
    due = clocks.finish_due(verified)
    assert (due.day, due.provisional) == (finish, False)


@given(DAYS)
def test_deadlines_lie_ahead_and_never_on_a_known_day_off(day) -> None:
    reply, finish = clocks.reply_due(day), clocks.finish_due(day)
    assert reply.day >= day + timedelta(days=30)
    assert finish.day >= day + timedelta(days=15)
    for due in (reply, finish):
        assert DEFAULT.known(due.day) is not False
        assert due.provisional or due.day.year <= 2026


@given(DAYS, st.integers(0, 20))
def test_a_later_verification_never_gives_an_earlier_deadline(day, more) -> None:
    later = day + timedelta(days=more)
    if later.year <= 2026:
        assert clocks.finish_due(later).day >= clocks.finish_due(day).day
        assert clocks.reply_due(later).day >= clocks.reply_due(day).day


def test_proof_fails_on_the_sixteenth_day_not_on_the_fifteenth() -> None:
    asked = date(2026, 11, 1)
    assert not clocks.identity_overdue(asked, date(2026, 11, 16))
    assert clocks.identity_overdue(asked, date(2026, 11, 17))


def test_the_clock_is_that_of_the_prc_not_of_greenwich() -> None:
    evening = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)  # the 24th in Beijing
    assert clocks.CaseClocks.of(Ground.CANCELLATION, evening).reply == clocks.reply_due(date(2026, 11, 24))


def test_before_verification_no_clock_runs_and_only_a_cancellation_has_fifteen_days() -> None:
    assert clocks.CaseClocks.of(Ground.CANCELLATION, None) == clocks.CaseClocks(None, None)
    moment = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
    assert clocks.CaseClocks.of(Ground.OBJECTION, moment).finish is None
    assert clocks.CaseClocks.of(Ground.CANCELLATION, moment).finish is not None


def test_no_reminder_before_the_clock_started() -> None:
    assert clocks.reminders(date(2026, 12, 24), date(2026, 12, 20)) == (date(2026, 12, 23),)


def test_a_recipient_is_reminded_after_ten_days_and_escalated_after_thirty() -> None:
    clock = clocks.recipient_clock(date(2026, 11, 24))
    assert clock.remind_on == date(2026, 12, 4)
    assert clock.target.day == date(2026, 12, 15)
    assert clock.escalate_on == date(2026, 12, 24)
