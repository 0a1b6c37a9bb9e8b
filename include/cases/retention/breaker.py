"""The breaker: whether a night's size is in line with its own forecast and with the nights before it, as a whole and by dataset.

What a person let go, and what goes under a plan of stages, is no measure of what is usual; what a stage left is not forecast.
So each word is good for what was shown with it, and a backlog that once went lets no second one go.

Runs by the minute make no forecast, so that a load that rose for good would be asked about for ever. Of them what a person let go
counts, too, once most of the last few took as much: one backlog is none of what is usual, nor are two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from statistics import median

from include.cases.book import Conn

USUAL = 14  # nights that a night is compared with
LATELY = 5  # runs by the minute of which most say what is usual, if a person let it go
PERIOD = 600  # seconds from one of these to the next
SHARE = 3  # times what was forecast, or what is usual, that go without asking
FEW = 200  # items that go without asking, whatever was expected
SHOWN = 5  # datasets that are named

Items = Mapping[str, int]
"""Of each dataset, so many."""


@dataclass(frozen=True)
class Usual:
    """What a night is held against. ``forecast``: None, if nobody made one for it; ``before``: what nights before let go
    without a person's word, the newest first. ``nights``: how many it makes up for, with its own. ``lately``: of runs by the
    minute, what the last few took, as far as a person let as much go."""

    forecast: Items | None
    before: Sequence[Items]
    nights: int = 1
    lately: Sequence[Items] = ()

    def of(self, dataset: str) -> tuple[int | None, list[int], list[int]]:
        """What was forecast of one dataset, and what of it nights before let go, and the last few took, for as many nights."""
        expected = None if self.forecast is None else self.forecast.get(dataset, 0)
        return (
            expected,
            [b.get(dataset, 0) * self.nights for b in self.before],
            [b.get(dataset, 0) * self.nights for b in self.lately],
        )

    @property
    def whole(self) -> tuple[int | None, list[int], list[int]]:
        """The same of all of them."""
        expected = None if self.forecast is None else sum(self.forecast.values())
        return (
            expected,
            [sum(b.values()) * self.nights for b in self.before],
            [sum(b.values()) * self.nights for b in self.lately],
        )


def needs_word(
    due: int, expected: int | None, before: Sequence[int], lately: Sequence[int] = ()
) -> str | None:
    """Why so many items wait for a person's word; None if they do not. ``before``: what nights before let go;
    ``lately``: what the last few took, as far as a person let as much go; the rest of ``LATELY`` are taken for none."""
    if due <= FEW:
        return None
    if expected is None and not before and not lately:
        return f"{due} items are due and no night was before this one: it is a backlog"
    went = max(
        median(before) if before else 0, median([*lately, *[0] * (LATELY - len(lately))]) if lately else 0
    )
    if due <= SHARE * max(expected or 0, went):
        return None
    said = f"{expected} were forecast" if expected is not None else "nothing was forecast"
    return f"{due} items are due; {said}, and nights before it let {round(went)} go"


def out_of_line(found: Items, usual: Usual) -> str | None:
    """Why a night of which so much is due of each dataset waits for a person's word; None if it does not."""
    forecast, before = usual.forecast, usual.before
    whole = needs_word(sum(found.values()), *usual.whole)
    largest = sorted(found.items(), key=lambda of: (-of[1], of[0]))
    if forecast is None and not before and not usual.lately:
        return whole and f"{whole}; of {', '.join(f'{d} {n}' for d, n in largest[:SHOWN] if n)}"
    said = [f"{dataset}: {why}" for dataset, n in largest if (why := needs_word(n, *usual.of(dataset)))]
    more = [f"and {len(said) - SHOWN} more datasets"] if len(said) > SHOWN else []
    return "; ".join([*([whole] if whole else []), *said[:SHOWN], *more]) or None


def more_than(shown: Items, found: Items) -> bool:
    """Whether more is to go than a person was shown, of any dataset or of all: a few more are none."""
    grew = {d: n - shown.get(d, 0) for d, n in found.items()}
    return sum(grew.values()) > FEW or any(n > FEW for n in grew.values())


