"""A plugin for pytest: one control lets everything pass, as if somebody had taken it out.

``QUIETUS_DISABLED=include.cases.planner:missing pytest -p tests.catalogue.disabling …``. What is put in its place answers as the
control does when all is well, so that its test misses the control and does not stumble over a wrong type:

* a guard of the state machine always holds; a function that answers yes or no says yes; one that collects finds nothing; a last
  day is long over; what only raises, or acts, does nothing
* of a class every method does nothing; a property is False
* a file of the catalogue is empty, a query of it finds nobody; ``WEAKENED`` has what none of this fits

Whoever imported the original gets the same.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from include.catalogue.problems import Compared

REPOSITORY = Path(__file__).parents[2]
_FINDS_NOTHING = {
    "tuple": (), "list": [], "Sequence": (), "Iterable": (), "Iterator": (), "dict": {}, "Mapping": {},
    "frozenset": frozenset(), "set": set(), "bool": True, "date": date.min, "Compared": Compared(()),
}  # fmt: skip


def _as_the_auditor(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda draft, _shown: original.__globals__["_for_auditor"](draft)


def _as_it_came(_original: Callable[..., Any]) -> Callable[..., Any]:
    async def passes(self: Any, _scope: Any, body: bytes) -> bytes:
        return body

    return passes


WEAKENED: dict[str, Callable[[Any], Any]] = {
    "include.ledger.issue:_for_person": _as_the_auditor,  # the person's edition lists what the auditor's does
    "include.model.words:Ground.own_initiative": lambda _: property(lambda self: True),
    "quietus_console.intake:Intake._triggered": _as_it_came,
    "include.stores.postgres.dispose:Disposing._is_done": lambda _: lambda self, connection, chunk: False,
}
"""Code -> what takes its place, made from the original."""


def nothing(original: Any) -> Any:
    """What is put in its place."""
    if isinstance(original, property):
        return property(lambda self: False)
    if isinstance(original, type):
        for name, member in list(vars(original).items()):
            if inspect.isfunction(member) and not name.startswith("__"):
                setattr(original, name, nothing(member))
        return original
    if not callable(original):  # a guard: everybody who has it has this one
        object.__setattr__(original, "holds", lambda _facts: True)
        return original

    kind = str(original.__annotations__.get("return")).partition("[")[0]
    answer = _FINDS_NOTHING.get(kind.removeprefix("<class '").removesuffix("'>"))

    @functools.wraps(original)
    def does_nothing(*args: Any, **more: Any) -> Any:
        return answer

    return does_nothing


def disable(code: str) -> None:
    if ":" not in code:
        _empty(REPOSITORY / code)
        return
    module, _, path = code.partition(":")
    if not module.startswith("include"):
        sys.path.insert(0, str(REPOSITORY / "plugins"))
    *owners, name = path.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    original = inspect.getattr_static(owner, name)
    replacement = WEAKENED.get(code, nothing)(original)
    if replacement is original:
        return
    setattr(owner, name, replacement)
    for other in list(sys.modules.values()):
        ours = getattr(other, "__name__", "").startswith(("include", "quietus_console"))
        if ours and vars(other).get(name) is original:
            setattr(other, name, replacement)


def _empty(file: Path) -> None:
    """Whoever reads the file finds it without what it is for; on the disk it stays as it is."""
    if not file.is_file():
        raise FileNotFoundError(file)
    text = _emptied(file, file.read_text("utf-8"))
    read_text, read_bytes = Path.read_text, Path.read_bytes

    def text_of(self: Path, *args: Any, **more: Any) -> str:
        return text if self.resolve() == file else read_text(self, *args, **more)

    def bytes_of(self: Path) -> bytes:
        return text.encode() if self.resolve() == file else read_bytes(self)

    Path.read_text, Path.read_bytes = text_of, bytes_of  # type: ignore[method-assign, assignment]


def _emptied(file: Path, text: str) -> str:
    match file.parent.name, file.suffix:
        case _, ".yaml":
            return "[]\n"
        case "starting_points", ".sql":
            return f"SELECT * FROM (\n{text}\n) AS nobody WHERE false"
        case "measures", ".sql":
            return "SELECT FROM cohort WHERE false"
        case "versions", ".sql":  # the schema stays, and its doors are open
            roles = "quietus_case_writer, quietus_reader"
            return f"{text}\nGRANT ALL ON ALL TABLES IN SCHEMA casebook TO {roles};"
        case _:
            raise AssertionError(f"nobody said what {file.name} is without what it is for")


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    disable(os.environ["QUIETUS_DISABLED"])
