"""How many items go at a time is learned from what the last ones cost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from include.stores.pieces import Size

COSTS = st.floats(1e-6, 1.0)  # seconds that one item takes


@given(COSTS, st.integers(1, 5_000), st.integers(1, 3), st.integers(1, 4))
def test_full_pieces_come_to_take_about_as_long_as_they_are_to(
    cost: float, first: int, least: int, quick: int
) -> None:
    size = Size(first, least, 50_000, float(quick))
    for _ in range(40):
        size.took(size.items * cost, size.items)
    assert least <= size.items <= 50_000
    seconds = size.items * cost
    assert seconds <= quick or size.items == least, "nobody waits longer"
    assert seconds > quick / 2 or size.items == 50_000 or (size.items + 1) * cost > quick


@given(st.lists(st.tuples(st.floats(0.0, 100.0), st.integers(0, 100_000)), max_size=30))
def test_it_stays_within_its_bounds_and_moves_by_half_or_double_at_most(
    took: list[tuple[float, int]],
) -> None:
    size = Size(1_000, 100, 5_000, 1.0)
    for seconds, items in took:
        before = size.items
        size.took(seconds, items)
        assert 100 <= size.items <= 5_000 and before // 2 <= size.items <= before * 2


def test_a_piece_that_was_not_half_full_shows_nothing_of_larger_ones() -> None:
    size = Size(1_000)
    size.took(0.001, 3)
    assert size.items == 1_000
    size.took(4.0, 3)
    assert size.items == 500, "it was slow all the same"


def test_it_is_halved_down_to_the_least() -> None:
    size = Size(300, 100)
    assert [size.halve() for _ in range(3)] == [True, True, False] and size.items == 100


@given(st.lists(st.integers(1, 1_000), min_size=1, max_size=7))
def test_pieces_of_whole_packs_grow_too(packs: list[int]) -> None:
    """As a table is gone through whose days do not fill their last packs."""
    size = Size(2_000, 100, 50_000, 1.0)
    for _ in range(80):
        piece, n = 0, 0
        while piece + packs[n % len(packs)] <= size.items:
            piece, n = piece + packs[n % len(packs)], n + 1
        size.took(0.01, piece)
    assert size.items == 50_000
