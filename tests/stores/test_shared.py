"""What stores say of a backlog, as a night reads it."""

from __future__ import annotations

import pytest

from include.stores.shared import LARGER, STAGED, is_staged


@pytest.mark.parametrize(
    ("why", "gone", "staged"),
    [
        (STAGED, 0, True),
        (LARGER.format(73), 400, True),  # other things went; the file's turn comes
        (LARGER.format(73), 0, False),  # every night would end like this one
        ("a lock keeps it", 400, False),
    ],
)
def test_a_file_that_waits_for_its_turn_is_no_fault_and_one_that_never_comes_is(
    why: str, gone: int, staged: bool
) -> None:
    assert is_staged(why, gone=gone) is staged
