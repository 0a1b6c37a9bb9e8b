"""No check without a control: for every name that a proof can emit, some test plants a fault and sees it fail."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from include.model.flow import Check, Step
from include.model.words import Rung, Verdict
from include.proofs.asking import evidence
from include.proofs.names import NAMES
from tests.cases import test_drilling, test_scrub
from tests.cases.retention import test_night_sealed
from tests.cases.shutdown import test_conserved
from tests.handover import test_custody_proved
from tests.proofs import (
    test_anonymity,
    test_controls_objects,
    test_controls_postgres,
    test_estate,
    test_grading,
    test_limits,
    test_limits_objects,
    test_objects_restricted,
    test_sealed,
    test_standbys,
)
from tests.proofs.controls import CONTROLS
from tests.stores.postgres.making import TODAY
from tests.stores.s3.clearing import test_logs

PROOFS = Path(__file__).parents[2] / "include" / "proofs"


def test_every_name_has_a_planted_control() -> None:
    wanted = {(n.kind, n.what, store) for n in NAMES if not n.says_only for store in n.stores}
    assert wanted - CONTROLS.keys() == set()
    modules = (
        test_anonymity, test_conserved, test_controls_objects, test_controls_postgres, test_custody_proved, test_drilling,
        test_estate, test_grading, test_limits, test_limits_objects, test_logs, test_night_sealed, test_objects_restricted,
        test_scrub, test_sealed, test_standbys,
    )  # fmt: skip
    there = {n for m in modules for n in vars(m)}
    assert {name for names in CONTROLS.values() for name in names} <= there


def test_a_check_of_another_name_is_not_made() -> None:
    it = Step(id="s1", case_no="CASE-000001", as_of=TODAY, restricting=True, subjects=())
    check = Check(name="new.account.session", rung=Rung.R2, verdict=Verdict.PASSED)
    with pytest.raises(AssertionError, match="no such check"):
        evidence("gone", it, None, "company", [check])


def test_the_proofs_do_not_know_the_planter() -> None:
    for file in PROOFS.glob("*.py"):
        assert not re.search(r"^\s*(from|import) tests\b", file.read_text(), re.MULTILINE), file.name


def test_the_page_for_auditors_lists_every_name() -> None:
    page = (PROOFS.parents[1] / "docs" / "proofs.md").read_text(encoding="utf-8")
    listed = {
        (kind, what) for kind, what in re.findall(r"^\| (\w+) \| `(\w+)` \| \w+ \|", page, re.MULTILINE)
    }
    assert listed == {(n.kind, n.what) for n in NAMES}
