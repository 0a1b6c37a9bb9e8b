"""Two times, never mixed, and the arithmetic of periods.

``as_of`` is a *date* in the PRC: the business date that rules are judged by, given by the run.
``observed_at`` is an aware UTC ``datetime``: the wall clock, on evidence.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum

# The PRC has one time zone without daylight saving; a fixed offset needs no tz database.
PRC = timezone(timedelta(hours=8), "CST")


def observed_now() -> datetime:
    """The wall clock, for evidence."""
    return datetime.now(UTC)


def prc_date(moment: datetime) -> date:
    """The PRC calendar date of an aware moment. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone has no date")
    return moment.astimezone(PRC).date()


class Counting(StrEnum):
    """How a period is counted."""

    CALENDAR = "calendar"
    PRC_WORKING_DAYS = "prc_working_days"
    FISCAL_YEARS = "fiscal_years"  # from the end of the calendar year in which it starts
