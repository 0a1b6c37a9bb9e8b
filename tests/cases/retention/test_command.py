"""``quietus retention``: what is told, to people and to machines, and how it ends."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from include.cases.retention import due as looking
from include.cases.retention import late as hours
from include.cases.retention.due import Seen, judge
from include.catalogue import load
from include.commands import _common as common
from include.commands import build
from include.model.errors import Refused
from include.model.retention import Clock, Group, Late

CATALOGUE = load()
LOGS = CATALOGUE.dataset("usage.access_log")
TODAY = date(2026, 11, 24)


class Sandbox:
    def text(self, name: str) -> str:
        if name != "sandbox":
            raise Refused("it is not declared", about=name)
        return "yes"


@dataclass
class Desk:
    catalogue: Any = CATALOGUE
    connections: Any = None


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """An estate of access logs, and one dataset that does not answer, if told."""
    estate: dict[str, Any] = {"logs": {}, "unverified": {}, "late": []}

    def see(catalogue: Any, connections: Any, as_of: date, *, everything: bool = False, **_: Any) -> Seen:
        groups = [Group(clocks=(Clock(applies=True, day=d),) * 2, held=False, items=n)
                  for d, n in estate["logs"].items() if everything or d < as_of - timedelta(days=365)]  # fmt: skip
        found = Seen(as_of, list(judge(catalogue, LOGS, as_of, groups, everything=everything)))
        found.unverified = dict(estate["unverified"])
        return found

    def late(catalogue: Any, connections: Any, at: datetime, **_: Any) -> hours.Minutes:
        return hours.Minutes(at, list(estate["late"]), dict(estate["unverified"]))

    monkeypatch.setattr(common, "desk", lambda: Desk(connections=Sandbox()))
    monkeypatch.setattr(common, "today", lambda: TODAY)
    monkeypatch.setattr(looking, "see", see)
    monkeypatch.setattr(hours, "late", late)
    return estate


def quietus(*arguments: str, width: int = 80) -> tuple[int, str]:
    done = CliRunner().invoke(build(), ["retention", *arguments, "--no-holds"], env={"COLUMNS": str(width)})
    return done.exit_code, done.output


def test_overdue_ends_with_one_what_was_not_asked_with_three_and_neither_with_zero(
    house: dict[str, Any],
) -> None:
    assert quietus("due")[0] == 0
    house["unverified"] = {"objects.web_log": "why"}
    code, said = quietus("due")
    assert code == 3 and "UNVERIFIED 1: why: objects.web_log" in said
    house["logs"] = {date(2024, 1, 1): 5}
    code, said = quietus("due")
    assert code == 1 and "5 due, 5 of them overdue" in said and "UNVERIFIED" in said


def test_a_machine_is_told_what_was_not_asked_too(house: dict[str, Any]) -> None:
    house["unverified"] = {"objects.web_log": "why"}
    for words in (
        ["due"], ["late"], ["forecast"], ["assess"], ["simulate", "--from", "2026-11-24", "--to", "2026-11-25"]
    ):  # fmt: skip
        code, said = quietus(*words, "--json")
        assert code == 3, words
        assert json.loads(said)["unverified"] == {"objects.web_log": "why"}, words


def test_no_name_is_cut_in_a_narrow_place(house: dict[str, Any]) -> None:
    house["logs"] = {date(2024, 1, 1): 1234567}
    for words in (["due"], ["assess"]):
        _, said = quietus(*words, width=20)
        (line,) = (x for x in said.splitlines() if x.startswith("RS-12/cap"))
        assert "usage.access_log" in line and "1,234,567" in line and "company period" in line


def test_hours_are_told_in_minutes_the_longest_late_first(house: dict[str, Any]) -> None:
    at = datetime(2026, 11, 24, 4, tzinfo=UTC)
    house["late"] = [
        Late(dataset=d, rule="RS-02/main", held=held, since=at - timedelta(minutes=m, seconds=59), items=2,
             company=True, law="PIPL 47")
        for d, held, m in [("a.a", False, 7), ("a.b", False, 90), ("a.b", True, 900), ("a.a", False, 8)]
    ]  # fmt: skip
    code, said = quietus("late", "--at", "2026-11-24T12:00", "--json")
    assert code == 1
    told = [(r["dataset"], r["due"], r["late"], r["held"]) for r in json.loads(said)["rules"]]
    assert told == [("a.b", 2, 90, 2), ("a.a", 4, 8, 0)]


def test_a_night_that_has_not_come_is_refused_in_earnest(
    house: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common, "desk", lambda: Desk(owned(), Nowhere()))
    done = CliRunner().invoke(build(), ["retention", "due", "--as-of", "2027-01-01", "--no-holds"])
    assert isinstance(done.exception, Refused) and "that day has not come" in str(done.exception)


class Nowhere:
    def text(self, name: str) -> str:
        raise Refused("it is not declared", about=name)


def owned() -> Any:
    from tests.cases.retention.test_retention import changed

    return changed("P12M", owner=True)
