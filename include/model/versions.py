"""Versions of the policy, with the company's own periods as each promised them, and what follows for whoever accepted which.

A period that the company makes longer reaches nobody who has not accepted a version that says so (clauses 94 and 131 of the
first policy: no right is reduced without consent, nothing collected before is protected less); one that it makes shorter reaches
everybody. So what holds for a person is the shortest of what was promised since the version that the person accepted last, and
of what the catalogue says now. What a statute lengthens reaches everybody (68, 101), and is not promised here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import StringConstraints

from include.model.declared import Declared, Iso8601Period

Promised = Annotated[str, StringConstraints(pattern=r"^RS-\d{2}/[a-z][a-z0-9_]*$")]
_FORM = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?")


class PolicyVersion(Declared):
    """A version of the policy, the oldest first. ``id``: as it stands with the accounts whose holders accepted it. ``says``: rule
    and period -> how long it says that data stays at most, counted as the period is. What was published once is not changed."""

    id: Annotated[str, StringConstraints(min_length=1)]
    says: dict[Promised, Iso8601Period]


class Former(Declared):
    """A period that holds still, unless the owner accepted one of these later versions; none: it holds for everybody."""

    duration: Iso8601Period
    unless: tuple[str, ...]


def formers(versions: Sequence[PolicyVersion], name: str, duration: str) -> tuple[Former, ...]:
    """What was promised for ``name`` and may be shorter than it is now; the shortest of all that bind a person is that person's.
    Of equal ones, that of the latest version, which reaches the most people."""
    found: dict[str, Former] = {}
    for n, version in enumerate(versions):
        said = version.says.get(name)
        if said is not None and may_be_shorter(said, duration):
            found[said] = Former(duration=said, unless=tuple(v.id for v in versions[n + 1 :]))
    return tuple(found.values())


def may_be_shorter(one: str, other: str) -> bool:
    """Whether a period can end before another of the same counting that starts with it: a month has 28 to 31 days."""
    (months, days), (of_months, of_days) = _lasts(one), _lasts(other)
    more = months - of_months
    return more * (28 if more > 0 else 31) + days - of_days < 0


def longest(duration: str) -> float:
    """At most how many days a period lasts."""
    months, days = _lasts(duration)
    return months * 31 + days


def _lasts(duration: str) -> tuple[int, float]:
    """Months, and days beside them. What is no period lasts no time: the loader refuses it."""
    parts = _FORM.fullmatch(duration)
    y, mo, w, d, h, mi = (int(n or 0) for n in parts.groups()) if parts else (0,) * 6
    return y * 12 + mo, w * 7 + d + h / 24 + mi / 1440
