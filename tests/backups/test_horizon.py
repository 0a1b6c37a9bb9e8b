"""How long a deed can be undone from backups: by hand, and for any set of copies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from include.backups.horizon import ARCHIVE, Deed, Shown, ends, reach
from include.model.backups import BackupCopy, Copies, CopyOf, WalArchive
from include.model.times import prc_date

NOW = datetime(2026, 11, 28, 4, tzinfo=UTC)
DEED = Deed(1000, NOW)
DAY = timedelta(days=1)


def kept(days: int) -> Callable[[date], date]:
    """The last day of what is kept for so many days."""
    return lambda made: made + days * DAY


def copy(name: str, start: int | None, *, made: int = 0, **more: object) -> BackupCopy:
    """A copy that was begun so many days after the deed."""
    kind = CopyOf.INCREMENTAL if more.get("leans_on") else CopyOf.FULL
    at = NOW + made * DAY
    return replace(
        BackupCopy(name, kind, start, None if start is None else start + 5, 1, at, at, "here"),
        **more,  # type: ignore[arg-type]
    )


def reached(
    *copies: BackupCopy, archive: WalArchive | None = None, problems: tuple[str, ...] = (), keep: int = 30
):
    seen = Copies(copies, archive, problems=problems)
    return reach(DEED, seen, ends(copies, kept(keep)), prc_date(NOW) + 10 * DAY)


def test_nothing_reaches_back() -> None:
    found = reached(copy("later", 1001, made=1))
    assert found.beyond and found.until is None and found.holding == ()


def test_what_a_drill_showed_counts_for_more_than_where_a_copy_begins() -> None:
    seen = Copies((copy("shown", 1001, made=1), copy("other", 1001, made=2)), WalArchive(1001, 2000, 1))
    shown = replace(DEED, shown=Shown(frozenset({"shown"})))
    found = reach(shown, seen, ends(seen.copies, kept(30)), prc_date(NOW))
    assert (found.holding, found.until) == (("shown",), prc_date(NOW) + 31 * DAY)
    assert found.because == "shown until 2026-12-29; somebody may come up in shown, as a drill showed"
    aside = replace(seen, copies=(copy(".expiring-shown", 1001, made=1),))
    assert reach(shown, aside, {}).holding == (".expiring-shown",)
    assert reach(shown, replace(seen, copies=seen.copies[1:]), {}).beyond
    log = replace(DEED, shown=Shown(log=1500))
    assert reach(log, seen, {}, prc_date(NOW)).holding == (ARCHIVE,)
    assert reach(log, replace(seen, archive=WalArchive(1500, 2000, 1)), {}).beyond


def test_the_last_copy_from_before_sets_the_day() -> None:
    found = reached(copy("old", 100, made=-20), copy("new", 900, made=-1), copy("after", 1500, made=1))
    assert (found.holding, found.until) == (("new", "old"), date(2026, 12, 27))
    assert found.because == "new until 2026-12-27"


def test_an_incremental_made_after_keeps_the_full_from_before() -> None:
    found = reached(copy("full", 100, made=-20), copy("incr", 1500, made=5, leans_on=("full",)))
    assert found.holding == ("full", "incr") and found.until == date(2027, 1, 2)
    assert found.because == "incr until 2027-01-02, and full with it"


def test_a_pin_has_no_day() -> None:
    found = reached(copy("full", 100, made=-20, pinned="barman keep (full)"))
    assert found.until is None and not found.beyond
    assert found.open == ("full is pinned (barman keep (full))",)


def test_a_pinned_copy_from_after_is_nobodys_business() -> None:
    assert reached(copy("full", 1001, made=1, pinned="barman keep (full)")).beyond


@pytest.mark.parametrize(("oldest", "holds"), [(999, True), (1000, False), (1001, False)])
def test_archived_wal_from_before_holds_it(oldest: int, holds: bool) -> None:
    found = reached(archive=WalArchive(oldest, 2000, 1))
    assert (found.holding == (ARCHIVE,)) is holds and found.beyond is not holds
    if holds:
        assert found.until == date(2026, 12, 8) and found.because.startswith(
            "archived WAL from 0/3E7 on until"
        )


def test_a_copy_that_tells_no_position_is_judged_by_its_time() -> None:
    before, after = copy("a", None, made=-1), copy("b", None, made=1)
    assert reached(before, after).holding == ("a",)
    unknown = replace(before, name="c", started_at=None)
    assert reached(unknown).holding == ("c",), "of which nothing is known, it may hold anything"
    assert reach(replace(DEED, position=None), Copies((copy("d", 5000, made=-1),)), {}).holding == ("d",)


def test_what_could_not_be_read_leaves_it_open() -> None:
    found = reached(problems=("repository 2: other",))
    assert not found.beyond and found.until is None and found.open == ("repository 2: other",)
    assert not reached(copy("half", 5, made=-2, broken="it has no manifest")).beyond, (
        "what it holds, it holds"
    )


# --- for any set --------------------------------------------------------------------------------------


@st.composite
def sets(draw: st.DrawFn) -> tuple[BackupCopy, ...]:
    """Fulls in any order, with chains of increments on them; some pinned, some broken."""
    copies: list[BackupCopy] = []
    for n in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, 2000))
        chain = [copy(f"f{n}", start, made=(start - 1000) // 50)]
        for i in range(draw(st.integers(0, 3))):
            start += draw(st.integers(1, 800))
            chain.append(
                copy(
                    f"f{n}i{i}",
                    start,
                    made=(start - 1000) // 50,
                    leans_on=tuple(c.name for c in reversed(chain)),
                )
            )
        copies += [replace(c, pinned="keep" if draw(st.integers(0, 9)) == 0 else None) for c in chain]
    return tuple(draw(st.permutations(copies)))


@given(sets(), st.integers(0, 60))
def test_one_copy_more_never_brings_the_day_forward(copies: tuple[BackupCopy, ...], keep: int) -> None:
    whole = reached(*copies, keep=keep)
    event(f"{'beyond' if whole.beyond else 'open' if whole.open else 'dated'}")
    for left_out in copies:
        rest = [c for c in copies if c.name != left_out.name]
        if any(left_out.name in c.leans_on for c in rest):
            continue  # what leans on it is no copy without it
        less = reached(*rest, keep=keep)
        assert set(less.holding) <= set(whole.holding)
        if whole.until is not None and less.until is not None:
            assert less.until <= whole.until
        assert not (whole.beyond and not less.beyond)


@given(sets(), st.integers(0, 60))
def test_the_day_after_the_last_nothing_is_left_that_reaches_back(
    copies: tuple[BackupCopy, ...], keep: int
) -> None:
    """Let every copy go on the day after its own last day, but none that another still leans on."""
    found = reached(*copies, keep=keep)
    if found.until is None:
        return
    last = ends(copies, kept(keep))
    today = found.until + DAY
    needed = {name for c in copies if last[c.name] >= today for name in (c.name, *c.leans_on)}
    assert reached(*(c for c in copies if c.name in needed), keep=keep).beyond


@given(sets())
def test_every_copy_from_before_is_named(copies: tuple[BackupCopy, ...]) -> None:
    found = reached(*copies)
    assert {c.name for c in copies if c.start is not None and c.start <= 1000} <= set(found.holding)
    assert all(c.name in found.holding for c in copies if set(c.leans_on) & set(found.holding))
