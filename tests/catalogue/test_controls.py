"""A control keeps its promise only if its test turns red without it: each is taken out once, and its test is run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from include.catalogue.loader import load
from include.model.catalogue import Control

CONTROLS = [c for c in load().controls if ":" in c.code]


def run(control: Control, *more: str, disabled: bool) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ)
    if disabled:
        environment["QUIETUS_DISABLED"] = control.code
        more = ("-p", "tests.catalogue.disabling", *more)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", *more, control.test],
        env=environment, capture_output=True, text=True, timeout=240, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.id)
def test_without_the_control_its_test_turns_red(control: Control) -> None:
    done = run(control, disabled=True)
    assert done.returncode == 1, (
        f"{control.test} does not miss {control.code}:\n{done.stdout[-1500:]}{done.stderr[-500:]}"
    )
    assert "failed" in done.stdout or "error" in done.stdout


def test_taking_out_something_else_leaves_a_test_green() -> None:
    control = next(c for c in CONTROLS if c.id == "periods_count_as_the_civil_code")
    other = control.model_copy(update={"code": "include.cases.clocks:reminders"})
    assert run(other, disabled=True).returncode == 0
