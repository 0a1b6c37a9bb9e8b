"""The breaker: whether a night's size is in line with its own forecast and with the nights before it, as a whole and by dataset.

What a person let go, and what goes under a plan of stages, is no measure of what is usual; what a stage left is not forecast.
So each word is good for what was shown with it, and a backlog that once went lets no second one go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median

from include.cases.book import Conn

USUAL = 14  # nights that a night is compared with
SHARE = 3  # times what was forecast, or what is usual, that go without asking
FEW = 200  # items that go without asking, whatever was expected
SHOWN = 5  # datasets that are named

Items = Mapping[str, int]
"""Of each dataset, so many."""


@dataclass(frozen=True)
class Usual:
    """What a night is held against. ``forecast``: None, if nobody made one for it; ``before``: what nights before let go
    without a person's word, the newest first. ``nights``: how many it makes up for, with its own."""

    forecast: Items | None
    before: Sequence[Items]
    nights: int = 1

    def of(self, dataset: str) -> tuple[int | None, list[int]]:
        """What was forecast of one dataset, and what of it nights before let go, for as many nights."""
        expected = None if self.forecast is None else self.forecast.get(dataset, 0)
        return expected, [b.get(dataset, 0) * self.nights for b in self.before]

    @property
    def whole(self) -> tuple[int | None, list[int]]:
        """The same of all of them."""
        expected = None if self.forecast is None else sum(self.forecast.values())
        return expected, [sum(b.values()) * self.nights for b in self.before]


def needs_word(due: int, expected: int | None, before: Sequence[int]) -> str | None:
    """Why so many items wait for a person's word; None if they do not. ``before``: what nights before let go."""
    if due <= FEW:
        return None
    if expected is None and not before:
        return f"{due} items are due and no night was before this one: it is a backlog"
    usual = max([*([expected] if expected is not None else []), *([median(before)] if before else [])])
    if due <= SHARE * usual:
        return None
    said = f"{expected} were forecast" if expected is not None else "nothing was forecast"
    return (
        f"{due} items are due; {said}, and nights before it let {round(median(before)) if before else 0} go"
    )


def out_of_line(found: Items, usual: Usual) -> str | None:
    """Why a night of which so much is due of each dataset waits for a person's word; None if it does not."""
    forecast, before = usual.forecast, usual.before
    whole = needs_word(sum(found.values()), *usual.whole)
    largest = sorted(found.items(), key=lambda of: (-of[1], of[0]))
    if forecast is None and not before:
        return whole and f"{whole}; of {', '.join(f'{d} {n}' for d, n in largest[:SHOWN] if n)}"
    said = [f"{dataset}: {why}" for dataset, n in largest if (why := needs_word(n, *usual.of(dataset)))]
    more = [f"and {len(said) - SHOWN} more datasets"] if len(said) > SHOWN else []
    return "; ".join([*([whole] if whole else []), *said[:SHOWN], *more]) or None


def more_than(shown: Items, found: Items) -> bool:
    """Whether more is to go than a person was shown, of any dataset or of all: a few more are none."""
    grew = {d: n - shown.get(d, 0) for d, n in found.items()}
    return sum(grew.values()) > FEW or any(n > FEW for n in grew.values())


def usual(conn: Conn, schedule: str, as_of: date) -> Usual:
    """What the book knows that a night may be held against."""
    return Usual(_forecast(conn, schedule, as_of), _before(conn, schedule), _nights(conn, schedule, as_of))


def _forecast(conn: Conn, schedule: str, as_of: date) -> Items | None:
    """What the last night that ended forecast for the day after it; nothing, if a night was missed since."""
    row = conn.execute(
        "SELECT expects FROM casebook.night WHERE schedule = %s AND tomorrow IS NOT NULL AND as_of IN (%s::date, %s::date - 1)"
        " ORDER BY night_id DESC LIMIT 1",
        (schedule, as_of, as_of),
    ).fetchone()
    return None if row is None else row["expects"]


def _nights(conn: Conn, schedule: str, as_of: date) -> int:
    """How many a night makes up for: a week that was missed is due at once, and is no more than a week's. A run by the minute
    makes up for none."""
    row = conn.execute(
        "SELECT max(as_of) AS last FROM casebook.night WHERE schedule = %s AND ended_at IS NOT NULL",
        (schedule,),
    ).fetchone()
    if schedule != "days" or row is None or row["last"] is None:
        return 1
    return max(1, int((as_of - row["last"]).days))


def _before(conn: Conn, schedule: str) -> list[Items]:
    """What the last nights let go, each by as many nights as it made up for itself."""
    rows = conn.execute(
        "SELECT n.night_id, n.staged, n.nights, l.dataset, sum(l.gone)::bigint AS gone FROM casebook.night_line l JOIN"
        " (SELECT night_id, staged, nights FROM (SELECT night_id, staged, gone, approved_by,"
        "    greatest(1, as_of - lag(as_of, 1, as_of) OVER (ORDER BY night_id)) AS nights"
        "    FROM casebook.night WHERE schedule = %s AND ended_at IS NOT NULL) AS x WHERE gone > 0 AND approved_by IS NULL"
        "   ORDER BY night_id DESC LIMIT %s) n USING (night_id)"
        " WHERE l.gone > 0 GROUP BY 1, 2, 3, 4 ORDER BY 1 DESC",
        (schedule, USUAL),
    ).fetchall()
    found: dict[int, dict[str, int]] = {}
    for row in rows:
        by_plan = (row["staged"] or {}).get(row["dataset"], 0)
        found.setdefault(row["night_id"], {})[row["dataset"]] = -(
            -max(0, row["gone"] - by_plan) // row["nights"]
        )
    return list(found.values())
