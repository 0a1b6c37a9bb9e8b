"""R9 is claimed of sealed objects only once their key's own row is gone from files and backups, too."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import pytest

from include.cases.looks import Proofs, Seen
from include.cases.papers import StepDone, StepRow
from include.ledger.certificate import Copy
from include.ledger.verify import Look
from include.model.flow import Line, Plan
from include.model.words import Disposition, Rung, Verdict
from tests.cases.small import TODAY, catalogue
from tests.cases.test_sealed_plan import KEYS, keys, objects
from tests.cases.test_sealed_plan import PLAIN as BINDS

STEP = "case_000001_s1"
SCAN = objects("scan.one", "PI-004", BINDS)
CATALOGUE = catalogue(datasets=(*catalogue().datasets, keys(), SCAN))


def done(*fates: Disposition) -> StepDone:
    lines = tuple(
        Line(dataset=KEYS, disposition=f, items=1, rule="RS-01", law="PIPL 47", until=TODAY) for f in fates
    )
    plan = Plan(
        step=STEP, case_no="CASE-000001", as_of=TODAY, catalogue="c", code="1", located=(), lines=lines
    )
    return StepDone(StepRow(STEP, "live", 1, TODAY, True, False), (plan,), ())


def proofs(*rungs: tuple[int, str]) -> Proofs:
    checks: list[Any] = [
        {"name": f"gone.{KEYS}", "dataset": KEYS, "copy_kind": "live", "rung": r, "verdict": v, "why": ""}
        for r, v in rungs
    ]
    at = datetime(2026, 11, 24, tzinfo=UTC)
    look = Look("gone", STEP, "main", "p", at, [(7, checks)])
    return Proofs((7,), {("gone", STEP, "main"): look})


def copy(store: str, gone: date | None) -> Copy:
    return Copy(backup_set="nightly", store=store, position=None, until=None, because="", gone_on=gone)


ERASE = Disposition.ERASE
ROWS = ((2, "passed"), (4, "passed"))


@pytest.mark.parametrize(
    ("fates", "rungs", "copies", "why"),
    [
        ((ERASE,), ROWS, (), None),
        ((ERASE,), ROWS, (copy("main", TODAY),), None),
        ((ERASE,), ROWS, (copy("files", None),), None),  # the bucket's own backups hold noise
        ((ERASE,), ROWS, (copy("main", None),), "backup set nightly may still have"),
        ((ERASE,), ((2, "passed"),), (), "gone to R2 only"),
        ((ERASE,), ((2, "passed"), (4, "unverified")), (), "gone to R2 only"),
        ((ERASE,), ((2, "failed"), (4, "passed")), (), "is not proved gone"),
        ((ERASE,), (), (), "is not proved gone"),
        ((Disposition.RETAIN,), ROWS, (), "is not proved gone"),
        ((), ROWS, (), "is not proved gone"),
    ],
)  # fmt: skip
def test_a_key_lasts_as_long_as_its_row_does(
    fates: Sequence[Disposition],
    rungs: tuple[tuple[int, str], ...],
    copies: tuple[Copy, ...],
    why: str | None,
) -> None:
    found = proofs(*rungs).key_lasts(SCAN, CATALOGUE, [done(*fates)], copies)
    assert (found is None) == (why is None)
    assert why is None or (found is not None and why in found)


def test_a_rung_that_is_not_claimed_yet_is_said_to_be_unverified() -> None:
    seen = Seen((7,), ((Rung.R4, Verdict.PASSED), (Rung.R9, Verdict.PASSED)), ())
    assert seen.reached(Rung.R4) is Rung.R9
    less = seen.without(Rung.R9, "it lasts")
    assert less.reached(Rung.R4) is Rung.R4
    assert [(u.rung, u.why) for u in less.unverified(Rung.R4, Rung.R4)] == [(Rung.R9, "it lasts")]
    rows = Seen((7,), ((Rung.R4, Verdict.PASSED),), ())
    assert rows.without(Rung.R9, "it lasts") == rows, "of what nobody tried nothing is said"
