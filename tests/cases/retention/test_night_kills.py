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
from include.model.errors import NotProved, NotReachable
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


CHANGED = "ALTER TABLE u.click ALTER COLUMN at TYPE timestamp"


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


def test_a_night_that_is_gone_on_with_and_not_proved_takes_no_other_days_night_with_it(house: House) -> None:
    """A column of a dataset has another type meanwhile, and may have it for weeks."""
    killed_at(house, "clearing.before_commit", 1)
    house.company.sql(CHANGED)
    house.company.sql(
        "INSERT INTO u.visit VALUES (1000, 'acct_000000000001', '2025-11-25', '/')"
    )  # due on the third day
    third = DAY + timedelta(days=2)
    with pytest.raises(NotProved, match=r"u\.click"):
        house.night(third)
    with house.desk.book() as conn:
        todays, first = nights.latest(conn)
    assert [(n.as_of, n.ended_at is None) for n in (first, todays)] == [(DAY, False), (third, False)]
    assert todays.gone == 1 and house.company.sql("SELECT count(*) FROM u.visit WHERE id = 1000") == [(0,)]


def test_what_an_earlier_night_raised_is_not_raised_once_this_days_proved_it(house: House) -> None:
    killed_at(house, "clearing.before_commit", 1)
    came = iter([True])

    def import_again() -> None:
        if next(came, False):
            house.company.sql(
                "INSERT INTO u.visit SELECT 1, id, '2025-01-01', '/' FROM a.account WHERE id LIKE '%2'"
            )

    todays = house.night(DAY + timedelta(days=1), then=import_again)
    with house.desk.book() as conn:
        (first,) = (n for n in nights.latest(conn) if n.night_id != todays.night_id)
    assert (todays.as_of, first.as_of, todays.gone) == (DAY + timedelta(days=1), DAY, 1)
    assert [house.state(n) for n in (first, todays)] == [CaseState.WAITING] * 2


def test_a_night_that_has_not_ended_is_not_passed_over(house: House) -> None:
    """What stops it before its end stops that day's too: it is one after the other."""
    killed_at(house, "clearing.before_commit", 1)

    def away() -> None:
        raise NotReachable("no answer", about="store company", next_step="wait")

    with pytest.raises(NotReachable):
        house.night(DAY + timedelta(days=1), before=away)
    with house.desk.book() as conn:
        (night,) = nights.latest(conn)
    assert night.ended_at is None


class Dies(list[Any]):
    """A ledger before which a night is killed."""

    def append(self, entry: Any) -> None:
        if entry[0] == "night":
            os.kill(os.getpid(), signal.SIGKILL)
        super().append(entry)


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


@pytest.mark.parametrize("nothing", [True, False])
def test_a_night_that_is_killed_between_book_and_ledger_is_in_the_ledger_all_the_same(
    house: House, nothing: bool
) -> None:
    if nothing:
        house.company.sql(AS_IF + "TRUNCATE s.note, s.ticket CASCADE")
    child = os.fork()
    if child == 0:
        house.ledger = Dies()
        try:
            house.night()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    house.night()
    with house.desk.book() as conn:
        every = nights.latest(conn)
    said = {key.split(":")[1] for kind, _, key in house.ledger if kind == "night"}
    assert said == {str(n.night_id) for n in every} and all(n.ended_at for n in every)


@pytest.mark.parametrize("late", [timedelta(), timedelta(days=1)])
def test_what_was_said_before_the_book_knew_it_is_said_again_as_the_same_entry(
    house: House, late: timedelta
) -> None:
    """Killed after the ledger has it: whoever ends it once more says the same, on whatever day."""
    house.company.sql(AS_IF + "TRUNCATE s.note, s.ticket CASCADE")

    class Interrupted(list[Any]):
        def append(self, entry: Any) -> None:
            super().append(entry)
            raise KeyboardInterrupt

    house.ledger = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        house.night()
    house.ledger = list(house.ledger)
    house.night(DAY + late)
    first, again, other = [(body, key) for kind, body, key in house.ledger if kind == "night"]
    assert first == again and other[1] != again[1]


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
