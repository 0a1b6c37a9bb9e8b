"""What a receipt, or the answer to a notice, is worth by the time at which it was signed.

Each says what the successor had at that moment. So the newest by its own time counts, whatever comes last: an older one that is
shown again says nothing new. None is from before that of which it speaks, or from after now. Times are of two clocks, which may
differ by :data:`SKEW`; those of the successor alone are compared as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from include.model.errors import Refused
from include.model.times import observed_now

SKEW = timedelta(minutes=5)


def timely(signed: datetime, *, since: datetime, others: Iterable[datetime], about: str) -> None:
    """Raises Refused unless it may be the newest word. ``since``: when that was made of which it speaks; ``others``: the times of
    what was recorded before."""
    if signed.tzinfo is None:
        raise _refused("it says no time zone, so nobody knows when it was signed", about)
    if signed < since - SKEW:
        raise _refused("it is dated before that of which it speaks was made", about)
    if signed > observed_now() + SKEW:
        raise _refused("it is dated in the future", about)
    if any(signed < other for other in others):
        raise _refused("it is older than one that was verified", about)


def _refused(what: str, about: str) -> Refused:
    return Refused(what, about=about, next_step="have the successor sign anew; nothing was marked")
