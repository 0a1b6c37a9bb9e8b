"""The breaker of runs by the minute: a load that rose for good is asked about a few times, one odd run makes nothing usual."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from include.cases.retention.nights import Night
from tests.cases.retention.booked import Booked, row

pytestmark = pytest.mark.postgres

NOON = datetime(2026, 11, 24, 4, tzinfo=UTC)
TEN = timedelta(minutes=10)
OPS = "ops/li"
Run = Callable[..., Night]


@pytest.fixture
def run(database: str) -> Run:
    """One run by the minute that finds so much of a dataset, is let go if it stops, and takes all of it."""
    made = Booked(database)
    at = [NOON]

    def one(
        due: int, *, after: timedelta = TEN, dataset: str = "account.session", gone: bool = True
    ) -> Night:
        at[0] += after
        return made.night(
            at[0].date(), [row("RS-02/main", dataset, due=due, late=5)], at=at[0], word=OPS,
            gone={("RS-02/main", dataset): due} if due else {},
        )  # fmt: skip

    return one


def asked(nights: list[Night]) -> list[bool]:
    return [n.needs_word is not None for n in nights]


def test_a_steady_load_is_usual_once_a_person_let_most_of_the_last_runs_go(run: Run) -> None:
    assert asked([run(300) for _ in range(20)]) == [True] * 3 + [False] * 17


def test_a_lasting_rise_becomes_usual_and_stays_so(run: Run) -> None:
    assert asked([run(100) for _ in range(14)]) == [False] * 14
    assert asked([run(350) for _ in range(30)]) == [True] * 3 + [False] * 27


def test_one_odd_run_that_a_person_let_go_makes_no_second_one_usual(run: Run) -> None:
    for _ in range(14):
        run(100)
    assert run(10_000).needs_word is not None
    said = run(10_000).needs_word
    assert said is not None and "nights before it let 100 go" in said
    assert asked([run(100) for _ in range(3)]) == [False] * 3
    assert run(301).needs_word is not None


def test_a_first_backlog_that_a_person_let_go_is_not_usual_at_once(run: Run) -> None:
    assert "it is a backlog" in str(run(9000).needs_word)
    assert "let 0 go" in str(run(9000).needs_word)
    assert "let 0 go" in str(run(400).needs_word)


def test_what_a_person_let_go_of_one_dataset_lets_no_other_go(run: Run) -> None:
    for _ in range(4):
        run(1000)
    assert run(1000).needs_word is None
    assert "account.login_code: 900 items" in str(run(900, dataset="account.login_code").needs_word)


def test_a_load_that_grows_without_a_word_is_held_against_fourteen_runs_and_not_against_the_last_few(
    run: Run,
) -> None:
    for _ in range(14):
        run(150)
    assert asked([run(450) for _ in range(3)]) == [False] * 3
    assert run(451).needs_word is not None


def test_what_went_without_a_word_counts_among_the_last_few_no_higher_than_what_a_person_let_go(
    run: Run,
) -> None:
    for _ in range(14):
        run(150)
    assert run(460).needs_word is not None
    assert asked([run(n) for n in (450, 450, 450, 1300, 1300, 1300)]) == [False] * 6, (
        "three times what was seen"
    )
    assert run(1400).needs_word is not None


def test_a_run_that_others_waited_behind_is_held_against_as_many(run: Run) -> None:
    """Nobody answered for three hours, or Airflow was down; and what went then is three hours', not ten minutes'."""
    for _ in range(14):
        run(100)
    assert run(18 * 100, after=18 * TEN).needs_word is None
    assert asked([run(301)]) == [True]
    assert run(18 * 301, after=18 * TEN).needs_word is not None


def test_a_few_seconds_more_are_no_run_that_was_missed(run: Run) -> None:
    for _ in range(14):
        run(100)
    assert run(301, after=TEN + timedelta(seconds=30)).needs_word is not None
