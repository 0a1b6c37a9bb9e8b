"""Killed between planting and removal, or in the middle of either: after the next start nothing is left."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable

import pytest

from include.cases.controls import night
from include.model.errors import NotReachable
from include.planting import postgres, s3
from tests.planting.house import TODAY, House


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed(house: House, point: str) -> None:
    """Hold a night in a process of its own, which is killed at this point."""

    def hold() -> None:
        if point.startswith("in "):
            _, room, what = point.split()
            kinds = {"postgres": postgres, "s3": s3}[room]._KINDS
            kinds[what] = die  # type: ignore[index]
        elif point == "removing":
            postgres.remove = die  # type: ignore[assignment]
        house.audit(at=lambda here: die() if here == point else None)

    process = multiprocessing.get_context("fork").Process(target=hold)
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL, "it was to die there"


def traces(house: House, before: tuple[set[str], set[str]]) -> dict[str, object]:
    """Whatever is there that was not there before."""
    found: dict[str, object] = {
        "schemas": house.schemas() - before[0],
        "buckets": house.bucket_names() - before[1],
        "prepared": house.prepared(),
        "uploads": house.uploads(),
        "work": house.work_area(),
    }
    return {what: left for what, left in found.items() if left}


def until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not true() and time.monotonic() < ends:
        time.sleep(0.1)


POINTS = {
    "noted": set[str](),
    "in postgres history_table": {"schemas", "work"},
    "planted company": {"schemas", "prepared", "work"},
    "in s3 locked_object": {"schemas", "prepared", "buckets", "work"},
    "planted": {"schemas", "prepared", "buckets", "uploads", "work"},
    "proved": {"schemas", "prepared", "buckets", "uploads", "work"},
    "removing": {"schemas", "prepared", "work"},
}


@pytest.mark.parametrize("point", POINTS)
def test_the_next_start_leaves_nothing_of_a_night_that_was_killed(house: House, point: str) -> None:
    house.files = None  # what is in them is no matter here, and reading them takes longest
    before = (house.schemas(), house.bucket_names())
    killed(house, point)
    # The server notices that the client is gone, and lets go of the lock and of what was not committed.
    until(lambda: house.company.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'planter'") == 0)
    there = set(traces(house, before))
    assert POINTS[point] <= there, "it was planted, and is still there"
    assert house.ledger == [], "a night that was killed says nothing"
    assert night.sweep(house.desk, as_of=TODAY) == 1
    assert traces(house, before) == {}
    assert night.sweep(house.desk, as_of=TODAY) == 0


def test_the_next_night_sweeps_by_itself_and_passes(house: House) -> None:
    before = (house.schemas(), house.bucket_names())
    killed(house, "planted")
    audited = house.audit()
    assert audited.passed, str(audited)
    assert traces(house, before) == {}


def test_a_store_that_is_away_at_removal_is_swept_later_and_keeps_the_other_from_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (house.schemas(), house.bucket_names())

    def away(*_: object, **__: object) -> None:
        raise NotReachable("the S3 server does not answer the planter", about="objects")

    with monkeypatch.context() as patched:
        patched.setattr(s3, "remove", away)
        with pytest.raises(NotReachable):
            house.audit()
    assert set(traces(house, before)) == {"buckets", "uploads"}
    assert house.ledger == []
    assert night.sweep(house.desk, as_of=TODAY) == 1
    assert traces(house, before) == {}
