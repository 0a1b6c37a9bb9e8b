"""When the company takes which backup, by what is there and on which day of the calendar each was taken."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from include.backups.expiring.planning import plan
from include.model.backups import BackupCopy, Copies, CopyOf
from include.sandbox.days.company import FULL_EVERY, due

BEGUN = date(2026, 11, 24)
DAY = timedelta(days=1)
KEEP = 30
MADE = datetime(2026, 11, 24, tzinfo=UTC)


def copy(n: int, kind: CopyOf, leans_on: tuple[str, ...] = (), broken: str | None = None) -> BackupCopy:
    at = MADE + timedelta(seconds=n)
    return BackupCopy(f"{n:03}", kind, n, n, 1, at, at, "x", leans_on, broken=broken)


def played(days: int) -> list[dict[str, BackupCopy]]:
    """What is there at the end of each day: taken as it is due, gone as expiry plans it, whichever are restorable."""
    there = {"000": copy(0, CopyOf.FULL)}
    taken = {"000": BEGUN}
    found = [dict(there)]
    for n in range(1, days + 1):
        day = BEGUN + n * DAY
        ends = {name: on + KEEP * DAY for name, on in taken.items()}
        gone = plan(Copies(tuple(there.values())), ends, day, restorable=[max(there)]).go
        there = {name: c for name, c in there.items() if name not in gone}
        what = due(tuple(there.values()), taken, day)
        if what is not None:
            newest = max(there)
            made = copy(n, what, (newest,) if what is CopyOf.INCREMENTAL else ())
            there[made.name], taken[made.name] = made, day
            assert due(tuple(there.values()), taken, day) is None, "a day that was cut off takes no other"
        found.append(dict(there))
    return found


def test_a_full_one_each_week_and_an_increment_between() -> None:
    kinds = {n: c.kind for day in played(60) for name, c in day.items() for n in [int(name)]}
    assert [n for n, k in sorted(kinds.items()) if k is CopyOf.FULL] == list(range(0, 60, 7))
    assert [n for n, k in sorted(kinds.items()) if k is CopyOf.INCREMENTAL] == list(range(3, 60, 7))


def test_the_copy_from_before_stays_as_long_as_what_leans_on_it_and_goes_the_day_after() -> None:
    days = played(60)
    assert [n for n, there in enumerate(days) if "000" in there] == list(range(34)), (
        "its own period is 30 days"
    )
    assert all(there for there in days)


def test_half_a_backup_is_none() -> None:
    half = (copy(0, CopyOf.FULL), copy(7, CopyOf.FULL, broken="no manifest"))
    taken = {"000": BEGUN, "007": BEGUN + 7 * DAY}
    assert due(half, taken, BEGUN + 7 * DAY) is CopyOf.FULL
    assert due((), {}, BEGUN) is CopyOf.FULL


@given(st.integers(0, 3000))
def test_after_days_that_were_skipped_a_full_one_is_taken(gap: int) -> None:
    there = (copy(0, CopyOf.FULL), copy(3, CopyOf.INCREMENTAL, ("000",)))
    taken = {"000": BEGUN, "003": BEGUN + 3 * DAY}
    expected = CopyOf.FULL if gap * DAY >= FULL_EVERY else None
    assert due(there, taken, BEGUN + gap * DAY) is (expected if gap >= 3 else None)
