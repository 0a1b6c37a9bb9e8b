"""The calendar of the sandbox: it dates copies, survives being killed, and says nothing about what is there."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.model.backups import BackupCopy, Copies, CopyOf, WalArchive
from include.model.errors import Refused
from include.model.estate import BackupSet
from include.sandbox.days.calendar import NAME, Calendar, Horizon, Played, alone

TODAY = date(2026, 11, 24)
NOON = datetime(2026, 11, 24, 4, tzinfo=UTC)
DAY = timedelta(days=1)
SET = BackupSet(
    id="nightly", store="company", tool="basebackup", region="CN", location="x", keep="P30D", description="n"
)
NAMES = st.lists(st.sampled_from(["a", "b", "c", "d"]), unique=True)


def copy(name: str, made: datetime | None = NOON, **more: Any) -> BackupCopy:
    return BackupCopy(name, CopyOf.FULL, 100, 200, 1, made, made, f"/x/{name}", **more)


class Said:
    def __init__(self, copies: Copies) -> None:
        self.copies = copies

    def look(self) -> Copies:
        return self.copies


def dated(calendar: Calendar, *copies: BackupCopy, **more: Any) -> Copies:
    return calendar.tool(SET, Said(Copies(copies, **more))).look()


def test_a_calendar_begins_today_and_never_lies_behind_it(tmp_path: Path) -> None:
    assert Calendar.of(tmp_path, TODAY).day == TODAY
    Calendar(tmp_path / NAME, TODAY + 40 * DAY).keep()
    assert Calendar.of(tmp_path, TODAY).day == TODAY + 40 * DAY
    assert Calendar.of(tmp_path, TODAY + 50 * DAY).day == TODAY + 50 * DAY


@given(
    st.dates(min_value=TODAY),
    st.dictionaries(st.sampled_from(["nightly", "dumps"]), st.dictionaries(st.text(min_size=1), st.dates())),
    st.lists(
        st.tuples(
            st.sampled_from(["all", "nightly"]), st.dates(), st.none() | st.dates(), st.text(), st.booleans()
        )
    ),
)
def test_what_is_kept_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, day: date, taken: Any, horizons: Any
) -> None:
    path = tmp_path_factory.mktemp("home") / NAME
    made = Calendar(path, day, taken, {"CASE-000001": Played(TODAY, [Horizon(*h) for h in horizons])})
    made.keep()
    assert Calendar.of(path.parent, TODAY) == made


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"day": "x", "taken": {}, "cases": {}}',
             '{"day": "2026-11-24", "taken": {}, "cases": {"C": {"begun": "2026-11-24", "horizons": 1}}}'],
    ids=["empty", "torn", "list", "nothing", "no_date", "no_list"],
)  # fmt: skip
def test_one_that_cannot_be_read_is_refused_and_stays_as_it_is(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(Refused, match="cannot be read"):
        Calendar.of(tmp_path, TODAY)
    assert (tmp_path / NAME).read_text() == text


def test_a_copy_that_was_there_before_is_of_its_own_day_and_a_new_one_of_the_day_at_hand(
    tmp_path: Path,
) -> None:
    at = Calendar(tmp_path / NAME, TODAY)
    dated(at, copy("old", NOON - 3 * DAY), copy("no date", None))
    assert at.taken == {"nightly": {"old": TODAY - 3 * DAY, "no date": TODAY}}
    at.now = TODAY + 20 * DAY
    dated(at, copy("old", NOON - 3 * DAY), copy("new"))
    assert at.taken == {"nightly": {"old": TODAY - 3 * DAY, "new": TODAY + 20 * DAY}}, (
        "what is gone is forgotten"
    )


def test_what_could_not_be_read_is_not_forgotten(tmp_path: Path) -> None:
    at = Calendar(tmp_path / NAME, TODAY, {"nightly": {"old": TODAY}})
    dated(at, problems=("a directory is away",))
    assert at.taken == {"nightly": {"old": TODAY}}


@given(NAMES, NAMES)
def test_only_the_last_day_is_of_the_calendar(known: list[str], there: list[str]) -> None:
    at = Calendar(Path("/nowhere"), TODAY + 20 * DAY, {"nightly": dict.fromkeys(known, TODAY)})
    seen = tuple(copy(n, pinned="by somebody", leans_on=("z",)) for n in there)
    archive = WalArchive(1, 2, 3)
    found = dated(at, *seen, archive=archive, system=7)
    assert (found.archive, found.system, found.problems) == (archive, 7, ())
    for was, now in zip(seen, found.copies, strict=True):
        same = {f.name for f in fields(BackupCopy) if getattr(was, f.name) == getattr(now, f.name)}
        assert same >= {f.name for f in fields(BackupCopy)} - {"until"}
        assert now.until == TODAY + (30 if now.name in known else 50) * DAY


def test_versions_of_objects_keep_the_rule_of_their_bucket(tmp_path: Path) -> None:
    at = Calendar(tmp_path / NAME, TODAY)
    of_bucket = SET.model_copy(update={"tool": "object_versions"})
    tool = Said(Copies((copy("a", until=TODAY),)))
    assert at.tool(of_bucket, tool) is tool


def test_two_plays_at_once_are_refused_and_one_after_the_other_are_not(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(Refused, match="another command"), alone(tmp_path):
        pass
    with alone(tmp_path):
        pass


def test_a_horizon_is_told_when_it_is_another(tmp_path: Path) -> None:
    played = Played(TODAY)
    first = Horizon("nightly", TODAY, TODAY + 30 * DAY, "a")
    assert played.saw(first) and not played.saw(Horizon("nightly", TODAY + DAY, TODAY + 30 * DAY, "a"))
    assert played.saw(Horizon("all", TODAY, None, "open")), "another's is another"
    moved = Horizon("nightly", TODAY + 2 * DAY, TODAY + 33 * DAY, "b")
    assert played.saw(moved) and played.last("nightly") == moved
    assert len(played.horizons) == 3


def test_nights_that_were_not_played_lie_between_two_copies(tmp_path: Path) -> None:
    at = Calendar(tmp_path / NAME, TODAY)
    assert not at.skipped(7 * DAY)
    at.taken = {"nightly": {"a": TODAY, "b": TODAY + 7 * DAY}, "dumps": {"c": TODAY + 90 * DAY}}
    assert not at.skipped(7 * DAY), "other sets are others"
    at.taken["nightly"]["d"] = TODAY + 15 * DAY
    assert at.skipped(7 * DAY)
