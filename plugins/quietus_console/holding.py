"""The task of holds: reviews that are late, freed cases that nobody went on with. Counts: which they are is for auditors."""

from __future__ import annotations

from quietus_console.work import desk, now, step

from include.cases import releasing
from include.model.errors import NotProved


@step(retries=0)
def reviews_are_not_late() -> str:
    """Finish releases that were interrupted; red while a review is late, or a freed case waits for longer than a working day."""
    found = releasing.look(desk(), **now())
    if found.late or found.waiting:
        raise NotProved(
            str(found),
            about="reviews",
            next_step="see `quietus case hold list --auditor`, and what docs/ops.md says of holds",
        )
    return str(found)
