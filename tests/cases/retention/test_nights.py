"""Which nights wait for a person: by their size, against what was forecast and what is usual."""

from __future__ import annotations

import pytest

from include.cases.retention.breaker import FEW, SHARE, Usual, more_than, needs_word, out_of_line


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


LARGE = {"u.visit": 9000, "s.ticket": 10}


@pytest.mark.parametrize(
    ("found", "usual", "named"),
    [
        (LARGE, Usual(LARGE, ()), []),
        (LARGE | {"s.ticket": FEW + 1}, Usual(LARGE, ()), ["s.ticket"]),  # in line as a whole
        (LARGE | {"s.ticket": FEW + 1}, Usual(LARGE, [{"s.ticket": FEW}]), []),  # it is usual
        (LARGE | {"s.note": FEW + 1}, Usual(LARGE, [LARGE]), ["s.note"]),  # nobody heard of it before
        ({f"d.t{n}": FEW for n in range(9)}, Usual({}, ()), [f"{9 * FEW} items"]),  # few of each, and many
        ({"u.visit": 700}, Usual(None, [{"u.visit": 100}] * 14), ["700 items"]),
        ({"u.visit": 700}, Usual(None, [{"u.visit": 100}] * 14, nights=7), []),  # a week that was missed
        ({"u.visit": 2101}, Usual(None, [{"u.visit": 100}] * 14, nights=7), ["2101 items"]),
        ({f"d.t{n}": FEW + 1 for n in range(9)}, Usual({}, ()), ["d.t0", "and 4 more datasets"]),
        ({"u.visit": 5, "s.ticket": 300}, Usual(None, ()), ["it is a backlog; of s.ticket 300, u.visit 5"]),
    ],
)
def test_each_dataset_is_judged_by_itself_and_all_together(
    found: dict[str, int], usual: Usual, named: list[str]
) -> None:
    said = out_of_line(found, usual)
    assert (said is not None) == bool(named)
    assert all(name in str(said) for name in named)


def test_a_word_is_good_for_a_few_more_of_each_and_of_all() -> None:
    assert not more_than({"a": 5000}, {"a": 5000 + FEW}) and more_than({"a": 5000}, {"a": 5001 + FEW})
    assert more_than({"a": 5000}, {"a": 100, "b": FEW + 1}), "what was shown of one is no word for another"
    assert more_than({}, {"a": FEW, "b": 1})
