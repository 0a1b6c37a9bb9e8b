"""How each recipient answers and how true that is, said in the ledger once a day: counts, and nobody's data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from include.cases.notices import rechecks
from include.cases.notices.record import record
from include.cases.rooms import Desk
from include.ledger.log import KeyTaken
from include.model.times import observed_now

KIND = "recipients"
_COUNTS = (
    "notices", "told", "answered", "escalated", "open", "words", "verified", "not_seen_before", "unverified",
    "caught", "taken_back",
)  # fmt: skip


def to_ledger(desk: Desk, *, as_of: date) -> str:
    """Say what is not said yet: what came of asking again, and the figures of the day. What it did, in words.

    Once a day: later on the same day the figures may be others, and what was said stands.
    """
    asked = rechecks.to_ledger(desk)
    with desk.book() as conn:
        rows = record(conn)
    if not rows:
        return "nobody was ever told anything"
    body = {
        "as_of": as_of.isoformat(),
        "observed_at": observed_now().isoformat(),
        "recipients": [figures(row) for row in rows],
    }
    try:
        desk.record(KIND, None, body, f"{KIND}:{as_of.isoformat()}")
    except KeyTaken:
        return f"{asked} rechecks said; the day's figures were said before"
    return f"{asked} rechecks said; figures of {len(rows)} recipients"


def figures(row: Mapping[str, Any]) -> dict[str, Any]:
    """One recipient's, in whole numbers: times in seconds. None: nothing was answered yet."""
    return {
        "recipient": row["recipient"],
        **{name: int(row[name]) for name in _COUNTS},
        "median_seconds": _seconds(row["median_days"]),
        "p95_seconds": _seconds(row["p95_days"]),
    }


def _seconds(days: float | None) -> int | None:
    return None if days is None else max(0, round(float(days) * 86400))
