"""What falls due in the nights to come, by rule; and how a backlog burns down at a rate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date, timedelta

from include.cases.retention.due import Judged, Seen
from include.model.interval import Interval, Standing

DAY = timedelta(days=1)
WIDTH = 50  # characters of the longest bar


def due_on(it: Interval) -> date | None:
    """The night on which an item falls due: the day after the last one on which it may stay."""
    return it.latest + DAY if it.latest is not None and not it.waiting and not it.conflict else None


def nights(seen: Seen, first: date) -> Mapping[date, Counter[str]]:
    """Per night from ``first`` until the day that was looked ahead to, what falls due by rule, holds left out. What was due
    before is the first night's. Of today's estate: what comes in meanwhile is not known."""
    found: dict[date, Counter[str]] = {}
    for it in seen.judged:
        day = due_on(it.interval)
        if day is not None and not it.held and it.interval.stands(seen.as_of) is Standing.DUE:
            found.setdefault(max(day, first), Counter())[it.rule] += it.items
    return dict(sorted(found.items()))


def by_dataset(seen: Seen, day: date) -> Counter[str]:
    """What is due on a day, of each dataset, holds left out; of what was looked ahead to."""
    found = Counter[str]()
    for it in seen.judged:
        on = due_on(it.interval)
        if on is not None and on <= day and not it.held and it.interval.stands(seen.as_of) is Standing.DUE:
            found[it.dataset] += it.items
    return found


def bars(of: Mapping[date, Counter[str]], first: date, last: date) -> list[str]:
    """A bar of text per night, also for a night of nothing. The longest is ``WIDTH`` wide; the first night's, which has the
    backlog too, is cut there and marked, so that the others can be told apart."""
    totals = {day: sum(rules.values()) for day, rules in of.items()}
    most = max((n for day, n in totals.items() if day > first), default=0) or totals.get(first, 0)
    lines = []
    day = first
    while day <= last:
        n = totals.get(day, 0)
        bar = "█" * min(WIDTH, max(1, round(n * WIDTH / most))) if n else ""
        lines.append(f"{day.isoformat()} {n:>12,} {bar}{'…' if n > most else ''}".rstrip())
        day += DAY
    return lines


def burn_down(backlog: int, per_night: int, coming: int = 0) -> int | None:
    """In how many nights a backlog is gone at a rate, while ``coming`` more fall due each night; None: never."""
    if backlog <= 0:
        return 0
    gain = per_night - coming
    return -(-backlog // gain) if gain > 0 else None


def standings(seen: Seen) -> dict[str, Counter[str]]:
    """Per dataset, how many items stand where; ``held`` counts what is due and held. ``starts ahead``: its clock starts in the
    future, which is an error of whoever wrote it or a date that was agreed; it is never due before."""
    found: dict[str, Counter[str]] = {}
    for it in seen.judged:
        of = found.setdefault(it.dataset, Counter())
        stands = it.interval.stands(seen.as_of)
        of["held" if it.held and stands is Standing.DUE else stands.value] += it.items
        if _ahead(it, seen.as_of):
            of["starts ahead"] += it.items
    return found


def _ahead(it: Judged, as_of: date) -> bool:
    return any(c.day is not None and c.day > as_of for c in it.clocks)
