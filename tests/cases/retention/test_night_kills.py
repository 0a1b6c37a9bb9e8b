"""SIGKILL at every named point of a night: the next run goes on with it, to the same end, and does nothing twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import timedelta

import pytest

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
    # The night is gone on with by a run of another day: what fell due since is not its.
    night = house.night(DAY + timedelta(days=1))
    assert (night.as_of, night.due, night.gone) == (DAY, sum(DUE.values()), sum(GONE.values()))
    assert house.there() == {t: undisturbed.digest(t) for t in TABLES}
    assert house.counts(night) == {
        **{d: {"erased": n} for d, n in GONE.items()},
        "s.ticket": {"erased": GONE["s.ticket"], "needed": 1},
    }
    assert house.state(night) is CaseState.WAITING and not house.findings(night)
    assert [kind for kind, *_ in house.ledger].count("night") == 1, "it is said once how the night ended"
    after = house.there()
    second = house.night(DAY)
    assert second.night_id != night.night_id and second.gone == 0
    assert house.there() == after
