"""SIGKILL at every named point: the resumed run comes to the same end, byte for byte, with one receipt a deed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from include.model.flow import Plan, Step
from tests.stores.postgres import making
from tests.stores.postgres.making import Company, shop_provisions, step
from tests.stores.postgres.test_whole import TABLES

POINTS = (
    "restrict.before_commit",
    "restrict.after_commit",
    "survey.after_commit",
    "weigh.after_commit",
    "dispose.weighed",
    "dispose.before_commit",
    "dispose.after_commit",
)


def killed_at(point: str, company: Company, it: Step, plan_file: Path) -> None:
    """Run the verbs in a process that is killed when it reaches the point."""

    def at(here: str) -> None:
        if here == point:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        try:
            store = company.store(at=at)
            store.open(it)
            store.restrict(it)
            store.settle(it)
            plan, _ = company.prepare(it, shop_provisions(), store)
            plan_file.write_text(plan.model_dump_json())
            store.dispose(it, plan)
        finally:
            os._exit(0)  # reached only if the point was not
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, f"{point} was never reached"


def resumed(company: Company, it: Step, plan_file: Path) -> None:
    """As the case book resumes: what has its plan is disposed of by it, everything else begins again."""
    if plan_file.exists():
        company.store().dispose(it, Plan.model_validate_json(plan_file.read_text()))
    else:
        company.cancel(it, shop_provisions())


def state(company: Company) -> dict[str, tuple[int, str]]:
    return {table: company.digest(table) for table in TABLES}


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_point_a_run_resumes_to_the_same_end(
    new_company: Callable[..., Company], tmp_path: Path, point: str
) -> None:
    same = (making.SHOP, making.SCHEMA + making.PEOPLE.format(n=8), "shop8")
    undisturbed, struck = new_company(*same), new_company(*same)
    before = state(struck)
    assert state(undisturbed) == before
    undisturbed.cancel(step("A2"), shop_provisions())

    it = step("A2")
    killed_at(point, struck, it, tmp_path / "plan.json")
    resumed(struck, it, tmp_path / "plan.json")

    assert state(struck) == state(undisturbed) != before
    assert [(r.verb, r.chunk) for r in struck.store().receipts(it)] == [("restrict", 0), ("dispose", 0)]
    left = struck.value("SELECT count(*) FROM pg_prepared_xacts") + struck.value(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database ="
        " (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    assert left == 0
