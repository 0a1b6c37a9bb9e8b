"""What goes of a set and what stays: by hand, and for any set of copies, pins, holds and dates."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from include.backups.expiring.carrying_out import expire
from include.backups.expiring.planning import Plan, bases, out_of_line, plan, whole
from include.backups.horizon import ends
from include.model.backups import ArchiveCut, BackupCopy, Copies, CopyOf, WalArchive
from include.model.errors import Drifted
from include.model.times import prc_date
from tests.backups.test_horizon import kept

NOW = datetime(2026, 11, 28, 4, tzinfo=UTC)
TODAY = prc_date(NOW)
DAY = timedelta(days=1)


def copy(name: str, age: int, **more: object) -> BackupCopy:
    """A copy that was made so many days ago."""
    kind = CopyOf.INCREMENTAL if more.get("leans_on") else CopyOf.FULL
    at, start = NOW - age * DAY, (1000 - age) << 24
    return replace(
        BackupCopy(name, kind, start, start + 5, 1, at, at, "here"),
        **more,  # type: ignore[arg-type]
    )


def planned(*copies: BackupCopy, keep: int = 30, today: date = TODAY, **more: object) -> Plan:
    restorable = more.pop("restorable", [c.name for c in copies])
    seen = Copies(copies, problems=more.pop("problems", ()))  # type: ignore[arg-type]
    return plan(seen, ends(copies, kept(keep)), today, restorable=restorable, **more)  # type: ignore[arg-type]


def test_a_copy_goes_on_the_day_after_its_last() -> None:
    made = planned(copy("a", 31), copy("b", 30))
    assert made.go == ("a",) and made.stay == {"b": f"its last day is {TODAY}"}


def test_an_increment_goes_before_its_full_and_an_old_full_stays_for_a_young_one() -> None:
    old = [copy("f", 60), copy("i", 59, leans_on=("f",)), copy("j", 58, leans_on=("i", "f"))]
    young = [copy("g", 40), copy("k", 20, leans_on=("g",))]
    made = planned(*old, *young)
    assert made.go == ("j", "i", "f")
    assert made.stay["g"] == "k leans on it" and made.late == ("g",)


def test_a_pin_keeps_all_that_it_leans_on() -> None:
    made = planned(copy("f", 60), copy("i", 59, leans_on=("f",), pinned="keep"), copy("n", 1))
    assert made.go == () and made.stay["i"] == "it is pinned (keep)" and made.stay["f"] == "i leans on it"


def test_the_last_that_is_known_to_be_restorable_stays() -> None:
    made = planned(copy("a", 60), copy("b", 50), copy("c", 1), restorable=["a", "b"])
    assert made.go == ("a",) and made.stay["b"] == "no other copy that stays is known to be restorable"
    assert planned(copy("a", 60), copy("b", 50), restorable=[]).go == ()
    assert planned(copy("a", 60), copy("b", 1, broken="half"), restorable=["b"]).go == (), (
        "what is broken is none"
    )


@pytest.mark.parametrize("why", [{"holds": ["HOLD-000001"]}, {"problems": ("repository 2: other",)}], ids=str)
def test_a_hold_or_a_problem_stops_everything(why: dict[str, object]) -> None:
    made = planned(copy("a", 60), copy("b", 1), **why)
    assert made.go == () and made.stopped and made.late == ("a",)


def test_one_chain_is_never_too_many() -> None:
    seen = [copy("a", 60), *(copy(f"a{i}", 59, leans_on=("a",)) for i in range(9)), copy("b", 1)]
    assert out_of_line(Copies(tuple(seen)), planned(*seen), 0.2) is None
    more = [copy("x", 61), *seen]
    assert out_of_line(Copies(tuple(more)), planned(*more), 0.5) == (
        "2 of 3 chains would go at one time, more than 50%"
    )


class Pretended:
    """A tool of which a test says what it would do, and that tells what it was asked for."""

    def __init__(self, *copies: BackupCopy, would: frozenset[str] | None = None, cut: int = 0) -> None:
        self.copies, self.would, self.cut = list(copies), would, cut
        self.went: list[str] = []
        self.checked: list[str] = []
        self.archive_went = False

    def look(self) -> Copies:
        return Copies(tuple(self.copies), WalArchive(0, 2000 << 24, 2000))

    def check(self, copy: BackupCopy) -> str | None:
        self.checked.append(copy.name)
        return None

    def rehearse(self, names: object) -> frozenset[str]:
        return self.would if self.would is not None else frozenset(names)  # type: ignore[call-overload]

    def let_go(self, names: tuple[str, ...]) -> None:
        self.went += names
        self.copies = [c for c in self.copies if c.name not in names]

    def rehearse_archive(self, staying: object) -> tuple[ArchiveCut, ...]:
        return (ArchiveCut("archive", self.cut),) if self.cut else ()

    def let_go_archive(self, staying: object) -> None:
        self.archive_went = True


def let_go(tool: Pretended, **more: object) -> object:
    return expire("set", tool, tool, last=kept(30), today=TODAY, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("would", [{"a", "b"}, set(), {"b"}], ids=["more", "less", "another"])
def test_a_rehearsal_that_differs_is_an_error_and_nothing_goes(would: set[str]) -> None:
    tool = Pretended(copy("a", 60), copy("b", 1), would=frozenset(would))
    for dry_run in (True, False):
        with pytest.raises(Drifted, match="differs from the plan"):
            let_go(tool, dry_run=dry_run)
    assert tool.went == [] and not tool.archive_went


@pytest.mark.parametrize("beyond", [0, 1])
def test_wal_that_a_copy_needs_does_not_go(beyond: int) -> None:
    young = copy("b", 1)
    assert young.start is not None
    tool = Pretended(copy("a", 60), young, cut=young.start + beyond)
    if beyond:
        with pytest.raises(Drifted, match="needs it"):
            let_go(tool)
    else:
        let_go(tool)
    assert tool.archive_went is not bool(beyond)


def test_a_copy_is_read_only_if_something_is_due_and_none_was_restored() -> None:
    tool = Pretended(copy("a", 3), copy("b", 1))
    let_go(tool)
    assert tool.checked == []
    tool = Pretended(copy("a", 60), copy("b", 2), copy("c", 1))
    let_go(tool, restorable=["b"])
    assert tool.checked == [] and tool.went == ["a"]
    tool = Pretended(copy("a", 60), copy("b", 2), copy("c", 1))
    let_go(tool)
    assert tool.checked == ["c"], "the newest, and one is enough"


# --- for any set --------------------------------------------------------------------------------------


@st.composite
def sets(draw: st.DrawFn) -> tuple[BackupCopy, ...]:
    """Fulls of any age, with chains and differentials on them; some pinned, broken, or without a time."""
    copies: list[BackupCopy] = []
    for n in range(draw(st.integers(0, 4))):
        age = draw(st.integers(0, 90))
        chain = [copy(f"f{n}", age)]
        for i in range(draw(st.integers(0, 3))):
            age = max(0, age - draw(st.integers(0, 40)))
            on = tuple(c.name for c in reversed(chain)) if draw(st.booleans()) else (chain[0].name,)
            chain.append(copy(f"f{n}i{i}", age, leans_on=on))
        for c in chain:
            odd = draw(st.integers(0, 19))
            copies.append(
                replace(c, pinned="keep") if odd == 0
                else replace(c, broken="half") if odd == 1
                else replace(c, started_at=None, stopped_at=None) if odd == 2
                else c
            )  # fmt: skip
    return tuple(draw(st.permutations(copies)))


def subset(copies: tuple[BackupCopy, ...]) -> st.SearchStrategy[set[str]]:
    return st.sets(st.sampled_from([c.name for c in copies])) if copies else st.just(set())


@given(st.data(), sets(), st.integers(0, 60), st.integers(-5, 60))
def test_nothing_goes_that_must_not(
    data: st.DataObject, copies: tuple[BackupCopy, ...], keep: int, later: int
) -> None:
    restorable = data.draw(subset(copies))
    today = TODAY + later * DAY
    made = planned(*copies, keep=keep, today=today, restorable=restorable)
    by_name, last = {c.name: c for c in copies}, ends(copies, kept(keep))
    event("something goes" if made.go else "nothing goes")
    assert set(made.go) | made.stay.keys() == by_name.keys() and not set(made.go) & made.stay.keys()
    for name in made.go:
        assert last[name] < today and not by_name[name].pinned
        assert all(name not in bases(by_name[other], by_name) for other in made.stay)
    assert set(made.late) == {n for n in made.stay if n in last and last[n] < today}
    if made.go:
        assert any(n in restorable and whole(by_name[n], by_name) for n in made.stay)
    for at, name in enumerate(made.go):
        assert not bases(by_name[name], by_name) & set(made.go[:at]), (
            "killed on the way, no increment lost its full"
        )


@given(st.data(), sets(), st.integers(0, 60))
def test_whatever_may_go_goes(data: st.DataObject, copies: tuple[BackupCopy, ...], keep: int) -> None:
    """Each copy that is late has one of the four reasons."""
    assume(copies)
    restorable = data.draw(subset(copies))
    made = planned(*copies, keep=keep, restorable=restorable)
    by_name = {c.name: c for c in copies}
    known = {n for n in restorable if whole(by_name[n], by_name)}
    for name in made.late:
        leaned_on = any(name in bases(by_name[other], by_name) for other in made.stay)
        newest = max((by_name[n].stopped_at or NOW - 999 * DAY for n in known), default=None)
        last_one = not known or (name in known and (by_name[name].stopped_at or NOW - 999 * DAY) == newest)
        assert by_name[name].pinned or leaned_on or last_one


@given(st.data(), sets(), st.integers(0, 60), st.integers(0, 40))
def test_what_goes_today_goes_tomorrow(
    data: st.DataObject, copies: tuple[BackupCopy, ...], keep: int, later: int
) -> None:
    restorable = data.draw(subset(copies))
    now = planned(*copies, keep=keep, restorable=restorable)
    then = planned(*copies, keep=keep, restorable=restorable, today=TODAY + later * DAY)
    # What nothing but its age let go stays only as the last that can be restored, or because that leans on it: today another
    # one, whose last day is over by then, could still be restored.
    by_name = {c.name: c for c in copies}
    last = {n for n, why in then.stay.items() if "no other copy" in why}
    needed = {base for n in last for base in bases(by_name[n], by_name)}
    event("something that goes today is kept then" if set(now.go) & (last | needed) else "nothing is")
    assert set(now.go) <= set(then.go) | last | needed


@given(sets(), st.integers(0, 60))
def test_letting_go_twice_is_letting_go_once(copies: tuple[BackupCopy, ...], keep: int) -> None:
    made = planned(*copies, keep=keep)
    left = tuple(c for c in copies if c.name not in made.go)
    again = planned(*left, keep=keep)
    assert again.go == () and again.stay.keys() == made.stay.keys()
