"""When the machine has something to do: instants on the business date's own clock.

``due_at`` is compared with :func:`moment`. On the real day that is now; on a day that is simulated it is that day at this
time, so that a calendar of sixty days can be walked in a minute. Nothing is ever observed at such a moment.
"""

from __future__ import annotations

import random
from datetime import date, datetime, time, timedelta

from include.model.times import PRC, observed_now, prc_date

FIRST_RETRY = 30  # seconds; doubled with every attempt
LAST_RETRY = 6 * 3600
FIRST_POLL = 3600
LAST_POLL = 24 * 3600
LONGEST_WAIT = 7 * 24 * 3600  # whatever a recipient's Retry-After says


def moment(as_of: date, now: datetime | None = None) -> datetime:
    """The instant that ``due_at`` is compared with."""
    now = now or observed_now()
    return now if as_of <= prc_date(now) else datetime.combine(as_of, now.astimezone(PRC).timetz())


def start_of(day: date) -> datetime:
    return datetime.combine(day, time(0), PRC)


def again_after(attempts: int, asked: int | None = None) -> timedelta:
    """How long to wait after a failed attempt: doubling, with jitter so that a thousand do not come back at once;
    never less than the recipient ``asked`` for."""
    step = min(LAST_RETRY, FIRST_RETRY * 2 ** min(max(attempts - 1, 0), 20))
    wait = step * random.uniform(0.5, 1.0)  # noqa: S311  it spreads load, and keeps no secret
    return timedelta(seconds=max(wait, min(asked or 0, LONGEST_WAIT)))


def next_poll(at: datetime, asked: int, expected_on: date | None) -> datetime:
    """When to ask again: on the day that the recipient named, else ever less often."""
    step = timedelta(seconds=min(LAST_POLL, FIRST_POLL * 2 ** min(asked, 20)))
    return max(at + step, start_of(expected_on)) if expected_on else at + step
