"""The planter and the proofs know nothing of each other: no chain of imports leads from one to the other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


def _file(module: str) -> Path | None:
    path = CHECKOUT.joinpath(*module.split("."))
    found = (path.with_suffix(".py"), path / "__init__.py")
    return next((f for f in found if f.is_file()), None)


@cache
def imported(module: str) -> frozenset[str]:
    """The modules of ours that a module imports, anywhere in it, functions and type checking included."""
    path = _file(module)
    assert path is not None, module
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative imports are not read here"
            found.add(node.module or "")
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(m for m in found if m.startswith("include") and _file(m))


def reached(module: str) -> Iterator[str]:
    """Everything that comes along when a module is imported: its packages, and what all of them import."""
    seen: set[str] = set()
    left = [module]
    while left:
        now = left.pop()
        if now in seen:
            continue
        seen.add(now)
        yield now
        left += [*imported(now), *(p for p in [now.rpartition(".")[0]] if p)]


def modules(package: str) -> list[str]:
    root = CHECKOUT.joinpath(*package.split("."))
    return sorted(
        ".".join(p.relative_to(CHECKOUT).with_suffix("").parts).removesuffix(".__init__")
        for p in root.rglob("*.py")
    )


PROVERS = [*modules("include.proofs"), "include.cases.provers", "include.cases.proving", "include.cases.looks",
           "include.cases.certifying"]  # fmt: skip


@pytest.mark.parametrize("module", PROVERS)
def test_no_proof_knows_the_planter(module: str) -> None:
    assert not [m for m in reached(module) if m.startswith("include.planting")]


@pytest.mark.parametrize("module", modules("include.planting"))
def test_the_planter_knows_no_proof(module: str) -> None:
    apart = ("include.proofs", "include.cases", "include.stores", "include.ledger")
    assert not [m for m in reached(module) if m.startswith(apart)]


def test_the_graph_sees_what_is_there() -> None:
    assert "include.proofs.dragnet" in set(reached("include.cases.provers")), "imported within a function"
    assert "include.planting.note" in set(reached("include.cases.controls.night"))
