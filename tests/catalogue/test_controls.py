"""A control keeps its promise only if its test turns red without it: each is taken out once, and its test is run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from include.catalogue.loader import load
from include.model.catalogue import Control
from tests.catalogue.apart import Ended, run
from tests.conftest import PgServer, S3Server
from tests.lending import drop_left, lending

SCHEDULED = (
    "account_cancellation",
    "ledger_audit",
)  # the scheduler reads their files: without one nothing runs
CONTROLS = [c for c in load().controls if c.id not in SCHEDULED]


@dataclass(frozen=True)
class Rehearsal:
    """Runs a control's test by the servers that run here, and leaves nothing of it on them."""

    servers: Mapping[str, PgServer]
    buckets: S3Server
    room: Path

    def run(self, control: Control, *, disabled: bool) -> Ended:
        environment = lending(
            {**{name: s.lent for name, s in self.servers.items()}, "moto": asdict(self.buckets)}
        )
        more: tuple[str, ...] = ()
        if disabled:
            environment["QUIETUS_DISABLED"] = control.code
            more = ("-p", "tests.catalogue.disabling")
        arguments = ["-q", "-x", "-p", "no:cacheprovider", "--no-header", *more, control.test]
        ended = run(arguments, environment, self.room / "said")
        for server in self.servers.values():
            drop_left(server.superuser_conninfo, ended.pid)
        return ended


@pytest.fixture
def rehearsal(pg18: PgServer, pg15: PgServer, moto: S3Server, tmp_path: Path) -> Rehearsal:
    return Rehearsal({"pg18": pg18, "pg15": pg15}, moto, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.id)
def test_without_the_control_its_test_turns_red(rehearsal: Rehearsal, control: Control) -> None:
    done = rehearsal.run(control, disabled=True)
    assert done.status == 1, f"{control.test} does not miss {control.code}:\n{done.said[-2000:]}"
    assert "failed" in done.said or "error" in done.said


def test_only_what_the_scheduler_itself_reads_is_left_out() -> None:
    left = [c for c in load().controls if c.id in SCHEDULED]
    assert [c.code for c in left] == [f"dags/{name}.py" for name in SCHEDULED]
    assert all(c.test.startswith("tests/e2e/") for c in left)


def test_a_control_stands_for_itself_alone() -> None:
    """Two promises that one piece of code keeps are told apart by their tests, or the guard itself is not named."""
    shared = Counter(c.code for c in load().controls)
    tests = Counter((c.code, c.test) for c in load().controls)
    assert [code for (code, _), n in tests.items() if n > 1] == []
    assert {code: n for code, n in shared.items() if n > 1} == SHARED


SHARED = {
    "include.cases.opening:record_identity": 2,  # one act: what it refuses, and what it starts
}
"""Code that more than one control names, and how many."""


@pytest.mark.slow
@pytest.mark.parametrize("named", ["periods_count_as_the_civil_code", "case_key_destroyed"])
def test_taking_out_something_else_leaves_a_test_green(rehearsal: Rehearsal, named: str) -> None:
    """Also of those that need a server: one that is spoilt by what was run before would turn every test red."""
    control = next(c for c in CONTROLS if c.id == named)
    other = control.model_copy(update={"code": "include.cases.clocks:reminders"})
    done = rehearsal.run(other, disabled=True)
    assert done.status == 0, done.said[-2000:]
