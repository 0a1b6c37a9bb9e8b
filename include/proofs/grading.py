"""The grade of a set without its people, by the company's reading of the standard that grades de-identification.

The text of GB/T 42460-2023 is sold, and was not read: what its clause 4 grades is declared in ``grading.yaml``, in the company's
own words, with who owns that reading since when. Whoever reads a grade is told so. It is computed from what is measured anyway:

    1   something that identifies is there
    2   nothing that identifies, but the risk of the smallest class (1/k) is not below the release's threshold, or an attack or
        a rare value singles somebody out
    3   nothing that identifies, and a risk below the threshold
    4   no row about one person: statistics, each row of which counts as many people as declared

No grade makes a set anonymous (PIPL 73(4)): see :func:`include.proofs.anonymity.word`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.model.catalogue import Catalogue
from include.model.doors import Connections, in_sandbox
from include.model.flow import Check
from include.model.releases import Grading, Release
from include.model.words import Rung, Verdict

if TYPE_CHECKING:
    from include.proofs.anonymity import Measured

IDENTIFIED, AT_RISK, BELOW, AGGREGATED = 1, 2, 3, 4
SINGLED_OUT = ("linkage", "rare")
"""Checks that find somebody whatever the smallest class is."""


@dataclass(frozen=True)
class Graded:
    """``grade``: None, if none can be given, and then ``said`` is why; else ``said`` is the sentence, with whose reading."""

    grade: int | None
    said: str


def of_release(
    catalogue: Catalogue, connections: Connections, release: Release, measured: Measured, checks: Sequence[Check] = ()
) -> Graded:  # fmt: skip
    """The grade of what was released, by what was measured and, if somebody tried, by what the attack found."""
    reading, why = in_force(catalogue, connections)
    if reading is None:
        return Graded(None, why)
    if measured.identifiers:
        return _by(reading, IDENTIFIED)
    if not measured.rows:
        return Graded(None, "not graded: nothing was released")
    risk = release.threshold.risk
    if risk is None:
        return Graded(None, "not graded: the release declares no threshold of the risk")
    found = any(c.name.partition(".")[0] in SINGLED_OUT and c.verdict is Verdict.FAILED for c in checks)
    return _by(reading, AT_RISK if found or 1 / measured.k >= risk else BELOW)


def of_statistics(catalogue: Catalogue, connections: Connections, checks: Sequence[Check]) -> Graded:
    """The grade of statistics whose every row was counted: that of sets without a row about one person."""
    reading, why = in_force(catalogue, connections)
    if reading is None:
        return Graded(None, why)
    if not checks or any(c.verdict is not Verdict.PASSED for c in checks):
        return Graded(None, "not graded: it is not shown that every row counts as many people as declared")
    return _by(reading, AGGREGATED)


def check(release: Release, dataset: str, graded: Graded, checks: Sequence[Check]) -> Check | None:
    """Whether a release has the grade that it declares; None: it declares none. Below it: failed; not graded, or nobody could
    try the attack: UNVERIFIED."""
    if release.grade is None:
        return None
    blind = graded.grade is None or any(
        c.name.partition(".")[0] in SINGLED_OUT and c.verdict is Verdict.UNVERIFIED for c in checks
    )
    below = graded.grade is not None and graded.grade < release.grade
    verdict = Verdict.FAILED if below else Verdict.UNVERIFIED if blind else Verdict.PASSED
    return Check(
        name=f"grade.{release.id}", dataset=dataset, rung=Rung.R10, verdict=verdict, expected=0,
        observed=None if graded.grade is None else int(below), why=f"{graded.said}; declared {release.grade}",
    )  # fmt: skip


def in_force(catalogue: Catalogue, connections: Connections) -> tuple[Grading | None, str]:
    """The reading by which grades are given; or None, and why none is: none is declared, or nobody owns it outside a sandbox."""
    if not catalogue.grading:
        return None, "not graded: the catalogue has no reading of a standard"
    (reading, *_) = catalogue.grading
    if not reading.owned and not in_sandbox(connections):
        return None, f"not graded: nobody owns the reading of {reading.cite}, which holds in a sandbox only"
    return reading, ""


def _by(reading: Grading, grade: int) -> Graded:
    whose = f"{reading.owner}, {reading.approved_on}" if reading.owned else "nobody owns it yet: sandbox only"
    return Graded(grade, f"grade {grade} by the company's reading of {reading.cite} ({whose})")
