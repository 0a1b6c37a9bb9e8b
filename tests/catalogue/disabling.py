"""A plugin for pytest: one piece of code does nothing, as if somebody had taken it out.

``QUIETUS_DISABLED=include.cases.planner:missing pytest -p tests.catalogue.disabling …``. A function returns None, or True where
it answers yes or no, as a guard that lets everything pass; a property is False; of a class every method does nothing. Whoever
imported the original gets the same.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import sys
from typing import Any

import pytest


def nothing(original: Any) -> Any:
    """What is put in its place."""
    if isinstance(original, property):
        return property(lambda self: False)
    if isinstance(original, type):
        for name, member in list(vars(original).items()):
            if inspect.isfunction(member) and not name.startswith("__"):
                setattr(original, name, nothing(member))
        return original

    answer = True if original.__annotations__.get("return") in (bool, "bool") else None

    @functools.wraps(original)
    def does_nothing(*args: Any, **more: Any) -> bool | None:
        return answer

    return does_nothing


def disable(code: str) -> None:
    module, _, path = code.partition(":")
    *owners, name = path.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    original = inspect.getattr_static(owner, name)
    replacement = nothing(original)
    setattr(owner, name, replacement)
    for other in list(sys.modules.values()):
        if getattr(other, "__name__", "").startswith("include") and vars(other).get(name) is original:
            setattr(other, name, replacement)


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    disable(os.environ["QUIETUS_DISABLED"])
