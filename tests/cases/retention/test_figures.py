"""What a night leaves in the book for who looks later: its look, its forecast, its age; and what is read of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.cases import book
from include.cases.retention import due, figures, forecast, seen
from include.cases.retention import ended as its_end
from include.cases.retention import late as hours
from include.cases.retention import night as nightly
from include.cases.retention.due import Judged, Seen
from include.cases.retention.ended import keep
from include.cases.retention.figures import AHEAD, LEADS, Came, ages, midnight
from include.cases.retention.held import HeldPeople
from include.catalogue import load
from include.model.interval import Bounded, Interval
from include.model.retention import Late
from tests.cases.retention.booked import DAY, Booked, row

CATALOGUE = load()
TODAY = date(2026, 11, 24)


def group(
    latest: date, items: int, *, rule: str = "RS-12", dataset: str = "usage.access_log", held: bool = False
) -> Judged:
    """Items that may stay until a day."""
    by = Bounded(rule=rule, period="cap", floor=False, ceiling=True, ends=latest, law="PIPL 19", company=True)
    return Judged(dataset, Interval(None, latest, False, None, by), held, items)


@dataclass
class Desk:
    """A desk over a real book, and an estate that a test says."""

    owner: str
    estate: list[Judged] = field(default_factory=list)
    unverified: dict[str, str] = field(default_factory=dict)
    ahead: dict[str, str] = field(default_factory=dict)  # what a look at days to come cannot ask
    late: list[Late] = field(default_factory=list)
    said: list[dict[str, Any]] = field(default_factory=list)
    catalogue: Any = CATALOGUE
    connections: Any = None
    code: str = "test"

    def are_ours(self) -> None:
        return None

    @contextmanager
    def book(self) -> Iterator[book.Conn]:
        with book.connect(self.owner) as conn:
            yield conn

    def record(self, kind: str, case_no: str | None, body: dict[str, Any], key: str) -> None:
        self.said.append(body)


@pytest.fixture
def desk(writer: str, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Nights of this desk open no case: nothing of its estate is a store's that goes."""
    made = Desk(writer)

    def see(catalogue: Any, connections: Any, as_of: date, **_: Any) -> Seen:
        of = [j for j in made.estate if j.interval.latest is not None and j.interval.latest < as_of]
        return Seen(as_of, of, made.unverified | (made.ahead if as_of > TODAY else {}))

    def late(catalogue: Any, connections: Any, at: datetime, **_: Any) -> hours.Minutes:
        return hours.Minutes(at, list(made.late), dict(made.unverified))

    monkeypatch.setattr(due, "see", see)
    monkeypatch.setattr(hours, "late", late)
    monkeypatch.setattr(nightly, "held_people", lambda desk: HeldPeople())
    monkeypatch.setattr(seen, "held_people", lambda desk: HeldPeople())
    for module in (seen, its_end, nightly):  # nothing was taken over, and nobody reads its stores here
        monkeypatch.setattr(module, "stopped", lambda desk: desk.catalogue)
    monkeypatch.setattr(nightly, "in_earnest", lambda *_: None)
    monkeypatch.setattr(nightly, "clearings", lambda *_, **__: [])
    monkeypatch.setattr(nightly, "worked_on", lambda *_: set())
    monkeypatch.setattr(nightly, "asking", lambda *_: type("Nothing", (), {"waits": {}}))
    return made


def ended(desk: Desk, schedule: str = "days") -> figures.End:
    with desk.book() as conn:
        found = figures.last_end(conn, schedule)
    assert found is not None
    return found


