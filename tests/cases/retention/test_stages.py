"""What a night may still take: by its own number, and by a plan of stages, whatever is given back."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.cases.retention.stages import Budget


def test_without_a_number_and_a_plan_everything_goes() -> None:
    assert [Budget(None).take(n, "u.visit") for n in (7, 0, -3)] == [7, 0, -3]


def test_the_nights_own_number_binds_every_dataset() -> None:
    budget = Budget(10)
    assert [budget.take(6, "a"), budget.take(6, "b"), budget.take(-2, "b"), budget.take(6, "c")] == [
        6,
        4,
        -2,
        2,
    ]


@pytest.mark.parametrize("order", [("u.visit", "s.ticket"), ("s.ticket", "u.visit")])
def test_what_fell_due_since_goes_besides_the_rate_in_whatever_order(order: tuple[str, str]) -> None:
    budget = Budget(None, rate=100, free=Counter({"u.visit": 10, "s.ticket": 5}), plan=frozenset(order))
    went = {d: budget.take(1000, d) for d in order}
    assert sum(went.values()) == 115 and all(went[d] >= n for d, n in {"u.visit": 10, "s.ticket": 5}.items())
    assert budget.take(1000, "u.click") == 1000, "no plan names it"


def test_what_went_before_a_stop_counts_and_what_was_passed_over_does_not() -> None:
    budget = Budget(None, rate=100, free=Counter({"u.visit": 10}), plan=frozenset({"u.visit"}))
    budget.gone("u.visit", 60)
    assert budget.take(1000, "u.visit") == 50
    assert budget.take(-20, "u.visit") == -20
    assert budget.take(1000, "u.visit") == 20


def test_of_rows_that_go_together_one_in_the_plan_binds_all() -> None:
    budget = Budget(None, rate=3, free=Counter({"s.note": 2, "s.ticket": 4}), plan=frozenset({"s.ticket"}))
    assert budget.take(100, "s.note", "s.ticket") == 9


LONG_AGO, LATER, NOW = (datetime(year, 1, 1, tzinfo=UTC) for year in (2020, 2021, 2022))


def test_of_a_number_those_have_their_part_that_have_been_due_longest() -> None:
    budget = Budget(10)
    ages = {("a", NOW): 50, ("a", LONG_AGO): 2, ("b", LATER): 5, ("c", LATER): 9}
    budget.oldest_first(ages, {"a": 52, "b": 5, "c": 9}, {})
    assert [budget.at_most(d) for d in "abc"] == [2, 5, 3]
    assert [budget.take(100, d) for d in ("a", "b", "c")] == [2, 5, 3]


def test_what_is_given_back_is_anybodys_and_of_what_is_not_there_nothing_is_kept() -> None:
    budget = Budget(10)
    budget.oldest_first({("a", LONG_AGO): 9, ("b", LATER): 9}, {"a": 4, "b": 9}, {})
    assert budget.at_most("a") == 4, "five of them went meanwhile"
    assert (budget.take(9, "a"), budget.take(-3, "a"), budget.take(9, "b")) == (4, -3, 9)


def test_of_a_plans_rate_too_and_what_fell_due_since_goes_besides() -> None:
    budget = Budget(None, rate=10, free=Counter({"a": 3}), plan=frozenset("ab"))
    budget.oldest_first(
        {("a", LATER): 8, ("a", NOW): 3, ("b", LONG_AGO): 6}, {"a": 11, "b": 6}, {"a": 8, "b": 6}
    )
    assert budget.at_most("a") == 3 + 4
    budget.gone("b", 5)
    assert (budget.take(100, "a"), budget.take(100, "b")) == (7, 1)


def test_of_what_went_before_a_stop_all_is_of_the_rate_whatever_is_kept() -> None:
    def begun() -> Budget:
        budget = Budget(None, rate=10, plan=frozenset("ab"))
        budget.oldest_first({("a", LONG_AGO): 10, ("b", LATER): 50}, {"a": 10, "b": 50}, {"a": 10, "b": 50})
        return budget

    budget = begun()
    assert (budget.take(10, "a"), budget.take(-10, "a"), budget.let_go()) == (10, -10, True)
    assert budget.take(5, "b") == 5
    budget = begun()
    budget.gone("b", 5)
    assert (budget.take(10, "a"), budget.take(-5, "a"), budget.let_go(), budget.take(10, "b")) == (
        5,
        -5,
        True,
        5,
    )


@pytest.mark.parametrize("free", ["b", "c"])
def test_what_a_plan_keeps_from_going_has_no_part_of_a_nights_number(free: str) -> None:
    """``free``: of a dataset in the plan, or in none."""
    budget = Budget(500, rate=100, free=Counter({"b": 1000}), plan=frozenset("ab"))
    budget.oldest_first({("a", LONG_AGO): 5000, (free, NOW): 1000}, {"a": 5000, free: 1000}, {"a": 5000})
    assert [budget.at_most(d) for d in ("a", free)] == [100, 400]
    assert (budget.take(5000, "a"), budget.take(1000, free), budget.left) == (100, 400, 0)


def test_what_is_let_go_by_nobodys_rate_goes_once_nothing_is_kept() -> None:
    budget = Budget(10, rate=2, free=Counter({"b": 9}), plan=frozenset("ab"))
    budget.oldest_first(
        {("c", LONG_AGO): 8, ("a", LATER): 2, ("b", NOW): 9}, {"c": 8, "a": 2, "b": 9}, {"a": 2}
    )
    assert [budget.take(9, d) for d in "abc"] == [2, 0, 8]
    assert (budget.take(-8, "c"), budget.rate, budget.let_go(), budget.take(9, "b")) == (-8, 0, True, 8)


AGES = st.dictionaries(
    st.tuples(st.sampled_from("abc"), st.sampled_from([LONG_AGO, LATER, NOW])), st.integers(0, 60)
)


@given(
    st.lists(st.tuples(st.sampled_from("abc-!"), st.integers(0, 50), st.floats(0, 1)), max_size=30), AGES,
    st.integers(0, 60), st.integers(0, 20), st.none() | st.integers(0, 100),
)  # fmt: skip
def test_never_more_goes_than_the_rate_and_what_is_free(
    asked: list[tuple[str, int, float]], ages: dict[tuple[str, datetime], int], rate: int, free: int, left: int | None
) -> None:  # fmt: skip
    """Whatever is kept for whom, let go (``-``), or begun again after a stop (``!``). No plan names ``c``."""
    there = Counter[str]()
    for (dataset, _), items in ages.items():
        there[dataset] += items

    def begun() -> Budget:
        budget = Budget(left, rate=rate, free=Counter({"a": free}), plan=frozenset("ab"))
        budget.oldest_first(ages, there, {"a": max(0, there["a"] - free), "b": there["b"]})
        for dataset, items in went.items():
            budget.gone(dataset, items)
        return budget

    went = Counter[str]()
    budget = begun()
    for dataset, wanted, used in asked:
        if dataset == "-":
            budget.let_go()
        elif dataset == "!":
            budget = begun()
        else:
            most = budget.at_most(dataset)
            taken = budget.take(wanted, dataset)
            assert taken == (wanted if most is None else min(wanted, most)) and taken >= 0
            keeps = round(taken * used)
            budget.take(keeps - taken, dataset)
            went[dataset] += keeps
    assert max(0, went["a"] - free) + went["b"] <= rate
    assert left is None or went.total() <= left
    budget.let_go()
    rest = sum(budget.take(1000, d) for d in "abc")
    assert left is None or went.total() + rest == min(left, went["a"] + went["b"] + 1000 + rest), (
        "none is lost"
    )
