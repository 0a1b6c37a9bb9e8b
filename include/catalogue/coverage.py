"""Every sentence of the policy, held to the control that honours it, or to the reason why none does.

A control is code that can be named and a test that turns red without it. Both must exist, and the product must reach
the code: a promise that is kept by a name, or in tests alone, is not kept. What is ours and not kept yet is listed as
open, with what is missing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from include.catalogue.problems import Problem, Report
from include.catalogue.reach import is_reached
from include.model.catalogue import Catalogue, Control
from include.model.policy import Clause, NoControl

REPOSITORY = Path(__file__).parents[2]


class Standing(StrEnum):
    """How a clause stands."""

    KEPT = "kept"  # by controls, and nothing is missing
    PARTLY = "partly"  # by controls, but something is missing
    OPEN = "open"  # ours to keep, and no control does
    OUTSIDE = "outside"  # no system control applies, for a reason of the closed list


def standing(clause: Clause) -> Standing:
    """How this clause stands, as declared."""
    if clause.no_control:
        return Standing.OUTSIDE
    if not clause.controls:
        return Standing.OPEN
    return Standing.PARTLY if clause.open else Standing.KEPT


@dataclass(frozen=True)
class Coverage:
    """All clauses by how they stand, and what is wrong with the controls."""

    clauses: tuple[tuple[Clause, Standing], ...]
    dangling: tuple[Problem, ...]
    unverified: tuple[str, ...]  # what could not be looked at, and why
    proposals: tuple[
        str, ...
    ]  # "RS-01/dormant", "media/disk": periods, procedures and readings of ours that nobody owns yet

    def of(self, standing: Standing) -> tuple[Clause, ...]:
        return tuple(clause for clause, stands in self.clauses if stands is standing)

    def share(self, standing: Standing) -> float:
        """Of all clauses, between 0 and 1."""
        return len(self.of(standing)) / len(self.clauses) if self.clauses else 0.0

    def reasons(self) -> dict[NoControl, int]:
        """How many clauses no control honours, by reason."""
        return {r: sum(c.no_control is r for c, _ in self.clauses) for r in NoControl}


def coverage(root: Path, catalogue: Catalogue, repository: Path = REPOSITORY) -> Coverage:
    """Hold every clause to its controls. Imports nothing: code and tests are found in the source."""
    report = Report(root, catalogue)
    check(report, repository)
    absent = "the tests are not here, so nobody looked whether each control has its own"
    return Coverage(
        clauses=tuple((clause, standing(clause)) for clause in catalogue.clauses),
        dangling=tuple(sorted(report.problems)),
        unverified=() if (repository / "tests").is_dir() else (absent,),
        proposals=tuple(
            f"{rule.id}/{period.name}"
            for rule in catalogue.rules
            for period in rule.periods
            if period.proposal and not period.proposal.owner
        )
        + tuple(f"media/{p.id}" for p in catalogue.media if not p.proposal.owner)
        + tuple(f"grading/{g.id}" for g in catalogue.grading if not g.owner),
    )


def check(report: Report, repository: Path = REPOSITORY) -> None:
    """Report every control whose code or test does not exist, or that keeps a promise by tests alone."""
    for index, control in enumerate(report.catalogue.controls):
        for key, what, next_step in _dangling(control, report.catalogue, repository):
            report.add("controls", index, (key,), what, next_step)


def _dangling(control: Control, catalogue: Catalogue, repository: Path) -> Iterable[tuple[str, str, str]]:
    """What is wrong with a control. An image for production leaves the tests out, and says nothing of them here."""
    if not exists(control.code, repository):
        yield "code", f"there is no {control.code}", "correct it, or declare the clause open"
    elif not is_reached(control.code, repository):
        boasting = [str(c.no) for c in catalogue.clauses if control.id in c.controls and not c.open]
        if boasting:
            yield (
                "code", f"no run, page or command reaches it, and clause {', '.join(boasting)} misses nothing",
                "wire it in, or say in the clause's `open` what is missing",
            )  # fmt: skip
    if not (repository / "tests").is_dir():
        return
    file, _, name = control.test.partition("::")
    if not name or name not in _functions(repository / file):
        yield "test", f"there is no test {control.test}", "write it, or declare the clause open"
    elif name.removeprefix("test") == name:
        yield "test", f"{control.test} is no test", "name one"


def exists(code: str, repository: Path = REPOSITORY) -> bool:
    """Whether ``module:name.attribute`` is defined in our source, or ``path/of/a.file`` is there."""
    if ":" not in code:
        return (repository / code).is_file()
    module, _, path = code.partition(":")
    root = (
        repository if module.startswith("include") else repository / "plugins"
    )  # both are on Airflow's path
    file = root / Path(*module.split("."))
    file = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
    names = _defined(file)
    parts = path.split(".")
    return all(".".join(parts[:n]) in names for n in range(1, len(parts) + 1))


def _functions(file: Path) -> frozenset[str]:
    return frozenset(name for name in _defined(file) if "." not in name)


def _defined(file: Path) -> frozenset[str]:
    """The names a Python file defines at its top level and in its classes; none for a missing file."""
    try:
        return _names(file.read_text("utf-8"))
    except (OSError, SyntaxError):
        return frozenset()


@lru_cache(maxsize=256)
def _names(text: str) -> frozenset[str]:
    found: set[str] = set()

    def walk(body: Iterable[ast.stmt], before: str) -> None:
        for node in body:
            match node:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    found.add(before + name)
                case ast.ClassDef(name=name, body=inner):
                    found.add(before + name)
                    walk(inner, f"{before}{name}.")
                case ast.Assign(targets=targets):
                    found.update(before + t.id for t in targets if isinstance(t, ast.Name))
                case ast.AnnAssign(target=ast.Name(id=name)):
                    found.add(before + name)
                case _:
                    pass

    walk(ast.parse(text).body, "")
    return frozenset(found)
