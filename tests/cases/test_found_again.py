"""Rows that one step cut are accounted for by the next only if it located the same ones."""

from __future__ import annotations

import pytest

from include.cases.certifying import _balance, _found_again, _lines, _located
from include.cases.papers import StepDone, StepRow
from include.model.catalogue import Catalogue
from include.model.estate import Cut
from include.model.flow import Line, Located, Plan, Receipt
from include.model.times import observed_now
from include.model.words import CopyKind, Disposition
from tests.cases.small import TODAY, catalogue

ERASED: Catalogue = catalogue()
ROWS = next(d.id for d in ERASED.datasets if d.action == "erase")


def step(
    n: int, fate: Disposition, items: int, digest: str, kept: int = 0, restricting: bool = True
) -> StepDone:
    it = f"case_000001_s{n}"
    lines = [Line(dataset=ROWS, disposition=fate, items=items, rule="RS-01", law="PIPL 47")]
    if kept:
        lines.append(
            Line(dataset=ROWS, disposition=Disposition.RETAIN, items=kept, rule="RS-03", law="ESL 24")
        )
    plan = Plan(
        step=it, case_no="CASE-000001", as_of=TODAY, catalogue="c", code="1", lines=tuple(lines),
        located=(Located(dataset=ROWS, items=items + kept, digest=digest),),
    )  # fmt: skip
    done = Receipt(
        step=it, store="company", verb="dispose", plan=plan.fingerprint(), counts={ROWS: {fate.past: items}},
        position={}, done_at=observed_now(),
    )  # fmt: skip
    return StepDone(StepRow(it, "live", n, TODAY, restricting, False), (plan,), (done,))


CUT, ERASE = Disposition.DEIDENTIFY, Disposition.ERASE


@pytest.mark.parametrize(
    ("items", "digest", "again"),
    [(3, "same", True), (3, "other", False), (2, "other", False), (5, "more", True)],
)
def test_as_many_other_rows_hide_none_that_were_cut(items: int, digest: str, again: bool) -> None:
    done = (step(1, CUT, 3, "same"), step(2, ERASE, items, digest))
    assert _found_again(ERASED, done, done[0]) == (frozenset({(ROWS, CopyKind.LIVE)} if again else ()))
    said = [(line.disposition, line.items) for _, line in _lines(ERASED, done)]
    assert said == ([] if again else [(CUT, 3)]) + [(ERASE, items)]
    (books,) = _balance(ERASED, done)
    (located,) = _located(ERASED, done)
    assert (books.located, books.erased, books.deidentified) == (
        items + (0 if again else 3), items, 0 if again else 3,
    )  # fmt: skip
    assert located.items == books.located


@pytest.mark.parametrize(
    ("items", "digest", "again"),
    [(3, "some", False), (6, "same", True), (6, "other", False), (7, "more", True)],
)
def test_what_was_kept_beside_them_is_not_taken_for_what_was_cut(
    items: int, digest: str, again: bool
) -> None:
    """Three were cut and three kept: the three that are found may be those that were kept, and the others nowhere."""
    done = (step(1, CUT, 3, "same", kept=3), step(2, ERASE, items, digest))
    said = [(line.disposition, line.items) for _, line in _lines(ERASED, done)]
    assert said == ([] if again else [(CUT, 3)]) + [(ERASE, items)]
    (books,) = _balance(ERASED, done)
    assert (books.erased, books.deidentified) == (items, 0 if again else 3)


def test_rows_to_which_the_cut_leaves_no_way_are_never_taken_as_found() -> None:
    """It sets the only column that leads to their people: whatever the next step located is something else."""
    severed = ERASED.model_copy(update={"datasets": tuple(
        d.model_copy(update={"cut": Cut(set={"account_id": None})}) if d.id == ROWS else d for d in ERASED.datasets
    )})  # fmt: skip
    done = (step(1, CUT, 3, "same"), step(2, ERASE, 4, "more"))
    assert [(line.disposition, line.items) for _, line in _lines(severed, done)] == [(CUT, 3), (ERASE, 4)]


@pytest.mark.parametrize(("items", "digest", "again"), [(3, "same", True), (5, "more", False)])
def test_where_nobody_is_restricted_a_number_tells_nothing(items: int, digest: str, again: bool) -> None:
    """New rows may have been written since."""
    done = (step(1, CUT, 3, "same", restricting=False), step(2, ERASE, items, digest, restricting=False))
    assert bool(_found_again(ERASED, done, done[0])) is again
