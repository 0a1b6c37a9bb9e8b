"""``quietus retention unasked``: what is told, to people and to machines, and how it ends."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from include.cases import unasked
from include.cases.dormant import Asleep
from include.cases.unasked import Looked, Opened
from include.cases.withdrawals import Withdrawal, Withdrawn
from include.commands import _common as common
from include.commands import build
from include.model.errors import Refused
from include.model.times import PRC

TODAY = date(2026, 11, 24)
LI, WANG = "acct_0123456789ab", "acct_zzzzzzzzzzzz"
WITHDRAWN = Withdrawn(
    to_follow=[Withdrawal(LI, "location", datetime(2026, 11, 1, tzinfo=PRC))], followed=3, needed=2
)
NOTHING = Looked()


class House:
    """What a look finds, and what was opened."""

    def __init__(self) -> None:
        self.found = NOTHING
        self.opened: list[dict[str, Any]] = []

    def look(self, desk: object, as_of: date) -> Looked:
        assert as_of == TODAY
        return self.found

    def open_cases(self, desk: object, **said: Any) -> Opened:
        self.opened.append(said)
        return Opened(("CASE-000007",), ("CASE-000008",), 4)


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    made = House()
    monkeypatch.setattr(common, "desk", lambda: None)
    monkeypatch.setattr(common, "today", lambda: TODAY)
    monkeypatch.setattr(unasked, "look", made.look)
    monkeypatch.setattr(unasked, "open_cases", made.open_cases)
    return made


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(build(), ["retention", "unasked", *arguments])
    assert LI not in done.output and WANG not in done.output, "whose they are is nobody's business here"
    return done.exit_code, done.output


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (NOTHING, 0),
        (Looked(Withdrawn(followed=3, needed=2, taken_along=1, nothing_there=5, unclear=1)), 0),
        (Looked(WITHDRAWN), 1),
        (Looked(asleep=Asleep(due=[LI])), 1),
        (Looked(asleep=Asleep(to_tell=[LI])), 1),
        (Looked(asleep=Asleep(told=3, held=1)), 0),
        (Looked(begun=("CASE-000001",)), 1),
        (Looked(woken=("CASE-000002",)), 1),
    ],
)
def test_it_ends_by_whether_something_waits(house: House, found: Looked, status: int) -> None:
    house.found = found
    code, said = run()
    assert code == status
    assert all(no in said for no in (*found.begun, *found.woken))
    assert house.opened == [], "a look changes nothing"
    machine = CliRunner().invoke(build(), ["retention", "unasked", "--json"])
    assert machine.exit_code == status
    told = json.loads(machine.output)
    assert told["withdrawn"]["to_follow"] == len(found.withdrawn.to_follow)
    assert told["asleep"]["due"] == len(found.asleep.due) and told["woken"] == list(found.woken)


def test_off_is_said_with_its_reason(house: House) -> None:
    house.found = Looked(asleep=Asleep(off="nobody owns RS-01/dormant"))
    assert "off, for nobody owns RS-01/dormant" in run()[1]


def test_opening_says_what_was_opened_closed_and_left(house: House) -> None:
    house.found = Looked(WITHDRAWN)
    code, said = run("--open", "--actor", "ops/zhao")
    assert (
        code == 1
        and "CASE-000007: open" in said
        and "CASE-000008: closed" in said
        and "4 people are left" in said
    )
    assert house.opened == [{"as_of": TODAY, "actor": "ops/zhao", "at_most": None}]


def test_more_than_ever_wait_for_a_word_and_a_number_is_one(house: House) -> None:
    house.found = replace(Looked(WITHDRAWN), needs_word="4711 items are due and no night was before this one")
    code, said = run("--open")
    assert code == 4 and "4711" in said and "--at-most" in said and house.opened == []
    assert run("--open", "--at-most", "10", "--actor", "ops/zhao")[0] == 1
    assert house.opened[0]["at_most"] == 10


def test_who_is_to_be_told_goes_to_a_file_that_only_its_owner_reads(house: House, tmp_path: Path) -> None:
    house.found = Looked(asleep=Asleep(to_tell=[LI, WANG]))
    file = tmp_path / "to-tell"
    assert run("--to-tell", str(file))[0] == 1
    assert file.read_text() == f"{LI}\n{WANG}\n" and file.stat().st_mode & 0o777 == 0o600
    again = CliRunner().invoke(build(), ["retention", "unasked", "--to-tell", str(file)])
    assert isinstance(again.exception, Refused)
    assert file.read_text() == f"{LI}\n{WANG}\n", "nothing that is there is written over"
