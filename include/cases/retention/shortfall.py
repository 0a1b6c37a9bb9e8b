"""The breaker's other side: a night of which far less is due than the night before it forecast.

What falls due tomorrow is there today, so a forecast comes true but for what is known: holds, people's cases, runs by the minute.
Less than that says that a clock was wiped or moved, or that rows went past us. Nothing wrong goes by it, so the night takes what
is due; but what is not due any more by that would stay, and nobody would see it. So it is told by name, and the night is red.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date

from include.cases.book import Conn
from include.cases.retention import counted
from include.cases.retention.breaker import FEW
from include.cases.retention.due import Row
from include.cases.retention.nights import SHORT, Night
from include.model.catalogue import Catalogue

PART = 2  # of what was forecast one in so many comes: people use things again, and applications delete rows of their own
NOTED = "fell short of the forecast"
"""What the timeline of a night's case calls it."""


@dataclass(frozen=True)
class Short:
    """A dataset of which far less was due than forecast. ``explained``: what went since by cases and runs, or is held."""

    dataset: str
    forecast: int
    came: int
    explained: int

    @property
    def missing(self) -> int:
        return self.forecast - self.came - self.explained

    def __str__(self) -> str:
        return (
            f"{self.missing} items fewer are due than the night before forecast: of {self.forecast} {self.came} came, and"
            f" {self.explained} went since or are held. Next: find out whether the column that starts their period was written"
            " over, or somebody else deleted them; what has its right date again goes the next night"
        )


def short(
    conn: Conn, as_of: date, rows: Iterable[Row], catalogue: Catalogue, unasked: Collection[str]
) -> list[Short]:
    """Which datasets fell far short of what the last night that ended forecast for the day after it, the furthest first.

    ``rows``: as the night began; ``unasked``: datasets that could not be asked. Nothing, if the catalogue changed since. Days
    that were missed change nothing: what was due by the first of them still is."""
    before = conn.execute(
        "SELECT night_id, case_no, as_of, began_at, expects, catalogue FROM casebook.night WHERE schedule = 'days'"
        " AND ended_at IS NOT NULL ORDER BY night_id DESC LIMIT 1"
    ).fetchone()
    if before is None or before["as_of"] >= as_of or before["catalogue"] != catalogue.digest:
        return []
    came, held = Counter[str](), Counter[str]()
    for row in rows:
        came[row.dataset] += row.due
        held[row.dataset] += row.held
    suspects = {
        d: n
        for d, n in (before["expects"] or {}).items()
        if d not in unasked and _is_far(n, came[d]) and _is_comparable(catalogue, d)
    }
    if not suspects:
        return []
    held -= _held_then(conn, before["night_id"])
    went = _went_since(conn, before["began_at"], before["case_no"])
    found = [
        Short(
            d,
            n,
            came[d],
            held[d] + went[d] + went[catalogue.dataset(d).whole] * (catalogue.dataset(d).whole != d),
        )
        for d, n in suspects.items()
    ]
    return sorted(
        (x for x in found if _is_far(x.forecast, x.came + x.explained)),
        key=lambda x: (-x.missing, x.dataset),
    )


def tell(conn: Conn, night: Night, found: Iterable[Short]) -> None:
    """Write down of a night what fell short: its last task names it."""
    for x in found:
        conn.execute(
            "INSERT INTO casebook.night_line (night_id, rule, dataset, due, overdue, held, why_left)"
            " VALUES (%s, %s, %s, 0, 0, 0, %s)",
            (night.night_id, SHORT, x.dataset, str(x)),
        )


def of_nights(conn: Conn, nights: Iterable[Night]) -> list[tuple[date, str, str]]:
    """Which datasets fell short in these nights, and by how much, in words; the newest first."""
    rows = conn.execute(
        "SELECT n.as_of, l.dataset, l.why_left FROM casebook.night_line l JOIN casebook.night n USING (night_id)"
        " WHERE l.night_id = ANY(%s) AND l.rule = %s ORDER BY n.night_id DESC, l.dataset",
        ([n.night_id for n in nights], SHORT),
    ).fetchall()
    return [(r["as_of"], r["dataset"], r["why_left"]) for r in rows]


def _is_far(forecast: int, came: int) -> bool:
    return forecast - came > FEW and came * PART < forecast


def _is_comparable(catalogue: Catalogue, dataset: str) -> bool:
    """Whether nothing but what is counted here puts off what was forecast: no consent to a longer period, and no shutdown."""
    try:
        of = catalogue.dataset(dataset)
    except KeyError:
        return False
    if catalogue.stop is not None and of.whole in catalogue.stop.waits:
        return False
    return not any(
        catalogue.formers(b.rule, p)
        for b in of.all_binds
        for p in catalogue.rule(b.rule).periods
        if p.name == b.period
    )


def _held_then(conn: Conn, night_id: int) -> Counter[str]:
    """What was due and held when the night before had ended."""
    rows = conn.execute(
        "SELECT dataset, sum(held)::bigint AS held FROM casebook.night_standing WHERE night_id = %s GROUP BY 1",
        (night_id,),
    ).fetchall()
    return Counter({r["dataset"]: r["held"] for r in rows})


def _went_since(conn: Conn, since: object, but: str | None) -> Counter[str]:
    """What went of each dataset by other cases and runs, by the receipts, since a night began."""
    found: Counter[str] = Counter()
    for row in conn.execute(
        "SELECT body -> 'counts' AS counts FROM casebook.receipt WHERE verb = 'dispose'"
        " AND (body ->> 'done_at')::timestamptz > %s AND case_no IS DISTINCT FROM %s",
        (since, but),
    ):
        for dataset, words in row["counts"].items():
            found[dataset] += counted.gone(
                {dataset: Counter({w: n for w, n in words.items() if w != "upto"})}
            )
    return found
