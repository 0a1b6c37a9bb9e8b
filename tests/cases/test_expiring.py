"""Every set lets go what is due, says so in the ledger, and keeps no other waiting."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from include.backups.opening import open_tool
from include.cases.expiring import expire_due
from include.model.backups import BackupTool
from include.model.errors import Refused, Stopped
from include.model.estate import BackupSet

MADE = datetime(2026, 11, 1, 4, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass
class Company:
    """A desk as far as this asks it: sets, where they are, and a ledger."""

    home: Path
    sets: Sequence[BackupSet]
    said: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    stopped: bool = False

    def may_go_on(self) -> None:
        if self.stopped:
            raise Stopped("disposing is stopped by ops/zhao", about="disposing")

    @property
    def catalogue(self) -> Company:
        return self

    @property
    def connections(self) -> Company:
        return self

    @property
    def backups(self) -> Sequence[BackupSet]:
        return self.sets

    def text(self, name: str) -> str:
        place = self.home / name.removeprefix("backup_")
        if not name.startswith("backup_"):
            raise Refused("the connection is not declared", about=name)
        return str(place)

    def backup_tool(self, backup: BackupSet) -> BackupTool:
        return open_tool(backup, self)  # type: ignore[arg-type]

    def record(self, kind: str, case_no: str | None, body: dict[str, Any], key: str) -> None:
        assert case_no is None and key.startswith(f"{kind}:")
        self.said.append((kind, body))


def declared(id: str, **more: Any) -> BackupSet:
    return BackupSet(
        id=id,
        store="main",
        tool="dump",
        region="CN",
        location="dumps",
        keep="P30D",
        description="of a test",
        **more,
    )


def dumped(home: Path, day: int, *, whole: bool = True) -> str:
    """A text dump of that many days after the first."""
    home.mkdir(exist_ok=True)
    at = MADE + day * DAY
    path = home / f"{day:02}.sql"
    path.write_text(
        f"-- Started on {at:%Y-%m-%d %H:%M:%S} UTC\n" + "-- PostgreSQL database dump complete\n" * whole
    )
    os.utime(path, (at.timestamp(), at.timestamp()))
    return path.name


def on(day: int) -> date:
    return (MADE + day * DAY).date()


def test_what_is_due_goes_and_the_ledger_has_what_was_seen(tmp_path: Path) -> None:
    at = Company(tmp_path, [declared("nightly")])
    names = [dumped(tmp_path / "nightly", day) for day in (0, 10, 20)]
    found = expire_due(at, as_of=on(30))  # type: ignore[arg-type]
    assert found.said == ["nightly: 0 copies went, 3 stay"] and found.alarms == [] and at.said == []
    found = expire_due(at, as_of=on(31))  # type: ignore[arg-type]
    assert found.said == ["nightly: 1 copies went, 2 stay"] and found.alarms == []
    ((kind, body),) = at.said
    assert kind == "expired" and body["gone"] == names[:1] and body["stay"] == names[1:]
    assert body["restorable"] == names[2]
    assert sorted(p.name for p in (tmp_path / "nightly").iterdir()) == names[1:]


def test_a_company_whose_backups_stopped_hears_of_it(tmp_path: Path) -> None:
    at = Company(tmp_path, [declared("nightly")])
    name = dumped(tmp_path / "nightly", 0)
    (alarm,) = expire_due(at, as_of=on(40)).alarms  # type: ignore[arg-type]
    assert f"{name} is past its last day and stays, since no other copy that stays" in alarm


def test_a_hold_on_a_set_keeps_it_and_is_an_alarm_once_something_is_late(tmp_path: Path) -> None:
    held = declared("nightly", hold="order 7 of the court of Haidian, 2026-11-20")
    at = Company(tmp_path, [held])
    for day in (0, 20):
        dumped(tmp_path / "nightly", day)
    assert expire_due(at, as_of=on(30)).alarms == []  # type: ignore[arg-type]
    (alarm,) = expire_due(at, as_of=on(31)).alarms  # type: ignore[arg-type]
    assert "1 copies are past their last day, and nothing goes: order 7" in alarm
    by_case = Company(tmp_path, [declared("nightly")])
    found = expire_due(by_case, as_of=on(31), holds={"nightly": ["HOLD-000001"]})  # type: ignore[arg-type]
    assert "nothing goes: HOLD-000001" in found.alarms[0] and at.said == by_case.said == []


def test_a_set_that_cannot_be_read_keeps_no_other_from_its_expiry(tmp_path: Path) -> None:
    at = Company(tmp_path, [declared("lost"), declared("nightly")])
    for day in (0, 20):
        dumped(tmp_path / "nightly", day)
    found = expire_due(at, as_of=on(31))  # type: ignore[arg-type]
    assert found.said == ["nightly: 1 copies went, 1 stay"]
    assert found.alarms[0].startswith("backup set lost was not expired: ")


def test_a_damaged_copy_is_an_alarm_and_a_drill_may_know_better(tmp_path: Path) -> None:
    at = Company(tmp_path, [declared("nightly")])
    names = [
        dumped(tmp_path / "nightly", 0),
        dumped(tmp_path / "nightly", 10),
        dumped(tmp_path / "nightly", 20, whole=False),
    ]
    found = expire_due(at, as_of=on(31))  # type: ignore[arg-type]
    assert found.said == ["nightly: 1 copies went, 2 stay"], "an older one is whole"
    assert [a for a in found.alarms if "cannot be restored" in a and names[2] in a]
    assert at.said[0][1]["restorable"] == names[1]
    dumped(tmp_path / "nightly", 0)
    found = expire_due(at, as_of=on(31), restorable={"nightly": [names[2]]})  # type: ignore[arg-type]
    assert found.alarms == [] and at.said[1][1]["restorable"] == names[2]


def test_a_dump_that_is_a_link_is_left_to_a_person(tmp_path: Path) -> None:
    at = Company(tmp_path, [declared("nightly")])
    names = [dumped(tmp_path / "nightly", day) for day in (0, 20)]
    (tmp_path / "nightly" / names[0]).rename(tmp_path / "elsewhere")
    (tmp_path / "nightly" / names[0]).symlink_to(tmp_path / "elsewhere")
    (alarm,) = expire_due(at, as_of=on(31)).alarms  # type: ignore[arg-type]
    assert "is a link" in alarm and (tmp_path / "nightly" / names[0]).exists()


def test_while_disposing_is_stopped_no_copy_goes_and_it_is_said(tmp_path: Path) -> None:
    at = Company(tmp_path, [declared("nightly")], stopped=True)
    names = [dumped(tmp_path / "nightly", day) for day in (0, 10, 20)]
    found = expire_due(at, as_of=on(31))  # type: ignore[arg-type]
    assert found.said == [] and at.said == []
    assert found.alarms == ["backup set nightly was not expired: disposing: disposing is stopped by ops/zhao"]
    assert sorted(p.name for p in (tmp_path / "nightly").iterdir()) == names
    at.stopped = False
    assert expire_due(at, as_of=on(31)).said == ["nightly: 1 copies went, 2 stay"]  # type: ignore[arg-type]
