"""Deletion-persistence latency: by a book whose every figure is counted by hand, and by any spans."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from statistics import median
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from include.cases import book
from include.cases.retention import latency
from include.cases.retention.figures import midnight
from include.cases.retention.latency import Went, latencies, over_all, span
from include.commands import _common as common
from include.commands import _nights, build
from include.model.words import Rung, Verdict
from tests.cases.retention.booked import DAY, Booked, row

TODAY = date(2026, 11, 24)
HOUR = timedelta(hours=1)
PASSED, FAILED, UNVERIFIED = Verdict.PASSED, Verdict.FAILED, Verdict.UNVERIFIED


def went(reader: str) -> list[Went]:
    with book.connect(reader) as conn:
        return latency.went(conn, TODAY - latency.DAYS * DAY)


@pytest.mark.postgres
def test_a_book_counted_by_hand(database: str, reader: str) -> None:
    """Two nights: three items two hours and one item 26 hours after they fell due; the earlier night's backups are over."""
    made = Booked(database)
    yesterday = TODAY - DAY
    first = made.night(yesterday, [row("RS-12/cap", "usage.log", 2)], gone={("RS-12", "usage.log"): 2},
                       ages={("RS-12/cap", "usage.log", midnight(yesterday)): 2})  # fmt: skip
    made.proved(
        first,
        midnight(yesterday) + 2 * HOUR,
        ("usage.log", Rung.R2, PASSED),
        ("usage.log", Rung.R4, UNVERIFIED),
    )
    made.certified(first, 1, "interim", midnight(yesterday) + 3 * HOUR)
    made.certified(first, 2, "final", midnight(yesterday) + 5 * DAY)
    made.certified(first, 3, "final", midnight(yesterday) + 9 * DAY)
    second = made.night(TODAY, [row("RS-12/cap", "usage.log", 1), row("RS-12/other", "usage.log", 1)],
                        gone={("RS-12", "usage.log"): 2},
                        ages={("RS-12/cap", "usage.log", midnight(TODAY)): 1,
                              ("RS-12/other", "usage.log", midnight(yesterday)): 1})  # fmt: skip
    made.proved(second, midnight(TODAY) + HOUR, ("usage.log", Rung.R2, FAILED))
    made.proved(second, midnight(TODAY) + 2 * HOUR, ("usage.log", Rung.R2, PASSED))
    made.proved(second, midnight(TODAY) + 8 * HOUR, ("usage.log", Rung.R2, PASSED))
    made.certified(second, 1, "final", midnight(TODAY) + 3 * HOUR)
    made.certified(second, 2, "interim", midnight(TODAY) + 4 * HOUR)  # it came up again: not gone after all
    cap, other = latencies(went(reader))
    assert (cap.rule, cap.went, cap.live.known, cap.live.median, cap.live.worst) == (
        "RS-12/cap",
        3,
        3,
        2 * HOUR,
        2 * HOUR,
    )
    assert (cap.required.known, cap.required.median, cap.required.worst) == (2, 5 * DAY, 5 * DAY)
    assert (other.live.median, other.required.known, other.required.worst) == (26 * HOUR, 0, None)
    whole = over_all(went(reader))
    assert whole is not None and (whole.live.known, whole.live.median, whole.live.worst) == (
        4,
        2 * HOUR,
        26 * HOUR,
    )


@pytest.mark.postgres
def test_only_what_is_really_known_is_counted(database: str, reader: str) -> None:
    made = Booked(database)
    at = midnight(TODAY) + 3 * HOUR
    since = {
        (r, d, midnight(TODAY)): 5
        for r, d in [("RS-01/a", "a.part"), ("RS-02/a", "a.blind"), ("RS-03/a", "a.nobody")]
    }
    night = made.night(
        TODAY, [row("RS-01/a", "a.part", 5), row("RS-02/a", "a.blind", 5), row("RS-03/a", "a.nobody", 5)], ages=since,
        gone={("RS-01", "a.part"): 4, ("RS-02", "a.blind"): 5, ("RS-03", "a.nobody"): 5},
    )  # fmt: skip
    made.proved(
        night, at, ("a.part", Rung.R2, PASSED), ("a.blind", Rung.R2, PASSED), ("a.blind", Rung.R2, UNVERIFIED)
    )
    found = {x.rule: x for x in latencies(went(reader))}
    assert "RS-01/a" not in found, "which of them went is not known"
    assert all((x.went, x.live.known, x.live.worst) == (5, 0, None) for x in found.values())
    assert set(found) == {"RS-02/a", "RS-03/a"}
    # Played on another day than its own: the wall clock says nothing of it.
    played = made.night(TODAY, [row("RS-04/a", "a.a", 1)], gone={("RS-04", "a.a"): 1},
                        ages={("RS-04/a", "a.a", midnight(TODAY)): 1}, began_at=midnight(TODAY + DAY) + HOUR)  # fmt: skip
    made.proved(played, at, ("a.a", Rung.R2, PASSED))
    assert "RS-04/a" not in {x.rule for x in went(reader)}
    # Before the days that are looked at; and one that has not ended.
    old = TODAY - (latency.DAYS + 1) * DAY
    for day, ended in ((old, True), (TODAY, False)):
        made.night(day, [row("RS-05/a", "a.b", 1)], gone={("RS-05", "a.b"): 1}, ended=ended,
                   ages={("RS-05/a", "a.b", midnight(day)): 1})  # fmt: skip
    assert "RS-05/a" not in {x.rule for x in went(reader)}


