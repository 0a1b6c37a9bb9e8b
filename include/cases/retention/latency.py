"""How long it takes until what is due is gone, and proved: deletion-persistence latency, from what the case book knows.

Two spans, both from the moment at which an item fell due: the midnight in China with which its last day ends, or to the minute of
periods under a day.

* To **R2**: the prover saw that it is gone from live stores, and from standbys.
* To the **required rung**: the certificate is final, so the backups are over, too, and every rung that the category asks for
  was seen.

Only what is really known is counted. A night that took some of a rule's items and left others does not say which: none of them
is counted. Of periods under a day only the oldest is known, so that they have a longest span and no median. A night that was
played on another day than its own measures nothing: business dates and the wall clock are never mixed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from include.cases.book import Conn
from include.model.words import Rung

DAYS = 30


@dataclass(frozen=True)
class Went:
    """Items of one rule that fell due at one moment and went in one night. ``items`` None: one at least, the oldest."""

    rule: str
    due_at: datetime
    items: int | None
    proved_at: datetime | None  # R2; None: nobody saw it yet
    final_at: datetime | None  # the required rung; None: not yet


@dataclass(frozen=True)
class Span:
    """From due to a rung: of how many items it is known, the median of these, and the longest. None: not known."""

    known: int
    median: timedelta | None
    worst: timedelta | None


@dataclass(frozen=True)
class Latency:
    """One rule's. ``went``: items of which it is known that they went, and since when they were due."""

    rule: str
    went: int
    live: Span
    required: Span


def latencies(of: Iterable[Went]) -> list[Latency]:
    """Per rule, by name."""
    rules: dict[str, list[Went]] = {}
    for it in of:
        rules.setdefault(it.rule, []).append(it)
    return [_rule(rule, them) for rule, them in sorted(rules.items())]


def over_all(of: Sequence[Went]) -> Latency | None:
    """The same over all rules together; None if nothing went."""
    return _rule("all", of) if of else None


def _rule(rule: str, of: Sequence[Went]) -> Latency:
    return Latency(
        rule, sum(x.items or 0 for x in of),
        span((x.proved_at - x.due_at, x.items) for x in of if x.proved_at is not None),
        span((x.final_at - x.due_at, x.items) for x in of if x.final_at is not None),
    )  # fmt: skip


def span(of: Iterable[tuple[timedelta, int | None]]) -> Span:
    """Median and longest of spans, each of so many items; between the two in the middle, their mean. What is not counted
    (None) has a part in the longest only."""
    spans = sorted(of, key=lambda x: x[0])
    counted = [(length, n) for length, n in spans if n]
    known = sum(n for _, n in counted)
    median = (_nth(counted, (known - 1) // 2) + _nth(counted, known // 2)) / 2 if known else None
    return Span(known, median, spans[-1][0] if spans else None)


def _nth(of: Sequence[tuple[timedelta, int]], n: int) -> timedelta:
    for length, items in of:
        if n < items:
            return length
        n -= items
    raise AssertionError("there are fewer items than that")


def went(conn: Conn, since: date) -> list[Went]:
    """What went in the nights since a day that were held on their own day."""
    rows = conn.execute(
        "WITH held AS (SELECT night_id, case_no FROM casebook.night WHERE as_of >= %(since)s AND ended_at IS NOT NULL"
        "   AND case_no IS NOT NULL AND as_of = (began_at AT TIME ZONE 'Asia/Shanghai')::date),"
        # A night tells what went by rule, what it found by rule and period.
        " emptied AS (SELECT night_id, split_part(rule, '/', 1) AS rule, dataset FROM casebook.night_line"
        "   JOIN held USING (night_id) GROUP BY 1, 2, 3 HAVING sum(due) > 0 AND sum(gone) >= sum(due)),"
        " looked AS (SELECT e.case_no, e.fingerprint, e.observed_at, c ->> 'dataset' AS dataset,"
        "   bool_and(c ->> 'verdict' = 'passed') AS gone FROM held JOIN casebook.evidence_ref e USING (case_no)"
        "   CROSS JOIN jsonb_array_elements(e.body -> 'checks') AS c"
        "   WHERE e.kind = 'gone' AND (c ->> 'rung')::int <= %(rung)s GROUP BY 1, 2, 3, 4),"
        " proved AS (SELECT case_no, dataset, min(observed_at) AS at FROM looked WHERE gone GROUP BY 1, 2),"
        " final AS (SELECT c.case_no, min(c.issued_at) AS at FROM held JOIN casebook.certificate c USING (case_no)"
        "   WHERE c.kind = 'final' AND NOT EXISTS (SELECT FROM casebook.certificate i WHERE i.case_no = c.case_no"
        "   AND i.serial > c.serial AND i.kind = 'interim' AND i.issued_at IS NOT NULL) GROUP BY 1)"
        " SELECT a.rule, a.due_at, a.items, p.at AS proved_at, f.at AS final_at FROM held"
        " JOIN casebook.night_age a USING (night_id) JOIN emptied e ON (e.night_id, e.rule, e.dataset)"
        "   = (a.night_id, split_part(a.rule, '/', 1), a.dataset)"
        " LEFT JOIN proved p ON (p.case_no, p.dataset) = (held.case_no, a.dataset)"
        " LEFT JOIN final f ON f.case_no = held.case_no ORDER BY a.rule, a.due_at",
        {"since": since, "rung": int(Rung.R2)},
    ).fetchall()
    return [Went(**row) for row in rows]
