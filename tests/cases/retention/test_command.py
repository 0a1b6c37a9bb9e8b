"""``quietus retention``: what is told, to people and to machines, and how it ends."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from include.cases.retention import due as looking
from include.cases.retention import late as hours
from include.cases.retention.due import Seen, judge
from include.cases.retention.limits import binds
from include.catalogue import load
from include.catalogue.loader import ITRUS
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
    estate: dict[str, Any] = {"logs": {}, "unverified": {}, "late": [], "accepted": ()}

    def see(catalogue: Any, connections: Any, as_of: date, *, everything: bool = False, **_: Any) -> Seen:
        def clocks(d: date, accepted: str | None) -> tuple[Clock, ...]:
            every = (None if accepted in b.unless else d for b in binds(catalogue, LOGS))
            return tuple(Clock(applies=True, day=day) for day in every)

        groups = [Group(clocks=clocks(d, accepted), held=False, items=n) for accepted in ("2025-03", *estate["accepted"])
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


def changed(tmp_path: Path, *edits: tuple[str, str, str]) -> str:
    """The first policy with these texts put in place of others, and a version of it that says two years for logs."""
    root = tmp_path / "changed"
    shutil.copytree(ITRUS, root)
    promised = (
        (root / "versions.yaml")
        .read_text("utf-8")
        .split("  says:\n")[1]
        .replace("RS-12/cap: P12M", "RS-12/cap: P24M")
    )
    with (root / "versions.yaml").open("a", encoding="utf-8") as file:
        file.write(f'\n- id: "2026-10"\n  says:\n{promised}')
    for name, old, new in edits:
        text = (root / name).read_text("utf-8")
        assert text.count(old) == 1, old
        (root / name).write_text(text.replace(old, new), "utf-8")
    return str(root)


CAP = ("retention.yaml", "- name: cap\n      duration: P12M", "- name: cap\n      duration: P24M")
AT = "starts: the event that is logged\n  periods:\n    - duration: "
FLOOR = ("retention.yaml", f"{AT}P6M", f"{AT}P18M")
NIGHTS = ("simulate", "--from", "2026-11-24", "--to", "2027-12-31")


def test_what_goes_in_the_nights_to_come_is_told_by_night_and_rule(house: dict[str, Any]) -> None:
    house["logs"] = {date(2025, 11, 20): 3, date(2025, 12, 1): 4}
    code, said = quietus(*NIGHTS, "--json")
    rows = [(r["night"], r["rule"], r["due"]) for r in json.loads(said)["rows"]]
    assert code == 0 and rows == [("2026-11-24", "RS-12/cap", 3), ("2026-12-02", "RS-12/cap", 4)]
    house["logs"] = {}
    assert "nothing falls due" in quietus(*NIGHTS)[1]


def test_a_changed_catalogue_is_told_as_its_nights_would_be(house: dict[str, Any], tmp_path: Path) -> None:
    """By law until its end, and no later for whoever has not accepted the company's; longer for whoever has."""
    house["logs"], house["accepted"] = {date(2025, 12, 1): 4}, ("2026-10",)
    where = changed(tmp_path, CAP, FLOOR)
    code, said = quietus(*NIGHTS, "--catalogue", where, "--json")
    assert code == 0
    assert [(r["change"], r["items"], r["before"], r["after"]) for r in json.loads(said)["rows"]] == [
        ("later, by law; not later than that: not accepted", 4, "2026-12-02", "2027-06-02"),
        ("later: accepted", 4, "2026-12-02", "2027-12-02"),
    ]
    _, said = quietus(*NIGHTS, "--catalogue", where)
    assert "not accepted" in said and "2027-06-02" in said and "nothing moves" not in said
    assert "nothing moves" in quietus(*NIGHTS, "--catalogue", str(ITRUS))[1]


def test_what_a_changed_catalogue_starts_otherwise_is_named_and_the_rest_is_told(
    house: dict[str, Any], tmp_path: Path
) -> None:
    house["logs"] = {date(2025, 12, 1): 4}
    cookies = (
        "datasets/usage.yaml", "{rule: RS-15, start: {column: seen_at}}", "{rule: RS-15, start: {column: made_at}}"
    )  # fmt: skip
    newly = ("datasets/usage.yaml", "- id: usage.location\n", "- id: usage.place\n")
    code, said = quietus(*NIGHTS, "--catalogue", changed(tmp_path, CAP, cookies, newly), "--json")
    told = json.loads(said)
    assert code == 3 and set(told["unverified"]) == {"usage.cookie", "usage.location", "usage.place"}
    assert [r["change"] for r in told["rows"]] == ["not later: not accepted"]