@pytest.mark.postgres
def test_a_night_leaves_how_the_estate_stands_and_ninety_nights_ahead(desk: Desk) -> None:
    old = TODAY - 400 * DAY
    desk.estate = [
        group(old, 9), group(TODAY - DAY, 5), group(old, 4, held=True), group(TODAY, 3), group(TODAY + 6 * DAY, 2),
        group(TODAY + 6 * DAY, 1, rule="RS-03"), group(TODAY + 6 * DAY, 70, held=True),
        group(TODAY + (AHEAD - 1) * DAY, 8), group(TODAY + AHEAD * DAY, 100),
    ]  # fmt: skip
    desk.unverified = {"objects.web_log": "its files are not read"}
    night = nightly.begin(desk, as_of=TODAY, actor="system/test")  # type: ignore[arg-type]
    end = ended(desk)
    (stood,) = end.rows
    assert (stood.rule, stood.due, stood.overdue, stood.oldest, stood.held) == (
        "RS-12/cap",
        14,
        9,
        old + DAY,
        4,
    )
    assert stood.basis == "company period" and end.unverified == desk.unverified
    assert (end.night.remaining, end.night.overdue, end.night.foreseen) == (14, 9, TODAY + AHEAD * DAY)
    assert end.night.tomorrow == 14 + 3, "what is left is due tomorrow, too"
    with desk.book() as conn:
        found = figures.forecast(conn, night)
        kept = conn.execute(
            "SELECT rule, dataset, due_at, items FROM casebook.night_age ORDER BY due_at"
        ).fetchall()
    assert found == {
        TODAY + DAY: {"RS-12/cap": 17},
        TODAY + 7 * DAY: {"RS-12/cap": 2, "RS-03/cap": 1},
        TODAY + AHEAD * DAY: {"RS-12/cap": 8},
    }
    assert [(r["due_at"], r["items"]) for r in kept] == [(midnight(old + DAY), 9), (midnight(TODAY), 5)]
    assert {(r["rule"], r["dataset"]) for r in kept} == {("RS-12/cap", "usage.access_log")}


@pytest.mark.postgres
def test_what_either_look_could_not_ask_is_named(desk: Desk) -> None:
    desk.unverified, desk.ahead = {"a.a": "now"}, {"a.a": "ahead", "a.b": "ahead"}
    nightly.begin(desk, as_of=TODAY, actor="system/test")  # type: ignore[arg-type]
    assert ended(desk).unverified == {"a.a": "now", "a.b": "ahead"}


@pytest.mark.postgres
def test_an_end_that_is_told_again_replaces_what_it_said(desk: Desk) -> None:
    desk.estate = [group(TODAY - 2 * DAY, 5), group(TODAY + 3 * DAY, 2)]
    night = nightly.begin(desk, as_of=TODAY, actor="system/test")  # type: ignore[arg-type]
    assert [r.due for r in ended(desk).rows] == [5]
    desk.estate = [group(TODAY + 3 * DAY, 1)]
    keep(desk, night, {}, nightly.look(desk, TODAY), HeldPeople())  # type: ignore[arg-type]
    assert ended(desk).rows == () and ended(desk).night.overdue == 0
    with desk.book() as conn:
        assert figures.forecast(conn, night) == {TODAY + 4 * DAY: {"RS-12/cap": 1}}


@pytest.mark.postgres
def test_a_run_by_the_minute_leaves_its_minutes_and_no_forecast(desk: Desk) -> None:
    at = datetime.fromisoformat("2026-11-24T10:00+08:00")
    desk.late = [
        Late(dataset="account.login_code", rule="RS-02/code", held=held, since=at - timedelta(minutes=m), items=2,
             company=True, law="PIPL 47")
        for held, m in [(False, 7), (False, 90), (True, 900)]
    ]  # fmt: skip
    nightly.begin(desk, as_of=TODAY, at=at, actor="system/test")  # type: ignore[arg-type]
    end = ended(desk, "hours")
    (stood,) = end.rows
    assert (stood.due, stood.held, stood.late) == (4, 2, 90) and end.night.foreseen is None
    with desk.book() as conn:
        (kept,) = conn.execute("SELECT due_at, items FROM casebook.night_age").fetchall()
        assert figures.last_end(conn, "days") is None
        assert figures.worst_late(conn, at - timedelta(hours=1)) == 90
        assert figures.worst_late(conn, at + timedelta(hours=1)) is None, "nobody looked since"
    assert (kept["due_at"], kept["items"]) == (at - timedelta(minutes=90), None)


