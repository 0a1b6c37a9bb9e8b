"""SIGKILL at every named point of a night: the next run goes on with it, to the same end, and does nothing twice."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from include.cases.retention import night as nightly
from include.cases.retention import nights
from include.cases.retention.nights import Night
from include.cases.retention.seen import Seen
from include.model.errors import NotReachable
from include.model.words import CaseState
from tests.cases.retention import house as houses
from tests.cases.retention.house import AS_IF, DAY, DUE, GONE, TABLES, House
from tests.stores.postgres.making import Company
from tests.stores.sizes import Pieces


def killed_at(house: House, point: str, time: int) -> None:
    """Hold a night in a process that is killed when it comes to the point for the so-manieth time."""
    came = 0

    def at(here: str) -> None:
        nonlocal came
        came += here == point
        if came == time:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        try:
            with house.clearing(size=Pieces(12), at=at):
                house.night()
        finally:
            os._exit(0)  # reached only if the point was not
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, f"{point} was never reached"


@pytest.mark.parametrize(
    ("point", "time"),
    [
        ("clearing.located", 1),
        ("clearing.before_commit", 1),
        ("clearing.after_commit", 1),
        ("clearing.before_commit", 3),
        ("clearing.after_commit", 7),  # the last piece
    ],
)
def test_a_night_that_was_killed_is_gone_on_with_to_the_same_end(
    house: House, new_company: Callable[..., Company], point: str, time: int
) -> None:
    undisturbed = new_company(houses.SHOP, houses.SCHEMA, "nights")
    undisturbed.sql(AS_IF)
    killed_at(house, point, time)
    # The night is gone on with by a run of another day: what fell due since is not its, and that day's begins once it has ended.
    todays = house.night(DAY + timedelta(days=1))
    assert (todays.as_of, todays.ended_at is None) == (DAY + timedelta(days=1), False)
    with house.desk.book() as conn:
        (night,) = (n for n in nights.latest(conn) if n.night_id != todays.night_id)
    assert (night.as_of, night.due, night.gone) == (DAY, sum(DUE.values()), sum(GONE.values()))
    assert house.there() == {t: undisturbed.digest(t) for t in TABLES}
    assert house.counts(night) == {
        **{d: {"erased": n} for d, n in GONE.items()},
        "s.ticket": {"erased": GONE["s.ticket"], "needed": 1},
    }
    assert house.state(night) is CaseState.WAITING and not house.findings(night)
    assert [kind for kind, *_ in house.ledger].count("night") == 2, "it is said once how each night ended"
    after = house.there()
    second = house.night(DAY)
    assert second.night_id != night.night_id and second.gone == 0
    assert house.there() == after


def dies(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_night_of_nothing_that_was_killed_before_it_said_so_stands_in_no_later_ones_way(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.company.sql(AS_IF + "TRUNCATE s.note, s.ticket CASCADE")
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(nightly, "keep", dies)
        try:
            house.night()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    with house.desk.book() as conn:
        (stuck,) = nights.latest(conn)
    assert (stuck.case_no, stuck.ended_at) == (None, None)
    later = DAY + timedelta(days=400)
    tonight = house.night(later)
    assert tonight.as_of == later and tonight.gone == tonight.due > 0
    with house.desk.book() as conn:
        ended = nights.of_id(conn, stuck.night_id)
    assert ended.ended_at is not None and (ended.gone, ended.remaining) == (0, 0)
    assert [kind for kind, *_ in house.ledger].count("night") == 2


def test_two_runs_begin_one_night(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second comes while the first looks: by the command line beside the DAG."""
    begun: list[Night] = []
    looks = nightly.look
    late: list[threading.Thread] = []

    def second() -> None:
        begun.append(nightly.begin(house.desk, as_of=DAY, actor="ops/li"))

    def slowly(*a: Any, **k: Any) -> Seen:
        if not late:
            late.append(threading.Thread(target=second))
            late[0].start()
            late[0].join(0.5)
        return looks(*a, **k)

    monkeypatch.setattr(nightly, "look", slowly)
    begun.append(nightly.begin(house.desk, as_of=DAY, actor="system/airflow"))
    late[0].join()
    assert len({n.case_no for n in begun}) == 1
    with house.desk.book() as conn:
        assert len(nights.latest(conn)) == 1


def test_a_run_that_comes_while_another_looks_for_long_is_told_so(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nightly.turns, "waited", lambda *_: False)
    with pytest.raises(NotReachable, match="another run is beginning one"):
        house.night()
