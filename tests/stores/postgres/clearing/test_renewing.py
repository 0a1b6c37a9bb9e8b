"""Statistics of one table are renewed while the rows of the next go: never too early, and once more if it failed."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest

from include.model.errors import NotReachable, Stopped
from include.model.estate import Effect
from include.stores.postgres import Patience
from include.stores.postgres.clearing.renewing import Renewing, renewing
from include.stores.postgres.server import Server
from tests.stores.postgres.clearing.test_pieces import POLICY, STEP, Logs, furnished, plan_of

CLICK, VISIT = POLICY.dataset("usage.click"), POLICY.dataset("usage.visit")
OLDEST = (
    "SELECT (histogram_bounds::text::bigint[])[1] FROM pg_stats WHERE tablename = '{}' AND attname = '{}_id'"
)


@pytest.fixture
def logs(pg18) -> Iterator[Logs]:
    for made in furnished(pg18):
        made.sql("ANALYZE usage.visit, usage.click")
        yield made


def oldest(logs: Logs, table: str) -> int:
    """The first bound of what the server keeps of a table's keys."""
    (bound,) = logs.sql(OLDEST.format(table, table))
    return int(bound)


@pytest.mark.postgres
def test_the_clicks_are_forgotten_while_the_visits_go(logs: Logs) -> None:
    was, seen = oldest(logs, "click"), []

    def at(point: str) -> None:
        if point == "clearing.before_commit":
            if logs.sql("SELECT count(*) FROM usage.click WHERE click_id <= 40") == [0]:
                until = time.monotonic() + 30
                while oldest(logs, "click") == was and time.monotonic() < until:
                    time.sleep(0.02)
            seen.append((oldest(logs, "click") > was, oldest(logs, "visit")))

    clearing = logs.clearing(at=at)
    clearing.dispose(STEP, plan_of(clearing))
    assert seen == [(False, 1), (True, 1)]
    assert (oldest(logs, "click"), oldest(logs, "visit")) == (42, 21)


@pytest.mark.postgres
def test_what_could_not_be_renewed_ahead_is_renewed_at_the_end(logs: Logs) -> None:
    """Somebody's own ANALYZE is at it for a while."""
    other = psycopg.connect(logs.server.conninfo(logs.name))
    commits = 0

    def at(point: str) -> None:
        nonlocal commits
        if point == "clearing.before_commit":
            commits += 1
            if commits == 1:
                other.execute("LOCK usage.click IN SHARE UPDATE EXCLUSIVE MODE")
            else:
                time.sleep(0.5)  # longer than it waits for a lock
                assert oldest(logs, "click") == 2
                other.rollback()

    clearing = logs.clearing(at=at, patience=Patience(lock=0.1))
    with other:
        clearing.dispose(STEP, plan_of(clearing))
    assert (commits, clearing.left) == (2, {})
    assert (oldest(logs, "click"), oldest(logs, "visit")) == (42, 21)


@pytest.mark.postgres
def test_whoever_stops_the_night_waits_for_no_table_to_be_read(logs: Logs) -> None:
    pieces = 0

    def may_go_on() -> None:
        nonlocal pieces
        pieces += 1
        if pieces == 2:
            time.sleep(0.3)  # by now it waits for the lock
            raise Stopped("stopped", about="a night")

    clearing = logs.clearing(may_go_on=may_go_on, patience=Patience(lock=120))
    plan = plan_of(clearing)
    with psycopg.connect(logs.server.conninfo(logs.name)) as other:
        other.execute("LOCK usage.click IN SHARE UPDATE EXCLUSIVE MODE")
        began = time.monotonic()
        with pytest.raises(Stopped):
            clearing.dispose(STEP, plan)
        assert time.monotonic() - began < 60
    assert oldest(logs, "click") == 2
    clearing = logs.clearing()
    clearing.dispose(STEP, plan)
    assert (oldest(logs, "click"), oldest(logs, "visit")) == (42, 21), "gone on with, all is renewed"


def begun(*sets: object, in_files: tuple[str, ...] = (), to_come: tuple[object, ...] = (VISIT,)) -> list[str]:
    """What is renewed ahead when the clicks are done."""
    done: list[str] = []
    server = Server(lambda: "", "company")
    with renewing(server, sets, in_files) as ahead:  # type: ignore[arg-type]
        ahead._renew = done.append  # type: ignore[method-assign]
        ahead.begin((CLICK,), to_come)  # type: ignore[arg-type]
        ahead.begin((CLICK,), to_come)  # type: ignore[arg-type]
        assert ahead.renewed() == set(done)
    return done


def test_nothing_is_renewed_of_which_rows_may_still_change() -> None:
    assert begun(CLICK, VISIT) == ["usage.click"]
    part = CLICK.model_copy(update={"id": "usage.click/page", "part_of": "usage.click"})
    assert begun(CLICK, VISIT, to_come=(VISIT, part)) == []
    effect = Effect(table="usage.click", operation="update", reason="a trigger counts")
    assert begun(CLICK, VISIT.model_copy(update={"effects": (effect,)})) == []


def test_nobody_waits_for_us_to_drop_a_partition() -> None:
    assert begun(CLICK, VISIT, in_files=("usage.visit",)) == []
    assert begun(CLICK, VISIT, in_files=("usage.click",)) == ["usage.click"]


def test_a_server_that_does_not_answer_is_asked_again_at_the_end() -> None:
    def away() -> str:
        raise NotReachable("no such server", about="company")

    with renewing(Server(away, "company"), (CLICK, VISIT), ()) as ahead:
        ahead.begin((CLICK,), (VISIT,))
        assert isinstance(ahead, Renewing)
        assert ahead.renewed() == frozenset()
