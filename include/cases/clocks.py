"""The deadlines of a case (law.md section E), as pure functions of dates.

All take and give PRC dates; a moment is turned into one with ``include.model.times.prc_date``. The day of
the event is not counted (Civil Code 201), and a reply that falls due on a day off is due on the next
working day (Civil Code 203). A deadline among days that are not announced yet is provisional, is taken at
its earliest, and says so in ``why``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from include.cases.workdays import DEFAULT, Due, Workdays
from include.model.times import prc_date
from include.model.words import Ground

REPLY_DAYS = 30  # policy 11.4
FINISH_WORKING_DAYS = 15  # App Method section 6; GB/T 35273 8.5
IDENTITY_DAYS = 15  # [proposal] of law.md E row 4
REMIND_RECIPIENT_DAYS = 10  # [proposal] of row 16
RECIPIENT_TARGET_WORKING_DAYS = 15
ESCALATE_RECIPIENT_DAYS = 30
HOLD_REVIEW_MONTHS = 6  # [proposal] of row 8
RETRY_HOURS = 24  # row 13
REMINDERS_BEFORE = (10, 5, 1)  # calendar days before a deadline of ours

DAY = timedelta(days=1)


def reply_due(verified_on: date, workdays: Workdays = DEFAULT) -> Due:
    """The last day to answer the person: 30 days from verification (policy 11.4)."""
    return workdays.moved_on(verified_on + REPLY_DAYS * DAY)


def finish_due(verified_on: date, workdays: Workdays = DEFAULT) -> Due:
    """The last day to finish a cancellation: 15 PRC working days (App Method section 6)."""
    return workdays.after(verified_on, FINISH_WORKING_DAYS)


def has_finish_clock(ground: Ground) -> bool:
    """Only a cancellation carries the 15 working days; other grounds say "in time" (及时)."""
    return ground is Ground.CANCELLATION


def identity_fails_on(asked_on: date) -> date:
    """The first day on which a request for proof that nobody answered has failed."""
    return asked_on + (IDENTITY_DAYS + 1) * DAY


def asked_too_long_ago(as_of: date) -> date:
    """The last day on which a request for proof was made that has failed by now, unanswered."""
    return as_of - (IDENTITY_DAYS + 1) * DAY


def identity_overdue(asked_on: date, as_of: date) -> bool:
    return as_of >= identity_fails_on(asked_on)


def reminders(due: date, opened_on: date) -> tuple[date, ...]:
    """The days on which the owner of a deadline is reminded, none before the clock started."""
    return tuple(d for d in (due - n * DAY for n in REMINDERS_BEFORE) if d > opened_on)


@dataclass(frozen=True)
class RecipientClock:
    """What a recipient owes us by when."""

    remind_on: date
    target: Due
    escalate_on: date


def recipient_clock(sent_on: date, workdays: Workdays = DEFAULT) -> RecipientClock:
    return RecipientClock(
        remind_on=sent_on + REMIND_RECIPIENT_DAYS * DAY,
        target=workdays.after(sent_on, RECIPIENT_TARGET_WORKING_DAYS),
        escalate_on=sent_on + ESCALATE_RECIPIENT_DAYS * DAY,
    )


@dataclass(frozen=True)
class CaseClocks:
    """The two clocks of a case, started by verification; both None before it."""

    reply: Due | None
    finish: Due | None

    @classmethod
    def of(cls, ground: Ground, verified_at: datetime | None, workdays: Workdays = DEFAULT) -> CaseClocks:
        """The clocks of a case. An own-initiative case owes nobody a reply and has no clock of its own."""
        if verified_at is None:
            return cls(None, None)
        day = prc_date(verified_at)
        return cls(reply_due(day, workdays), finish_due(day, workdays) if has_finish_clock(ground) else None)
