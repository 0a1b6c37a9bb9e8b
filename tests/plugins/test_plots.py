"""The geometry of bars: heights are proportional, add up, and stay in the field, whatever the counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quietus_console.plots import FEW, HEIGHT, KINDS, OTHERS, WIDTH, Scale, plot

COUNTS = st.dictionaries(
    st.sampled_from([f"RS-{n:02d}/main" for n in range(9)]), st.integers(0, 10**9), max_size=9
)
COLUMNS = st.lists(st.tuples(st.dates().map(str), COUNTS), max_size=12)


@given(st.integers(0, 10**12))
def test_a_scale_reaches_the_most_with_few_round_lines(most: int) -> None:
    scale = Scale.of(most)
    assert scale.top >= most and scale.top - scale.step < max(most, 1)
    assert 2 <= len(scale.lines) <= 6 and str(scale.step).rstrip("0") in ("1", "2", "5")
    assert scale.lines[0] == (0, HEIGHT) and scale.lines[-1] == (scale.top, 0.0)


@given(st.integers(1, 10**9), st.lists(st.integers(0, 10**9), min_size=2, max_size=2))
def test_a_bar_is_as_high_as_its_part_of_the_top_and_never_higher(most: int, pair: list[int]) -> None:
    scale = Scale.of(most)
    low, high = sorted(pair)
    assert 0 <= scale.height(low) <= scale.height(high) <= HEIGHT
    if high <= scale.top:
        assert scale.height(high) == pytest.approx(HEIGHT * high / scale.top)


@given(COLUMNS, st.booleans())
def test_the_pieces_of_a_bar_add_up_to_it_and_lie_one_upon_the_other(
    columns: list[tuple[str, dict[str, int]]], cut_first: bool
) -> None:
    made = plot(columns, cut_first=cut_first)
    assert [b.label for b in made.bars] == [label for label, _ in columns]
    for bar, (_, counts) in zip(made.bars, columns, strict=True):
        assert bar.total == sum(counts.values())
        assert sum(p.height for p in bar.pieces) == pytest.approx(made.scale.height(bar.total))
        foot = HEIGHT
        for piece in bar.pieces:
            assert piece.y + piece.height == pytest.approx(foot) and piece.y >= 0
            assert 0 <= piece.kind < len(made.kinds) <= KINDS + 1
            foot = piece.y
        assert bar.x >= 0 and bar.x + bar.width <= WIDTH + 1e-6
    assert all(0 <= x <= WIDTH and label in {b.label for b in made.bars} for x, label, _ in made.labels)
    assert len(made.labels) == (len(columns) if len(columns) <= FEW else 2)
    assert [b.cut for b in made.bars[1:]] == [False] * len(made.bars[1:])
    assert not (made.bars and made.bars[0].cut) or cut_first


def test_the_night_with_the_backlog_is_cut_and_the_others_can_be_told_apart() -> None:
    columns = [("a", {"x": 5000}), ("b", {"x": 3}), ("c", {"y": 9})]
    cut, whole = plot(columns, cut_first=True), plot(columns)
    assert (cut.scale.top, [b.cut for b in cut.bars]) == (10, [True, False, False])
    assert (whole.scale.top, [b.cut for b in whole.bars]) == (5000, [False, False, False])
    assert plot([("a", {"x": 5000}), ("b", {})], cut_first=True).scale.top == 5000


def test_the_most_frequent_kinds_have_colours_and_the_others_share_one() -> None:
    counts = {f"k{n}": n for n in range(1, KINDS + 4)}
    made = plot([("a", counts), ("b", {"never": 0})])
    assert made.kinds == (*(f"k{n}" for n in range(KINDS + 3, 3, -1)), OTHERS)
    assert sum(p.height for p in made.bars[0].pieces if p.kind == KINDS) == pytest.approx(
        made.scale.height(1 + 2 + 3)
    )
    just = plot([("a", {f"k{n}": n for n in range(1, KINDS + 2)})])
    assert len(just.kinds) == KINDS + 1 and OTHERS not in just.kinds


def test_nothing_is_drawn_of_nothing() -> None:
    assert plot([]).bars == () and plot([("a", {})]).bars[0].pieces == ()
