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
    """What went in the nights since a day that were held on their own day. Each table is asked by itself: a month of runs by the
    minute is joined here in no time, and by a server without statistics of today's rows in minutes."""
    held = {
        row["night_id"]: row["case_no"]
        for row in conn.execute(
            "SELECT night_id, case_no FROM casebook.night WHERE as_of >= %s AND ended_at IS NOT NULL AND case_no IS NOT NULL"
            " AND as_of = (began_at AT TIME ZONE 'Asia/Shanghai')::date",
            (since,),
        )
    }
    emptied = _emptied(conn, list(held))
    proved, final = _proved(conn, list(held.values())), _final(conn, list(held.values()))
    rows = conn.execute(
        "SELECT night_id, rule, dataset, due_at, items FROM casebook.night_age WHERE night_id = ANY(%s)"
        " ORDER BY rule, due_at",
        (list(held),),
    )
    return [
        Went(
            row["rule"],
            row["due_at"],
            row["items"],
            proved.get((case_no, row["dataset"])),
            final.get(case_no),
        )
        for row in rows
        if (row["night_id"], _whole(row["rule"]), row["dataset"]) in emptied
        for case_no in (held[row["night_id"]],)
    ]


def _whole(rule: str) -> str:
    """A rule without its period: a night tells by rule what went, and by rule and period what it found."""
    return rule.partition("/")[0]


def _emptied(conn: Conn, night_ids: list[int]) -> set[tuple[int, str, str]]:
    """Of which rules and datasets as much went as was found due."""
    rows = conn.execute(
        "SELECT night_id, split_part(rule, '/', 1) AS rule, dataset FROM casebook.night_line WHERE night_id = ANY(%s)"
        " GROUP BY 1, 2, 3 HAVING sum(due) > 0 AND sum(gone) >= sum(due)",
        (night_ids,),
    )
    return {(row["night_id"], row["rule"], row["dataset"]) for row in rows}


def _proved(conn: Conn, case_nos: list[str]) -> dict[tuple[str, str], datetime]:
    """When the prover first saw, of a case and dataset, all gone that R2 asks for."""
    rows = conn.execute(
        "SELECT e.case_no, e.observed_at, c ->> 'dataset' AS dataset FROM casebook.evidence_ref e"
        " CROSS JOIN LATERAL jsonb_array_elements(e.body -> 'checks') AS c"
        " WHERE e.case_no = ANY(%s) AND e.kind = 'gone' AND (c ->> 'rung')::int <= %s"
        " GROUP BY e.case_no, e.fingerprint, e.observed_at, 3 HAVING bool_and(c ->> 'verdict' = 'passed')",
        (case_nos, int(Rung.R2)),
    )
    found: dict[tuple[str, str], datetime] = {}
    for row in rows:
        of = row["case_no"], row["dataset"]
        found[of] = min(row["observed_at"], found.get(of, row["observed_at"]))
    return found


def _final(conn: Conn, case_nos: list[str]) -> dict[str, datetime]:
    """When a case's certificate became final, and has stayed so since."""
    rows = conn.execute(
        "SELECT case_no, kind, issued_at FROM casebook.certificate WHERE case_no = ANY(%s) AND issued_at IS NOT NULL"
        " ORDER BY case_no, serial",
        (case_nos,),
    )
    found: dict[str, datetime] = {}
    for row in rows:
        if row["kind"] == "final":
            found.setdefault(row["case_no"], row["issued_at"])
        else:
            found.pop(row["case_no"], None)
    return found
