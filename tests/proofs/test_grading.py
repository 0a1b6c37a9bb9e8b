"""The grade of a set by the company's reading of a standard: each is reached by a real set, and none makes it anonymous."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from typer.testing import CliRunner

from include.commands import _common as common
from include.commands import anonymity as command
from include.model.errors import Refused
from include.model.estate import NotPersonal
from include.model.flow import Check, Evidence
from include.model.releases import Grading, Release
from include.model.words import Rung, Verdict
from include.proofs import anonymity, grading
from include.proofs.grading import Graded
from include.proofs.linkage import Original
from include.proofs.names import POSTGRES
from include.proofs.retest import recount, retest
from tests.proofs.controls import control
from tests.proofs.test_anonymity import ORDERED, checks, failed, people, plant, proved, reader, sample
from tests.stores.postgres import releasing
from tests.stores.postgres.making import Company, Fixed
from tests.stores.postgres.releasing import SAID, fill, release

Maker = Callable[..., Company]
pytestmark = pytest.mark.postgres
READING = Grading(
    id="read", cite="GB/T 42460-2023 clause 4", text="by identifiers and by risk", owner="legal", approved_on=date(2026, 1, 5),
    grades={1: "identifies", 2: "at risk", 3: "below the threshold", 4: "aggregates"},
)  # fmt: skip
DECLARED = ORDERED.model_copy(
    update={"grade": 3, "threshold": SAID.model_copy(update={"risk": 0.3})}
)  # a class of 4 is below
WHOSE = "by the company's reading of GB/T 42460-2023 clause 4 (legal, 2026-01-05)"


class Sandbox(Fixed):
    def text(self, name: str) -> str:
        if name == "sandbox":
            return "yes"
        raise Refused("not declared", about=name)


class Earnest(Fixed):
    def text(self, name: str) -> str:
        raise Refused("not declared", about=name)


def read(there: Company, *readings: Grading) -> None:
    there.catalogue = there.catalogue.model_copy(update={"grading": readings})


@pytest.fixture
def done(new_company: Maker) -> tuple[Company, tuple[Original, ...]]:
    """Sixty people, released, and originals of some that were kept before."""
    there = releasing.company(new_company, DECLARED)
    read(there, READING)
    fill(there, people(60))
    kept = sample(there)
    release(there)
    return there, kept


Done = tuple[Company, tuple[Original, ...]]


def graded(there: Company, connections: Any = None) -> Graded:
    of: Release = there.catalogue.releases[0]
    measured = anonymity.measure(reader(there), there.catalogue.dataset(of.dataset), of)
    return grading.of_release(there.catalogue, connections or Fixed(there.conninfo), of, measured)


def grade(evidence: Evidence) -> Check:
    return checks(evidence, "grade")


def test_a_set_below_the_threshold_has_grade_3_and_is_not_anonymous_by_that(done: Done) -> None:
    there, kept = done
    assert graded(there) == Graded(3, f"grade 3 {WHOSE}")
    evidence = proved(there, kept)
    found = grade(evidence)
    assert (found.verdict, found.observed, found.why) == (Verdict.PASSED, 0, f"grade 3 {WHOSE}; declared 3")
    assert anonymity.word(there.catalogue.releases[0], evidence.verdict).startswith(
        "not shown to be anonymous"
    ), "the files were not written anew: grade 3 alone earns no word"
    releasing.redeclared(there, claims="deidentified", why="its numbers are known outside")
    evidence = proved(there, kept)
    assert grade(evidence).verdict is Verdict.PASSED and failed(evidence) == {"claimed"}
    for verdict in Verdict:
        assert "still personal" in anonymity.word(there.catalogue.releases[0], verdict)


@control("anonymity", "grade", POSTGRES)
def test_one_class_at_the_threshold_gives_grade_2_and_fails_the_proof(done: Done) -> None:
    """All classes but one are as large as declared, and that one is too small by one person."""
    there, kept = done
    plant(there, *[("1990", "North", "[0, 50)", ill) for ill in ("flu", "cough", "gout")])
    assert graded(there) == Graded(2, f"grade 2 {WHOSE}")
    evidence = proved(there, kept)
    found = grade(evidence)
    assert (found.verdict, found.observed, found.why) == (Verdict.FAILED, 1, f"grade 2 {WHOSE}; declared 3")
    plant(there, ("1990", "North", "[0, 50)", "flu"))
    assert graded(there).grade == 3
    releasing.redeclared(there, threshold=SAID.model_copy(update={"risk": 0.25}))
    assert graded(there).grade == 2, "a risk that is just the threshold is not below it"


def test_what_identifies_gives_grade_1(done: Done) -> None:
    there, kept = done
    there.sql("ALTER TABLE stat.released ADD pseudonym int")
    assert graded(there) == Graded(1, f"grade 1 {WHOSE}")
    assert grade(proved(there, kept)).verdict is Verdict.FAILED


def test_whoever_is_found_by_an_attack_makes_it_grade_2_whatever_the_classes_are(done: Done) -> None:
    there, kept = done
    assert graded(there).grade == 3
    plant(there, *[("1990", "North", "[0, 50)", ill) for ill in ("flu", "cough", "gout", "leprosy")])
    assert graded(there).grade == 3, "by its classes alone"
    evidence = proved(there, kept)
    assert "rare" in failed(evidence) and "k" not in failed(evidence)
    assert (grade(evidence).verdict, grade(evidence).why.partition(" by ")[0]) == (Verdict.FAILED, "grade 2")


def test_where_nobody_could_try_the_grade_is_not_shown(done: Done) -> None:
    there, _ = done
    found = grade(proved(there, ()))
    assert (found.verdict, found.why) == (Verdict.UNVERIFIED, f"grade 3 {WHOSE}; declared 3")
    there.sql("TRUNCATE stat.released")
    found = grade(proved(there, ()))
    assert (found.verdict, found.observed) == (Verdict.UNVERIFIED, None)
    assert found.why == "not graded: nothing was released; declared 3"


def test_statistics_that_count_enough_people_have_grade_4(done: Done) -> None:
    there, _ = done
    there.sql("CREATE TABLE stat.monthly (month text, accounts int)")
    there.sql("INSERT INTO stat.monthly VALUES ('2026-01', 20), ('2026-02', 31)")
    there.sql("GRANT SELECT ON stat.monthly TO PUBLIC")
    counts = NotPersonal(
        store="company",
        address="stat.monthly",
        reason="counts",
        columns=("month", "accounts"),
        at_least={"accounts": 20},
    )
    found = recount(there.catalogue, Fixed(there.conninfo), counts)
    assert (found.verdict, found.grade, found.graded) == (Verdict.PASSED, 4, f"grade 4 {WHOSE}")
    there.sql("INSERT INTO stat.monthly VALUES ('2026-03', 19)")
    found = recount(there.catalogue, Fixed(there.conninfo), counts)
    assert (found.verdict, found.grade) == (Verdict.FAILED, None) and found.graded.startswith(
        "not graded: it is not shown"
    )


def test_a_reading_that_nobody_owns_grades_in_a_sandbox_only(done: Done) -> None:
    there, kept = done
    read(there, READING.model_copy(update={"owner": None, "approved_on": None}))
    nobody = "not graded: nobody owns the reading of GB/T 42460-2023 clause 4, which holds in a sandbox only"
    assert graded(there, Earnest(there.conninfo)) == Graded(None, nobody)
    found = graded(there, Sandbox(there.conninfo))
    assert (found.grade, found.said.endswith("(nobody owns it yet: sandbox only)")) == (3, True)
    found_check = grading.check(there.catalogue.releases[0], "stat.extract", Graded(None, nobody), ())
    assert found_check is not None and found_check.verdict is Verdict.UNVERIFIED
    read(there)
    assert graded(there) == Graded(None, "not graded: the catalogue has no reading of a standard")
    read(there, READING)
    releasing.redeclared(there, threshold=SAID)
    assert graded(there) == Graded(None, "not graded: the release declares no threshold of the risk")
    releasing.redeclared(there, grade=None)
    assert not any(c.name.startswith("grade.") for c in proved(there, kept).checks), "it declares none"


def test_once_a_year_the_set_is_graded_anew(done: Done) -> None:
    there, _ = done
    found = retest(there.catalogue, Fixed(there.conninfo), there.catalogue.releases[0])
    assert (found.verdict, found.grade, found.graded) == (Verdict.PASSED, 3, f"grade 3 {WHOSE}")
    plant(there, ("1990-03", "Futian", "[0, 10)", "flu"))
    found = retest(there.catalogue, Fixed(there.conninfo), there.catalogue.releases[0])
    assert found.grade == 2 and "grade" in {c.name.partition(".")[0] for c in found.wrong}
    assert found.measured is not None and found.measured.k == 1
    assert Rung.R10 in {c.rung for c in found.wrong}


def test_the_command_tells_the_grade_and_whose_reading_it_is(
    done: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, _ = done
    monkeypatch.setattr(common, "catalogue", lambda: there.catalogue)
    monkeypatch.setattr("include.commands._connections.connections", lambda: Fixed(there.conninfo))
    ran = CliRunner().invoke(command.app, ["measure", "moved"], catch_exceptions=False)
    assert f"grade 3 {WHOSE} (declared 3)" in " ".join(ran.output.split())
    assert "still personal" in ran.output, "nor does the command call it anonymous"
    said = json.loads(
        CliRunner().invoke(command.app, ["measure", "moved", "--json"], catch_exceptions=False).output
    )
    assert (said["grade"], said["graded"]) == (3, f"grade 3 {WHOSE}")
    told = CliRunner().invoke(command.app, ["explain", "moved"], catch_exceptions=False).output
    assert "must reach grade 3: a risk below 0.3" in told
