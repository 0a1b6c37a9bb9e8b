"""Which nights wait for a person: by their size, against what was forecast and what is usual."""

from __future__ import annotations

import pytest

from include.cases.retention.nights import FEW, SHARE, needs_word


@pytest.mark.parametrize(
    ("due", "expected", "before", "word"),
    [
        (FEW, None, (), False),  # few go always, also in a new house
        (FEW + 1, None, (), True),  # a backlog that no night was before
        (1000, 1000, (), False),
        (SHARE * 1000, 1000, (), False),
        (SHARE * 1000 + 1, 1000, (), True),
        (SHARE * 1000 + 1, 10, (2000, 2000), False),  # what was forecast is little, what is usual is not
        (5000, None, (10, 900, 1000), True),  # a night was missed: the median of what went before counts
        (2700, None, (10, 900, 1000), False),
        (5000, 0, (0,), True),
    ],
)
def test_a_night_out_of_line_needs_a_persons_word(
    due: int, expected: int | None, before: tuple[int, ...], word: bool
) -> None:
    said = needs_word(due, expected, before)
    assert (said is not None) == word
    if said is not None:
        assert str(due) in said