@pytest.mark.postgres
def test_forecasts_are_held_against_what_came(database: str, reader: str) -> None:
    """Counted by hand: on the 24th seven fell due. The night before said 5 beside the 2 that it left; a week before, 6."""
    made = Booked(database)
    week = TODAY - 7 * DAY
    made.night(week, [], coming={TODAY: {"a": 4, "b": 2}, TODAY - DAY: {"a": 1}})
    made.night(TODAY - DAY, [], left=[row("a", "d.d", 2, 2)], coming={TODAY: {"a": 7}})
    made.night(TODAY, [row("a", "d.d", 9, 2)], ages={("a", "d.d", midnight(TODAY - 3 * DAY)): 2,
                                                    ("a", "d.d", midnight(TODAY)): 7})  # fmt: skip
    with book.connect(reader) as conn:
        found = figures.forecast_and_came(conn)
    assert found == [
        Came(TODAY, 7, {1: 5, 7: 6, 30: None}),
        Came(TODAY - DAY, 0, {1: None, 7: None, 30: None}),
        Came(week, 0, dict.fromkeys(LEADS)),
    ]


@pytest.mark.postgres
def test_a_night_of_before_has_no_forecast_to_be_held_against(database: str, reader: str) -> None:
    made = Booked(database)
    made.night(TODAY - DAY, [])
    made.night(TODAY, [])
    with psycopg.connect(database) as conn:
        conn.execute("UPDATE casebook.night SET foreseen = NULL, tomorrow = 3")
    with book.connect(reader) as conn:
        assert [c.forecast for c in figures.forecast_and_came(conn)] == [dict.fromkeys(LEADS)] * 2


@pytest.mark.postgres
def test_the_last_run_of_a_night_is_the_one_that_is_named(database: str, reader: str) -> None:
    night = Booked(database).night(TODAY, [])
    with book.connect(database) as conn:
        for run in ("scheduled__1", "manual__2", "scheduled__1"):
            figures.keep_run(conn, night.night_id, "retention_limits", run)
    with book.connect(reader) as conn:
        assert figures.runs(conn, [night.night_id, -1]) == {night.night_id: ("retention_limits", "manual__2")}


@pytest.mark.postgres
def test_only_the_writer_writes_and_ages_stay(writer: str, reader: str) -> None:
    with psycopg.connect(writer) as conn:
        conn.execute("DELETE FROM casebook.night_forecast")
        conn.execute("DELETE FROM casebook.night_standing")
        with pytest.raises(psycopg.errors.InsufficientPrivilege), conn.transaction():
            conn.execute("DELETE FROM casebook.night_age")
    with psycopg.connect(reader) as conn:
        for table in ("age", "standing", "forecast", "run"):
            conn.execute(f"SELECT FROM casebook.night_{table}".encode())
            with pytest.raises(psycopg.errors.InsufficientPrivilege), conn.transaction():
                conn.execute(f"DELETE FROM casebook.night_{table}".encode())


GROUPS = st.lists(
    st.builds(lambda back, items, held: group(TODAY - back * DAY, items, held=held),
              st.integers(-5, 9), st.integers(1, 50), st.booleans()), max_size=12,
)  # fmt: skip


@given(GROUPS)
def test_ages_count_what_is_due_each_item_once(of: list[Judged]) -> None:
    found = ages(of, TODAY)
    (rows,) = [due.table(Seen(TODAY, of))]
    assert sum(n or 0 for n in found.values()) == sum(r.due for r in rows)
    if found:
        assert min(at for _, _, at in found) == midnight(min(r.oldest for r in rows if r.oldest))
        assert max(at for _, _, at in found) <= midnight(TODAY)


@given(GROUPS)
def test_tomorrow_by_the_long_look_is_tomorrow_by_its_own(of: list[Judged]) -> None:
    """A look 90 nights ahead says of the first of them what a look at that day says."""
    tomorrow = TODAY + DAY
    long = forecast.nights(Seen(TODAY + AHEAD * DAY, of), tomorrow)
    short = sum(r.due for r in due.table(Seen(tomorrow, of)))
    assert sum(long.get(tomorrow, Counter()).values()) == short