@pytest.mark.postgres
def test_of_periods_under_a_day_the_oldest_is_known_and_no_median(database: str, reader: str) -> None:
    made = Booked(database)
    at = datetime.fromisoformat("2026-11-24T10:00+08:00")
    night = made.night(TODAY, [row("RS-02/code", "account.code", 9, late=4)], at=at, gone={("RS-02", "account.code"): 9},
                       ages={("RS-02/code", "account.code", at - timedelta(minutes=4)): None})  # fmt: skip
    made.proved(night, at + timedelta(minutes=2), ("account.code", Rung.R2, PASSED))
    (found,) = latencies(went(reader))
    assert (found.went, found.live) == (0, latency.Span(0, None, timedelta(minutes=6)))


@pytest.mark.postgres
def test_an_empty_book_has_none(reader: str) -> None:
    assert went(reader) == [] and latencies([]) == [] and over_all([]) is None


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 9)), min_size=1, max_size=12))
def test_the_median_is_that_of_the_items_one_by_one(of: list[tuple[int, int]]) -> None:
    found = span((timedelta(seconds=s), n) for s, n in of)
    each = [s for s, n in of for _ in range(n)]
    assert found.median == timedelta(seconds=median(each)) and found.worst == timedelta(seconds=max(each))
    assert found.known == len(each)


@pytest.mark.postgres
def test_the_command_tells_the_same_numbers(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Booked(database)
    night = made.night(TODAY, [row("RS-12/cap", "usage.log", 4)], gone={("RS-12", "usage.log"): 4},
                       ages={("RS-12/cap", "usage.log", midnight(TODAY - DAY)): 3,
                             ("RS-12/cap", "usage.log", midnight(TODAY)): 1})  # fmt: skip
    made.proved(night, midnight(TODAY) + HOUR, ("usage.log", Rung.R2, PASSED))
    monkeypatch.setattr(common, "desk", lambda: SimpleNamespace(book=lambda: book.connect(database)))
    monkeypatch.setattr(_nights, "observed_now", lambda: midnight(TODAY) + 5 * HOUR)
    said = CliRunner().invoke(build(), ["retention", "latency"]).output
    (line,) = (x for x in said.splitlines() if x.startswith("RS-12/cap"))
    assert line.split() == ["RS-12/cap", "4", "4", "25.0", "h", "25.0", "h", "0"]
    told = json.loads(CliRunner().invoke(build(), ["retention", "latency", "--json"]).output)
    assert [r["rule"] for r in told["rules"]] == ["RS-12/cap", "all"] and told["since"] == str(
        TODAY - 30 * DAY
    )
    assert told["rules"][0]["live"] == {"known": 4, "median": 90000.0, "worst": 90000.0}
    assert told["rules"][0]["required"] == {"known": 0, "median": None, "worst": None}
    monkeypatch.setattr(_nights, "observed_now", lambda: midnight(TODAY) + 40 * DAY)
    assert "RS-12" not in CliRunner().invoke(build(), ["retention", "latency"]).output


@pytest.mark.parametrize(
    ("span_", "said"),
    [(None, None), (timedelta(minutes=119), "119 min"), (timedelta(minutes=120), "2.0 h"), (47 * HOUR, "47.0 h"),
     (48 * HOUR, "2.0 d")],
)  # fmt: skip
def test_a_span_is_told_as_a_person_reads_it(span_: timedelta | None, said: str | None) -> None:
    assert _nights._long(span_) == said
