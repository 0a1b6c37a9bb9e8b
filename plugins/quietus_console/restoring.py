"""The steps that keep the dead from rising: restored databases are cleaned again, and imports are looked through."""

from __future__ import annotations

from quietus_console.work import desk, now, step

from include.cases import adopted_back, came_back, restored
from include.model.errors import NotProved


@step(pool="proofs")
def databases_are_ours() -> str:
    """Compare every database with what we knew of it; close, clean and give back one that was restored; count on."""
    return "; ".join(str(outcome) for outcome in restored.watch(desk(), **now()))


@step(pool="proofs")
def nobody_came_back() -> str:
    """Look through rows that are new for people who were deleted, here or by an authority whose tombstones came along; red where
    somebody is back."""
    found = came_back.look(desk(), **now())
    theirs = adopted_back.look(desk(), **now())
    if found.back or theirs.back:
        where = [
            (found, "see the findings of these cases (docs/restore.md)"),
            (theirs, "see `quietus suppression found`"),
        ]
        raise NotProved(
            "; ".join(str(x) for x, _ in where if x.back), about="re-ingestion",
            next_step="; ".join(following for x, following in where if x.back),
        )  # fmt: skip
    return f"{found}; {theirs}" if theirs.rows or theirs.review else str(found)