def usual(conn: Conn, schedule: str, as_of: date, at: datetime | None = None) -> Usual:
    """What the book knows that a night may be held against. ``at``: the moment of a run by the minute."""
    return Usual(
        _forecast(conn, schedule, as_of),
        [items for _, items in _before(conn, schedule)],
        _nights(conn, schedule, as_of, at),
        () if at is None else _lately(_before(conn, schedule, with_word=True)),
    )


def _lately(before: Sequence[tuple[bool, Items]]) -> list[Items]:
    """Of the last few runs what they took, as far as a person let as much go in any of those ``before``: a load that grows
    little by little is measured by what went without a word, and by no fewer nights than that."""
    most: dict[str, int] = {}
    for word, items in before:
        for dataset, n in items.items() if word else ():
            most[dataset] = max(n, most.get(dataset, 0))
    return (
        [{d: min(n, most.get(d, 0)) for d, n in items.items()} for _, items in before[:LATELY]]
        if most
        else []
    )


def _forecast(conn: Conn, schedule: str, as_of: date) -> Items | None:
    """What the last night that ended forecast for the day after it; nothing, if a night was missed since."""
    row = conn.execute(
        "SELECT expects FROM casebook.night WHERE schedule = %s AND tomorrow IS NOT NULL AND as_of IN (%s::date, %s::date - 1)"
        " ORDER BY night_id DESC LIMIT 1",
        (schedule, as_of, as_of),
    ).fetchone()
    return None if row is None else row["expects"]


def _nights(conn: Conn, schedule: str, as_of: date, at: datetime | None) -> int:
    """How many a night makes up for: a week that was missed is due at once, and is no more than a week's; so is what a run by
    the minute finds after one that waited for a person, or that Airflow began late."""
    row = conn.execute(
        "SELECT %s::date - max(as_of) AS days, extract(epoch FROM %s::timestamptz - max(at))::float AS seconds"
        " FROM casebook.night WHERE schedule = %s AND ended_at IS NOT NULL",
        (as_of, at, schedule),
    ).fetchone()
    assert row is not None  # noqa: S101  max() is of one row, also of nothing
    return max(1, row["days"] or 1 if at is None else round((row["seconds"] or 0) / PERIOD))


def _before(conn: Conn, schedule: str, *, with_word: bool = False) -> list[tuple[bool, Items]]:
    """Whether a person let them go, and what the last nights took, each by as many nights as it made up for itself; those with a
    word only if asked for."""
    rows = conn.execute(
        "SELECT n.night_id, n.staged, n.nights, n.word, l.dataset, sum(l.gone)::bigint AS gone FROM casebook.night_line l JOIN"
        " (SELECT night_id, staged, nights, approved_by IS NOT NULL AS word FROM (SELECT night_id, staged, gone, approved_by,"
        "    greatest(1, CASE WHEN at IS NULL THEN as_of - lag(as_of) OVER w"
        "     ELSE round(extract(epoch FROM at - lag(at) OVER w) / %s)::int END) AS nights"
        "    FROM casebook.night WHERE schedule = %s AND ended_at IS NOT NULL WINDOW w AS (ORDER BY night_id)) AS x"
        "   WHERE gone > 0 AND (%s OR approved_by IS NULL) ORDER BY night_id DESC LIMIT %s) n USING (night_id)"
        " WHERE l.gone > 0 GROUP BY 1, 2, 3, 4, 5 ORDER BY 1 DESC",
        (PERIOD, schedule, with_word, USUAL),
    ).fetchall()
    found: dict[tuple[int, bool], dict[str, int]] = {}
    for row in rows:
        by_plan = (row["staged"] or {}).get(row["dataset"], 0)
        found.setdefault((row["night_id"], row["word"]), {})[row["dataset"]] = -(
            -max(0, row["gone"] - by_plan) // row["nights"]
        )
    return [(word, items) for (_, word), items in found.items()]
