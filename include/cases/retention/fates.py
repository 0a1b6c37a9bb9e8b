"""What a night's deletion rests on, in the words of its plan: rule and law of whatever says that the period is over."""

from __future__ import annotations

from include.model.interval import Bounded
from include.model.retention import Limit

PERIOD_OVER = "PIPL 47(1)(2)"
"""Whoever's figure it is, what is over must go without being asked for."""

Fate = tuple[str, str]  # rule and law


def by_days(ended_by: Bounded) -> Fate:
    """Of an item whose interval is over."""
    return ended_by.rule, law(ended_by.name, ended_by.law, company=ended_by.company)


def by_hours(limit: Limit) -> Fate:
    """Of an item that is past a period of less than a day."""
    return limit.rule, law(f"{limit.rule}/{limit.period}", limit.law, company=limit.company)


def law(period: str, cites: str, *, company: bool) -> str:
    """The law, and whose figure says that the period is over. Ours is never called law."""
    return f"{PERIOD_OVER}; " + (f"company period {period}" if company else f"{period}: {cites}")
