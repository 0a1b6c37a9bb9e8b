"""What a drill may say of log and statistics: they repeat what is kept, and that is told value by value or it is a doubt."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from include.cases import drill_looks, drilling, residue
from include.cases.drill_cohort import Cohort, Member
from include.cases.drill_looks import OfCase, Seen
from include.cases.residue import Found
from include.model.flow import Line, Plan, Step
from include.model.words import Disposition, Rung, Verdict
from tests.cases.small import TODAY, catalogue

CASE = "CASE-000001"
LOG, STATISTICS, TABLE = "000000010000000000000003", "pg_catalog.pg_statistic", "account.account"


def member(kept: Disposition, *, bytes_too: bool = True) -> Member:
    """A case of which one table keeps, or does not keep, a row."""
    line = Line(dataset="ra.application", disposition=kept, items=1, rule="RS-03", law="ESL 24")
    plan = Plan(
        step="case_000001_s1", case_no=CASE, as_of=TODAY, catalogue="d" * 64, code="test", located=(), lines=(line,)
    )  # fmt: skip
    step = Step(id="case_000001_s1", case_no=CASE, as_of=TODAY, restricting=True, subjects=())
    return Member(CASE, step, plan, bytes_too)


def place(name: str, *, sure: bool = True, kept: bool = False) -> Found:
    return Found(CASE, name, 1, ("plain",), sure, kept)


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """What a scan makes of these places; ``repeats``: whether each value there stands in a table that keeps it, too. All data
    of the policy asks for gone bytes."""
    every = tuple(c.model_copy(update={"rung": Rung.R4}) for c in catalogue().categories)
    desk = SimpleNamespace(catalogue=catalogue(categories=every))

    def scan(one: Member, *places: Found, repeats: bool = False) -> OfCase:
        asked: list[str] = []

        def value_by_value(_: Any, case_nos: list[str], *args: Any, **more: Any) -> frozenset[str]:
            asked.extend(case_nos)
            return frozenset(case_nos if repeats else ())

        monkeypatch.setattr(residue, "look", lambda *_: SimpleNamespace(found=places, unread=()))
        monkeypatch.setattr(residue, "repeats_kept", value_by_value)
        beyond, _, _ = drill_looks.scan(desk, Cohort((one,), (), 0), "main", (tmp_path,))  # type: ignore[arg-type]
        of = beyond.of[CASE]
        assert bool(asked) == bool(of.bytes_too and of.perhaps_kept and not of.failing), (
            "asked only if it matters"
        )
        return of

    return scan


@pytest.mark.parametrize("name", [LOG, STATISTICS])
@pytest.mark.parametrize("repeats", [True, False])
def test_what_log_or_statistics_say_of_somebody_of_whom_something_is_kept(
    scanned: Any, name: str, repeats: bool
) -> None:
    of = scanned(member(Disposition.RETAIN), place(name), repeats=repeats)
    assert (of.places, of.perhaps_kept, of.failing, of.told) == (0, 1, 0, repeats)
    seen = Seen({CASE: of})
    assert seen.untold == (0 if repeats else 1)
    assert seen.counts()["perhaps_kept"] == 1


def test_of_somebody_of_whom_nothing_is_kept_they_repeat_nothing(scanned: Any) -> None:
    of = scanned(member(Disposition.ERASE), place(LOG))
    assert (of.places, of.perhaps_kept, of.failing) == (1, 0, 1)


def test_a_table_itself_is_no_repetition(scanned: Any) -> None:
    of = scanned(member(Disposition.RETAIN), place(TABLE), place(LOG), repeats=True)
    assert (of.places, of.failing, of.told) == (1, 1, False), "it fails, whatever the log repeats"
    assert Seen({CASE: of}).untold == 0, "it is no doubt, but a failure"


def test_where_gone_rows_were_enough_the_log_is_no_doubt(scanned: Any) -> None:
    of = scanned(member(Disposition.RETAIN, bytes_too=False), place(LOG))
    assert (of.perhaps_kept, Seen({CASE: of}).untold) == (1, 0)


def test_what_is_not_told_makes_the_drill_unverified(scanned: Any) -> None:
    def verdict(repeats: bool) -> tuple[Verdict, list[str]]:
        seen = Seen({CASE: scanned(member(Disposition.RETAIN), place(LOG), repeats=repeats)})
        done = drilling.Drilled("nightly", "main", beyond=seen)
        drilling._judge(done, Cohort((), (), 0), 0)
        return done.verdict, done.why

    assert verdict(True) == (Verdict.PASSED, [])
    untold, why = verdict(False)
    assert untold is Verdict.UNVERIFIED and "of 1 cases whose bytes were to go" in why[0]
